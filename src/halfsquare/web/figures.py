"""The figures of a training run: the way down, the weights with their steps, outputs against
targets.

Their rows are named data sets and their axes are signals, so that the page can replace both.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import altair as alt
import numpy as np

from halfsquare.explain.parts import Parts
from halfsquare.figures.live import vega_spec
from halfsquare.figures.panel import AXIS_WIDTH, Mark, axis, curve, dot, rule, text
from halfsquare.figures.theme import FONT, LIGHT
from halfsquare.web.templates import amount
from halfsquare.web.watching import SHOWN_WEIGHTS, Look, Way, Weight

WIDE = "width > 360"  # a desk rather than a phone
_LOG_WIDTH = 54
_MOST_POINTS = 1600  # in one figure
_FIRST = {
    "last": 10,
    "loss_span": [1e-3, 1.0],
    "norm_span": [1e-3, 1.0],
    "reach": 1.0,
    "span": [-3.0, 3.0],
}

Rows = list[dict[str, Any]]


def drawn(look: Look | None, ways: Sequence[Way]) -> dict[str, Any]:
    """Signals and rows of all three figures."""
    weights = look.weights if look is not None else ()
    points = _way_rows(ways)
    reach = _power(max((abs(w.value) for w in weights), default=1.0))
    values = (
        np.concatenate([look.targets, look.outputs])
        if look is not None and len(look.targets)
        else np.zeros(1)
    )
    low, high = float(values.min()), float(values.max())
    room = 0.04 * (high - low) or 1.0
    signals = {
        "last": max(10, *(p["i"] for p in points)) if points else 10,
        "loss_span": _decades([p["loss"] for p in points]),
        "norm_span": _decades([p["norm"] for p in points]),
        "reach": reach,
        "span": [low - room, high + room],
    }
    data = {
        "ways": points,
        "here": points[-1:],
        "weights": _weight_rows(weights, reach),
        "rows": [] if look is None else _error_rows(look),
    }
    return {"signals": signals, "data": data}


@cache
def way_spec() -> dict[str, Any]:
    """Loss and gradient norm over the steps, both logarithmic."""
    panels = [_log_panel("loss", "loss (log)", 190), _log_panel("norm", "gradient norm (log)", 120)]
    return finished(alt.vconcat(*panels, spacing=18), "Loss and gradient norm fall over the steps.")


@cache
def weights_spec() -> dict[str, Any]:
    """The strongest weights, each with an arrow for its last step."""
    data = alt.InlineData(values=[], name="weights")
    y = named_axis()
    domain = [alt.ExprRef("-reach"), alt.ExprRef("reach")]
    x = alt.X("value:Q", scale=alt.Scale(domain=domain, nice=False), axis=axis("value", ticks=5))
    base = alt.Chart(data)
    zero = alt.Chart(alt.InlineData(values=[{"value": 0}]))
    layers = [
        marked(zero, rule("line")).encode(x=x),
        marked(base, rule("line", strokeWidth=6, strokeCap="round")).encode(x=x, x2="zero:Q", y=y),
        marked(base, dot("ink", size=90)).encode(x=x, y=y),
    ]
    for side, colour, turn in ((1, "low", 90), (-1, "high", 270)):
        moved = base.transform_filter(f"datum.side == {side}")
        head = {
            "type": "point",
            "shape": "triangle",
            "angle": turn,
            "filled": True,
            "opacity": 1,
            "size": 70,
        }
        layers.append(marked(moved, rule(colour, strokeWidth=2.5)).encode(x=x, x2="tip:Q", y=y))
        layers.append(marked(moved, {**head, "color": alt.ExprRef(colour)}).encode(x=_tip(x), y=y))
    chart = alt.layer(*layers).properties(width=620, height=24 * SHOWN_WEIGHTS)
    return finished(
        chart, "The strongest weights, with an arrow for the direction of the last step of each."
    )


@cache
def errors_spec() -> dict[str, Any]:
    """Outputs over targets; what lies under the diagonal is too low."""
    domain = [alt.ExprRef("span[0]"), alt.ExprRef("span[1]")]
    scale = alt.Scale(domain=domain, nice=False, zero=False)
    x = alt.X("t:Q", scale=scale, axis=axis("target", ticks=5))
    y = alt.Y(
        "o:Q", scale=scale, axis=axis("output", ticks=4, minExtent=AXIS_WIDTH, maxExtent=AXIS_WIDTH)
    )
    rows = alt.Chart(alt.InlineData(values=[], name="rows"))
    ends = alt.Chart(alt.sequence(0, 2, as_="i")).transform_calculate(
        t="span[datum.i]", o="span[datum.i]"
    )
    layers = [marked(ends, curve("muted", strokeWidth=1.5, strokeDash=[5, 4])).encode(x=x, y=y)]
    for side, colour, shape in ((-1, "low", "triangle-up"), (1, "high", "triangle-down")):
        point = {
            "type": "point",
            "shape": shape,
            "filled": True,
            "size": 34,
            "opacity": 0.75,
            "clip": True,
        }
        there = rows.transform_filter(f"datum.side == {side}")
        layers.append(marked(there, {**point, "color": alt.ExprRef(colour)}).encode(x=x, y=y))
    corner = {"fontSize": 13, "fontWeight": 600}
    for words, colour, tx, ty, align in (
        ("too high", "high", 0.02, 0.95, "left"),
        ("too low", "low", 0.98, 0.05, "right"),
    ):
        place = alt.Chart(alt.InlineData(values=[{}])).transform_calculate(
            t=f"span[0] + {tx} * (span[1] - span[0])", o=f"span[0] + {ty} * (span[1] - span[0])"
        )
        layers.append(
            marked(place, text(f"'{words}'", colour, align=align, **corner)).encode(x=x, y=y)
        )
    chart = alt.layer(*layers).properties(width=620, height=280)
    return finished(
        chart,
        "Outputs over targets: under the dashed line an output is too low, above it too high.",
    )


def named_axis() -> alt.Y:
    """A name to each row, in the order of the rows."""
    width = alt.ExprRef(f"{WIDE} ? 184 : 92")
    names = axis("", ticks=SHOWN_WEIGHTS, minExtent=width, maxExtent=width, labelLimit=width)
    names.labelExpr = alt.Undefined
    return alt.Y("name:N", sort=None, axis=names, scale=alt.Scale(paddingInner=0.4))


def _tip(x: alt.X) -> alt.X:
    tip = x.copy()
    tip.shorthand = "tip:Q"
    return tip


def _log_panel(field: str, title: str, height: int) -> Any:
    span = f"{field}_span"
    scale = alt.Scale(
        type="log",
        domain=[alt.ExprRef(f"{span}[0]"), alt.ExprRef(f"{span}[1]")],
        nice=False,
        clamp=True,
    )
    decades = axis(title, ticks=4, minExtent=_LOG_WIDTH, maxExtent=_LOG_WIDTH)
    y = alt.Y(f"{field}:Q", scale=scale, axis=decades)
    steps = alt.Scale(domain=[0, alt.ExprRef("last")], nice=False)
    x = alt.X("i:Q", scale=steps, axis=axis("step", ticks=6, tickMinStep=1))
    ways = alt.Chart(alt.InlineData(values=[], name="ways"))
    here = alt.Chart(alt.InlineData(values=[], name="here"))
    others, followed = ways.transform_filter("!datum.here"), ways.transform_filter("datum.here")
    return alt.layer(
        marked(others, curve("muted", strokeWidth=1.25, opacity=0.45)).encode(
            x=x, y=y, detail="way:N"
        ),
        marked(followed, curve("ink")).encode(x=x, y=y, detail="way:N"),
        marked(here, dot("ink")).encode(x=x, y=y),
    ).properties(width=620, height=height)


def _way_rows(ways: Sequence[Way]) -> Rows:
    count = sum(len(way.points) for way in ways)
    every = max(1, math.ceil(count / _MOST_POINTS))
    found: Rows = []
    for way in ways:
        kept = way.points[:-1:every] + way.points[-1:]
        line = {"way": way.number, "here": way.member == ways[-1].member}
        # Nothing has no place on a logarithmic axis: an exact fit is drawn at the rounding of the
        # first loss.
        least = 1e-16 * max(way.points[0][1], 1e-290)
        found += [
            {**line, "i": way.before + i, "loss": max(loss, least), "norm": max(norm, least)}
            for i, loss, norm in kept
        ]
    return found


def _weight_rows(weights: Sequence[Weight], reach: float) -> Rows:
    """The longest arrow is a sixth of the axis, however small the step: it shows where to, not how
    far.
    """
    longest = max((abs(w.step) for w in weights), default=0.0)
    rows: Rows = []
    for w in weights:
        share = w.step / longest if longest else 0.0
        side = 0 if abs(share) < 0.02 else int(math.copysign(1, share))
        rows.append(
            {
                "name": w.name,
                "value": w.value,
                "zero": 0,
                "tip": w.value + share * reach / 3,
                "side": side,
            }
        )
    return rows


def _error_rows(look: Look) -> Rows:
    return [
        {"t": float(t), "o": float(o), "side": (o > t) - (o < t)}
        for t, o in zip(look.targets.tolist(), look.outputs.tolist(), strict=True)
    ]


def _decades(values: Sequence[float]) -> list[float]:
    """Whole powers of ten around positive values, so that the axis seldom moves."""
    fine = [v for v in values if v > 0]
    if not fine:
        return [1e-3, 1.0]
    low, high = math.floor(math.log10(min(fine))), math.ceil(2 * math.log10(1.05 * max(fine))) / 2
    return [10.0 ** max(low, -300), 10.0 ** max(high, low + 1)]


def _power(value: float) -> float:
    """The next of 1, 2, 5, 10, … with room for an arrow."""
    wanted = 1.35 * (value or 1.0)
    power = 10.0 ** math.floor(math.log10(wanted))
    return next(power * step for step in (1.0, 2.0, 5.0, 10.0) if power * step >= wanted)


def marked(chart: alt.Chart, mark: Mark) -> alt.Chart:
    """The chart with this mark; read aloud are the figure's description and the numbers beside it,
    not each mark.
    """
    made: alt.Chart = chart.mark_point().properties(mark=alt.MarkDef(aria=False, **mark))
    return made


def finished(chart: Any, description: str, first: Mapping[str, Any] = _FIRST) -> dict[str, Any]:
    """The chart as Vega, with the colours and the signals that move it."""
    colours = [alt.param(name=name, value=colour) for name, colour in LIGHT.colours().items()]
    signals = [alt.param(name=name, value=value) for name, value in first.items()]
    chart = chart.add_params(*signals, *colours).properties(
        background=alt.ExprRef("panel"),
        padding={"left": 10, "right": 14, "top": 12, "bottom": 8},
        description=description,
    )
    return vega_spec(chart.configure(font=FONT).configure_view(stroke=None))


_SHOWN_PARTS = 10
_FIRST_PARTS = {"part_wide": [-1.0, 1.0], "part_narrow": [-1.0, 1.0]}


@cache
def parts_spec() -> dict[str, Any]:
    """What each column adds to the output of the average row."""
    base = alt.Chart(alt.InlineData(values=[], name="parts"))
    zero = alt.Chart(alt.InlineData(values=[{"part": 0}]))
    domain = [alt.ExprRef(f"({WIDE} ? part_wide : part_narrow)[{end}]") for end in (0, 1)]
    x = alt.X(
        "part:Q",
        scale=alt.Scale(domain=domain, nice=False, zero=False),
        axis=axis("added to the output", ticks=5),
    )
    y = named_axis()
    layers = [
        marked(zero, rule("muted", strokeWidth=1)).encode(x=x),
        marked(base, rule("ink", strokeWidth=8)).encode(x=x, x2="zero:Q", y=y),
    ]
    for side, align, away in ((1, "left", 8), (-1, "right", -8)):
        words = text("datum.written", "ink", align=align, dx=away)
        layers.append(
            marked(base.transform_filter(f"datum.side == {side}"), words).encode(x=x, y=y)
        )
    chart = alt.layer(*layers).properties(width=620, height=24 * _SHOWN_PARTS)
    return finished(chart, "What each column adds to the output of the average row.", _FIRST_PARTS)


def parts_drawn(parts: Parts) -> dict[str, Any]:
    """Signals and rows of the figure of the parts: the largest, and the rest together."""
    ranked = sorted(parts.contributions.items(), key=lambda c: -abs(c[1]))
    shown = ranked[:_SHOWN_PARTS]
    if len(ranked) > _SHOWN_PARTS:
        shown = ranked[: _SHOWN_PARTS - 1]
        shown.append(
            (f"{len(ranked) - len(shown)} others", sum(part for _, part in ranked[len(shown) :]))
        )
    rows: Rows = [
        {
            "name": name,
            "part": part,
            "zero": 0,
            "side": -1 if part < 0 else 1,
            "written": ("+" if part > 0 else "") + amount(part),
        }
        for name, part in shown
    ]
    signals = {"part_wide": _with_room(shown, 0.16), "part_narrow": _with_room(shown, 0.36)}
    return {"signals": signals, "data": {"parts": rows}}


def _with_room(shown: Sequence[tuple[str, float]], share: float) -> list[float]:
    """The ends of the axis, with this share of it on each side of a bar for the number beside
    it.
    """
    low, high = min([0.0, *(p for _, p in shown)]), max([0.0, *(p for _, p in shown)])
    sides = (low < 0) + (high > 0)
    room = share * ((high - low) or 1.0) / (1.0 - share * sides)
    return [low - room * (low < 0), high + room * (high > 0)] if sides else [-1.0, 1.0]
