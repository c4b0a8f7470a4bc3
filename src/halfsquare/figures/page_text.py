"""Texts in pages: what every template of ours does with what is put into it."""

from __future__ import annotations

from typing import Any

import jinja2
from markupsafe import Markup, escape

from halfsquare.text import showable


def environment(loader: jinja2.BaseLoader, *, lstrip_blocks: bool = False) -> jinja2.Environment:
    """Templates of HTML: everything put into them is escaped, and is text of which every character
    can be shown. A value that a form sends back goes through the filter ``exact``, as it must come
    back as it is; it is escaped too.
    """
    made = jinja2.Environment(
        loader=loader,
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        finalize=_shown,
        trim_blocks=True,
        lstrip_blocks=lstrip_blocks,
    )
    made.filters["exact"] = _exact
    return made


def _shown(value: Any) -> Any:
    """What is HTML already stays as it is."""
    return showable(value) if type(value) is str else value


def _exact(value: Any) -> Markup:
    """Escaped, and otherwise as it is; half of a character could not be sent at all."""
    return escape(str(value).encode(errors="replace").decode())
