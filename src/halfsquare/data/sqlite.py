"""Tables of SQLite files, whose columns hold values of any type: the whole column decides."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from halfsquare.data.sql import quote_name
from halfsquare.errors import DataError

_MAGIC = b"SQLite format 3\x00"
_BATCH_ROWS = 65536


def is_sqlite(path: str) -> bool:
    """Whether a file is one, whatever it is called."""
    try:
        with Path(path).open("rb") as file:
            return file.read(len(_MAGIC)) == _MAGIC
    except OSError:
        return False


def sqlite_table(path: str, table: str | None) -> tuple[Any, str]:
    """A table or view as an Arrow table, and its name; the only one where none is named.

    Raises
    ------
    DataError
        If the file cannot be read, which table is meant is not clear, or a column mixes texts or
        numbers with bytes.
    """
    try:
        with closing(sqlite3.connect(f"{Path(path).absolute().as_uri()}?mode=ro", uri=True)) as db:
            db.execute("PRAGMA trusted_schema = OFF")
            table = chosen_table(path, _tables(db), table)
            return _read(db, table), table
    except sqlite3.Error as problem:
        raise DataError(f"{path} could not be read as an SQLite database: {problem}") from None


def chosen_table(path: str, tables: list[str], table: str | None) -> str:
    """The table that is named, or the only one.

    Raises
    ------
    DataError
        If there is none of that name, or there are several and none is named.
    """
    if table is None and len(tables) == 1:
        return tables[0]
    if table is None or table not in tables:
        asked = f"has no table {table!r}" if table else "has several tables; name one with --table"
        if not tables:
            asked = "has no tables"
        raise DataError(f"{path} {asked}. Its tables: {', '.join(tables) or 'none'}")
    return table


def _tables(db: sqlite3.Connection) -> list[str]:
    found = db.execute(
        "SELECT name FROM sqlite_master WHERE type IN ('table', 'view') "
        "AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY name"
    )
    return [str(name) for (name,) in found]


def _read(db: sqlite3.Connection, table: str) -> Any:
    import pyarrow as pa

    cursor = db.execute(f"SELECT * FROM {quote_name(table)}")
    names = [str(each[0]) for each in cursor.description]
    parts: list[list[Any]] = [[] for _ in names]
    for rows in _batches(cursor):
        for part, values in zip(parts, zip(*rows, strict=True), strict=True):
            part.append(_typed(values))
    columns = [_of_one_type(part, name, table) for part, name in zip(parts, names, strict=True)]
    return pa.table(columns, names=names)


def _batches(cursor: sqlite3.Cursor) -> Iterator[list[Any]]:
    while rows := cursor.fetchmany(_BATCH_ROWS):
        yield rows


def _typed(values: tuple[Any, ...]) -> Any:
    """Some values of a column: whole numbers, numbers, bytes, or texts where there are any."""
    import pyarrow as pa

    kinds = {type(v) for v in values if v is not None}
    if kinds <= {int}:
        return pa.array(values, pa.int64() if kinds else pa.null())
    if kinds <= {int, float}:
        return pa.array([None if v is None else float(v) for v in values], pa.float64())
    if kinds == {bytes}:
        return pa.array(values, pa.binary())
    if bytes in kinds:
        return pa.array([None if v is None else str(v).encode() for v in values], pa.large_binary())
    return pa.array([None if v is None else str(v) for v in values], pa.string())


def _of_one_type(parts: list[Any], name: str, table: str) -> Any:
    import pyarrow as pa

    types = {part.type for part in parts} - {pa.null()}
    for kind in (pa.binary(), pa.string(), pa.float64(), pa.int64()):
        if kind in types:
            break
    else:
        kind = pa.string()
    if pa.large_binary() in types or (pa.binary() in types and len(types) > 1):
        raise DataError(f"column {name!r} of table {table} mixes bytes with other values")
    return pa.chunked_array([part.cast(kind) for part in parts], type=kind)
