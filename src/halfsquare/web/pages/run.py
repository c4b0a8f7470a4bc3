"""One training run: its figures by server-sent events, its controls, and what comes of it."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import Route

from halfsquare.data.spec import DataSpec
from halfsquare.errors import HalfsquareError, OptionError
from halfsquare.figures.live import refilled
from halfsquare.report.first_screen import headline, suspicious, typical_error
from halfsquare.results.fitted import FittedModel
from halfsquare.text import rows_sentence
from halfsquare.web.figures import (
    descent_spec,
    drawn,
    errors_spec,
    surface_drawn,
    surface_spec,
    weights_spec,
)
from halfsquare.web.reading_form import without_flags
from halfsquare.web.run import RUNNING, Run
from halfsquare.web.surface import Surface
from halfsquare.web.templates import island, markup, part, render, wants_json

PATH = "/train"
_EVERY = 0.15  # seconds between two looks at the run
_QUIET = 10.0  # seconds after which a sign of life is sent, so that a closed tab is noticed
_MOST_PARAMETERS = 20
_MOST_COLUMNS = 40
_NOTES = {
    "batch": "Batch",
    "noise": "Noise",
    "effective_parameters": "Eff. params",
    "signal": "Signal",
}


def _page(request: Request) -> Response:
    run = _run(request)
    answer = _answer(run)
    shown = drawn(run.snapshot, run.curves)
    specs = {"descent": descent_spec(), "errors": errors_spec(), "weights": weights_spec()}
    descends = answer["running"] or bool(shown["data"]["lines"])
    failed = answer["standing"] in ("failed", "ended")
    figures = {} if failed else {k: v for k, v in specs.items() if k != "descent" or descends}
    surface = None if failed or answer["running"] else _surface_or_none(run)
    islands = [island(f"{name}-spec", refilled(spec, **shown)) for name, spec in figures.items()]
    if surface is not None:
        figures["surface"] = surface_spec()
        islands.append(island("surface-spec", surface_spec()))
    return render(
        request,
        "run.html",
        figures=list(figures),
        specs=islands,
        weights=[] if surface is None else surface.choices,
        chosen=() if surface is None else surface.strongest(),
        leaves=run.fitted is not None and run.fitted.kind == "trees",
        last=int(shown["signals"]["last"]),
        controls=_controls(run),
        **answer,
    )


def _answer(run: Run) -> dict[str, Any]:
    snapshot = run.snapshot
    notes = (
        []
        if snapshot is None
        else [(name, snapshot.notes[key]) for key, name in _NOTES.items() if key in snapshot.notes]
    )
    standing = run.standing  # once: the run goes on while its page is made
    fitted = run.fitted
    return {
        "here": PATH,
        "job": run,
        "url": f"{PATH}/runs/{run.number}",
        "standing": standing,
        "running": standing in RUNNING,
        "snapshot": snapshot,
        "phase": run.curves[-1].phase if run.curves else "",
        "notes": notes[:2],
        "told": None if fitted is None else _told(fitted),
        "parameters": []
        if fitted is None or fitted.kind not in ("linear", "formula")
        else fitted.parameters[:_MOST_PARAMETERS],
    }


def _told(fitted: FittedModel) -> dict[str, Any]:
    """What the first screen of the command line says too; and how the table was read."""
    encoder = fitted.encoder
    columns = [(f.column, f.decision) for f in encoder.features]
    columns += [(name, f"left out: {why}") for name, why in encoder.left_out.items()]
    return {
        "headline": headline(fitted),
        "ended": _ended(fitted),
        "typical": typical_error(fitted),
        "rows": rows_sentence(fitted.info),
        "columns": columns[:_MOST_COLUMNS],
        "more": max(0, len(columns) - _MOST_COLUMNS),
        "suspicious": [without_flags(line) for line in suspicious(fitted, most=None)],
    }


def _ended(fitted: FittedModel) -> str:
    reason = str(fitted.info.get("reason", ""))
    if reason.startswith("solved directly"):
        return (
            "Solved at once: the squared error of a linear model has its minimum where "
            "one system of equations says."
        )
    if reason == "stopped: interrupted":
        return "Stopped: this is the best so far."
    return f"{reason[:1].upper()}{reason[1:]}."


def _controls(run: Run) -> dict[str, Any]:
    """What can be asked of the run now."""
    held = run.controls.held
    return {
        "going": run.running and not run.controls.stopped,
        "held": held,
        "label": "Resume" if held else "Pause",
    }


def _surface_or_none(run: Run) -> Surface | None:
    """What there is to draw: of two weights and more."""
    with suppress(HalfsquareError, OSError):  # the rows of a run may be gone
        found = run.surface()
        if found is not None and len(found.here) > 1:
            return found
    return None


def _surface(request: Request) -> Response:
    """The loss over the two weights that are asked for, and what it shows in words."""
    surface = _surface_or_none(_run(request))
    if surface is None:
        raise OptionError("this run has no two weights to draw the loss over")
    a, b = (_place(request.query_params.get(name, "")) for name in ("a", "b"))
    shown = surface_drawn(surface, a, b)
    return part(request, "surface.html", surface=surface, names=shown["signals"], **shown)


def _place(text: str) -> int:
    return int(text) if text.isdecimal() and len(text) < 9 else -1


async def _events(request: Request) -> Response:
    return StreamingResponse(_news(request, _run(request)), media_type="text/event-stream")


async def _news(request: Request, run: Run) -> AsyncIterator[str]:
    """What is new, whenever there is something new; ends with the run, and with the server."""
    seen, silent = None, 0.0
    while not request.app.state.ending():
        version = run.version
        if version != seen:
            seen, silent = version, 0.0
            yield f"data: {await run_in_threadpool(_payload, request, run)}\n\n"
            if not run.running:
                return
        elif silent >= _QUIET:
            silent = 0.0
            yield ": still here\n\n"
        await asyncio.sleep(_EVERY)
        silent += _EVERY


def _payload(request: Request, run: Run) -> str:
    over = not run.running
    news: dict[str, Any] = {"over": over, "controls": _controls(run)}
    if not over:
        news |= drawn(run.snapshot, run.curves)
        news["html"] = markup(request, "run_answer.html", **_answer(run))
    return json.dumps(news, allow_nan=False)


async def _control(request: Request) -> Response:
    run, act = _run(request), request.path_params["act"]
    acts = {"pause": run.controls.toggle, "step": run.controls.one_step, "stop": run.controls.stop}
    if act not in acts:
        raise HTTPException(404)
    acts[act]()
    if wants_json(request):
        return JSONResponse({"controls": _controls(run)})
    return RedirectResponse(f"{PATH}/runs/{run.number}", status_code=303)


def _remove(request: Request) -> Response:
    request.app.state.workspace.runs.remove(_run(request).number)
    return RedirectResponse(PATH, status_code=303)


def _model(request: Request) -> Response:
    fitted = _trained(request)
    with request.app.state.workspace.store.scratch(".hsq") as path:
        fitted.save(path)
        name = f"{_file_name(fitted.encoder.targets[0])}.hsq"
        headers = {"Content-Disposition": f'attachment; filename="{name}"'}
        return Response(path.read_bytes(), media_type="application/octet-stream", headers=headers)


def _report(request: Request) -> Response:
    from halfsquare.report.html import report_page

    fitted, asked = _trained(request), _run(request).asked
    rows = DataSpec.of(asked.data.rows(asked.reading), weights=asked.options.get("weights"))
    sliders = request.query_params.get("interactive") == "yes"
    page = report_page(fitted, rows, name=asked.data.label, interactive=sliders)
    name = f"{_file_name(fitted.encoder.targets[0])}.html"
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return Response(page, media_type="text/html", headers=headers)


def _file_name(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9_-]+", "-", name).strip("-") or "model"


def _run(request: Request) -> Run:
    number = request.path_params["number"]
    if not (number.isascii() and number.isdecimal() and len(number) < 10):
        raise HTTPException(404)
    run: Run = request.app.state.workspace.runs.get(int(number))
    return run


def _trained(request: Request) -> FittedModel:
    fitted = _run(request).fitted
    if fitted is None:
        raise HTTPException(404)
    return fitted


_ONE = f"{PATH}/runs/{{number}}"  # ":int" fails on thousands of digits
ROUTES = (
    Route(_ONE, _page),
    Route(f"{_ONE}/events", _events),
    Route(f"{_ONE}/surface", _surface),
    Route(f"{_ONE}/model.hsq", _model),
    Route(f"{_ONE}/report.html", _report),
    Route(f"{_ONE}/remove", _remove, methods=["POST"]),
    Route(f"{_ONE}/{{act}}", _control, methods=["POST"]),
)
