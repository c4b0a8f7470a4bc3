"""Frequencies that a formula may mean: where the data themselves are periodic.

A sine of a frequency that is off by one turn over the data fits nothing, so that points anywhere in
a range hardly ever come near. What the data say is their periodogram: how much of the target
1, cos ωx, sin ωx explain at each ω, fitted by least squares (Zechmeister & Kürster 2009, "The
generalised Lomb-Scargle periodogram", section 2).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from halfsquare.data.rows import ArrayRows
from halfsquare.loss import Floats
from halfsquare.models.formula.model import Formula

_PER_TURN = 6  # frequencies for each turn over the data
_MOST = 6144
_PEAKS = 3  # of each periodogram
_FLAT = 1e-9  # of the variation: what is left has no periods


@dataclass(frozen=True)
class Periodic:
    """A parameter θ that sets a frequency alone: ω = factor · θ^power, in a sine of ω · column."""

    parameter: int
    column: int
    factor: float
    power: int

    def values(self, frequencies: Floats) -> Floats:
        """θ of each ω."""
        return np.asarray(np.abs(frequencies / self.factor) ** (1.0 / self.power))


def periodic_parameters(formula: Formula) -> list[Periodic]:
    """The parameters that are frequencies, periods or wave numbers of a sine, cosine or tangent.

    Examples
    --------
    >>> found = periodic_parameters(Formula.read("y ~ a*sin(2*pi*x/T) + b", ["x", "y"]))
    >>> [(one.parameter, one.column, round(one.factor, 6), one.power) for one in found]
    [(1, 0, 6.283185, -1)]
    """
    import sympy

    held = {sympy.Symbol(name): value for name, value in formula.fixed}
    columns = [sympy.Symbol(name) for name in formula.columns]
    found: dict[int, Periodic] = {}
    for node in sympy.preorder_traversal(formula.parsed.expression):
        if not isinstance(node, sympy.sin | sympy.cos | sympy.tan):
            continue
        for j, column in enumerate(columns):
            rate = node.args[0].diff(column).subs(held)
            names = [str(symbol) for symbol in rate.free_symbols]
            if len(names) != 1 or names[0] not in formula.names:
                continue
            i = formula.names.index(names[0])
            one = _power_of(rate, sympy.Symbol(names[0]))
            if one is not None and i not in formula.linear:
                found.setdefault(i, Periodic(i, j, *one))
    return list(found.values())


def _power_of(rate: Any, symbol: Any) -> tuple[float, int] | None:
    for power in (1, -1):
        factor = rate / symbol**power
        if factor.is_number and float(factor):
            return float(factor), power
    return None


def frequencies(x: Floats, rows: ArrayRows, turns: float, count: int) -> Floats:
    """Frequencies ω that explain most of the target, by column ``x`` (n,): the peaks of the
    periodogram, then, ``count`` times in all, of what the highest leaves.

    ``turns`` is how many turns over the data the fastest has.
    """
    spread = float(np.ptp(x))
    if not spread > 0 or len(x) < 4:
        return np.zeros(0)
    number = int(min(_MOST, max(8.0, _PER_TURN * turns)))
    omega = 2.0 * np.pi * turns / spread * (np.arange(number) + 0.5) / number
    w = np.full(len(x), 1.0) if rows.weight is None else rows.weight
    w = w / w.sum()
    t = rows.target[:, 0] - w @ rows.target[:, 0]
    whole, peaks = float(w @ (t * t)), []
    x = x - float(x.min())
    cos, sin = np.cos(np.outer(omega, x)), np.sin(np.outer(omega, x))
    for _ in range(count):
        power, a, b, c = _powers(cos, sin, w, t)
        rising = np.diff(power, prepend=-np.inf, append=-np.inf)
        tops = np.flatnonzero((rising[:-1] > 0) & (rising[1:] <= 0))
        tops = tops[np.argsort(-power[tops], kind="stable")][:_PEAKS]
        if not len(tops) or not power[tops[0]] > _FLAT * whole:
            break
        peaks += [omega[i] for i in tops]
        k = tops[0]
        t = t - a[k] * cos[k] - b[k] * sin[k] - c[k]
    return np.array(peaks)


def _powers(
    cos: Floats, sin: Floats, w: Floats, t: Floats
) -> tuple[Floats, Floats, Floats, Floats]:
    """What a cos ωx + b sin ωx + c takes off the mean square of t at each ω, and a, b, c."""
    c1, s1 = cos @ w, sin @ w
    cc, ss = (cos * cos) @ w - c1**2, (sin * sin) @ w - s1**2
    cs = (cos * sin) @ w - c1 * s1
    mean = float(w @ t)
    yc, ys = cos @ (w * t) - mean * c1, sin @ (w * t) - mean * s1
    determinant = np.maximum(cc * ss - cs * cs, 1e-12 * np.maximum(cc * ss, 1e-300))
    a, b = (yc * ss - ys * cs) / determinant, (ys * cc - yc * cs) / determinant
    return a * yc + b * ys, a, b, mean - a * c1 - b * s1
