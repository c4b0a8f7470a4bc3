"""Calibrates the intervals within each level of a category, from scores of rows left out."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from halfsquare.data.encoder import Encoder
from halfsquare.data.features import Category
from halfsquare.errors import OptionError
from halfsquare.loss import Floats
from halfsquare.results.intervals import ByLevel, LevelScores, quantiles_of_scores

# The ends of a 95 % interval lie at place (n + 1) 0.025 from either side: at 1 of 39 scores.
FEWEST_OF_LEVEL = 39


def levels_asked(encoder: Encoder, column: str) -> ByLevel:
    """The levels of a category by which intervals are to be calibrated, none of them known yet.

    Raises
    ------
    OptionError
        If the model has no such category.
    """
    for feature, (name, start, stop) in zip(encoder.features, encoder.groups, strict=True):
        if name == column and isinstance(feature, Category):
            extra = (*("(other)",) * feature.other, *("(missing)",) * feature.missing)
            levels = (*feature.levels, *extra)
            unknown = tuple(LevelScores(level, 0, float("nan"), (), ()) for level in levels)
            return ByLevel(column, start, stop, unknown)
    categories = [f.column for f in encoder.features if isinstance(f, Category)]
    if column in encoder.left_out:
        found = f"was left out ({encoder.left_out[column]})"
    elif column in {f.column for f in encoder.features}:
        found = "is no category of the model (--category makes a column of numbers one)"
    else:
        found = "is no column of the model"
    known = f"its categories are {', '.join(categories)}" if categories else "it has none"
    raise OptionError(
        f"intervals cannot be calibrated by {column!r}: it {found}; expected a category that the "
        f"model uses: {known}"
    )


def within_levels(asked: ByLevel, design: Floats, scores: Floats) -> ByLevel:
    """What the scores (n,) of rows left out, of a design (n, d), say of each level."""
    found, own = asked.level_of(design), []
    for number, level in enumerate(asked.levels):
        of_level = scores[found == number]
        factor = float(np.sqrt(np.mean(of_level**2))) if len(of_level) else 0.0
        if len(of_level) < FEWEST_OF_LEVEL or not 0.0 < factor < np.inf:
            own.append(replace(level, rows=len(of_level)))
            continue
        at, values = quantiles_of_scores(of_level / factor)
        own.append(
            LevelScores(
                level.level, len(of_level), factor, tuple(at.tolist()), tuple(values.tolist())
            )
        )
    return replace(asked, levels=tuple(own))


def told_by_level(by: ByLevel) -> str:
    """What was calibrated within levels, and which levels have too few rows."""
    few = [f"{level.level} ({level.rows})" for level in by.levels if not level.known]
    known = len(by.levels) - len(few)
    text = f"intervals are calibrated within {known} of the {len(by.levels)} levels of {by.column}"
    if not few:
        return text
    shown = ", ".join(few[:5]) + (", …" if len(few) > 5 else "")
    return (
        f"{text}; as all rows are where fewer than {FEWEST_OF_LEVEL} rows of a level were left "
        f"out: {shown}"
    )
