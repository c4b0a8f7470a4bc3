"""Text files, and CSV on standard input, as sources."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from halfsquare.data.binding import bound
from halfsquare.data.columns import Reading
from halfsquare.data.dialect import Wanted
from halfsquare.data.integrity import NO_FILES, Unchanged
from halfsquare.data.source import Source
from halfsquare.data.spec import DataSpec
from halfsquare.data.spool import Spool
from halfsquare.data.sql import quote_name
from halfsquare.data.text_file import TextTable, escaped, text_table
from halfsquare.errors import DataError


def table_of(
    spec: DataSpec,
    paths: Sequence[str],
    pattern: str | None,
    name: str,
    reading: Reading | None,
) -> TextTable:
    """How text files are read: as asked, as a model had them, or as found."""
    given = reading.given if reading else {}
    words = (*spec.missing, *given.get("missing", ()))
    forced = (*spec.category, *spec.text, *spec.number)
    wanted = wanted_of(spec, reading)
    return text_table(paths, pattern, name, wanted, words, reading, forced)


def wanted_of(spec: DataSpec, reading: Reading | None = None) -> Wanted:
    """What is said of the layout of a text file."""
    given = reading.given if reading else {}
    return Wanted(
        spec.encoding or given.get("encoding"),
        spec.delimiter,
        spec.header if spec.header is not None else given.get("header"),
        spec.skip,
        spec.comment or given.get("comment"),
        tuple(reading.columns) if reading else spec.known,
    )


def source_of(connection: Any, table: TextTable, files: Unchanged, spec: DataSpec) -> Source:
    """The source of some text files, its texts still unread."""
    fields = table.fields
    source = bound(connection, table.name, table.relation, table.held, files)
    own = {c.name: c for c in source.columns}
    columns = tuple(
        replace(
            own[fields[n]],
            name=n,
            value="" if fields[n] == n else quote_name(fields[n]),
            whole=n in table.whole,
        )
        for n in table.names
    )
    remarks = []
    dialect = table.dialect
    for part, paths in table.parts:
        if part.skipped:
            name = "" if len(table.parts) == 1 else f"{table.label(paths[0])}: "
            remarks.append(
                f"{name}{part.skip} line{'s' if part.skip > 1 else ''} before the header passed "
                f"over, the first {part.skipped[:60]!r}"
            )
    remarks += table.footers
    for part, paths in table.parts[1:]:
        name = table.label(paths[0])
        gone = [n for n in table.names if n not in part.names]
        if part.delimiter != dialect.delimiter:
            remarks.append(f"{name} has the delimiter {part.delimiter!r}, unlike the others")
        if gone:
            remarks.append(f"{name} has no column {', '.join(map(repr, gone[:5]))}")
    file = {
        "encoding": spec.encoding or "utf-8",
        "delimiter": dialect.delimiter,
        "decimal": "," if table.comma else ".",
        "header": dialect.header,
        "skip": dialect.skip,
    }
    return replace(
        source,
        columns=columns,
        table=table,
        reading=Reading(file=file),
        unnamed=dialect.unnamed,
        remarks=tuple(remarks),
    )


def standard_input(connection: Any, spec: DataSpec, reading: Reading | None) -> Source:
    """A pipe can be read once and its types need a look first, so it is kept in a temporary
    file.
    """
    if sys.stdin is None or sys.stdin.closed:
        raise DataError("standard input is closed: pipe a CSV file into it")
    if sys.stdin.isatty():
        raise DataError("standard input is a terminal: pipe a CSV file into it")
    name = "standard input"
    spool = Spool(name, lambda to: shutil.copyfileobj(sys.stdin.buffer, to))
    if not spool.size:
        raise DataError("standard input is empty: expected CSV with a header line")
    table = table_of(spec, [spool.path], escaped(spool.path), name, reading)
    source = source_of(connection, table, NO_FILES, spec)
    return replace(source, held=(*source.held, spool))
