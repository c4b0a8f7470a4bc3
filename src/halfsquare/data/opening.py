"""Opening rows: a file, a glob, a folder, a query, a database table or a frame, each as a
:class:`~halfsquare.data.source.Source`.
"""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb

from halfsquare.data.binding import bound, database_table
from halfsquare.data.columns import Reading
from halfsquare.data.connection import duckdb_connection, spill_privately
from halfsquare.data.frames import arrow_table, categories_of
from halfsquare.data.integrity import Unchanged, exists
from halfsquare.data.json_array import require_closed
from halfsquare.data.json_keys import keys_as_written
from halfsquare.data.parquet import as_arrow_had_it
from halfsquare.data.paths import (
    DATABASE,
    JSON,
    PARQUET,
    SHEETS,
    Located,
    is_sql,
    locate,
    refuse_foreign,
)
from halfsquare.data.source import Source
from halfsquare.data.spec import DataSpec
from halfsquare.data.spool import PACKED, copied
from halfsquare.data.spreadsheet import sheet_table
from halfsquare.data.sql import quote_name, quote_text
from halfsquare.data.sqlite import is_sqlite, sqlite_table
from halfsquare.data.text_file import escaped
from halfsquare.data.text_source import source_of, standard_input, table_of
from halfsquare.errors import DataError


def opened(data: Any, reading: Reading | None = None) -> Source:
    """Rows as their source has them, texts still unread; see
    :func:`halfsquare.data.deciding.open_source`.

    ``reading`` is that of a model, whose columns are read from text files as they were.
    """
    spec = DataSpec.of(data)
    connection = duckdb_connection()
    if isinstance(spec.data, (str, os.PathLike)):
        text = os.fspath(spec.data)
        if is_sql(text):
            return _query(connection, spec, text, reading)
        if text == "-":
            return standard_input(connection, spec, reading)
        return _file(connection, spec, locate(text), reading)
    return _frame(connection, spec, "the data", arrow_table(spec.data, "the data"))


def _frame(connection: Any, spec: DataSpec, name: str, frame: Any, held: Any = ()) -> Source:
    names = list(frame.column_names)
    categories = categories_of(frame.schema)
    # DuckDB does not tell large letters from small ones.
    try:
        connection.register("frame", frame.rename_columns([f"c{j}" for j in range(len(names))]))
        source = bound(connection, name, "frame", (frame, *held), names=names)
    except duckdb.Error as problem:
        first = str(problem).splitlines()[0]
        raise DataError(f"{name} has a column of a kind that cannot be read: {first}") from None
    return replace(source, categories=categories)


def _query(connection: Any, spec: DataSpec, text: str, reading: Reading | None) -> Source:
    """A query; text and JSON files that stand in it by name are read as they are by themselves."""
    try:
        named = sorted(n.strip("\"'") for n in connection.get_table_names(text))
    except duckdb.Error:
        named = []  # what is wrong with the query is told when it is bound
    paths = [n for n in named if exists(n) and Path(n).is_file()]
    held: list[Any] = [spill_privately(connection)]
    for path in paths:
        located = locate(path)
        if located.suffix not in PARQUET + DATABASE + SHEETS:
            inner = _file(connection, replace(spec, data=path), located, None)
            shown = ", ".join(f"{c.stored} AS {quote_name(c.name)}" for c in inner.columns)
            with inner.files.reading(path):
                connection.execute(
                    f"CREATE TEMP VIEW {quote_name(path)} AS SELECT {shown} FROM {inner.relation}"
                )
            held.append(inner)
    del reading
    source = bound(
        connection, "the query", f"({text.strip().rstrip(';')})", tuple(held), Unchanged.of(paths)
    )
    return replace(source, remarks=tuple(r for s in held[1:] for r in s.remarks))


def _file(connection: Any, spec: DataSpec, located: Located, reading: Reading | None) -> Source:
    refuse_foreign(located)
    text, suffix, files = located.name, located.suffix, located.files
    if suffix in DATABASE:
        if is_sqlite(located.paths[0]):
            frame, found = sqlite_table(located.paths[0], spec.table)
            name = f"table {found} of {text}"
            return replace(_frame(connection, spec, name, arrow_table(frame, name)), files=files)
        return database_table(connection, text, spec.table, files)
    held: tuple[Any, ...] = ()
    pattern = located.pattern and quote_text(located.pattern)
    packed = suffix in PARQUET + SHEETS and located.paths[0].lower().endswith(PACKED)
    if packed or (suffix in JSON and located.paths[0].lower().endswith((".zip", ".bz2", ".xz"))):
        held = tuple(copied(p, p) for p in located.paths)
        pattern = "[" + ", ".join(quote_text(h.path) for h in held) + "]"
    elif not pattern:
        pattern = "[" + ", ".join(quote_text(escaped(p)) for p in located.paths) + "]"
    partitions = f"hive_partitioning={str(spec.partitions).lower()}"
    if suffix in PARQUET:
        source = bound(
            connection,
            text,
            f"read_parquet({pattern}, union_by_name=true, {partitions})",
            held,
            files,
            f"SELECT sum(num_rows)::BIGINT FROM parquet_file_metadata({pattern})",
        )
        return as_arrow_had_it(source, held[0].path if held else located.paths[0])
    if suffix in JSON:
        # The whole file decides, keys that turn up late and fractions after whole numbers too.
        options = (
            "sample_size=-1, map_inference_threshold=-1, field_appearance_threshold=0, "
            f"union_by_name=true, {partitions}"
        )
        source = bound(connection, text, f"read_json({pattern}, {options})", held, files)
        for path in located.paths:
            require_closed(path)
        return (
            source if spec.partitions else keys_as_written(source, f"read_json_objects({pattern})")
        )
    if suffix in SHEETS:
        if len(located.paths) > 1:
            raise DataError(f"{text} names several spreadsheets; expected one")
        path = held[0].path if held else located.paths[0]
        frame, told = sheet_table(path, text, spec.sheet, spec.skip, spec.header is not False)
        source = _frame(connection, spec, text, frame, held)
        return replace(source, files=files, remarks=tuple(told))
    table = table_of(spec, located.paths, located.pattern or None, text, reading)
    return source_of(connection, table, files, spec)
