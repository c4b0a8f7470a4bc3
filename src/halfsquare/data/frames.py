"""Arrays, frames and mappings as Arrow tables, with what their types say of the columns."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np

from halfsquare.data.messages import require_distinct
from halfsquare.errors import DataError, OptionError


def arrow_table(data: Any, name: str) -> Any:
    """The columns of an array, a frame or a mapping.

    Raises
    ------
    DataError
        If a column mixes types or lengths, holds values of a kind that no model takes, or two have
        one name; ``name`` is what messages call the data.
    OptionError
        If it is none of these.
    """
    import pyarrow as pa

    module = type(data).__module__
    if isinstance(data, np.ndarray):
        frame = _of_columns(_array_columns(data))
    elif isinstance(data, dict):
        frame = _of_columns({str(n): v for n, v in data.items()})
    elif isinstance(data, (list, tuple)):
        frame = _of_columns(_listed_columns(data))
    elif isinstance(data, (pa.Table, pa.RecordBatch)):
        frame = data if isinstance(data, pa.Table) else pa.Table.from_batches([data])
    elif module.startswith("polars"):
        frame = _polars_table(data)
    elif module.startswith("pandas"):
        frame = _pandas_table(data, name)
    elif hasattr(data, "__arrow_c_stream__") and not isinstance(data, pa.ChunkedArray):
        frame = _arrow(lambda: pa.table(data))
    else:
        raise OptionError(
            f"cannot read rows from {type(data).__name__}; expected a path, a query, an "
            "array or a frame"
        )
    if not frame.column_names:
        raise DataError(f"{name} has no columns")
    require_distinct([str(n) for n in frame.column_names], name)
    return _with_plain_numbers(frame)


def _array_columns(data: Any) -> dict[str, Any]:
    if data.dtype.names:
        return {n: data[n] for n in data.dtype.names}
    if data.ndim != 2:
        raise DataError(f"the array has shape {data.shape}; expected rows and columns, (n, d)")
    return {f"x{j + 1}": data[:, j] for j in range(data.shape[1])}


def _listed_columns(rows: Any) -> dict[str, Any]:
    """The columns of a list of rows: mappings of names to values, in which a name may be missing;
    or lists of values, all of one length, whose columns are x1, x2, ….

    Raises
    ------
    DataError
        If it is empty, or rows are of different kinds or lengths; the row is named.
    """
    if not rows:
        raise DataError("the list holds no rows")
    mapped = isinstance(rows[0], Mapping)
    kind = Mapping if mapped else (list, tuple, np.ndarray)
    what = "a mapping of names to values" if mapped else "a list of values"
    for i, row in enumerate(rows):
        if not isinstance(row, kind):
            found = type(row).__name__
            raise DataError(f"the list, row {i + 1}: found {found}, expected {what} as a row")
        if not mapped and len(row) != len(rows[0]):
            raise DataError(
                f"the list, row {i + 1}: found {len(row)} values, expected {len(rows[0])} as in "
                "the first row"
            )
    if mapped:
        names = list(dict.fromkeys(name for row in rows for name in row))
        return {str(name): _listed([row.get(name) for row in rows]) for name in names}
    return {f"x{j + 1}": _listed([row[j] for row in rows]) for j in range(len(rows[0]))}


def _listed(values: list[Any]) -> Any:
    """A column of a list of rows: of numbers and texts, as texts; None where there is no value."""
    import pyarrow as pa

    kinds = {type(v) for v in values if v is not None and v == v}
    if str in kinds:
        values = [None if v is None or v != v else _text(v) for v in values]
    elif kinds <= {int, float, bool} and float in kinds:
        values = [None if v is None else float(v) for v in values]
    try:
        return _arrow(lambda: pa.array(values))
    except OverflowError:
        return values  # whole numbers beyond 64 bits are refused with the column's name


def _of_columns(columns: dict[str, Any]) -> Any:
    import pyarrow as pa

    return _arrow(lambda: pa.table({n: _arrow_column(n, v) for n, v in columns.items()}))


def _arrow_column(name: str, values: Any) -> Any:
    """One column of a mapping or an array."""
    import pyarrow as pa

    if isinstance(values, (pa.Array, pa.ChunkedArray)):
        return values
    array = np.asarray(values)
    if array.dtype.kind == "c":
        raise DataError(f"column {name!r} is complex; expected real numbers")
    if array.ndim > 1:
        raise DataError(f"column {name!r} has shape {array.shape}; expected (n,), one value a row")
    if array.dtype == np.longdouble or array.dtype == np.float16:
        array = array.astype(np.float64)
    array = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("="))
    hidden = np.ma.getmaskarray(values) if isinstance(values, np.ma.MaskedArray) else None
    return _within_64_bits(name, lambda: pa.array(array, mask=hidden))


def _within_64_bits(name: str, make: Callable[[], Any]) -> Any:
    try:
        return make()
    except OverflowError:
        raise DataError(
            f"column {name!r} holds whole numbers beyond 64 bits; expected quantities as float64, "
            "and codes as texts (str)"
        ) from None


def _polars_table(data: Any) -> Any:
    import polars as pl
    from polars.exceptions import PolarsError

    try:
        if hasattr(data, "collect"):
            data = data.collect()
        frame = data.to_frame() if hasattr(data, "to_frame") else data
        # Arrow has no whole numbers of 128 bits, but decimals.
        wide = [n for n, kind in frame.schema.items() if str(kind) in ("Int128", "UInt128")]
        return frame.with_columns(pl.col(wide).cast(pl.Decimal(38, 0))).to_arrow()
    except PolarsError as problem:
        first = str(problem).strip().splitlines()[0]
        raise DataError(f"the frame could not be computed: {first}") from None


_FOREIGN = ("complex64", "complex128", "complex256", "float16", "float128")


def _pandas_table(data: Any, name: str) -> Any:
    import pyarrow as pa

    if not hasattr(data, "columns"):  # a series is a frame of one column
        if not hasattr(data, "to_frame"):
            raise OptionError(f"cannot read rows from {type(data).__name__}; expected a frame")
        data = data.to_frame()
    require_distinct([str(c) for c in data.columns], name)
    data = _plain(data.rename(columns=str))
    changed = {}
    for column, kind in data.dtypes.items():
        foreign = str(kind) in _FOREIGN
        if foreign or (isinstance(kind, np.dtype) and not kind.isnative):
            changed[column] = _arrow_column(str(column), data[column].to_numpy()).to_numpy()
    data = data.assign(**changed) if changed else data
    return _arrow(lambda: pa.Table.from_pandas(data, preserve_index=False))


def _with_plain_numbers(frame: Any) -> Any:
    """With numbers of half precision and decimals of 256 bits, which the reader of tables has not,
    in float64; columns without a type hold no values of any.
    """
    import pyarrow as pa

    for j, field in enumerate(frame.schema):
        if pa.types.is_null(field.type):
            none = frame.column(j).cast(pa.string())
            frame = frame.set_column(j, field.with_type(pa.string()), none)
        if pa.types.is_float16(field.type) or pa.types.is_decimal256(field.type):
            plain = frame.column(j).cast(pa.float64())
            frame = frame.set_column(j, field.with_type(pa.float64()), plain)
    return frame


def _arrow(make: Any) -> Any:
    import pyarrow as pa

    try:
        return make()
    except DataError:
        raise
    except pa.ArrowNotImplementedError as problem:
        raise DataError(f"a column holds no numbers, texts or times: {problem}") from None
    except (pa.ArrowException, ValueError, TypeError) as problem:
        raise DataError(f"a column mixes types or lengths: {problem}") from None


def _plain(data: Any) -> Any:
    """A pandas frame with what only pandas has in terms of others: sparse columns are full, periods
    begin at a moment, intervals are texts, and so is a column of several types.
    """
    import pandas as pd
    import pyarrow as pa

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
        elif kind.kind == "O":
            found = pd.api.types.infer_dtype(column, skipna=True)
            if found in _MIXED:
                changes[name] = column.map(_text, na_action="ignore")
            elif found == "integer":
                _within_64_bits(str(name), partial(pa.array, column, from_pandas=True))
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
