"""``halfsquare pulls``: which rows pull which weight of a model, which way and how hard."""

from __future__ import annotations

from dataclasses import replace
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from halfsquare.cli.options import Data, Json, Loss, ModelFile, Weights, dump
from halfsquare.cli.progress import reading
from halfsquare.cli.reading import reads

if TYPE_CHECKING:
    from halfsquare.data.spec import DataSpec


class About(StrEnum):
    """Where the columns of a linear model are measured from."""

    zero = "zero"
    mean = "mean"


@reads()
def pulls(
    model: ModelFile,
    data: Data,
    row: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Explain row N of DATA alone, from 1.")
    ] = None,
    top: Annotated[
        int | None, typer.Option(min=0, metavar="K", help="Rows named for each parameter; 5.")
    ] = None,
    about: Annotated[
        About | None,
        typer.Option(help="Measure a linear model's columns from zero, or from their means."),
    ] = None,
    loss: Annotated[Loss, typer.Option(help="The convention of the pulls.")] = Loss.half_sse,
    plot: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="Draw it: .html, .svg or .png.", show_default=False),
    ] = None,
    weights: Weights = None,
    options: Any = None,
    json: Json = False,
) -> None:
    """Show who pulls which weight of MODEL on the rows of DATA, or explain one row.

    [dim]halfsquare pulls houses.hsq houses.csv[/dim]

    [dim]halfsquare pulls houses.hsq houses.csv --row 17[/dim]
    """
    if row is not None and (top is not None or about is not None):
        raise typer.BadParameter("--top and --about are for all rows; --row is for one")
    if row is not None and loss is not Loss.half_sse:
        raise typer.BadParameter("--loss is for all rows; --row is for one")
    from halfsquare.data.paths import require_other_files
    from halfsquare.data.spec import DataSpec
    from halfsquare.files.atomic import require_writable
    from halfsquare.results.fitted import load
    from halfsquare.results.weighed_rows import with_own_weights

    require_other_files([("--plot", plot)], [model, data])
    require_writable(plot)
    fitted = load(model)
    # With the weights of the fit the pulls balance.
    rows = with_own_weights(fitted, DataSpec.of(data, weights=weights, **options))
    if row is not None:
        _one_row(fitted, model, rows, row, plot, json)
    else:
        _all_rows(fitted, model, rows, loss, top, about, plot, json)


def _all_rows(
    fitted: Any,
    model: str,
    rows: DataSpec,
    loss: Loss,
    top: int | None,
    about: About | None,
    plot: str | None,
    json: bool,
) -> None:
    from halfsquare.explain.pulls import explain_pulls

    with reading() as progress:
        found = explain_pulls(
            fitted,
            replace(rows, progress=progress),
            loss=loss.value,
            about=about.value if about else "zero",
            top=5 if top is None else top,
        )
    if plot is not None:
        from halfsquare.figures.charts_pulls import pulls_chart
        from halfsquare.figures.save import save_chart

        save_chart(pulls_chart(found), plot, title=f"Who pulls at {model}")
    if json:
        told = {
            "model_file": model,
            "data": rows.data,
            "kind": fitted.kind,
            "weights": rows.weight_column,
            "plot": plot,
        }
        dump({**told, **found.as_dict()})
        return
    from halfsquare.cli.show_pulls import show_pulls

    show_pulls(fitted, found, rows.data, plot)


def _one_row(
    fitted: Any, model: str, rows: DataSpec, row: int, plot: str | None, json: bool
) -> None:
    from halfsquare.explain.row import explain_row

    names = fitted.encoder.targets
    if rows.once and len(names) > 1:
        raise typer.BadParameter(
            "standard input can be read once, and there are several targets: give a file"
        )
    found = [explain_row(fitted, rows, row, target=name) for name in names]
    if plot is not None:
        from halfsquare.figures.charts_pulls import row_chart
        from halfsquare.figures.save import save_chart

        save_chart(row_chart(found[0]), plot, title=f"Row {row} of {rows.data}")
    if json:
        told = {"model_file": model, "data": rows.data, "kind": fitted.kind}
        told |= found[0].as_dict()
        dump(told if len(found) == 1 else {**told, "targets": [r.as_dict() for r in found]})
        return
    from halfsquare.cli.show_pulls import show_row

    for one in found:
        show_row(fitted, one)
    if plot is not None:
        print(f"\nFigure written to {plot}")
