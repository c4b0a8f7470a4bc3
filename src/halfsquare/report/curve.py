"""The fitted curve over its one column, with the band in which new targets lie, and the rows."""

from __future__ import annotations

from typing import Any

import numpy as np

from halfsquare.data.features import Number, Plain
from halfsquare.data.reading import open_for, read_encoded
from halfsquare.figures.charts_fit import curve_chart
from halfsquare.figures.marks import Rows
from halfsquare.figures.static_figure import Figure, draw_both
from halfsquare.results.fitted import FittedModel
from halfsquare.results.intervals import ends_of
from halfsquare.text import number

_STEPS, _MOST_ROWS = 160, 600


def fit_curve(fitted: FittedModel, data: Any, unit: str) -> Figure | None:
    """The curve of a model of one number and one target; None for any other."""
    features = fitted.encoder.features
    if (
        len(features) != 1
        or not isinstance(features[0], (Number, Plain))
        or len(fitted.encoder.targets) != 1
    ):
        return None
    feature = features[0]
    x = np.linspace(feature.minimum, feature.maximum, _STEPS)
    out = np.empty((len(fitted.encoder.names), len(x)))
    fitted.encoder.encode(x[None, :], out)
    outputs, ends = fitted.quantiles_of(out.T, ends_of(0.95))
    output, (low, high) = outputs[:, 0], ends[:, :, 0]
    curve = [
        {"x": float(a), "y": float(o), "low": float(b), "high": float(h)}
        for a, o, b, h in zip(x, output, low, high, strict=True)
        if np.isfinite(o)
    ]
    rows = _rows(fitted, data)
    if not curve or not rows:
        return None
    for point in curve:  # a band that is not known is left out of the picture
        if not np.isfinite(point["low"] + point["high"]):
            point["low"] = point["high"] = point["y"]
    words = (
        f"{unit} over {feature.column}, from {number(feature.minimum, 4)} to "
        f"{number(feature.maximum, 4)}: the fitted curve "
        f"goes from {number(curve[0]['y'], 4)} to {number(curve[-1]['y'], 4)}."
    )
    caption = (
        f"Line: the fitted curve. Shaded: between these bounds a new {unit} lies with 95 % "
        "probability. "
        f"Points: {len(rows):,} rows, blue where the output is too low, orange where it is "
        "too high."
    )
    svg = draw_both(
        lambda width: curve_chart(curve, rows, feature.column, unit, width=width), "curve", words
    )
    shown = curve[:: _STEPS // 8]
    numbers = tuple(
        (number(c["x"], 4), number(c["y"], 4), number(c["low"], 4), number(c["high"], 4))
        for c in shown
    )
    return Figure(
        "curve",
        "The fit",
        caption,
        words,
        svg,
        (feature.column, "output", "95 % from", "to"),
        numbers,
    )


def _rows(fitted: FittedModel, data: Any) -> Rows:
    """Some of the first rows, evenly taken."""
    source = open_for(fitted.encoder, data)
    batch = next(read_encoded(source, fitted.encoder, with_target=True), None)
    if batch is None or batch.target is None:
        return []
    keep = np.isfinite(batch.target[:, 0]) & np.isfinite(batch.design[:, 0])
    design, target = batch.design[keep], batch.target[keep, 0]
    every = max(1, -(-len(design) // _MOST_ROWS))
    design, target = design[::every], target[::every]
    x = design[:, 0] * fitted.encoder.scales[0] + fitted.encoder.means[0]
    error = fitted.outputs_of(design)[0][:, 0] - target
    rmse = float(np.sqrt(np.mean(error * error))) if len(error) else 0.0
    return [
        {"x": float(a), "y": float(t), "error": float(e), "rmse": rmse}
        for a, t, e in zip(x, target, error, strict=True)
    ]
