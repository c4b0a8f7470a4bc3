"""A loss as the checks see it: rows in, plain arrays out, whatever library it was written for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from halfsquare.loss import Floats

Array = npt.NDArray[Any]


class CallFailed(Exception):
    """The audited code raised, or returned what is no number: a finding, not a traceback."""


@dataclass(frozen=True)
class Sample:
    """Rows to call a loss with: target and output (n, …), weight and mask (n,) if given."""

    target: Array
    output: Array
    weight: Array | None = None
    mask: Array | None = None

    @property
    def rows(self) -> int:
        return int(self.output.shape[0])

    @property
    def outputs(self) -> int:
        return int(np.prod(self.output.shape[1:]))

    @property
    def error(self) -> Floats:
        return np.asarray(self.output, np.float64) - np.asarray(self.target, np.float64)

    def take(self, rows: Any) -> Sample:
        """The rows of an index or slice."""
        parts = {
            n: a[rows]
            for n in ("target", "output", "weight", "mask")
            if (a := getattr(self, n)) is not None
        }
        return replace(self, **parts)

    def astype(self, dtype: str) -> Sample:
        weight = None if self.weight is None else self.weight.astype(dtype)
        return replace(
            self, target=self.target.astype(dtype), output=self.output.astype(dtype), weight=weight
        )


@dataclass(frozen=True)
class Returned:
    """What one call came to; arrays are float64, ``dtype`` is what the loss itself returned."""

    value: Floats | None
    gradient: Floats | None = None
    hessian: Floats | None = None
    dtype: str = ""
    warned: tuple[str, ...] = ()
    mutated: str = ""

    @property
    def total(self) -> float:
        """The value as one number: an array of losses is summed, as a trainer would."""
        assert self.value is not None
        with np.errstate(all="ignore"):
            return float(np.sum(self.value))


Evaluate = Callable[[Sample, bool], Returned]


@dataclass(frozen=True)
class Subject:
    """A loss to be audited.

    ``evaluate(sample, gradient)`` calls it; without ``gradient`` only the value is wanted. An
    objective for boosting has no value, only gradient and Hessian. ``accumulate`` is a metric's own
    way over several batches. A score (``sign`` -1) is the loss turned round: higher is better.
    """

    name: str
    kind: str
    library: str
    arguments: str
    evaluate: Evaluate
    has_value: bool = True
    has_gradient: bool = False
    automatic: bool = False
    weight: bool = False
    mask: bool = False
    mask_keeps: bool = True
    sign: int = 1
    dtype: str = "float64"
    shapes: tuple[tuple[int, ...], ...] = ((), (2,))
    accumulate: Callable[[Sequence[Sample]], float] | None = None

    def value(self, sample: Sample) -> float:
        """The value as one number; a score is turned round."""
        return self.sign * self.evaluate(sample, False).total

    def gradient(self, sample: Sample) -> Floats | None:
        """The loss's own gradient with respect to the output."""
        found = self.evaluate(sample, True).gradient
        return None if found is None else self.sign * found


def numbers(value: Any) -> Array:
    """What a loss returned as an array of numbers.

    Raises
    ------
    CallFailed
        If it is none.
    """
    if value is None:
        raise CallFailed("it returned None")
    if hasattr(value, "detach"):
        value = value.detach()
        value = value.float() if str(value.dtype) == "torch.bfloat16" else value
    try:
        array = np.asarray(value.numpy() if hasattr(value, "numpy") else value)
    except Exception as problem:
        raise CallFailed(f"it returned a {type(value).__name__}: {problem}") from None
    if array.dtype.kind not in "biuf" and not str(array.dtype).startswith("bfloat"):
        raise CallFailed(f"it returned a {type(value).__name__} that is not made of real numbers")
    return array


def floats(array: Array) -> Floats:
    """The array in float64, whatever it was."""
    return np.asarray(array).astype(np.float64)
