"""Whether files are still what they were when they were opened: a fit of two versions of a file is
of neither.
"""

from __future__ import annotations

import glob
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from halfsquare.data.messages import translated
from halfsquare.errors import DataError


def exists(text: str) -> bool:
    """Whether there is a file or folder of that name."""
    try:
        return Path(text).exists()
    except (OSError, ValueError):  # too long for a name, or with a character that none has
        return False


@dataclass(frozen=True)
class Fingerprint:
    """What tells two versions of a file apart without reading it: size, time of the last change,
    and which file it is.
    """

    path: str
    size: int
    mtime_ns: int
    device: int
    inode: int

    @classmethod
    def of(cls, path: str) -> Fingerprint:
        """That of a file as it is now.

        Raises
        ------
        DataError
            If it is gone or cannot be read.
        """
        try:
            found = Path(path).stat()
        except OSError as problem:
            raise DataError(f"{path} cannot be read: {problem.strerror}") from None
        return cls(path, found.st_size, found.st_mtime_ns, found.st_dev, found.st_ino)


@dataclass(frozen=True)
class Unchanged:
    """The files of a source as they were when it was opened.

    Attributes
    ----------
    pattern : str or None
        The glob that they match; None for files by name.

    Examples
    --------
    >>> Unchanged.of([]).require("the data")  # what lies in memory does not change behind our back
    """

    files: tuple[Fingerprint, ...]
    pattern: str | None = None

    @classmethod
    def of(cls, paths: Sequence[str], pattern: str | None = None) -> Unchanged:
        """Those files as they are now."""
        return cls(tuple(Fingerprint.of(path) for path in paths), pattern)

    @classmethod
    def at(cls, text: str) -> Unchanged:
        """The file of that name, or those that match a glob, in order.

        Raises
        ------
        DataError
            If there is none, or one is a folder or empty.
        """
        is_glob = any(c in text for c in "*?[") and not exists(text)
        matches = sorted(glob.glob(text, recursive=True)) if is_glob else [text]  # noqa: PTH207 - may be absolute
        if not matches:
            raise DataError(f"no file matches {text}")
        if not exists(matches[0]):
            raise DataError(f"there is no file {text}")
        found = cls.of(matches, text if is_glob else None)
        for file in found.files:
            if file.size == 0:
                raise DataError(f"{file.path} is empty: expected a header line and rows")
        return found

    def require(self, name: str) -> None:
        """Refuse to go on if one of them is not what it was.

        Raises
        ------
        DataError
            Naming the file, what it was and what it is.
        """
        for then in self.files:
            now = Fingerprint.of(then.path) if Path(then.path).exists() else None
            if now != then:
                raise DataError(
                    f"{then.path} was changed while it was read: {_difference(then, now)}. "
                    "Run this again when nobody writes to it"
                )
        if self.pattern is not None:
            matches = glob.glob(self.pattern, recursive=True)  # noqa: PTH207 - a pattern may be absolute
            new = sorted(set(matches) - {f.path for f in self.files})
            if new:
                raise DataError(
                    f"{name} has a new file since the reading began: {new[0]}. Run this again"
                )

    @contextmanager
    def reading(self, name: str, before: int = 1) -> Iterator[None]:
        """A pass over the files: what goes wrong is told in terms of file and row, a change before
        all else. ``before`` is the number of lines before the first row.
        """
        try:
            with translated(name, before):
                yield
        except DataError:
            self.require(name)
            raise
        self.require(name)


def _difference(then: Fingerprint, now: Fingerprint | None) -> str:
    if now is None:
        return "it is no longer there"
    if now.size != then.size:
        return f"it had {then.size:,} bytes at the beginning, and has {now.size:,} now"
    if (now.device, now.inode) != (then.device, then.inode):
        return "another file has taken its place"
    return f"it still has {then.size:,} bytes, but they were written anew"


NO_FILES = Unchanged(())


def require_whole_pages(files: Unchanged, columns: Sequence[str]) -> None:
    """Refuse a damaged Parquet file: of these columns, a page that is not what its checksum says.

    DuckDB reads over checksums: a flipped bit would be another number. Where pages have them, Arrow
    reads all of them once before it. Pages without a checksum pass, unread.

    Raises
    ------
    DataError
        Naming the file.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    for file in files.files:
        try:
            # Not buffered ahead: Arrow would keep in memory all that it has read of the file.
            with pq.ParquetFile(
                file.path, page_checksum_verification=True, buffer_size=1 << 20, pre_buffer=False
            ) as opened:
                if not has_checksums(file.path, opened.metadata):
                    continue
                for _ in opened.iter_batches(1 << 16, columns=list(columns), use_threads=False):
                    pass
        except pa.ArrowNotImplementedError:
            continue  # a kind of column that DuckDB may know
        except (pa.ArrowInvalid, OSError) as problem:
            # Also where its metadata is broken: with them the checksums are beyond reach.
            what = (
                "a page is not what its checksum says"
                if "crc" in str(problem).lower()
                else _first_line(problem)
            )
            raise DataError(f"{file.path} is damaged: {what}. Copy or write it again") from None


def has_checksums(path: str, metadata: Any) -> bool:
    """Whether the first page of any stretch of a column has a checksum: a writer gives one to all
    of its pages or to none.
    """
    with Path(path).open("rb") as file:
        for group in range(metadata.num_row_groups):
            row_group = metadata.row_group(group)
            for position in range(row_group.num_columns):
                column = row_group.column(position)
                at = [column.data_page_offset]
                at += [column.dictionary_page_offset] if column.has_dictionary_page else []
                if _checksum_follows(os.pread(file.fileno(), _HEADER, min(at))):
                    return True
    return False


_HEADER = 24  # bytes in which the fields before the checksum end, and its own begins
_I32, _CHECKSUM = 5, 4  # a type of Thrift's compact protocol; the number of the field


def _checksum_follows(header: bytes) -> bool:
    """Whether the header of a page has the field ``crc``, the fourth, which may be left out.

    Three whole numbers come before it (Apache Parquet format, ``parquet.thrift``, PageHeader;
    Apache Thrift compact protocol: a byte with type and step of the field's number, then the number
    in groups of seven bits). Another beginning is none that is known: then the answer is yes, and
    the page is looked at.
    """
    at = 0
    for _ in range(_CHECKSUM - 1):
        if at >= len(header) or header[at] != (1 << 4 | _I32):
            return True
        at += 1
        while at < len(header) and header[at] & 0x80:
            at += 1
        at += 1
    return at >= len(header) or header[at] == (1 << 4 | _I32)


def _first_line(problem: Exception) -> str:
    return next(iter(str(problem).splitlines()), "it cannot be read")[:200].rstrip(".")
