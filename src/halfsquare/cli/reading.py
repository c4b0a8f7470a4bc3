"""The options that say how DATA is read, one list for all commands."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import wraps
from typing import Annotated, Any

import typer

from halfsquare.cli.options import listed

_PANEL = "How DATA is read"


def _option(kind: Any, *names: str, **more: Any) -> Any:
    return Annotated[kind, typer.Option(*names, rich_help_panel=_PANEL, **more)]


_ANY: dict[str, Any] = {
    "table": _option(str | None, "--table", metavar="NAME", help="Table of a database file."),
    "sheet": _option(str | None, "--sheet", metavar="NAME", help="Sheet of a spreadsheet."),
    "partitions": _option(
        bool | None, "--partitions", help="Folder names such as x=5 are values of columns."
    ),
    "encoding": _option(
        str | None, "--encoding", help="Encoding of a text file that is not UTF-8, such as latin-1."
    ),
    "delimiter": _option(
        str | None, "--delimiter", metavar="CHAR", help="Between fields; found if left out."
    ),
    "header": _option(
        bool | None, "--header/--no-header", help="Whether the first line names the columns."
    ),
    "skip": _option(int | None, "--skip", metavar="N", min=0, help="Lines before the header."),
    "comment": _option(
        str | None, "--comment", metavar="CHAR", help="Lines that begin with it are passed over."
    ),
    "missing": _option(
        list[str] | None, "--missing", metavar="WORDS", help="More words for no value."
    ),
    "dates": _option(
        str | None, "--dates", metavar="dmy|mdy|ymd|FORMAT", help="How dates are written."
    ),
    "decimal": _option(
        str | None, "--decimal", metavar="CHAR", help="Decimal mark of numbers that are text."
    ),
    "thousands": _option(str | None, "--thousands", metavar="CHAR", help="Their thousands mark."),
}
_FIRST: dict[str, Any] = {
    "number": _option(
        list[str] | None, "--number", metavar="COLS", help="Numbers; what is none is missing."
    ),
    "category": _option(
        list[str] | None, "--category", metavar="COLS", help="Levels, even if they are numbers."
    ),
    "text": _option(
        list[str] | None, "--text", metavar="COLS", help="Texts, even if they look like dates."
    ),
}
_LISTS = frozenset({*_FIRST, "missing"})


def reads(*, first: bool = False) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command the options of reading; it gets those that were given as a mapping
    ``options``, for :meth:`halfsquare.data.spec.DataSpec.of`.

    ``first``: also those that decide what a column is, which a model keeps.
    """
    offered = {**(_FIRST if first else {}), **_ANY}

    def give(command: Callable[..., None]) -> Callable[..., None]:
        signature = inspect.signature(command, eval_str=True)

        @wraps(command)
        def run(**given: Any) -> None:
            found = {name: given.pop(name) for name in offered}
            found = {n: listed(v) if n in _LISTS and v else v for n, v in found.items()}
            options = {name: value for name, value in found.items() if value is not None}
            command(**given, options=options)

        parameters: list[inspect.Parameter] = []
        for parameter in signature.parameters.values():
            if parameter.name != "options":
                parameters.append(parameter)
                continue
            parameters += [
                inspect.Parameter(name, parameter.kind, default=None, annotation=annotation)
                for name, annotation in offered.items()
            ]
        shown: Any = run
        shown.__signature__ = signature.replace(parameters=parameters)
        shown.__annotations__ = {p.name: p.annotation for p in parameters}
        return run

    return give
