"""Temporary copies of what cannot be read as it is: pipes, archives, other encodings, bad lines."""

from __future__ import annotations

import bz2
import codecs
import csv
import gzip
import io
import lzma
import shutil
import tempfile
import weakref
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from halfsquare.data.messages import line_remedy
from halfsquare.errors import DataError, OptionError
from halfsquare.files.atomic import reason
from halfsquare.text import counted

PACKED = (".gz", ".gzip", ".zst", ".bz2", ".xz", ".zip")
_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


class Spool:
    """A temporary file that is gone with this object; its path can be read meanwhile."""

    def __init__(self, name: str, write: Callable[[Any], None]) -> None:
        # Where the system shows open files as paths, it needs no name and cannot be left behind.
        unnamed = Path("/proc/self/fd").is_dir()
        make: Any = tempfile.TemporaryFile if unnamed else tempfile.NamedTemporaryFile
        try:
            self.file: IO[bytes] = make(prefix="halfsquare-")
            weakref.finalize(self, self.file.close)
            write(self.file)
            self.file.flush()
        except (OSError, EOFError, zlib.error, zipfile.BadZipFile, lzma.LZMAError) as problem:
            why = reason(problem) if isinstance(problem, OSError) else str(problem)
            raise DataError(
                f"{name} could not be kept in {tempfile.gettempdir()}: {why or 'it is cut short'}"
            ) from None
        self.path = f"/proc/self/fd/{self.file.fileno()}" if unnamed else self.file.name
        self.size = self.file.tell()


@contextmanager
def unpacked(path: str) -> Iterator[IO[bytes]]:
    """The bytes of a file, whatever packs it.

    Raises
    ------
    DataError
        If a .zip holds several files.
    """
    suffix = Path(path).suffix.lower()
    if suffix == ".zip":
        with zipfile.ZipFile(path) as archive, archive.open(_only(path, archive)) as file:
            yield file
    elif suffix == ".zst":
        import pyarrow as pa

        with pa.OSFile(path) as raw, pa.CompressedInputStream(raw, "zstd") as file:
            yield file
    else:
        opener: Any = {
            ".gz": gzip.open, ".gzip": gzip.open, ".bz2": bz2.open, ".xz": lzma.open
        }.get(suffix, open)  # fmt: skip
        with opener(path, "rb") as file:
            yield file


def inner_name(path: str) -> str:
    """The name without what packs it: that of the one file in a .zip."""
    while Path(path).suffix.lower() in PACKED:
        if path.lower().endswith(".zip"):
            try:
                with zipfile.ZipFile(path) as archive:
                    return _only(path, archive)
            except (OSError, zipfile.BadZipFile) as problem:
                raise DataError(f"{path} is no zip archive, or damaged: {problem}") from None
        path = str(Path(path).with_suffix(""))
    return path


def _only(path: str, archive: zipfile.ZipFile) -> str:
    names = [
        i.filename
        for i in archive.infolist()
        if not i.is_dir() and not i.filename.startswith(("__MACOSX/", "."))
    ]
    if len(names) != 1:
        shown = ", ".join(names[:5]) + (", …" if len(names) > 5 else "")
        raise DataError(
            f"{path} holds {len(names)} files ({shown or 'none'}); expected one. Unpack it, and "
            "name the file"
        )
    return names[0]


def copied(path: str, name: str) -> Spool:
    """A file, unpacked."""

    def write(to: Any) -> None:
        with unpacked(path) as file:
            shutil.copyfileobj(file, to, 1 << 20)

    return Spool(name, write)


def encoding_of(head: bytes, asked: str | None) -> str | None:
    """The encoding to translate from; None for UTF-8, which needs none.

    Raises
    ------
    OptionError
        If there is none of that name.
    """
    for mark, name in _MARKS:
        if head.startswith(mark):
            return name
    if asked is None or head.startswith(codecs.BOM_UTF8):
        return None
    try:
        found = codecs.lookup(asked)
        "".encode(found.name)
    except (LookupError, UnicodeError):
        raise OptionError(
            f"there is no encoding {asked!r}; such as utf-8, latin-1, cp1252, utf-16, gb18030"
        ) from None
    return None if found.name in ("utf-8", "utf-8-sig", "ascii") else found.name


def translated_copy(path: str, name: str, encoding: str) -> Spool:
    """A text file as UTF-8.

    Raises
    ------
    DataError
        If it is not in that encoding: the byte is named.
    """

    def write(to: Any) -> None:
        decoder = codecs.getincrementaldecoder(encoding)()
        done = 0
        with unpacked(path) as file:
            while block := file.read(1 << 20):
                try:
                    to.write(decoder.decode(block).encode())
                except UnicodeDecodeError as problem:
                    raise DataError(
                        f"{name} is not {encoding} text: byte {done + problem.start + 1:,} cannot "
                        "be read. Name its encoding: --encoding NAME"
                    ) from None
                done += len(block)

    return Spool(name, write)


def rewritten_copy(path: str, name: str, delimiter: str, skip: int, fields: int) -> Spool:
    """A text file with every line written alike: for mixed line ends and bare quotes.

    Raises
    ------
    DataError
        If a record has another number of fields than the header: its row is named.
    """

    def write(to: Any) -> None:
        text = codecs.getwriter("utf-8")(to)
        out = csv.writer(text, delimiter=delimiter, lineterminator="\n")
        out.writerows(records(path, name, delimiter, skip, fields))

    return Spool(name, write)


def records(path: str, name: str, delimiter: str, skip: int, fields: int) -> Iterator[list[str]]:
    """The records of a UTF-8 text file from the header on; one of another length is refused."""
    with unpacked(path) as raw:
        lines = io.TextIOWrapper(raw, encoding="utf-8-sig", newline="")
        for _ in range(skip):
            lines.readline()
        row = 0
        reader = csv.reader(lines, delimiter=delimiter)
        try:
            for record in reader:
                if not record:
                    continue
                if len(record) != fields:
                    raise DataError(
                        f"{name}, row {row} (line {reader.line_num + skip}): found "
                        f"{counted(len(record), 'fields')}, expected {fields} as in the header. "
                        f"{line_remedy(fewer=len(record) < fields)}"
                    )
                yield record
                row += 1
        except csv.Error as problem:
            raise DataError(f"{name}, row {row + 1}: {problem}") from None
        except UnicodeDecodeError:
            raise DataError(
                f"{name}, row {row + 1} is not UTF-8 text. Save it as UTF-8, or say what it is: "
                "--encoding latin-1"
            ) from None
