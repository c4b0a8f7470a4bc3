"""What was found of columns whose values are written as text, and what the user said of them."""

from __future__ import annotations

from dataclasses import dataclass, replace

from halfsquare.data.columns import NO_NUMBER, ColumnReading
from halfsquare.data.number_format import NumberFormat

SHARE = 0.9  # of the values of a column that have to be numbers (or dates) for it to be one of them


@dataclass(frozen=True)
class Asked:
    """What the user said of columns and their values; ``words`` are all those for "no value"."""

    number: tuple[str, ...] = ()
    dates: str | None = None
    decimal: str | None = None
    thousands: str | None = None
    missing: tuple[str, ...] = ()
    words: tuple[str, ...] = ()


@dataclass(frozen=True)
class Odd:
    """A text in a column of numbers or dates: how often it stands there, and first in which row."""

    text: str
    count: int
    row: int

    @property
    def means_none(self) -> bool:
        """Whether it is a word for "no value"."""
        return self.text.strip().lower() in NO_NUMBER


@dataclass(frozen=True)
class Finding:
    """What was found of a column whose values are written as text.

    Attributes
    ----------
    reading : ColumnReading
    odd : tuple of Odd
        What is no number (or date) in it, the most frequent first: missing values.
    doubt : str
        What else the values could mean, and the option that settles it.
    span : (first, last) or None
        Of dates, in seconds since 1970.
    marks : NumberFormat or None
        Of numbers: their format, with those marks alone that occur.
    """

    reading: ColumnReading
    odd: tuple[Odd, ...] = ()
    doubt: str = ""
    span: tuple[float, float] | None = None
    marks: NumberFormat | None = None

    @property
    def told(self) -> str:
        """The reading in words, with the marks that occur."""
        if self.marks is None:
            return self.reading.told
        marks = self.marks
        return replace(self.reading, decimal=marks.decimal, thousands=marks.thousands).told


@dataclass(frozen=True)
class TextColumn:
    """A column to look at.

    Attributes
    ----------
    name : str
    sql : str
        For its values.
    points : bool
        Whether it stands in a file whose commas divide fields: numbers there have decimal points,
        but where most of a column say otherwise.
    mark : str
        The decimal mark of the table's other columns, where that is known.
    """

    name: str
    sql: str
    points: bool = False
    mark: str = ""
