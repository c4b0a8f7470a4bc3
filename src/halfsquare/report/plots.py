"""Single figures of a fitted model, for a notebook: history, errors, the effect of a column."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from halfsquare.data.features import Category
from halfsquare.errors import OptionError
from halfsquare.figures.charts_fit import WIDTH, curve_chart, descent_chart, effects_chart
from halfsquare.loss import Floats
from halfsquare.report.collect import collect
from halfsquare.report.dependence import dependence, dependence_chart
from halfsquare.report.diagnostics import DIAGNOSTICS, chart_of
from halfsquare.report.drawn import histogram_of
from halfsquare.report.views import View, views
from halfsquare.results.fitted import FittedModel
from halfsquare.text import LOSS_NAMES

_STEPS = 120


def plot(fitted: FittedModel, what: str, data: Any = None) -> Any:
    """See :meth:`halfsquare.FittedModel.plot`."""
    unit = fitted.encoder.targets[0]
    if what == "history":
        return history(fitted)
    if what == "errors":
        if data is None:
            raise OptionError("the errors are those on some rows: give them as data")
        return histogram_of(collect(fitted, data), unit)(WIDTH)
    for view in views(fitted.encoder):
        if view.feature.column == what:
            if data is None:
                return effect(fitted, view, unit)
            found = dependence(fitted, view, collect(fitted, data).sample)
            return dependence_chart(found, unit)
    if what in DIAGNOSTICS:
        return _diagnostic(fitted, what, data, unit)
    names = ", ".join(repr(view.feature.column) for view in views(fitted.encoder)[:8])
    known = ", ".join(map(repr, ("history", "errors", *DIAGNOSTICS)))
    raise OptionError(f"cannot draw {what!r}; expected one of {known}, or a column: {names}")


def _diagnostic(fitted: FittedModel, what: str, data: Any, unit: str) -> Any:
    if data is None:
        raise OptionError("diagnostics are those on some rows: give them as data")
    chart = chart_of(fitted, collect(fitted, data).sample, unit, what, WIDTH)
    if chart is None:
        raise OptionError(
            f"there is nothing to diagnose: {what!r} is drawn of a linear model of one target, "
            "with errors, on eight rows or more"
        )
    return chart


def history(fitted: FittedModel) -> Any:
    """The loss over the steps."""
    kept = fitted.info.get("history") or []
    rows = [
        {"iteration": h["iteration"], "value": h["loss"]}
        for h in kept
        if math.isfinite(h["loss"]) and h["loss"] > 0
    ]
    if len(rows) < 2:
        raise OptionError("there is no history to draw: the answer was found at once")
    name = LOSS_NAMES.get(str(fitted.info["options"]["loss"]), "loss")
    return descent_chart(rows, f"{name} (log)", log=True).properties(width=WIDTH, height=260)


def effect(fitted: FittedModel, view: View, unit: str) -> Any:
    """The output over one column, all others at their mean."""
    feature, d = view.feature, len(fitted.encoder.names)
    if view.levels:
        design = np.zeros((len(view.levels), d))
        own = np.zeros((len(view.levels), view.stop - view.start))
        if isinstance(feature, Category):
            own[1:] = np.eye(len(view.levels) - 1, own.shape[1])
        else:
            own[1:, 0] = 1.0
        design[:, view.start : view.stop] = (own - feature.means) / np.array(feature.scales)
        output, low, high = _interval(fitted, design)
        rows = [
            {"name": name, "value": o, "low": a, "high": b}
            for name, o, a, b in zip(view.levels, output, low, high, strict=True)
        ]
        return effects_chart(rows, unit, title=unit)
    ends = getattr(feature, "minimum", None), getattr(feature, "maximum", None)
    if ends[0] is None or ends[1] is None:
        raise OptionError(f"cannot draw {feature.column!r}: it is no number and no category")
    x = np.linspace(ends[0], ends[1], _STEPS)
    design = np.zeros((_STEPS, d))
    design[:, view.start] = (x - feature.means[0]) / feature.scales[0]
    output, low, high = _interval(fitted, design)
    line = [
        {"x": a, "y": o, "low": b, "high": h}
        for a, o, b, h in zip(x.tolist(), output, low, high, strict=True)
    ]
    return curve_chart(line, [], view.title, unit, width=WIDTH)


def _interval(fitted: FittedModel, design: Floats) -> tuple[list[float], list[float], list[float]]:
    outputs, std = fitted.outputs_of(design, with_std=True)
    half = np.nan_to_num(fitted.quantile(0.95) * std[:, 0])
    o = outputs[:, 0]
    return o.tolist(), (o - half).tolist(), (o + half).tolist()
