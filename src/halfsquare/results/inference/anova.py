"""Analysis of variance: what each term explains, by three ways of asking."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from halfsquare.errors import OptionError
from halfsquare.results.inference.linear import LinearInference, factors_of, r_factor

Type = Literal[1, 2, 3]


@dataclass(frozen=True)
class AnovaRow:
    """One line: a term, or ``Residual`` whose F and p are NaN."""

    term: str
    freedom: float
    sum_of_squares: float
    mean_square: float
    f: float
    p: float

    def as_dict(self) -> dict[str, Any]:
        """JSON values; NaN as None."""
        return {k: None if v != v else v for k, v in vars(self).items()}


def anova(fit: LinearInference, kind: int = 2) -> list[AnovaRow]:
    """The table of type I, II or III, with classical errors whatever the covariance of the fit.

    Where the noise of each row was measured (``sigma``), squares are of errors over σ, so that a
    sum of squares is χ² and is judged as such: F on infinite degrees of freedom. What is left then
    says nothing of the noise, and none has to be left.

    Type I takes the terms in order, each after those before it. Type II asks of each term after all
    others that do not contain it. Type III asks of each term's columns after all others; it
    depends on the coding, and is meant for codings that sum to zero (Fox 2016, section 8.2.5).

    Raises
    ------
    OptionError
        If the type is none of 1, 2, 3, or nothing is left to compare with.
    """
    if kind not in (1, 2, 3):
        raise OptionError(f"the type of an analysis of variance is {kind!r}; expected 1, 2 or 3")
    known = fit.known_variance
    if not fit.residual_freedom > 0 and known is None:
        raise OptionError("no degrees of freedom are left: there is no variance to compare with")
    spans = [(n, list(range(a, b)), factors_of(n)) for n, a, b in fit.spans]
    constant = [0] if fit.intercept else []
    rows = []
    before = list(constant)
    for name, columns, factors in spans:
        if columns == constant:
            if kind == 3:
                others = [j for j in range(len(fit.names)) if j not in columns]
                rows.append(_row(fit, name, others, columns))
            continue
        if kind == 1:
            rest = list(before)
        elif kind == 2:
            rest = [j for _, other, theirs in spans if not factors <= theirs for j in other]
            rest = sorted(set(rest) | set(constant))
        else:
            rest = [j for j in range(len(fit.names)) if j not in columns]
        rows.append(_row(fit, name, rest, columns))
        before += columns
    nan, freedom = float("nan"), fit.residual_freedom
    squares = fit.sse / (known or 1.0)
    mean_square = squares / freedom if freedom > 0 else nan
    return [*rows, AnovaRow("Residual", freedom, squares, mean_square, nan, nan)]


def _row(fit: LinearInference, name: str, rest: list[int], columns: list[int]) -> AnovaRow:
    from scipy.special import chdtrc, fdtrc

    # The fall of the SSE is the sum of squares of what the new columns add to the span.
    r = r_factor(fit.triangle[:, np.array([*rest, *columns, len(fit.names)])])
    effects = r[len(rest) : len(rest) + len(columns), -1]
    squares, freedom = float(effects @ effects), len(columns)
    if fit.known_variance is not None:
        squares /= fit.known_variance
        f = squares / freedom
        return AnovaRow(name, freedom, squares, f, f, float(chdtrc(freedom, squares)))
    f = squares / freedom / fit.variance if fit.variance > 0 else float("inf")
    return AnovaRow(
        name, freedom, squares, squares / freedom, f, float(fdtrc(freedom, fit.residual_freedom, f))
    )
