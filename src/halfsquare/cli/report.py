"""``halfsquare report``: everything about a fitted model on one page."""

from __future__ import annotations

from typing import Annotated

import typer

from halfsquare.cli.explain import own_weights
from halfsquare.cli.options import Data, Encoding, Json, ModelFile, Table, Weights, dump, reading


def report(
    model: ModelFile,
    data: Data,
    out: Annotated[
        str, typer.Option("--out", "-o", metavar="FILE.html", help="Write the page here.")
    ],
    weights: Weights = None,
    table: Table = None,
    encoding: Encoding = None,
    json: Json = False,
) -> None:
    """Write a page about MODEL on the rows of DATA that stands alone: no network, no script.

    [dim]halfsquare report houses.hsq houses.csv --out houses.html[/dim]
    """
    from halfsquare.files.atomic import require_writable
    from halfsquare.report.html import require_extra, write_report
    from halfsquare.results.fitted import load

    require_writable(out)
    require_extra()
    fitted = load(model)
    weights = own_weights(fitted, data, weights, table, encoding)
    with reading() as progress:
        path = write_report(
            fitted, data, out, weights=weights, table=table, encoding=encoding, progress=progress
        )
    if json:
        dump(
            {
                "model_file": model,
                "data": data,
                "weights": weights,
                "report": str(path),
                "bytes": path.stat().st_size,
            }
        )
        return
    print(
        f"Report written to {path} ({path.stat().st_size / 1024:,.0f} kB): it opens in any browser."
    )
