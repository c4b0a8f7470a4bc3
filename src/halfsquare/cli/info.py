"""``halfsquare info``: what is in a model file, or in a file of sums."""

from __future__ import annotations

from typing import Annotated

import typer

from halfsquare.cli.options import Json, ModelFile, dump


def info(
    model: ModelFile,
    every: Annotated[bool, typer.Option("--all", help="Print every parameter.")] = False,
    json: Json = False,
) -> None:
    """Show what MODEL was fitted to, the decisions on its columns, its errors and its parameters;
    or what SUMS hold.
    """
    from halfsquare.exact.sums_file import is_sums
    from halfsquare.exact.table_sums import load_sums
    from halfsquare.results.fitted import load

    if is_sums(model):
        from halfsquare.cli.sums import show

        show(load_sums(model), model, json=json)
        return

    fitted = load(model)
    if json:
        from halfsquare.cli.shown import as_dict

        dump(as_dict(fitted, model))
        return
    from halfsquare.cli.screen import say, width
    from halfsquare.report.summary import summary

    say(summary(fitted, every_parameter=every, width=width()))
    say(f"\nWritten by halfsquare {fitted.info.get('version')}")
