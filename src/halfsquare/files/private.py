"""Folders for what is put aside: for their owner alone, under names that nobody can foresee, and
removed with the process, or by the next one if that is killed.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import stat
import tempfile
import time
import weakref
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from halfsquare.errors import OutputError
from halfsquare.files.atomic import reason

PREFIX = "halfsquare-"
_LOCK = ".in-use"
# Between the making of a folder and its lock nobody may take it for abandoned.
_YOUNG_SECONDS = 60.0


class PrivateFolder:
    """A folder (0700) in the temporary one, until :meth:`remove`, or until nobody refers to it any
    more; others that have no living owner are removed first.

    Its owner holds a lock on a file in it for as long as it lives, so that a process that was
    killed has let go.

    Raises
    ------
    OutputError
        If it cannot be made.
    """

    def __init__(self) -> None:
        remove_abandoned()
        try:
            self.path = Path(tempfile.mkdtemp(prefix=PREFIX))
            lock = os.open(self.path / _LOCK, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
            fcntl.flock(lock, fcntl.LOCK_EX)
        except OSError as problem:
            raise OutputError(
                f"a folder for temporary files could not be made in {tempfile.gettempdir()}: "
                f"{reason(problem)}. Set TMPDIR to another"
            ) from None
        self._end = weakref.finalize(self, _remove, self.path, lock, os.getpid())

    def remove(self) -> None:
        """Remove it with all that is in it; not from a process that was forked meanwhile."""
        self._end()


def _remove(folder: Path, lock: int, owner: int) -> None:
    if os.getpid() == owner:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)


@contextmanager
def private_folder() -> Iterator[Path]:
    """A private folder, gone at the end of the block."""
    folder = PrivateFolder()
    try:
        yield folder.path
    finally:
        folder.remove()


def remove_abandoned() -> None:
    """Remove the private folders of this user whose owners are no more."""
    with suppress(OSError), os.scandir(tempfile.gettempdir()) as found:
        for entry in found:
            if entry.name.startswith(PREFIX) and entry.is_dir(follow_symlinks=False):
                with suppress(OSError):
                    _remove_if_abandoned(Path(entry.path))


def _remove_if_abandoned(folder: Path) -> None:
    made = folder.lstat()
    if made.st_uid != os.geteuid() or stat.S_IMODE(made.st_mode) != 0o700:
        return
    try:
        lock = os.open(folder / _LOCK, os.O_RDWR | os.O_NOFOLLOW)
    except FileNotFoundError:
        if time.time() - made.st_mtime > _YOUNG_SECONDS:
            shutil.rmtree(folder, ignore_errors=True)
        return
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # fails while its owner lives
        shutil.rmtree(folder, ignore_errors=True)
    finally:
        os.close(lock)
