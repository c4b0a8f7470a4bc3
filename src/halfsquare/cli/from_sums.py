"""``halfsquare fit --from-sums``: which options go with it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from halfsquare.results.fitted import FittedModel

_TOGETHER = {"from_sums", "subtract", "out", "model", "l2", "features", "exclude", "refit", "json"}


def fit_from_sums(
    context: typer.Context,
    sums: Sequence[str] | None,
    subtract: Sequence[str] | None,
    **options: Any,
) -> FittedModel:
    """Fit to files of sums; wrong usage if options were given that need rows."""
    if not sums:
        raise typer.BadParameter(
            "there is nothing to take rows away from: name sums by --from-sums",
            param_hint="--subtract",
        )
    given = [name for name in context.params if _was_given(context, name) and name not in _TOGETHER]
    if "data" in given:
        raise typer.BadParameter(
            f"sums are fitted without DATA, and {context.params['data']!r} was given too; a "
            "pattern that the shell is not "
            "to expand needs quotes: --from-sums 'part*.sums'",
            param_hint="--from-sums",
        )
    if given:
        names = ", ".join("--" + name.replace("_", "-") for name in given)
        raise typer.BadParameter(
            f"{names} cannot be had from sums: it belongs to the rows, so to 'halfsquare "
            "sums' or to a fit of DATA",
            param_hint="--from-sums",
        )
    if context.params["model"].value not in ("auto", "linear"):
        raise typer.BadParameter(
            "sums hold what a linear model needs, and no other", param_hint="--model"
        )
    from halfsquare.exact.fit_sums import fit_sums

    return fit_sums(list(sums), subtract=list(subtract or ()), **options)


def _was_given(context: typer.Context, name: str) -> bool:
    source = context.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"
