"""How one source column becomes design columns: final classes behind a small abstract base."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from halfsquare.data.levels import MISSING
from halfsquare.data.source_column import LagNames
from halfsquare.data.times import PARTS, time_parts
from halfsquare.files.records import from_json
from halfsquare.loss import Floats
from halfsquare.text import counted


@dataclass(frozen=True)
class Feature(ABC):
    """A source column and the design columns made from it.

    Attributes
    ----------
    column : str
        Name of the source column.
    means, scales : tuple of float
        Of each design column over the training rows; a design column is standardized by them.
    """

    column: str
    means: tuple[float, ...]
    scales: tuple[float, ...]

    @property
    def offset(self) -> int:
        """What was taken off the values of a column of numbers when they were read."""
        return 0

    @property
    @abstractmethod
    def names(self) -> tuple[str, ...]:
        """Names of the design columns."""

    @property
    @abstractmethod
    def decision(self) -> str:
        """What was decided for this column, in words."""

    @abstractmethod
    def write(self, raw: Floats, out: Floats) -> None:
        """Write the design columns (q, m), not yet standardized, of raw values (m,)."""

    def as_dict(self) -> dict[str, Any]:
        """JSON values; read by :func:`feature_from_dict`."""
        return {"kind": type(self).__name__.lower(), **asdict(self)}


@dataclass(frozen=True)
class Number(Feature):
    """A number; where it is missing, the mean, and an indicator if any was missing in training."""

    minimum: float
    maximum: float
    indicator: bool
    base: str = ""

    @property
    def offset(self) -> int:
        return int(self.base or 0)

    @property
    def names(self) -> tuple[str, ...]:
        return (self.column, f"{self.column} is missing") if self.indicator else (self.column,)

    @property
    def decision(self) -> str:
        share = (
            f", {self.means[1]:.2%} missing: the mean, and an indicator" if self.indicator else ""
        )
        known = self.minimum == self.minimum
        span = f" from {self.minimum:g} to {self.maximum:g}" if known else ", its range not known"
        less = f", less {self.base}" if self.base else ""
        return f"number{less}{span}{share}"

    def write(self, raw: Floats, out: Floats) -> None:
        out[0] = raw
        gone = np.isnan(raw)
        if gone.any():
            out[0][gone] = self.means[0]
        if self.indicator:
            out[1] = gone


class AsItIs(Feature):
    """A column that is one design column, its values as they are."""

    @property
    def names(self) -> tuple[str, ...]:
        return (self.column,)

    def write(self, raw: Floats, out: Floats) -> None:
        out[0] = raw


@dataclass(frozen=True)
class Plain(AsItIs):
    """A number as it is, for a formula in the user's units; a missing one stays missing. ``lag``
    says of which column's earlier rows it is.
    """

    minimum: float
    maximum: float
    base: str = ""
    lag: LagNames | None = None

    @property
    def offset(self) -> int:
        return int(self.base or 0)

    @property
    def decision(self) -> str:
        if self.lag is not None:
            return self.lag.told
        less = f", less {self.base}" if self.base else ", as it is"
        return f"number from {self.minimum:g} to {self.maximum:g}{less}"


@dataclass(frozen=True)
class Moment(AsItIs):
    """A date or time as it is, for terms that say themselves what of it counts; ``minimum`` and
    ``maximum`` in seconds.
    """

    minimum: float
    maximum: float

    @property
    def decision(self) -> str:
        return (
            "date or time, as the formula has it; by itself days since 1970-01-01, "
            "a time of day hours"
        )


@dataclass(frozen=True)
class Levels(AsItIs):
    """A text whose levels are known, for terms that say themselves how it is coded.

    Raw values are codes into ``levels``; -1 is missing, -2 a level that training did not have.
    """

    levels: tuple[str, ...]

    @property
    def decision(self) -> str:
        shown = ", ".join(self.levels[:8]) + (", …" if len(self.levels) > 8 else "")
        return f"category of {counted(len(self.levels), 'levels')}: {shown}"


@dataclass(frozen=True)
class Presence(Feature):
    """A column that has one value or none: only whether it is there can matter."""

    text: bool

    @property
    def names(self) -> tuple[str, ...]:
        return (f"{self.column} is missing",)

    @property
    def decision(self) -> str:
        return f"one value or none, {self.means[0]:.2%} missing: an indicator"

    def write(self, raw: Floats, out: Floats) -> None:
        out[0] = raw == MISSING if self.text else np.isnan(raw)


@dataclass(frozen=True)
class Category(Feature):
    """A text: one column for each level but the most frequent, the reference.

    Raw values are codes into ``levels``. Rare levels stand together as ``(other)``, missing values
    are a level of their own. An unseen level is ``(other)`` if there is one, else the average row;
    the average row also stands for a missing value where none was missing in training.
    """

    levels: tuple[str, ...]  # kept, the reference first
    other: bool
    missing: bool

    @property
    def names(self) -> tuple[str, ...]:
        shown = [
            *self.levels[1:],
            *(["(other)"] if self.other else []),
            *(["(missing)"] if self.missing else []),
        ]
        return tuple(f"{self.column}={level}" for level in shown)

    @property
    def decision(self) -> str:
        kept = ", ".join(self.levels[:8]) + (", …" if len(self.levels) > 8 else "")
        extra = (", rare levels together" if self.other else "") + (
            ", missing a level" if self.missing else ""
        )
        return (
            f"category, one-hot, {counted(len(self.levels), 'levels')}{extra}: reference "
            f"{self.levels[0]}; {kept}"
        )

    def write(self, raw: Floats, out: Floats) -> None:
        kept = len(self.levels)
        for code in range(1, kept):
            np.equal(raw, code, out=out[code - 1])
        beyond, gone = (raw >= kept) | (raw < MISSING), raw == MISSING
        if self.other:
            out[kept - 1] = beyond
        if self.missing:
            out[-1] = gone
        # The average row in every column, that of missing values too.
        average = (beyond & (not self.other)) | (gone & (not self.missing))
        if average.any():
            out[:, average] = np.array(self.means)[:, None]


@dataclass(frozen=True)
class Instant(Feature):
    """A date or time: the parts of it that vary (see :mod:`halfsquare.data.times`).

    ``minimum`` and ``maximum`` are the first and the last of the training rows, in seconds since
    1970 (of the day, for times alone); None where they are not known.
    """

    parts: tuple[str, ...]
    indicator: bool
    minimum: float | None = None
    maximum: float | None = None

    @property
    def names(self) -> tuple[str, ...]:
        named = tuple(f"{self.column} {part}" for part in self.parts)
        return (*named, f"{self.column} is missing") if self.indicator else named

    @property
    def decision(self) -> str:
        return f"date or time, as {', '.join(self.parts)}" + (
            ", and an indicator of missing" if self.indicator else ""
        )

    def write(self, raw: Floats, out: Floats) -> None:
        every = np.empty((len(PARTS), len(raw)))
        time_parts(raw, every)
        for j, part in enumerate(self.parts):
            out[j] = every[PARTS.index(part)]
        gone = np.isnan(raw)
        if gone.any():
            out[:, gone] = np.array(self.means)[:, None]
        if self.indicator:
            out[-1] = gone


_WHOLE = re.compile(r"-?[0-9]{1,39}")
_KINDS: dict[str, type[Feature]] = {
    k.__name__.lower(): k for k in (Number, Plain, Moment, Levels, Presence, Category, Instant)
}


def feature_from_dict(saved: dict[str, Any]) -> Feature:
    """The feature that :meth:`Feature.as_dict` described.

    Raises
    ------
    ValueError
        If the kind or its fields are unknown, or a value is of another type.
    """
    kind = _KINDS.get(str(saved.get("kind")))
    if kind is None:
        raise ValueError(f"a column of the unknown kind {saved.get('kind')!r}")
    fields = {name: value for name, value in saved.items() if name != "kind"}
    feature = from_json(kind, fields, f"column {saved.get('column')!r}")
    base = getattr(feature, "base", "")
    if base and not _WHOLE.fullmatch(base):
        raise ValueError(f"column {feature.column!r} is taken less {base!r}, no whole number")
    return feature
