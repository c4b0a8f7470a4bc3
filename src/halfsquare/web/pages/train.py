"""Room 3, *Train*: choose rows, a target and a way down; :mod:`halfsquare.web.pages.run` shows it
going.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, get_args
from urllib.parse import unquote

from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from halfsquare.data.source import Source
from halfsquare.errors import DataError, HalfsquareError, OptionError
from halfsquare.web.datasets import LIMIT, SUFFIXES, DataSet, Store, TooLarge
from halfsquare.web.jobs import Jobs, Order, Pace
from halfsquare.web.pages import run
from halfsquare.web.templates import Room, render

PATH = run.PATH
_MOST_COLUMNS = 60  # to choose from; a wider table is used whole
_PREVIEW = 5
PACES: Mapping[Pace, str] = {"full": "Full speed", "slow": "Ten a second", "step": "Step by step"}


@dataclass(frozen=True)
class Way:
    """A model and a method, as the page names them."""

    name: str
    about: str
    model: str
    method: str | None = None


WAYS = {
    "auto": Way("Automatic", "the simplest model that is not significantly worse", "auto"),
    "linear": Way("Linear, at once", "least squares, solved directly", "linear", "least-squares"),
    "gradient": Way(
        "Linear, by gradient", "steepest descent, the step from the curvature", "linear", "gradient"
    ),
    "minibatch": Way(
        "Linear, by mini-batches", "they grow when noise dominates", "linear", "minibatch"
    ),
    "network": Way("Network", "an ensemble of small networks, each in its own way down", "network"),
    "formula": Way("Formula", "your own, its parameters fitted", "formula"),
}


def _page(request: Request) -> Response:
    jobs, store = request.app.state.workshop.jobs, request.app.state.workshop.store
    key = request.query_params.get("data")
    if key is None and jobs.last is not None and jobs.last.running:
        return RedirectResponse(f"{PATH}/run", status_code=303)
    chosen = store.get(key)
    source = chosen.open()
    targets = [c.name for c in source.columns if c.kind in ("number", "boolean")]
    if not targets:
        raise DataError(f"{chosen.label} has no column of numbers, so there is nothing to predict")
    names = [c.name for c in source.columns]
    return render(
        request,
        "train.html",
        here=PATH,
        sets=store.all(),
        chosen=chosen,
        target=chosen.target if chosen.target in targets else targets[-1],
        targets=targets,
        names=names if len(names) <= _MOST_COLUMNS else [],
        columns=source.columns[:_MOST_COLUMNS],
        preview=_preview(source, names[:_MOST_COLUMNS]),
        more=max(0, len(names) - _MOST_COLUMNS),
        ways=WAYS,
        paces=PACES,
        suffixes=SUFFIXES,
        limit=LIMIT,
        job=jobs.last,
    )


def _preview(source: Source, names: Sequence[str]) -> list[list[str]]:
    rows = [source.row(number) for number in range(1, _PREVIEW + 1)]
    # Whole numbers of a text file are read as float64: they are shown as they stand there.
    return [[(row.get(name) or "").removesuffix(".0") for name in names] for row in rows if row]


async def _upload(request: Request) -> Response:
    """One file as the body of a request, its name in a header."""
    store: Store = request.app.state.workshop.store
    length = request.headers.get("content-length", "")
    name = unquote(request.headers.get("x-file-name", ""), errors="replace")
    try:
        one = await store.receive(
            name, int(length) if length.isdecimal() else None, request.stream()
        )
    except ClientDisconnect:
        return Response(status_code=400)
    except HalfsquareError as problem:
        return JSONResponse(
            {"error": f"{problem}."}, status_code=413 if isinstance(problem, TooLarge) else 400
        )
    return JSONResponse({"data": one.key})


async def _start(request: Request) -> Response:
    async with request.form(max_files=0, max_fields=_MOST_COLUMNS + 20) as form:
        fields = {name: str(value) for name, value in form.items()}
        columns = [str(value) for value in form.getlist("column")]
    store: Store = request.app.state.workshop.store
    jobs: Jobs = request.app.state.workshop.jobs
    jobs.start(order(store.get(fields.get("data", "")), fields, columns))
    return RedirectResponse(f"{PATH}/run", status_code=303)


def order(data: DataSet, fields: Mapping[str, str], columns: Sequence[str]) -> Order:
    """What the form asks for: the arguments of ``fit`` that the command line would be given.

    Raises
    ------
    OptionError, DataError
        If it asks for what was not offered.
    """
    way, pace = WAYS.get(fields.get("way", "")), fields.get("pace", "full")
    if way is None or pace not in get_args(Pace):
        raise OptionError("the form is incomplete: go back, and choose a model and a pace")
    target = fields.get("target", "")
    options: dict[str, Any] = {"model": way.model}
    if way.method is not None:
        options["method"] = way.method
    if way.model == "formula":
        if not fields.get("formula", "").strip():
            raise OptionError("there is no formula: type one such as height ~ a + b*days")
        options |= {"formula": fields["formula"].strip(), "start": _starts(fields.get("start", ""))}
        return Order(data, None, way.name, options, _pace(pace))
    offered = [c.name for c in data.open().columns]
    if len(offered) <= _MOST_COLUMNS:
        used = [c for c in columns if c != target]
        if not used:
            raise OptionError(
                "no column is chosen to predict from: choose at least one besides the target"
            )
        if set(used) != set(offered) - {target}:
            options["features"] = used
    return Order(data, target, way.name, options, _pace(pace))


def _pace(name: str) -> Pace:
    return next(pace for pace in PACES if pace == name)


def _starts(text: str) -> dict[str, float] | None:
    """``a=1, b=2e-3`` as a mapping."""
    found = {}
    for item in filter(None, (part.strip() for part in text.split(","))):
        name, equals, value = item.partition("=")
        try:
            found[name.strip()] = float(value)
        except ValueError:
            equals = ""
        if not equals:
            raise OptionError(f"the start {item!r} is not of the form name=number, such as top=100")
    return found or None


ROOM = Room(
    PATH,
    "Train",
    (
        Route(PATH, _page),
        Route(f"{PATH}/upload", _upload, methods=["POST"]),
        Route(f"{PATH}/start", _start, methods=["POST"]),
        *run.ROUTES,
    ),
)
