"""The figures of a training run, and of one prediction: their rows are named data sets and their
axes are signals, so that a page can replace both.
"""

from __future__ import annotations

from typing import Any

import altair as alt

from halfsquare.figures.marks import (
    Mark,
    axis,
    band,
    curve,
    dashed,
    dot,
    drawn,
    finished,
    fixed_width,
    haloed,
    heading,
    log_span,
    name_axis,
    point,
    rows_of,
    rule,
    span,
    text,
    written,
)

WIDE = "width > 360"  # a desk rather than a phone
SHOWN_WEIGHTS = 12
SHOWN_PARTS = 10
_LOG_WIDTH = 58
_DASH = {"strokeDash": [6, 4]}
_DOTS = {"strokeDash": [1, 5], "strokeCap": "round"}
_END = 1e15  # of a replay: everything


def descent_chart() -> Any:
    """The loss over the steps, from step 0: each descent a line, the refit dashed, the loss on rows
    held out dotted; hovering names the nearest step, and ``until`` cuts the lines off, to replay
    them.
    """
    ends = [alt.ExprRef(f"loss_span[{end}]") for end in (0, 1)]
    y = alt.Y(
        "loss:Q",
        scale=log_span(ends, clamp=True),
        axis=axis("loss (log)", **fixed_width(_LOG_WIDTH)),
    )
    held = y.copy()
    held.shorthand = "held:Q"
    steps = span([0, alt.ExprRef("last")])
    x = alt.X("i:Q", scale=steps, axis=axis("step", ticks=8, tickMinStep=1))
    lines = alt.Chart(rows_of([], "lines")).transform_filter("datum.i <= until")
    layers = [
        drawn(lines.transform_filter(f"{followed} && {phase}"), mark, x=x, y=y, detail="line:N")
        for followed, name, more in (
            ("!datum.here", "muted", {"strokeWidth": 1.25, "opacity": 0.45}),
            ("datum.here", "ink", {}),
        )
        for phase, dash in (("datum.phase !== 'refit'", {}), ("datum.phase === 'refit'", _DASH))
        for mark in (curve(name, **more, **dash),)
    ]
    nearest = alt.selection_point(
        name="hover", on="pointermove", nearest=True, fields=["key"], empty=False
    )
    followed = lines.transform_filter("datum.here")
    apart = followed.transform_filter("isValid(datum.held)")
    layers.append(drawn(apart, curve("ink", **_DOTS), x=x, y=held, detail="line:N"))
    names = alt.Chart(rows_of([], "names")).transform_filter("datum.i <= until")
    for above, away in (("datum.above", -12), ("!datum.above", 18)):
        place: Mark = {"align": "right", "dy": away, "fontWeight": 600}
        ends_of = names.transform_filter(above)
        layers += [drawn(ends_of, mark, x=x, y=y) for mark in haloed("datum.name", **place)]
    catch = drawn(followed, point("ink", 60, opacity=0), x=x, y=y).add_params(nearest)
    at = followed.transform_filter(nearest)
    more = f"(isValid(datum.held) ? ', held out ' + {written('datum.held')} : '')"
    words = f"'step ' + datum.i + ': ' + {written('datum.loss')} + {more}"
    side: Mark = {"align": alt.ExprRef("datum.i > 0.6 * last ? 'right' : 'left'"), "dy": -14}
    layers += [
        drawn(rows_of([], "here"), dot("ink"), x=x, y=y),
        catch,
        drawn(at, rule("muted"), x=x),
        drawn(at, dot("ink", size=90), x=x, y=y),
        drawn(at.transform_filter("isValid(datum.held)"), dot("ink", size=90), x=x, y=held),
        *[drawn(at, mark, x=x, y=y) for mark in haloed(words, **side)],
    ]
    # Four digits, as in the words beside it.
    signals = {"last": 10, "until": _END, "loss_span": [1e-3, 1.0], "digits": 4}
    chart = alt.layer(*layers).properties(width=620, height=400)
    words = "The loss over the steps, on the rows of training and on rows held out."
    return finished(chart, words, signals=signals)


