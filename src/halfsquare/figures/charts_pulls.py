"""The figures of pulls: for each parameter how hard the rows pull it up and down; of one row, what
its output is made of.
"""

from __future__ import annotations

import altair as alt

from halfsquare.explain.pulls import Pull, Pulls
from halfsquare.explain.row import RowExplanation
from halfsquare.figures.marks import (
    axis,
    bar,
    colour,
    drawn,
    finished,
    name_axis,
    point,
    rows_of,
    zero,
)
from halfsquare.figures.theme import LIGHT, Theme

_MOST = 15


def pulls_chart(pulls: Pulls, *, theme: Theme = LIGHT, width: int = 620) -> alt.LayerChart:
    """Bars to the right for the pull up, to the left for the pull down, on one scale for all
    parameters.

    Rows whose output is too low and rows whose output is too high can pull the same way, so the
    bars have one colour; what is left of the two, the gradient, is a dot: at the optimum it stands
    in the middle.
    """
    ranked = sorted(pulls.parameters, key=lambda p: -p.strength)[:_MOST]
    rows = [_row(p) for p in ranked if p.strength]
    y = alt.Y("name:N", sort=[str(r["name"]) for r in rows], axis=name_axis(200))
    x = alt.X("down:Q", axis=axis("← pulled down, pulled up →  (on comparable scales)", ticks=7))
    base = alt.Chart(rows_of(rows))
    layers = [
        drawn(base, bar("muted", opacity=0.55, height={"band": 0.6}), x=x, x2="up:Q", y=y),
        zero("x"),
        drawn(base, point("ink", 70), x="gradient:Q", y=y),
    ]
    height = max(60, 26 * len(rows))
    title = alt.TitleParams(
        "Who pulls which parameter",
        subtitle="Bars: all rows together. Dot: what is left of them, where descent goes.",
        anchor="start",
        color=colour("ink"),
        subtitleColor=colour("muted"),
    )
    chart = alt.layer(*layers).properties(width=width, height=height, title=title)
    figure: alt.LayerChart = finished(
        chart, "How hard the rows pull each parameter up and down.", theme=theme
    )
    return figure


def row_chart(one: RowExplanation, *, theme: Theme = LIGHT, width: int = 620) -> alt.LayerChart:
    """What each column adds to the output of one row, or what the row asks of each parameter where
    the output is no sum over columns.
    """
    added = {f"{c} = {one.values.get(c)}": part for c, part in one.contributions.items()}
    found = added or {a.name: -a.pull for a in one.asks}
    ranked = sorted(found.items(), key=lambda item: -abs(item[1]))[:_MOST]
    rows = [{"name": name, "part": part} for name, part in ranked]
    words = f"added to the output: {one.target_name}" if added else "asked of the parameter"
    y = alt.Y("name:N", sort=[name for name, _ in ranked], axis=name_axis(200))
    x = alt.X("part:Q", axis=axis(words, ticks=7))
    mark = bar("muted", height={"band": 0.6})
    layers = [drawn(rows_of(rows), mark, x=x, x2=alt.datum(0), y=y), zero("x")]
    title = alt.TitleParams(
        f"Row {one.row}: {one.target_name}",
        subtitle=one.sentences(one.target_name).split("\n")[0],
        anchor="start",
        color=colour("ink"),
        subtitleColor=colour("muted"),
    )
    height = max(60, 26 * len(rows))
    chart = alt.layer(*layers).properties(width=width, height=height, title=title)
    figure: alt.LayerChart = finished(chart, one.sentences(one.target_name), theme=theme)
    return figure


def _row(pull: Pull) -> dict[str, float | str]:
    # Negative parts of the gradient pull up, and up is to the right.
    scale = -pull.strength / (pull.down - pull.up or 1.0)
    return {
        "name": pull.name,
        "down": pull.down * scale,
        "up": pull.up * scale,
        "gradient": 0.0 if pull.balanced else pull.gradient * scale,
    }
