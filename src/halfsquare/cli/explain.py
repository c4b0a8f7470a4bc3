"""``halfsquare explain``: why the gradient has its sign, on two numbers; or who pulls which weight,
on a model.
"""

from __future__ import annotations

from dataclasses import replace
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from halfsquare.cli.fit import Loss
from halfsquare.cli.options import Json, Weights, dump, reading
from halfsquare.cli.reading import reads

if TYPE_CHECKING:
    from halfsquare.data.spec import DataSpec


class About(StrEnum):
    """Where the columns of a linear model are measured from."""

    zero = "zero"
    mean = "mean"


@reads()
def explain(
    model: Annotated[
        str | None,
        typer.Argument(
            metavar="[MODEL]", help="A model file written by fit --out …", show_default=False
        ),
    ] = None,
    data: Annotated[
        str | None,
        typer.Argument(
            metavar="[DATA]",
            help="… and the rows that pull at it: what fit takes.",
            show_default=False,
        ),
    ] = None,
    target: Annotated[
        list[float] | None,
        typer.Option(
            "--target", "-t", metavar="T", help="Or: the target of one example; repeat for several."
        ),
    ] = None,
    output: Annotated[
        list[float] | None,
        typer.Option(
            "--output", "-o", metavar="O", help="The model's output; one for each target."
        ),
    ] = None,
    loss: Annotated[
        Loss, typer.Option(help="The convention of value, gradient and pulls.")
    ] = Loss.half_sse,
    plot: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="Draw it: .html, .svg or .png.", show_default=False),
    ] = None,
    row: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Explain row N of DATA, from 1.")
    ] = None,
    top: Annotated[
        int | None, typer.Option(min=0, metavar="K", help="Rows named for each parameter; 5.")
    ] = None,
    about: Annotated[
        About | None,
        typer.Option(help="Measure a linear model's columns from zero, or from their means."),
    ] = None,
    weights: Weights = None,
    options: Any = None,
    json: Json = False,
) -> None:
    """Explain one example of a squared error, or who pulls which weight of MODEL on the rows of
    DATA.

    [dim]halfsquare explain --target 3 --output 2.2 --plot example.html[/dim]

    [dim]halfsquare explain houses.hsq houses.csv[/dim]

    [dim]halfsquare explain houses.hsq houses.csv --row 17[/dim]
    """
    if model is None:
        _refuse_with_numbers(row=row, top=top, about=about, weights=weights, **options)
        _explain_numbers(target or [], output or [], loss, plot, json)
        return
    if target or output:
        raise typer.BadParameter(
            "a model and --target/--output do not go together: give one or the other"
        )
    if data is None:
        raise typer.BadParameter(f"{model} is a model: give the DATA whose rows pull at it too")
    if row is not None and (top is not None or about is not None):
        raise typer.BadParameter("--top and --about are for all rows; --row is for one")
    if row is not None and (plot is not None or loss is not Loss.half_sse):
        raise typer.BadParameter("--plot and --loss are for all rows, or for --target and --output")
    from halfsquare.data.spec import DataSpec
    from halfsquare.files.atomic import require_writable
    from halfsquare.results.model_file import load

    require_writable(plot)
    fitted = load(model)
    rows = own_weights(fitted, DataSpec.of(data, weights=weights, **options))
    if row is not None:
        _explain_row(fitted, model, rows, row, json)
        return
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
            "data": data,
            "kind": fitted.kind,
            "weights": rows.weights,
            "plot": plot,
        }
        dump({**told, **found.as_dict()})
        return
    from halfsquare.cli.show_pulls import show_pulls

    show_pulls(fitted, found, data, plot)


def _refuse_with_numbers(**options: Any) -> None:
    for name, value in options.items():
        if value is not None:
            raise typer.BadParameter(f"--{name} is for a MODEL and DATA, and no model is given")


def own_weights(fitted: Any, rows: DataSpec) -> DataSpec:
    """The rows with the weights asked for; else with those of the fit, where these rows have them
    too: then the pulls balance.
    """
    from halfsquare.data.reading import open_for

    own = fitted.info.get("weights")
    if rows.weights is not None or own is None or rows.once:
        return rows
    names = {c.name for c in open_for(fitted.encoder, rows).columns}
    return replace(rows, weights=own) if own in names else rows


def _explain_row(fitted: Any, model: str, rows: DataSpec, row: int, json: bool) -> None:
    from halfsquare.explain.row import explain_row

    names = fitted.encoder.targets
    if rows.once and len(names) > 1:
        raise typer.BadParameter(
            "standard input can be read once, and there are several targets: give a file"
        )
    told_of = [explain_row(fitted, rows, row, target=name) for name in names]
    if json:
        told = {"model_file": model, "data": rows.data, "kind": fitted.kind}
        told |= told_of[0].as_dict()
        dump(told if len(names) == 1 else {**told, "targets": [r.as_dict() for r in told_of]})
        return
    from halfsquare.cli.show_pulls import show_row

    for one in told_of:
        show_row(fitted, one)


def _explain_numbers(
    target: list[float], output: list[float], loss: Loss, plot: str | None, json: bool
) -> None:
    from halfsquare.explain.one_example import explain_example, explain_examples

    if not target or not output:
        raise typer.BadParameter("expected a MODEL and DATA, or --target and --output")
    if len(target) != len(output):
        raise typer.BadParameter(
            f"{len(target)} targets and {len(output)} outputs; expected one output for each target"
        )
    if len(target) == 1:
        one = explain_example(target[0], output[0], convention=loss.value)
        if plot is not None:
            from halfsquare.figures.save import save_example

            save_example(one, plot)
        if json:
            dump({**one.as_dict(), **({"plot": plot} if plot else {})})
            return
        from halfsquare.cli.show_example import show_example

        show_example(one)
        if plot is not None:
            print(f"\nFigure written to {plot}")
        return
    if plot is not None:
        raise typer.BadParameter("--plot draws one example; give one --target and one --output")
    several = explain_examples(list(zip(target, output, strict=True)), convention=loss.value)
    if json:
        dump(several.as_dict())
        return
    from halfsquare.cli.show_example import show_examples

    show_examples(several)
