"""``halfsquare fit-sums``: from files of exact sums to a fitted model, without the rows."""

from __future__ import annotations

from typing import Annotated

import typer

from halfsquare.cli.options import (
    Everything,
    Exclude,
    Features,
    Force,
    Json,
    Penalty,
    listed,
    penalty,
    require_model_name,
)
from halfsquare.cli.shown import show


def fit_sums(
    sums: Annotated[
        list[str],
        typer.Argument(metavar="SUMS...", help="Files written by sums, or a glob in quotes."),
    ],
    out: Annotated[
        str | None, typer.Option("--out", "-o", metavar="FILE.hsq", help="Write the model here.")
    ] = None,
    subtract: Annotated[
        list[str] | None,
        typer.Option(metavar="'gone*.sums'", help="Sums of rows to take away from those."),
    ] = None,
    l2: Penalty = "0",
    features: Features = None,
    exclude: Exclude = None,
    refit: Annotated[
        bool, typer.Option("--refit/--no-refit", help="Fit again on all rows after measuring.")
    ] = True,
    force: Force = False,
    every: Everything = False,
    json: Json = False,
) -> None:
    """Fit a linear model to files of exact sums; what belongs to the rows was decided by sums.

    [dim]halfsquare fit-sums north.sums south.sums --out houses.hsq[/dim]
    """
    from halfsquare.data.paths import require_other_files
    from halfsquare.exact.fit_sums import fit_sums as fit_files
    from halfsquare.files.atomic import require_writable

    require_other_files([("--out", out)], [*sums, *(subtract or ())])
    require_writable(out)
    require_model_name(out, force=force)
    fitted = fit_files(
        list(sums),
        subtract=list(subtract or ()),
        l2=penalty(l2),
        features=listed(features) if features else None,
        exclude=listed(exclude),
        refit=refit,
    )
    if out:
        fitted.save(out)
    show(fitted, out, None, json=json, every=every)
