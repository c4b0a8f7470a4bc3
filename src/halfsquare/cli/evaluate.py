"""``halfsquare evaluate``: the errors of a model on a file."""

from __future__ import annotations

from halfsquare.cli.options import Data, Encoding, Json, ModelFile, Table, Weights, dump, reading


def evaluate(
    model: ModelFile,
    data: Data,
    weights: Weights = None,
    table: Table = None,
    encoding: Encoding = None,
    json: Json = False,
) -> None:
    """Measure MODEL on the rows of DATA that have a target.

    [dim]halfsquare evaluate houses.hsq sold.csv[/dim]
    """
    from halfsquare.results.evaluate import evaluate as measure
    from halfsquare.results.fitted import load

    fitted = load(model)
    with reading() as progress:
        found = measure(
            fitted, data, weights=weights, table=table, encoding=encoding, progress=progress
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
    from halfsquare.cli.show import console, error_table

    screen, unit = console(), " and ".join(fitted.encoder.targets)
    screen.print(f"Errors of {model} ({fitted.kind} model of {unit}) on {data}", markup=False)
    if found.missing_target:
        screen.print(f"{found.missing_target:,} rows without a target left out", markup=False)
    screen.print(error_table({"": found.as_dict()}, unit), markup=False)
