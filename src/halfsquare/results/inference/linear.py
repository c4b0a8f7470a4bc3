"""The record that all tests, tables and effects of a linear fit are read off, in the user's
units.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, cast

import numpy as np

from halfsquare.loss import Floats

Span = tuple[str, int, int]


@dataclass(frozen=True)
class LinearInference:
    """A linear fit of one target.

    Attributes
    ----------
    names : tuple of str
        Of the p coefficients.
    values : (p,)
    covariance : (p, p)
        Of the coefficients, by the errors that were chosen.
    freedom : float
        Degrees of freedom of the tests that use ``covariance``.
    triangle : (p+1, p+1)
        R of [X | t] = QR: RᵀR are the sums of squares and products of columns and target, so that
        every submodel's SSE follows from it. Its last diagonal entry squared is the SSE.
    weight : float
        n = Σw.
    spans : tuple of (term, start, stop)
        The columns of each term.
    intercept : bool
        Whether the first column is a constant.
    absorbed : float
        Degrees of freedom that absorbed effects take.
    kind, correction : str
        Of the covariance.
    log_weight : float
        Σ log w over the rows where w are no counts, else 0; NaN if it is not known.
    known_variance : float or None
        σ² of a row of weight 1 where it was measured; ``freedom`` is then infinite.
    """

    names: tuple[str, ...]
    values: Floats
    covariance: Floats
    freedom: float
    triangle: Floats
    weight: float
    spans: tuple[Span, ...]
    intercept: bool
    absorbed: float = 0.0
    kind: str = "classical"
    correction: str = "n - p"
    facts: Mapping[str, Any] = field(default_factory=dict)
    log_weight: float = 0.0
    known_variance: float | None = None

    @property
    def rank(self) -> float:
        """p, absorbed effects included."""
        return len(self.names) + self.absorbed

    @property
    def residual_freedom(self) -> float:
        """n - p."""
        return self.weight - self.rank

    @cached_property
    def sse(self) -> float:
        """Of the whole model."""
        return float(self.triangle[-1, -1] ** 2)

    @property
    def variance(self) -> float:
        """SSE/(n - p)."""
        return self.sse / self.residual_freedom

    @cached_property
    def inverse(self) -> Floats:
        """(XᵀWX)⁻¹."""
        half = _solve_upper(self.triangle[:-1, :-1], np.eye(len(self.names)))
        return half @ half.T

    def sse_of(self, columns: Sequence[int]) -> float:
        """The SSE with these columns alone."""
        if not len(columns):
            return float(self.triangle[:, -1] @ self.triangle[:, -1])
        factor = r_factor(self.triangle[:, np.array([*columns, len(self.names)], dtype=np.intp)])
        return float(factor[-1, -1] ** 2)

    def columns_of(self, term: str) -> list[int]:
        """The columns of a term, by its name."""
        return [j for name, start, stop in self.spans if name == term for j in range(start, stop)]


def r_factor(matrix: Floats) -> Floats:
    """R of the QR decomposition of a matrix."""
    return cast(Floats, np.linalg.qr(matrix, mode="r"))


def factors_of(term: str) -> frozenset[str]:
    """The factors of a term, from its name: ':' inside brackets or quotation marks divides nothing.

    Examples
    --------
    >>> sorted(factors_of('a:C(g, levels=["x:y"]):`b:c`'))
    ['C(g, levels=["x:y"])', '`b:c`', 'a']
    """
    parts, depth, quote = [""], 0, ""
    for letter in term:
        if quote:
            quote = "" if letter == quote else quote
        elif letter in "\"'`":
            quote = letter
        depth += (letter in "([") - (letter in ")]") if not quote else 0
        if letter == ":" and not depth and not quote:
            parts.append("")
        else:
            parts[-1] += letter
    return frozenset(parts)


def triangle_in_units(triangle: Floats, means: Floats, scales: Floats, intercept: bool) -> Floats:
    """R of [X | t] from R of the standardized [1 | Z | T], X = means + scales Z, t likewise.

    ``means`` and ``scales`` are (d+1,), those of the target last; without an intercept
    ``triangle`` is that of [Z | T] and the means are 0.
    """
    size = len(triangle)
    back = np.zeros((size, size))
    if intercept:
        back[0, 0] = 1.0
        back[0, 1:] = means
        back[np.arange(1, size), np.arange(1, size)] = scales
    else:
        back[np.arange(size), np.arange(size)] = scales
    return r_factor(triangle @ back)


def _solve_upper(r: Floats, right: Floats) -> Floats:
    from scipy.linalg import solve_triangular

    return cast(Floats, solve_triangular(r, right))
