"""Several runs side by side: their losses in one figure, their errors on the same rows."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from halfsquare.errors import HalfsquareError, OptionError
from halfsquare.figures.live import refilled
from halfsquare.results.compare import compare
from halfsquare.results.comparison import Comparison
from halfsquare.web.figures import compared, compared_spec
from halfsquare.web.run import Run
from halfsquare.web.runs import Runs
from halfsquare.web.templates import island, render

PATH = "/train/compare"
_MOST = 4


@dataclass(frozen=True)
class Pair:
    """Two runs and what their errors on the same rows say of them."""

    a: Run
    b: Run
    found: Comparison | None
    problem: str = ""


def _page(request: Request) -> Response:
    runs = _asked(request)
    pairs = [_pair(a, b) for a, b in combinations(runs, 2)]
    shown = compared([(f"Run {run.number}", run.curves) for run in runs])
    drawn = bool(shown["data"]["lines"])
    spec = island("compared-spec", refilled(compared_spec(), **shown)) if drawn else ""
    return render(request, "compare.html", here="/train", runs=runs, pairs=pairs, spec=spec)


def _asked(request: Request) -> list[Run]:
    runs: Runs = request.app.state.workspace.runs
    numbers = dict.fromkeys(request.query_params.getlist("run"))
    found = [runs.get(int(text)) for text in numbers if text.isdecimal() and len(text) < 10]
    done = [run for run in found if run.fitted is not None]
    if not 2 <= len(done) <= _MOST:
        raise OptionError(
            f"{len(done)} finished runs are ticked; to compare, tick 2 to {_MOST} in the list of "
            "runs under Train"
        )
    return done


def _pair(a: Run, b: Run) -> Pair:
    """The paired difference on the rows of the first, by models that were refitted to them."""
    assert a.fitted is not None and b.fitted is not None
    try:
        rows = a.asked.data.rows(a.asked.reading)
        return Pair(a, b, compare(a.fitted, b.fitted, rows))
    except (HalfsquareError, OSError) as problem:
        return Pair(a, b, None, a.asked.data.told(str(problem)))


ROUTES = (Route(PATH, _page),)
