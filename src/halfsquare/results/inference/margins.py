"""Marginal means, contrasts and average marginal effects: linear functions L b of the coefficients.

A marginal mean is the output at a level of a category, averaged with equal weights over the levels
of the other categories, numbers at their means (Searle, Speed & Milliken 1980, "Population marginal
means in the linear model"; R's emmeans). An average marginal effect is the mean over the rows of
the derivative of the output by a column, or of its change when every row is moved to a level from
the first one (R's margins, statsmodels' get_margeff).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, product

import numpy as np

from halfsquare.errors import OptionError
from halfsquare.loss import Floats
from halfsquare.models.terms.chunks import RawChunk
from halfsquare.models.terms.dates import KINDS as DATES
from halfsquare.models.terms.design import TermsDesign
from halfsquare.models.terms.factors import Category, Numeric
from halfsquare.models.terms.syntax import Name
from halfsquare.parallel.base import Execution

_MOST_CELLS = 100_000


@dataclass(frozen=True)
class LinearFunctions:
    """Some linear functions of the columns of a design: names (q,) and rows (q, d)."""

    names: tuple[str, ...]
    rows: Floats


def categories_of(design: TermsDesign) -> dict[str, list[str]]:
    """Each column that is a category of the design, with its levels."""
    found: dict[str, list[str]] = {}
    for factor in design.factors.values():
        if isinstance(factor, Category) and factor.argument is None:
            found.setdefault(factor.column, factor.levels(design.states))
    return found


def marginal_means(
    design: TermsDesign,
    means: Mapping[str, float],
    columns: Sequence[str],
    at: Mapping[str, float] | None = None,
) -> LinearFunctions:
    """The mean output at each level of a category, or at each combination of several.

    Parameters
    ----------
    means : mapping of number column to its mean over the training rows
    columns : sequence of str
        Categories of the design.
    at : mapping of number column to value, optional
        Where numbers are held instead of at their means.

    Raises
    ------
    OptionError
        If a column is no category of the model, or ``at`` names none of its numbers.
    """
    levels = categories_of(design)
    for column in columns:
        if column not in levels:
            raise OptionError(f"{column!r} is no category of the model; they are {_listed(levels)}")
    numbers = {c: means[c] for c in design.columns if c not in levels}
    for column in at or {}:
        if column not in numbers:
            raise OptionError(f"{column!r} is no number of the model; they are {_listed(numbers)}")
    cells = list(product(*(range(len(v)) for v in levels.values())))
    if len(cells) > _MOST_CELLS:
        raise OptionError(
            f"the categories have {len(cells):,} combinations; at most {_MOST_CELLS:,} are "
            f"averaged over"
        )
    grid = {c: np.full(len(cells), v) for c, v in {**numbers, **(at or {})}.items()}
    codes = np.array(cells, dtype=np.intp).reshape(len(cells), len(levels))
    for j, column in enumerate(levels):
        grid[column] = raw_levels(design, column)[codes[:, j]]
    rows = design.write(grid, len(cells)).T
    where = [list(levels).index(c) for c in columns]
    wanted = list(product(*(range(len(levels[c])) for c in columns)))
    picked = [np.all(codes[:, where] == combination, axis=1) for combination in wanted]
    names = tuple(
        ", ".join(f"{c}={levels[c][i]}" for c, i in zip(columns, combination, strict=True))
        for combination in wanted
    )
    return LinearFunctions(names, np.array([rows[p].mean(axis=0) for p in picked]))


def raw_levels(design: TermsDesign, column: str) -> Floats:
    """What stands for each level of a category in raw columns: codes of texts, or numbers."""
    levels = design.levels_of(column)
    if design.kinds[column] == "text":
        place = {text: float(code) for code, text in enumerate(design.texts[column])}
        # A level that the formula lists and no row has is at a code past the end: it has no text.
        return np.array([place.get(level, np.nan) for level in levels])
    return np.array([float(level) for level in levels])


def _listed(names: Mapping[str, object]) -> str:
    return ", ".join(map(repr, list(names)[:12])) or "none"


def pairwise(functions: LinearFunctions) -> LinearFunctions:
    """Every difference of two: the first minus the second, as emmeans counts them."""
    pairs = list(combinations(range(len(functions.names)), 2))
    return LinearFunctions(
        tuple(f"{functions.names[i]} - {functions.names[j]}" for i, j in pairs),
        np.array([functions.rows[i] - functions.rows[j] for i, j in pairs]).reshape(
            len(pairs), functions.rows.shape[1]
        ),
    )


def against_first(functions: LinearFunctions) -> LinearFunctions:
    """Each but the first, minus the first."""
    first = functions.names[0]
    return LinearFunctions(
        tuple(f"{name} - {first}" for name in functions.names[1:]),
        functions.rows[1:] - functions.rows[0],
    )


def average_effects(
    design: TermsDesign,
    spreads: Mapping[str, float],
    chunk: Callable[[int], RawChunk],
    count: int,
    execution: Execution,
) -> LinearFunctions:
    """The average marginal effect of every column but dates, as linear functions of the
    coefficients.

    Parameters
    ----------
    spreads : mapping of number column to its standard deviation
        It sets the step of the derivative.
    chunk : callable
        Chunk 0 … count-1 of raw rows; their training rows are averaged over.
    """
    levels = categories_of(design)
    columns = [c for c in design.columns if design.kinds[c] not in DATES]
    constant = {c: _constant_slope(design, c) for c in columns if c not in levels}
    names: list[str] = []
    for column in columns:
        names += (
            [f"{column}={level}" for level in levels[column][1:]] if column in levels else [column]
        )
    constant |= {c: _constant_moves(design, c) for c in levels}
    slopes = [c for c, row in constant.items() if row is None]
    width = len(design.names)

    def of(index: int) -> tuple[Floats, float]:
        rows = chunk(index).training()
        weight = np.ones(rows.train) if rows.weight is None else rows.weight
        found = []
        for column in columns:
            if column in levels and column in slopes:
                found.append(_moved(design, rows, column, weight))
            elif column in slopes:
                found.append((_slope(design, rows, column, spreads[column]) @ weight)[None, :])
        return np.vstack([np.zeros((0, width)), *found]), float(weight.sum())

    sizes = sum(len(levels[c]) - 1 if c in levels else 1 for c in slopes)
    zero: tuple[Floats, float] = (np.zeros((sizes, width)), 0.0)
    computed = iter(np.empty((0, width)))
    if sizes:  # else no row need be looked at
        total, weight = execution.reduce(of, lambda a, b: (a[0] + b[0], a[1] + b[1]), count, zero)
        computed = iter(total / weight)
    rows: list[Floats] = []
    for column in columns:
        known = constant[column]
        count = len(levels[column]) - 1 if column in levels else 1
        rows += [next(computed) for _ in range(count)] if known is None else list(known)
    return LinearFunctions(tuple(names), np.array(rows).reshape(len(rows), width))


def _constant_moves(design: TermsDesign, column: str) -> Floats | None:
    """What moving to each level changes, where it is the same in every row: all terms of the
    category are of it alone.
    """
    using = [t for t in design.terms if any(column in design.factors[f].columns for f in t)]
    if any(design.factors[f].columns != (column,) for t in using for f in t):
        return None
    values = raw_levels(design, column)
    rows = {c: np.full(len(values), np.nan) for c in design.columns} | {column: values}
    cells = design.write(rows, len(values), touching=column).T
    return np.asarray(cells[1:] - cells[0])


def _constant_slope(design: TermsDesign, column: str) -> Floats | None:
    """∂design/∂column where it is the same in every row: the column is a term and no more."""
    using = [t for t in design.terms if any(column in design.factors[f].columns for f in t)]
    if len(using) != 1 or len(using[0]) != 1:
        return None
    factor = design.factors[using[0][0]]
    if not isinstance(factor, Numeric) or not isinstance(factor.node, Name):
        return None
    return np.array([[1.0 if name == factor.text else 0.0 for name in design.names]])


def _moved(design: TermsDesign, rows: RawChunk, column: str, weight: Floats) -> Floats:
    """Σ w (design at each level but the first - design at the first), (levels - 1, d)."""
    sums = [
        design.write(
            {**rows.columns, column: np.full(rows.train, value)}, rows.train, touching=column
        )
        @ weight
        for value in raw_levels(design, column)
    ]
    return np.array([each - sums[0] for each in sums[1:]])


def _slope(design: TermsDesign, rows: RawChunk, column: str, spread: float) -> Floats:
    """∂design/∂column (d, m) by central differences of fourth order: exact for cubic pieces."""
    x = rows.columns[column]
    wide = 1e-3 * spread
    # A step does not cross 0, where a logarithm ends.
    step = np.where(np.abs(x) > 2.5 * wide, wide, np.maximum(1e-3 * np.abs(x), 1e-4 * wide))

    def at(steps: int) -> Floats:
        moved = {**rows.columns, column: x + steps * step}
        return design.write(moved, rows.train, touching=column)

    return (8.0 * (at(1) - at(-1)) - (at(2) - at(-2))) / (12.0 * step)
