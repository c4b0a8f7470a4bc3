"""Central differences that say how far they can be trusted.

Ridders (1982), "Accurate computation of F'(x) and F'(x)F''(x)", Adv. Eng. Software 4, 75-76:
differences at shrinking steps are extrapolated to step 0; the change of the extrapolation estimates
its error. A squared error is a parabola, so the first difference is exact but for rounding, and a
large step keeps rounding small.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from halfsquare.audit.subject import Array, Sample, Subject
from halfsquare.loss import Floats

FIRST, SHRINK, LEVELS = 0.25, 2.0, 7


@dataclass(frozen=True)
class Slope:
    """A numerical derivative and an estimate of its error, for each element."""

    value: Floats
    error: Floats


def central_difference(f: Callable[[float], float], rounding: float) -> tuple[float, float]:
    """f'(0) and its estimated error; ``rounding`` is the relative precision of f."""
    step = FIRST
    table: list[float] = []
    best, estimate = float("nan"), float("inf")
    for level in range(LEVELS):
        up, down = f(step), f(-step)
        row = [(up - down) / (2 * step)]
        noise = rounding * max(abs(up), abs(down)) / step
        factor = SHRINK**2
        for j in range(level):
            row.append(row[j] + (row[j] - table[j]) / (factor - 1))
            factor *= SHRINK**2
            error = max(abs(row[-1] - row[-2]), abs(row[-1] - table[j])) + noise
            if error <= estimate:
                best, estimate = row[-1], error
        table = row
        # Extrapolating further gains nothing once rounding is what is left.
        if estimate <= 4 * noise:
            break
        step /= SHRINK
    return best, estimate


def slope(subject: Subject, sample: Sample, rounding: float) -> Slope:
    """The derivative of the value with respect to each output, by central differences."""
    output = sample.output
    value, error = np.empty(output.shape), np.empty(output.shape)
    for index in np.ndindex(output.shape):

        def moved(step: float, at: tuple[int, ...] = index) -> float:
            o = output.copy()
            o[at] += step
            return subject.value(replace(sample, output=o))

        value[index], error[index] = central_difference(moved, rounding)
    return Slope(value, error)


def second(subject: Subject, sample: Sample) -> Array | None:
    """The derivative of the gradient with respect to its own output: half the change over ±¼."""
    found = []
    for sign in (1.0, -1.0):
        gradient = subject.gradient(replace(sample, output=sample.output + sign * FIRST))
        if gradient is None or gradient.size != sample.output.size:
            return None
        found.append(gradient.reshape(sample.output.shape))
    change: Array = (found[0] - found[1]) / (2 * FIRST)
    return change


def precision(dtype: str) -> float:
    """The rounding of a type by its name; float64's if it is no float."""
    for name, bits in (("bfloat16", 2**-8), ("float16", 2**-11), ("float32", 2**-24)):
        if name in dtype:
            return float(bits)
    return float(2**-53)
