"""``halfsquare report``: everything about a fitted model on one page."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any

import typer

from halfsquare.cli.options import Data, Json, ModelFile, Weights, dump
from halfsquare.cli.progress import reading
from halfsquare.cli.reading import reads


@reads()
def report(
    model: ModelFile,
    data: Data,
    out: Annotated[
        str, typer.Option("--out", "-o", metavar="FILE.html", help="Write the page here.")
    ],
    interactive: Annotated[
        bool,
        typer.Option(
            "--interactive", help="Add sliders that predict in the page itself, without a server."
        ),
    ] = False,
    weights: Weights = None,
    options: Any = None,
    json: Json = False,
) -> None:
    """Write a page about MODEL on the rows of DATA that stands alone: no network, and no script but
    with --interactive.

    [dim]halfsquare report houses.hsq houses.csv --out houses.html[/dim]
    """
    from halfsquare.data.paths import require_other_files
    from halfsquare.data.spec import DataSpec
    from halfsquare.files.atomic import require_writable
    from halfsquare.report.html import require_extra, write_report
    from halfsquare.results.fitted import load
    from halfsquare.results.weighed_rows import with_own_weights

    require_other_files([("--out", out)], [model, data])
    require_writable(out)
    require_extra()
    fitted = load(model)
    rows = with_own_weights(fitted, DataSpec.of(data, weights=weights, **options))
    with reading() as progress:
        path = write_report(fitted, replace(rows, progress=progress), out, interactive=interactive)
    if json:
        dump(
            {
                "model_file": model,
                "data": data,
                "weights": rows.weight_column,
                "report": str(path),
                "interactive": interactive,
                "bytes": path.stat().st_size,
            }
        )
        return
    print(
        f"Report written to {path} ({path.stat().st_size / 1024:,.0f} kB): it opens in any browser."
    )
