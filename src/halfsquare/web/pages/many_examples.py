"""The page *Many examples*: what grows with the rows, what settles, and what copies change."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from math import log2
from typing import Any

import numpy as np
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from halfsquare.errors import OptionError
from halfsquare.explain.many_examples import (
    SIZES,
    BatchScatter,
    LineSample,
    batch_scatter,
    best_line,
    built_in_sample,
    growth,
)
from halfsquare.figures.charts_sums import (
    growth_chart,
    growth_rows,
    rows_chart,
    scatter_chart,
    scatter_rows,
)
from halfsquare.figures.live import Compiled, refilled
from halfsquare.loss import Floats
from halfsquare.sums import ErrorSummary
from halfsquare.web.templates import Page, island, part, render

PATH = "/many-examples"
ROWS = [16, 32, 64, 128, 256, 512, 1024, 2048, 4096]
BATCHES = [4, 8, 16, 32, 64, 128, 256]
COPIES = [1, 2, 4]
NOISES = [0.25, 0.5, 1.0, 2.0]
_DRAWN = 400  # rows of the figure, at most


@dataclass(frozen=True)
class Asked:
    """What the form says: positions in ROWS, BATCHES and NOISES, and how often each row stands."""

    rows: int = 4
    batch: int = 2
    copies: int = 1
    level: int = 2

    @property
    def noise(self) -> float:
        """Standard deviation of the targets about the true line."""
        return NOISES[self.level]

    @property
    def n(self) -> int:
        """Distinct rows."""
        return ROWS[self.rows]

    @property
    def b(self) -> int:
        """Rows of a batch: always fewer than there are rows."""
        return min(BATCHES[self.batch], self.n // 2)

    @property
    def capped(self) -> bool:
        """Whether that is fewer than the slider says."""
        return self.b < BATCHES[self.batch]


@dataclass(frozen=True)
class Line:
    """One line of the table of copies: a quantity once and copied, and what became of it."""

    name: str
    once: float
    copied: float
    verdict: str


def _page(request: Request) -> Response:
    asked = _asked(request)
    shown = _shown(asked)
    specs = {"rows": _rows_spec(), "growth": _growth_spec(), "scatter": _scatter_spec()}
    return render(
        request,
        "many_examples.html",
        **_answer(asked),
        specs=[island(f"{name}-spec", refilled(spec, **shown)) for name, spec in specs.items()],
        all_rows=ROWS,
        all_batches=BATCHES,
        all_copies=COPIES,
        all_noises=NOISES,
        part=f"{PATH}/part",
    )


def _part(request: Request) -> Response:
    asked = _asked(request)
    return part(request, "many_examples_answer.html", **_shown(asked), **_answer(asked))


def _shown(asked: Asked) -> dict[str, Any]:
    """Signals and rows of the three figures; the axes are wide enough for all that can be asked."""
    sample, whole = _sample(asked.noise).first(asked.n), _sample(asked.noise)
    growing = _growth(asked.noise, COPIES[-1])
    widest = batch_scatter(whole, BATCHES[0]).ellipse
    (x0, y0), (x1, y1) = widest.min(axis=0).tolist(), widest.max(axis=0).tolist()
    ends = np.array([-2.0, 2.0])
    best = best_line(sample)
    signals = {
        "chosen": asked.n,
        "sse_top": 1.02 * growing[-1]["sse"],
        "mse_top": 1.1 * max(row["most"] for row in _growth(asked.noise, 1)),
        "wide": [x0, max(x1, 0.2), y0, max(y1, 0.2)],
        "tall": [float(whole.target.min()) - 0.2, float(whole.target.max()) + 0.2],
    }
    points = zip(sample.x, sample.target, sample.output, strict=True)
    data = {
        "sample": [
            {"x": float(x), "t": float(t), "side": int(o > t) - int(o < t)}
            for x, t, o in list(points)[:_DRAWN]
        ],
        "line": _line(ends, sample.intercept, sample.slope),
        "best": _line(ends, *best),
        "growth": _growth(asked.noise, asked.copies),
        "typical": [{"n": ROWS[-1], "mse": whole.typical}],
        **scatter_rows(_scatter(asked)),
    }
    return {"signals": signals, "data": data}


def _line(x: Floats, intercept: float, slope: float) -> list[dict[str, float]]:
    return [{"x": float(a), "t": float(intercept + slope * a)} for a in x]


def _asked(request: Request) -> Asked:
    query = request.query_params
    rows = _choice("rows", query.get("rows", "4"), range(len(ROWS)))
    batch = _choice("batch", query.get("batch", "2"), range(len(BATCHES)))
    noise = _choice("noise", query.get("noise", "2"), range(len(NOISES)))
    return Asked(rows, batch, _choice("copies", query.get("copies", "1"), COPIES), noise)


def _choice(name: str, text: str, choices: range | list[int]) -> int:
    if not text.isdecimal() or len(text) > 4 or int(text) not in choices:
        raise OptionError(f"{name} is {text!r}; expected one of {', '.join(map(str, choices))}")
    return int(text)


def _answer(asked: Asked) -> dict[str, Any]:
    sample = _sample(asked.noise).first(asked.n)
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
        ("Gradient of ½SSE", total, total * copies),
        ("MSE", once.mse, copied.mse),
        ("Gradient of ½MSE", total / once.rows, total * copies / copied.rows),
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
def _sample(noise: float) -> LineSample:
    return built_in_sample(ROWS[-1], noise=noise)


@cache
def _growth(noise: float, copies: int) -> list[dict[str, float]]:
    return growth_rows(SIZES, growth(_sample(noise), SIZES, copies))


@cache
def _scatter(asked: Asked) -> BatchScatter:
    return batch_scatter(_sample(asked.noise).first(asked.n), asked.b)


def _dragged(spec: dict[str, Any]) -> dict[str, Any]:
    """The figure of growth, whose marked number of rows follows the pointer from power of two to
    power of two.
    """
    low, high = (round(log2(n)) for n in (ROWS[0], ROWS[-1]))
    nearest = f"pow(2, clamp(round(log(invert('concat_0_x', x())) / LN2), {low}, {high}))"
    events = "view:pointerdown, [view:pointerdown, window:pointerup] > window:pointermove"
    signals = [
        {**s, "on": [{"events": events, "update": nearest}]} if s["name"] == "chosen" else s
        for s in spec["signals"]
    ]
    return {**spec, "signals": signals}


_rows_spec, _growth_spec = Compiled(rows_chart), Compiled(growth_chart, _dragged)
_scatter_spec = Compiled(scatter_chart)

PAGE = Page(PATH, "Many examples", (Route(PATH, _page), Route(f"{PATH}/part", _part)))
