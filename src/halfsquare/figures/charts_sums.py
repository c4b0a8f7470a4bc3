"""Figures of many examples: SSE climbs while MSE settles; mini-batches scatter about the full
gradient.

Their rows are named data sets (``growth``, ``batches``, …), so that a page can replace them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import altair as alt

from halfsquare.explain.many_examples import BatchScatter
from halfsquare.figures.marks import (
    Mark,
    Rows,
    axis,
    band,
    curve,
    dashed,
    dot,
    drawn,
    finished,
    fixed_width,
    haloed,
    log_span,
    point,
    rows_of,
    rule,
    span,
    text,
)
from halfsquare.figures.theme import LIGHT, Theme
from halfsquare.sums import ErrorSummary

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


def rows_chart(*, theme: Theme = LIGHT, width: int = 620) -> alt.LayerChart:
    """The rows themselves (data ``sample``), the line that is looked at and the best one (data
    ``line`` and ``best``, two points each); ``tall`` is the range of the targets.
    """
    x = alt.X("x:Q", scale=span([-2.1, 2.1]), axis=axis("x"))
    tall = [alt.ExprRef("tall[0]"), alt.ExprRef("tall[1]")]
    y = alt.Y("t:Q", scale=span(tall), axis=axis("target t", **fixed_width()))
    rows = alt.Chart(rows_of([], "sample"))
    layers = [
        drawn(rows.transform_filter(f"datum.side == {side}"), mark, x=x, y=y)
        for side, mark in (
            (-1, point("low", 26, shape="triangle-up", opacity=0.7)),
            (1, point("high", 26, shape="triangle-down", opacity=0.7)),
        )
    ]
    best = curve("muted", strokeWidth=1.5, strokeDash=[5, 4])
    layers += [
        drawn(rows_of([], "best"), best, x=x, y=y),
        drawn(rows_of([], "line"), curve("ink"), x=x, y=y),
    ]
    figure: alt.LayerChart = finished(
        alt.layer(*layers).properties(width=width, height=240),
        "Rows about a line: blue where the output is too low, orange where it is too high.",
        signals={"tall": [-4.0, 8.0]},
        theme=theme,
    )
    return figure


def growth_chart(*, theme: Theme = LIGHT, width: int = 620) -> alt.VConcatChart:
    """SSE and MSE over the number of rows (data ``growth``, from :func:`growth_rows`).

    Signals: ``chosen``, the marked number of rows; ``sse_top`` and ``mse_top``, the upper ends of
    the axes, which stay while the rows change, so that changes are seen against them. Data
    ``typical``: the loss of a typical row, where it is known.
    """
    x = alt.X("n:Q", scale=log_span(base=2), axis=axis("rows n"))
    sse = alt.Y(
        "sse:Q",
        scale=log_span([1.0, alt.ExprRef("sse_top")], clamp=True),
        axis=axis("SSE (log)", ticks=4, **fixed_width()),
    )
    mse = _mse("mse")
    data = alt.Chart(rows_of([], "growth"))
    here = data.transform_filter("datum.n == chosen")
    low = here.transform_calculate(written=_ESTIMATE).transform_calculate(mse="0.09 * mse_top")
    upper = alt.layer(
        drawn(data, curve("ink"), x=x, y=sse),
        drawn(here, dashed("muted"), x=x),
        drawn(here, dot("ink"), x=x, y=sse),
        *[
            drawn(here, mark, x=x, y=sse)
            for mark in _over("'SSE ' + format(datum.sse, '.4~r')", dy=_BESIDE)
        ],
    ).properties(width=width, height=150)
    layers = [
        drawn(data, band("muted", 0.28), x=x, y=_mse("least"), y2="most:Q"),
        drawn(data, curve("ink"), x=x, y=mse),
        drawn(here, dashed("muted"), x=x),
        drawn(here, dot("ink"), x=x, y=mse),
        *[drawn(low, mark, x=x, y=mse) for mark in _over("datum.written")],
    ]
    one = rows_of([], "typical")
    words = text("'the loss of a typical row'", "muted", align="right", dy=20)
    layers += [drawn(one, rule("muted", strokeWidth=1), y=mse), drawn(one, words, x=x, y=mse)]
    lower = alt.layer(*layers).properties(width=width, height=190)
    figure: alt.VConcatChart = finished(
        alt.vconcat(upper, lower, spacing=18),
        "SSE climbs with every row; MSE settles, and its standard error shrinks.",
        signals={"chosen": 16, "sse_top": 1e4, "mse_top": 4.0},
        theme=theme,
    )
    return figure


def scatter_rows(scatter: BatchScatter) -> dict[str, Rows]:
    """The named data sets of the scatter figure."""
    return {
        "batches": _points(scatter.batches),
        "ellipse": [{**point, "at": i} for i, point in enumerate(_points(scatter.ellipse))],
        "full": _points(scatter.full[None, :]),
    }


def scatter_chart(*, theme: Theme = LIGHT, width: int = 620) -> alt.LayerChart:
    """The gradients of mini-batches about the full gradient, in the plane of intercept and slope;
    data from :func:`scatter_rows`.

    Signal ``wide``: the ends of both axes, which stay while the batch changes, so that the scatter
    is seen to shrink.
    """
    x = alt.X(
        "a:Q",
        scale=span([alt.ExprRef("wide[0]"), alt.ExprRef("wide[1]")]),
        axis=axis("gradient by intercept"),
    )
    y = alt.Y(
        "b:Q",
        scale=span([alt.ExprRef("wide[2]"), alt.ExprRef("wide[3]")]),
        axis=axis("gradient by slope", **fixed_width()),
    )
    named = {name: rows_of([], name) for name in ("batches", "ellipse", "full")}
    origin = rows_of([{"a": 0, "b": 0}])
    ellipse = curve("ink", strokeWidth=1.5, strokeDash=[5, 4])
    layers = [
        drawn(origin, rule("line"), x=x),
        drawn(origin, rule("line"), y=y),
        drawn(origin, text("'zero'", "muted", align="left", dx=6, dy=-9), x=x, y=y),
        drawn(named["batches"], point("muted", 26, opacity=0.5), x=x, y=y),
        drawn(named["ellipse"], ellipse, x=x, y=y, order="at:Q"),
        drawn(named["full"], point("ink", 150, shape="cross"), x=x, y=y),
        *[
            drawn(named["full"], mark, x=x, y=y)
            for mark in haloed("'full gradient'", dy=-18, fontWeight=600)
        ],
    ]
    figure: alt.LayerChart = finished(
        alt.layer(*layers).properties(width=width, height=340),
        "Mini-batch gradients scatter about the full gradient; the scatter shrinks with the batch.",
        signals={"wide": [-2.0, 2.0, -2.0, 2.0]},
        theme=theme,
    )
    return figure


def _over(expression: str, **more: Any) -> list[Mark]:
    side, away = f"{_EARLY} ? 'left' : 'right'", f"{_EARLY} ? 10 : -10"
    return haloed(expression, align=alt.ExprRef(side), dx=alt.ExprRef(away), **more)


def _points(pairs: Any) -> Rows:
    return [{"a": float(a), "b": float(b)} for a, b in pairs]


def _mse(field: str) -> alt.Y:
    scale = span([0.0, alt.ExprRef("mse_top")])
    return alt.Y(f"{field}:Q", scale=scale, axis=axis("MSE", ticks=4, **fixed_width()))
