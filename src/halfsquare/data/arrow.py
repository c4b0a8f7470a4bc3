"""Arrow arrays as NumPy sees them, by their buffers.

Arrow's own ``to_numpy`` imports pandas where that is installed, which takes longer than to fit some
thousand rows, and copies twice where values are missing.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from halfsquare.loss import Floats


def floats_of(array: Any, out: Floats | None = None) -> Floats:
    """The values (m,) of an Arrow array of float64, NaN where there is none; written to ``out``
    where that is given, else a view that is not to be written to.

    Examples
    --------
    >>> import pyarrow as pa
    >>> floats_of(pa.array([1.5, None, 2.0])[1:]).tolist()
    [nan, 2.0]
    """
    if str(array.type) != "double":
        array = array.cast("double")
    values: Floats = _stored(array, np.dtype(np.float64))
    if out is not None:
        out[...] = values
    if array.null_count:
        out = values.copy() if out is None else out
        out[missing_of(array)] = np.nan
    return values if out is None else out


def integers_of(array: Any, missing: int) -> npt.NDArray[np.intp]:
    """The values (m,) of an Arrow array of int32 as indices, ``missing`` where there is none."""
    found = _stored(array, np.dtype(np.int32)).astype(np.intp)
    if array.null_count:
        found[missing_of(array)] = missing
    return found


def array_of(values: Floats) -> Any:
    """An Arrow array of float64 of the values (m,), NaN as it is; a view where they lie side by
    side.

    Examples
    --------
    >>> array_of(np.array([1.0, 2.5])).tolist()
    [1.0, 2.5]
    """
    import pyarrow as pa

    own = np.ascontiguousarray(values, dtype=np.float64)
    return pa.Array.from_buffers(pa.float64(), len(own), [None, pa.py_buffer(own)])


def missing_of(array: Any) -> npt.NDArray[np.bool_]:
    """Where an Arrow array that lacks some values has none (m,)."""
    bits = np.frombuffer(array.buffers()[0], dtype=np.uint8)
    first, stop = array.offset, array.offset + len(array)
    there = np.unpackbits(bits[first // 8 : -(-stop // 8)], bitorder="little")
    gone: npt.NDArray[np.bool_] = there[first % 8 : first % 8 + len(array)] == 0
    return gone


def _stored(array: Any, kind: np.dtype[Any]) -> npt.NDArray[Any]:
    buffer = array.buffers()[1]
    if buffer is None or not len(array):
        return np.zeros(len(array), dtype=kind)
    at = array.offset * kind.itemsize
    return np.frombuffer(buffer, dtype=kind, count=len(array), offset=at)
