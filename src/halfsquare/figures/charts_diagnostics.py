"""The four figures of a linear fit: residuals, normal quantiles, scale, leverage."""

from __future__ import annotations

from typing import Any

import altair as alt

from halfsquare.figures.charts_fit import WIDTH
from halfsquare.figures.marks import (
    Rows,
    axis,
    band,
    colour,
    curve,
    drawn,
    finished,
    haloed,
    point,
    rows_of,
    rule,
    span,
    zero,
)

_DOT = {"opacity": 0.65}


def residual_chart(points: Rows, means: Rows, x: str, y: str, *, width: int = WIDTH) -> Any:
    """Residuals about zero, each in the colour of its side, and the means of groups of rows."""
    at = {"x": _x(x), "y": _y(y)}
    return _done(alt.layer(zero("y"), _dots(points, **at), *_line(means, **at)), width)


def quantile_chart(points: Rows, bounds: Rows, *, width: int = WIDTH) -> Any:
    """Ordered residuals against normal quantiles, the diagonal, and the band about it."""
    at = {"x": _x("normal quantile"), "y": _y("standardized residual")}
    ends = [bounds[0]["x"], bounds[-1]["x"]]
    diagonal = [{"x": end, "y": end} for end in ends]
    layers = [
        drawn(rows_of(bounds), band("muted", 0.16), **at, y2="y2:Q"),
        drawn(rows_of(diagonal), curve("ink", strokeWidth=1.25, strokeDash=[5, 4]), **at),
        _dots(points, **at),
    ]
    return _done(alt.layer(*layers), width)


def scale_chart(points: Rows, means: Rows, x: str, y: str, *, width: int = WIDTH) -> Any:
    """The size of residuals, and the means of groups of rows."""
    at = {"x": _x(x), "y": _y(y, alt.Scale(zero=True, nice=False, padding=8))}
    return _done(alt.layer(_dots(points, **at), *_line(means, **at)), width)


def influence_chart(points: Rows, names: Rows, contours: Rows, *, width: int = WIDTH) -> Any:
    """Standardized residuals against leverage, contours of Cook's distance, the hardest rows by
    number.
    """
    top = 1.12 * max(abs(p["y"]) for p in points)
    right = 1.08 * max(p["x"] for p in points)
    at = {
        "x": _x("leverage h", span([0.0, right])),
        "y": _y("standardized residual", span([-top, top])),
    }
    inside = [c for c in contours if abs(c["y"]) <= top]
    thin = curve("ink", strokeWidth=1.25, strokeDash=[5, 4])
    layers = [
        drawn(rows_of([{"y": 0}]), rule("line"), y="y:Q"),
        drawn(rows_of(inside), thin, **at, detail="of:N"),
        _dots(points, **at),
        *[
            drawn(rows_of(names), mark, **at)
            for mark in haloed("datum.name", align="right", dx=-8, dy=-6)
        ],
    ]
    return _done(alt.layer(*layers), width)


def _x(title: str, scale: alt.Scale | None = None) -> alt.X:
    return alt.X("x:Q", scale=scale or span(padding=8), axis=axis(title, ticks=4))


def _y(title: str, scale: alt.Scale | None = None) -> alt.Y:
    return alt.Y("y:Q", scale=scale or span(padding=8), axis=axis(title, grid=True, ticks=4))


def _dots(points: Rows, **at: Any) -> alt.Chart:
    sides = [
        {"test": f"datum.side {than} 0", "value": colour(name)}
        for than, name in (("<", "low"), (">", "high"))
    ]
    side: Any = {"condition": sides, "value": colour("muted")}
    return drawn(rows_of(points), point("muted", 26, **_DOT), **at, color=side)


def _line(means: Rows, **at: Any) -> list[alt.Chart]:
    return [
        drawn(rows_of(means), curve("ink", strokeWidth=2), **at),
        drawn(rows_of(means), point("ink", 30), **at),
    ]


def _done(chart: Any, width: int) -> Any:
    height = 260 if width == WIDTH else 220
    return finished(chart.properties(width=width, height=height), "", padding=(2, 8, 4, 2))
