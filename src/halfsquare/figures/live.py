"""A chart made live: compiled to Vega, as wide as its place, with handles that can be dragged.

Vega-Lite knows no dragging of a single value, so the compiled specification gets it: a mark named
``output_handle`` moves the signal ``output``. Everything else follows from the chart's own
parameters.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import altair as alt

from halfsquare.figures.engine import engine

HANDLES = {"output_handle": "output", "gradient_handle": "output", "target_handle": "target"}
MARGIN = 0.02  # a dragged value stays this share of the width inside the figure


def vega_spec(chart: alt.TopLevelMixin) -> dict[str, Any]:
    """The chart as a Vega specification, for a browser: fluid in width, draggable where it has
    handles.
    """
    spec = compile_chart(chart)
    _fluid(spec)
    names = {signal["name"] for signal in spec["signals"]}
    if {"output", "target", "span"} <= names:
        _draggable(spec)
    return spec


def compile_chart(chart: alt.TopLevelMixin) -> dict[str, Any]:
    """The chart as Vega, just as Vega-Lite compiles it."""
    compiled: dict[str, Any] = engine().vegalite_to_vega(
        chart.to_dict(), vl_version=vegalite_version()
    )
    compiled.setdefault("signals", [])
    return compiled


def vegalite_version() -> str | None:
    """The Vega-Lite that Altair writes for, where vl-convert has it; else its newest."""
    wanted = ".".join(alt.SCHEMA_VERSION.lstrip("v").split(".")[:2])
    return wanted if wanted in engine().get_vegalite_versions() else None


def refilled(
    spec: dict[str, Any],
    *,
    signals: Mapping[str, Any] | None = None,
    data: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """The compiled specification with other values and rows: quicker by far than compiling
    again.
    """
    signals, data = signals or {}, data or {}
    return {
        **spec,
        "signals": [
            {**s, "value": signals[s["name"]]} if s["name"] in signals else s
            for s in spec["signals"]
        ],
        "data": [
            {**d, "values": data[d["name"]]} if d["name"] in data else d for d in spec["data"]
        ],
    }


def without_inputs(spec: dict[str, Any]) -> dict[str, Any]:
    """The specification without its own input elements, for a page that brings its own."""
    signals = [
        {key: value for key, value in signal.items() if key != "bind"} for signal in spec["signals"]
    ]
    return {**spec, "signals": signals}


def _fluid(spec: dict[str, Any]) -> None:
    """Take the width from the place on the page, and follow when it changes."""
    if "width" not in spec:
        return
    first = spec.pop("width")
    update = f"isFinite(containerSize()[0]) ? containerSize()[0] : {first}"
    spec["signals"].insert(
        0, {"name": "width", "init": update, "on": [{"events": "window:resize", "update": update}]}
    )
    spec["autosize"] = {"type": "fit-x", "contains": "padding"}


def _draggable(spec: dict[str, Any]) -> None:
    scale = "concat_0_x"
    by_name = {signal["name"]: signal for signal in spec["signals"]}
    grabbed = []
    for handle, moved in HANDLES.items():
        mark = _mark_named(spec, handle)
        if mark is None:
            continue
        # Where on the handle it was grabbed, in pixels, so that it does not jump under the pointer.
        grab = f"{handle}_grab"
        grabbed.append(
            {"name": grab, "value": 0, "on": [{"events": f"@{mark}:pointerdown",
                                               "update": f"x() - scale('{scale}', {moved})"}]}
        )  # fmt: skip
        by_name[moved].setdefault("on", []).append(
            {
                "events": f"[@{mark}:pointerdown, window:pointerup] > window:pointermove",
                "update": f"round(grain * clamp(invert('{scale}', x() - {grab}), span[0] + "
                "inset, span[1] - inset))"
                " / grain",
            }
        )
    inset = {"name": "inset", "update": f"{MARGIN} * (span[1] - span[0])"}
    # Dragged values are rounded to about a pixel, so that they read 2.35 and not 2.3478.
    grain = {
        "name": "grain",
        "update": "pow(10, max(0, floor(log(width / (span[1] - span[0])) / LN10)))",
    }
    wide = "max(1.75 * abs(output - target), (span[1] - span[0]) / 2)"
    # A typed value outside the figure makes the figure wider: never narrower, so that it does not
    # jump.
    by_name["span"]["on"] = [
        {
            "events": [{"signal": "output"}, {"signal": "target"}],
            "update": "min(output, target) > span[0] && max(output, target) < span[1] ? span"
            f" : [target - {wide}, toNumber(target) + {wide}]",
        }
    ]
    spec["signals"] += [inset, grain, *grabbed]


def _mark_named(spec: dict[str, Any], name: str) -> str | None:
    """The compiled name of the mark of a named view."""
    for mark in spec.get("marks", []):
        if str(mark.get("name", "")).startswith(f"{name}_") and mark["type"] != "group":
            return str(mark["name"])
        inner = _mark_named(mark, name)
        if inner is not None:
            return inner
    return None
