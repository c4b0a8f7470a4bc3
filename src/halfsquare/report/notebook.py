"""A fitted model at the end of a notebook's cell: the first screen, and its parameters."""

from __future__ import annotations

from html import escape

from halfsquare.report.first_screen import first_screen
from halfsquare.results.fitted import FittedModel
from halfsquare.text import number, visible

_SHOWN = 12  # parameters


def as_html(fitted: FittedModel) -> str:
    """The HTML of it."""
    lines = visible(first_screen(fitted)).split("\n")
    said = "".join(f"<div>{escape(line) or '&nbsp;'}</div>" for line in lines)
    if fitted.kind == "network":
        return said
    rows = "".join(
        f"<tr><th scope='row'>{escape(visible(p.name))}</th><td>{number(p.value, 6)}</td>"
        f"<td>{number(p.standard_error, 4)}</td><td>{number(p.t, 4)}</td></tr>"
        for p in fitted.parameters[:_SHOWN]
    )
    more = len(fitted.parameters) - _SHOWN
    below = f"<div>… and {more:,} more</div>" if more > 0 else ""
    head = "<tr><th></th><th>value</th><th>std. error</th><th>t</th></tr>"
    return f"{said}<table><thead>{head}</thead><tbody>{rows}</tbody></table>{below}"
