"""Files that are written whole or not at all, and paths that cannot be written known before any
work is done.

Where the system allows it (Linux), a file has no name until it is complete, so that a process that
is killed leaves nothing. For the moment between having all its bytes and taking the old file's
place it has a temporary name, and its writer holds a lock on it; elsewhere it has that name from
the beginning. One that nobody holds belongs to a writer that is no more: the next one to write the
same file removes it.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from glob import escape
from pathlib import Path
from secrets import token_hex
from typing import IO, Any

from halfsquare.errors import OutputError

_NO_NAME: int = getattr(os, "O_TMPFILE", 0)
_MAX_LINKS = 40
_REASONS = {
    errno.EFBIG: "File too large: the largest file allowed here (ulimit -f) is smaller than it"
}


@contextmanager
def atomic_write(path: str | Path, mode: str = "wb") -> Iterator[IO[Any]]:
    """A file that takes the place of ``path`` when the block ends well, and leaves no trace
    otherwise.

    A link is followed where :func:`require_writable` lets it, and a file that is replaced hands on
    its permissions: those that the process gives to new files, no others, and never set-id bits.

    Raises
    ------
    OutputError
        If it cannot be written; what stood at ``path`` stays as it was.

    Examples
    --------
    >>> with atomic_write("no-such-folder/model.hsq") as file:
    ...     _ = file.write(b"...")
    Traceback (most recent call last):
    ...
    halfsquare.errors.OutputError: no-such-folder/model.hsq could not be written: there is no folder
    no-such-folder
    """
    target = _target(path)
    temporary = target.with_name(f".{target.name[:200]}.{token_hex(6)}.new")
    folder = None
    try:
        folder = os.open(target.parent, os.O_RDONLY | os.O_DIRECTORY)
        clear_parts(target)
        handle, named = _created(target.parent, temporary)
        with os.fdopen(handle, mode, encoding=None if "b" in mode else "utf-8") as file:
            os.fchmod(handle, _permissions(handle, target))
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield file
            file.flush()
            os.fsync(handle)
            if not named:
                os.link(f"/proc/self/fd/{handle}", temporary, src_dir_fd=folder)
            temporary.replace(target)
            note(str(path))
        os.fsync(folder)  # the new name outlasts a power failure, as the bytes do
    except FileNotFoundError:
        raise OutputError(
            f"{path} could not be written: there is no folder {_folder(path, target)}"
        ) from None
    except OSError as problem:
        raise OutputError(f"{path} could not be written: {reason(problem)}") from None
    finally:
        with suppress(OSError):
            temporary.unlink()
        if folder is not None:
            os.close(folder)


def reason(problem: OSError) -> str:
    """Why the system did not do it, in words."""
    return _REASONS.get(problem.errno or 0) or problem.strerror or str(problem)


def clear_parts(path: str | Path) -> None:
    """Remove what processes that were killed while they wrote ``path`` have left beside it."""
    target = Path(path)
    for left in target.parent.glob(f".{escape(target.name[:200])}.????????????.new"):
        with suppress(OSError):
            handle = os.open(left, os.O_RDWR)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)  # fails while its writer lives
                left.unlink()
            finally:
                os.close(handle)


def require_writable(path: str | Path | None) -> None:
    """Refuse, before any work is done, a path whose folder is missing or closed.

    A link stands for the file that it points to, for which the same holds. One that somebody else
    has made is refused, unless the folder that it lies in is theirs: in a folder that others may
    write to, it could lead anywhere.

    Raises
    ------
    OutputError
    """
    if path is None or str(path) == "-":
        return
    target = _target(path)
    folder = target.parent
    if not folder.is_dir():
        raise OutputError(f"{path} cannot be written: there is no folder {_folder(path, target)}")
    if not os.access(folder, os.W_OK):
        raise OutputError(
            f"{path} cannot be written: no permission to write in {_folder(path, target)}"
        )


def written() -> tuple[str, ...]:
    """The files that this process has written so far, in order: what an interruption leaves."""
    return tuple(_written)


_written: dict[str, None] = {}  # in order, and each once
_REMEMBERED = 100


def note(path: str) -> None:
    """Remember that something has been written there, for :func:`written`."""
    _written.pop(path, None)
    _written[path] = None
    while len(_written) > _REMEMBERED:
        _written.pop(next(iter(_written)))


def _target(path: str | Path) -> Path:
    """The file itself, at the end of all links.

    A folder cannot be replaced by a file; a device such as /dev/null must not be.
    """
    target, links = Path(path), 0
    while target.is_symlink():
        links += 1
        if links > _MAX_LINKS:
            raise OutputError(f"{path} is a link that leads back to itself")
        _require_trusted(path, target)
        target = target.parent / target.readlink()
    target = Path(os.path.realpath(target))
    told = f"{path} leads to {target}, which" if links else f"{path}"
    if target.is_dir():
        raise OutputError(f"{told} is a folder; expected the name of a file")
    if target.exists() and not target.is_file():
        raise OutputError(
            f"{told} is no ordinary file, and would be replaced by one; expected the name of a file"
        )
    return target


def _require_trusted(path: str | Path, link: Path) -> None:
    """What Linux asks of links in shared folders (``fs.protected_symlinks``), of all links."""
    owner = link.lstat().st_uid
    if owner not in (os.geteuid(), link.parent.stat().st_uid):
        raise OutputError(
            f"{path} cannot be written: {link} is a link that another user has made. Name the file "
            f"itself, {link.readlink()}, if it is the one you mean"
        )


def _folder(path: str | Path, target: Path) -> str:
    """What messages call the folder of a file: as it was given, unless a link leads elsewhere."""
    if Path(path).is_symlink():
        return f"{target.parent}, to which the link leads"
    return str(Path(path).parent)


def _permissions(handle: int, target: Path) -> int:
    """Those of a new file, or of the one that it replaces as far as the process would give them."""
    allowed = stat.S_IMODE(os.fstat(handle).st_mode) & 0o777  # what the umask has left of all
    return allowed & (stat.S_IMODE(target.stat().st_mode) if target.exists() else 0o666)


def _created(folder: Path, temporary: Path) -> tuple[int, bool]:
    """A new file in that folder, with all permissions that the umask leaves, and whether it has its
    temporary name already.
    """
    if _NO_NAME and Path("/proc/self/fd").is_dir():
        try:
            return os.open(folder, _NO_NAME | os.O_RDWR, 0o777), False
        except OSError as problem:
            if problem.errno not in (errno.EOPNOTSUPP, errno.EISDIR, errno.EINVAL, errno.ENOENT):
                raise
    return os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o777), True
