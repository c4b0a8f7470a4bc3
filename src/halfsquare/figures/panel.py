"""Panels on which marks are drawn from expressions, so that a moved parameter moves them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import altair as alt

from halfsquare.figures.marks import Mark, axis, drawn, fixed_width, rows_of, span


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
        chart = alt.Chart(alt.sequence(0, points, as_="i") if points else rows_of([{}]))
        channels: dict[str, Any] = {"x": self._x, "y": self._y}
        for channel, place in {"x": x, "y": y, "x2": x2, "y2": y2}.items():
            if place is None:
                continue
            place = {"@low": self.low, "@high": self.high}.get(place, place)
            chart = chart.transform_calculate(**{f"p{channel}": place})
            if channel.endswith("2"):
                channels[channel] = f"p{channel}:Q"
        made = drawn(chart, mark, **channels)
        if name is not None:
            made.name = name
        return made

    @cached_property
    def _x(self) -> alt.X:
        domain = [alt.ExprRef("low_end"), alt.ExprRef("high_end")]
        return alt.X("px:Q", scale=span(domain), axis=axis(self.x_title, ticks=6))

    @cached_property
    def _y(self) -> alt.Y:
        domain = [alt.ExprRef(self.low), alt.ExprRef(self.high)]
        return alt.Y("py:Q", scale=span(domain), axis=axis(self.y_title, ticks=4, **fixed_width()))
