"""The levels of categories: those of texts as they were read, those of numbers from one pass."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from halfsquare.errors import DataError
from halfsquare.loss import Floats
from halfsquare.models.terms.chunks import RawChunk
from halfsquare.models.terms.factors import Category, Factor
from halfsquare.models.terms.reading import level_label
from halfsquare.parallel.base import Execution

MOST_LEVELS = 5_000
Sets = tuple[Floats, ...]


def learn_levels(
    factors: Sequence[Factor],
    texts: Mapping[str, Sequence[str]],
    chunk: Callable[[int], RawChunk],
    count: int,
    execution: Execution,
    states: dict[str, Any],
) -> None:
    """Add the levels of every category to ``states``; texts bring theirs, numbers are looked
    through.

    Raises
    ------
    DataError
        If a column has too few or too many levels, or not those that the formula lists.
    """
    categories = {f.key: f for f in factors if isinstance(f, Category)}
    numeric = {f.of: f for f in categories.values() if not f.is_text}
    values: dict[str, Floats] = {}
    if numeric:

        def distinct(index: int) -> Sets:
            rows = chunk(index).columns
            found = ((name, f.values(rows)) for name, f in numeric.items())
            return tuple(_limited(name, np.unique(v[~np.isnan(v)])) for name, v in found)

        def merge(a: Sets, b: Sets) -> Sets:
            return tuple(
                _limited(c, np.union1d(x, y)) for c, x, y in zip(numeric, a, b, strict=True)
            )

        zero: Sets = tuple(np.empty(0) for _ in numeric)
        found = execution.reduce(distinct, merge, count, zero)
        values = dict(zip(numeric, found, strict=True))
    for key, category in categories.items():
        present = (
            list(texts[category.column])
            if category.is_text
            else [level_label(float(v)) for v in values[category.of]]
        )
        states[key] = _level_state(category, present, values.get(category.of))
    for category in (f for f in factors if isinstance(f, Category)):
        _check_coding(category, list(states[category.key]["levels"]))


def _limited(column: str, values: Floats) -> Floats:
    if len(values) > MOST_LEVELS:
        raise DataError(f"C({column}): more than {MOST_LEVELS:,} different values are no category")
    return values


def _level_state(category: Category, present: list[str], values: Floats | None) -> dict[str, Any]:
    levels = present if category.given is None else list(category.given)
    unknown = [level for level in present if level not in set(levels)]
    if unknown:
        raise DataError(
            f"{category.text}: column {category.column!r} holds {unknown[0]!r}, which is none of "
            f"the levels listed"
        )
    if len(levels) > MOST_LEVELS:
        raise DataError(
            f"column {category.column!r} has {len(levels):,} levels; at most {MOST_LEVELS:,} can "
            f"be terms. "
            "Absorb it instead, or leave it out"
        )
    if len(levels) < 2:
        raise DataError(
            f"column {category.column!r} has one level alone, "
            f"{', '.join(map(repr, levels)) or 'none'}: "
            "a category needs two; leave it out"
        )
    if values is None:
        place = {level: i for i, level in enumerate(levels)}
        return {"levels": levels, "positions": [place[level] for level in present]}
    try:
        ordered = [float(level) for level in levels]
    except ValueError:
        raise DataError(f"{category.text}: the levels of a number column are numbers") from None
    return {"levels": levels, "values": ordered}


def _check_coding(category: Category, levels: list[str]) -> None:
    if category.base is not None and category.base not in levels:
        shown = ", ".join(map(repr, levels[:12])) + (", …" if len(levels) > 12 else "")
        raise DataError(
            f"{category.text}: {category.base!r} is no level of {category.column!r}; the levels "
            f"are {shown}"
        )
    if category.scores is not None and len(category.scores) != len(levels):
        raise DataError(f"{category.text}: {len(category.scores)} scores for {len(levels)} levels")
