"""The page *Train*: choose rows, a target and a method; the runs so far, to be looked at, compared
and removed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from halfsquare.data.reading_options import options_in
from halfsquare.data.source import Source
from halfsquare.data.splits import Split
from halfsquare.errors import HalfsquareError, OptionError
from halfsquare.web.datasets import LIMIT, SUFFIXES, DataSet, Store, TooLarge
from halfsquare.web.pages import compare, run
from halfsquare.web.reading_form import reading_fields, without_flags
from halfsquare.web.run import RunOptions
from halfsquare.web.runs import Runs
from halfsquare.web.templates import Page, render

PATH = run.PATH
_MOST_COLUMNS = 60  # to choose from; a wider table is used whole
_PREVIEW, _MOST_DOUBTS = 5, 5


@dataclass(frozen=True)
class Choice:
    """A model and a method, as the page names them."""

    name: str
    about: str
    model: str
    method: str | None = None


CHOICES = {
    "auto": Choice("Automatic", "a linear model, trees and networks, blended", "auto"),
    "linear": Choice(
        "Linear, at once", "least squares, solved directly", "linear", "least-squares"
    ),
    "gradient": Choice(
        "Linear, by gradient", "steepest descent, the step from the curvature", "linear", "gradient"
    ),
    "minibatch": Choice(
        "Linear, by mini-batches", "they grow when noise dominates", "linear", "minibatch"
    ),
    "network": Choice("Network", "an ensemble of small networks", "network"),
    "trees": Choice("Trees", "boosted: each is fitted to what the others leave", "trees"),
    "formula": Choice("Formula", "your own, its parameters fitted", "formula"),
}


def _page(request: Request) -> Response:
    workspace = request.app.state.workspace
    store: Store = workspace.store
    given = dict(request.query_params)
    chosen = store.get(given.get("data"))
    reading = reading_fields(given)
    try:
        source, problem = chosen.open(options_in(given)), ""
    except HalfsquareError as found:
        source, problem = None, f"{found}."
    columns = source.columns if source is not None else []
    targets = [c.name for c in columns if c.kind in ("number", "boolean")]
    if source is not None and not targets:
        problem = f"{chosen.label} has no column of numbers, so there is nothing to predict."
    names = [c.name for c in columns]
    doubts = [
        f"{name}: {without_flags(finding.doubt)}."
        for name, finding in (source.findings.items() if source is not None else ())
        if finding.doubt
    ]
    return render(
        request,
        "train.html",
        here=PATH,
        sets=store.all(),
        chosen=chosen,
        problem=problem,
        reading=reading,
        told=any(field.value for field in reading),
        target=chosen.target if chosen.target in targets else targets[-1] if targets else "",
        targets=targets,
        names=names if len(names) <= _MOST_COLUMNS else [],
        columns=columns[:_MOST_COLUMNS],
        preview=_preview(source, names[:_MOST_COLUMNS]) if source is not None else [],
        more=max(0, len(names) - _MOST_COLUMNS),
        choices=CHOICES,
        suffixes=SUFFIXES,
        limit=LIMIT,
        runs=workspace.runs.all(),
        doubts=doubts[:_MOST_DOUBTS],
    )


def _preview(source: Source, names: Sequence[str]) -> list[list[str]]:
    rows = [source.row(number) for number in range(1, _PREVIEW + 1)]
    # Whole numbers of a text file are read as float64: they are shown as they stand there.
    return [[(row.get(name) or "").removesuffix(".0") for name in names] for row in rows if row]


async def _upload(request: Request) -> Response:
    """One file as the body of a request, its name in a header."""
    store: Store = request.app.state.workspace.store
    length = request.headers.get("content-length", "")
    name = unquote(request.headers.get("x-file-name", ""), errors="replace")
    try:
        reading = options_in(dict(request.query_params))
        one = await store.receive(
            name, int(length) if length.isdecimal() else None, request.stream(), reading
        )
    except ClientDisconnect:
        return Response(status_code=400)
    except HalfsquareError as problem:
        return JSONResponse(
            {"error": f"{problem}."}, status_code=413 if isinstance(problem, TooLarge) else 400
        )
    return JSONResponse({"data": one.key})


def _remove_upload(request: Request) -> Response:
    request.app.state.workspace.store.remove(request.path_params["key"])
    return RedirectResponse(PATH, status_code=303)


async def _start(request: Request) -> Response:
    async with request.form(max_files=0, max_fields=_MOST_COLUMNS + 40) as form:
        fields = {name: str(value) for name, value in form.items()}
        columns = [str(value) for value in form.getlist("column")]
        targets = [str(value) for value in form.getlist("target") if str(value)]
    store: Store = request.app.state.workspace.store
    runs: Runs = request.app.state.workspace.runs
    begun = runs.start(options_of(store.get(fields.get("data", "")), fields, targets, columns))
    return RedirectResponse(f"{PATH}/runs/{begun.number}", status_code=303)


def options_of(
    data: DataSet, fields: Mapping[str, str], targets: Sequence[str], columns: Sequence[str]
) -> RunOptions:
    """What the form asks for: the arguments of ``fit`` that the command line would be given.

    Raises
    ------
    OptionError, DataError
        If it asks for what was not offered.
    """
    choice = CHOICES.get(fields.get("method", ""))
    if choice is None:
        raise OptionError("the form is incomplete: go back, and choose a model")
    reading = options_in(fields)
    options: dict[str, Any] = {"model": choice.model, **reading, **_folded(fields)}
    if choice.method is not None:
        options["method"] = choice.method
    paused = fields.get("paused") == "on"
    if choice.model == "formula":
        if not fields.get("formula", "").strip():
            raise OptionError("there is no formula: type one such as height ~ a + b*days")
        options |= {"formula": fields["formula"].strip(), "start": _starts(fields.get("start", ""))}
        return RunOptions(data, None, choice.name, options, paused)
    offered = [c.name for c in data.open(reading).columns]
    if not targets:
        raise OptionError("no target is chosen: choose the column to predict")
    if len(offered) <= _MOST_COLUMNS:
        split = Split.read(options.get("split", "random"))
        # Groups are no feature, whether their box is ticked or not.
        groups = split.column if split.kind == "group" else None
        beside = {*targets, options.get("weights"), groups}
        used = [c for c in columns if c not in beside]
        if not used:
            raise OptionError(
                "no column is chosen to predict from: choose at least one besides the target"
            )
        if set(used) != set(offered) - beside:
            options["features"] = used
    return RunOptions(data, list(targets), choice.name, options, paused)


def _folded(fields: Mapping[str, str]) -> dict[str, Any]:
    """The options that are folded away, where they are filled in."""
    found: dict[str, Any] = {}
    if fields.get("weights"):
        found["weights"] = fields["weights"]
    if fields.get("target_transform"):
        found["target_transform"] = fields["target_transform"]
    if fields.get("split"):
        found["split"] = str(Split.read(fields["split"]))
    numbers = (("seed", 0.0), ("test_fraction", 0.0), ("folds", 2.0), ("time_limit", 0.0))
    for name, least in numbers:
        text = fields.get(name, "").strip()
        if not text:
            continue
        try:
            value = float(text)
        except ValueError:
            value = -1.0
        if not least <= value < 2.0**53:
            label = name.replace("_", " ")
            raise OptionError(f"the {label} is {text[:40]!r}; expected a number from {least:g}")
        found[name] = int(value) if name in ("seed", "folds") else value
    return found


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


PAGE = Page(
    PATH,
    "Train",
    (
        Route(PATH, _page),
        Route(f"{PATH}/upload", _upload, methods=["POST"]),
        Route(f"{PATH}/upload/{{key}}/remove", _remove_upload, methods=["POST"]),
        Route(f"{PATH}/start", _start, methods=["POST"]),
        *run.ROUTES,
        *compare.ROUTES,
    ),
)
