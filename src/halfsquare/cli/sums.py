"""``halfsquare sums``: a table as exact sums, to be merged and fitted elsewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from halfsquare.cli.options import Data, Exclude, Features, Json, Weights, dump, listed
from halfsquare.cli.progress import reading
from halfsquare.cli.reading import reads

if TYPE_CHECKING:
    from halfsquare.exact.table_sums import TableSums

# Sums over fewer rows than this say much of each.
_FEW_ROWS = 5


@reads(first=True)
def sums(
    data: Data,
    target: Annotated[
        list[str],
        typer.Option(
            "--target", "-t", metavar="COL", help="Column to predict; repeat for several."
        ),
    ],
    out: Annotated[
        str, typer.Option("--out", "-o", metavar="FILE.sums", help="Write the sums here.")
    ],
    weights: Weights = None,
    features: Features = None,
    exclude: Exclude = None,
    test_fraction: Annotated[
        float,
        typer.Option(
            min=0.0, max=0.99, help="Share of the rows set apart to measure on, summed apart."
        ),
    ] = 0.2,
    seed: Annotated[int, typer.Option(min=0, help="Of the choice of test rows.")] = 0,
    threads: Annotated[int | None, typer.Option(min=1, help="Default: one a core.")] = None,
    options: Any = None,
    json: Json = False,
) -> None:
    """Write the exact sums of DATA that a linear model needs: they merge, and fit, without the
    rows.

    [dim]halfsquare sums north.csv --target price --out north.sums[/dim]
    [dim]halfsquare fit-sums '*.sums' --out houses.hsq[/dim]
    """
    from halfsquare.data.paths import require_other_files
    from halfsquare.exact.sum_rows import sum_rows
    from halfsquare.files.atomic import require_writable

    require_other_files([("--out", out)], [data])
    require_writable(out)
    with reading() as progress:
        found = sum_rows(
            data,
            target,
            weights=weights,
            features=listed(features) if features else None,
            exclude=listed(exclude),
            test_fraction=test_fraction,
            seed=seed,
            threads=threads,
            progress=progress,
            **options,
        )
    found.save(out)
    show(found, out, json=json)
    if not json:
        print(f"\nSums written to {out}. Next: halfsquare fit-sums {out}")


def show(found: TableSums, path: str, *, json: bool) -> None:
    """Print what sums hold."""
    if json:
        dump(as_dict(found, path))
        return
    from halfsquare.cli.screen import say, table
    from halfsquare.text import rows_sentence

    known = as_dict(found, path)
    apart = (
        {"test": {"rows": found.test.rows}, "test_source": "rows set apart", "options": known}
        if found.test.rows
        else {}
    )
    lines = [
        f"Exact sums of {' and '.join(found.targets)} and {len(found.columns)} columns, over "
        f"{found.name}",
        rows_sentence({**known, **apart}),
        "",
        "Columns",
        table([[c["name"], _told(c)] for c in known["columns"]], left=2)
        if found.columns
        else "  none",
        *(f"  {name}  left out: {reason}" for name, reason in found.left_out.items()),
        "",
        f"{known['sums']:,} sums of products, without rounding",
    ]
    say("\n".join(lines))
    few = [c for c in known["columns"] if c["fewest"] is not None and c["fewest"] < _FEW_ROWS]
    if few:
        names = ", ".join(repr(c["name"]) for c in few[:5])
        say(
            f"\nNote: some levels of {names} have fewer than {_FEW_ROWS} rows, and the sums "
            "tell the values of these rows"
        )
    for doubt in found.doubts:
        say(f"\nWarning: {doubt}")


def as_dict(found: TableSums, path: str | None = None) -> dict[str, Any]:
    """What ``sums --json`` and ``info --json`` print of a file of sums."""
    everything, at = found.all, found.positions()
    first = found.sources[0] if found.sources else None
    columns = []
    for column in found.columns:
        weights = {term: everything.entry(0, at[column.name, term]) for term in column.terms}
        levels = [weights[f"={level}"] for level in column.levels]
        columns.append(
            {
                "name": column.name,
                "kind": column.kind,
                "missing": weights.get("is missing"),
                "levels": list(column.levels),
                "fewest": min(levels) if levels else None,
            }
        )
    q = everything.columns
    return {
        "sums_file": path,
        "target": list(found.targets),
        "weights": found.weight,
        "rows": found.rows,
        "rows_train": found.train.rows,
        "rows_test": found.test.rows,
        "rows_read": found.counts.read,
        "rows_missing_target": found.counts.missing_target,
        "rows_zero_weight": found.counts.zero_weight,
        "seed": first.seed if first else 0,
        "columns": columns,
        "left_out": dict(found.left_out),
        "sums": q * (q + 1) // 2,
        "sources": [{"name": s.name, "rows": s.rows, "digest": s.digest} for s in found.sources],
        "warnings": list(found.doubts),
    }


def _told(column: dict[str, Any]) -> str:
    if column["kind"] == "crowded":
        return "left out: a text of too many levels"
    said = {
        "number": "number",
        "timestamp": "date or time",
        "time": "time of day",
        "empty": "no values",
    }.get(column["kind"])
    if said is None:
        from halfsquare.text import counted

        shown = ", ".join(column["levels"][:8]) + (", …" if len(column["levels"]) > 8 else "")
        said = f"category of {counted(len(column['levels']), 'levels')}: {shown}"
    return said + (
        f"; {column['missing']:,.6g} missing"
        if column["missing"] and column["kind"] != "empty"
        else ""
    )
