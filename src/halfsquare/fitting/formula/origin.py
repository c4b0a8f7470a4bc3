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
import numpy.typing as npt

from halfsquare.data.rows import ChangedRows, Chunk, Rows
from halfsquare.fitting.formula.extended_precision import evaluate
from halfsquare.fitting.formula.inference import correlation
from halfsquare.loss import Floats
from halfsquare.models.formula.model import Formula
from halfsquare.results.trained import FormulaFacts, Trained

_FAR = 30.0  # means in standard deviations: from there on a column is counted from its middle
_SAME = 1e-20  # of functions that span the same space, in 50 digits
_DIGITS = 50
_LEAST = 1e-290  # a parameter below has lost digits, or is no number of float64 at all


@dataclass(frozen=True)
class Place:
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
    places : tuple of Place
        Parameters that move with a column.
    points : (m, d)
        Rows, shifted, at which the functions are compared.
    """

    formula: Formula
    columns: Floats
    target: float
    linear: tuple[int, ...]
    places: tuple[Place, ...]
    points: Floats

    def shifted(self, parameters: Floats) -> Floats:
        """The parameters (p,) over shifted columns that fit as these do over those given."""
        return np.array([float(v) for v in self._mapped(parameters, back=False)])

    def given(self, parameters: Floats) -> tuple[Floats, Floats]:
        """The parameters (p,) over the columns as given, and their derivatives (p, p) by those over
        shifted ones. What is beyond float64 comes out infinite or 0.
        """
        import mpmath  # type: ignore[import-untyped]

        with mpmath.workdps(2 * _DIGITS):
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

        with mpmath.workdps(2 * _DIGITS):
            theta = [mpmath.mpf(v) for v in parameters]
            moved = list(theta)
            for place in self.places:
                at, names = self.formula.names.index(place.name), _values(self.formula, theta)
                slope = evaluate(place.slope, names, mpmath)
                change = place.sign * slope * mpmath.mpf(float(self.columns[place.column]))
                moved[at] = theta[at] + (-change if back else change)
            sides = [theta, moved] if back else [moved, theta]  # over shifted columns, as given
            if not self.linear:
                return moved
            none = np.zeros(len(self.columns))
            rows = [_rows(self.formula, self.points, s) for s in (none, self.columns)]
            near = _functions(self.formula, sides[0], rows[0], self.linear, mpmath)
            beyond = _functions(self.formula, sides[1], rows[1], self.linear, mpmath)
            known, sought = (near, beyond) if back else (beyond, near)
            coefficients = mpmath.matrix([theta[j] for j in self.linear])
            right = known[1] * coefficients + known[0] - sought[0]
            shift = mpmath.mpf(self.target)
            right += (shift if back else -shift) * mpmath.ones(right.rows, 1)
            for j, value in zip(self.linear, _solved(sought[1], right, mpmath), strict=True):
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
        names = [self.formula.names[j] for j in self.linear] + [p.name for p in self.places]
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
        places = tuple(p for p in _places(formula, free) if shift[p.column])
        points = _spread_rows(sample, 3 * len(linear) + 4) - shift[:-1]
        made = Origin(formula, shift[:-1], float(shift[-1]), linear, places, points)
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


def _places(formula: Formula, free: Sequence[str]) -> list[Place]:
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
                    found.append(Place(symbol.name, 1 if term.is_Symbol else -1, slopes[0], j))
                    break
    # One for each node: a column that stands in another place too is left to the linear ones.
    return found


def _allows(origin: Origin) -> bool:
    """Whether the formula over shifted columns is the same with other parameters: at random ones,
    with shifts of the size of the columns, in 50 digits.
    """
    import mpmath

    formula = origin.formula
    random = np.random.default_rng(0)
    shifts = np.where(origin.columns != 0, random.uniform(0.3, 0.9, len(origin.columns)), 0.0)
    target = 0.7 if origin.target else 0.0
    points = random.uniform(0.4, 1.6, (3 * len(origin.linear) + 4, len(formula.columns)))
    tried = replace(origin, columns=shifts, target=target, points=points)
    with mpmath.workdps(2 * _DIGITS):
        near = [mpmath.mpf(v) for v in random.uniform(0.4, 1.4, len(formula.names))]
        try:
            given = tried._mapped(near, back=True)
            x, far = (_rows(formula, points, s) for s in (0.0 * shifts, shifts))
            one = evaluate(formula.parsed.expression, {**_values(formula, near), **x}, mpmath)
            other = evaluate(formula.parsed.expression, {**_values(formula, given), **far}, mpmath)
            off = np.max(np.abs(np.atleast_1d(other - one - mpmath.mpf(target))))
            return bool(off < _SAME)
        except (ZeroDivisionError, ValueError, TypeError, AttributeError, OverflowError):
            return False


def _values(formula: Formula, theta: Sequence[Any]) -> dict[str, Any]:
    import mpmath

    held = {name: mpmath.mpf(repr(float(value))) for name, value in formula.fixed}
    return held | dict(zip(formula.names, theta, strict=True))


def _rows(formula: Formula, points: Floats, shifts: Floats) -> dict[str, Any]:
    """The columns of some rows (m, d) plus shifts (d,), in extended precision."""
    import mpmath

    return {
        name: np.array(
            [mpmath.mpf(float(v)) + float(shifts[j]) for v in points[:, j]], dtype=object
        )
        for j, name in enumerate(formula.columns)
    }


def _functions(
    formula: Formula, theta: Sequence[Any], x: dict[str, Any], linear: tuple[int, ...], mp: Any
) -> tuple[Any, Any]:
    """What is left of the outputs with the linear parameters 0 (m, 1), and what each multiplies
    (m, q).
    """
    columns = []
    for one in (None, *linear):
        some = [
            mp.mpf(1) if j == one else mp.mpf(0) if j in linear else v for j, v in enumerate(theta)
        ]
        values = evaluate(formula.parsed.expression, {**_values(formula, some), **x}, mp)
        count = len(next(iter(x.values()))) if x else 1
        columns.append(np.broadcast_to(np.asarray(values, dtype=object), (count,)))
    base = columns[0]
    left = mp.matrix(list(base))
    return left, mp.matrix([[c[i] - base[i] for c in columns[1:]] for i in range(len(base))])


def _solved(matrix: Any, right: Any, mp: Any) -> list[Any]:
    """The least-squares solution of matrix · a = right, its columns brought to one size."""
    sizes = [mp.norm(matrix[:, j]) or mp.mpf(1) for j in range(matrix.cols)]
    scaled = matrix.copy()
    for j, size in enumerate(sizes):
        for i in range(matrix.rows):
            scaled[i, j] = matrix[i, j] / size
    solution = mp.qr_solve(scaled, right)[0]
    return [solution[j] / size for j, size in enumerate(sizes)]


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
