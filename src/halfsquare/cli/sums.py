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
_SQL = "Rows in a database"


@reads(first=True)
def sums(
    data: Data,
    target: Annotated[
        list[str] | None,
        typer.Option(
            "--target", "-t", metavar="COL", help="Column to predict; repeat for several."
        ),
    ] = None,
    out: Annotated[
        str | None, typer.Option("--out", "-o", metavar="FILE.sums", help="Write the sums here.")
    ] = None,
    weights: Weights = None,
    features: Features = None,
    exclude: Exclude = None,
    sql: Annotated[
        bool,
        typer.Option(
            "--sql",
            help="Print SQL that computes the sums in a database; DATA is its table or a query.",
            rich_help_panel=_SQL,
        ),
    ] = False,
    dialect: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="Of that SQL: postgresql, duckdb, snowflake, bigquery, spark.",
            rich_help_panel=_SQL,
        ),
    ] = "postgresql",
    not_null: Annotated[
        list[str] | None,
        typer.Option(
            metavar="COLS", help="Numbers that are never missing: fewer sums.", rich_help_panel=_SQL
        ),
    ] = None,
    from_sql: Annotated[
        bool,
        typer.Option(
            "--from-sql", help="DATA is the result of that SQL, a CSV file.", rich_help_panel=_SQL
        ),
    ] = False,
    test_fraction: Annotated[
        float | None,
        typer.Option(
            min=0.0,
            max=0.99,
            help="Share of the rows set apart to measure on, summed apart; 0.2 if left out.",
        ),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the choice of test rows.")] = 0,
    threads: Annotated[int | None, typer.Option(min=1, help="Default: one a core.")] = None,
    options: Any = None,
    json: Json = False,
) -> None:
    """Write the exact sums of DATA that a linear model needs: they merge, and fit, without the
    rows.

    [dim]halfsquare sums north.csv --target price --out north.sums[/dim]
    [dim]halfsquare fit-sums '*.sums' --out houses.hsq[/dim]
    [dim]halfsquare sums houses --sql --target price --features area,town --category town[/dim]
    """
    from halfsquare.data.paths import require_other_files
    from halfsquare.errors import OptionError
    from halfsquare.files.atomic import require_writable

    if sql:
        apart: dict[str, Any] = {"--from-sql": from_sql, "--test-fraction": test_fraction}
        apart |= {"--exclude": exclude, "--out": out, "--json": json, "--threads": threads}
        for option, value in apart.items():
            if value:
                raise OptionError(f"{option} is not for --sql, which prints a statement")
        print(
            _statement(data, target, listed(features), weights, listed(not_null), dialect, options)
        )
        return
    if not_null:
        raise OptionError("--not-null is for --sql alone")
    if out is None:
        raise OptionError("name the file for the sums: --out FILE.sums")
    require_other_files([("--out", out)], [data])
    require_writable(out)
    if from_sql:
        from halfsquare.exact.sql_result import sums_from_sql

        said = {"target": target, "weights": weights, "features": features, "exclude": exclude}
        for name, value in {**said, "test-fraction": test_fraction, **options}.items():
            if value:
                raise OptionError(f"--{name} was said to --sql; the result of that SQL knows it")
        found = sums_from_sql(data)
    else:
        from halfsquare.exact.sum_rows import sum_rows

        if not target:
            raise OptionError("name the column to predict: --target COL")
        with reading() as progress:
            found = sum_rows(
                data,
                target,
                weights=weights,
                features=listed(features) if features else None,
                exclude=listed(exclude),
                test_fraction=0.2 if test_fraction is None else test_fraction,
                seed=seed,
                threads=threads,
                progress=progress,
                **options,
            )
    found.save(out)
    show(found, out, json=json)
    if not json:
        print(f"\nSums written to {out}. Next: halfsquare fit-sums {out}")


def _statement(
    table: str,
    target: list[str] | None,
    features: list[str],
    weights: str | None,
    not_null: list[str],
    dialect: str,
    options: dict[str, Any],
) -> str:
    """What ``--sql`` prints."""
    from halfsquare.data.sql import is_query
    from halfsquare.errors import OptionError
    from halfsquare.exact.sql_layout import SqlLayout
    from halfsquare.exact.sql_statement import statement

    categories = options.pop("category", [])
    strange = [name for name in options if name != "number"]
    if strange:
        raise OptionError(
            f"--{strange[0]} is not for --sql: what the database holds are numbers and texts. "
            "Change them in a query (SELECT …) in the place of the table"
        )
    unknown = [c for c in (*categories, *options.get("number", [])) if c not in features]
    if unknown:
        raise OptionError(f"{unknown[0]!r} is not among --features, which --sql needs")
    numbers = tuple(f for f in features if f not in categories)
    source = "query" if is_query(table) else table
    layout = SqlLayout(
        source, tuple(target or ()), numbers, tuple(categories), tuple(not_null), weights
    )
    return statement(layout, table, dialect)


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
        f"Sums of {' and '.join(found.targets)} and {len(found.columns)} columns, over "
        f"{found.name}",
        rows_sentence({**known, **apart}),
        "",
        "Columns",
        table([[c["name"], _told(c)] for c in known["columns"]], left=2)
        if found.columns
        else "  none",
        *(f"  {name}  left out: {reason}" for name, reason in found.left_out.items()),
        "",
        f"{known['sums']:,} sums of products, kept without rounding",
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
