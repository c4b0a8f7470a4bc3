"""``halfsquare audit``: every check on a loss function that somebody wrote."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from enum import StrEnum
from typing import Annotated, Any

import typer

from halfsquare.cli.options import Json, dump
from halfsquare.errors import OptionError


class Kind(StrEnum):
    """What the loss is, where that is not seen."""

    function = "function"
    scorer = "scorer"
    metric = "metric"
    objective = "objective"
    step = "step"


class Library(StrEnum):
    """Whose arrays the loss takes."""

    numpy = "numpy"
    torch = "torch"
    jax = "jax"
    tensorflow = "tensorflow"
    keras = "keras"


class Claim(StrEnum):
    """What the value has to be."""

    half_sse = "half_sse"
    sse = "sse"
    mse = "mse"
    half_mse = "half_mse"
    rmse = "rmse"
    mse_over_rows = "mse_over_rows"
    half_mse_over_rows = "half_mse_over_rows"


def audit(
    loss: Annotated[
        str,
        typer.Argument(
            metavar="MODULE:FUNCTION",
            help="The loss: package.module:name, or file.py:name. The module is imported, which "
            "runs it: audit what you trust.",
        ),
    ],
    gradient: Annotated[
        str | None,
        typer.Option(
            metavar="[MODULE:]FUNCTION",
            help="Its gradient with respect to the output, if it has one.",
        ),
    ] = None,
    convention: Annotated[
        Claim | None, typer.Option(help="What it has to be; anything else fails.")
    ] = None,
    strict: Annotated[
        bool,
        typer.Option(
            "--strict",
            help="Fail on what goes wrong without a word, such as broadcasting (n,) against (n, "
            "1).",
        ),
    ] = False,
    kind: Annotated[Kind | None, typer.Option(help="What it is, where that is not seen.")] = None,
    library: Annotated[
        Library | None, typer.Option(help="Whose arrays it takes, where that is not seen.")
    ] = None,
    target: Annotated[
        str | None, typer.Option(metavar="NAME", help="Its argument for the target.")
    ] = None,
    output: Annotated[
        str | None, typer.Option(metavar="NAME", help="Its argument for the model's output.")
    ] = None,
    argument: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=VALUE", help="A further argument, a number or a word; repeat for several."
        ),
    ] = None,
    batch: Annotated[
        str | None,
        typer.Option(
            metavar="[MODULE:]NAME",
            help="For a training step: a batch that it takes, or a function that returns one.",
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Audit a squared-error loss that somebody wrote: convention, gradient, sums, odd input.

    Exit code 0: it passes; 1: it fails, or the module cannot be imported; 2: wrong usage.

    [dim]halfsquare audit losses.py:my_mse[/dim]

    [dim]halfsquare audit torch.nn:MSELoss --convention mse[/dim]

    [dim]halfsquare audit losses.py:value --gradient slope --json[/dim]
    """
    from halfsquare.audit.run import audit_loss

    module, name = _split(loss)
    with _output_to_stderr():
        found = audit_loss(
            _load(module, name),
            None if gradient is None else _load(*_split(gradient, module)),
            convention=convention.value if convention else None,
            kind=kind.value if kind else None,
            library=library.value if library else None,
            target=target,
            output=output,
            arguments=dict(_value(a) for a in argument or []),
            batch=None if batch is None else _batch(_load(*_split(batch, module))),
            name=name,
            strict=strict,
        )
    if json:
        dump(found.as_dict())
    else:
        print(_readable(str(found)))
    raise typer.Exit(0 if found.passed else 1)


def _split(text: str, module: str | None = None) -> tuple[str, str]:
    before, colon, name = text.rpartition(":")
    if not colon and module is not None:
        before = module
    if not before or not name:
        raise OptionError(
            f"{text!r} names no loss; expected MODULE:FUNCTION, such as losses.py:my_mse or "
            "torch.nn:MSELoss"
        )
    return before, name


def _load(module: str, name: str) -> Any:
    """The named object; what importing it raises is told on one line."""
    from halfsquare.audit.importing import load_name

    return load_name(module, name)


def _value(text: str) -> tuple[str, Any]:
    """NAME=VALUE: a whole number, a number, True, False, None, or a word."""
    name, equals, value = text.partition("=")
    if not equals or not name.isidentifier():
        raise OptionError(f"--argument {text!r} is not NAME=VALUE")
    words = {"True": True, "False": False, "None": None}
    if value in words:
        return name, words[value]
    for kind in (int, float):
        try:
            return name, kind(value)
        except ValueError:
            continue
    return name, value


def _batch(found: Any) -> Any:
    return found() if callable(found) else found


@contextmanager
def _output_to_stderr() -> Iterator[None]:
    """What the audited code prints does not mix with the answer."""
    with redirect_stdout(sys.stderr):
        yield


def _readable(text: str) -> str:
    """No message of a loss moves the cursor; on a terminal, long lines wrap in their column."""
    import shutil
    import textwrap

    lines = [
        "".join(c if c.isprintable() else repr(c)[1:-1] for c in line) for line in text.split("\n")
    ]
    if not sys.stdout.isatty():
        return "\n".join(lines)
    width = shutil.get_terminal_size().columns
    start = next(
        (
            line.index(v)
            for line in lines
            for v in ("pass ", "FAIL ", "depends ")
            if f"  {v}" in line
        ),
        4,
    )
    indent = " " * min(start + 13, max(width - 30, 4))
    return "\n".join(textwrap.fill(line, width, subsequent_indent=indent) for line in lines)
