"""How numbers are written as text: decimal and thousands mark, unit, sign.

The format of a column is decided from the shapes of all its values: a shape is the text with every
digit as 9, so that millions of rows have some tens of them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

from halfsquare.data.sql import quote_text

SPACES = " \t\u00a0\u2007\u2009\u202f\u3000\n\r"
_MINUS = "\u2212\u2013-"
_SP, _SIGN = f"[{SPACES}]*", f"[+{_MINUS}]?"
_OPEN, _CLOSE = "(?:=?[\"'])?", "[\"']?"  # as spreadsheets keep numbers from being read as such
_CODES = [
    "USD",
    "EUR",
    "GBP",
    "CHF",
    "JPY",
    "CNY",
    "INR",
    "AUD",
    "CAD",
    "NZD",
    "SEK",
    "NOK",
    "DKK",
    "PLN",
    "CZK",
    "HUF",
    "BRL",
    "MXN",
    "ZAR",
    "RUB",
    "TRY",
    "KRW",
    "US$",
    "A$",
    "C$",
    "R$",
    "Rs.",
    "Rs",
    "kr.",
    "kr",
    "zł",
    "Fr.",
    "Kč",
    "Ft",
]
_SYMBOLS = "$€£¥₹₽₩₺₴₫฿¢"
_PREFIX = "|".join(map(re.escape, sorted([*_CODES, *_SYMBOLS], key=len, reverse=True)))
_SUFFIX = rf"{_PREFIX}|[%‰°℃℉ºªµμ²³A-Za-zÀ-ɏΑ-ωА-я/·^]{{1,14}}\.?[29]?"
_LOOSE = re.compile(
    rf"{_SP}{_OPEN}\(?{_SP}{_SIGN}{_SP}(?P<before>{_PREFIX})?{_SP}{_SIGN}{_SP}"
    rf"(?P<body>[.,]?\d(?:[\d.,'’_{SPACES}]*[\d.,])?(?:[eE][+-]?\d+)?)"
    rf"{_SP}(?P<after>{_SUFFIX})?{_SP}[{_MINUS}]?{_SP}\)?{_CLOSE}{_SP}",
    re.ASCII,
)
# Decimal and thousands mark, the simplest first.
_MARKS = (
    (".", ""), (",", ""), (".", ","), (",", "."), (".", " "), (",", " "), (".", "'"), (",", "'"),
    (".", "_"),
)  # fmt: skip


@dataclass(frozen=True)
class Shape:
    """Values that are written alike.

    Attributes
    ----------
    text : str
        With every digit as 9.
    zero : bool
        Whether the first digit of the values is 0.
    count, row : int
        How many there are, and the row of the first, from 1.
    example : str
    """

    text: str
    zero: bool
    count: int
    row: int
    example: str


@dataclass(frozen=True)
class NumberFormat:
    """How the numbers of a column are written.

    Attributes
    ----------
    decimal, thousands : str
        The marks; no thousands mark is "".
    unit : str
        What stands before or after the numbers, and is stripped.

    Examples
    --------
    >>> NumberFormat(",", ".", "€").matches("−1.033,50 €")
    True
    >>> NumberFormat(",", ".", "€").matches("1,033.50 €")
    False
    """

    decimal: str = "."
    thousands: str = ""
    unit: str = ""

    @property
    def plain(self) -> bool:
        """Whether these are numbers as every reader knows them."""
        return self == NumberFormat()

    @property
    def told(self) -> str:
        """In words."""
        said = [f"decimal mark {self.decimal!r}"] if self.decimal != "." else []
        said += [f"thousands mark {self.thousands!r}"] if self.thousands else []
        said += [f"unit {self.unit!r} left out"] if self.unit else []
        return ", ".join(said)

    def marks_in(self, numbers: Iterable[str]) -> NumberFormat:
        """The same with those marks alone that stand in the texts of these numbers.

        Examples
        --------
        >>> NumberFormat(",", ".").marks_in(["150", "2,5"]).told
        "decimal mark ','"
        """
        bodies = [m["body"] for text in numbers if (m := _LOOSE.fullmatch(text))]
        alike = {" ": SPACES, "'": "'’"}

        def there(mark: str) -> bool:
            return any(c in body for body in bodies for c in alike.get(mark, mark))

        return NumberFormat(
            self.decimal if there(self.decimal) else ".",
            self.thousands if there(self.thousands) else "",
            self.unit,
        )

    @cached_property
    def pattern(self) -> str:
        """A regular expression of all that is a number in this format; group 1 holds the digits."""
        mark = {" ": f"[{SPACES}]", "'": "['’]", "": ""}.get(
            self.thousands, re.escape(self.thousands)
        )
        grouped = rf"\d{{1,3}}(?:{mark}\d{{2,3}})*{mark}\d{{3}}|" if mark else ""
        decimal = re.escape(self.decimal)
        digits = rf"(?:(?:{grouped}\d+)(?:{decimal}\d*)?|{decimal}\d+)(?:[eE][+-]?\d+)?"
        one = self.unit.removesuffix("s") if len(self.unit) > 3 else self.unit  # 1 day, 2 days
        unit = f"(?:{re.escape(one)}{'s?' if len(one) > 2 else ''})?" if self.unit else ""
        return (
            rf"{_SP}{_OPEN}\(?{_SP}{_SIGN}{_SP}{unit}{_SP}{_SIGN}{_SP}({digits})"
            rf"{_SP}{unit}{_SP}[{_MINUS}]?{_SP}\)?{_CLOSE}{_SP}"
        )

    def matches(self, text: str) -> bool:
        """Whether it is a number in this format."""
        return re.fullmatch(self.pattern, text, re.ASCII) is not None

    def sql(self, text: str) -> str:
        """SQL for the number that is written as the SQL ``text``; NULL where it is none."""
        pattern = quote_text(f"^(?:{self.pattern})$")
        digits = f"regexp_extract({text}, {pattern}, 1)"
        marks = {" ": SPACES, "'": "'’", "": ""}.get(self.thousands, self.thousands)
        bare = digits
        for mark in marks:
            bare = f"replace({bare}, {quote_text(mark)}, '')"
        if self.decimal != ".":
            bare = f"replace({bare}, {quote_text(self.decimal)}, '.')"
        minus = quote_text(f"[({_MINUS}]")
        sign = (
            f"CASE WHEN regexp_matches(replace({text}, {digits}, ''), {minus}) THEN -1 ELSE 1 END"
        )
        return f"({sign} * TRY_CAST({bare} AS DOUBLE))"


def is_numeric(text: str) -> bool:
    """Whether a text reads as a number in any format."""
    return _LOOSE.fullmatch(text) is not None


def unit_in(text: str) -> str | None:
    """The unit of a number that is written as a text, "" without one; None where it is none.

    Examples
    --------
    >>> unit_in("1.5 kg"), unit_in("$900"), unit_in("12"), unit_in("Ulm")
    ('kg', '$', '', None)
    """
    match = _LOOSE.fullmatch(text)
    return None if match is None else match["before"] or match["after"] or ""


_LOOKED_AT = 60  # values of a column


def mark_in(columns: Iterable[Sequence[str]]) -> str:
    """The decimal mark of a table: that of columns whose numbers leave no doubt, such as 52,8 and
    0,125; "" where there are none, or they do not agree.

    Examples
    --------
    >>> mark_in([["223.975", "261.716"], ["52,8 m2", "106,4 m2"]]), mark_in([["1.250"], ["3"]])
    (',', '')
    """
    found = {m for values in columns if (m := _mark_of(values[:_LOOKED_AT]))}
    return found.pop() if len(found) == 1 else ""


def _mark_of(values: Sequence[str]) -> str:
    """The decimal mark that a column shows."""
    found: set[str] = set()
    for value in values:
        if "," not in value and "." not in value:
            continue
        match = _LOOSE.fullmatch(value)
        if match is None:
            return ""
        body = re.split("[eE]", match["body"])[0]
        last = max(body.rfind(","), body.rfind("."))
        mark, before, after = body[last], body[:last], body[last + 1 :]
        if body.count(mark) > 1:
            continue  # groups, or a date
        groups = len(after) == 3 and before.isdigit() and len(before) < 4 and before[0] != "0"
        if not groups:
            found.add(mark)
    return found.pop() if len(found) == 1 else ""


@dataclass(frozen=True)
class NumberDecision:
    """The format of a column, how many values it fits, and what else they might be.

    Attributes
    ----------
    other : NumberFormat or None
        A format that fits them as well and gives other numbers.
    """

    format: NumberFormat
    count: int
    other: NumberFormat | None = None


def decide_numbers(
    shapes: Sequence[Shape],
    decimal: str | None = None,
    thousands: str | None = None,
    *,
    points: bool = False,
    mark: str = "",
) -> NumberDecision:
    """The format that fits most values; of several, the simplest, see :func:`_by_groups`.

    ``mark``: the decimal mark of the table's other columns, where that is known. ``points``:
    whether a decimal comma is believed only where half of the values have a comma.
    """
    unit = _unit(shapes)
    formats = [
        NumberFormat(d, t, unit)
        for d, t in _MARKS
        if decimal in (None, d) and thousands in (None, t) and d != thousands
    ]
    commas = sum(s.count for s in shapes if "," in s.text)
    if points and decimal is None and commas < 0.5 * sum(s.count for s in shapes):
        formats = [f for f in formats if f.decimal != ","]
    if not formats:
        mark = decimal or ("," if thousands == "." else ".")
        formats = [NumberFormat(mark, thousands or "", unit)]
    counts = [sum(s.count for s in shapes if f.matches(s.example)) for f in formats]
    most = max(counts)
    best = [f for f, count in zip(formats, counts, strict=True) if count == most]
    chosen, other = best[0], None
    for rival in best[1:]:
        if rival.thousands == chosen.decimal and not chosen.thousands:
            if mark and mark != chosen.decimal:  # a table has one decimal mark
                chosen = rival
            else:
                chosen, other = _by_groups(shapes, chosen, rival)
            break
    return NumberDecision(chosen, most, other)


def _by_groups(
    shapes: Sequence[Shape], decimal: NumberFormat, groups: NumberFormat
) -> tuple[NumberFormat, NumberFormat | None]:
    """Whether 1.033 is a thousand and thirty-three.

    Every value with the mark has groups of three digits after it, or ``groups`` would not fit all.
    A leading zero speaks for a decimal mark; whole numbers of three digits, and none longer without
    the mark, for groups; without whole numbers a comma is taken for groups, a point for decimals.
    Returns the format chosen, and the other where it is possible too.
    """
    mark = decimal.decimal
    bodies = [(s, m["body"]) for s in shapes if (m := _LOOSE.fullmatch(s.text))]
    marked = [s for s, body in bodies if mark in body]
    whole = [len(body) for _, body in bodies if mark not in body and body.isdigit()]
    if not marked:
        return decimal, None
    if any(s.zero for s in marked) or (whole and max(whole) > 3):
        return decimal, None
    grouped = max(whole) == 3 if whole else mark == ","
    return (groups, decimal) if grouped else (decimal, groups)


def _unit(shapes: Sequence[Shape]) -> str:
    """The unit that most numbers have, if any: 15A among numbers is a code."""
    found: dict[str, int] = {}
    numbers = 0
    for shape in shapes:
        match = _LOOSE.fullmatch(shape.example)
        numbers += shape.count if match else 0
        for name in ("before", "after"):
            if match and match[name]:
                unit = match[name]
                # 1 day is of the unit of 2 days.
                unit = f"{unit}s" if f"{unit}s" in found else unit
                if unit.removesuffix("s") in found and unit.endswith("s"):
                    found[unit] = found.pop(unit.removesuffix("s"))
                found[unit] = found.get(unit, 0) + shape.count
    best = max(found, key=lambda unit: found[unit], default="")
    return best if best and found[best] >= 0.5 * numbers else ""
