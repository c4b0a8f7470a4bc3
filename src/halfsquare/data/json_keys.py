"""Keys of JSON records that differ in large letters alone: DuckDB renames the second."""

from __future__ import annotations

from dataclasses import replace

from halfsquare.data.source import Source
from halfsquare.data.source_column import SourceColumn
from halfsquare.data.sql import quote_text


def keys_as_written(source: Source, objects: str) -> Source:
    """The source with every key under its own name.

    Parameters
    ----------
    objects : str
        SQL for the records, each as the JSON ``json``.
    """
    names = {c.name.lower() for c in source.columns}
    if not any(_base(c.name) in names for c in source.columns):
        return source
    rows = source.run(
        "SELECT key, min(i) FROM (SELECT row_number() OVER () AS i, "
        f"unnest(json_keys(json)) AS key FROM {objects}) GROUP BY key ORDER BY 2"
    )
    keys = [str(key) for key, _ in rows]
    alike: dict[str, list[str]] = {}
    for key in keys:
        alike.setdefault(key.lower(), []).append(key)
    columns: list[SourceColumn] = []
    flat = all(not c.value for c in source.columns)
    for column in source.columns:
        renamed = column.name not in keys
        own = alike.get((_base(column.name) if renamed else None) or column.name.lower(), [])
        key = next((k for k in own if k not in [c.name for c in columns]), column.name)
        path = quote_text('$."' + key + '"')
        columns.append(replace(column, name=key, value=f"(json ->> {path})::{column.type}"))
    # Nested records, and names with quotes in them, stay as they are told.
    if not flat or any('"' in key for key in keys) or {c.name for c in columns} != set(keys):
        return source
    return replace(source, columns=tuple(columns), relation=objects)


def _base(name: str) -> str | None:
    """What a name such as IOD_1 was before it was renamed, in small letters."""
    base, mark, count = name.rpartition("_")
    return base.lower() if mark and base and count.isdigit() else None
