"""The figure of pulls: for each parameter how hard the rows pull it up, and how hard down."""

from __future__ import annotations

import altair as alt

from halfsquare.explain.pulls import Pull, Pulls
from halfsquare.figures.theme import FONT, LIGHT, Theme

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
    order = [str(r["name"]) for r in rows]
    y = alt.Y("name:N", sort=order, axis=alt.Axis(title=None, labelLimit=200))
    axis = alt.Axis(
        title="← pulled down, pulled up →  (on comparable scales)", format="~s", tickCount=7
    )
    x = alt.X("down:Q", axis=axis)
    base = alt.Chart(alt.InlineData(values=rows))
    tip = [
        alt.Tooltip(f"{key}:N", title=title)
        for key, title in (("name", "parameter"), ("told", "pulls"))
    ]
    bars = base.mark_bar(color=theme.muted, opacity=0.55, height={"band": 0.6}).encode(
        x=x, x2="up:Q", y=y, tooltip=tip
    )
    middle = (
        alt.Chart(alt.InlineData(values=[{}]))
        .mark_rule(color=theme.ink, strokeWidth=1)
        .encode(x=alt.datum(0))
    )
    dot = base.mark_point(filled=True, size=70, color=theme.ink, opacity=1).encode(
        x="gradient:Q", y=y, tooltip=tip
    )
    title = alt.TitleParams(
        "Who pulls which parameter",
        subtitle="Bars: all rows together. Dot: what is left of them, where descent goes.",
        anchor="start",
        color=theme.ink,
        subtitleColor=theme.muted,
        font=FONT,
        subtitleFont=FONT,
    )
    chart = alt.layer(bars, middle, dot).properties(
        width=width, height=max(60, 26 * len(rows)), title=title
    )
    styled: alt.LayerChart = (
        chart.configure(background=theme.panel, padding=16, font=FONT)
        .configure_axis(
            labelColor=theme.muted,
            titleColor=theme.muted,
            gridColor=theme.line,
            domainColor=theme.line,
            tickColor=theme.line,
            titleFontWeight="normal",
            labelFont=FONT,
            titleFont=FONT,
        )
        .configure_view(stroke=None)
    )
    return styled


def _row(pull: Pull) -> dict[str, float | str]:
    # Negative parts of the gradient pull up, and up is to the right.
    scale = -pull.strength / (pull.down - pull.up or 1.0)
    return {
        "name": pull.name,
        "down": pull.down * scale,
        "up": pull.up * scale,
        "gradient": 0.0 if pull.balanced else pull.gradient * scale,
        "told": f"{pull.rows_up:,} rows up {pull.up:.4g}, {pull.rows_down:,} rows down "
        f"{pull.down:.4g}",
    }
