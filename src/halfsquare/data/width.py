"""How many columns there are, known before anything is read: to refuse at once what is too wide."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from halfsquare.data.dialect import examine
from halfsquare.data.paths import DATABASE, JSON, PARQUET, SHEETS, is_sql, locate
from halfsquare.data.spec import DataSpec
from halfsquare.data.spool import PACKED
from halfsquare.data.text_source import wanted_of


def names_at_once(spec: DataSpec) -> Sequence[str] | None:
    """The columns as the header, or the footer, of the first file says them; None where that takes
    as long as opening the rows does.

    Raises
    ------
    DataError
        What is wrong with the file.
    """
    if not isinstance(spec.data, (str, os.PathLike)):
        return _of_frame(spec.data)
    text = os.fspath(spec.data)
    if text == "-" or is_sql(text):
        return None
    located = locate(text)
    path = located.paths[0]
    if located.suffix in (*JSON, *DATABASE, *SHEETS):
        return None
    if located.suffix in PARQUET:
        return None if path.lower().endswith(PACKED) else _of_parquet(path)
    return examine(path, located.name, located.suffix, wanted_of(spec))[0].names


def _of_parquet(path: str) -> Sequence[str] | None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        names: list[str] = pq.read_schema(path).names
    except (OSError, pa.ArrowException):  # opening tells what is wrong
        return None
    return names


def _of_frame(data: Any) -> Sequence[str] | None:
    if isinstance(data, dict):
        return [str(name) for name in data]
    names = getattr(data, "column_names", None) or getattr(data, "columns", None)
    if names is None:
        shape: Any = getattr(data, "shape", ())
        return [f"x{j + 1}" for j in range(shape[1])] if len(shape) == 2 else None
    return [str(name) for name in names]
