"""Arrays, frames and mappings as Arrow tables, with what their types say of the columns."""

from __future__ import annotations

from typing import Any

import numpy as np

from halfsquare.data.messages import require_distinct
from halfsquare.errors import DataError, OptionError


def arrow_table(data: Any, name: str) -> Any:
    """The columns of an array, a frame or a mapping.

    Raises
    ------
    DataError
        If a column mixes types or lengths, or two have one name; ``name`` is what messages call the
        data.
    OptionError
        If it is none of these.
    """
    import pyarrow as pa

    if isinstance(data, np.ndarray):
        if data.dtype.names:
            frame = pa.table({n: np.ascontiguousarray(data[n]) for n in data.dtype.names})
        elif data.ndim == 2:
            frame = pa.table(
                {f"x{j + 1}": np.ascontiguousarray(data[:, j]) for j in range(data.shape[1])}
            )
        else:
            raise DataError(f"the array has shape {data.shape}; expected rows and columns, (n, d)")
    elif isinstance(data, dict):
        frame = _arrow(lambda: pa.table({str(n): pa.array(np.asarray(v)) for n, v in data.items()}))
    elif isinstance(data, (pa.Table, pa.RecordBatch)):
        frame = data if isinstance(data, pa.Table) else pa.Table.from_batches([data])
    elif type(data).__module__.startswith("polars"):
        frame = data.collect().to_arrow() if hasattr(data, "collect") else data.to_arrow()
    elif type(data).__module__.startswith("pandas"):
        require_distinct([str(c) for c in data.columns], name)
        plain = _plain(data.rename(columns=str))
        frame = _arrow(lambda: pa.Table.from_pandas(plain, preserve_index=False))
    elif hasattr(data, "__arrow_c_stream__"):
        frame = pa.table(data)
    else:
        raise OptionError(
            f"cannot read rows from {type(data).__name__}; expected a path, a query, an "
            "array or a frame"
        )
    require_distinct([str(n) for n in frame.column_names], name)
    return frame


def _arrow(make: Any) -> Any:
    import pyarrow as pa

    try:
        return make()
    except (pa.ArrowInvalid, pa.ArrowTypeError, ValueError) as problem:
        raise DataError(f"a column mixes types or lengths: {problem}") from None
    except (pa.ArrowNotImplementedError, TypeError) as problem:
        raise DataError(f"a column has a type that holds no numbers or texts: {problem}") from None


def _plain(data: Any) -> Any:
    """A pandas frame with what only pandas has in terms of others: sparse columns are full, periods
    begin at a moment, intervals are texts, and so is a column of several types.
    """
    import pandas as pd

    changes: dict[str, Any] = {}
    for name in data.columns:
        column = data[name]
        kind = column.dtype
        if isinstance(kind, pd.SparseDtype):
            changes[name] = column.sparse.to_dense()
        elif isinstance(kind, pd.PeriodDtype):
            changes[name] = column.dt.to_timestamp()
        elif isinstance(kind, pd.IntervalDtype):
            changes[name] = column.astype(str).where(column.notna())
        elif isinstance(kind, pd.CategoricalDtype) and isinstance(
            kind.categories.dtype, (pd.IntervalDtype, pd.PeriodDtype)
        ):
            changes[name] = column.cat.rename_categories([str(c) for c in kind.categories])
        elif kind.kind == "O" and pd.api.types.infer_dtype(column, skipna=True) in _MIXED:
            changes[name] = column.map(_text, na_action="ignore")
    return data.assign(**changes) if changes else data


_MIXED = ("mixed", "mixed-integer")


def _text(value: Any) -> Any:
    """A value of a column of several types as a text; what is none of numbers, truths and texts
    stays, and is refused.
    """
    known = isinstance(value, (str, int, float, np.integer, np.floating, np.bool_))
    return str(value) if known else value


def categories_of(schema: Any) -> tuple[str, ...]:
    """Columns of an Arrow schema that are categories by their type, whatever their levels are."""
    import pyarrow as pa

    # Parquet keeps the type of the levels alone; pandas writes beside it what the column was.
    told = (schema.pandas_metadata or {}).get("columns", ())
    named = {c.get("name") for c in told if c.get("pandas_type") == "categorical"}
    return tuple(f.name for f in schema if pa.types.is_dictionary(f.type) or f.name in named)


def durations_of(schema: Any) -> dict[str, float]:
    """Columns of an Arrow schema that are durations, with the parts of a day that they count."""
    import pyarrow as pa

    per_second = {"s": 1.0, "ms": 1e3, "us": 1e6, "ns": 1e9}
    return {
        f.name: 86400.0 * per_second[f.type.unit] for f in schema if pa.types.is_duration(f.type)
    }
