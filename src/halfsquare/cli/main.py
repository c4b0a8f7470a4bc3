"""The command line: one file a command; here they are put together and their errors told.

Exit codes: 0 done, 1 a clear error, 2 wrong usage, 129 the terminal is gone, 130
interrupted, 143 asked to end. No traceback reaches the user unless HALFSQUARE_DEBUG is set.
"""

from __future__ import annotations

import errno
import os
import sys
from contextlib import suppress
from importlib import import_module
from types import ModuleType
from typing import Annotated, NoReturn

import typer

from halfsquare.cli import (
    audit,
    compare,
    demo,
    effects,
    evaluate,
    explain,
    fit,
    fit_sums,
    info,
    predict,
    pulls,
    report,
    serve,
    sums,
    table,
)
from halfsquare.errors import FormulaError, HalfsquareError, OptionError
from halfsquare.process import (
    TO_WORK,
    Terminated,
    is_lack_of_memory,
    orderly_end,
    require_address_space,
    require_streams,
)

app = typer.Typer(
    name="halfsquare",
    help="Fit regression models by descending the squared error, measure them honestly, and "
    "see why.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)
for command in (
    fit.fit,
    predict.predict,
    evaluate.evaluate,
    compare.compare,
    explain.explain,
    pulls.pulls,
    effects.effects,
    table.table,
    report.report,
    info.info,
    demo.demo,
    serve.serve,
    sums.sums,
    fit_sums.fit_sums,
    audit.audit,
):
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
    require_address_space(TO_WORK, "halfsquare")


def _quick_help() -> None:
    """Help is drawn by Rich, and Typer loads with it what draws Markdown and tracebacks, which take
    as long as all the rest and are not used here: others stand in for them while it loads.
    """
    unused = {"rich.markdown": "Markdown", "rich.traceback": "Traceback"}
    if "typer.rich_utils" in sys.modules or unused.keys() & sys.modules.keys():
        return
    for module, name in unused.items():
        sys.modules[module] = ModuleType(module)
        setattr(sys.modules[module], name, None)
    try:
        import_module("typer.rich_utils")
    finally:
        for module in unused:
            del sys.modules[module]


def main() -> NoReturn:
    """Run the command line and exit with its code."""
    require_streams()
    if len(sys.argv) == 1 or {"-h", "--help"} & set(sys.argv):
        _quick_help()
    try:
        try:
            with orderly_end():
                app()
        except SystemExit as ended:  # Typer ends every command so, and tells nothing of these two
            if ended.code == 130:
                raise KeyboardInterrupt from None
            if isinstance(ended.__context__, BrokenPipeError):
                raise ended.__context__ from None
            sys.stdout.flush()
            raise
    except HalfsquareError as problem:
        # A formula is shown with a caret below the place: its messages have lines of their own.
        _tell(str(problem), lines=isinstance(problem, FormulaError | OptionError))
        sys.exit(2 if isinstance(problem, OptionError) else 1)
    except KeyboardInterrupt:
        _tell(f"interrupted; {_left()}")
        sys.exit(130)
    except Terminated as asked:
        _tell(f"{asked.told}; {_left()}")
        sys.exit(128 + asked.number)
    except BrokenPipeError:  # the reader of our output has seen enough, as `head` has
        _close_output()
        sys.exit(0)
    except Exception as problem:
        _tell_failure(problem)
        sys.exit(1)
    sys.exit(0)


def _tell_failure(problem: Exception) -> None:
    """What no part of this package has told in its own words."""
    if is_lack_of_memory(problem):
        _tell(
            "not enough memory or threads (ulimit -v, ulimit -u): use --threads 1, or fewer "
            "columns, "
            "with --features naming those that matter"
        )
    elif isinstance(problem, OSError):
        _close_output()
        what = problem.filename or "standard output"
        _tell(f"{what} could not be used: {_reason(problem)}; {_left()}")
    elif os.environ.get("HALFSQUARE_DEBUG"):
        raise problem
    else:
        _tell(
            f"internal error, {type(problem).__name__}: {problem}. HALFSQUARE_DEBUG=1 shows "
            "where; please report it"
        )


def _left() -> str:
    """What a command that did not come to its end has written."""
    from halfsquare.files.atomic import written

    found = " and ".join(written())
    return f"before that, {found} had been written" if found else "nothing was written"


def _reason(problem: OSError) -> str:
    return "it is closed" if problem.errno == errno.EBADF else problem.strerror or str(problem)


def _close_output() -> None:
    """What is still to be written goes nowhere, instead of failing once more at the end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _tell(message: str, *, lines: bool = False) -> None:
    """One line, unless the message is ours line by line; what a file put into it must not move the
    cursor of a terminal.
    """
    kept = "\n" if lines else ""
    message = "".join(c if c.isprintable() or c in kept else repr(c)[1:-1] for c in message)
    with suppress(OSError):  # it is full, or the terminal is gone: the exit code says it too
        print(f"halfsquare: {message}", file=sys.stderr, flush=True)
