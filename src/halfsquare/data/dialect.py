"""How a text file is laid out: encoding, delimiter, header, lines before it; from its beginning."""

from __future__ import annotations

import codecs
import csv
import io
import re
import zlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import islice

from halfsquare.data.columns import NO_VALUE
from halfsquare.data.date_format import ISO_PATTERN
from halfsquare.data.footer import Row, footer_start, holds_values
from halfsquare.data.messages import line_remedy, require_distinct
from halfsquare.data.spool import encoding_of, unpacked
from halfsquare.errors import DataError, OptionError
from halfsquare.text import counted

_HEAD_BYTES = 1 << 20
_MOST_HEAD_BYTES = 1 << 26  # of a header and a row that are longer
_WHOLE_LINES = 3  # of which the last may be cut
_CELLS = 40_000
_MOST_RECORDS, _FIRSTS = 20_000, 2048
_LONG = 16  # digits of a whole number: more than float64 is sure to hold
_DIVIDED_BYTES = 100_000  # that are divided by each delimiter in turn
_DELIMITERS = ",\t;|"
_NAMED = {"tab": "\t", "\\t": "\t", "comma": ",", "semicolon": ";", "pipe": "|", "space": " "}


@dataclass(frozen=True)
class Dialect:
    """How a text file is laid out.

    Attributes
    ----------
    encoding : str or None
        What it has to be translated from; None for UTF-8.
    delimiter : str
    header : bool
    skip : int
        Lines before the header, or before the rows.
    comment : str
    names : tuple of str
        Of the columns; x1, x2, … without a header.
    unnamed : tuple of str
        Those of them that the header leaves empty.
    skipped : str
        The first line before the header that was found and not asked for.
    """

    encoding: str | None
    delimiter: str
    header: bool
    skip: int
    comment: str
    names: tuple[str, ...]
    unnamed: tuple[str, ...] = ()
    skipped: str = ""

    @property
    def layout(self) -> tuple[object, ...]:
        """What files must have in common to be read in one go."""
        return self.delimiter, self.header, self.skip, self.comment, self.names


@dataclass(frozen=True)
class Wanted:
    """What was said of a text file; None where nothing was.

    ``known``: names of columns that it is known to have.
    """

    encoding: str | None = None
    delimiter: str | None = None
    header: bool | None = None
    skip: int | None = None
    comment: str | None = None
    known: tuple[str, ...] = ()


