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
_REASONS = {
    errno.EFBIG: "File too large: the largest file allowed here (ulimit -f) is smaller than it"
}


@contextmanager
def atomic_write(path: str | Path, mode: str = "wb") -> Iterator[IO[Any]]:
    """A file that takes the place of ``path`` when the block ends well, and leaves no trace
    otherwise.

    A link is followed, and a file that is replaced hands on its permissions.

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
    _require_ordinary(path)
    target = Path(os.path.realpath(path))
    temporary = target.with_name(f".{target.name[:200]}.{token_hex(6)}.new")
    folder = None
    try:
        folder = os.open(target.parent, os.O_RDONLY | os.O_DIRECTORY)
        clear_parts(target)
        handle, named = _created(target.parent, temporary)
        with os.fdopen(handle, mode, encoding=None if "b" in mode else "utf-8") as file:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield file
            file.flush()
            if target.exists():
                os.fchmod(handle, stat.S_IMODE(target.stat().st_mode))
            os.fsync(handle)
            if not named:
                os.link(f"/proc/self/fd/{handle}", temporary, src_dir_fd=folder)
            temporary.replace(target)
        os.fsync(folder)  # the new name outlasts a power failure, as the bytes do
    except FileNotFoundError:
        raise OutputError(
            f"{path} could not be written: there is no folder {Path(path).parent}"
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

    Raises
    ------
    OutputError
    """
    if path is None or str(path) == "-":
        return
    folder = Path(path).parent
    if not folder.is_dir():
        raise OutputError(f"{path} cannot be written: there is no folder {folder}")
    _require_ordinary(path)
    if not os.access(folder, os.W_OK):
        raise OutputError(f"{path} cannot be written: no permission to write in {folder}")


def _require_ordinary(path: str | Path) -> None:
    """A folder cannot be replaced by a file; a device such as /dev/null must not be."""
    if Path(path).is_dir():
        raise OutputError(f"{path} is a folder; expected the name of a file")
    if Path(path).exists() and not Path(path).is_file():
        raise OutputError(
            f"{path} is no ordinary file, and would be replaced by one; expected the name of a file"
        )


def _created(folder: Path, temporary: Path) -> tuple[int, bool]:
    """A new file in that folder, and whether it has its temporary name already."""
    if _NO_NAME and Path("/proc/self/fd").is_dir():
        try:
            return os.open(folder, _NO_NAME | os.O_RDWR, 0o666), False
        except OSError as problem:
            if problem.errno not in (errno.EOPNOTSUPP, errno.EISDIR, errno.EINVAL, errno.ENOENT):
                raise
    return os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666), True
