"""What a command prints of a fitted model."""

from __future__ import annotations

from shlex import quote
from typing import TYPE_CHECKING, Any

from halfsquare.cli.options import dump

if TYPE_CHECKING:
    from halfsquare.cluster.traffic import Traffic


def show(
    fitted: Any,
    out: str | None,
    report: str | None,
    traffic: Traffic | None = None,
    *,
    json: bool,
    every: bool = False,
    quiet: bool = False,
) -> None:
    """Print the first screen (everything, if asked for; nothing, if that), and what comes next."""
    if json:
        more = {
            **({"report": report} if report else {}),
            **({"cluster": traffic.as_dict()} if traffic else {}),
        }
        dump({**as_dict(fitted, out), **more})
        return
    if quiet:
        return
    from halfsquare.cli.screen import say, width
    from halfsquare.report.first_screen import first_screen
    from halfsquare.report.layout import folded
    from halfsquare.report.summary import summary

    if every:
        say(summary(fitted, every_parameter=True, width=width()))
    else:
        say(first_screen(fitted, width=width()))
    say()
    if traffic:
        say(f"Cluster: {traffic}")
    if report:
        say(f"Report written to {report}: it opens in any browser.")
    say("\n".join(folded(_next(out), width())))


def _next(out: str | None) -> str:
    """What to do next."""
    if out is None:
        return "Next: the same with --out FILE.hsq keeps the model; --all shows everything."
    name = quote(out)
    return (
        f"Model written to {out}. Next: halfsquare predict {name} DATA --interval 0.95; "
        f"halfsquare info {name} shows everything."
    )


def as_dict(fitted: Any, out: str | None = None) -> dict[str, Any]:
    """What ``fit --json`` and ``info --json`` print: the errors on the test rows (on the training
    rows if
    there are none) at the top, then everything else that is known of the model.
    """
    measured = fitted.info["test"] or fitted.info["train"]
    return {
        **measured,
        "measured_on": "test" if fitted.info["test"] else "train",
        "model_file": out,
        **fitted.info,
        "parameters": [p.as_dict() for p in fitted.parameters],
        "residual_standard_deviation": fitted.residual_standard_deviation,
        "columns": [
            {"name": f.column, "decision": f.decision, "design_columns": list(f.names)}
            for f in fitted.encoder.features
        ],
        "left_out": fitted.encoder.left_out,
    }
