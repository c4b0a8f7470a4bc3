"""The squared error: its value, its gradient, the ½ and the sign.

Conventions
-----------
These hold in the whole package; other modules link here and do not restate them.

======== =====================================================================================
symbol   meaning
======== =====================================================================================
n, k     rows, outputs
t, o     target, output: both (n,) or both (n, k)
error    ``o - t``, in the target's unit. Negative: the output is too low; positive: too high
w        row weight (n,), >= 0, default 1. An integer weight w means the row stands w times
half_sse ``½ Σ w (o-t)²``;          gradient with respect to o: ``w (o-t)``
sse      ``Σ w (o-t)²``;            gradient ``2 w (o-t)``
mse      ``sse / (k Σw)``;          gradient ``2 w (o-t) / (k Σw)``
half_mse ``½ mse``;                 gradient ``w (o-t) / (k Σw)``
======== =====================================================================================

The loss measures and is never negative; its derivative has the sign. Descent moves the output
against the gradient: a negative gradient (output too low) raises it, a positive one lowers it.
The four conventions differ by a positive factor alone, so they have the same minimiser.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

from halfsquare.arrays import Floats as Floats
from halfsquare.arrays import matching, require_finite, require_weights
from halfsquare.errors import DataError, NotFiniteError, OptionError, ShapeError

Convention = Literal["half_sse", "sse", "mse", "half_mse"]
CONVENTIONS: tuple[Convention, ...] = get_args(Convention)
Direction = Literal["raise", "lower", "stay"]

# Three blocks of this many float64 (target, output, gradient) stay in the second-level cache, so
# the squares are summed while the errors are still there: one pass over memory for value and
# gradient. OpenBLAS also keeps a dot product this short on one thread, so its bits do not depend
# on the number of threads.
_BLOCK = 9984
_FAR = 1e300
_OVERFLOWS = "the squared error overflows float64; state target and output in a larger unit"


def error(target: Floats, output: Floats) -> Floats:
    """The error ``o - t``: negative where the output is too low, positive where it is too high."""
    return np.subtract(output, target)


def direction(gradient: float) -> Direction:
    """What descent does to an output whose loss has this derivative: it moves against the sign."""
    if gradient < 0:
        return "raise"
    return "lower" if gradient > 0 else "stay"


def sse_factor(convention: Convention, outputs: int, weight_sum: float) -> float:
    """The factor a with loss = a · SSE; the gradient with respect to o is then 2 a w (o-t)."""
    if convention not in CONVENTIONS:
        raise OptionError(f"unknown loss {convention!r}: expected one of {', '.join(CONVENTIONS)}")
    half = 0.5 if convention.startswith("half") else 1.0
    return half / (outputs * weight_sum) if convention.endswith("mse") else half


@dataclass(frozen=True)
class SquaredError:
    """The squared-error loss in one of four conventions (see the table in this module).

    Parameters
    ----------
    convention : {"half_sse", "sse", "mse", "half_mse"}
        Which multiple of Σ w (o-t)² is meant.

    Raises
    ------
    OptionError
        If the convention is none of the four.

    Examples
    --------
    >>> loss = SquaredError()
    >>> value, gradient = loss.value_and_gradient([3.0], [2.2])
    >>> round(value, 6), gradient.round(6).tolist()
    (0.32, [-0.8])

    The gradient is negative: the output 2.2 is below its target 3, so descent raises it.
    """

    convention: Convention = "half_sse"

    def __post_init__(self) -> None:
        sse_factor(self.convention, 1, 1.0)

    def value(
        self, target: npt.ArrayLike, output: npt.ArrayLike, weight: npt.ArrayLike | None = None
    ) -> float:
        """The loss: one number, in the squared unit of the target, never negative.

        Parameters
        ----------
        target, output : array_like, both (n,) or both (n, k), or two single numbers
        weight : array_like (n,), optional
            Row weights, >= 0; 1 if left out.

        Raises
        ------
        ShapeError
            If the shapes differ, (n,) and (n, 1) included: nothing is broadcast.
        NotFiniteError
            If an entry is NaN or infinite (the row is named), or the sum overflows.
        DataError
            If a weight is negative, or the mean over no weight at all is asked for.
        """
        t, o, w = matching(target, output, weight)
        factor, _ = self._factor(o, w)
        sse = _sse_by_blocks(t, o, w, None, 1.0)
        if not np.isfinite(sse):
            require_finite("target", t)
            require_finite("output", o)
        if not np.isfinite(factor * sse):
            raise NotFiniteError(_OVERFLOWS)
        return factor * sse

    def gradient(
        self,
        target: npt.ArrayLike,
        output: npt.ArrayLike,
        weight: npt.ArrayLike | None = None,
        *,
        out: Floats | None = None,
    ) -> Floats:
        """The derivative of the loss with respect to each output; same shape as ``output``.

        It has the sign of the error ``o - t``. Arguments and errors are those of :meth:`value`.
        float32 arrays give a float32 gradient, all else float64. It is written to ``out`` where
        that is given: an array of that shape and type, which shares no memory with the others.
        """
        return self._evaluate(target, output, weight, out, overflow="gradient")[1]

    def value_and_gradient(
        self,
        target: npt.ArrayLike,
        output: npt.ArrayLike,
        weight: npt.ArrayLike | None = None,
        *,
        out: Floats | None = None,
    ) -> tuple[float, Floats]:
        """Loss and gradient in one pass over the data; see :meth:`value` and :meth:`gradient`.

        Examples
        --------
        Into an array that is there, which spares the system finding a new one each time:

        >>> gradient = np.empty(2)
        >>> SquaredError().value_and_gradient([3.0, 1.0], [2.0, 1.5], out=gradient)[0]
        0.625
        >>> gradient.tolist()
        [-1.0, 0.5]
        """
        return self._evaluate(target, output, weight, out, overflow="value")

    def _evaluate(
        self,
        target: npt.ArrayLike,
        output: npt.ArrayLike,
        weight: npt.ArrayLike | None,
        out: Floats | None,
        overflow: Literal["value", "gradient"],
    ) -> tuple[float, Floats]:
        """Loss and gradient; ``overflow`` says which of them has to be finite."""
        t, o, w = matching(target, output, weight)
        gradient = np.empty_like(o) if out is None else _require_out(out, (t, o, w))
        factor, weight_sum = self._factor(o, w)
        sse = _sse_by_blocks(t, o, w, gradient, 2.0 * factor)
        if not np.isfinite(sse):
            require_finite("target", t)
            require_finite("output", o)
        # No w |o-t| is larger than √Σw √SSE: where that is far from the largest number, each entry
        # is finite, and need not be looked at.
        far = sqrt(weight_sum) * sqrt(sse) * 2.0 * factor < _FAR
        wrong = not np.isfinite(sse) if overflow == "value" else not far
        if wrong and not (overflow == "gradient" and np.isfinite(gradient).all()):
            raise NotFiniteError(_OVERFLOWS)
        return factor * sse, gradient

    def _factor(self, o: Floats, w: Floats | None) -> tuple[float, float]:
        """Loss = factor · SSE, and Σw."""
        outputs = o.shape[1] if o.ndim == 2 else 1
        rows = o.shape[0] if o.ndim else 1
        weight_sum = float(rows) if w is None else require_weights(w)
        if self.convention.endswith("mse") and not weight_sum * outputs > 0:
            raise DataError(
                "the mean of the squared error needs at least one row of positive weight, "
                "found none"
            )
        return sse_factor(self.convention, outputs, weight_sum), weight_sum


def _require_out(out: Floats, others: tuple[Floats | None, ...]) -> Floats:
    """An array that a gradient can be written to, or a refusal."""
    o = others[1]
    assert o is not None
    if not isinstance(out, np.ndarray) or out.shape != o.shape or out.dtype != o.dtype:
        found = (
            f"{out.dtype} {out.shape}" if isinstance(out, np.ndarray) else f"a {type(out).__name__}"
        )
        raise ShapeError(f"out is {found}; expected an array of {o.dtype} {o.shape}")
    if any(a is not None and np.may_share_memory(out, a) for a in others):
        raise ShapeError(
            "out shares memory with target, output or weight: give an array of its own"
        )
    return out


def _sse_by_blocks(
    t: Floats, o: Floats, w: Floats | None, gradient: Floats | None, scale: float
) -> float:
    """Σ w (o-t)², and ``scale · w (o-t)`` written to ``gradient``, one cached block at a time."""
    if o.size == 0:
        return 0.0
    if w is None and o.ndim != 1:
        t, o, gradient = _flat(t, o, gradient)
    step = max(1, _BLOCK // (o.shape[1] if o.ndim == 2 else 1))
    # What a block needs besides is made once and stays in the cache.
    size = (min(step, len(o)), *o.shape[1:])
    spare = np.empty(size, dtype=o.dtype) if gradient is None else None
    # Squares of float32 errors are summed in float64: a float32 sum of many small ones stops
    # growing.
    wide = np.empty(size) if o.dtype != np.float64 else None
    product = None if w is None else np.empty(size)
    column = None if w is None else (w if o.ndim == 1 else w[:, None])
    parts = []
    with np.errstate(over="ignore", invalid="ignore"):
        for start in range(0, len(o), step):
            stop = start + step
            block = o[start:stop]
            e = gradient[start:stop] if spare is None else spare[: len(block)]  # type: ignore[index]
            np.subtract(block, t[start:stop], e)
            exact = e
            if wide is not None:
                exact = wide[: len(block)]
                exact[...] = e
            weighted = exact
            if product is not None and column is not None:
                weighted = np.multiply(exact, column[start:stop], product[: len(block)])
            parts.append(np.vdot(exact, weighted))
            if spare is None and (scale != 1.0 or product is not None):
                np.multiply(weighted, scale, e, casting="same_kind")
    return float(np.sum(parts))


def _flat(t: Floats, o: Floats, gradient: Floats | None) -> tuple[Floats, Floats, Floats | None]:
    """The three as (n k,), where they lie in memory alike and without gaps; else as they are."""
    there = [a for a in (t, o, gradient) if a is not None]
    if all(a.flags.c_contiguous for a in there):
        flat = [a.reshape(-1) for a in there]
    elif all(a.flags.f_contiguous for a in there):
        flat = [a.T.reshape(-1) for a in there]
    else:
        return t, o, gradient
    return flat[0], flat[1], None if gradient is None else flat[2]
