"""What DuckDB says of the columns of a relation: a source of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import duckdb

from halfsquare.data.connection import spill_privately
from halfsquare.data.integrity import NO_FILES, Unchanged
from halfsquare.data.messages import require_distinct
from halfsquare.data.source import Source
from halfsquare.data.source_column import SourceColumn
from halfsquare.data.sql import kind_of, quote_name, quote_text
from halfsquare.data.sqlite import chosen_table
from halfsquare.errors import DataError


def bound(
    connection: Any,
    name: str,
    relation: str,
    held: tuple[Any, ...] = (),
    files: Unchanged = NO_FILES,
    count: str | None = None,
    *,
    names: Sequence[str] | None = None,
) -> Source:
    """Ask DuckDB for the columns of a relation, which have ``names`` of their own; ``count`` is SQL
    for its rows, where that is quick.
    """
    with files.reading(name):
        rows = connection.sql(count).fetchall()[0][0] if count else None
        found = connection.sql(f"SELECT * FROM {relation}")
        if found is None:
            raise DataError(f"{name} returns no rows: expected a query that selects columns")
        own = list(found.columns) if names is None else list(names)
        columns = tuple(
            column
            for n, field, t in zip(own, found.columns, found.types, strict=True)
            for column in _flat(n, quote_name(field), t)
        )
    require_distinct([c.name for c in columns], name)
    # Enough for two threads' buffers, and a little for each column of a wide table: the rows
    # themselves are not kept by DuckDB. The row groups of Parquet are large: with less it gives
    # memory back and takes it again all the time.
    megabytes = (320 if relation.startswith("read_parquet(") else 160) + len(columns)
    connection.execute(f"SET memory_limit='{megabytes}MB'")
    return Source(name, columns, relation, connection, files, rows, held)


def _flat(name: str, value: str, kind: Any) -> list[SourceColumn]:
    """A column, or the columns that are nested in it: a.b is the b of a."""
    if str(kind.id) == "struct":
        return [
            column
            for inner, own in kind.children
            for column in _flat(f"{name}.{inner}", f"{value}.{quote_name(inner)}", own)
        ]
    shown = value if value != quote_name(name) else ""
    return [SourceColumn(name, kind_of(str(kind)), str(kind), shown)]


def database_table(connection: Any, path: str, table: str | None, files: Unchanged) -> Source:
    """A table of a DuckDB file; the only one where none is named.

    Raises
    ------
    DataError
        If the file is no database, or which table is meant is not clear.
    """
    try:
        connection.execute(f"ATTACH {quote_text(path)} AS found (READ_ONLY)")
        tables = [
            str(r[0])
            for r in connection.execute(
                "SELECT table_name FROM information_schema.tables WHERE table_catalog = "
                "'found' ORDER BY 1"
            ).fetchall()
        ]
    except duckdb.Error as problem:
        raise DataError(
            f"{path} could not be opened as a database: {str(problem).splitlines()[0]}"
        ) from None
    table = chosen_table(path, tables, table)
    held = (spill_privately(connection),)  # what is named as a table may be a view
    return bound(connection, f"table {table} of {path}", f"found.{quote_name(table)}", held, files)
