"""The command line: one file a command; here they are put together and their errors told.

Exit codes: 0 done, 1 a clear error, 2 wrong usage, 130 interrupted. No traceback reaches the user
unless HALFSQUARE_DEBUG is set.
"""

from __future__ import annotations

import os
import sys
from typing import Annotated, NoReturn

import typer

from halfsquare.cli import compare, demo, evaluate, explain, fit, info, predict, report, serve, sums
from halfsquare.errors import HalfsquareError, OptionError

app = typer.Typer(
    name="halfsquare",
    help="Fit regression models by descending the squared error, measure them honestly, and see why.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)
for command in (
    fit.fit, predict.predict, evaluate.evaluate, compare.compare, explain.explain, report.report, info.info, demo.demo,
    serve.serve, sums.sums,
):  # fmt: skip
    app.command(no_args_is_help=command not in (demo.demo, serve.serve))(command)


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        print(f"halfsquare {version('halfsquare')}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Options of all commands."""


def main() -> NoReturn:
    """Run the command line and exit with its code."""
    try:
        try:
            app()
        except SystemExit as ended:  # Typer ends every command so, and tells nothing of these two
            if ended.code == 130:
                raise KeyboardInterrupt from None
            if isinstance(ended.__context__, BrokenPipeError):
                raise ended.__context__ from None
            sys.stdout.flush()
            raise
    except HalfsquareError as problem:
        _tell(str(problem))
        sys.exit(2 if isinstance(problem, OptionError) else 1)
    except KeyboardInterrupt:
        _tell("interrupted; nothing was written")
        sys.exit(130)
    except BrokenPipeError:  # the reader of our output has seen enough, as `head` has
        _close_output()
        sys.exit(0)
    except OSError as problem:
        _close_output()
        _tell(f"{problem.filename or 'standard output'} could not be used: {problem.strerror or problem}")
        sys.exit(1)
    except MemoryError:
        _tell("not enough memory; use fewer columns, or --features to name those that matter")
        sys.exit(1)
    except Exception as problem:
        if os.environ.get("HALFSQUARE_DEBUG"):
            raise
        _tell(f"internal error, {type(problem).__name__}: {problem}. HALFSQUARE_DEBUG=1 shows where; please report it")
        sys.exit(1)
    sys.exit(0)


def _close_output() -> None:
    """What is still to be written goes nowhere, instead of failing once more at the end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _tell(message: str) -> None:
    print(f"halfsquare: {message}", file=sys.stderr)
