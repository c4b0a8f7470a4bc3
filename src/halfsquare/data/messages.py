"""What DuckDB says of bad input, told again in terms of file, column and row."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import duckdb

from halfsquare.errors import DataError
from halfsquare.process import asked_to_end
from halfsquare.text import counted

_PARQUET = (".parquet", ".pq")


class Misread(DataError):
    """A value that does not fit the type or the reading of its column.

    Attributes
    ----------
    column : str
    row : int or None
        From 1; None where only the line is known.
    text : str or None
        What was found.
    """

    def __init__(
        self, message: str, column: str = "", row: int | None = None, text: str | None = None
    ) -> None:
        super().__init__(message, column, row, text)
        self.column, self.row, self.text = column, row, text

    def __str__(self) -> str:
        return str(self.args[0])


class BadLine(DataError):
    """A line that the reader cannot divide into fields as the others."""


def missing_column(name: str, names: Sequence[str], source: str, role: str) -> DataError:
    """The error for a column that is not there, with the nearest names that are."""
    from difflib import get_close_matches

    shown = ", ".join(n if len(n) <= 60 else f"{n[:60]}…" for n in names[:20]) + (
        f", … ({len(names)} in all)" if len(names) > 20 else ""
    )
    near = get_close_matches(name, names, n=1)
    hint = f". Did you mean {near[0]!r}?" if near else "."
    if len(names) == 1 and name in names[0].split() and "  " in names[0].strip():
        hint = (
            ". Its columns seem to be aligned by spaces, and one mark between fields is expected: "
            "write the file with commas."
        )
    return DataError(f"{source} has no {role} {name!r}{hint} Its columns: {shown}")


def require_distinct(names: Sequence[str], source: str) -> None:
    """Refuse two columns of one name, and more columns than can be read."""
    if len(names) > MOST_COLUMNS:
        raise DataError(
            f"{source} has {len(names):,} columns; at most {MOST_COLUMNS:,} are read: each takes "
            f"about a millisecond before its first row, these {_MINUTES * len(names):,.0f} minutes "
            "and more for a fit. Keep those that matter in the file"
        )
    seen: set[str] = set()
    for position, name in enumerate(names, 1):
        if name and name in seen:
            raise DataError(
                f"{source} has two columns named {name!r} (column {position} is the second): "
                "rename one"
            )
        seen.add(name)


def in_training(name: str, row: int, column: str, text: str, expected: str) -> Misread:
    """The error for a value that is not as those the model was fitted to: of what may be said of
    its rows, what can help.
    """
    marks = "--decimal and --thousands say how numbers are written here, "
    helping = {"numb": marks, "date": "--dates says how dates are written here, "}
    return Misread(
        f"{name}, row {row}, column {column!r}: found {text!r}, expected {expected} as in "
        f"training, or nothing. Correct it; {helping.get(expected[:4], '')}--missing names words "
        "for no value",
        column,
        row,
        text,
    )


def late_fraction(name: str, column: str, row: int) -> Misread:
    """That whole numbers are followed by what has thousands marks or decimals: the whole column
    decides.
    """
    where = f"{name}, row {row}, column {column!r}"
    return Misread(f"{where}: found a fraction after whole numbers", column, row)


# With so many, reading a row takes a minute.
MOST_COLUMNS = 40_000
_MINUTES = 1e-3 / 60.0  # of a column: its types, its SQL, its place among the features
_BAD_LINES = ("Expected Number of Columns", "state machine reached", "unterminated quote")


def line_remedy(*, fewer: bool) -> str:
    """What to do with a line that has ``fewer`` fields than the others, or more."""
    if fewer:
        return (
            "Correct the line; delete it if it is no row but a footer, such as a note on the "
            "source at the end"
        )
    return "Correct the line; a field that holds the delimiter needs quotes"


@contextmanager
def translated(name: str, before: int = 1) -> Iterator[None]:
    """Tell what DuckDB says again; ``before`` is the number of lines before the first row.

    A scan under way reports through Arrow, with errors of other types.
    """
    try:
        yield
    except (duckdb.Error, OSError, RuntimeError) as problem:
        raise _told_again(problem, name, before) from None


def _told_again(problem: Exception, name: str, before: int) -> DataError:
    """DuckDB's message in terms of file, column and row, without its advice on its own options."""
    text = str(problem)
    if "interrupted" in text.lower() and not isinstance(problem, OSError):
        raise asked_to_end()  # a signal in the middle of a query ends it before Python hears of it
    line = re.search(r"Line: (\d+)", text)
    where = (
        ""
        if not line
        else f", row {int(line[1]) - before} (line {line[1]})"
        if int(line[1]) > before
        else f", line {line[1]}"
    )
    convert = re.search(
        r"converting column \"(.*?)\"\. Could not convert string \"(.*?)\" to '(\w+)'",
        text,
        re.DOTALL,
    )
    if convert:
        column, value, kind = convert.groups()
        wanted = {"DOUBLE": "a number", "BOOLEAN": "true or false"}.get(kind, f"a {kind.lower()}")
        return Misread(
            f"{name}{where}, column {column!r}: found {value!r}, expected {wanted}. Correct it",
            column,
        )
    twice = re.search(r"in record/value (\d+): .*has duplicate key \"(.*?)\"", text, re.DOTALL)
    if twice:
        return DataError(
            f"{name}, record {twice[1]}: the key {twice[2]!r} stands there twice; expected each "
            "once. Rename one of them, or leave one out"
        )
    first = re.sub(r"^\w[\w ]* Error: ", "", text.split("\n\n")[0].replace("\n", " ")).strip()
    if name.lower().endswith(_PARQUET) and not isinstance(problem, duckdb.OutOfMemoryException):
        return DataError(f"{name} is damaged, or no Parquet file: {first[:300]}")
    if any(words in text for words in _BAD_LINES):
        counts = re.search(r"Expected Number of Columns: (\d+) Found: (\d+)", text)
        found = counted(int(counts[2]), "fields") if counts else ""
        detail = f": found {found}, expected {counts[1]}" if counts else ""
        fewer = counts is not None and int(counts[2]) < int(counts[1])
        return BadLine(f"{name}{where}{detail}. {line_remedy(fewer=fewer)}")
    if "unicode" in text.split("Possible fixes")[0].lower() or "not utf-8" in text.lower():
        return DataError(
            f"{name}{where} is not UTF-8 text. Save it as UTF-8, or say what it is: "
            "--encoding latin-1"
        )
    if isinstance(problem, duckdb.OutOfMemoryException):
        return DataError(f"{name} needs more memory than is there: {text.splitlines()[0]}")
    return DataError(f"{name} could not be read{where}: {first[:300]}")
