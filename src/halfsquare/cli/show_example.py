"""How the explanation of examples looks in a terminal."""

from __future__ import annotations

from halfsquare.cli.screen import say, table
from halfsquare.explain.one_example import ExampleExplanation
from halfsquare.explain.several_examples import ExamplesExplanation
from halfsquare.text import LOSS_NAMES, digits_apart, number, with_error


def show_example(one: ExampleExplanation) -> None:
    """Value, gradient and sign under each convention, the step, the confirmation, the
    derivation.
    """
    say(one.sentence, bold=True)
    say(
        "The square is never negative; its derivative with respect to the output has the "
        f"sign of o − t = {number(one.error)}.\n"
    )
    rows = [
        [
            LOSS_NAMES[name] + (" ←" if name == one.convention else ""),
            number(at.value),
            number(at.gradient),
            number(at.curvature),
        ]
        for name, at in one.conventions.items()
    ]
    say(table(rows, header=["convention", "value", "gradient", "curvature"]))
    verb = {"raise": "raises", "lower": "lowers", "stay": "leaves"}[one.direction]
    say(
        f"\nDescent {verb} the output: step = −gradient / curvature = {number(one.step)}, to "
        f"{number(one.output + one.step, digits_apart(one.target, one.output, 5))}."
    )
    say(
        "The four conventions differ by a factor, which cancels in the step: it is the same "
        "for all."
    )
    check = one.finite_difference
    say(
        f"Confirmed by a central difference: {check.value:.9g} (differs by "
        f"{check.difference:.1g}).\n"
    )
    say("Derivation", bold=True)
    for line in one.derivation.lines:
        say(f"  {line.text}")


def show_examples(several: ExamplesExplanation) -> None:
    """Each example in a line, then what they come to together."""
    name = LOSS_NAMES[several.convention]
    rows = [
        [
            *(number(x, digits_apart(e.target, e.output, 5)) for x in (e.target, e.output)),
            number(e.error),
            number(gradient),
            e.direction,
            number(e.step),
        ]
        for e, gradient in zip(several.examples, several.gradients, strict=True)
    ]
    say(
        table(
            rows,
            header=["target", "output", "error o − t", f"gradient of {name}", "descent", "step"],
            left=0,
        )
    )
    s = several.summary
    say(
        f"\n{s.rows} examples: SSE {number(s.sse)}, ½SSE {number(s.half_sse)}, MSE "
        f"{with_error(s.mse, s.mse_se)}; "
        f"{number(s.too_high)} too high, {number(s.too_low)} too low, mean error "
        f"{number(s.mean_error)}"
    )
    say("SSE adds up and grows with every example; MSE is its mean, the loss of a typical one.")
