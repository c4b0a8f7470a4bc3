"""What goes into a loss: target, output and weights as arrays of matching shape, finite, no weight
negative. Shapes are compared and never broadcast; what is wrong is named with its row.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from halfsquare.errors import DataError, NotFiniteError, ShapeError

Floats = npt.NDArray[np.floating]
_CHECKED = 1 << 16  # weights looked at together: they stay in the cache for their two sums


def as_matching(
    target: npt.ArrayLike, output: npt.ArrayLike, weight: npt.ArrayLike | None
) -> tuple[Floats, Floats, Floats | None]:
    """Target, output and weight as float arrays of matching shape; contiguous floats are not
    copied.

    Raises
    ------
    ShapeError, NotFiniteError, DataError
        As :meth:`halfsquare.SquaredError.value` says.
    """
    t, o, w = matching(target, output, weight)
    if w is not None:
        require_weights(w)
    return t, o, w


def matching(
    target: npt.ArrayLike, output: npt.ArrayLike, weight: npt.ArrayLike | None
) -> tuple[Floats, Floats, Floats | None]:
    """As :func:`as_matching`, the weights not looked at."""
    t, o = as_floats("target", target), as_floats("output", output)
    if t.shape != o.shape:
        hint = (
            " (n,) and (n, 1) are different shapes: use target.reshape(output.shape)"
            if t.size == o.size
            else ""
        )
        raise ShapeError(
            f"target has shape {t.shape} and output {o.shape}; they must be equal.{hint}"
        )
    if o.ndim > 2:
        raise ShapeError(f"target and output have shape {o.shape}; expected (n,) or (n, k)")
    if t.dtype != o.dtype:
        t, o = t.astype(np.float64, copy=False), o.astype(np.float64, copy=False)
    if weight is None:
        return t, o, None
    w = as_floats("weight", weight).astype(np.float64, copy=False)
    if w.shape != o.shape[:1]:
        raise ShapeError(
            f"weight has shape {w.shape}; expected {o.shape[:1]}, one weight for each row"
        )
    return t, o, w


def require_weights(w: Floats, *, first_row: int = 1) -> float:
    """Σw; NaN, infinite and negative weights are refused, naming the row (counted from 1)."""
    # The least and the sum of each block, taken while it is in the cache, tell whether all is well.
    blocks = [w[i : i + _CHECKED] for i in range(0, len(w), _CHECKED)]
    with np.errstate(over="ignore", invalid="ignore"):
        found = [(b.min(), b.sum()) for b in blocks]
        total = float(np.sum([s for _, s in found]))
    if np.isfinite(total) and all(low >= 0 for low, _ in found):
        return total
    require_finite("weight", w, first_row=first_row)
    if w.min() < 0:
        row = int(np.argmax(w < 0))
        raise DataError(f"weight is {w[row]:g} in row {first_row + row}; expected a number >= 0")
    return total


def as_floats(name: str, values: npt.ArrayLike) -> Floats:
    """The values as float64, or as the float32 they already are."""
    try:
        array = np.asarray(values)
        if array.dtype == np.float32 or array.dtype == np.float64:
            return array
        if array.dtype.kind == "c":
            raise DataError(f"{name} is complex; expected real numbers")
        return array.astype(np.float64)
    except (TypeError, ValueError) as problem:
        if isinstance(problem, DataError):
            raise
        raise DataError(f"{name} is not an array of numbers: {problem}") from None


def require_finite(name: str, array: Floats, *, first_row: int = 1) -> None:
    """Refuse NaN and infinity, naming the first row that holds one (counted from 1)."""
    bad = ~np.isfinite(array)
    if bad.any():
        where = np.unravel_index(int(np.argmax(bad)), array.shape) if array.ndim else ()
        row = f" in row {first_row + int(where[0])}" if where else ""
        column = f", output {int(where[1]) + 1}" if len(where) == 2 else ""
        raise NotFiniteError(f"{name} is {array[where]}{row}{column}; expected a finite number")
