"""``halfsquare explain``: why the gradient of a squared error has a sign, on your numbers."""

from __future__ import annotations

from typing import Annotated

import typer

from halfsquare.cli.fit import Loss
from halfsquare.cli.options import Json, dump


def explain(
    target: Annotated[
        list[float], typer.Option("--target", "-t", metavar="T", help="The target; repeat for several examples.")
    ],
    output: Annotated[
        list[float], typer.Option("--output", "-o", metavar="O", help="The model's output; one for each target.")
    ],
    loss: Annotated[Loss, typer.Option(help="The convention of value, gradient and derivation.")] = Loss.half_sse,
    json: Json = False,
) -> None:
    """Explain the squared error of one example: value, gradient, its sign, the step, the derivation.

    [dim]halfsquare explain --target 3 --output 2.2[/dim]
    """
    from halfsquare.explain.one_example import explain_example, explain_examples

    if len(target) != len(output):
        raise typer.BadParameter(
            f"{len(target)} targets and {len(output)} outputs; expected one output for each target"
        )
    if len(target) == 1:
        one = explain_example(target[0], output[0], convention=loss.value)
        if json:
            dump(one.as_dict())
            return
        from halfsquare.cli.show_example import show_example

        show_example(one)
        return
    several = explain_examples(list(zip(target, output, strict=True)), convention=loss.value)
    if json:
        dump(several.as_dict())
        return
    from halfsquare.cli.show_example import show_examples

    show_examples(several)
