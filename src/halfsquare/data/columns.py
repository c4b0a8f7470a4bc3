"""One reading of a table: what each column is and how its values are written.

It is decided once, from whole columns, and kept in the model, in sums and in checkpoints: whoever
reads other rows for the model reads them so, and what does not fit is an error that names both.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from halfsquare.data.date_format import ISO, date_sql, in_words, is_clock
from halfsquare.data.durations import duration_sql
from halfsquare.data.number_format import NumberFormat
from halfsquare.data.sql import Kind, is_one_of
from halfsquare.errors import DataError, ModelFileError

# What stands for "no value" in the text files of the world, besides an empty field.
NO_VALUE = (
    "",
    "NA",
    "N/A",
    "n/a",
    "NaN",
    "nan",
    "NAN",
    "NULL",
    "null",
    "Null",
    "None",
    "#N/A",
    "?",
)
# What else stands for it in a column of numbers or dates.
NO_NUMBER = frozenset(
    [
        "-",
        "--",
        "---",
        "—",
        "–",
        ".",
        "..",
        "...",
        "*",
        ":",
        "na",
        "n/a",
        "n.a.",
        "n.a",
        "#n/a",
        "nan",
        "nil",
        "null",
        "none",
        "unknown",
        "missing",
        "unbekannt",
        "k.a.",
        "n/d",
        "nd",
        "tbd",
        "tba",
        "#value!",
        "#div/0!",
        "#num!",
        "#ref!",
        "#null!",
        "#name?",
        "?",
        "",
        "not available",
        "not known",
        "no data",
        "keine angabe",
    ]
)


@dataclass(frozen=True)
class ColumnReading:
    """How the values of one column are read.

    Attributes
    ----------
    kind : {"number", "boolean", "text", "timestamp", "time"}
    type : str
        The type that the source gave it in training, in DuckDB's words.
    decimal, thousands, unit : str
        Of numbers that are written as text; ``unit`` also of durations ("days").
    dates : tuple of str
        Formats of dates that are written as text, as ``strptime`` has them; "iso" is the standard.
    missing : tuple of str
        Words for "no value", besides those of text files.
    lenient : bool
        Whether anything else is a missing value, as the user said with ``number``.
    base : str
        A whole number that is taken off the values before they become float64, which would round
        them to each other (beyond 2⁵³); empty for none.
    duration : bool
        Whether they are durations such as 36:15:00, read as days.
    """

    kind: Kind
    type: str = "VARCHAR"
    decimal: str = "."
    thousands: str = ""
    unit: str = ""
    dates: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    lenient: bool = False
    base: str = ""
    duration: bool = False

    @property
    def numbers(self) -> NumberFormat:
        """How numbers are written."""
        return NumberFormat(self.decimal, self.thousands, self.unit)

    @property
    def told(self) -> str:
        """In words, such as "dates as dd/mm/yyyy"."""
        if self.duration:
            return "durations in days"
        if self.kind == "number":
            said = ", ".join(
                part for part in (self.numbers.told, self.base and f"less {self.base}") if part
            )
            return f"number ({said})" if said else "number"
        if self.dates:
            kind = "times" if is_clock(self.dates) else "dates"
            return f"{kind} as {' or '.join(in_words(d) for d in self.dates)}"
        return {"timestamp": "date or time", "time": "time of day", "boolean": "true or false"}.get(
            self.kind, "text"
        )

    @property
    def native_dates(self) -> bool:
        """Whether these are dates that every reader knows, in a column of dates or as ISO text."""
        return self.kind == "timestamp" and self.dates in ((), (ISO,))

    @property
    def expected(self) -> str:
        """What messages say is expected."""
        said = self.numbers.told
        if self.duration:
            return "durations such as 36:15:00"
        if self.kind == "number":
            return f"numbers{f' ({said})' if said else ''}"
        return f"dates as {in_words(ISO)}" if self.native_dates else self.told

    def parsed(self, text: str) -> str:
        """SQL for the value that is written as the SQL ``text``; NULL where it is none."""
        if self.duration:
            return duration_sql(text)
        if self.kind == "number":
            return self.numbers.sql(text)
        if self.kind == "boolean":
            true = f"lower(trim({text}))"
            return f"CASE {true} WHEN 'true' THEN 1.0 WHEN 'false' THEN 0.0 END"
        return date_sql(text, self.dates or ("iso",))

    def sql(self, text: str, others: Sequence[str] = ()) -> str:
        """SQL for the values as float64; what is neither a value nor a word for none is infinite.

        ``others`` are the words for "no value" of the source.
        """
        value = self.parsed(text)
        if self.lenient:
            return f"({value})::DOUBLE"
        words = list(dict.fromkeys(w.strip() for w in (*self.missing, *others)))
        gone = f"{text} IS NULL OR {is_one_of(f'trim({text})', words)}"
        return f"coalesce({value}, CASE WHEN {gone} THEN NULL ELSE 'inf'::DOUBLE END)::DOUBLE"


@dataclass(frozen=True)
class Reading:
    """How a table is read.

    Attributes
    ----------
    columns : dict of column name to ColumnReading
    file : dict
        Of text files: ``encoding``, ``delimiter``, ``header``, ``skip``, ``comment``; what is true
        of the file that was read first.
    given : dict
        What of it the user said: other files are read so too.
    """

    columns: Mapping[str, ColumnReading] = field(default_factory=dict)
    file: Mapping[str, Any] = field(default_factory=dict)
    given: Mapping[str, Any] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """JSON values; read by :meth:`from_dict`."""
        plain = ColumnReading("number")
        columns = {
            name: {
                "kind": c.kind,
                **{
                    k: list(v) if isinstance(v, tuple) else v
                    for k, v in asdict(c).items()
                    if k != "kind" and v != getattr(plain, k)
                },
            }
            for name, c in self.columns.items()
        }
        return {"columns": columns, "file": dict(self.file), "given": dict(self.given)}

    @classmethod
    def from_dict(cls, saved: Mapping[str, Any]) -> Reading:
        """The reading that :meth:`as_dict` described.

        Raises
        ------
        ModelFileError
            If it holds what this version does not know.
        """
        known = {f.name for f in fields(ColumnReading)}
        columns = {}
        for name, c in saved.get("columns", {}).items():
            if set(c) - known or c.get("kind") not in _KINDS:
                raise ModelFileError(f"column {name!r} is read in a way this version does not know")
            columns[name] = ColumnReading(**_tuples(c))
            base = columns[name].base
            if base and not (isinstance(base, str) and re.fullmatch(r"-?[0-9]{1,39}", base)):
                raise ModelFileError(f"column {name!r} is taken less {base!r}, no whole number")
        return cls(columns, dict(saved.get("file", {})), dict(saved.get("given", {})))

    def merge(self, other: Reading, here: str, there: str) -> Reading:
        """That of both tables; ``here`` and ``there`` name them.

        Raises
        ------
        DataError
            If dates or units of a column are written differently.
        """
        for name in self.columns.keys() & other.columns.keys():
            ours, theirs = self.columns[name], other.columns[name]
            dates = ours.dates and theirs.dates and set(ours.dates) != set(theirs.dates)
            if dates or (ours.type == theirs.type and ours.unit != theirs.unit):
                raise DataError(
                    f"column {name!r} is {ours.told} in {here} and {theirs.told} in {there}: "
                    "they must be written alike. Say how they are (--dates), or correct one"
                )
        return Reading({**other.columns, **self.columns}, self.file, self.given)

    def of(self, names: Sequence[str]) -> Reading:
        """That of some columns alone."""
        wanted = set(names)
        kept = {n: c for n, c in self.columns.items() if n in wanted}
        return Reading(kept, self.file, self.given)


def _tuples(saved: Mapping[str, Any]) -> dict[str, Any]:
    return {k: tuple(v) if isinstance(v, list) else v for k, v in saved.items()}


_KINDS = ("number", "boolean", "text", "timestamp", "time", "unsupported")
NO_READING = Reading()


def level_of(value: str) -> str:
    """One spelling for a level: 1, 1.0 and "1" are one, and so are True and true.

    Leading zeros stay: 007 is a code, no number.

    Examples
    --------
    >>> [level_of(v) for v in ("1.0", "1", "1.50", "007", "True", "Ulm", "1e3")]
    ['1', '1', '1.5', '007', 'true', 'Ulm', '1000']
    """
    if not value or len(value) > 40:
        return value
    if value[0] in "-0123456789":
        return _number_level(value)
    return value.lower() if value in ("True", "False", "TRUE", "FALSE") else value


def _number_level(value: str) -> str:
    whole, point, fraction = value.lstrip("-").partition(".")
    if "e" in value.lower():
        try:
            number = float(value)
        except ValueError:
            return value
        return f"{number:.0f}" if number.is_integer() and abs(number) < 1e15 else repr(number)
    ascii_digits = whole.isascii() and whole.isdigit() and (not point or fraction.isdigit())
    if not ascii_digits or (len(whole) > 1 and whole[0] == "0") or not point:
        return value
    fraction = fraction.rstrip("0")
    return value.partition(".")[0] + ("." + fraction if fraction else "")
