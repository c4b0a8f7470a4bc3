"""``halfsquare explain``: why the gradient of the squared error has its sign, on two numbers."""

from __future__ import annotations

from typing import Annotated

import typer

from halfsquare.cli.options import Json, Loss, dump


def explain(
    target: Annotated[
        list[float],
        typer.Option(
            "--target", "-t", metavar="T", help="The target of an example; repeat for several."
        ),
    ],
    output: Annotated[
        list[float],
        typer.Option(
            "--output", "-o", metavar="O", help="The model's output; one for each target."
        ),
    ],
    loss: Annotated[Loss, typer.Option(help="The convention of value and gradient.")] = (
        Loss.half_sse
    ),
    plot: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="Draw it: .html, .svg or .png.", show_default=False),
    ] = None,
    json: Json = False,
) -> None:
    """Explain the squared error of an example: value, gradient, sign, step and derivation.

    [dim]halfsquare explain --target 3 --output 2.2 --plot example.html[/dim]

    For a model and its rows: [dim]halfsquare pulls MODEL DATA[/dim]
    """
    from halfsquare.explain.one_example import explain_example
    from halfsquare.explain.several_examples import explain_examples
    from halfsquare.files.atomic import require_writable

    if len(target) != len(output):
        raise typer.BadParameter(
            f"{len(target)} targets and {len(output)} outputs; expected one output for each target"
        )
    require_writable(plot)
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
