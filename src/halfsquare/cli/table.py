"""``halfsquare table``: linear models side by side."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from halfsquare.cli.options import Json, dump


class Format(StrEnum):
    """What the table is written in."""

    text = "text"
    html = "html"
    latex = "latex"


def table(
    models: Annotated[list[str], typer.Argument(metavar="MODEL…", help="Files of linear models.")],
    form: Annotated[Format, typer.Option("--format", help="Of the table.")] = Format.text,
    names: Annotated[
        str | None,
        typer.Option(metavar="NAMES", help="Of the columns, with commas; the files' if left out."),
    ] = None,
    out: Annotated[
        str | None, typer.Option("--out", "-o", metavar="FILE", help="Write the table here.")
    ] = None,
    json: Json = False,
) -> None:
    """Put linear models side by side: coefficients, standard errors below them, figures of each
    fit.

    [dim]halfsquare table small.hsq large.hsq --format latex[/dim]
    """
    from halfsquare.data.paths import require_other_files
    from halfsquare.files.atomic import atomic_write, require_writable
    from halfsquare.results.fitted import load
    from halfsquare.results.inference.table import model_table

    require_other_files([("--out", out)], models)
    require_writable(out)
    titles = [n.strip() for n in names.split(",")] if names else [Path(m).stem for m in models]
    if len(titles) != len(models):
        raise typer.BadParameter(
            f"{len(titles)} names for {len(models)} models", param_hint="--names"
        )
    found = model_table([load(m) for m in models], titles)
    if json:
        dump(found.as_dict())
        return
    shown = found.render(form.value)
    if out is None:
        from halfsquare.cli.screen import say

        say(shown)
        return
    with atomic_write(out) as file:
        file.write((shown + "\n").encode())
    typer.echo(f"table written to {out}", err=True)
