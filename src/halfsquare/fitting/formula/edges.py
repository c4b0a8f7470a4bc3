"""Where a fit has no minimum of the usual kind: parameters that run off, or lie on a bound."""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite, sqrt

import numpy as np
import numpy.typing as npt

from halfsquare.loss import Floats
from halfsquare.models.formula.reader import listed
from halfsquare.solvers.qr_objective import FormulaObjective
from halfsquare.solvers.variable_projection import VariableProjection
from halfsquare.sums import r_squared

# A direction less certain than this share of the parameters is walked along, this many times their
# size; where the fit gets worse by less than this many error variances, it has no end.
_UNCERTAIN, _TIMES, _NO_WORSE = 0.3, 10.0, 1e-3
_ROUNDING = 8.0 * float(np.finfo(float).eps)

Mask = npt.NDArray[np.bool_]


def runaway(
    objective: FormulaObjective,
    method: VariableProjection,
    parameters: Floats,
    triangle: Floats,
    variance: float,
    bound: Mask,
) -> list[str]:
    """The parameters that can be made ten times larger in size with a fit as good: those of a step
    that any steeper one replaces, of a saturation that the data do not reach.

    Tried along the direction of the parameters, relative to their values, that the data determine
    least, with the linear parameters at their best. ``variance`` is that of the errors; below the
    rounding of the outputs it is taken for that.
    """
    names = objective.formula.names
    rows = max(method.degrees + len(names), 1.0)
    floor = max(
        variance if isfinite(variance) else 0.0, (_ROUNDING * method.target_norm) ** 2 / rows
    )
    movable = ~bound & (parameters != 0)
    movable[[j for j in range(len(names)) if j in method.linear]] = False
    at = np.flatnonzero(movable)
    if not len(at) or not floor > 0 or not np.isfinite(triangle).all():
        return []
    relative = _without(triangle, method.linear, at) * parameters[at]
    _, s, vt = np.linalg.svd(relative, full_matrices=False)
    # Of a fit that is exact the errors say nothing of how certain anything is.
    exact = variance <= (8.0 * _ROUNDING * method.target_norm) ** 2 / rows
    if not len(s) or (sqrt(floor) < _UNCERTAIN * s[-1] and not exact):
        return []
    best = method.settle(objective, parameters)[1]
    weakest = vt[-1] / np.abs(vt[-1]).max()
    # Straight on, and with all parameters that take part by the same factor.
    even = np.where(np.abs(weakest) > _UNCERTAIN, np.sign(weakest), 0.0)
    for share in (weakest, -weakest, even, -even):
        trial = parameters.copy()
        trial[at] *= (1.0 + _TIMES) ** share
        if (np.abs(trial) < np.abs(parameters) * 2.0).all():
            continue  # towards 0 is no way to infinity
        settled, loss = method.settle(objective, np.clip(trial, method.lower, method.upper))
        if 2.0 * (loss - best) <= _NO_WORSE * floor:
            moved = np.abs(settled - parameters) > 0.5 * np.abs(parameters)
            return [name for name, m in zip(names, moved, strict=True) if m]
    return []


def _without(triangle: Floats, linear: Sequence[int], at: npt.NDArray[np.intp]) -> Floats:
    """The columns ``at`` of R less what the linear ones make of them."""
    chosen = triangle[:-1, at]
    if not linear:
        return chosen
    basis = triangle[:-1, list(linear)]
    norms = np.linalg.norm(basis, axis=0)
    u, s, _ = np.linalg.svd(basis / np.where(norms > 0, norms, 1.0), full_matrices=False)
    u = u[:, s > 1e-11 * s.max(initial=0.0)]
    return np.asarray(chosen - u @ (u.T @ chosen))


def one_sided(
    triangle: Floats,
    parameters: Floats,
    variance: float,
    degrees: float,
    bound: Mask,
    method: VariableProjection,
) -> dict[int, tuple[float, float]]:
    """For each parameter on its bound the 95 % interval that begins or ends there.

    Away from the bound the SSE grows by 2 g δ + h δ², with g its slope and h its curvature once all
    others have followed; the interval ends where that is t² σ², as a profile's.
    """
    from scipy.special import stdtrit

    found: dict[int, tuple[float, float]] = {}
    r, e = triangle[:-1], triangle[:, -1]
    for j in np.flatnonzero(bound).tolist():
        low = bool(parameters[j] <= method.lower[j])
        inward = 1.0 if low else -1.0
        others = [i for i in range(len(parameters)) if not bound[i]]
        column = _without(triangle, others, np.array([j]))[:, 0]
        slope = max(inward * float(r[:, j] @ e[:-1]), 0.0)
        curvature = float(column @ column)
        reach = np.inf
        if degrees > 0 and isfinite(variance):
            allowed = variance * float(stdtrit(degrees, 0.975)) ** 2
            root = sqrt(slope**2 + curvature * allowed)
            reach = allowed / (slope + root) if slope + root > 0 else np.inf
        end = float(parameters[j] + inward * reach)
        found[j] = (float(parameters[j]), end) if low else (end, float(parameters[j]))
    return found


def near_columns(
    names: Sequence[str], undetermined: Sequence[str], columns: Sequence[str]
) -> list[str]:
    """The warnings of parameters that look like columns: of names that differ in case alone, or
    nearly are one and are not determined by the rows.
    """
    from difflib import get_close_matches

    said = []
    for name in names:
        near = [c for c in columns if c.casefold() == name.casefold()]
        if not near and name in undetermined:
            near = get_close_matches(name, columns, n=1, cutoff=0.75)
        if near:
            said.append(
                f"{name} is no column and is fitted as a parameter: did you mean the column "
                f"{near[0]!r}?"
            )
    return said


def runaway_warning(names: Sequence[str]) -> str:
    """The warning that names what has no end."""
    verb = "runs" if len(names) == 1 else "run"
    return (
        f"{', '.join(names)} {verb} off: ten times as large the fit is as good, so the data set no "
        "end on that side and no standard error is stated. Another formula, a bound or a fixed "
        "value is needed"
    )


def bound_warning(name: str, value: float) -> str:
    """The warning that a parameter would go on if it could."""
    return (
        f"{name} lies on its bound {value:g}: it has no standard error, its interval ends there, "
        "and the errors of the others hold with it at the bound"
    )


def poor_warning(sse: float, sst: float, target_norm: float) -> list[str]:
    """The warning of a fit that is worse than none, by more than the rounding of its outputs."""
    r2 = r_squared(sse, sst)
    if not r2 < 0 or sse - sst <= 2.0 * _ROUNDING * target_norm * sqrt(sst):
        return []
    return [
        f"the fit is worse than the mean of the target (R² = {r2:.3g}): this formula "
        "does not describe these rows, or another start is needed"
    ]


def no_column_warning(
    formula: str, names: Sequence[str], near: Sequence[str], columns: Sequence[str]
) -> str:
    """The warning of a formula without any column: its output is one number. ``near`` are warnings
    that name a column already.
    """
    from difflib import get_close_matches

    said = f"no column stands in the formula {formula!r}, so that every row has the same output"
    if near:
        return said
    for name in names:
        for column in get_close_matches(name, columns, n=1, cutoff=0.6):
            return f"{said}: {name} is fitted as a parameter; did you mean the column {column!r}?"
    return f"{said}; the columns are {listed(columns)}" if columns else said
