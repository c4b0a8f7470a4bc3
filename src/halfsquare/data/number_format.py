"""How numbers are written as text: decimal and thousands mark, unit, sign.

The format of a column is decided from the shapes of all its values: a shape is the text with every
digit as 9, so that millions of rows have some tens of them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
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
NUMBER = re.compile(
    rf"{_SP}{_OPEN}\(?{_SP}{_SIGN}{_SP}(?P<before>{_PREFIX})?{_SP}{_SIGN}{_SP}"
    rf"(?P<body>[.,]?\d(?:[\d.,'’_{SPACES}]*[\d.,])?(?:[eE][+-]?\d+)?)"
    rf"{_SP}(?P<after>{_SUFFIX})?{_SP}[{_MINUS}]?{_SP}\)?{_CLOSE}{_SP}",
    re.ASCII,
)


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
        bodies = [m["body"] for text in numbers if (m := NUMBER.fullmatch(text))]
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
    return NUMBER.fullmatch(text) is not None


def unit_in(text: str) -> str | None:
    """The unit of a number that is written as a text, "" without one; None where it is none.

    Examples
    --------
    >>> unit_in("1.5 kg"), unit_in("$900"), unit_in("12"), unit_in("Ulm")
    ('kg', '$', '', None)
    """
    match = NUMBER.fullmatch(text)
    return None if match is None else match["before"] or match["after"] or ""
