"""What Parquet files say beside the types that their values are stored in."""

from __future__ import annotations

from dataclasses import replace

from halfsquare.data.frames import categories_of, durations_of
from halfsquare.data.source import Source


def as_arrow_had_it(source: Source, path: str) -> Source:
    """What the Arrow types say that were written to a Parquet file: categories and durations."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        schema = pq.read_schema(path)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, OSError):
        return source  # what is wrong with it is told when it is read
    durations = durations_of(schema)
    names = dict(zip([c.name for c in source.columns], schema.names, strict=False))
    flat = len(schema.names) == len(source.columns)
    columns = []
    for column in source.columns:
        own = names.get(column.name, column.name) if flat else column.name
        value = column.stored if own != column.name else column.value
        if own in durations and column.type == "BIGINT":
            value = f"to_microseconds(({column.stored} / {durations[own] / 86400e6!r})::BIGINT)"
            column = replace(column, kind="number", type="INTERVAL")
        columns.append(replace(column, name=own, value=value))
    return replace(source, columns=tuple(columns), categories=categories_of(schema))
