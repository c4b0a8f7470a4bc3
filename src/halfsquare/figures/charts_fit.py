"""The figures of a report on a fit: each a small Altair chart of numbers that are aggregated
already.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import altair as alt

from halfsquare.figures.marks import (
    Mark,
    Rows,
    axis,
    band,
    bar,
    colour,
    curve,
    dashed,
    drawn,
    finished,
    log_span,
    name_axis,
    point,
    rows_of,
    rule,
    share_axis,
    span,
    wash,
    zero,
)

WIDTH, HALF = 600, 326
NARROW = 250  # on a phone, where a wide figure would shrink until nobody can read it
_PANEL = HALF - 50
_SPREAD = {"strokeWidth": 2}


def _x(field: str, title: str, domain: Sequence[float] | None = None, **more: Any) -> alt.X:
    return alt.X(f"{field}:Q", scale=span(domain), axis=axis(title, **more))


def _y(field: str, title: str, domain: Sequence[float] | None = None, **more: Any) -> alt.Y:
    scale = span(domain) if domain else alt.Scale(zero=False)
    return alt.Y(f"{field}:Q", scale=scale, axis=axis(title, grid=True, **more))


def _done(chart: Any, **properties: Any) -> Any:
    """The finish of a figure that stands on a page of words, which describe it."""
    return finished(chart.properties(**properties), "", padding=(2, 8, 4, 2))


def curve_chart(line: Rows, rows: Rows, column: str, unit: str, *, width: int) -> Any:
    """A fitted curve over its one column, its band, and the rows."""
    x, y = _x("x", column), _y("y", unit)
    layers = [
        drawn(rows_of(line), band("muted", 0.16), x=x, y=_y("low", unit), y2="high:Q"),
        drawn(rows_of(line), curve("ink", strokeWidth=2), x=x, y=y),
        drawn(rows_of(rows), point("muted", 40, opacity=0.8), x=x, y=y, color=_side()),
    ]
    return _done(alt.layer(*layers), width=width, height=320 if width == WIDTH else width)


def predicted_chart(
    cells: Rows,
    points: Rows,
    bounds: Rows,
    means: Rows,
    x: Sequence[float],
    y: Sequence[float],
    unit: str,
    *,
    width: int = WIDTH,
) -> Any:
    """Target over output: rows as points or cells, the diagonal on which the two agree, the 95 %
    band, group means.
    """
    at = {"x": _x("x", f"output o: {unit}, predicted", x), "y": _y("y", f"target t: {unit}", y)}
    low, high = max(x[0], y[0]), min(x[1], y[1])
    ends = rows_of([{"x": low, "y": low}, {"x": max(low, high), "y": max(low, high)}])
    diagonal = drawn(ends, curve("ink", strokeWidth=1.25, strokeDash=[5, 4]), **at)
    layers = [drawn(rows_of(bounds), band("muted", 0.14), **at, y2="y2:Q")] if bounds else []
    if points:
        layers += [diagonal, drawn(rows_of(points), point("muted", 34, opacity=0.6), **at)]
    else:
        shades = alt.Scale(domain=[0, 1], range=[0.06, 0.9])
        shade = alt.Opacity("shade:Q", scale=shades, legend=None)
        cell = wash("muted", clip=True)
        layers.append(drawn(rows_of(cells), cell, **at, x2="x2:Q", y2="y2:Q", opacity=shade))
        layers.append(diagonal)
    ring = {"stroke": colour("panel"), "strokeWidth": 1.5}
    layers.append(drawn(rows_of(means), point("ink", 52, **ring), **at))
    return _done(alt.layer(*layers), width=width, height=380 if width == WIDTH else width)


def error_chart(
    rows: Rows, title: str, *, width: int = WIDTH, domain: Sequence[float] | None = None
) -> Any:
    """Mean error ± 2 standard errors over groups of rows, and beneath it the shares too low and too
    high.

    Each row: left, right, mid, error, least, most, low, high (shares).
    """
    x = alt.X("mid:Q", scale=span(domain), axis=axis(None, labels=False))
    base, words = alt.Chart(rows_of(rows)), "mean error o − t"
    above = alt.layer(
        zero("y"),
        drawn(base, rule("muted", **_SPREAD), x=x, y=_y("least", words), y2="most:Q"),
        drawn(base, point("muted", 48), x=x, y=_y("error", words), color=_side()),
    ).properties(width=width, height=150)
    below = _shares(rows, _x("left", title, domain), width)
    return _done(alt.vconcat(above, below, spacing=10).resolve_scale(x="shared"))


def _shares(rows: Rows, x: alt.X, width: int) -> Any:
    y = alt.Y("low:Q", scale=alt.Scale(domain=[0, 1]), axis=share_axis("share", ticks=2))
    edge = {"clip": True, "stroke": colour("panel"), "strokeWidth": 0.5}
    base = alt.Chart(rows_of(rows))
    parts = [
        drawn(base, wash("low", **edge), x=x, x2="right:Q", y=y, y2=alt.datum(0)),
        drawn(base, wash("high", **edge), x=x, x2="right:Q", y=alt.Y("top:Q"), y2="low:Q"),
        drawn(rows_of([{"y": 0.5}]), dashed("panel", strokeWidth=1.5), y="y:Q"),
    ]
    return alt.layer(*parts).properties(width=width, height=64)


def _side() -> Any:
    """Blue below zero, orange above, neither where the mean error is zero but for rounding."""
    tests = (("< -", "low"), ("> ", "high"))
    sides = [
        {"test": f"datum.error {than}1e-9 * datum.rmse", "value": colour(name)}
        for than, name in tests
    ]
    return {"condition": sides, "value": colour("muted")}


def level_chart(rows: Rows, *, width: int = HALF) -> Any:
    """The same for the levels of a category: mean error beside the shares, a line for each
    level.
    """
    order = [r["level"] for r in rows]
    y = alt.Y("level:N", sort=order, axis=name_axis(90))
    bare = alt.Y("level:N", sort=order, axis=None)
    base, size = alt.Chart(rows_of(rows)), {"width": (width - 118) // 2, "height": {"step": 18}}
    x = alt.X("least:Q", scale=alt.Scale(zero=False), axis=axis("mean error o − t", ticks=3))
    left = alt.layer(
        zero("x"),
        drawn(base, rule("muted", **_SPREAD), x=x, x2="most:Q", y=y),
        drawn(base, point("muted", 48), x="error:Q", y=y, color=_side()),
    )
    shares = share_axis("share low, high", ticks=2)
    share = alt.X("low:Q", scale=alt.Scale(domain=[0, 1]), axis=shares)
    thick = {"height": {"band": 0.7}}
    right = alt.layer(
        drawn(base, bar("low", **thick), x=share, x2=alt.datum(0), y=bare),
        drawn(base, bar("high", **thick), x="top:Q", x2="low:Q", y=bare),
    )
    return _done(alt.hconcat(left.properties(**size), right.properties(**size), spacing=12))


def histogram_chart(rows: Rows, unit: str, domain: Sequence[float], *, width: int = WIDTH) -> Any:
    """How often each error occurs: those too low on the left, those too high on the right."""
    x = _x("left", f"error o − t: {unit}", domain)
    y = alt.Y("weight:Q", axis=axis("rows", ticks=4, grid=True))
    side = {
        "condition": {"test": "datum.right <= 0", "value": colour("low")},
        "value": colour("high"),
    }
    edge = wash("high", stroke=colour("panel"), strokeWidth=0.5)
    bars = drawn(rows_of(rows), edge, x=x, x2="right:Q", y=y, y2=alt.datum(0), color=side)
    return _done(alt.layer(bars, zero("x")), width=width, height=190)


def effects_chart(
    rows: Rows, unit: str, *, width: int = WIDTH, title: str | None = None, about_zero: bool = True
) -> Any:
    """Coefficients times the standard deviation of their column, with 95 % intervals: all in the
    target's unit. What is not to be compared with zero need not hold it.
    """
    words = axis(title or f"{unit}, for one standard deviation of the column", ticks=4)
    scale = alt.Undefined if about_zero else span(padding=8)
    x = alt.X("low:Q", scale=scale, axis=words)
    y, base = _names(rows, width), alt.Chart(rows_of(rows))
    reach = drawn(base, rule("muted", strokeWidth=2.5), x=x, x2="high:Q", y=y)
    value = drawn(base, point("ink", 56), x="value:Q", y=y)
    layers = [zero("x")] if about_zero else []
    return _done(alt.layer(*layers, reach, value), **_beside_names(width))


def relevance_chart(rows: Rows, *, width: int = WIDTH) -> Any:
    """The share of each input in the relevance of all."""
    x = alt.X("share:Q", axis=share_axis("share of the relevance"))
    mark: Mark = bar("muted", height={"band": 0.6})
    return _done(drawn(rows_of(rows), mark, x=x, y=_names(rows, width)), **_beside_names(width))


def _names(rows: Rows, width: int) -> alt.Y:
    return alt.Y("name:N", sort=[r["name"] for r in rows], axis=name_axis(_label(width)))


def _beside_names(width: int) -> dict[str, Any]:
    return {"width": width + 60 - _label(width), "height": {"step": 22}}


def _label(width: int) -> int:
    """The pixels for names beside a figure of this width."""
    return 220 if width == WIDTH else 130


def learning_chart(rows: Rows, unit: str, *, width: int = WIDTH) -> Any:
    """Test MSE ± its standard error over the number of training rows."""
    ticks = axis("training rows (log)", values=[r["rows"] for r in rows])
    x = alt.X("rows:Q", scale=log_span(), axis=ticks)
    base = alt.Chart(rows_of(rows))
    layers = [
        drawn(base, band("muted"), x=x, y=_y("least", f"test MSE, ({unit})²"), y2="most:Q"),
        drawn(base, curve("ink", strokeWidth=2), x=x, y="mse:Q"),
        drawn(base, point("ink", 52), x=x, y="mse:Q"),
    ]
    return _done(alt.layer(*layers), width=width, height=220)


def descent_chart(rows: Rows, title: str, *, log: bool) -> Any:
    """One quantity (``value``) over the steps of a descent."""
    scale = log_span() if log else alt.Scale(zero=False)
    y = alt.Y("value:Q", scale=scale, axis=axis(title, ticks=4, grid=not log))
    line = curve("ink", strokeWidth=2)
    return _done(
        drawn(rows_of(rows), line, x=_x("iteration", "step"), y=y), width=_PANEL, height=150
    )
