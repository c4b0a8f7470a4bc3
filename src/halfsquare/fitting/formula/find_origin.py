"""Which columns and targets lie so far from 0 that they are counted from a number near them.

A parameter that is added to the column (the c of c + d*x) moves with it; what is left has to be
made up for by the linear parameters. Whether they can is tried out with 50 digits at random points,
so that nothing need be known of the formula.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from halfsquare.fitting.formula.extended_functions import DIGITS, rows_of, values_of
from halfsquare.fitting.formula.extended_precision import evaluate
from halfsquare.fitting.formula.origin import LocationParameter, Origin
from halfsquare.loss import Floats
from halfsquare.models.formula.model import Formula

_FAR = 30.0  # means in standard deviations: from there on a column is counted from its middle

_SAME = 1e-20  # of functions that span the same space, in 50 digits


def find_origin(
    formula: Formula, means: Floats, scales: Floats, bounded: Sequence[str], sample: Floats
) -> Origin | None:
    """The origin of the columns and the target (last in ``means`` and ``scales``, (d+1,)) that lie
    far from 0, as far as the formula allows; None where none is to be moved.

    ``bounded`` parameters must keep their meaning; ``sample`` (m, d) are some rows.
    """
    far = np.abs(means) > _FAR * scales
    far[:-1] &= ~_counted(formula, means[:-1])
    if not far.any():
        return None
    middle = np.where(far, list(map(_round, means, scales)), 0.0)
    linear = tuple(j for j in formula.linear if formula.names[j] not in bounded)
    free = [name for name in formula.names if name not in bounded]
    # All that is far at once; else one by one.
    every = np.flatnonzero(middle)
    wanted = [every, *(every[i : i + 1] for i in range(len(every)))]
    best: Origin | None = None
    for some in wanted:
        shift = np.zeros(len(middle))
        shift[some] = middle[some]
        if best is not None:
            shift = np.where(shift != 0, shift, np.append(best.columns, best.target))
        locations = tuple(p for p in _location_parameters(formula, free) if shift[p.column])
        points = _spread_rows(sample, 3 * len(linear) + 4) - shift[:-1]
        made = Origin(formula, shift[:-1], float(shift[-1]), linear, locations, points)
        if _allows(made):
            best = made
            if np.array_equal(shift != 0, middle != 0):
                break
    return best


def _counted(formula: Formula, means: Floats) -> npt.NDArray[np.bool_]:
    """Which columns (d,) the formula itself counts from a number near them, as t - 1700000000."""
    import sympy

    found = np.zeros(len(means), dtype=bool)
    for node in sympy.preorder_traversal(formula.parsed.expression):
        numbers = [float(t) for t in node.args if t.is_number] if node.is_Add else []
        for j, name in enumerate(formula.columns):
            if any(abs(n) > 0.1 * abs(means[j]) for n in numbers):
                found[j] |= any(sympy.Symbol(name) in t.free_symbols for t in node.args)
    return found


def _round(mean: float, scale: float) -> float:
    """A number of few digits within a standard deviation of the mean."""
    for digits in range(1, 17):
        value = float(f"{mean:.{digits}g}")
        if abs(value - mean) <= scale:
            return value
    return mean


def _spread_rows(sample: Floats, count: int) -> Floats:
    order = np.lexsort(sample.T[::-1]) if sample.shape[1] else np.arange(len(sample))
    chosen = order[np.unique(np.linspace(0, len(order) - 1, count).astype(int))]
    return np.asarray(sample[chosen])


def _location_parameters(formula: Formula, free: Sequence[str]) -> list[LocationParameter]:
    """Parameters that are added to a multiple of a column and stand nowhere else."""
    import sympy

    expression, found = formula.parsed.expression, []
    for node in sympy.preorder_traversal(expression):
        if not node.is_Add:
            continue
        for j, column in enumerate(formula.columns):
            x = sympy.Symbol(column)
            terms = [t for t in node.args if x in t.free_symbols]
            slopes = [t / x for t in terms]
            if len(terms) != 1 or {s.name for s in slopes[0].free_symbols} & set(formula.columns):
                continue
            bare = [
                t
                for t in node.args
                if (t if t.is_Symbol else -t).is_Symbol and (str(t).lstrip("-")) in free
            ]
            for term in bare:
                symbol = term if term.is_Symbol else -term
                if expression.count(symbol) == 1 and not expression.diff(symbol).is_number:
                    found.append(
                        LocationParameter(symbol.name, 1 if term.is_Symbol else -1, slopes[0], j)
                    )
                    break
    # One for each node: a column that stands in another place too is left to the linear ones.
    return found


def _allows(origin: Origin) -> bool:
    """Whether the formula over shifted columns is the same with other parameters: at random ones,
    with shifts of the size of the columns, in 50 digits.
    """
    import mpmath  # type: ignore[import-untyped]

    formula = origin.formula
    random = np.random.default_rng(0)
    shifts = np.where(origin.columns != 0, random.uniform(0.3, 0.9, len(origin.columns)), 0.0)
    target = 0.7 if origin.target else 0.0
    points = random.uniform(0.4, 1.6, (3 * len(origin.linear) + 4, len(formula.columns)))
    tried = replace(origin, columns=shifts, target=target, points=points)
    with mpmath.workdps(2 * DIGITS):
        near = [mpmath.mpf(v) for v in random.uniform(0.4, 1.4, len(formula.names))]
        try:
            given = tried._mapped(near, back=True)
            x, far = (rows_of(formula, points, s) for s in (0.0 * shifts, shifts))
            one = evaluate(formula.parsed.expression, {**values_of(formula, near), **x}, mpmath)
            other = evaluate(
                formula.parsed.expression, {**values_of(formula, given), **far}, mpmath
            )
            off = np.max(np.abs(np.atleast_1d(other - one - mpmath.mpf(target))))
            return bool(off < _SAME)
        except (ZeroDivisionError, ValueError, TypeError, AttributeError, OverflowError):
            return False
