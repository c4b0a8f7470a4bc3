"""The figure of a prediction: what each column adds to the output of the average row."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import altair as alt

from halfsquare.explain.parts import Parts
from halfsquare.report.panel import axis, rule, text
from halfsquare.web.figures import WIDE, Rows, finished, marked, named_axis
from halfsquare.web.pages import amount

_SHOWN_PARTS = 10
_FIRST = {"part_wide": [-1.0, 1.0], "part_narrow": [-1.0, 1.0]}


@cache
def parts_spec() -> dict[str, Any]:
    """What each column adds to the output of the average row."""
    base = alt.Chart(alt.InlineData(values=[], name="parts"))
    zero = alt.Chart(alt.InlineData(values=[{"part": 0}]))
    domain = [alt.ExprRef(f"({WIDE} ? part_wide : part_narrow)[{end}]") for end in (0, 1)]
    x = alt.X(
        "part:Q", scale=alt.Scale(domain=domain, nice=False, zero=False), axis=axis("added to the output", ticks=5)
    )
    y = named_axis()
    layers = [
        marked(zero, rule("muted", strokeWidth=1)).encode(x=x),
        marked(base, rule("ink", strokeWidth=8)).encode(x=x, x2="zero:Q", y=y),
    ]
    for side, align, away in ((1, "left", 8), (-1, "right", -8)):
        words = text("datum.written", "ink", align=align, dx=away)
        layers.append(marked(base.transform_filter(f"datum.side == {side}"), words).encode(x=x, y=y))
    chart = alt.layer(*layers).properties(width=620, height=24 * _SHOWN_PARTS)
    return finished(chart, "What each column adds to the output of the average row.", _FIRST)


def parts_drawn(parts: Parts) -> dict[str, Any]:
    """Signals and rows of the figure of the parts: the largest, and the rest together."""
    ranked = sorted(parts.contributions.items(), key=lambda c: -abs(c[1]))
    shown = ranked[:_SHOWN_PARTS]
    if len(ranked) > _SHOWN_PARTS:
        shown = ranked[: _SHOWN_PARTS - 1]
        shown.append((f"{len(ranked) - len(shown)} others", sum(part for _, part in ranked[len(shown) :])))
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
    """The ends of the axis, with this share of it on each side of a bar for the number beside it."""
    low, high = min([0.0, *(p for _, p in shown)]), max([0.0, *(p for _, p in shown)])
    sides = (low < 0) + (high > 0)
    room = share * ((high - low) or 1.0) / (1.0 - share * sides)
    return [low - room * (low < 0), high + room * (high > 0)] if sides else [-1.0, 1.0]
