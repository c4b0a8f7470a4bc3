"""Panels on which marks are drawn from expressions, so that a moved parameter moves them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import altair as alt

Mark = dict[str, Any]
AXIS_WIDTH = 44  # fixed, so that panels line up and nothing shifts when a number grows a digit


@dataclass(frozen=True)
class Panel:
    """A pair of axes; ``low`` and ``high``, the bounds of y, are expressions like all else."""

    x_title: str
    y_title: str
    low: str
    high: str

    def draw(
        self, mark: Mark, *, x: str, y: str, x2: str | None = None, y2: str | None = None,
        points: int = 0, name: str | None = None,
    ) -> alt.Chart:  # fmt: skip
        """One mark at (x, y), or from there to (x2, y2), or a line of so many points, numbered
        ``datum.i``.

        ``@low`` and ``@high`` stand for the bounds of y. A name makes the mark one that can be
        grabbed.
        """
        chart = alt.Chart(
            alt.sequence(0, points, as_="i") if points else alt.InlineData(values=[{}])
        )
        channels: dict[str, Any] = {"x": self._x, "y": self._y}
        for channel, place in {"x": x, "y": y, "x2": x2, "y2": y2}.items():
            if place is None:
                continue
            place = {"@low": self.low, "@high": self.high}.get(place, place)
            chart = chart.transform_calculate(**{f"p{channel}": place})
            if channel.endswith("2"):
                channels[channel] = f"p{channel}:Q"
        drawn: alt.Chart = (
            chart.mark_point().encode(**channels).properties(mark=alt.MarkDef(**mark))
        )
        if name is not None:
            drawn.name = name
        return drawn

    @cached_property
    def _x(self) -> alt.X:
        domain = [alt.ExprRef("low_end"), alt.ExprRef("high_end")]
        return alt.X(
            "px:Q",
            scale=alt.Scale(domain=domain, nice=False, zero=False),
            axis=axis(self.x_title, ticks=6),
        )

    @cached_property
    def _y(self) -> alt.Y:
        domain = [alt.ExprRef(self.low), alt.ExprRef(self.high)]
        fixed = {"minExtent": AXIS_WIDTH, "maxExtent": AXIS_WIDTH}
        return alt.Y(
            "py:Q",
            scale=alt.Scale(domain=domain, nice=False, zero=False),
            axis=axis(self.y_title, ticks=4, **fixed),
        )


def axis(title: str, *, ticks: int, **more: Any) -> alt.Axis:
    """A quiet axis: numbers and a title, no lines; large and small numbers as powers of ten."""
    size = "abs(datum.value)"
    short = (
        "datum.value == 0 && length(datum.label) > 4 ? '0'"
        f" : {size} >= 1e9 || ({size} > 0 && {size} < 1e-3) ? replace(format(datum.value, "
        "'.2~e'), /-/g, '−')"
        f" : {size} >= 1e4 ? replace(format(datum.value, '.3~s'), '-', '−') : datum.label"
    )
    return alt.Axis(
        title=title,
        grid=False,
        ticks=False,
        domain=False,
        tickCount=ticks,
        labelExpr=short,
        labelColor=alt.ExprRef("muted"),
        titleColor=alt.ExprRef("muted"),
        labelFontSize=12,
        titleFontSize=12,
        titleFontWeight="normal",
        labelPadding=6,
        labelOverlap=True,
        labelSeparation=8,
        **more,
    )


def heading(expression: str, colour: str, *, size: int, offset: int) -> alt.TitleParams:
    """A line of text above a panel or a figure, computed."""
    return alt.TitleParams(
        text=alt.ExprRef(expression),
        anchor="start",
        offset=offset,
        color=alt.ExprRef(colour),
        fontSize=size,
        fontWeight=600,
    )


def rule(colour: str, **more: Any) -> Mark:
    """A straight line in the colour of this meaning."""
    return {"type": "rule", "color": alt.ExprRef(colour), "clip": True, **more}


def curve(colour: str, **more: Any) -> Mark:
    """A line through the rows."""
    return {"type": "line", "color": alt.ExprRef(colour), "strokeWidth": 2.5, "clip": True, **more}


def wash(colour: str) -> Mark:
    """A rectangle behind everything."""
    return {"type": "rect", "color": alt.ExprRef(colour)}


def dot(colour: str, **more: Any) -> Mark:
    """A point with a ring in the colour of the paper, so that it stands out from the line it is
    on.
    """
    ring = {"stroke": alt.ExprRef("panel"), "strokeWidth": 2}
    return {
        "type": "point",
        "filled": True,
        "opacity": 1,
        "size": 190,
        "color": alt.ExprRef(colour),
        **ring,
        **more,
    }


def handle() -> Mark:
    """What can be grabbed: 44 pixels wide, as fingers need, and not seen."""
    return {"type": "point", "filled": True, "size": 1500, "opacity": 0, "cursor": "ew-resize"}


def text(expression: str, colour: str, **more: Any) -> Mark:
    """A computed label."""
    return {
        "type": "text",
        "text": alt.ExprRef(expression),
        "color": alt.ExprRef(colour),
        "fontSize": 13,
        **more,
    }


def label(name: str, expression: str) -> str:
    """The name and the number."""
    return f"'{name} ' + {written(expression)}"


def signed_label(name: str, expression: str) -> str:
    """The name and the number with its sign; nothing where it is zero."""
    return (
        f"({expression}) == 0 ? '' : '{name} ' + (({expression}) > 0 ? '+' : '') + "
        f"{written(expression)}"
    )


def written(expression: str) -> str:
    """At most six significant digits, with a real minus sign."""
    return f"replace(format({expression}, '.6~g'), '-', '−')"
