"""``halfsquare evaluate``: the errors of a model on a file."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from halfsquare.cli.options import (
    ClusterBy,
    Data,
    InTime,
    Json,
    ModelFile,
    Precision,
    Sigma,
    Weights,
    dump,
)
from halfsquare.cli.progress import reading
from halfsquare.cli.reading import reads


@reads()
def evaluate(
    model: ModelFile,
    data: Data,
    weights: Weights = None,
    sigma: Sigma = None,
    precision: Precision = None,
    cluster_by: ClusterBy = None,
    in_time: InTime = False,
    coverage: Annotated[
        bool,
        typer.Option(
            "--coverage",
            help="Add how many targets lie inside their 95 % interval, by fifths of the "
            "prediction and of the columns that matter most, and by levels.",
        ),
    ] = False,
    options: Any = None,
    json: Json = False,
) -> None:
    """Measure MODEL on the rows of DATA that have a target.

    [dim]halfsquare evaluate houses.hsq sold.csv[/dim]
    """
    from halfsquare.data.spec import DataSpec
    from halfsquare.errors import OptionError
    from halfsquare.results.evaluate import evaluate as measure
    from halfsquare.results.fitted import load

    fitted = load(model)
    with reading() as progress:
        rows = DataSpec.of(
            data,
            weights=weights,
            sigma=sigma,
            precision=precision,
            progress=progress,
            **options,
        )
        found = measure(fitted, rows, cluster_by=cluster_by, in_time=in_time)
    covered = []
    if coverage:
        from halfsquare.report.coverage import coverage as promised

        if rows.once:
            raise OptionError("--coverage needs a second pass over the rows: write them to a file")
        covered = promised(fitted, rows)
    if json:
        dump(
            {
                "model_file": model,
                "data": data,
                "target": list(fitted.encoder.targets),
                **found.as_dict(),
                **({"coverage": [vars(part) for part in covered]} if coverage else {}),
            }
        )
        return
    from halfsquare.cli.screen import say, table, width
    from halfsquare.report.text_tables import error_table
    from halfsquare.text import counted, mse_limits

    unit = " and ".join(fitted.encoder.targets)
    say(f"Errors of {model} ({fitted.kind} model of {unit}) on {data}")
    if found.missing_target:
        say(f"{counted(found.missing_target, 'rows')} without a target left out")
    say(error_table({"": found.as_dict()}, unit, width()))
    limits = mse_limits(found.as_dict())
    if limits:
        say(limits)
    if covered:
        lines = [
            [c.by, c.part, f"{c.rows:,}", f"{c.covered:.1%} ± {c.standard_error:.1%}"]
            for c in covered
        ]
        say("Targets inside their 95 % interval, with the standard error of the share")
        say(table(lines))
