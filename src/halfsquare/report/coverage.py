"""Do intervals keep their promise row by row? Their coverage in fifths of the output and of the
columns that matter most, and of levels.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from halfsquare.data.reading import open_for
from halfsquare.data.spec import DataSpec
from halfsquare.errors import DataError
from halfsquare.loss import Floats
from halfsquare.report.views import View, important
from halfsquare.results.fitted import FittedModel
from halfsquare.results.intervals import ends_of
from halfsquare.results.weighed_rows import of_noise, weighed_rows, with_own_weights
from halfsquare.text import number

_COLUMNS, _LEVELS, _FEWEST = 4, 8, 20


@dataclass(frozen=True)
class Covered:
    """The share of targets inside their interval, in one part of the rows.

    Attributes
    ----------
    by : str
        ``"all rows"``, ``"prediction"`` or a column.
    part : str
        A range, or a level.
    covered, standard_error : float
        The share, and its standard error if the rows are independent.
    """

    by: str
    part: str
    rows: int
    covered: float
    standard_error: float


def coverage(fitted: FittedModel, data: Any, level: float = 0.95, target: int = 0) -> list[Covered]:
    """The coverage of a target's intervals on every row that has one; a row counts once, whatever
    its weight.

    Raises
    ------
    DataError
        If no row has a target.
    """
    spec = with_own_weights(fitted, DataSpec.of(data))
    seen = important(fitted, _COLUMNS)
    outputs, inside = [], []
    values: list[list[Floats]] = [[] for _ in seen]
    source = open_for(fitted.encoder, spec)
    for batch in weighed_rows(source, fitted, spec):
        assert batch.target is not None
        keep = ~np.isnan(batch.target).any(axis=1)
        design, t = batch.design[keep], batch.target[keep, target]
        weight = of_noise(fitted, spec, batch.weight)
        weight = None if weight is None else weight[keep]
        o, (low, high) = fitted.quantiles_of(design, ends_of(level), weight=weight)
        outputs.append(o[:, target])
        inside.append((low[:, target] <= t) & (t <= high[:, target]))
        for view, found in zip(seen, values, strict=True):
            found.append(np.asarray(view.values(design), dtype=float))
    if not sum(map(len, outputs)):
        raise DataError("no row has a target: there is no coverage to measure")
    o, covered = np.concatenate(outputs), np.concatenate(inside)
    lines = [_line("all rows", "", covered), *_fifths("prediction", o, covered)]
    for view, found in zip(seen, values, strict=True):
        lines += _of_view(view, np.concatenate(found), covered)
    return lines


def _of_view(view: View, values: Floats, covered: Any) -> list[Covered]:
    if not view.levels:
        return _fifths(view.title, values, covered)
    counts = np.bincount(values.astype(np.intp), minlength=len(view.levels))
    shown = [j for j in np.argsort(-counts, kind="stable")[:_LEVELS] if counts[j] >= _FEWEST]
    return [_line(view.title, str(view.levels[j]), covered[values == j]) for j in shown]


def _fifths(by: str, values: Floats, covered: Any) -> list[Covered]:
    """Equal values stay together."""
    known = ~np.isnan(values)
    values, covered = values[known], covered[known]
    if len(values) < 5 * _FEWEST:
        return []
    edges = np.unique(np.quantile(values, [0.2, 0.4, 0.6, 0.8]))
    which = np.searchsorted(edges, values, side="left")
    found = []
    for part in np.unique(which):
        own = values[which == part]
        words = f"{number(float(own.min()))} to {number(float(own.max()))}"
        found.append(_line(by, words, covered[which == part]))
    return found


def _line(by: str, part: str, covered: Any) -> Covered:
    n = len(covered)
    share = float(covered.mean())
    # With one row more of each kind: none of few rows outside is no certainty (Agresti & Coull).
    wide = (share * n + 2.0) / (n + 4.0)
    return Covered(by, part, n, share, float(np.sqrt(wide * (1.0 - wide) / (n + 4.0))))
