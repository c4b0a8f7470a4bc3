"""A figure as a file: HTML that stands alone, SVG or PNG; written whole or not at all."""

from __future__ import annotations

import base64
import hashlib
import json
import os
from functools import cache
from html import escape
from importlib.resources import files
from pathlib import Path
from typing import Any

import altair as alt

from halfsquare.errors import OptionError
from halfsquare.explain.derivation import derivation
from halfsquare.explain.one_example import ExampleExplanation
from halfsquare.figures.charts import one_example_chart
from halfsquare.figures.engine import bundle, to_png, to_svg
from halfsquare.figures.live import vega_spec
from halfsquare.figures.theme import DARK, FONT, LIGHT
from halfsquare.files.atomic import atomic_write

SUFFIXES = (".html", ".svg", ".png")
_INPUTS = """<div class="figure-inputs"></div>
<p class="hint">Drag the output or the target, or type.</p>"""


def save_chart(
    chart: alt.TopLevelMixin, path: str | os.PathLike[str], *, title: str = "halfsquare"
) -> Path:
    """Write a figure; the name's ending chooses the format.

    Parameters
    ----------
    chart : altair chart
        Any; those with draggable handles are live in HTML.
    path : path ending in .html, .svg or .png
        HTML holds its own JavaScript and asks no network; the figure is live in it.
    title : str
        Title of the HTML page.

    Raises
    ------
    OptionError
        If the ending is none of the three.
    OutputError
        If the file cannot be written. What stood there before is then still there.
    """
    target = Path(path)
    suffix = target.suffix.lower()
    if suffix not in SUFFIXES:
        raise OptionError(
            f"cannot write a figure to {target.name!r}: expected a name ending in "
            f"{', '.join(SUFFIXES)}"
        )
    if suffix == ".html":
        content = figure_page(chart, title).encode()
    elif suffix == ".svg":
        content = to_svg(chart).encode()
    else:
        content = to_png(chart)
    return _write(target, content)


def save_example(explanation: ExampleExplanation, path: str | os.PathLike[str]) -> Path:
    """Write the figure of one example; in HTML with the derivation beneath. See
    :func:`save_chart`.
    """
    chart = one_example_chart(explanation)
    if Path(path).suffix.lower() != ".html":
        return save_chart(chart, path)
    lines = derivation(explanation.convention, weight=explanation.weight).lines
    steps = "".join(f"<li>{line.mathml}<span>{escape(line.reason)}</span></li>\n" for line in lines)
    below = (
        '<section class="figure"><h2>Why, line by line</h2><ol '
        f'class="derivation">\n{steps}</ol></section>'
    )
    page = figure_page(chart, "One example and its squared error", below)
    return _write(Path(path), page.encode())


def figure_page(chart: alt.TopLevelMixin, title: str, below: str = "") -> str:
    """One figure as a page of its own, whose content policy forbids every request.

    ``below`` is HTML and stands as it is beneath the figure.
    """
    scripts = [vega_bundle(), static_text("figure.js")]
    hashes = " ".join(f"'sha256-{digest(script)}'" for script in scripts)
    policy = f"default-src 'none'; script-src {hashes}; style-src 'unsafe-inline'; img-src data:"
    spec = vega_spec(chart)
    inputs = any("bind" in signal for signal in spec["signals"])
    islands = data_island(
        "themes", {"light": LIGHT.colours(), "dark": DARK.colours()}
    ) + data_island("spec", spec)
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<title>{escape(title)}</title>
<style>{css_variables()}{static_text("base.css")}{static_text("figure.css")}</style>
</head>
<body>
<main>
<h1 class="page-title">{escape(title)}</h1>
<section class="figure" aria-label="Figure">
<div class="figure-place" id="figure" data-spec="spec"></div>
{_INPUTS if inputs else ""}
</section>
{below}
</main>
{islands}
<script>{scripts[0]}</script>
<script>{scripts[1]}</script>
</body>
</html>
"""


def vega_bundle() -> str:
    """Vega, Vega-Lite and Vega-Embed as one script, from the installed vl-convert; no network."""
    return bundle("window.vegaEmbed = vegaEmbed;").replace("</script", "<\\/script")


@cache
def static_text(name: str) -> str:
    """A file of this package's ``static`` folder."""
    return files("halfsquare.figures").joinpath("static", name).read_text(encoding="utf-8")


def css_variables() -> str:
    """The colours of both themes and the typeface as CSS custom properties."""
    dark = f"@media (prefers-color-scheme: dark) {{ :root {{ {DARK.css()} }} }}"
    return f":root {{ {LIGHT.css()} --font: {FONT}; }}\n{dark}\n"


def data_island(name: str, value: Any) -> str:
    """JSON inside HTML: a block of data no browser runs, in which no ``<`` can end it early. What
    cannot be shown stands in it by its number.
    """
    written = json.dumps(value, ensure_ascii=False, allow_nan=False).replace("<", "\\u003c")
    if not written.isprintable():
        written = "".join(c if c.isprintable() else json.dumps(c)[1:-1] for c in written)
    return f'<script type="application/json" id="{escape(name)}">{written}</script>\n'


def digest(script: str) -> str:
    """SHA-256 of a script or style, as a content policy names it."""
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()


def _write(path: Path, content: bytes) -> Path:
    with atomic_write(path) as file:
        file.write(content)
    return path
