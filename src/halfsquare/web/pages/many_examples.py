"""Room 2, *Many examples*: what grows with the rows, what settles, and what copies change."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from halfsquare.errors import OptionError
from halfsquare.explain.many_examples import (
    BatchScatter,
    LineSample,
    batch_scatter,
    best_line,
    built_in_sample,
    growth,
)
from halfsquare.figures.charts_sums import growth_chart, growth_rows, scatter_chart, scatter_rows
from halfsquare.figures.live import Compiled, refilled
from halfsquare.sums import ErrorSummary
from halfsquare.web.templates import Room, island, part, render

PATH = "/many-examples"
ROWS = [16, 32, 64, 128, 256, 512, 1024, 2048, 4096]
BATCHES = [4, 8, 16, 32, 64, 128, 256]
COPIES = [1, 2, 4]
_SIZES = sorted(
    {round(8 * 2 ** (i / 4)) for i in range(37)}
)  # four to each doubling, ROWS among them


@dataclass(frozen=True)
class Asked:
    """What the form says: positions in ROWS and BATCHES, and how often each row stands."""

    rows: int = 4
    batch: int = 2
    copies: int = 1

    @property
    def n(self) -> int:
        """Distinct rows."""
        return ROWS[self.rows]

    @property
    def b(self) -> int:
        """Rows of a batch: always fewer than there are rows."""
        return min(BATCHES[self.batch], self.n // 2)


@dataclass(frozen=True)
class Line:
    """One line of the table of copies: a quantity once and copied, and what became of it."""

    name: str
    once: float
    copied: float
    verdict: str


def _page(request: Request) -> Response:
    asked = _asked(request)
    growing, scattering = _specs(asked)
    return render(
        request,
        "many_examples.html",
        **_answer(asked),
        growth_spec=island("growth-spec", growing),
        scatter_spec=island("scatter-spec", scattering),
        all_rows=ROWS,
        all_batches=BATCHES,
        all_copies=COPIES,
        part=f"{PATH}/part",
    )


def _part(request: Request) -> Response:
    asked = _asked(request)
    data = {"growth": _growth(asked.copies), **scatter_rows(_scatter(asked))}
    return part(
        request,
        "many_examples_answer.html",
        signals={"chosen": asked.n},
        data=data,
        **_answer(asked),
    )


def _asked(request: Request) -> Asked:
    query = request.query_params
    rows = _choice("rows", query.get("rows", "4"), range(len(ROWS)))
    batch = _choice("batch", query.get("batch", "2"), range(len(BATCHES)))
    return Asked(rows, batch, _choice("copies", query.get("copies", "1"), COPIES))


def _choice(name: str, text: str, choices: range | list[int]) -> int:
    if not text.isdecimal() or len(text) > 4 or int(text) not in choices:
        raise OptionError(f"{name} is {text!r}; expected one of {', '.join(map(str, choices))}")
    return int(text)


def _answer(asked: Asked) -> dict[str, Any]:
    sample = _sample().first(asked.n)
    shown = max(asked.copies, 2)  # the table compares, also where nothing is copied
    once, copied = (growth(sample, [asked.n], copies)[0] for copies in (1, asked.copies))
    return {
        "asked": asked,
        "once": once,
        "summary": copied,
        "typical": sample.typical,
        "scatter": _scatter(asked),
        "shown_copies": shown,
        "lines": _copied_lines(sample, once, growth(sample, [asked.n], shown)[0], shown),
    }


def _copied_lines(
    sample: LineSample, once: ErrorSummary, copied: ErrorSummary, copies: int
) -> list[Line]:
    """What copying every row does to each quantity; the verdict is read off the numbers, not
    assumed.
    """
    total = float(np.linalg.norm(sample.row_gradients.sum(axis=0)))  # of both parameters together
    lines = [
        ("Rows", float(once.rows), float(copied.rows)),
        ("SSE", once.sse, copied.sse),
        ("Gradient of ½ SSE", total, total * copies),
        ("MSE", once.mse, copied.mse),
        ("Gradient of ½ MSE", total / once.rows, total * copies / copied.rows),
        ("Best intercept", best_line(sample)[0], best_line(sample, copies)[0]),
        ("Best slope", best_line(sample)[1], best_line(sample, copies)[1]),
        ("Std. error of MSE", once.mse_se, copied.mse_se),
    ]
    return [Line(name, a, b, _verdict(a, b, copies)) for name, a, b in lines]


def _verdict(once: float, copied: float, copies: int) -> str:
    if abs(copied - once) <= 1e-9 * abs(once):
        return "stays"
    if abs(copied / once - copies) <= 1e-9 * copies:
        return f"× {copies}"
    return f"÷ {once / copied:.3g}" if copied < once else f"× {copied / once:.3g}"


@cache
def _sample() -> LineSample:
    return built_in_sample(ROWS[-1])


@cache
def _growth(copies: int) -> list[dict[str, float]]:
    return growth_rows(_SIZES, growth(_sample(), _SIZES, copies))


@cache
def _scatter(asked: Asked) -> BatchScatter:
    return batch_scatter(_sample().first(asked.n), asked.b)


def _specs(asked: Asked) -> tuple[dict[str, Any], dict[str, Any]]:
    """Both figures with the rows that are asked for."""
    signals, rows = {"chosen": asked.n}, {"growth": _growth(asked.copies)}
    return refilled(_growth_spec(), signals=signals, data=rows), refilled(
        _scatter_spec(), data=scatter_rows(_scatter(asked))
    )


def _growth_figure() -> Any:
    """Its axes are wide enough for everything that can be asked for."""
    top = (1.02 * _growth(COPIES[-1])[-1]["sse"], 1.1 * max(row["most"] for row in _growth(1)))
    return growth_chart(_growth(1), ROWS[0], top=top, typical=_sample().typical)


def _scatter_figure() -> Any:
    widest = batch_scatter(_sample(), BATCHES[0]).ellipse
    (x0, y0), (x1, y1) = widest.min(axis=0).tolist(), widest.max(axis=0).tolist()
    reach = (x0, max(x1, 0.2), y0, max(y1, 0.2))
    return scatter_chart(scatter_rows(_scatter(Asked())), reach=reach)


_growth_spec, _scatter_spec = Compiled(_growth_figure), Compiled(_scatter_figure)


ROOM = Room(PATH, "Many examples", (Route(PATH, _page), Route(f"{PATH}/part", _part)))
