"""Columns and target counted from a number near them, where that only changes parameters.

    y ~ a*exp(b*t), t = 1700000000 …     with t = t₀ + t', it is a'*exp(b*t'), a' = a*exp(b*t₀)

Far from 0 the digits of a column are spent on what all rows share: exp overflows, columns of the
Jacobian are as good as parallel, squares cancel. A parameter that is added to the column (the c of
c + d*x) moves with it; what is left has to be made up for by the linear parameters: for any others
the functions that they multiply must span the same space before and after the shift. That is tried
out with 50 digits at random points, so nothing need be known of the formula.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import isfinite
from typing import Any

import numpy as np

from halfsquare.data.rows import ChangedRows, Chunk, Rows
from halfsquare.fitting.formula.extended_functions import (
    DIGITS,
    functions_of,
    rows_of,
    solved,
    values_of,
)
from halfsquare.fitting.formula.extended_precision import evaluate
from halfsquare.fitting.formula.inference import correlation
from halfsquare.loss import Floats
from halfsquare.models.formula.model import Formula
from halfsquare.results.trained import FormulaFacts, Trained

_LEAST = 1e-290  # a parameter below has lost digits, or is no number of float64 at all


@dataclass(frozen=True)
class LocationParameter:
    """A parameter that is added to ``slope`` · column, with this sign, and stands nowhere else."""

    name: str
    sign: int
    slope: Any  # an expression without columns
    column: int


@dataclass(frozen=True)
class Origin:
    """The formula over columns less ``columns`` (d,) and a target less ``target``.

    Attributes
    ----------
    linear : tuple of int
        Positions of the linear parameters that make up for the shift.
    locations : tuple of LocationParameter
        Parameters that move with a column.
    points : (m, d)
        Rows, shifted, at which the functions are compared.
    """

    formula: Formula
    columns: Floats
    target: float
    linear: tuple[int, ...]
    locations: tuple[LocationParameter, ...]
    points: Floats

    def shifted(self, parameters: Floats) -> Floats:
        """The parameters (p,) over shifted columns that fit as these do over those given."""
        return np.array([float(v) for v in self._mapped(parameters, back=False)])

    def given(self, parameters: Floats) -> tuple[Floats, Floats]:
        """The parameters (p,) over the columns as given, and their derivatives (p, p) by those over
        shifted ones. What is beyond float64 comes out infinite or 0.
        """
        import mpmath  # type: ignore[import-untyped]

        with mpmath.workdps(2 * DIGITS):
            at = [mpmath.mpf(float(v)) for v in parameters]
            values = self._mapped(at, back=True)
            slopes = np.empty((len(at), len(at)))
            for j, value in enumerate(at):
                step = mpmath.mpf(10) ** -30 * (abs(value) or mpmath.mpf(1))
                moved = self._mapped([*at[:j], value + step, *at[j + 1 :]], back=True)
                slopes[:, j] = [float((b - a) / step) for a, b in zip(values, moved, strict=True)]
            return np.array([float(v) for v in values]), slopes

    def _mapped(self, parameters: Any, *, back: bool) -> list[Any]:
        """The parameters of one side from those of the other: solved in 100 digits."""
        import mpmath

        with mpmath.workdps(2 * DIGITS):
            theta = [mpmath.mpf(v) for v in parameters]
            moved = list(theta)
            for place in self.locations:
                at, names = self.formula.names.index(place.name), values_of(self.formula, theta)
                slope = evaluate(place.slope, names, mpmath)
                change = place.sign * slope * mpmath.mpf(float(self.columns[place.column]))
                moved[at] = theta[at] + (-change if back else change)
            sides = [theta, moved] if back else [moved, theta]  # over shifted columns, as given
            if not self.linear:
                return moved
            none = np.zeros(len(self.columns))
            rows = [rows_of(self.formula, self.points, s) for s in (none, self.columns)]
            near = functions_of(self.formula, sides[0], rows[0], self.linear, mpmath)
            beyond = functions_of(self.formula, sides[1], rows[1], self.linear, mpmath)
            known, sought = (near, beyond) if back else (beyond, near)
            coefficients = mpmath.matrix([theta[j] for j in self.linear])
            right = known[1] * coefficients + known[0] - sought[0]
            shift = mpmath.mpf(self.target)
            right += (shift if back else -shift) * mpmath.ones(right.rows, 1)
            for j, value in zip(self.linear, solved(sought[1], right, mpmath), strict=True):
                moved[j] = value
            return moved

    def restore(
        self, trained: Trained[FormulaFacts], rows: Rows, sse: float
    ) -> Trained[FormulaFacts]:
        """The fit over shifted columns as one over those given, or, where its parameters are beyond
        float64, as one of the formula written with the shift, which a warning states.
        """
        formula = self.formula
        full = trained.model
        assert isinstance(full, Formula)
        at = [full.names.index(name) for name in formula.names]
        values, slopes = self.given(trained.parameters[at])
        there = (np.abs(values) > _LEAST) | (trained.parameters[at] == 0) | (values == 0)
        sound = bool(np.isfinite(values).all() and np.isfinite(slopes).all() and there.all())
        if not sound or not self._as_good(rows, values, sse):
            return self._rewritten(trained)
        parameters = trained.parameters.copy()
        parameters[at] = values
        if trained.root is None:
            return replace(trained, parameters=parameters)
        root = np.zeros_like(trained.root)
        root[np.ix_(at, at)] = slopes @ trained.root[np.ix_(at, at)]
        with np.errstate(over="ignore"):
            covariance = root @ root.T
        told = tuple(map(tuple, correlation(root).tolist()))
        facts = replace(trained.facts, correlation=told)
        return replace(
            trained, parameters=parameters, covariance=covariance, facts=facts, root=root
        )

    def _as_good(self, rows: Rows, parameters: Floats, sse: float) -> bool:
        """Whether float64 computes the formula at the parameters as given: to the rounding of the
        target, or without losing much of the fit.
        """
        total, size = 0.0, 0.0
        with np.errstate(all="ignore"):
            for index in range(rows.chunk_count):
                chunk = rows.chunk(index)
                e = self.formula.outputs(parameters, chunk.design) - chunk.target
                w = 1.0 if chunk.weight is None else chunk.weight[:, None]
                total += float(np.sum(w * e * e))
                size += float(np.sum(w * chunk.target**2))
        rounding = (8.0 * np.finfo(float).eps) ** 2 * size
        return bool(isfinite(total) and total <= sse * (1.0 + 1e-6) + rounding)

    def _rewritten(self, trained: Trained[FormulaFacts]) -> Trained[FormulaFacts]:
        """The model of the formula whose columns are written less the shift."""
        full = trained.model
        assert isinstance(full, Formula)
        shifts = [(name, float(c)) for name, c in zip(full.columns, self.columns, strict=True) if c]
        text = _less(full.text, shifts, self.target)
        model = replace(full, text=text)
        names = [self.formula.names[j] for j in self.linear] + [p.name for p in self.locations]
        warning = (
            f"{', '.join(name for name, _ in shifts)} lies so far from 0 that parameters of the "
            f"formula as given are beyond float64: it is fitted as {text}, and the values of "
            f"{', '.join(names)} are those of this formula"
        )
        facts = replace(trained.facts, formula=text)
        return replace(trained, model=model, facts=facts, warnings=(*trained.warnings, warning))


@dataclass(frozen=True)
class OriginRows(ChangedRows):
    """Rows whose columns and target are counted from an origin."""

    columns: Floats
    target: float

    def chunk(self, index: int) -> Chunk:
        chunk = self.rows.chunk(index)
        return Chunk(chunk.design - self.columns, chunk.target - self.target, chunk.weight)


def _less(text: str, shifts: Sequence[tuple[str, float]], target: float) -> str:
    """The text of a formula with ``(column - shift)`` for each of its columns, ``+ target``."""
    left, right = text.split("~", 1)
    for name, shift in shifts:
        sign = "-" if shift > 0 else "+"
        written = name if re.fullmatch(r"[A-Za-z_]\w*", name) else f"`{name}`"
        plain = rf"(?<![\w`.]){re.escape(name)}(?![\w`.])|`{re.escape(name)}`"
        right = re.sub(plain, f"({written} {sign} {abs(shift):.17g})", right)
    if target:
        right = f"{right.rstrip()} {'+' if target > 0 else '-'} {abs(target):.17g}"
    return f"{left}~{right}"
