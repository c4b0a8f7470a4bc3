"""The page as an ASGI application: its pages, static files, errors, and the access control around
it all.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from functools import cache
from importlib import import_module
from importlib.resources import files
from pathlib import Path

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Scope

from halfsquare.errors import HalfsquareError
from halfsquare.figures.save import css_variables, static_text, vega_bundle
from halfsquare.results.fitted import FittedModel, load
from halfsquare.web.access import AccessControl, Keys
from halfsquare.web.datasets import Store
from halfsquare.web.pages import PAGES
from halfsquare.web.runs import Runs
from halfsquare.web.templates import error_page, wants_json


class Workspace:
    """Made when the server starts, closed when it ends.

    Parameters
    ----------
    model, data : Path, optional
        What the server was started with; nothing else outside can be read through the page.
    folder : Path, optional
        Where finished runs are kept.

    Raises
    ------
    ModelFileError
        If the model cannot be read.
    """

    def __init__(
        self, model: Path | None = None, data: Path | None = None, folder: Path | None = None
    ) -> None:
        self._given = None if model is None else (model.name, load(model))
        self.store = Store(data)
        self.runs = Runs(folder)
        self.runs.restore(self.store.find)

    @property
    def models(self) -> dict[str, tuple[str, FittedModel]]:
        """By key the name and the model: those that were trained, and the one that was given."""
        runs = self.runs.all()
        found = {run.key: (run.label, run.fitted) for run in runs if run.fitted is not None}
        return found if self._given is None else {**found, "given": self._given}

    def close(self) -> None:
        """Stop what goes on, and leave no file behind."""
        self.runs.close()
        self.store.close()


_PAGE_FILES = ("page.css", "train.css", "form.js", "train.js")
_FIGURE_FILES = ("base.css", "figure.css", "figure.js")


def create_app(
    keys: Keys, workspace: Workspace, ending: Callable[[], bool] = lambda: False
) -> ASGIApp:
    """The application for one run of the server.

    Parameters
    ----------
    keys : Keys
        Port and secrets; see :mod:`halfsquare.web.access`.
    workspace : Workspace
        What the pages work with: data, training run, model.
    ending : callable() -> bool
        Whether the server is about to end; then long answers end too.
    """
    routes = [
        Route("/", _home),
        Route("/static/{name}", _static),
        *(route for page in PAGES for route in page.routes),
    ]
    app = Starlette(
        routes=routes,
        exception_handlers={
            HTTPException: _http_error,
            HalfsquareError: _our_error,
            Exception: _unforeseen,
        },
    )
    with suppress(ImportError):
        # Arrow loads pandas where it is installed; Altair, in another thread, fails on a half
        # loaded one.
        import_module("pandas")
    app.state.pages = PAGES
    app.state.workspace, app.state.ending = workspace, ending
    return AccessControl(app, keys, _refuse)  # outermost, so that errors have its headers too


async def _home(_: Request) -> Response:
    return RedirectResponse(PAGES[0].path, status_code=303)


async def _static(request: Request) -> Response:
    """One of the files that belong to the page, by its exact name: no path is ever built from a
    request.
    """
    name = request.path_params["name"]
    if name == "vega.js":
        return Response(_vega(), media_type="text/javascript")
    if name == "theme.css":
        return Response(css_variables(), media_type="text/css")
    kind = "text/css" if name.endswith(".css") else "text/javascript"
    if name in _FIGURE_FILES:
        return Response(static_text(name), media_type=kind)
    if name in _PAGE_FILES:
        text = files("halfsquare.web").joinpath("static", name).read_text(encoding="utf-8")
        return Response(text, media_type=kind)
    raise HTTPException(404)


@cache
def _vega() -> bytes:
    return vega_bundle().encode()  # once: it is most of what a visitor is sent


def _refuse(scope: Scope, status: int, title: str, what_to_do: str) -> Response:
    return error_page(title, what_to_do, status)


async def _http_error(request: Request, problem: Exception) -> Response:
    assert isinstance(problem, HTTPException)
    if problem.status_code == 404:
        return error_page(
            "There is nothing at this address", "Choose one of the pages above.", 404, PAGES
        )
    if problem.status_code == 405:
        return error_page(
            "This address does not take that", "Go back and use the page's own buttons.", 405, PAGES
        )
    return error_page("This did not work", problem.detail, problem.status_code, PAGES)


async def _our_error(request: Request, problem: Exception) -> Response:
    """An error of the package's own: its message says what was found and what to do."""
    if wants_json(request):
        return JSONResponse({"error": str(problem)}, status_code=400)
    return error_page("This cannot be computed", f"{problem}.", 400, PAGES)


async def _unforeseen(request: Request, problem: Exception) -> Response:
    what = "This is a fault of the program, not yours. The terminal shows where; please report it."
    return error_page("Something went wrong", what, 500, PAGES)
