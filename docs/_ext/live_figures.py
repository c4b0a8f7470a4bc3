"""Directives that put the project's own figures, live, and its derivation into a page.

::

    ```{live-figure} one-example
    :target: 3
    :output: 2.2
    ```

Figures are compiled to Vega as the site is built; Vega itself lies beside the pages, once.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from html import escape
from pathlib import Path
from typing import Any

from docutils import nodes
from docutils.parsers.rst import directives
from sphinx.util.docutils import SphinxDirective

from halfsquare.explain.derivation import derivation
from halfsquare.explain.many_examples import (
    SIZES,
    LineSample,
    batch_scatter,
    best_line,
    built_in_sample,
    growth,
)
from halfsquare.explain.one_example import explain_example
from halfsquare.figures.charts import one_example_chart, view_range
from halfsquare.figures.charts_sums import (
    growth_chart,
    growth_rows,
    rows_chart,
    scatter_chart,
    scatter_rows,
)
from halfsquare.figures.live import refilled, vega_spec
from halfsquare.figures.save import css_variables, data_island, static_text, vega_bundle
from halfsquare.figures.theme import DARK, LIGHT

ROWS = [16, 64, 256, 1024, 4096]
_SHOWN = 256
_USES = "live_figures"


class LiveFigure(SphinxDirective):
    """One figure; its first values are options."""

    required_arguments = 1
    option_spec = {  # noqa: RUF012 - as docutils wants it
        "target": float,
        "output": float,
        "batch": directives.positive_int,
    }

    def run(self) -> list[nodes.Node]:
        """The place of the figure, and its specification as data."""
        make = FIGURES.get(self.arguments[0])
        if make is None:
            known = ", ".join(FIGURES)
            raise self.error(f"no figure {self.arguments[0]!r}; expected one of {known}")
        spec = make(self.options)
        name = f"figure-{self.env.new_serialno('live-figure')}"
        self.env.metadata[self.env.docname][_USES] = "yes"
        inputs = any("bind" in signal for signal in spec["signals"])
        written = (
            f'<div class="figure"><div class="figure-place" id="{name}" data-spec="{name}-spec"'
            f' data-label="{escape(spec.get("description", ""))}"></div>'
            + ('<div class="figure-inputs"></div>' if inputs else "")
            + f"</div>{data_island(f'{name}-spec', spec)}"
        )
        return [nodes.raw("", written, format="html")]


class DerivationLines(SphinxDirective):
    """The derivation of the gradient, line by line, as the project derives it."""

    def run(self) -> list[nodes.Node]:
        """A list of formulas, each with its reason."""
        lines = "".join(
            f"<li>{line.mathml}<span>{escape(line.reason)}</span></li>"
            for line in derivation("half_sse").lines
        )
        return [nodes.raw("", f'<ol class="derivation">{lines}</ol>', format="html")]


@cache
def _compiled(name: str) -> dict[str, Any]:
    """The figure as Vega: it takes a second or two, and is filled with other values at once."""
    return vega_spec(CHARTS[name]())


def _one_example(options: dict[str, Any]) -> dict[str, Any]:
    target, output = options["target"], options["output"]
    signals = {"target": target, "output": output, "span": list(view_range(target, output))}
    sentence = explain_example(target=target, output=output).sentence
    said = f"The squared error as a parabola over the output. {sentence}"
    return {**refilled(_compiled("one-example"), signals=signals), "description": said}


def _sample() -> LineSample:
    return built_in_sample(ROWS[-1])


def _rows(options: dict[str, Any]) -> dict[str, Any]:
    sample = _sample().first(_SHOWN)
    ends = (-2.0, 2.0)
    lines = {"line": (sample.intercept, sample.slope), "best": best_line(sample)}
    points = zip(sample.x, sample.target, sample.output, strict=True)
    data: dict[str, Any] = {
        name: [{"x": x, "t": a + b * x} for x in ends] for name, (a, b) in lines.items()
    }
    data["sample"] = [
        {"x": float(x), "t": float(t), "side": int(o > t) - int(o < t)} for x, t, o in points
    ]
    tall = [float(sample.target.min()) - 0.2, float(sample.target.max()) + 0.2]
    return refilled(_compiled("rows"), signals={"tall": tall}, data=data)


def _growth(options: dict[str, Any]) -> dict[str, Any]:
    grown = growth_rows(SIZES, growth(_sample(), SIZES))
    tops = {
        "sse_top": 1.02 * grown[-1]["sse"],
        "mse_top": 1.1 * max(row["most"] for row in grown),
        "chosen": 64,
    }
    typical = [{"n": ROWS[-1], "mse": _sample().typical}]
    spec = refilled(_compiled("growth"), signals=tops, data={"growth": grown, "typical": typical})
    chosen = {"bind": {"input": "select", "options": ROWS, "name": "Rows "}}
    signals = [s | chosen if s["name"] == "chosen" else s for s in spec["signals"]]
    return {**spec, "signals": signals}


def _scatter(options: dict[str, Any]) -> dict[str, Any]:
    found = batch_scatter(_sample(), options["batch"])
    widest = batch_scatter(_sample(), 4).ellipse
    (x0, y0), (x1, y1) = widest.min(axis=0).tolist(), widest.max(axis=0).tolist()
    ends = {"wide": [x0, max(x1, 0.2), y0, max(y1, 0.2)]}
    return refilled(_compiled("scatter"), signals=ends, data=scatter_rows(found))


CHARTS: dict[str, Callable[[], Any]] = {
    "one-example": lambda: one_example_chart(explain_example(target=3.0, output=2.2)),
    "rows": rows_chart,
    "growth": growth_chart,
    "scatter": scatter_chart,
}
FIGURES = {"one-example": _one_example, "rows": _rows, "growth": _growth, "scatter": _scatter}


def _scripts(app: Any, page: str, template: str, context: Any, doctree: Any) -> None:
    """Pages with figures, and no others, load what draws them."""
    if app.env.metadata.get(page, {}).get(_USES):
        for name in ("vega.js", "figure.js", "site.js"):
            app.add_js_file(name, loading_method="defer")
        context["body"] += data_island("themes", {"light": LIGHT.colours(), "dark": DARK.colours()})


def _static(app: Any) -> None:
    """What draws, beside the pages."""
    folder = Path(app.outdir) / "_static"
    folder.mkdir(parents=True, exist_ok=True)
    # In a scope of its own: other scripts of the site have names of one letter, as it has.
    (folder / "vega.js").write_text(f"(() => {{\n{vega_bundle()}\n}})();\n", encoding="utf-8")
    for name in ("figure.js", "figure.css"):
        (folder / name).write_text(static_text(name), encoding="utf-8")
    (folder / "colours.css").write_text(_colours(), encoding="utf-8")


def _colours() -> str:
    """The colours, also where the reader chooses light or dark on the page."""
    chosen = "".join(
        f'body[data-theme="{name}"] {{ {theme.css()} }}\n'
        for name, theme in (("light", LIGHT), ("dark", DARK))
    )
    return css_variables() + chosen


def setup(app: Any) -> dict[str, bool]:
    """Register the directives and the files that they need."""
    app.add_directive("live-figure", LiveFigure)
    app.add_directive("derivation", DerivationLines)
    app.add_css_file("colours.css")
    app.add_css_file("figure.css")
    app.connect("builder-inited", _static)
    app.connect("html-page-context", _scripts)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
