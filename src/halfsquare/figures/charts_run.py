"""The figures of a training run, and of one prediction: their rows are named data sets and their
axes are signals, so that a page can replace both.
"""

from __future__ import annotations

from typing import Any

import altair as alt

from halfsquare.figures.marks import (
    axis,
    curve,
    dot,
    drawn,
    finished,
    fixed_width,
    log_span,
    name_axis,
    point,
    rows_of,
    rule,
    span,
    text,
)

WIDE = "width > 360"  # a desk rather than a phone
SHOWN_WEIGHTS = 12
SHOWN_PARTS = 10
_LOG_WIDTH = 54


def descent_chart() -> Any:
    """Loss and gradient norm over the steps, both logarithmic."""
    panels = [_log_panel("loss", "loss (log)", 190), _log_panel("norm", "gradient norm (log)", 120)]
    signals = {"last": 10, "loss_span": [1e-3, 1.0], "norm_span": [1e-3, 1.0]}
    chart = alt.vconcat(*panels, spacing=18)
    return finished(chart, "Loss and gradient norm fall over the steps.", signals=signals)


def _log_panel(field: str, title: str, height: int) -> Any:
    ends = [alt.ExprRef(f"{field}_span[{end}]") for end in (0, 1)]
    decades = axis(title, ticks=4, **fixed_width(_LOG_WIDTH))
    y = alt.Y(f"{field}:Q", scale=log_span(ends, clamp=True), axis=decades)
    steps = span([0, alt.ExprRef("last")])
    x = alt.X("i:Q", scale=steps, axis=axis("step", ticks=6, tickMinStep=1))
    lines = alt.Chart(rows_of([], "lines"))
    others, followed = lines.transform_filter("!datum.here"), lines.transform_filter("datum.here")
    thin = curve("muted", strokeWidth=1.25, opacity=0.45)
    return alt.layer(
        drawn(others, thin, x=x, y=y, detail="line:N"),
        drawn(followed, curve("ink"), x=x, y=y, detail="line:N"),
        drawn(rows_of([], "here"), dot("ink"), x=x, y=y),
    ).properties(width=620, height=height)


def weights_chart() -> Any:
    """The strongest weights, each with an arrow for its last step."""
    base, y = alt.Chart(rows_of([], "weights")), _named()
    domain = [alt.ExprRef("-reach"), alt.ExprRef("reach")]
    x = alt.X("value:Q", scale=span(domain), axis=axis("value"))
    layers = [
        drawn(rows_of([{"value": 0}]), rule("line"), x=x),
        drawn(base, rule("line", strokeWidth=6, strokeCap="round"), x=x, x2="zero:Q", y=y),
        drawn(base, dot("ink", size=90), x=x, y=y),
    ]
    tip = x.copy()
    tip.shorthand = "tip:Q"
    for side, colour, turn in ((1, "low", 90), (-1, "high", 270)):
        moved = base.transform_filter(f"datum.side == {side}")
        head = point(colour, 70, shape="triangle", angle=turn, clip=False)
        layers.append(drawn(moved, rule(colour, strokeWidth=2.5), x=x, x2="tip:Q", y=y))
        layers.append(drawn(moved, head, x=tip, y=y))
    chart = alt.layer(*layers).properties(width=620, height=24 * SHOWN_WEIGHTS)
    words = "The strongest weights, with an arrow for the direction of the last step of each."
    return finished(chart, words, signals={"reach": 1.0})


def errors_chart() -> Any:
    """Outputs over targets; what lies under the diagonal is too low."""
    scale = span([alt.ExprRef("span[0]"), alt.ExprRef("span[1]")])
    x = alt.X("t:Q", scale=scale, axis=axis("target"))
    y = alt.Y("o:Q", scale=scale, axis=axis("output", ticks=4, **fixed_width()))
    rows = alt.Chart(rows_of([], "rows"))
    ends = alt.Chart(alt.sequence(0, 2, as_="i")).transform_calculate(
        t="span[datum.i]", o="span[datum.i]"
    )
    layers = [drawn(ends, curve("muted", strokeWidth=1.5, strokeDash=[5, 4]), x=x, y=y)]
    for side, colour, shape in ((-1, "low", "triangle-up"), (1, "high", "triangle-down")):
        there = rows.transform_filter(f"datum.side == {side}")
        layers.append(drawn(there, point(colour, 34, shape=shape, opacity=0.75), x=x, y=y))
    for words, colour, tx, ty, align in (
        ("too high", "high", 0.02, 0.95, "left"),
        ("too low", "low", 0.98, 0.05, "right"),
    ):
        place = alt.Chart(rows_of([{}])).transform_calculate(
            t=f"span[0] + {tx} * (span[1] - span[0])", o=f"span[0] + {ty} * (span[1] - span[0])"
        )
        mark = text(f"'{words}'", colour, align=align, fontWeight=600)
        layers.append(drawn(place, mark, x=x, y=y))
    chart = alt.layer(*layers).properties(width=620, height=280)
    words = "Outputs over targets: under the dashed line an output is too low, above it too high."
    return finished(chart, words, signals={"span": [-3.0, 3.0]})


def parts_chart() -> Any:
    """What each column adds to the output of the average row."""
    base, y = alt.Chart(rows_of([], "parts")), _named()
    domain = [alt.ExprRef(f"({WIDE} ? part_wide : part_narrow)[{end}]") for end in (0, 1)]
    x = alt.X("part:Q", scale=span(domain), axis=axis("added to the output"))
    layers = [
        drawn(rows_of([{"part": 0}]), rule("muted"), x=x),
        drawn(base, rule("ink", strokeWidth=8), x=x, x2="zero:Q", y=y),
    ]
    for side, align, away in ((1, "left", 8), (-1, "right", -8)):
        words = text("datum.written", "ink", align=align, dx=away)
        there = base.transform_filter(f"datum.side == {side}")
        layers.append(drawn(there, words, x=x, y=y))
    chart = alt.layer(*layers).properties(width=620, height=24 * SHOWN_PARTS)
    signals = {"part_wide": [-1.0, 1.0], "part_narrow": [-1.0, 1.0]}
    return finished(
        chart, "What each column adds to the output of the average row.", signals=signals
    )


def _named() -> alt.Y:
    """A name to each row, in the order of the rows."""
    width = alt.ExprRef(f"{WIDE} ? 184 : 92")
    names = name_axis(width, **fixed_width(width))
    return alt.Y("name:N", sort=None, axis=names, scale=alt.Scale(paddingInner=0.4))
