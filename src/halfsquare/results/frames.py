"""Rows as a table of the library that is asked for."""

from __future__ import annotations

from importlib import import_module
from typing import Any, Literal

from halfsquare.errors import OptionError

Frame = Literal["arrow", "pandas", "polars"]


def frame_of(rows: list[dict[str, Any]], kind: str) -> Any:
    """The rows as a table; a name that a row does not have is empty there.

    Raises
    ------
    OptionError
        If the kind is none of the three.
    """
    import pyarrow

    names = dict.fromkeys(name for row in rows for name in row)
    table = pyarrow.table({name: [row.get(name) for row in rows] for name in names})
    if kind == "arrow":
        return table
    if kind == "pandas":
        return table.to_pandas()
    if kind == "polars":
        return import_module("polars").from_arrow(table)
    raise OptionError(f"the kind of table is {kind!r}; expected arrow, pandas or polars")