def examine(path: str, name: str, suffix: str, wanted: Wanted) -> tuple[Dialect, list[list[str]]]:
    """The layout of a text file, and some of its first records.

    Raises
    ------
    DataError
        If it has no header of distinct names, or its first records have different numbers of
        fields; ``name`` is what messages call it.
    """
    head, whole = _head(path, name)
    encoding = encoding_of(head, wanted.encoding)
    text = _decoded(head, encoding or "utf-8-sig", name, whole)
    lines = list(io.StringIO(text, newline=""))  # not at every separator that Unicode has
    lines = lines if whole or len(lines) < 2 else lines[:-1]  # the last may be cut
    if not lines:
        raise DataError(f"{name} is empty: expected a header line and rows")
    comment = wanted.comment or ""
    told = re.fullmatch(r'"?sep=(.)"?', lines[0].strip("\r\n"), re.I)  # as spreadsheets write it
    if told and wanted.skip is None:
        wanted = replace(wanted, delimiter=wanted.delimiter or told[1], skip=1)
    delimiter = _delimiter(lines, suffix, wanted)
    found = _records(lines, delimiter, comment, wanted.skip or 0)
    if not found:
        raise DataError(f"{name} is empty: expected a header line and rows")
    lengths = Counter(len(fields) for _, fields in found[1:200])
    at, skipped = 0, ""
    usual = lengths.most_common(1)[0][0] if lengths else len(found[0][1])
    while wanted.skip is None and usual > 1 and at + 1 < len(found) and len(found[at][1]) == 1:
        skipped = skipped or found[at][1][0]
        at += 1
    skip, first = (found[at][0] if at or wanted.skip else 0), found[at][1]
    if wanted.skip:
        skip = wanted.skip
    rows = [fields for _, fields in found[at + 1 :]]
    if whole and len(found) < _MOST_RECORDS:
        ends = [Row(f, not lines[b - 1].strip()) for b, f in found[at + 1 :]]
        values = holds_values([f[0] for f in rows[:_FIRSTS]])
        rows = rows[: footer_start(ends, len(first), values=values)]
    cells = [f.strip() for f in first]
    header = wanted.header if wanted.header is not None else _is_header(cells, rows, wanted.known)
    if not header and wanted.header is None:
        raise DataError(
            f"{name} has no header line: its first line, {','.join(first)[:60]!r}, reads as data. "
            f"Add a first line with {len(first)} column names, or say what it is: --header or "
            "--no-header (then the columns are x1, x2, …)"
        )
    if header:
        require_distinct(cells, name)
    else:
        rows = [first, *rows]
    for row, fields in enumerate(rows, 1):
        if len(fields) != len(first):
            raise DataError(
                f"{name}, row {row}: found {counted(len(fields), 'fields')}, expected "
                f"{len(first)} as in the header. {line_remedy(fewer=len(fields) < len(first))}"
            )
    names = [n or f"column{j}" for j, n in enumerate(cells)] if header else [
        f"x{j + 1}" for j in range(len(first))
    ]  # fmt: skip
    unnamed = tuple(n for n, own in zip(names, cells, strict=True) if header and not own)
    return (
        Dialect(encoding, delimiter, header, skip, comment, tuple(names), unnamed, skipped),
        rows[: max(50, _CELLS // len(first))],
    )


def _head(path: str, name: str) -> tuple[bytes, bool]:
    try:
        with unpacked(path) as file:
            head = file.read(_HEAD_BYTES)
            # The first line names the columns: a name that is cut would be another column.
            while head.count(b"\n") < _WHOLE_LINES and len(head) < _MOST_HEAD_BYTES:
                more = file.read(len(head))
                if not more:
                    return head, True
                head += more
            return head, not file.read(1)
    except (OSError, EOFError, zlib.error) as problem:
        raise DataError(f"{name} could not be read: {problem}") from None


def _decoded(head: bytes, encoding: str, name: str, whole: bool) -> str:
    try:
        return codecs.getincrementaldecoder(encoding)().decode(head, whole)
    except UnicodeDecodeError as problem:
        line = head[: problem.start].count(b"\n") + 1
        row = f", row {line - 1} (line {line})" if line > 1 else ", line 1"
        if encoding == "utf-8-sig":
            raise DataError(
                f"{name}{row} is not UTF-8 text. Save it as UTF-8, or say what it is: "
                "--encoding latin-1"
            ) from None
        raise DataError(
            f"{name}{row} is not {encoding} text. Name its encoding: --encoding NAME"
        ) from None


def _delimiter(lines: Sequence[str], suffix: str, wanted: Wanted) -> str:
    """The delimiter that was named; else the one that divides most records as the first."""
    if wanted.delimiter is not None:
        mark = _NAMED.get(wanted.delimiter.lower(), wanted.delimiter)
        if len(mark) != 1:
            raise OptionError(
                f"the delimiter is {wanted.delimiter!r}; expected one character, or tab"
            )
        return mark
    if suffix == ".tsv":
        return "\t"
    best, most = ",", (False, 0.0, 0)
    some = max(20, min(1000, len(lines) * _DIVIDED_BYTES // max(1, sum(map(len, lines)))))
    for mark in _DELIMITERS:
        found = _records(lines[:some], mark, wanted.comment or "", wanted.skip or 0)
        lengths = Counter(len(fields) for _, fields in found)
        usual, count = lengths.most_common(1)[0] if lengths else (1, 0)
        if usual > 1:
            # One that divides every line alike; else, among those that divide nearly all so, the
            # one with the most fields.
            score = (count == len(found), round(count / len(found), 1), usual)
            if score > most:
                best, most = mark, score
    return best


def _records(
    lines: Sequence[str], delimiter: str, comment: str, skip: int
) -> list[tuple[int, list[str]]]:
    """Records that are not empty, with the number of lines before each; the last may be cut."""
    found: list[tuple[int, list[str]]] = []
    kept = ["\n" if comment and line.startswith(comment) else line for line in lines[skip:]]
    reader = csv.reader(kept, delimiter=delimiter)
    before = skip
    try:
        for fields in islice(reader, _MOST_RECORDS):
            if fields and fields != [""]:
                found.append((before, fields))
            before = reader.line_num + skip
    except csv.Error:
        return found
    cut = reader.line_num + skip >= len(lines) and len(found) > 2
    return found[:-1] if cut and len(found[-1][1]) != len(found[-2][1]) else found


INFINITE = ("inf", "infinity")


def is_number(text: str) -> bool:
    """Whether a reader of text files takes it for a number as it is."""
    text = text.strip()
    if text.lower().lstrip("+-") in INFINITE:
        return True  # and then an error that names its row
    if not text or text[0] not in "+-.0123456789":
        return False
    try:
        float(text)
    except ValueError:
        return False
    return "_" not in text


def _is_header(cells: Sequence[str], rows: Sequence[Sequence[str]], known: Sequence[str]) -> bool:
    """Whether the first record names the columns: it holds no number, or known names, or numbers
    that stand over columns of numbers beside a name over text that is none of its values.
    """
    if any(name in cells for name in known):
        return True
    iso = re.compile(ISO_PATTERN)
    values = [c for c in cells if c and (is_number(c) or iso.fullmatch(c))]
    return not values or (not rows and len(values) < len(cells))


def type_of(values: Sequence[str], words: Sequence[str] = NO_VALUE) -> str:
    """The type that DuckDB can read a column as, after some of its values."""
    shown = [v for v in (v.strip() for v in values) if v not in words]
    if not shown:
        return "VARCHAR"
    if all(is_number(v) for v in shown):
        # What may be thousands marks, and what may be codes, is for the whole column to say.
        codes = any(v[0] == "0" and v[1:2].isdigit() for v in shown) or any(
            len(v) >= _LONG and v.lstrip("+-").isdigit() for v in shown
        )
        return "VARCHAR" if codes or _in_groups(shown) else "DOUBLE"
    if all(v.lower() in ("true", "false") for v in shown):
        return "BOOLEAN"
    # Not by DuckDB's own reading of times: it passes over the zone, and takes other spellings.
    return "DATE" if all(re.fullmatch(r"\d{4}-\d{2}-\d{2}", v) for v in shown) else "VARCHAR"


def _in_groups(shown: Sequence[str]) -> bool:
    """Whether the points in numbers may be thousands marks: 1.033 beside 996."""
    marked = [v for v in shown if "." in v]
    if not marked or len(marked) == len(shown):
        return False
    whole = max(len(v.lstrip("+-")) for v in shown if "." not in v)
    parts = [v.lstrip("+-").split(".") for v in marked]
    return whole == 3 and all(
        len(p) == 2 and len(p[1]) == 3 and 1 <= len(p[0]) <= 3 and p[0][0] != "0" for p in parts
    )