def compared_chart() -> Any:
    """The losses of several runs over their steps, each named at its end."""
    ends = [alt.ExprRef(f"loss_span[{end}]") for end in (0, 1)]
    scale = axis("loss (log)", **fixed_width(_LOG_WIDTH))
    y = alt.Y("loss:Q", scale=log_span(ends, clamp=True), axis=scale)
    steps = span([0, alt.ExprRef("1.12 * last")])
    x = alt.X("i:Q", scale=steps, axis=axis("step", ticks=8, tickMinStep=1))
    lines, tips = alt.Chart(rows_of([], "lines")), alt.Chart(rows_of([], "tips"))
    dashes = alt.Scale(domain=[0, 1, 2, 3], range=[[1, 0], [6, 4], [2, 3], [9, 3, 2, 3]])
    kind = alt.StrokeDash("dash:O", scale=dashes, legend=None)
    layers = [
        drawn(lines, curve("ink", strokeWidth=2), x=x, y=y, detail="line:N", strokeDash=kind),
        drawn(tips, dot("ink", size=80), x=x, y=y),
        *[
            drawn(tips, mark, x=x, y=y)
            for mark in haloed("datum.name", align="left", dx=10, fontWeight=600)
        ],
    ]
    chart = alt.layer(*layers).properties(width=620, height=330)
    words = "The losses of several runs over their steps."
    return finished(chart, words, signals={"last": 10, "loss_span": [1e-3, 1.0]})


def effect_chart() -> Any:
    """The output over one column, all others held, with the 95 % band; where the row stands."""
    x = alt.X("x:Q", scale=span(), axis=axis(None))
    free, outputs = alt.Scale(zero=False), axis("output", **fixed_width(_LOG_WIDTH))
    y = alt.Y("y:Q", scale=free, axis=outputs)
    low = alt.Y("low:Q", scale=free, axis=outputs)
    line = alt.Chart(rows_of([], "effect"))
    here = alt.Chart(rows_of([], "row"))
    layers = [
        drawn(line, band("muted", 0.16), x=x, y=low, y2="high:Q"),
        drawn(line, curve("ink"), x=x, y=y),
        drawn(here, dashed("muted"), x=x),
        drawn(here, dot("ink"), x=x, y=y),
    ]
    chart = alt.layer(*layers).properties(width=620, height=250)
    chart.title = heading("effect_name", "ink", size=15, offset=8)
    words = "The output over one column, with the band of new targets."
    return finished(chart, words, signals={"effect_name": ""})


def weights_chart() -> Any:
    """The strongest weights, each with an arrow for its last step, from where it stood to where it
    stands, on the scale of the axis.
    """
    base, y = alt.Chart(rows_of([], "weights")), _named()
    domain = [alt.ExprRef("-reach"), alt.ExprRef("reach")]
    x = alt.X("value:Q", scale=span(domain), axis=axis("value"))
    layers = [
        drawn(rows_of([{"value": 0}]), rule("line"), x=x),
        drawn(base, rule("line", strokeWidth=6, strokeCap="round"), x=x, x2="zero:Q", y=y),
        drawn(base, dot("ink", size=90), x=x, y=y),
    ]
    before = x.copy()
    before.shorthand = "before:Q"
    for side, colour, turn in ((1, "low", 90), (-1, "high", 270)):
        moved = base.transform_filter(f"datum.side == {side}")
        head = point(colour, 90, shape="triangle", angle=turn, clip=False)
        layers.append(drawn(moved, rule(colour, strokeWidth=2.5), x=before, x2="value:Q", y=y))
        layers.append(drawn(moved, head, x=x, y=y))
    chart = alt.layer(*layers).properties(width=620, height=24 * SHOWN_WEIGHTS)
    words = "The strongest weights, each with an arrow for its last step."
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
