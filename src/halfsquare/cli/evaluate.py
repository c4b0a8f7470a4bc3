"""``halfsquare evaluate``: the errors of a model on a file."""

from __future__ import annotations

from typing import Any

from halfsquare.cli.options import Data, Json, ModelFile, Precision, Sigma, Weights, dump
from halfsquare.cli.progress import reading
from halfsquare.cli.reading import reads


@reads()
def evaluate(
    model: ModelFile,
    data: Data,
    weights: Weights = None,
    sigma: Sigma = None,
    precision: Precision = None,
    options: Any = None,
    json: Json = False,
) -> None:
    """Measure MODEL on the rows of DATA that have a target.

    [dim]halfsquare evaluate houses.hsq sold.csv[/dim]
    """
    from halfsquare.data.spec import DataSpec
    from halfsquare.results.evaluate import evaluate as measure
    from halfsquare.results.model_file import load

    fitted = load(model)
    with reading() as progress:
        found = measure(
            fitted,
            DataSpec.of(
                data,
                weights=weights,
                sigma=sigma,
                precision=precision,
                progress=progress,
                **options,
            ),
        )
    if json:
        dump(
            {
                "model_file": model,
                "data": data,
                "target": list(fitted.encoder.targets),
                **found.as_dict(),
            }
        )
        return
    from halfsquare.cli.screen import say, width
    from halfsquare.report.summary import error_table

    unit = " and ".join(fitted.encoder.targets)
    say(f"Errors of {model} ({fitted.kind} model of {unit}) on {data}")
    if found.missing_target:
        say(f"{found.missing_target:,} rows without a target left out")
    say(error_table({"": found.as_dict()}, unit, width()))
