"""The page *Predict*: one row typed in, its output with interval and parts, and what a truth would
say of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite
from typing import Any

import numpy as np
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from halfsquare.errors import OptionError
from halfsquare.explain.changes import Change, changes
from halfsquare.explain.one_example import ExampleExplanation, explain_example
from halfsquare.explain.parts import Parts, parts_of
from halfsquare.figures.charts import one_example_chart
from halfsquare.figures.live import Compiled, refilled, without_inputs
from halfsquare.report.fields import Field, design_of, designs_along, fields_of, number_of
from halfsquare.results.fitted import FittedModel
from halfsquare.results.intervals import ends_of
from halfsquare.web.figures import effect_drawn, effect_spec, parts_drawn, parts_spec
from halfsquare.web.templates import Page, island, part, render

PATH = "/predict"
LEVEL = 0.95
_MOST_CHANGES = 30
_POINTS = 61  # of a curve over a column
_DRAGGED = 0.99  # a truth within this share of the figure leaves the figure as it is


@dataclass(frozen=True)
class Prediction:
    """What the page shows of one row.

    Attributes
    ----------
    outputs : list of (target, output, low, high)
        One for each target of the model; the first is explained.
    reach : float
        Half the width of the figure, in the unit of the target.
    """

    key: str
    fields: list[Field]
    outputs: list[tuple[str, float, float, float]]
    parts: Parts | None
    changes: tuple[Change, ...]
    explained: ExampleExplanation
    reach: float
    effect: dict[str, Any] | None

    @property
    def signals(self) -> dict[str, Any]:
        """Of the figure of the truth."""
        o = self.explained.output
        return {
            "target": self.explained.target,
            "output": o,
            "convention": "half_sse",
            "digits": 4,  # as in the words beside it
            "span": [o - self.reach, o + self.reach],
        }


def _page(request: Request) -> Response:
    models = request.app.state.workspace.models
    if not models:
        return render(request, "predict_none.html")
    found = _asked(request)
    spec = {
        **refilled(_compiled(), signals=found.signals),
        "description": "The loss over the output, as a parabola.",
    }
    figures = {}
    if found.effect is not None:
        figures["effect"] = refilled(effect_spec(), **found.effect)
    if found.parts is not None:
        figures["parts"] = refilled(parts_spec(), **parts_drawn(found.parts))
    figures["truth"] = spec
    return render(
        request,
        "predict.html",
        models={key: name for key, (name, _) in models.items()},
        figures=list(figures),
        specs=[island(f"{name}-spec", spec) for name, spec in figures.items()],
        part=f"{PATH}/part",
        **_answer(found),
    )


def _part(request: Request) -> Response:
    found = _asked(request)
    drawn = parts_drawn(found.parts) if found.parts is not None else {"signals": {}, "data": {}}
    effect = found.effect or {"signals": {}, "data": {}}
    signals = {**drawn["signals"], **effect["signals"], **found.signals}
    data = {**drawn["data"], **effect["data"]}
    return part(request, "predict_answer.html", signals=signals, data=data, **_answer(found))


def _answer(found: Prediction) -> dict[str, Any]:
    return {"found": found, "explained": found.explained, "changes": _told(found.changes)}


def _told(found: tuple[Change, ...]) -> list[Change]:
    """Of whole columns: without the parts of a date that turn on circles, and the level that is the
    reference.
    """
    return [
        c
        for c in found
        if (c.of in (c.column, f"{c.column} day") if c.kind == "derivative" else c.change)
    ][:_MOST_CHANGES]


def _asked(request: Request) -> Prediction:
    query, models = request.query_params, request.app.state.workspace.models
    key = query.get("model") or next(iter(models), "")
    if key not in models:
        raise OptionError("this model is not here any more: choose Predict above")
    return predict_row(key, models[key][1], dict(query))


def predict_row(key: str, fitted: FittedModel, given: dict[str, str]) -> Prediction:
    """The prediction for the row that the form describes.

    Raises
    ------
    DataError, OptionError
        If a field holds what it cannot, or the model is not finite there.
    """
    encoder = fitted.encoder
    fields = fields_of(encoder, given)
    design, absent = design_of(encoder, fields)
    outputs, (lows, highs) = fitted.whole_quantiles_of(
        design[None, :], ends_of(LEVEL), absent=absent
    )
    bounds = [
        (float(o), float(low), float(high))
        for o, low, high in zip(outputs[0], lows[0], highs[0], strict=True)
    ]
    if not isfinite(bounds[0][0]):
        raise OptionError(
            "the model has no finite output for this row: choose values nearer to those of "
            "the training"
        )
    output, _, high = bounds[0]
    half = high - output if isfinite(high) and high > output else float(encoder.target_scales[0])
    truth = given.get("truth")
    target = float(f"{output + 0.8 * half:.3g}") if truth is None else number_of("the truth", truth)
    reach, away = 1.6 * half, abs(target - output)
    explained = explain_example(target, output)
    return Prediction(
        key,
        fields,
        [(name, *each) for name, each in zip(encoder.targets, bounds, strict=True)],
        parts_of(fitted, design),
        changes(fitted, design),
        explained,
        reach if away <= _DRAGGED * reach else 1.25 * away,
        _effect(fitted, fields, given.get("touched")),
    )


def _effect(fitted: FittedModel, fields: list[Field], touched: str | None) -> dict[str, Any] | None:
    """The output over the column that was touched last, or over the first number."""
    numbers = [i for i, field in enumerate(fields) if field.low is not None]
    place = next((i for i in numbers if fields[i].name == touched), next(iter(numbers), None))
    if place is None:
        return None
    field = fields[place]
    assert field.low is not None and field.high is not None
    here = float(field.value) if field.value.strip() else field.low
    x = np.linspace(min(field.low, here), max(field.high, here), _POINTS)
    designs, absent = designs_along(fitted.encoder, fields, place, np.append(x, here))
    outputs, (low, high) = fitted.whole_quantiles_of(designs, ends_of(LEVEL), absent=absent)
    return effect_drawn(field.label, np.append(x, here), outputs[:, 0], low[:, 0], high[:, 0])


def _fixed_output(spec: dict[str, Any]) -> dict[str, Any]:
    """The figure of one example; the output is the model's, so only the truth can be dragged."""
    spec = without_inputs(spec)
    signals = [
        {k: v for k, v in s.items() if k != "on"} if s["name"] == "output" else s
        for s in spec["signals"]
    ]
    return {**spec, "signals": signals}


_compiled = Compiled(
    lambda: one_example_chart(explain_example(3.0, 2.2), title=False), _fixed_output
)


PAGE = Page(PATH, "Predict", (Route(PATH, _page), Route(f"{PATH}/part", _part)))
