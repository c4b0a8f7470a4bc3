"""``halfsquare demo``: the main job on real data, 336,776 flights out of New York in 2013."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from halfsquare.cli.options import Json, dump
from halfsquare.cli.progress import reading


def demo(
    out: Annotated[
        str, typer.Option("--out", "-o", metavar="FOLDER", help="Where to write.")
    ] = "halfsquare-demo",
    json: Json = False,
) -> None:
    """Fit, measure, explain and predict the arrival delay of real flights; needs the extra
    halfsquare\\[demo].
    """
    from halfsquare.data.datasets import COLUMNS, TARGET, unpack_flights
    from halfsquare.explain.row import explain_row
    from halfsquare.fitting.fit import fit
    from halfsquare.results.evaluate import evaluate
    from halfsquare.results.predict import predicted_batches, write_batches

    folder = Path(out)
    flights = unpack_flights(folder)
    with reading() as progress:
        fitted = fit(str(flights), TARGET, model="linear", features=COLUMNS, progress=progress)
    files = {
        "data": flights,
        "model": folder / "flights.hsq",
        "predictions": folder / "predictions.csv",
    }
    fitted.save(files["model"])
    count = write_batches(
        predicted_batches(fitted, str(flights), interval=0.95), str(files["predictions"])
    )
    if _can_draw():
        from halfsquare.report.html import write_report

        files["report"] = folder / "report.html"
        write_report(fitted, str(flights), files["report"])
    whole = evaluate(fitted, str(flights))
    row = explain_row(fitted, str(flights), row=4)
    if json:
        dump(
            {
                **fitted.info["test"],
                "files": {k: str(v) for k, v in files.items()},
                "whole": whole.as_dict(),
                "row": row.as_dict(),
            }
        )
        return
    _show(fitted, files, count, whole, row)


def _can_draw() -> bool:
    """Whether the extra for the report is installed."""
    from importlib.util import find_spec

    return all(find_spec(name) is not None for name in ("altair", "vl_convert", "jinja2"))


def _show(fitted: Any, files: dict[str, Path], count: int, whole: Any, row: Any) -> None:
    from halfsquare.cli.screen import say, width
    from halfsquare.data.datasets import TARGET
    from halfsquare.report.first_screen import first_screen
    from halfsquare.report.text_tables import error_table

    say(first_screen(fitted, width=width()))
    say(
        f"\nThe refitted model on the whole file ({whole.missing_target:,} flights without "
        "an arrival left out)"
    )
    say(error_table({"": whole.as_dict()}, TARGET + " in minutes", width()))
    say("\nOne flight explained")
    say(row.sentences("arrival delay in minutes"))
    say(
        f"""
Where everything is
  the flights       {files["data"]}
  the model         {files["model"]}
  {count:,} predictions with 95 % intervals
                    {files["predictions"]}
  the report        {files.get("report", "needs the extra halfsquare[page]")}

What to try next
  halfsquare info {files["model"]} --all
  halfsquare evaluate {files["model"]} {files["data"]}
  halfsquare fit {files["data"]} --target {TARGET} --features dep_delay,carrier,dest --out small.hsq
  halfsquare compare {files["model"]} small.hsq {files["data"]}
  halfsquare explain --target 3 --output 2.2"""
    )
