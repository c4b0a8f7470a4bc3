"""Figures, as Altair charts that run without Altair too: every number in them is a named parameter.

A figure is drawn from its parameters (target, output, convention, the colours), so the saved file,
the report and the page show the same figure, and whoever moves a parameter moves the figure.
Conventions: see :mod:`halfsquare.loss`; colours: see :mod:`halfsquare.figures.theme`.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import altair as alt

from halfsquare.explain.one_example import ExampleExplanation
from halfsquare.figures.marks import (
    Mark,
    curve,
    dashed,
    dot,
    finished,
    haloed,
    handle,
    heading,
    label,
    rule,
    signed_label,
    text,
    wash,
    written,
)
from halfsquare.figures.panel import Panel
from halfsquare.figures.theme import LIGHT, Theme
from halfsquare.loss import CONVENTIONS
from halfsquare.text import LOSS_NAMES


def one_example_chart(
    explanation: ExampleExplanation, theme: Theme = LIGHT, *, width: int = 620, title: bool = True
) -> alt.VConcatChart:
    """The parabola of the loss over the output, and the gradient beneath it.

    Parameters
    ----------
    explanation : ExampleExplanation
        The example that is shown first.
    theme : Theme
        The colours of the first view; they are parameters too.
    width : int
        Of both panels, in pixels, without their axis.
    title : bool
        Whether the sentence in words stands above the figure.

    Examples
    --------
    >>> from halfsquare.explain.one_example import explain_example
    >>> chart = one_example_chart(explain_example(target=3.0, output=2.2))
    >>> [p["value"] for p in chart.to_dict()["params"][:3]]
    [3.0, 2.2, 'half_sse']
    """
    loss = alt.layer(*_loss_layers()).properties(width=width, height=300)
    gradient = alt.layer(*_gradient_layers()).properties(width=width, height=170)
    chart = alt.vconcat(loss, gradient, spacing=18)
    if title:
        where, then = _sentence()
        chart.vconcat[0].title = heading(then, "side", size=13, offset=14)
        chart.title = heading(where, "ink", size=17, offset=4)
    said = "The squared error as a parabola over the output, and its gradient."
    figure: alt.VConcatChart = finished(
        chart, f"{said} {explanation.sentence}", params=_params(explanation), theme=theme
    )
    return figure


def view_range(target: float, output: float) -> tuple[float, float]:
    """The stretch of outputs that is drawn: centred on the target, the output well inside."""
    reach = 1.75 * abs(output - target) or max(1.0, abs(target) * 2.0**-20)
    return target - reach, target + reach


def _params(explanation: ExampleExplanation) -> list[alt.Parameter]:
    """What can be moved, and what follows from it."""
    low, high = view_range(explanation.target, explanation.output)
    names = [LOSS_NAMES[name] for name in CONVENTIONS]
    choice = alt.binding_select(options=list(CONVENTIONS), labels=names, name="Convention")
    given = [
        alt.param(
            name="target",
            value=explanation.target,
            bind=alt.BindInput(input="number", name="Target"),
        ),
        alt.param(
            name="output",
            value=explanation.output,
            bind=alt.BindInput(input="number", name="Output"),
        ),
        alt.param(name="convention", value=explanation.convention, bind=choice),
        alt.param(name="span", value=[low, high]),
        alt.param(
            name="factors",
            value={name: at.curvature / 2 for name, at in explanation.conventions.items()},
        ),
    ]
    follows = {
        # A number typed into a browser arrives as text, and text does not add.
        "t": "toNumber(target)",
        "o": "toNumber(output)",
        "low_end": "span[0]",
        "high_end": "span[1]",
        "factor": "factors[convention]",
        "err": "o - t",
        "value": "factor * err * err",
        "gradient": "2 * factor * err",
        "reach": "max(high_end - t, t - low_end)",
        # The same loss with or without its ½ stands beside it; the axis holds both, so the ½ is
        # seen to halve.
        "half": "convention === 'half_sse' || convention === 'half_mse'",
        "other": "half ? 2 * factor : factor / 2",
        "partner": "half ? substring(convention, 5) : 'half_' + convention",
        "top": "max(factor, other) * reach * reach",
        "steepest": "2 * top / reach",
        "side": "err < 0 ? low : err > 0 ? high : muted",
        "side_wash": "err < 0 ? low_wash : high_wash",
        # Half the width of the tangent, such that it is drawn equally long whatever its slope.
        "run": "0.17 / sqrt(1 / pow(high_end - low_end, 2) + pow(0.5 * gradient / top, 2))",
    }
    return given + [alt.param(name=name, expr=expression) for name, expression in follows.items()]


def _sentence() -> tuple[str, str]:
    """The explanation in words, computed: where the output is, and what descent does about it."""
    where = (
        f"'The output ' + {_exact('o')} + (err === 0 ? ' equals the target.'"
        f" : ' is too ' + (err < 0 ? 'low' : 'high') + ' by ' + {_exact('abs(err)')} + '.')"
    )
    then = (
        "err === 0 ? 'Gradient zero: descent leaves it alone.'"
        " : err < 0 ? 'Negative gradient: descent raises it.' : 'Positive gradient: descent "
        "lowers it.'"
    )
    return where, then


def _exact(expression: str) -> str:
    """As the sentence beside the figure writes it."""
    return written(expression, digits="10", comma="")


def _loss_layers() -> list[alt.Chart]:
    panel = Panel("output o", "loss L", "-0.12 * top", "top")
    draw = panel.draw
    # The names of the curves stand on the side of the target where there is more of them to see.
    right = "high_end - t >= t - low_end"
    middle, far = "(o + t) / 2", f"t + ({right} ? 0.9 : -0.9) * reach"
    beside = {
        "align": alt.ExprRef(f"{right} ? 'right' : 'left'"),
        "dx": alt.ExprRef(f"{right} ? -14 : 14"),
    }
    tangent = "value {} gradient * run"
    inward = alt.ExprRef("err < 0 ? 'left' : err > 0 ? 'right' : 'center'")
    return [
        *_shared_layers(panel, "pow(datum.px - t, 2)"),
        draw(
            text(_name_of("convention"), "muted", **beside),
            x=far,
            y="0.81 * factor * reach * reach",
        ),
        draw(text(_name_of("partner"), "muted", **beside), x=far, y="0.81 * other * reach * reach"),
        draw(rule("side", strokeDash=[2, 3]), x="o", y="0", y2="value"),
        draw(
            rule("ink", strokeWidth=1.5),
            x="o - run",
            y=tangent.format("-"),
            x2="o + run",
            y2=tangent.format("+"),
        ),
        draw(rule("side", strokeWidth=2.5), x="o", y="value", x2="t"),
        draw(_arrow_head(), x="t", y="value"),
        draw(dot("side"), x="o", y="value"),
        *_over_curves(draw, signed_label("step", "-err"), "side", x=middle, y="value", dy=16),
        *_over_curves(draw, label("loss", "value"), "ink", x="o", y="value", dy=-17, align=inward),
        draw(text(label("output", "o"), "side"), x="o", y="-0.065 * top"),
        draw(text(label("target", "t"), "ink", dy=-16), x="t", y="top"),
        draw(dot("ink", shape="triangle-down", size=120), x="t", y="top"),
        draw(handle(), x="t", y="top", name="target_handle"),
        draw(handle(), x="o", y="value", name="output_handle"),
    ]


def _gradient_layers() -> list[alt.Chart]:
    panel = Panel("output o", "gradient ∂L/∂o", "-1.12 * steepest", "1.12 * steepest")
    draw = panel.draw
    across = alt.ExprRef("gradient > 0 ? 15 : -15")  # the other side of zero is free of curves
    return [
        *_shared_layers(panel, "2 * (datum.px - t)"),
        draw(rule("muted"), x="low_end", x2="high_end", y="0"),
        draw(rule("side", strokeWidth=5), x="o", y="0", y2="gradient"),
        draw(dot("side"), x="o", y="gradient"),
        draw(text(signed_label("gradient", "gradient"), "side", dy=across), x="o", y="0"),
        draw(
            text("width < 360 ? 'too low: −' : 'too low: gradient −'", "low", align="left", dx=8),
            x="low_end",
            y="0.92 * steepest",
        ),
        draw(
            text(
                "width < 360 ? 'too high: +' : 'too high: gradient +'", "high", align="right", dx=-8
            ),
            x="high_end",
            y="-0.92 * steepest",
        ),
        draw(handle(), x="o", y="gradient", name="gradient_handle"),
    ]


def _shared_layers(panel: Panel, shape: str) -> list[alt.Chart]:
    """The two sides of the target, the curve in their colours (and its other scale), the target
    itself.
    """
    draw = panel.draw
    left, right = "t - datum.i / 60 * (t - low_end)", "t + datum.i / 60 * (high_end - t)"
    thin = curve("muted", strokeWidth=1, strokeDash=[1, 3])
    return [
        draw(wash("low_wash"), x="low_end", x2="t", y="@low", y2="@high"),
        draw(wash("high_wash"), x="t", x2="high_end", y="@low", y2="@high"),
        draw(thin, x=left, y=f"other * {shape}", points=61),
        draw(thin, x=right, y=f"other * {shape}", points=61),
        draw(curve("low"), x=left, y=f"factor * {shape}", points=61),
        draw(curve("high"), x=right, y=f"factor * {shape}", points=61),
        draw(dashed("ink"), x="t", y="@low", y2="@high"),
    ]


def _over_curves(
    draw: Callable[..., alt.Chart], expression: str, colour: str, *, x: str, y: str, **more: Any
) -> list[alt.Chart]:
    """A label over curves; its halo has the colour of the side on which it stands."""
    return [draw(mark, x=x, y=y) for mark in haloed(expression, colour, "side_wash", **more)]


def _arrow_head() -> Mark:
    return {
        "type": "point",
        "filled": True,
        "size": 110,
        "shape": alt.ExprRef("err < 0 ? 'triangle-right' : 'triangle-left'"),
        "xOffset": alt.ExprRef("err < 0 ? -5 : 5"),
        "opacity": alt.ExprRef("err === 0 ? 0 : 1"),
        "color": alt.ExprRef("side"),
    }


def _name_of(convention: str) -> str:
    return f"{json.dumps(LOSS_NAMES, ensure_ascii=False)}[{convention}]"
