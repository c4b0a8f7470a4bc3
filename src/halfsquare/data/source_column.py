"""A column as a source has it, and SQL for its values."""

from __future__ import annotations

from dataclasses import dataclass, replace

from halfsquare.data.columns import ColumnReading
from halfsquare.data.sql import Kind, is_one_of, quote_name
from halfsquare.data.whole_numbers import less_base


@dataclass(frozen=True)
class SourceColumn:
    """A column as the source has it: its name and what kind of values it holds.

    Attributes
    ----------
    name : str
    kind : Kind
        Of the values as they are read.
    type : str
        DuckDB's name of the type, for messages.
    value : str
        SQL for the values as they are stored; the quoted name by default.
    reading : ColumnReading or None
        How values that are stored as text are read; None for those that are what they are.
    words : tuple of str
        For "no value": all those of the source where a reading or levels need them, those that the
        user named for numbers.
    whole : bool
        Whether its first values are whole numbers of at most three digits in a text file: 1.033
        further down may be a thousand and thirty-three.
    base : str
        A whole number that is taken off the values before they become float64; empty for none.
    lag : Lag or None
        Where the values are those of another column some rows before.
    """

    name: str
    kind: Kind
    type: str
    value: str = ""
    reading: ColumnReading | None = None
    words: tuple[str, ...] = ()
    whole: bool = False
    base: str = ""
    lag: Lag | None = None

    @property
    def stored(self) -> str:
        """SQL for the values as they are stored."""
        return self.value or quote_name(self.name)

    @property
    def text(self) -> str:
        """SQL for the values as text."""
        if self.type == "JSON":
            return f"({self.stored} ->> '$')"
        return self.stored if self.type == "VARCHAR" else f"{self.stored}::VARCHAR"

    @property
    def digits(self) -> SourceColumn:
        """The whole numbers as texts, for dates that are written as digits alone."""
        value = f"TRY_CAST({self.stored} AS BIGINT)::VARCHAR"
        return replace(self, kind="text", type="VARCHAR", value=value, whole=False)

    @property
    def is_text(self) -> bool:
        """Whether the source stores texts."""
        return self.type in ("VARCHAR", "JSON", "ENUM", "UUID") or self.type.startswith("ENUM(")

    def as_double(self) -> str:
        """SQL for the values as numbers: seconds for times, the text itself for levels."""
        return f"{self.number} AS {quote_name(self.name)}"

    @property
    def number(self) -> str:
        """The same without the name."""
        if self.kind == "text":
            if not self.words:
                return self.text
            return f"CASE WHEN {is_one_of(self.text, self.words)} THEN NULL ELSE {self.text} END"
        if self.reading is not None:
            value = self.reading.sql(self.text, self.words)
            return less_base(self.text, "VARCHAR", value, self.base) if self.base else value
        if self.type.startswith("INTERVAL"):
            return f"(epoch({self.stored}) / 86400.0)::DOUBLE"
        if self.kind in ("timestamp", "time"):
            zoned = "TIMESTAMPTZ" in self.type or "WITH TIME ZONE" in self.type
            coarse = f"::TIMESTAMP{'TZ' if zoned else ''}"  # no epoch of nanoseconds with a zone
            return f"epoch({self.stored}{coarse if 'TIMESTAMP' in self.type else ''})::DOUBLE"
        if self.kind == "boolean":
            # Not a cast: DuckDB would push it into the reader of a text file.
            return f"(CASE WHEN {self.stored} THEN 1.0 WHEN NOT {self.stored} THEN 0.0 END)::DOUBLE"
        found = f"{self.stored}::DOUBLE"
        for word in self.words:
            found = f"nullif({found}, {float(word)!r}::DOUBLE)"
        return less_base(self.stored, self.type, found, self.base) if self.base else found


@dataclass(frozen=True)
class LagNames:
    """The value of column ``of``, ``steps`` rows before, among the rows with equal values in
    ``by``.
    """

    of: str
    by: tuple[str, ...]
    steps: int

    @property
    def told(self) -> str:
        """In words."""
        rows = "a row" if self.steps == 1 else f"{self.steps} rows"
        return f"{self.of}, {rows} before" + (f" of equal {', '.join(self.by)}" if self.by else "")


@dataclass(frozen=True)
class Lag:
    """The same of columns of a source."""

    of: SourceColumn
    by: tuple[SourceColumn, ...]
    steps: int

    @property
    def names(self) -> LagNames:
        """Without how they are read."""
        return LagNames(self.of.name, tuple(b.name for b in self.by), self.steps)
