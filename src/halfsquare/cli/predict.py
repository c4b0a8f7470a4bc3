"""``halfsquare predict``: a model and rows in, outputs (with intervals) out."""

from __future__ import annotations

import sys
from enum import StrEnum
from typing import Annotated, Any

import typer

from halfsquare.cli.options import Data, Json, ModelFile, dump, listed
from halfsquare.cli.progress import reading
from halfsquare.cli.reading import reads


class Of(StrEnum):
    """What an interval is of."""

    target = "target"
    mean = "mean"


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
        list[float] | None,
        typer.Option(
            metavar="LEVEL",
            help="Add the bounds between which a new target lies with this probability, such "
            "as 0.95. May be repeated.",
        ),
    ] = None,
    quantile: Annotated[
        list[float] | None,
        typer.Option(
            metavar="PROBABILITY",
            help="Add the value below which a new target lies with this probability. May be "
            "repeated.",
        ),
    ] = None,
    keep: Annotated[
        list[str] | None,
        typer.Option("--keep", metavar="COLS", help="Columns of DATA to carry along."),
    ] = None,
    of: Annotated[
        Of,
        typer.Option(
            help="What the interval holds: a new target, or the mean of targets in such rows."
        ),
    ] = Of.target,
    options: Any = None,
    json: Json = False,
) -> None:
    """Predict every row of DATA, in its order: columns prediction, and low and high with
    --interval.

    [dim]halfsquare predict houses.hsq new.csv --interval 0.95 --out predicted.csv[/dim]
    """
    from halfsquare.data.novelty import Novelty
    from halfsquare.data.paths import require_other_files
    from halfsquare.data.spec import DataSpec
    from halfsquare.files.atomic import require_writable
    from halfsquare.results.fitted import load
    from halfsquare.results.intervals import require_level, require_probability
    from halfsquare.results.predict import predicted_batches, write_batches
    from halfsquare.text import counted, visible

    levels = interval or []
    for level in levels:
        require_level(level)
    for probability in quantile or ():
        require_probability(probability)
    asked: Any = None if not levels else levels[0] if len(levels) == 1 else levels
    require_other_files([("--out", out)], [model, data])
    if of is Of.mean and (len(levels) != 1 or quantile):
        raise typer.BadParameter("say of which level, by --interval 0.95", param_hint="--of")
    require_writable(out)
    fitted = load(model)
    with reading() as progress:
        novelty = Novelty()
        spec = DataSpec.of(data, progress=progress, **options)
        batches = predicted_batches(
            fitted,
            spec,
            interval=asked,
            quantile=quantile or (),
            of=of.value,
            keep=listed(keep),
            novelty=novelty,
        )
        if json and out == "-":
            rows: list[Any] = [row for batch in batches for row in batch.to_pylist()]
            dump(
                {
                    "model_file": model,
                    "rows": len(rows),
                    "interval": asked,
                    "unlike_training": novelty.as_dict(),
                    "predictions": rows,
                }
            )
            return
        count = write_batches(batches, out)
    if json:
        told = {"model_file": model, "rows": count, "interval": asked, "out": out}
        dump({**told, "unlike_training": novelty.as_dict()})
    elif out != "-":
        print(f"{counted(count, 'predictions')} written to {out}")
    if not json:
        for sentence in novelty.sentences:
            print(visible(f"Look at {sentence}"), file=sys.stderr)
