"""The options that say how DATA is read, one list for all commands."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import wraps
from typing import Annotated, Any

import typer

from halfsquare.data.reading_options import OPTIONS, ReadingOption, listed

_PANEL = "How DATA is read"
_TYPES: dict[str, Any] = {
    "text": str | None,
    "list": list[str] | None,
    "count": int | None,
    "flag": bool | None,
    "switch": bool | None,
}
_LISTS = frozenset(o.name for o in OPTIONS if o.kind == "list")


def _annotation(option: ReadingOption) -> Any:
    """The option as Typer knows it."""
    flag = f"--{option.name}"
    more: dict[str, Any] = {"metavar": option.metavar} if option.metavar else {}
    more |= {"min": 0} if option.kind == "count" else {}
    flag += f"/--no-{option.name}" if option.kind == "switch" else ""
    shown = typer.Option(flag, help=option.help, rich_help_panel=_PANEL, **more)
    return Annotated[_TYPES[option.kind], shown]


def reads(*, first: bool = False) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command the options of reading; it gets those that were given as a mapping
    ``options``, for :meth:`halfsquare.data.spec.DataSpec.of`.

    ``first``: also those that decide what a column is, which a model keeps.
    """
    offered = {o.name: _annotation(o) for o in OPTIONS if first or not o.decides}

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
