"""``halfsquare predict``: a model and rows in, outputs (with intervals) out."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from halfsquare.cli.options import Data, Json, ModelFile, dump
from halfsquare.cli.progress import reading
from halfsquare.cli.reading import reads


@reads()
def predict(
    model: ModelFile,
    data: Data,
    out: Annotated[
        str,
        typer.Option(
            "--out",
            "-o",
            metavar="FILE.csv|.parquet",
            help="Where to write; - is CSV on standard output.",
        ),
    ] = "-",
    interval: Annotated[
        float | None,
        typer.Option(
            metavar="LEVEL",
            help="Add the bounds between which a new target lies with this probability, such "
            "as 0.95.",
        ),
    ] = None,
    options: Any = None,
    json: Json = False,
) -> None:
    """Predict every row of DATA, in its order: columns prediction, and low and high with
    --interval.

    [dim]halfsquare predict houses.hsq new.csv --interval 0.95 --out predicted.csv[/dim]
    """
    from halfsquare.data.spec import DataSpec
    from halfsquare.files.atomic import require_writable
    from halfsquare.results.fitted import require_level
    from halfsquare.results.model_file import load
    from halfsquare.results.predict import predicted_batches, write_batches

    require_level(interval)
    require_writable(out)
    fitted = load(model)
    with reading() as progress:
        spec = DataSpec.of(data, progress=progress, **options)
        batches = predicted_batches(fitted, spec, interval=interval)
        if json and out == "-":
            rows: list[Any] = [row for batch in batches for row in batch.to_pylist()]
            dump(
                {"model_file": model, "rows": len(rows), "interval": interval, "predictions": rows}
            )
            return
        count = write_batches(batches, out)
    if json:
        dump({"model_file": model, "rows": count, "interval": interval, "out": out})
    elif out != "-":
        print(f"{count:,} predictions written to {out}")
