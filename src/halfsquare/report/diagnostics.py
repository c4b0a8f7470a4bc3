"""Diagnostics of a linear fit, from a sample of its rows.

Residuals here are t − o, as everywhere in this corner of the field. A residual over its own
standard deviation is *standardized*, r = (t − o) √w / (s √(1 − h)) (Cook & Weisberg 1982,
"Residuals and Influence in Regression", eq. 2.1.2), with the leverage h of
:mod:`halfsquare.results.influence`; Cook's distance of one output is D = r² h / (p (1 − h)).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import special, stats

from halfsquare.figures import charts_diagnostics as draw_as
from halfsquare.figures.charts_fit import HALF
from halfsquare.figures.static_figure import Figure, draw
from halfsquare.loss import Floats, error
from halfsquare.report.sample import Sample
from halfsquare.results.fitted import FittedModel
from halfsquare.results.influence import InfluenceSums
from halfsquare.text import number

_FEWEST = 8
_GROUPS = 12
DIAGNOSTICS = ("residuals", "normal", "scale", "influence")
NAMED = 3  # rows of greatest Cook's distance, labelled


@dataclass(frozen=True)
class Diagnostics:
    """Rows of a linear fit and how they lie.

    Attributes
    ----------
    rows : (m,)
        Their numbers, from 1.
    fitted, residual : (m,)
        Output, and t − o, in the target's unit.
    standardized, leverage, cooks : (m,)
    parameters : float
        p, effective where there is a penalty.
    seen : int
        Rows of which these are a sample.
    """

    rows: npt.NDArray[np.intp]
    fitted: Floats
    residual: Floats
    standardized: Floats
    leverage: Floats
    cooks: Floats
    parameters: float
    seen: int


def diagnose(fitted: FittedModel, sample: Sample) -> Diagnostics | None:
    """Of the sample; None for another model, several targets, a transformed target, too few rows
    or an exact fit.
    """
    known = InfluenceSums.of(fitted, 0) if len(fitted.encoder.targets) == 1 else None
    transformed = fitted.members[0].model.target_function != "identity"
    if known is None or transformed or len(sample.rows) < _FEWEST:
        return None
    errors = error(sample.target, sample.output)
    h, _ = known.measure(sample.design, errors, sample.weight)
    keep = h < 1.0 - 1e-9  # a row that decides its own output has no residual to speak of
    if keep.sum() < _FEWEST:
        return None
    residual = -errors[:, 0]
    std = np.sqrt(known.variance[0] * np.maximum(1.0 - h, 1e-300) / sample.weight)
    r, p = residual / std, known.parameters
    cooks = r**2 * h / (p * np.maximum(1.0 - h, 1e-300))
    return Diagnostics(
        rows=sample.rows[keep],
        fitted=sample.output[keep, 0],
        residual=residual[keep],
        standardized=r[keep],
        leverage=h[keep],
        cooks=cooks[keep],
        parameters=p,
        seen=sample.seen,
    )


def quantile_band(count: int) -> tuple[Floats, Floats, Floats]:
    """Where ``count`` normal numbers, in their order, are expected: medians, and the bounds between
    which each lies with 95 % probability, (count,) each.

    The i-th of m uniform numbers has the distribution Beta(i, m + 1 − i) (David & Nagaraja 2003,
    "Order Statistics", section 2.3).

    Examples
    --------
    >>> middle, low, high = quantile_band(3)
    >>> middle.round(3).tolist(), bool((low < middle).all() and (middle < high).all())
    ([-0.819, 0.0, 0.819], True)
    """
    i = np.arange(1, count + 1)
    ends = (stats.beta.ppf(q, i, count + 1 - i) for q in (0.5, 0.025, 0.975))
    middle, low, high = (np.asarray(special.ndtri(end)) for end in ends)
    return middle, low, high


def diagnostics(fitted: FittedModel, sample: Sample, unit: str) -> list[Figure]:
    """The four figures of a linear fit; none where there is nothing to diagnose."""
    found = diagnose(fitted, sample)
    if found is None:
        return []
    made = (_residuals(found, unit), _normal(found), _scale(found, unit), _influence(found))
    return [_figure(*one) for one in made]


def chart_of(fitted: FittedModel, sample: Sample, unit: str, what: str, width: int) -> Any:
    """One of the four, as a chart; None where there is nothing to diagnose."""
    found = diagnose(fitted, sample)
    if found is None:
        return None
    make: dict[str, Callable[[], tuple[str, str, str, Any]]] = {
        "residuals": lambda: _residuals(found, unit),
        "normal": lambda: _normal(found),
        "scale": lambda: _scale(found, unit),
        "influence": lambda: _influence(found),
    }
    return make[what]()[3](width)


def _figure(name: str, title: str, words: str, chart: Callable[[int], Any]) -> Figure:
    return Figure(name, title, words, words, draw(chart(HALF - 50), name, words))


def _points(found: Diagnostics, x: Floats, y: Floats) -> list[dict[str, Any]]:
    """Points with the side on which their outputs are."""
    return [
        {"x": float(a), "y": float(b), "side": -float(np.sign(r))}
        for a, b, r in zip(x, y, found.residual, strict=True)
    ]


def _means(x: Floats, y: Floats) -> list[dict[str, float]]:
    """Means of y over groups of rows of like x."""
    order = np.argsort(x, kind="stable")
    groups = np.array_split(order, min(_GROUPS, max(1, len(x) // 8)))
    return [{"x": float(x[g].mean()), "y": float(y[g].mean())} for g in groups]


def _residuals(d: Diagnostics, unit: str) -> tuple[str, str, str, Any]:
    means = _means(d.fitted, d.residual)
    most = max(means, key=lambda m: abs(m["y"]))
    words = (
        f"Residuals t − o against outputs{_of(d)}. The line joins means of groups of rows; it "
        f"would lie at zero if a straight line were right. It is farthest off, "
        f"{number(most['y'], 3)} {unit}, about {number(most['x'], 4)}."
    )
    points = _points(d, d.fitted, d.residual)
    titles = f"output o: {unit}", f"residual t − o: {unit}"
    return (
        "residuals",
        "Residuals against outputs",
        words,
        lambda width: draw_as.residual_chart(points, means, *titles, width=width),
    )


def _normal(d: Diagnostics) -> tuple[str, str, str, Any]:
    order = np.argsort(d.standardized, kind="stable")
    r = d.standardized[order]
    middle, low, high = quantile_band(len(r))
    outside = int(np.count_nonzero((r < low) | (r > high)))
    words = (
        f"Standardized residuals in their order against those of normal ones{_of(d)}. Shaded: "
        f"where each would lie with 95 % probability. Outside: {outside:,} of {len(r):,}."
    )
    points = _points(d, *_ordered(middle, r, order))
    bounds = [
        {"x": float(a), "y": float(b), "y2": float(c)}
        for a, b, c in zip(middle, low, high, strict=True)
    ]
    return (
        "normal",
        "Are they normal?",
        words,
        lambda width: draw_as.quantile_chart(points, bounds, width=width),
    )


def _ordered(x: Floats, y: Floats, order: npt.NDArray[np.intp]) -> tuple[Floats, Floats]:
    """Back in the order of the rows."""
    back = np.argsort(order, kind="stable")
    return x[back], y[back]


def _scale(d: Diagnostics, unit: str) -> tuple[str, str, str, Any]:
    size = np.sqrt(np.abs(d.standardized))
    means = _means(d.fitted, size)
    least, most = (f(means, key=lambda m: m["y"]) for f in (min, max))
    ratio = (most["y"] / least["y"]) ** 2 if least["y"] > 0 else np.inf
    words = (
        f"√|standardized residual| against outputs{_of(d)}. A level line means noise of one size; "
        f"here groups of rows differ by a factor of {number(ratio, 2)} in the size of their "
        f"residuals, least about {number(least['x'], 4)}, most about {number(most['x'], 4)}."
    )
    points = _points(d, d.fitted, size)
    titles = f"output o: {unit}", "√|standardized residual|"
    return (
        "scale",
        "Is the noise of one size?",
        words,
        lambda width: draw_as.scale_chart(points, means, *titles, width=width),
    )


def _influence(d: Diagnostics) -> tuple[str, str, str, Any]:
    top = [int(i) for i in np.argsort(-d.cooks, kind="stable")[:NAMED]]
    which = ", ".join(f"row {d.rows[i]:,} ({number(float(d.cooks[i]), 2)})" for i in top)
    words = (
        f"Standardized residuals against leverage{_of(d)}. Greatest Cook's distances: {which}; "
        "dashed, where in the figure, are distances of ½ and 1."
    )
    points = _points(d, d.leverage, d.standardized)
    names = [{"x": points[i]["x"], "y": points[i]["y"], "name": f"{d.rows[i]:,}"} for i in top]
    h = np.linspace(0.0, float(d.leverage.max()) * 1.05, 81)[1:]
    contours = [
        {"x": float(a), "y": float(sign * y), "of": f"{distance} {sign}"}
        for distance in (0.5, 1.0)
        for sign in (-1, 1)
        for a, y in zip(h, np.sqrt(distance * d.parameters * (1 - h) / h), strict=True)
    ]
    return (
        "influence",
        "Which rows decide?",
        words,
        lambda width: draw_as.influence_chart(points, names, contours, width=width),
    )


def _of(d: Diagnostics) -> str:
    """How many rows are drawn, where not all are."""
    shown = len(d.rows)
    return "" if shown == d.seen else f", {shown:,} of {d.seen:,} rows chosen by a hash"
