"""The vocabulary of every figure: axes, marks, labels and the finish; colours by their meaning.

A mark names a colour of :class:`halfsquare.figures.theme.Theme` (``"ink"``, ``"low"`` …), never a
value: the colours are parameters of the finished chart, so that one figure is drawn in light and in
dark, on a page and on paper.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt

from halfsquare.figures.theme import FONT, LIGHT, Theme

Mark = dict[str, Any]
Row = dict[str, Any]
Rows = list[Row]

AXIS_WIDTH = 44  # fixed, so that panels line up and nothing shifts when a number grows a digit
_DASHED = [5, 4]

# Large and small numbers as powers of ten, a real minus sign.
_SIZE = "abs(datum.value)"
_NUMBER = (
    "datum.value == 0 && length(datum.label) > 4 ? '0'"
    f" : {_SIZE} >= 1e9 || ({_SIZE} > 0 && {_SIZE} < 1e-3)"
    " ? replace(format(datum.value, '.6~e'), /-/g, '−')"
    f" : {_SIZE} >= 1e4 ? replace(format(datum.value, '.6~s'), '-', '−')"
    " : replace(replace(datum.label, ',', ''), '-', '−')"
)


def rows_of(rows: Rows, name: str | None = None) -> alt.InlineData:
    """Rows inside the figure; a name lets a page replace them."""
    return alt.InlineData(values=rows, name=name or alt.Undefined)


def axis(title: str | None, *, ticks: int = 5, **more: Any) -> alt.Axis:
    """A quiet axis: numbers and a title, no lines."""
    return _quiet(title, {"labelExpr": _NUMBER, "tickCount": ticks, **more})


def share_axis(title: str, *, ticks: int = 5, **more: Any) -> alt.Axis:
    """An axis of shares, in per cent."""
    return _quiet(title, {"format": "%", "tickCount": ticks, **more})


def name_axis(limit: Any, **more: Any) -> alt.Axis:
    """An axis of names, cut off where they are longer than ``limit`` pixels."""
    return _quiet(None, {"labelLimit": limit, **more})


def fixed_width(width: Any = AXIS_WIDTH) -> dict[str, Any]:
    """Keeps an axis as wide as this, whatever stands on it."""
    return {"minExtent": width, "maxExtent": width}


def _quiet(title: str | None, more: Mapping[str, Any]) -> alt.Axis:
    colours = {
        key: alt.ExprRef(colour)
        for key, colour in (("labelColor", "muted"), ("titleColor", "muted"), ("gridColor", "line"))
    }
    sizes = {"labelFontSize": 12, "titleFontSize": 12, "titleFontWeight": "normal"}
    room = {"labelPadding": 6, "titlePadding": 8, "labelOverlap": True, "labelSeparation": 8}
    lines = {"grid": False, "ticks": False, "domain": False}
    return alt.Axis(title=title, **{**colours, **sizes, **room, **lines, **more})


def span(domain: Sequence[Any] | None = None, **more: Any) -> alt.Scale:
    """A linear scale that begins and ends where it is told to, or where the rows do."""
    bounds = {} if domain is None else {"domain": list(domain)}
    return alt.Scale(**{"nice": False, "zero": False, **bounds, **more})


def log_span(domain: Sequence[Any] | None = None, **more: Any) -> alt.Scale:
    """A logarithmic scale, as :func:`span`."""
    bounds = {} if domain is None else {"domain": list(domain)}
    return alt.Scale(**{"type": "log", "nice": False, **bounds, **more})


def colour(name: str) -> alt.ExprRef:
    """The colour of this meaning."""
    return alt.ExprRef(name)


def rule(name: str, **more: Any) -> Mark:
    """A straight line."""
    return {"type": "rule", "color": colour(name), "clip": True, **more}


def dashed(name: str, **more: Any) -> Mark:
    """A dashed straight line."""
    return rule(name, strokeDash=_DASHED, **more)


def curve(name: str, **more: Any) -> Mark:
    """A line through the rows."""
    return {"type": "line", "color": colour(name), "strokeWidth": 2.5, "clip": True, **more}


def band(name: str, opacity: float = 0.18, **more: Any) -> Mark:
    """The area between two lines."""
    return {"type": "area", "color": colour(name), "opacity": opacity, "clip": True, **more}


def wash(name: str, **more: Any) -> Mark:
    """A rectangle."""
    return {"type": "rect", "color": colour(name), **more}


def bar(name: str, **more: Any) -> Mark:
    """A bar of a nominal axis."""
    return {"type": "bar", "color": colour(name), **more}


def point(name: str, size: int, **more: Any) -> Mark:
    """A point without a ring."""
    filled = {"type": "point", "filled": True, "opacity": 1, "size": size, "clip": True}
    return {**filled, "color": colour(name), **more}


def dot(name: str, **more: Any) -> Mark:
    """A point with a ring in the colour of the paper, so that it stands out from the line it is
    on.
    """
    ring = {"stroke": colour("panel"), "strokeWidth": 2, "clip": False}
    return {**point(name, 190), **ring, **more}


def handle() -> Mark:
    """What can be grabbed: 44 pixels wide, as fingers need, and not seen."""
    return {"type": "point", "filled": True, "size": 1500, "opacity": 0, "cursor": "ew-resize"}


def text(expression: str, name: str, **more: Any) -> Mark:
    """A computed label."""
    words = {"type": "text", "text": alt.ExprRef(expression), "fontSize": 13}
    return {**words, "color": colour(name), **more}


def haloed(expression: str, name: str = "ink", behind: str = "panel", **more: Any) -> list[Mark]:
    """A label that stays legible over points or curves: first its halo, then itself."""
    halo = {"stroke": colour(behind), "strokeWidth": 5, "strokeJoin": "round"}
    return [text(expression, behind, **{**more, **halo}), text(expression, name, **more)]


def heading(expression: str, name: str, *, size: int, offset: int) -> alt.TitleParams:
    """A line of text above a panel or a figure, computed."""
    words = alt.ExprRef(expression)
    return alt.TitleParams(
        words, anchor="start", offset=offset, color=colour(name), fontSize=size, fontWeight=600
    )


def label(name: str, expression: str) -> str:
    """The name and the number."""
    return f"'{name} ' + {written(expression)}"


def signed_label(name: str, expression: str) -> str:
    """The name and the number with its sign; nothing where it is zero."""
    sign = f"(({expression}) > 0 ? '+' : '')"
    return f"({expression}) == 0 ? '' : '{name} ' + {sign} + {written(expression)}"


def written(expression: str, digits: str = "digits", comma: str = ",") -> str:
    """At most as many significant digits as the signal ``digits`` says, with a real minus sign."""
    size = f"abs({expression})"
    extreme = f"{size} >= 1e9 || ({size} > 0 && {size} < 1e-4)"
    shape = f"{extreme} ? '.' + {digits} + '~e' : '{comma}.' + {digits} + '~r'"
    return f"replace(format({expression}, {shape}), /-/g, '−')"


def drawn(chart: Any, mark: Mark, **channels: Any) -> alt.Chart:
    """Rows or a chart with this mark; read aloud are the figure's description and the numbers
    beside it, not each mark.
    """
    base = chart if isinstance(chart, alt.Chart) else alt.Chart(chart)
    made = base.mark_point().properties(mark=alt.MarkDef(**{"aria": False, **mark}))
    encoded: alt.Chart = made.encode(**channels)
    return encoded


def zero(channel: str, name: str = "ink") -> alt.Chart:
    """The dashed line at which ``channel`` is 0."""
    at = f"{channel}:Q"
    return drawn(rows_of([{channel: 0}]), dashed(name), **{channel: at})


def finished(
    chart: Any,
    description: str,
    *,
    signals: Mapping[str, Any] | None = None,
    params: Sequence[alt.Parameter] = (),
    theme: Theme = LIGHT,
    padding: tuple[int, int, int, int] = (10, 14, 12, 8),
) -> Any:
    """The chart with its colours, its signals and the quiet look that all figures share.

    Parameters
    ----------
    description : str
        What the figure shows, for those who cannot see it.
    signals : mapping
        Values that a page can set.
    params : sequence of Parameter
        What follows from them.
    theme : Theme
        The colours of the first view; they are parameters too.
    padding : (left, right, top, bottom)
        In pixels.
    """
    values = {"digits": 6, **(signals or {})}  # significant digits of computed labels
    given = [alt.param(name=name, value=value) for name, value in values.items()]
    colours = [alt.param(name=name, value=value) for name, value in theme.colours().items()]
    around = dict(zip(("left", "right", "top", "bottom"), padding, strict=True))
    chart = chart.add_params(*params, *given, *colours).properties(
        background=colour("panel"), padding=around, description=description
    )
    # Read aloud is the description, not each of some hundred marks and numbers on axes.
    return chart.configure(font=FONT, aria=False).configure_view(stroke=None)
