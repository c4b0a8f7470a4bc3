"""What every page has in common: the frame, the pages to go to, the errors that say what to do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from math import floor, isfinite, log10
from typing import Any

import jinja2
from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from halfsquare import text
from halfsquare.explain.derivation import number
from halfsquare.figures.page_text import environment
from halfsquare.figures.save import data_island
from halfsquare.figures.theme import DARK, LIGHT


@dataclass(frozen=True)
class Page:
    """One page: a module in :mod:`halfsquare.web.pages` that brings its own routes.

    Attributes
    ----------
    path : str
        Where it lives, with a leading slash.
    title : str
        In the navigation.
    routes : tuple of Route
        All of them below ``path``.
    """

    path: str
    title: str
    routes: tuple[Route, ...]


def render(request: Request, template: str, **values: Any) -> HTMLResponse:
    """A whole page. Everything put into it is escaped."""
    return HTMLResponse(_templates().get_template(template).render(_frame(request, values)))


def part(
    request: Request,
    template: str,
    *,
    signals: Mapping[str, Any],
    data: Mapping[str, Any],
    **values: Any,
) -> Response:
    """What changes on a page: its words as HTML, and the signals and rows of its figures."""
    html = markup(request, template, **values)
    return JSONResponse({"html": html, "signals": signals, "data": data})


def markup(request: Request, template: str, **values: Any) -> str:
    """A piece of a page. Everything put into it is escaped."""
    return _templates().get_template(template).render(_frame(request, values))


def error_page(
    title: str, what_to_do: str, status: int, pages: tuple[Page, ...] = ()
) -> HTMLResponse:
    """An error that says what to do."""
    page = _templates().get_template("error.html")
    shown = {
        "title": title,
        "what_to_do": what_to_do,
        "status": status,
        "pages": pages,
        "here": None,
    }
    return HTMLResponse(page.render(shown), status_code=status)


def wants_json(request: Request) -> bool:
    """Whether the page's own script is asking, rather than a person opening an address."""
    return "application/json" in request.headers.get("accept", "")


def themes() -> Markup:
    """Both palettes, for the script that draws the figures."""
    return Markup(data_island("themes", {"light": LIGHT.colours(), "dark": DARK.colours()}))


def island(name: str, value: Any) -> Markup:
    """A specification or rows for a figure, as data inside the page."""
    return Markup(data_island(name, value))


def _frame(request: Request, values: dict[str, Any]) -> dict[str, Any]:
    pages = request.app.state.pages
    return {"pages": pages, "here": request.url.path, "themes": themes(), **values}


@cache
def _templates() -> jinja2.Environment:
    folder = files("halfsquare.web").joinpath("templates")
    loader = jinja2.FunctionLoader(lambda name: folder.joinpath(name).read_text(encoding="utf-8"))
    made = environment(loader, lstrip_blocks=True)
    made.filters["number"] = short
    made.filters["brief"] = lambda x: short(x, 4)
    made.filters["amount"] = amount
    made.filters["with_error"] = with_error
    made.filters["plain"] = plain
    return made


def short(x: float, digits: int = 6) -> str:
    """A number as the figures write it: so many significant digits, a real minus sign."""
    rounded = float(f"{x:.{digits}g}")
    if 1e-4 <= abs(rounded) < 1e8 or not rounded or not isfinite(rounded):
        return number(rounded)
    mantissa, power = f"{rounded:.{digits - 1}e}".split("e")
    return f"{number(float(mantissa))} × 10{str(int(power)).translate(_RAISED)}"


def amount(x: float) -> str:
    """A measured number: four significant digits, thousands set apart, powers of ten for the
    rest.
    """
    if not isfinite(x):
        return "–" if x != x else "∞" if x > 0 else "−∞"
    rounded = float(f"{x:.4g}")
    size = abs(rounded)
    if size >= 1e9 or 0 < size < 1e-4:
        digits, power = f"{rounded:.3e}".split("e")
        return f"{number(float(digits))} × 10{str(int(power)).translate(_RAISED)}"
    return f"{rounded:,.0f}".replace("-", "−") if size >= 1e4 else number(rounded)


def with_error(x: float, error: float) -> str:
    """A measured number and its standard error; both in one power of ten where they are huge."""
    power = floor(log10(abs(x))) if x and isfinite(x) else 0
    if power < 12 or not isfinite(error):
        return f"{_plain(x)} ± {_plain(error, 3)}"
    scale = 10.0**power
    return (
        f"({number(round(x / scale, 3))} ± {number(round(error / scale, 3))}) × "
        f"10{str(power).translate(_RAISED)}"
    )


def _plain(x: float, digits: int = 4) -> str:
    return text.plain(x, digits).replace("-", "−")


_RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def plain(x: float) -> str:
    """A number as an input element wants it: all its digits, no needless ``.0``."""
    return str(int(x)) if x.is_integer() and abs(x) < 1e15 else repr(x)
