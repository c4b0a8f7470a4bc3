"""Figures of many examples: SSE climbs while MSE settles; mini-batches scatter about the full
gradient.

Their rows are named data sets (``growth``, ``batches``, …), so that a page can replace them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import altair as alt

from halfsquare.explain.many_examples import BatchScatter
from halfsquare.figures.panel import AXIS_WIDTH, axis, curve, dot, rule, text
from halfsquare.figures.theme import FONT, LIGHT, Theme
from halfsquare.sums import ErrorSummary

Rows = list[dict[str, float]]

# Labels of the marked rows stand where the curve is not: below to the right, later above to the
# left.
_EARLY = "chosen < 256"
_BESIDE = alt.ExprRef(f"{_EARLY} ? 16 : -16")
_ESTIMATE = "'MSE ' + format(datum.mse, '.3f') + ' ± ' + format(datum.most - datum.mse, '.3f')"


def growth_rows(sizes: Sequence[int], summaries: Sequence[ErrorSummary]) -> Rows:
    """What the growth figure draws: n, SSE, MSE and MSE ± its standard error."""
    return [
        {"n": n, "sse": s.sse, "mse": s.mse, "least": s.mse - s.mse_se, "most": s.mse + s.mse_se}
        for n, s in zip(sizes, summaries, strict=True)
    ]


def growth_chart(
    rows: Rows,
    chosen: int,
    *,
    top: tuple[float, float],
    typical: float | None = None,
    theme: Theme = LIGHT,
    width: int = 620,
) -> alt.VConcatChart:
    """SSE and MSE over the number of rows, the chosen number marked.

    Parameters
    ----------
    rows : list of dict
        From :func:`growth_rows`.
    chosen : int
        The marked number of rows.
    top : (float, float)
        Upper ends of the axes of SSE and MSE; fixed, so that changes are seen against them.
    typical : float, optional
        The loss of a typical row, where it is known.
    theme, width
        As :func:`halfsquare.figures.charts.one_example_chart`.
    """
    x = alt.X("n:Q", scale=alt.Scale(type="log", base=2, nice=False), axis=axis("rows n", ticks=5))
    powers = alt.Scale(type="log", domain=[1.0, top[0]], nice=False, clamp=True)
    sse = alt.Y(
        "sse:Q",
        scale=powers,
        axis=axis("SSE (log)", ticks=4, minExtent=AXIS_WIDTH, maxExtent=AXIS_WIDTH),
    )
    mse = _y("mse", "MSE", top[1])
    data = alt.InlineData(values=rows, name="growth")
    here = alt.Chart(data).transform_filter("datum.n == chosen")
    low = here.transform_calculate(written=_ESTIMATE).transform_calculate(mse=str(0.09 * top[1]))
    band = {"type": "area", "color": alt.ExprRef("muted"), "opacity": 0.28, "clip": True}
    upper = alt.layer(
        _chart(data, curve("ink")).encode(x=x, y=sse),
        _with(here, rule("muted", strokeDash=[5, 4])).encode(x=x),
        _with(here, dot("ink")).encode(x=x, y=sse),
        *[
            _with(here, mark).encode(x=x, y=sse)
            for mark in _over("'SSE ' + format(datum.sse, '.4~r')", dy=_BESIDE)
        ],
    ).properties(width=width, height=150)
    layers = [
        _chart(data, band).encode(x=x, y=_y("least", "MSE", top[1]), y2="most:Q"),
        _chart(data, curve("ink")).encode(x=x, y=mse),
        _with(here, rule("muted", strokeDash=[5, 4])).encode(x=x),
        _with(here, dot("ink")).encode(x=x, y=mse),
        *[_with(low, mark).encode(x=x, y=mse) for mark in _over("datum.written")],
    ]
    if typical is not None:
        one = alt.InlineData(values=[{"n": rows[-1]["n"], "mse": typical}])
        layers.append(_chart(one, rule("muted", strokeWidth=1)).encode(y=mse))
        words = text("'the loss of a typical row'", "muted", align="right", dy=20)
        layers.append(_chart(one, words).encode(x=x, y=mse))
    lower = alt.layer(*layers).properties(width=width, height=190)
    chart = alt.vconcat(upper, lower, spacing=18).add_params(
        alt.param(name="chosen", value=chosen), *_colours(theme)
    )
    figure: alt.VConcatChart = _finished(
        chart, "SSE climbs with every row; MSE settles, and its standard error shrinks."
    )
    return figure


def scatter_rows(scatter: BatchScatter) -> dict[str, Rows]:
    """The named data sets of the scatter figure."""
    return {
        "batches": _points(scatter.batches),
        "ellipse": [{**point, "at": i} for i, point in enumerate(_points(scatter.ellipse))],
        "full": _points(scatter.full[None, :]),
    }


def scatter_chart(
    data: dict[str, Rows],
    *,
    reach: tuple[float, float, float, float],
    theme: Theme = LIGHT,
    width: int = 620,
) -> alt.LayerChart:
    """The gradients of mini-batches about the full gradient, in the plane of intercept and slope.

    Parameters
    ----------
    data : dict of list of dict
        From :func:`scatter_rows`.
    reach : (x0, x1, y0, y1)
        The axes; fixed, so that the scatter is seen to shrink.
    theme, width
        As :func:`halfsquare.figures.charts.one_example_chart`.
    """
    x = alt.X("a:Q", scale=_fixed(*reach[:2]), axis=axis("gradient by intercept", ticks=5))
    fixed = {"minExtent": AXIS_WIDTH, "maxExtent": AXIS_WIDTH}
    y = alt.Y("b:Q", scale=_fixed(*reach[2:]), axis=axis("gradient by slope", ticks=5, **fixed))
    named = {name: alt.InlineData(values=rows, name=name) for name, rows in data.items()}
    zero = alt.InlineData(values=[{"a": 0, "b": 0}])
    cloud = {
        "type": "point",
        "filled": True,
        "size": 26,
        "opacity": 0.5,
        "color": alt.ExprRef("muted"),
        "clip": True,
    }
    cross = {
        "type": "point",
        "shape": "cross",
        "filled": True,
        "size": 150,
        "opacity": 1,
        "color": alt.ExprRef("ink"),
    }
    layers = [
        _chart(zero, rule("line")).encode(x=x),
        _chart(zero, rule("line")).encode(y=y),
        _chart(zero, text("'zero'", "muted", align="left", dx=6, dy=-9)).encode(x=x, y=y),
        _chart(named["batches"], cloud).encode(x=x, y=y),
        _chart(named["ellipse"], curve("ink", strokeWidth=1.5, strokeDash=[5, 4])).encode(
            x=x, y=y, order="at:Q"
        ),
        _chart(named["full"], cross).encode(x=x, y=y),
        *[
            _chart(named["full"], mark).encode(x=x, y=y)
            for mark in _haloed("'full gradient'", dy=-18, fontWeight=600)
        ],
    ]
    chart = alt.layer(*layers).properties(width=width, height=340).add_params(*_colours(theme))
    figure: alt.LayerChart = _finished(
        chart,
        "Mini-batch gradients scatter about the full gradient; the scatter shrinks with the batch.",
    )
    return figure


def _over(expression: str, **more: Any) -> list[dict[str, Any]]:
    side, away = f"{_EARLY} ? 'left' : 'right'", f"{_EARLY} ? 10 : -10"
    return _haloed(expression, align=alt.ExprRef(side), dx=alt.ExprRef(away), **more)


def _haloed(expression: str, **more: Any) -> list[dict[str, Any]]:
    """A label over points or curves: first its halo, then itself."""
    halo = {"stroke": alt.ExprRef("panel"), "strokeWidth": 5, "strokeJoin": "round"}
    return [text(expression, "panel", **more, **halo), text(expression, "ink", **more)]


def _points(pairs: Any) -> Rows:
    return [{"a": float(a), "b": float(b)} for a, b in pairs]


def _fixed(low: float, high: float) -> alt.Scale:
    return alt.Scale(domain=[low, high], nice=False, zero=False)


def _y(field: str, title: str, top: float) -> alt.Y:
    return alt.Y(
        f"{field}:Q",
        scale=_fixed(0.0, top),
        axis=axis(title, ticks=4, minExtent=AXIS_WIDTH, maxExtent=AXIS_WIDTH),
    )


def _chart(data: alt.InlineData, mark: dict[str, Any]) -> alt.Chart:
    return _with(alt.Chart(data), mark)


def _with(chart: alt.Chart, mark: dict[str, Any]) -> alt.Chart:
    drawn: alt.Chart = chart.mark_point().properties(mark=alt.MarkDef(**mark))
    return drawn


def _colours(theme: Theme) -> list[alt.Parameter]:
    return [alt.param(name=name, value=colour) for name, colour in theme.colours().items()]


def _finished(chart: Any, description: str) -> Any:
    chart = chart.properties(
        background=alt.ExprRef("panel"),
        padding={"left": 10, "right": 14, "top": 12, "bottom": 8},
        description=description,
    )
    return chart.configure(font=FONT).configure_view(stroke=None)
