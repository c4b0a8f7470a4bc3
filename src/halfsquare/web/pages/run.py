"""The training run as it goes: its figures by server-sent events, its controls, and what comes of
it.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import Route

from halfsquare.figures.live import refilled
from halfsquare.results.fitted import FittedModel
from halfsquare.web.figures import descent_spec, drawn, errors_spec, weights_spec
from halfsquare.web.jobs import RUNNING, Job
from halfsquare.web.templates import island, markup, render, wants_json

PATH = "/train"
_EVERY = 0.15  # seconds between two looks at the run
_QUIET = 10.0  # seconds after which a sign of life is sent, so that a closed tab is noticed
_MOST_PARAMETERS = 20
_NOTES = {
    "batch": "Batch",
    "noise": "Noise",
    "effective_parameters": "Eff. params",
    "damping": "Damping",
    "step": "Step length",
    "signal": "Signal",
}  # fmt: skip


def _page(request: Request) -> Response:
    if request.app.state.workshop.jobs.last is None:
        return RedirectResponse(PATH, status_code=303)
    job = _job(request)
    answer = _answer(job)
    shown = drawn(job.look, job.watcher.ways())
    specs = {"descent": descent_spec(), "errors": errors_spec(), "weights": weights_spec()}
    descends = answer["running"] or bool(shown["data"]["lines"])
    failed = answer["standing"] in ("failed", "ended")
    figures = {} if failed else {k: v for k, v in specs.items() if k != "descent" or descends}
    return render(
        request,
        "run.html",
        figures=list(figures),
        specs=[island(f"{name}-spec", refilled(spec, **shown)) for name, spec in figures.items()],
        buttons=_buttons(job),
        **answer,
    )


def _answer(job: Job) -> dict[str, Any]:
    look = job.look
    notes = (
        []
        if look is None
        else [(name, look.notes[key]) for key, name in _NOTES.items() if key in look.notes]
    )
    standing = job.standing  # once: the run goes on while its page is made
    fitted = job.fitted
    return {
        "here": PATH,
        "job": job,
        "standing": standing,
        "running": standing in RUNNING,
        "look": look,
        "notes": notes[:2],
        "headline": "" if fitted is None else _headline(fitted),
        "parameters": []
        if fitted is None or fitted.kind == "network"
        else fitted.parameters[:_MOST_PARAMETERS],
    }


def _headline(fitted: FittedModel) -> str:
    reason = str(fitted.info.get("reason", ""))
    if reason.startswith("solved directly"):
        return (
            "Solved at once: the squared error of a linear model has its minimum where "
            "one system of equations says."
        )
    if reason == "stopped: interrupted":
        return "Stopped: this is the best so far."
    return f"{reason[:1].upper()}{reason[1:]}."


def _buttons(job: Job) -> dict[str, bool]:
    """What can be asked of the run now."""
    going = job.running and not job.gate.stopped
    pace = job.gate.pace
    return {
        "pause": going and pace != "step",
        "resume": going and pace == "step",
        "step": going,
        "fast": going and pace != "full",
        "stop": going,
    }


async def _events(request: Request) -> Response:
    return StreamingResponse(_told(request, _job(request)), media_type="text/event-stream")


async def _told(request: Request, job: Job) -> AsyncIterator[str]:
    """What is new, whenever there is something new; ends with the run, and with the server."""
    seen, silent = None, 0.0
    while not request.app.state.ending():
        version = job.version
        if version != seen:
            seen, silent = version, 0.0
            yield f"data: {await run_in_threadpool(_news, request, job)}\n\n"
            if not job.running:
                return
        elif silent >= _QUIET:
            silent = 0.0
            yield ": still here\n\n"
        await asyncio.sleep(_EVERY)
        silent += _EVERY


def _news(request: Request, job: Job) -> str:
    over = not job.running
    news: dict[str, Any] = {"over": over, "buttons": _buttons(job)}
    if not over:
        news |= drawn(job.look, job.watcher.ways())
        news["html"] = markup(request, "run_answer.html", **_answer(job))
    return json.dumps(news, allow_nan=False)


async def _control(request: Request) -> Response:
    job, act = _job(request), request.path_params["act"]
    acts = {
        "pause": job.gate.pause,
        "resume": job.gate.resume,
        "step": job.gate.one_step,
        "fast": job.gate.full_speed,
        "stop": job.gate.stop,
    }
    if act not in acts:
        raise HTTPException(404)
    acts[act]()
    if wants_json(request):
        return JSONResponse({"buttons": _buttons(job)})
    return RedirectResponse(f"{PATH}/run", status_code=303)


def _model(request: Request) -> Response:
    fitted = _trained(request)
    with request.app.state.workshop.store.scratch(".hsq") as path:
        fitted.save(path)
        return _download(
            path, f"{_file_name(fitted.encoder.targets[0])}.hsq", "application/octet-stream"
        )


def _report(request: Request) -> Response:
    from halfsquare.report.html import report_page

    fitted, data = _trained(request), _job(request).order.data
    page = report_page(fitted, str(data.make()), name=data.label)
    name = f"{_file_name(fitted.encoder.targets[0])}.html"
    return Response(
        page,
        media_type="text/html",
        headers={"Content-Disposition": f'attachment; filename="{name}"'},
    )


def _download(path: Path, name: str, kind: str) -> Response:
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return Response(path.read_bytes(), media_type=kind, headers=headers)


def _file_name(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9_-]+", "-", name).strip("-") or "model"


def _job(request: Request) -> Job:
    job: Job | None = request.app.state.workshop.jobs.last
    if job is None:
        raise HTTPException(404)
    return job


def _trained(request: Request) -> FittedModel:
    fitted = _job(request).fitted
    if fitted is None:
        raise HTTPException(404)
    return fitted


ROUTES = (
    Route(f"{PATH}/run", _page),
    Route(f"{PATH}/run/events", _events),
    Route(f"{PATH}/run/model.hsq", _model),
    Route(f"{PATH}/run/report.html", _report),
    Route(f"{PATH}/run/{{act}}", _control, methods=["POST"]),
)
