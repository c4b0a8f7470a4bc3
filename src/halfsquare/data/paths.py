"""Which files a path names: an existing file is that file, whatever its name looks like."""

from __future__ import annotations

import glob
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from halfsquare.data.integrity import Unchanged, exists
from halfsquare.data.spool import inner_name
from halfsquare.data.sql import is_query
from halfsquare.data.text_file import escaped
from halfsquare.errors import DataError, OptionError

JSON = (".json", ".jsonl", ".ndjson")
PARQUET = (".parquet", ".pq")
DATABASE = (".duckdb", ".db", ".ddb", ".sqlite", ".sqlite3")
SHEETS = (".xlsx", ".xlsm", ".xls", ".xlsb", ".ods")
_TEXT = (".csv", ".tsv", ".txt", ".tab", ".dat")
_FOREIGN = (".pdf", ".hsq", ".pkl", ".npy", ".npz", ".docx", ".sav", ".dta", ".rds", ".rdata")


@dataclass(frozen=True)
class Located:
    """The files of a source.

    Attributes
    ----------
    name : str
        As the user wrote it.
    paths : tuple of str
    pattern : str
        What DuckDB is given for all of them.
    suffix : str
        The ending that says what is in the first, whatever packs it.
    files : Unchanged
    """

    name: str
    paths: tuple[str, ...]
    pattern: str
    suffix: str
    files: Unchanged


def is_sql(text: str) -> bool:
    """Whether this is a query, and not a file whose name looks like one."""
    return is_query(text) and not exists(text)


def locate(text: str) -> Located:
    """The file of that name, those that match a glob, or those in a folder, in order.

    Raises
    ------
    DataError
        If there is none, or they are of several kinds.
    """
    if exists(text) and Path(text).is_dir():
        return _folder(text)
    files = Unchanged.at(text)
    paths = tuple(f.path for f in files.files)
    # Of several files, the pattern is what others read them by.
    pattern = escaped(text) if exists(text) else text
    return Located(text, paths, pattern, suffix_of(paths[0]), files)


def _folder(text: str) -> Located:
    base = Path(text)
    found: dict[str, list[str]] = {}
    for path in sorted(base.rglob("*")):
        inside = path.relative_to(base).parts
        if path.is_file() and not any(part.startswith((".", "_")) for part in inside):
            kind = suffix_of(str(path))
            kind = ".parquet" if kind in PARQUET else ".json" if kind in JSON else kind
            kind = ".csv" if kind in _TEXT else kind
            if kind in (".csv", ".parquet", ".json"):
                found.setdefault(kind, []).append(str(path))
    if not found:
        raise DataError(f"{text} is a folder with no CSV, Parquet or JSON files in it")
    if len(found) > 1:
        shown = " and ".join(f"{len(v)} {k}" for k, v in found.items())
        raise DataError(
            f"{text} is a folder of {shown} files: name those to read, such as "
            f"{base / ('*' + next(iter(found)))}"
        )
    kind, paths = next(iter(found.items()))
    suffixes = sorted({Path(p).suffix for p in paths})
    pattern = escaped(text.rstrip("/")) + f"/**/*{suffixes[0]}"
    every = sorted(glob.glob(glob.escape(text) + f"/**/*{suffixes[0]}", recursive=True))  # noqa: PTH207
    alike = len(suffixes) == 1 and every == paths
    files = Unchanged.of(paths)
    return Located(text, tuple(paths), pattern if alike else "", kind, files)


def suffix_of(path: str) -> str:
    """The ending that says what is in the file, whatever packs it."""
    return Path(inner_name(path)).suffix.lower()


def refuse_foreign(located: Located) -> None:
    """Refuse files that hold no rows, or that nothing here reads.

    Raises
    ------
    DataError
    """
    text, suffix = located.name, located.suffix
    if suffix == ".sums":
        raise DataError(f"{text} is a file of sums, not of rows: halfsquare fit-sums {text}")
    if suffix in _FOREIGN:
        raise DataError(
            f"{text} is a {suffix} file; expected CSV, TSV, Parquet, JSON lines or a spreadsheet: "
            "export it to one of these"
        )


def require_other_files(outputs: Sequence[tuple[str, str | None]], inputs: Sequence[str]) -> None:
    """Refuse to write to a file that is read, by whatever name, or twice to one file.

    Parameters
    ----------
    outputs : sequence of (option, path)
    inputs : sequence of str
        Paths, globs, folders and queries.

    Raises
    ------
    OptionError
    """
    read: dict[tuple[int, int], str] = {}
    for text in inputs:
        for own in _files_in(text):
            try:
                status = Path(own).stat()
            except OSError:
                continue
            read[status.st_dev, status.st_ino] = own
    written: dict[object, str] = {}
    for option, path in outputs:
        if path is None or path == "-":
            continue
        where: object = str(Path(path).resolve())
        if exists(path):
            found = Path(path).stat()
            where = found.st_dev, found.st_ino
            if where in read:
                raise OptionError(
                    f"{option} {path} is the input {read[where]}: it would be written over. Name "
                    "another file"
                )
        if where in written:
            raise OptionError(f"{option} and {written[where]} are one file, {path}: name two")
        written[where] = option


def _files_in(text: str) -> list[str]:
    if exists(text):
        inside = Path(text)
        return [str(p) for p in inside.rglob("*")] if inside.is_dir() else [text]
    if is_query(text):
        import re

        return [t for q, t in re.findall(r"(['\"])(.+?)\1", text) for t in _files_in(t)]
    return glob.glob(text, recursive=True) if any(c in text for c in "*?[") else []  # noqa: PTH207
