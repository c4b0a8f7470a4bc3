"""``halfsquare compare``: is one model better than another, or can the data not tell?"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from halfsquare.cli.options import ClusterBy, InTime, Json, Precision, Sigma, Weights, dump
from halfsquare.cli.reading import reads

if TYPE_CHECKING:
    from halfsquare.results.comparison import Comparison


class Measure(StrEnum):
    """What is compared."""

    mse = "mse"
    sse = "sse"


@reads()
def compare(
    model_a: Annotated[str, typer.Argument(metavar="MODEL_A", help="A model file.")],
    model_b: Annotated[str, typer.Argument(metavar="MODEL_B", help="Another, of the same target.")],
    data: Annotated[
        str, typer.Argument(metavar="DATA", help="Rows with their target, new to both models.")
    ],
    data_b: Annotated[
        str | None,
        typer.Argument(
            metavar="[DATA_B]", help="Other rows for model B: then the comparison is unpaired."
        ),
    ] = None,
    weights: Weights = None,
    sigma: Sigma = None,
    precision: Precision = None,
    by: Annotated[
        Measure, typer.Option(help="SSE is refused where the numbers of rows differ.")
    ] = Measure.mse,
    cluster_by: ClusterBy = None,
    in_time: InTime = False,
    options: Any = None,
    json: Json = False,
) -> None:
    """Compare two models by the difference of their squared errors, with its standard error and a
    verdict.

    [dim]halfsquare compare old.hsq new.hsq test.csv[/dim]
    """
    from halfsquare.data.spec import DataSpec
    from halfsquare.results.compare import compare as compare_paired
    from halfsquare.results.compare_unpaired import compare_unpaired
    from halfsquare.results.fitted import load

    weighing: Any = {"weights": weights, "sigma": sigma, "precision": precision}
    a, b = load(model_a), load(model_b)
    if data_b is None:
        rows = DataSpec.of(data, **weighing, **options)
        found = compare_paired(a, b, rows, cluster_by=cluster_by, in_time=in_time)
    else:
        rows, rows_b = (DataSpec.of(d, **weighing, **options) for d in (data, data_b))
        found = compare_unpaired(
            a, b, rows, rows_b, by=by.value, cluster_by=cluster_by, in_time=in_time
        )
    if json:
        dump({"model_a": model_a, "model_b": model_b, **found.as_dict()})
        return
    from halfsquare.cli.screen import say, table
    from halfsquare.report.text_tables import p_value
    from halfsquare.text import number, with_error

    unit = " and ".join(a.encoder.targets)
    kind = "paired, on the same rows" if found.paired else "unpaired, on different rows"
    lines = [
        [f"A  {model_a}", f"{found.rows_a:,} rows", f"MSE {number(found.mse_a, 6)}"],
        [f"B  {model_b}", f"{found.rows_b:,} rows", f"MSE {number(found.mse_b, 6)}"],
    ]
    say(table(lines))
    say(
        f"MSE of A − MSE of B, ({unit})²: "
        f"{with_error(found.difference, found.standard_error)} ({kind})"
    )
    if found.method != "independent rows":
        say(f"Standard error for {found.method}")
    if found.fitted_to:
        say(_of_the_fit(found, {"A": data, "B": data_b or data}))
    say(f"{found.verdict}: z = {number(found.z, 3)}, p {p_value(found.p)}")


def _of_the_fit(found: Comparison, sources: dict[str, str]) -> str:
    """What rows of the fit make of the comparison, and what was done about it."""
    both = len(found.fitted_to) == 2
    if both and sources["A"] == sources["B"]:
        who = f"Both models were fitted to {sources['A']}"
    elif both:
        who = f"A was fitted to {sources['A']} and B to {sources['B']}"
    else:
        who = f"{found.fitted_to[0]} was fitted to {sources[found.fitted_to[0]]}"
    if found.left_out:
        return f"{who}: a row is judged by the fit without it, e / (1 − h) with h its leverage"
    better = "the larger model looks" if found.paired else "a model looks"
    advice = "compare on rows that neither has seen"
    return f"Warning: {who}. On rows of the fit {better} better than it is; {advice}"
