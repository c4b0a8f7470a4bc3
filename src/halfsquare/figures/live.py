"""A chart made live: compiled to Vega, as wide as its place, with handles that can be dragged.

Vega-Lite knows no dragging of a single value, so the compiled specification gets it: a mark named
``output_handle`` moves the signal ``output``. Everything else follows from the chart's own
parameters.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import altair as alt

from halfsquare.figures.engine import to_vega

HANDLES = {"output_handle": "output", "gradient_handle": "output", "target_handle": "target"}
MARGIN = 0.02  # a dragged value stays this share of the width inside the figure


def vega_spec(chart: alt.TopLevelMixin) -> dict[str, Any]:
    """The chart as a Vega specification, for a browser: fluid in width, draggable where it has
    handles.
    """
    spec = to_vega(chart)
    spec.setdefault("signals", [])
    _fluid(spec)
    names = {signal["name"] for signal in spec["signals"]}
    if {"output", "target", "span"} <= names:
        _draggable(spec)
    return spec


class Compiled:
    """A figure that is compiled once, by whoever first asks; others wait for it.

    Parameters
    ----------
    make : callable() -> chart
    change : callable(spec) -> spec
        What is done with the compiled figure, once.

    Attributes
    ----------
    every : list of Compiled
        All there are, so that a server can compile them as it starts.
    """

    every: ClassVar[list[Compiled]] = []

    def __init__(
        self, make: Callable[[], Any], change: Callable[[dict[str, Any]], dict[str, Any]] = dict
    ) -> None:
        self._make, self._change = make, change
        self._lock = threading.Lock()
        self._spec: dict[str, Any] | None = None
        self.every.append(self)

    def __call__(self) -> dict[str, Any]:
        """The specification."""
        with self._lock:
            if self._spec is None:
                self._spec = self._change(vega_spec(self._make()))
            return self._spec


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
