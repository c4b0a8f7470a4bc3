"""A chart as still SVG inside a page: no script, in the page's own colours, with a text
alternative.

The chart is drawn in the light theme; then each of its colours is replaced by the CSS variable of
its meaning, so that one picture follows the page from light to dark.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from html import escape
from typing import Any

import altair as alt

from halfsquare.figures.charts_fit import NARROW, WIDTH
from halfsquare.figures.engine import clean, to_svg
from halfsquare.figures.theme import LIGHT

_ID = re.compile(r'\bid="([^"]+)"')
_ARIA = re.compile(r' (?:role|aria-[a-z]+)="[^"]*"')
_ROOT = re.compile(r"<svg\b[^>]*>")
_SIZE = re.compile(r'\b(width|height)="([0-9.]+)"')


@dataclass(frozen=True)
class Figure:
    """A drawn figure.

    Attributes
    ----------
    name : str
        Unique on its page.
    title, caption : str
    alternative : str
        What it shows, in words, for those who cannot see it.
    svg : str
    header, rows : the numbers behind it, as a table; empty if there is none.
    """

    name: str
    title: str
    caption: str
    alternative: str
    svg: str
    header: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()


def draw(chart: alt.TopLevelMixin, name: str, alternative: str) -> str:
    """The chart as SVG markup for a page; ``name`` keeps its inner references apart from other
    figures'.
    """
    svg = to_svg(chart, background="transparent")
    for meaning, colour in LIGHT.colours().items():
        svg = re.sub(
            re.escape(f'"{colour}"'),
            f'"var(--{meaning.replace("_", "-")})"',
            svg,
            flags=re.IGNORECASE,
        )
    # Vega numbers what it refers to across all figures of a process: here from 0, so that a page is
    # reproducible.
    for i, inner in enumerate(dict.fromkeys(_ID.findall(svg))):
        svg = svg.replace(f'id="{inner}"', f'id="{name}-{i}"').replace(
            f"url(#{inner})", f"url(#{name}-{i})"
        )
    svg = _ARIA.sub("", svg)  # the figure speaks as a whole
    svg = re.sub(r' font-family="[^"]*"', "", svg)
    svg = re.sub(r"(\d\.\d\d)\d+", r"\1", svg)  # hundredths of a pixel are enough
    root = _ROOT.search(svg)
    assert root is not None
    size = dict(_SIZE.findall(root.group()))
    opened = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {size["width"]} '
        f'{size["height"]}" width="{size["width"]}" '
        f'height="{size["height"]}" role="img" aria-labelledby="{name}-alternative"><title '
        f'id="{name}-alternative">'
        f"{escape(clean(alternative))}</title>"
    )
    return opened + svg[root.end() :]


def draw_both(chart: Callable[[int], Any], name: str, alternative: str) -> str:
    """A chart of two widths, of which the page shows the one that fits: on a phone the narrow
    one.
    """
    wide = draw(chart(WIDTH), name, alternative)
    narrow = draw(chart(NARROW), f"{name}-narrow", alternative)
    return f'<div class="wide">{wide}</div><div class="narrow">{narrow}</div>'
