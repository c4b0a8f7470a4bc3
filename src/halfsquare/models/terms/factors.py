"""What a factor of a term is: a number, a category, or a basis of several columns.

A factor holds what the formula says of it. What it learns from the rows (levels, means, knots) is a
state of JSON values, kept beside it and handed in: see :mod:`.learn`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, final

import numpy as np

from halfsquare.loss import Floats
from halfsquare.models.terms.arithmetic import evaluate
from halfsquare.models.terms.contrasts import contrast_matrix, contrast_names
from halfsquare.models.terms.splines import b_spline, cardinal_spline, natural_spline, row_by_row
from halfsquare.models.terms.syntax import Node, names_in, unparse

States = Mapping[str, Any]
Columns = Mapping[
    str, Floats
]  # (m,) each; of a text column, codes into its levels, negative if missing


@dataclass(frozen=True)
class Factor(ABC):
    """One factor, by the text that names it in the formula."""

    text: str

    @property
    @abstractmethod
    def columns(self) -> tuple[str, ...]:
        """The columns of the data that it needs."""

    def spans_constant(self) -> bool:
        """Whether its columns, all of them, add up to a constant."""
        return False

    @abstractmethod
    def names(self, states: States, reduced: bool) -> list[str]:
        """Of its q columns; ``reduced`` where they are not to span a constant."""

    @abstractmethod
    def write(self, columns: Columns, states: States, reduced: bool) -> Floats:
        """Its columns (q, m); NaN where a value is missing."""


@final
@dataclass(frozen=True)
class Numeric(Factor):
    """Arithmetic on number columns: one column."""

    node: Node

    @property
    def columns(self) -> tuple[str, ...]:
        return tuple(name for name in names_in(self.node) if name not in ("pi", "e"))

    def names(self, states: States, reduced: bool) -> list[str]:
        del states, reduced
        return [self.text]

    def write(self, columns: Columns, states: States, reduced: bool) -> Floats:
        del reduced
        value = evaluate(self.node, columns, states)
        return np.broadcast_to(value, (1, _rows(columns, value)))


@final
@dataclass(frozen=True)
class Category(Factor):
    """A column whose values are levels.

    Attributes
    ----------
    column : str
    is_text : bool
        Whether the column holds codes of texts; else its levels are numbers.
    coding : str
        A key of :data:`.contrasts.CODINGS`.
    base : str or None
        Of treatment: the level all others are compared with; the first if None.
    given : tuple of str or None
        The levels in their order, where the formula lists them.
    scores : tuple of float or None
        Of poly.
    argument : Node or None
        Where the levels are those of a part of a date.
    """

    column: str
    is_text: bool
    coding: str = "treatment"
    base: str | None = None
    given: tuple[str, ...] | None = None
    scores: tuple[float, ...] | None = None
    argument: Node | None = None

    @property
    def columns(self) -> tuple[str, ...]:
        return (self.column,)

    def spans_constant(self) -> bool:
        return True

    @property
    def key(self) -> str:
        """Where its levels are kept: the same for every coding of a column."""
        return f"levels of {self.of}" + ("" if self.given is None else f": {', '.join(self.given)}")

    @property
    def of(self) -> str:
        """What it is a category of: the column, or a part of it."""
        return self.column if self.argument is None else unparse(self.argument)

    def values(self, columns: Columns) -> Floats:
        """What stands for levels in raw columns (m,)."""
        raw = columns[self.column]
        return raw if self.argument is None else evaluate(self.argument, columns, {})

    def levels(self, states: States) -> list[str]:
        """Its levels, in their order."""
        return list(states[self.key]["levels"])

    def names(self, states: States, reduced: bool) -> list[str]:
        levels = self.levels(states)
        if not reduced:
            return [f"{self.text}[{level}]" for level in levels]
        shown = contrast_names(self.coding, levels, self._base(levels))
        return [f"{self.text}[{name}]" for name in shown]

    def codes(self, columns: Columns, states: States) -> Floats:
        """Positions (m,) among the levels; NaN where a value is missing, -1 where it is no
        level.
        """
        values = self.values(columns)
        state = states[self.key]
        if self.is_text:
            table = np.array([np.nan, *state["positions"]])  # the code -1 is a missing value
            values = np.where(np.isnan(values), -1.0, values)
            unseen = values < -1
            found = table[np.where(unseen, 0.0, values + 1).astype(np.intp)]
            return np.where(unseen, -1.0, found)
        order = np.array(state["values"], dtype=np.float64)
        ranks = np.argsort(order)
        at = np.clip(np.searchsorted(order[ranks], values), 0, len(order) - 1)
        known = order[ranks][at] == values
        return np.where(np.isnan(values), np.nan, np.where(known, ranks[at], -1.0))

    def write(self, columns: Columns, states: States, reduced: bool) -> Floats:
        count = len(states[self.key]["levels"])
        codes = self.codes(columns, states)
        gone = np.isnan(codes) | (codes < 0)
        whole = np.where(gone, 0.0, codes).astype(np.intp)
        if reduced and self.coding not in ("treatment", "SAS"):
            levels = self.levels(states)
            matrix = contrast_matrix(self.coding, count, self._base(levels), self.scores)
            out = np.ascontiguousarray(matrix.T[:, whole])
        else:
            left_out = self._left_out(states) if reduced else -1
            kept = [j for j in range(count) if j != left_out]
            out = np.empty((len(kept), len(whole)))
            for row, j in enumerate(kept):
                np.equal(whole, j, out=out[row], casting="unsafe")
        out[:, gone] = np.nan
        return out

    def _base(self, levels: Sequence[str]) -> int:
        return 0 if self.base is None else levels.index(self.base)

    def _left_out(self, states: States) -> int:
        levels = self.levels(states)
        return len(levels) - 1 if self.coding == "SAS" else self._base(levels)


@final
@dataclass(frozen=True)
class Basis(Factor):
    """Several columns of one number: ``poly``, ``bs``, ``ns`` or ``cr``.

    Attributes
    ----------
    kind : str
    argument : Node
    degree : int
        Of poly and bs.
    df : int or None
        How many columns a spline is to have; its knots are then quantiles.
    knots : tuple of float or None
        Inner knots.
    bounds : (low, high)
        Outer knots; None for the least and greatest value.
    intercept : bool
        Whether the columns of a spline add up to 1.
    raw : bool
        Of poly: plain powers.
    """

    kind: str
    argument: Node
    degree: int = 3
    df: int | None = None
    knots: tuple[float, ...] | None = None
    bounds: tuple[float | None, float | None] = (None, None)
    intercept: bool = False
    raw: bool = False

    @property
    def columns(self) -> tuple[str, ...]:
        return tuple(name for name in names_in(self.argument) if name not in ("pi", "e"))

    def spans_constant(self) -> bool:
        return self.kind == "cr" or self.intercept

    @property
    def learns(self) -> bool:
        """Whether anything of it comes from the rows."""
        return not (self.kind == "poly" and self.raw)

    def inner_knots(self) -> int:
        """How many quantiles its knots are, where they are not listed."""
        if self.kind == "poly" or self.knots is not None or self.df is None:
            return 0
        taken = {"bs": self.degree + self.intercept, "ns": 1 + self.intercept, "cr": 2}[self.kind]
        return self.df - taken

    def names(self, states: States, reduced: bool) -> list[str]:
        first = 1 if self.kind == "cr" else 0  # as formulaic counts them
        return [f"{self.text}[{j + first}]" for j in self._kept(states, reduced)]

    def _kept(self, states: States, reduced: bool) -> range:
        if self.kind == "poly":
            return range(1, self.degree + 1)
        inner = len(states[self.text]["knots"])
        whole = inner + {"bs": self.degree + 1, "ns": 2, "cr": 2}[self.kind]
        # Without a constant the first column goes, as in R's bs.
        return range(1 if reduced or not self.spans_constant() else 0, whole)

    def write(self, columns: Columns, states: States, reduced: bool) -> Floats:
        value = evaluate(self.argument, columns, states)
        x = np.broadcast_to(value, (_rows(columns, value),))
        good = np.isfinite(x)
        if not good.all():
            x = np.where(good, x, np.nanmean(x[good]) if good.any() else 0.0)
        out = np.ascontiguousarray(self._basis(x, states, reduced).T)
        out[:, ~good] = np.nan
        return out

    def _basis(self, x: Floats, states: States, reduced: bool) -> Floats:
        if self.kind == "poly" and self.raw:
            return np.column_stack([x**j for j in range(1, self.degree + 1)])
        state = states[self.text]
        if self.kind == "poly":
            legendre = legendre_values(x, state["low"], state["high"], self.degree)
            return row_by_row(legendre, np.array(state["coefficients"]))
        knots, low, high = state["knots"], state["low"], state["high"]
        first = 1 if reduced else 0
        if self.kind == "cr":
            return cardinal_spline(x, [low, *knots, high])[:, first:]
        if self.kind == "ns":
            whole = self.intercept and not reduced
            return natural_spline(x, knots, low, high, intercept=whole)
        whole_basis = b_spline(x, knots, low, high, self.degree)
        return whole_basis if self.intercept and not reduced else whole_basis[:, 1:]


def legendre_values(x: Floats, low: float, high: float, degree: int) -> Floats:
    """Legendre polynomials 0 … degree (m, degree + 1) of x moved to [-1, 1] from [low, high]."""
    half = 0.5 * (high - low)
    return np.polynomial.legendre.legvander((x - low) / half - 1.0, degree)


def _rows(columns: Columns, value: Floats) -> int:
    return next((len(v) for v in columns.values()), len(value))
