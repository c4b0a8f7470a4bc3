"""The page *One example*: drag the output, and see the sign, the step and the derivation change."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from halfsquare.errors import DataError, OptionError
from halfsquare.explain.one_example import ExampleExplanation, explain_example
from halfsquare.figures.charts import one_example_chart, view_range
from halfsquare.figures.live import Compiled, refilled, without_inputs
from halfsquare.loss import CONVENTIONS
from halfsquare.text import LOSS_NAMES
from halfsquare.web.templates import Page, island, part, render

PATH = "/one-example"
DESCRIPTION = (
    "The squared error as a parabola over the output, and its gradient beneath. "
    "The numbers are in the text."
)
FIRST = {"target": "3", "output": "2.2", "convention": "half_sse"}


def _page(request: Request) -> Response:
    explained = _asked(request)
    return render(
        request,
        "one_example.html",
        explained=explained,
        spec=island("spec", _spec(explained)),
        labels=LOSS_NAMES,
        part=f"{PATH}/part",
    )


def _part(request: Request) -> Response:
    explained = _asked(request)
    return part(
        request,
        "one_example_answer.html",
        explained=explained,
        labels=LOSS_NAMES,
        signals={},
        data={},
    )


def _asked(request: Request) -> ExampleExplanation:
    query = FIRST | dict(request.query_params)
    if query["convention"] not in CONVENTIONS:
        raise OptionError(
            f"convention is {query['convention']!r}; expected one of {', '.join(CONVENTIONS)}"
        )
    target, output = (_number(name, query[name]) for name in ("target", "output"))
    return explain_example(target, output, convention=query["convention"])


def _number(name: str, text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise DataError(f"{name} is {text!r}; type a number such as 2.5") from None


def _spec(explained: ExampleExplanation) -> dict[str, Any]:
    """The figure for this example: the compiled one, with the example's values in its signals."""
    values = {
        "target": explained.target,
        "output": explained.output,
        "convention": explained.convention,
        "span": list(view_range(explained.target, explained.output)),
    }
    return {**refilled(_compiled(), signals=values), "description": DESCRIPTION}


_compiled = Compiled(
    lambda: one_example_chart(explain_example(float(FIRST["target"]), float(FIRST["output"]))),
    without_inputs,
)


PAGE = Page(PATH, "One example", (Route(PATH, _page), Route(f"{PATH}/part", _part)))
