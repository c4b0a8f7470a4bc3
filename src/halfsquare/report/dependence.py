"""Partial dependence: the mean output over rows, as one column alone takes other values.

    f(v) = Σ w o(row with column = v) / Σ w

Friedman 2001, "Greedy function approximation: a gradient boosting machine", section 8.2. The band
is the mean of the rows' 95 % intervals: where a new target of such rows lies. Columns that go
together are taken apart by it, so some of the rows it looks at may be unlike any of the table.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from halfsquare.data.features import Instant
from halfsquare.figures import charts_fit as draw_as
from halfsquare.figures.static_figure import Figure, draw
from halfsquare.loss import Floats
from halfsquare.report.sample import Sample
from halfsquare.report.views import View, important
from halfsquare.results.fitted import FittedModel
from halfsquare.results.intervals import ends_of
from halfsquare.text import number

STEPS = 24
ROWS = 200
BAND_ROWS = 24  # of which the intervals are computed, where that costs p² a row
_YEAR = 365.2425 * 86400.0
_MOST_LEVELS = 12


@dataclass(frozen=True)
class Dependence:
    """The mean output over the values of one column.

    Attributes
    ----------
    view : View
    values : (m,)
        Of the column; places in ``view.levels`` for a category.
    output, low, high : (m,)
        Mean output, and the means of both ends of the 95 % intervals, in the target's unit.
    """

    view: View
    values: Floats
    output: Floats
    low: Floats
    high: Floats

    @property
    def rows(self) -> list[dict[str, Any]]:
        """What is drawn: x, y, low, high; of a category name, value, low, high."""
        name, value = ("name", "value") if self.view.levels else ("x", "y")
        return [
            {name: self.view.levels[int(x)] if self.view.levels else x, value: y} | ends
            for x, y, ends in zip(
                self.values.tolist(),
                self.output.tolist(),
                [
                    {"low": a, "high": b}
                    for a, b in zip(self.low.tolist(), self.high.tolist(), strict=True)
                ],
                strict=True,
            )
        ]


def dependence(fitted: FittedModel, view: View, sample: Sample, output: int = 0) -> Dependence:
    """The partial dependence of the target number ``output`` on one feature over some rows."""
    every = np.arange(0, len(sample.rows), max(1, len(sample.rows) // ROWS))
    rows, weight = sample.design[every], sample.weight[every] / sample.weight[every].sum()
    found = view.values(rows)
    if view.levels:
        levels = min(len(view.levels), _MOST_LEVELS)
        values = np.arange(levels, dtype=np.float64)
    else:
        values = np.linspace(found.min(), found.max(), STEPS)
    own = _written(view, values)
    some = np.unique(np.linspace(0, len(rows) - 1, BAND_ROWS).astype(np.intp))
    part = weight[some] / weight[some].sum()
    means, lows, highs = [], [], []
    for columns in own:
        design = rows.copy()
        design[:, view.start : view.stop] = columns
        outputs = fitted.outputs_of(design)[0][:, output]
        middle, ends = fitted.quantiles_of(design[some], ends_of(0.95))
        mean = float(weight @ outputs)
        means.append(mean)
        lows.append(mean + float(part @ (ends[0, :, output] - middle[:, output])))
        highs.append(mean + float(part @ (ends[1, :, output] - middle[:, output])))
    return Dependence(view, values, np.array(means), np.array(lows), np.array(highs))


def _written(view: View, values: Floats) -> Floats:
    """The standardized design columns (m, q) of the values."""
    feature, width = view.feature, view.stop - view.start
    if view.levels:
        own = np.zeros((len(values), width))
        for i, j in enumerate(values.astype(np.intp)):
            if j:
                own[i, j - 1] = 1.0
    else:
        raw = (values - 1970.0) * _YEAR if isinstance(feature, Instant) else values
        columns = np.zeros((width, len(values)))
        feature.write(raw, columns)
        own = columns.T
    return np.asarray((own - np.array(feature.means)) / np.array(feature.scales))


def dependence_chart(found: Dependence, unit: str, *, width: int = draw_as.WIDTH) -> Any:
    """A line with its band; a category as points with intervals."""
    title = f"mean output: {unit}"
    if found.view.levels:
        return draw_as.effects_chart(found.rows, unit, width=width, title=title, about_zero=False)
    return draw_as.curve_chart(found.rows, [], found.view.title, title, width=width)


def dependences(fitted: FittedModel, sample: Sample, unit: str, count: int) -> list[Figure]:
    """Of the features that matter most; none of a line or a formula, which show their
    parameters.
    """
    if fitted.kind not in ("network", "trees", "blend") or not len(sample.rows):
        return []
    found = []
    for i, view in enumerate(important(fitted, count)):
        one = dependence(fitted, view, sample)
        words = _words(one, unit)
        name = f"dependence-{i}"
        svg = draw(dependence_chart(one, unit, width=draw_as.HALF - 50), name, words)
        table = tuple(
            (view.shown(x), number(o, 5), number(low, 5), number(high, 5))
            for x, o, low, high in zip(one.values, one.output, one.low, one.high, strict=True)
        )
        header = (view.title, "mean output", "95 % from", "to")
        found.append(Figure(name, view.title, words, words, svg, header, table))
    return found


def _words(one: Dependence, unit: str) -> str:
    low, high = int(np.argmin(one.output)), int(np.argmax(one.output))
    at = [one.view.shown(float(one.values[i])) for i in (low, high)]
    return (
        f"The mean output is least, {number(float(one.output[low]), 4)} {unit}, at {at[0]}, and "
        f"greatest, {number(float(one.output[high]), 4)}, at {at[1]}."
    )
