"""Columns in a form whose sums merge between tables that have seen different things.

A number is its value, 0 where it is missing, beside an indicator of missing: what an encoder puts
in place of a missing value is then decided when the sums are finished. A text is one column for
each level seen; a level that one table has not seen is 0 in all its rows. Times are the parts of
:mod:`halfsquare.data.times`.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Literal, get_args

import numpy as np

from halfsquare.data.levels import MISSING
from halfsquare.data.scan import Scanned
from halfsquare.data.times import PARTS, TIME_OF_DAY, time_parts
from halfsquare.errors import DataError
from halfsquare.loss import Floats

TermKind = Literal["number", "text", "timestamp", "time", "empty", "crowded"]
KINDS: tuple[TermKind, ...] = get_args(TermKind)
# A text of more levels is an identifier or needs grouping: its products would fill the memory.
MAX_LEVELS = 500
MAX_TERMS = 1000
ABSENT = "is missing"
_WORDS = {
    "number": "a number",
    "text": "a text",
    "timestamp": "a date or time",
    "time": "a time of day",
}


@dataclass(frozen=True)
class SumColumn:
    """A source column and the terms it is summed as.

    Attributes
    ----------
    name : str
    kind : str
        ``"empty"``: it had no value yet. ``"crowded"``: a text of more than MAX_LEVELS levels, not
        summed.
    levels : tuple of str
        Of a text, sorted.
    """

    name: str
    kind: TermKind
    levels: tuple[str, ...] = ()

    @property
    def terms(self) -> tuple[str, ...]:
        """The names of its terms: ``"value"``, ``"=level"``, parts of a time, ``"is missing"``."""
        if self.kind == "crowded":
            return ()
        own: dict[str, tuple[str, ...]] = {
            "number": ("value",),
            "timestamp": PARTS,
            "time": TIME_OF_DAY,
            "empty": (),
        }
        return (*own.get(self.kind, tuple(f"={level}" for level in self.levels)), ABSENT)

    def merge(self, other: SumColumn, here: str, there: str) -> SumColumn:
        """The column of both tables.

        Raises
        ------
        DataError
            If it holds different kinds of values; ``here`` and ``there`` name the tables.
        """
        if other.kind == "empty" or self == other:
            return self
        if self.kind == "empty":
            return other
        texts = ("text", "crowded")
        if self.kind in texts and other.kind in texts:
            levels = tuple(sorted({*self.levels, *other.levels}))
            crowded = "crowded" in (self.kind, other.kind) or len(levels) > MAX_LEVELS
            return SumColumn(self.name, "crowded") if crowded else replace(self, levels=levels)
        kinds = (_WORDS.get(c.kind, "a text") for c in (self, other))
        raise DataError(
            f"column {self.name!r} is {next(kinds)} in {here} and {next(kinds)} in {there}: "
            "correct it in one of them, "
            f"or compute both sums with it as text (--category {self.name}) or without it "
            f"(--exclude {self.name})"
        )

    def write(self, raw: Floats, codes: Sequence[str], out: Floats) -> None:
        """Write the terms (c, m) of raw values (m,), a text's as codes into the scan's levels
        ``codes``.
        """
        if self.kind == "crowded":
            return
        gone = raw == MISSING if self.kind == "text" else np.isnan(raw)
        out[-1] = gone if self.kind != "empty" else 1.0
        if self.kind == "number":
            out[0] = np.where(gone, 0.0, raw)
        elif self.kind == "text":
            code = {level: i for i, level in enumerate(codes)}
            for row, level in zip(out, self.levels, strict=False):
                np.equal(raw, code[level], out=row)
        elif self.kind in ("timestamp", "time"):
            every = np.empty((len(PARTS), len(raw)))
            time_parts(np.where(gone, 0.0, raw), every)
            every[:, gone] = 0.0
            out[:-1] = every[[PARTS.index(part) for part in self.terms[:-1]]]


def sum_columns(scanned: Scanned) -> tuple[SumColumn, ...]:
    """How each feature of a scan is summed.

    Raises
    ------
    DataError
        If that makes more than MAX_TERMS terms.
    """
    roles, both = scanned.roles, scanned.train.merge(scanned.test)
    found = []
    for j, column in enumerate(roles.features, len(roles.scanned) - len(roles.features)):
        if column.kind == "text":
            weights = both.levels[j][2:]
            seen = sorted(
                t for t, w in zip(scanned.levels[column.name], weights, strict=False) if w > 0
            )
            crowded = len(seen) > MAX_LEVELS
            kind: TermKind = "crowded" if crowded else "text" if seen else "empty"
            found.append(SumColumn(column.name, kind, () if crowded else tuple(seen)))
        elif not both.numbers.weight[j] > 0:
            found.append(SumColumn(column.name, "empty"))
        else:
            kind = column.kind if column.kind in ("timestamp", "time") else "number"
            found.append(SumColumn(column.name, kind))
    require_few(found)
    return tuple(found)


def require_narrow(names: Sequence[str] | None, taken: Collection[str], what: str) -> None:
    """Refuse, before the rows are read, columns that could not be few terms unless half of them
    turned out to be empty; ``taken`` are those that are no features.

    Raises
    ------
    DataError
        With what they would cost.
    """
    count = 0 if names is None else len(set(names) - set(taken))
    if count > 2 * MAX_TERMS:
        terms = 1 + 2 * count  # where values are missing, a number makes two
        raise DataError(
            f"{what} has {count:,} columns to sum: up to {terms:,} terms and "
            f"{terms * (terms + 1) // 2:,} exact sums, {8e-9 * terms * (terms + 1):,.1f} GB; sums "
            f"are kept for up to {MAX_TERMS:,} terms: name the columns that matter (--features)"
        )


def require_few(columns: Sequence[SumColumn]) -> None:
    """Refuse columns of more than MAX_TERMS terms together, naming the widest.

    Raises
    ------
    DataError
    """
    total = sum(len(c.terms) for c in columns)
    if total > MAX_TERMS:
        widest = max(columns, key=lambda c: len(c.terms))
        raise DataError(
            f"the columns make {total:,} terms, {len(widest.terms)} of them {widest.name!r}; "
            "sums are kept for up to "
            f"{MAX_TERMS:,}: leave some out (--exclude {widest.name}), or name those that "
            "matter (--features)"
        )
