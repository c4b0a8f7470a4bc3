"""The figures of a report on a fit: each a small Altair chart of numbers that are aggregated
already.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import altair as alt

from halfsquare.figures.theme import LIGHT

Row = dict[str, Any]
Rows = list[Row]
T = LIGHT
WIDTH, HALF = 600, 326
NARROW = 250  # on a phone, where a wide figure would shrink until nobody can read it
_NUMBER = (
    "abs(datum.value) >= 1e9 || (abs(datum.value) > 0 && abs(datum.value) < 1e-3) ? "
    "format(datum.value, '.2~e')"
    " : abs(datum.value) >= 1e4 ? format(datum.value, '.3~s') : replace(datum.label, ',', '')"
)


def _data(rows: Rows) -> alt.InlineData:
    return alt.InlineData(values=rows)


def _axis(title: str, *, ticks: int = 5, **more: Any) -> alt.Axis:
    return alt.Axis(title=title, tickCount=ticks, **{"labelExpr": _NUMBER, **more})


def _x(field: str, title: str, domain: Sequence[float] | None = None, **more: Any) -> alt.X:
    bounds: dict[str, Any] = {"domain": list(domain)} if domain else {}
    scale = alt.Scale(**{"zero": False, "nice": False, **bounds, **more})
    return alt.X(f"{field}:Q", scale=scale, axis=_axis(title))


def _y(
    field: str,
    title: str,
    *,
    zero: bool = False,
    domain: Sequence[float] | None = None,
    **more: Any,
) -> alt.Y:
    bounds: dict[str, Any] = {"domain": list(domain), "nice": False} if domain else {}
    scale = alt.Scale(**{"zero": zero, **bounds, **more})
    return alt.Y(f"{field}:Q", scale=scale, axis=_axis(title))


def predicted_chart(
    cells: Rows,
    points: Rows,
    band: Rows,
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
    at_x, at_y = (
        _x("x", f"output o: {unit}, predicted", x),
        _y("y", f"target t: {unit}, actual", domain=y),
    )
    layers: list[Any] = []
    if band:
        layers.append(
            alt.Chart(_data(band))
            .mark_area(color=T.muted, opacity=0.14, clip=True)
            .encode(x=at_x, y=at_y, y2="y2:Q")
        )
    low, high = max(x[0], y[0]), min(x[1], y[1])
    ends = [{"x": low, "y": low}, {"x": max(low, high), "y": max(low, high)}]
    dashed: dict[str, Any] = {"color": T.ink, "strokeWidth": 1.25, "strokeDash": [5, 4]}
    diagonal = alt.Chart(_data(ends)).mark_line(clip=True, **dashed).encode(x=at_x, y=at_y)
    if points:
        rows = alt.Chart(_data(points)).mark_circle(color=T.muted, size=34, opacity=0.6, clip=True)
        layers += [diagonal, rows.encode(x=at_x, y=at_y)]
    else:
        shade = alt.Opacity(
            "shade:Q", scale=alt.Scale(domain=[0, 1], range=[0.06, 0.9]), legend=None
        )
        drawn = alt.Chart(_data(cells)).mark_rect(color=T.muted, clip=True)
        layers += [drawn.encode(x=at_x, x2="x2:Q", y=at_y, y2="y2:Q", opacity=shade), diagonal]
    ring: dict[str, Any] = {"stroke": T.panel, "strokeWidth": 1.5}
    layers.append(
        alt.Chart(_data(means))
        .mark_circle(color=T.ink, size=52, opacity=1, clip=True, **ring)
        .encode(x=at_x, y=at_y)
    )
    return alt.layer(*layers).properties(width=width, height=380 if width == WIDTH else width)


def error_chart(
    rows: Rows, title: str, *, width: int = WIDTH, domain: Sequence[float] | None = None
) -> Any:
    """Mean error ± 2 standard errors over groups of rows, and beneath it the shares too low and too
    high.

    Each row: left, right, mid, error, least, most, low, high (shares).
    """
    x = alt.X(
        "mid:Q",
        scale=_x("mid", "", domain)["scale"],
        axis=alt.Axis(title=None, labels=False, tickCount=5),
    )
    base = alt.Chart(_data(rows))
    zero = (
        alt.Chart(_data([{"y": 0}]))
        .mark_rule(color=T.ink, strokeWidth=1, strokeDash=[5, 4])
        .encode(y="y:Q")
    )
    y = _y("error", "mean error o − t")
    spread = base.mark_rule(color=T.muted, strokeWidth=2, clip=True).encode(
        x=x, y=_y("least", "mean error o − t"), y2="most:Q"
    )
    mean = base.mark_circle(size=48, opacity=1, clip=True).encode(x=x, y=y, color=_side())
    above = alt.layer(zero, spread, mean).properties(width=width, height=150)
    return alt.vconcat(
        above, _shares(rows, _x("left", title, domain), width), spacing=10
    ).resolve_scale(x="shared")


def _shares(rows: Rows, x: alt.X, width: int) -> Any:
    base = alt.Chart(_data(rows))
    y = alt.Y(
        "low:Q",
        scale=alt.Scale(domain=[0, 1]),
        axis=alt.Axis(title="share", format="%", tickCount=2, grid=False),
    )
    low = base.mark_rect(color=T.low, clip=True, stroke=T.panel, strokeWidth=0.5).encode(
        x=x, x2="right:Q", y=y, y2=alt.datum(0)
    )
    high = base.mark_rect(color=T.high, clip=True, stroke=T.panel, strokeWidth=0.5).encode(
        x=x, x2="right:Q", y=alt.Y("top:Q"), y2="low:Q"
    )
    half = (
        alt.Chart(_data([{"y": 0.5}]))
        .mark_rule(color=T.panel, strokeWidth=1.5, strokeDash=[4, 3])
        .encode(y="y:Q")
    )
    return alt.layer(low, high, half).properties(width=width, height=64)


def _side() -> Any:
    """Blue below zero, orange above, neither where the mean error is zero but for rounding."""
    above: Any = alt.condition(
        "datum.error > 1e-9 * datum.rmse", alt.value(T.high), alt.value(T.muted)
    )
    above["condition"] = [
        {"test": "datum.error < -1e-9 * datum.rmse", "value": T.low},
        above["condition"],
    ]
    return above


def level_chart(rows: Rows, *, width: int = HALF) -> Any:
    """The same for the levels of a category: mean error beside the shares, a line for each
    level.
    """
    order = [r["level"] for r in rows]
    y = alt.Y("level:N", sort=order, axis=alt.Axis(title=None, labelLimit=90))
    bare = alt.Y("level:N", sort=order, axis=None)
    base = alt.Chart(_data(rows))
    inner = (width - 118) // 2
    zero = (
        alt.Chart(_data([{"x": 0}]))
        .mark_rule(color=T.ink, strokeWidth=1, strokeDash=[5, 4])
        .encode(x="x:Q")
    )
    x = alt.X("least:Q", scale=alt.Scale(zero=False), axis=_axis("mean error o − t", ticks=3))
    spread = base.mark_rule(color=T.muted, strokeWidth=2).encode(x=x, x2="most:Q", y=y)
    mean = base.mark_circle(size=48, opacity=1).encode(x="error:Q", y=y, color=_side())
    left = alt.layer(zero, spread, mean).properties(width=inner, height={"step": 18})
    share = alt.X(
        "low:Q",
        scale=alt.Scale(domain=[0, 1]),
        axis=alt.Axis(title="share low, high", format="%", tickCount=2),
    )
    low = base.mark_bar(color=T.low, height={"band": 0.7}).encode(x=share, x2=alt.datum(0), y=bare)
    high = base.mark_bar(color=T.high, height={"band": 0.7}).encode(x="top:Q", x2="low:Q", y=bare)
    return alt.hconcat(
        left, alt.layer(low, high).properties(width=inner, height={"step": 18}), spacing=12
    )


def histogram_chart(rows: Rows, unit: str, domain: Sequence[float], *, width: int = WIDTH) -> Any:
    """How often each error occurs: those too low on the left, those too high on the right."""
    colour = alt.condition("datum.right <= 0", alt.value(T.low), alt.value(T.high))
    x = _x("left", f"error o − t: {unit}", domain)
    y = alt.Y("weight:Q", axis=_axis("rows", ticks=4))
    base = alt.Chart(_data(rows))
    bars = base.mark_rect(stroke=T.panel, strokeWidth=0.5).encode(
        x=x, x2="right:Q", y=y, y2=alt.datum(0), color=colour
    )
    zero = (
        alt.Chart(_data([{"x": 0}]))
        .mark_rule(color=T.ink, strokeWidth=1, strokeDash=[5, 4])
        .encode(x="x:Q")
    )
    return alt.layer(bars, zero).properties(width=width, height=190)


def effects_chart(rows: Rows, unit: str, *, width: int = WIDTH) -> Any:
    """Coefficients times the standard deviation of their column, with 95 % intervals: all in the
    target's unit.
    """
    y = alt.Y(
        "name:N",
        sort=[r["name"] for r in rows],
        axis=alt.Axis(title=None, labelLimit=_label(width)),
    )
    base = alt.Chart(_data(rows))
    x = alt.X("low:Q", axis=_axis(f"{unit}, for one standard deviation of the column"))
    zero = (
        alt.Chart(_data([{"x": 0}]))
        .mark_rule(color=T.ink, strokeWidth=1, strokeDash=[5, 4])
        .encode(x="x:Q")
    )
    reach = base.mark_rule(color=T.muted, strokeWidth=2.5).encode(x=x, x2="high:Q", y=y)
    dot = base.mark_circle(color=T.ink, size=56, opacity=1).encode(x="value:Q", y=y)
    return alt.layer(zero, reach, dot).properties(
        width=width + 60 - _label(width), height={"step": 22}
    )


def _label(width: int) -> int:
    """The room for names beside a figure of this width."""
    return 220 if width == WIDTH else 130


def relevance_chart(rows: Rows, *, width: int = WIDTH) -> Any:
    """The share of each input in the relevance of all."""
    y = alt.Y(
        "name:N",
        sort=[r["name"] for r in rows],
        axis=alt.Axis(title=None, labelLimit=_label(width)),
    )
    x = alt.X("share:Q", axis=alt.Axis(title="share of the relevance", format="%", tickCount=5))
    bars = alt.Chart(_data(rows)).mark_bar(color=T.muted, height={"band": 0.6}).encode(x=x, y=y)
    return bars.properties(width=width + 60 - _label(width), height={"step": 22})


def learning_chart(rows: Rows, unit: str, *, width: int = WIDTH) -> Any:
    """Test MSE ± its standard error over the number of training rows."""
    ticks = _axis("training rows (log)", values=[r["rows"] for r in rows])
    x = alt.X("rows:Q", scale=alt.Scale(type="log", nice=False), axis=ticks)
    base = alt.Chart(_data(rows))
    y = _y("least", f"test MSE, ({unit})²")
    band = base.mark_area(color=T.muted, opacity=0.18).encode(x=x, y=y, y2="most:Q")
    line = base.mark_line(color=T.ink, strokeWidth=2).encode(x=x, y="mse:Q")
    dots = base.mark_circle(color=T.ink, size=52, opacity=1).encode(x=x, y="mse:Q")
    return alt.layer(band, line, dots).properties(width=width, height=220)


def descent_chart(rows: Rows, title: str, *, log: bool) -> Any:
    """One quantity (``value``) over the steps of a descent."""
    kind: dict[str, Any] = {"type": "log", "nice": False} if log else {}
    y = alt.Y(
        "value:Q", scale=alt.Scale(zero=False, **kind), axis=_axis(title, ticks=4, grid=not log)
    )
    line = (
        alt.Chart(_data(rows))
        .mark_line(color=T.ink, strokeWidth=2)
        .encode(x=_x("iteration", "step"), y=y)
    )
    return line.properties(width=HALF - 50, height=150)
