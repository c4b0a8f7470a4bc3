"""Lines at the end of a text file that are no rows: a total, where the numbers come from, notes.

A file ends in a footer where its last lines have another number of fields than its rows, or one
full field alone, and the first of them cannot be the beginning of a row: its first full field is a
text where the first column holds numbers or dates, or begins with a word or mark of footers, or is
all of its line after an empty one. Any other short line is a row that lacks something.
"""

from __future__ import annotations

import csv
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from halfsquare.data.columns import NO_NUMBER
from halfsquare.data.date_format import is_date
from halfsquare.data.number_format import is_numeric
from halfsquare.data.spool import Spool

_TAIL_BYTES, _MOST_LINES, _BLOCK = 1 << 16, 40, 1 << 22
_WORDS = re.compile(
    r"(?:grand |sub-?)?totals?\b|sum\b|overall\b|sources?\b|(?:foot)?notes?\b|n\.?b\.?:|remarks?\b|"
    r"comments?:|legend\b|copyright\b|generated\b|exported\b|created\b|downloaded\b|retrieved\b|"
    r"(?:last )?updated?\b|data (?:as|from|source|provided)\b|as of\b|end of\b|eof$|"
    r"quellen?\b|hinweise?\b|anmerkung(?:en)?\b|summe\b|gesamt\b|insgesamt\b|stand:|erstellt\b|"
    r"fuentes?\b|notas?\b|fontes?\b|fonti?\b|totale\b|somme\b|remarques?\b|bron(?:nen)?\b|"
    r"källa\b|kilde\b|lähde\b|źródło\b|zdroj\b|источник\b|примечани[ея]\b|итого\b|всего\b",
    re.IGNORECASE,
)
_MARKS = re.compile(
    r"[*†‡§©#]|\(c\)|\(?\d[\d,. ]* (?:rows?|records?|lines?|zeilen|filas|lignes)\b|\x1a$|"
    r"([-=_~.])\1{2,}$",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Row:
    """A line, divided into fields, and whether an empty one stands before it."""

    fields: Sequence[str]
    after_empty: bool = False

    @property
    def full(self) -> list[str]:
        """What its fields hold that are not empty."""
        return [f.strip() for f in self.fields if f.strip()]


def holds_values(column: Sequence[str]) -> bool:
    """Whether nearly all texts of a column are numbers or dates."""
    shown = [v for v in column if v.strip().lower() not in NO_NUMBER]
    return bool(shown) and sum(map(_value, shown)) >= 0.9 * len(shown)


def footer_start(lines: Sequence[Row], fields: int, *, values: bool) -> int:
    """Where the footer begins among the last lines of a file; their number if there is none.

    Parameters
    ----------
    fields : int
        Of a row.
    values : bool
        Whether the first column holds numbers or dates.

    Examples
    --------
    >>> rows = [Row(["1", "5"]), Row(["2", "7"]), Row(["Source: ONS"])]
    >>> footer_start(rows, 2, values=True), footer_start([*rows[:2], Row(["3"])], 2, values=True)
    (2, 3)
    """
    first = len(lines)
    while fields > 1 and first and _unlike_a_row(lines[first - 1], fields):
        first -= 1
    if len(lines) - first > _MOST_LINES:
        return len(lines)
    for at, line in enumerate(lines[first:], first):
        if _no_row(line, values=values):
            return at
        if len(line.fields) != fields:
            return len(lines)  # a row that lacks something, or has too much
    return len(lines)


def _unlike_a_row(line: Row, fields: int) -> bool:
    return len(line.fields) != fields or len(line.full) == 1


def _no_row(line: Row, *, values: bool) -> bool:
    if not line.full:
        return True
    text = line.full[0]
    if _MARKS.match(text):
        return True
    if text.lower() in NO_NUMBER or _value(text) or not re.search(r"[^\W\d_]{2}", text):
        return False
    alone = line.after_empty and len(line.full) == 1
    return alone or bool(_WORDS.match(text)) or (values and text == line.fields[0].strip())


def _value(text: str) -> bool:
    return is_numeric(text) or is_date(text)


@dataclass(frozen=True)
class Footer:
    """The end of a file that is passed over: from which byte and line, how many lines with text."""

    start: int
    line: int
    texts: tuple[str, ...]

    @property
    def told(self) -> str:
        """In words."""
        shown = repr(self.texts[0][:60]) if self.texts[0] else "empty fields"
        if len(self.texts) == 1:
            return f"the last line (line {self.line:,}, {shown}) passed over: a footer, no row"
        return (
            f"the last {len(self.texts)} lines (from line {self.line:,}, {shown}) passed over: a "
            "footer, no rows"
        )


def footer_of(
    path: str, delimiter: str, fields: int, *, values: bool, comment: str = ""
) -> Footer | None:
    """The footer of a UTF-8 text file, if it has one; fields and values as of
    :func:`footer_start`. Lines that begin with ``comment`` are as empty ones.
    """
    with Path(path).open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - _TAIL_BYTES))
        raw = file.read().splitlines(keepends=True)
        raw = raw if size <= _TAIL_BYTES else raw[1:]  # the first may be cut
        lines, starts, at, empty = [], [], size - sum(map(len, raw)), False
        for line in raw:
            text = line.decode(errors="replace").strip("\r\n")
            text = "" if comment and text.startswith(comment) else text
            # Of a field over several lines one sees no row here; and before it all are rows.
            divided = [] if text.count('"') % 2 else next(csv.reader([text], delimiter=delimiter))
            if text.strip():
                lines.append(Row(divided or [""] * fields, empty))
                starts.append(at)
            empty, at = not text.strip(), at + len(line)
        first = footer_start(lines, fields, values=values)
        if first == len(lines) or not first:
            return None
        file.seek(0)
        before, start = 0, starts[first]
        while file.tell() < start:
            before += file.read(min(_BLOCK, start - file.tell())).count(b"\n")
    texts = tuple(" ".join(line.full) for line in lines[first:])
    return Footer(start, before + 1, tuple(t for t in texts if t) or ("",))


def without(path: str, name: str, footer: Footer) -> Spool:
    """The file up to its footer."""

    def write(to: Any) -> None:
        with Path(path).open("rb") as file:
            left = footer.start
            while left:
                block = file.read(min(_BLOCK, left))
                if not block:
                    return
                to.write(block)
                left -= len(block)

    return Spool(name, write)
