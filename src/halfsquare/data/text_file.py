"""Text files: how fields are divided, and types that do not change half-way."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from halfsquare.data.messages import missing_column, require_distinct, translated
from halfsquare.data.sql import kind_of, quote_text
from halfsquare.errors import DataError

# What stands for "no value" in the text files of the world, besides an empty field.
_NULLS = ["", "NA", "N/A", "n/a", "NaN", "nan", "NAN", "NULL", "null", "Null", "None", "#N/A", "?"]


def text_relation(
    connection: Any,
    text: str,
    first: str,
    encoding: str | None,
    categories: Sequence[str],
    name: str,
) -> str:
    """SQL that reads a text file, or a glob ``text`` of which ``first`` is the first file.

    Raises
    ------
    DataError
        If it has no header of distinct names, or lines of different numbers of fields; ``name`` is
        what messages call it.
    """
    # skip=0: a file whose first lines do not fit the rest is an error, not a file with fewer rows.
    base = [f"nullstr=[{', '.join(quote_text(n) for n in _NULLS)}]", "skip=0"]
    base += ["delim='\t'"] if suffix_of(first) == ".tsv" else []
    base += [f"encoding={quote_text(encoding)}"] if encoding else []
    dialect = _sniffed(connection, first, base, name)
    if dialect["Delimiter"] == ";":
        # Where a semicolon divides fields, a comma often divides 2,5: read so if more columns are
        # numbers then.
        comma = [*base, "decimal_separator=','"]
        other = _sniffed(connection, first, comma, name)
        if _numbers(other) > _numbers(dialect):
            base, dialect = comma, other
    sniffed = {c["name"]: c["type"] for c in dialect["Columns"]}
    _require_table(dialect, list(sniffed), first, encoding, name)
    for category in categories:
        if category not in sniffed:
            raise missing_column(category, list(sniffed), name, "column")
        sniffed[category] = "VARCHAR"
    # A column that begins with whole numbers may go on with fractions, which an integer column
    # would round without a word: whatever looks like a number is read as float64.
    types = {n: "DOUBLE" if kind_of(t) == "number" else t for n, t in sniffed.items()}
    listed = "{" + ", ".join(f"{quote_text(n)}: {quote_text(t)}" for n, t in types.items()) + "}"
    # A quote may first turn up after the lines that were looked at.
    marks = {
        "delim": dialect["Delimiter"],
        "quote": _mark(dialect["Quote"]),
        "escape": _mark(dialect["Escape"]),
    }
    marks |= {"dateformat": dialect["DateFormat"], "timestampformat": dialect["TimestampFormat"]}
    base = [b for b in base if not b.startswith("delim")] + [
        f"{k}={quote_text(str(v))}" for k, v in marks.items() if v
    ]
    base.append("header=true")
    schema = (
        f"columns={listed}, auto_detect=false"
        if text == first
        else f"types={listed}, union_by_name=true"
    )
    return f"read_csv({', '.join([quote_text(text), *base, schema])})"


def suffix_of(path: str) -> str:
    """The ending that says what is in the file, whatever packs it."""
    suffixes = [s.lower() for s in Path(path).suffixes]
    while suffixes and suffixes[-1] in (".gz", ".zst", ".gzip"):
        suffixes.pop()
    return suffixes[-1] if suffixes else ""


def _sniffed(connection: Any, path: str, options: list[str], name: str) -> dict[str, Any]:
    with translated(name):
        query = connection.sql(f"FROM sniff_csv({', '.join([quote_text(path), *options])})")
        return dict(zip(query.columns, query.fetchall()[0], strict=True))


def _numbers(dialect: dict[str, Any]) -> int:
    return sum(kind_of(column["type"]) == "number" for column in dialect["Columns"])


def _mark(sniffed: str | None) -> str:
    return '"' if not sniffed or sniffed == "(empty)" else sniffed


def _require_table(
    dialect: dict[str, Any], names: list[str], path: str, encoding: str | None, source: str
) -> None:
    """See that the file has a header of distinct names, and a number of fields that stays the same.

    DuckDB renames columns that share a name, makes names up where there is no header, and reads
    lines that do not fit together as one wide text column: each is an error here.
    """
    import csv
    import gzip
    import zlib
    from itertools import islice

    opener: Any = gzip.open if path.lower().endswith((".gz", ".gzip")) else open
    lines: list[list[str]] = []
    with (
        suppress(OSError, EOFError, UnicodeError, csv.Error, zlib.error),
        opener(path, "rt", encoding=encoding or "utf-8-sig", newline="") as file,
    ):
        sample = list(islice(file, 200))
        delimiter = dialect["Delimiter"]
        if (
            len(names) == 1
        ):  # no delimiter fits every line: take the one that the first line is full of
            delimiter = max(",\t;|", key=sample[0].count)
        lines = [fields for fields in csv.reader(sample, delimiter=delimiter) if fields]
    if lines:
        require_distinct([h.strip() for h in lines[0]], source)
        for row, fields in enumerate(lines[1:-1] if len(lines) == 200 else lines[1:], 1):
            if len(fields) != len(lines[0]):
                raise DataError(
                    f"{source}, row {row}: found {len(fields)} fields, expected "
                    f"{len(lines[0])} as in the header. "
                    "Correct the line; a field that holds the delimiter needs quotes"
                )
    if not dialect["HasHeader"]:
        raise DataError(
            f"{source} has no header line: its first line, "
            f"{','.join(lines[0])[:60] if lines else ''!r}, reads as data. "
            f"Add a first line with {len(names)} column names"
        )
