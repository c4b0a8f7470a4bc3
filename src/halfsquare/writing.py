"""Files that are written whole or not at all, and paths that cannot be written known before any work is done."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from glob import escape
from pathlib import Path
from typing import IO, Any

from halfsquare.errors import OutputError

_PART = ".part"


@contextmanager
def atomic_write(path: str | Path, mode: str = "wb") -> Iterator[IO[Any]]:
    """A file that takes the place of ``path`` when the block ends well, and leaves no trace otherwise.

    Raises
    ------
    OutputError
        If it cannot be written; what stood at ``path`` stays as it was.
    """
    path = Path(path)
    if path.is_dir():
        raise OutputError(f"{path} is a folder; expected the name of a file")
    temporary: str | None = None
    try:
        handle, temporary = tempfile.mkstemp(_PART, f".{path.name}.", path.parent)
        with os.fdopen(handle, mode, encoding=None if "b" in mode else "utf-8") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        umask = os.umask(0)
        os.umask(umask)
        Path(temporary).chmod(0o666 & ~umask)
        Path(temporary).replace(path)
        temporary = None
    except FileNotFoundError:
        raise OutputError(f"{path} could not be written: there is no folder {path.parent}") from None
    except OSError as problem:
        raise OutputError(f"{path} could not be written: {problem.strerror or problem}") from None
    finally:
        if temporary is not None:
            with suppress(OSError):
                Path(temporary).unlink()


def clear_parts(path: str | Path) -> None:
    """Remove what processes that were killed while they wrote ``path`` have left beside it."""
    path = Path(path)
    for part in path.parent.glob(f".{escape(path.name)}.????????{_PART}"):
        with suppress(OSError):
            part.unlink()


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
    if Path(path).is_dir():
        raise OutputError(f"{path} is a folder; expected the name of a file")
    if not os.access(folder, os.W_OK):
        raise OutputError(f"{path} cannot be written: no permission to write in {folder}")
