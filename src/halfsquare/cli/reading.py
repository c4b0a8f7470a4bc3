"""The options that say how DATA is read, one list for all commands."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import wraps
from typing import Annotated, Any

import typer

from halfsquare.cli.options import listed

_ANY: dict[str, Any] = {
    "table": Annotated[
        str | None, typer.Option("--table", metavar="NAME", help="Table of a database file.")
    ],
    "encoding": Annotated[
        str | None,
        typer.Option(
            "--encoding", help="Encoding of a text file that is not UTF-8, such as latin-1."
        ),
    ],
}
_FIRST: dict[str, Any] = {
    "category": Annotated[
        list[str] | None,
        typer.Option("--category", metavar="COLS", help="Columns of a text file to read as text."),
    ],
}
_LISTS = frozenset(_FIRST)


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
