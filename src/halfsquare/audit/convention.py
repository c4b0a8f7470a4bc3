"""Which multiple of Σ(o−t)² a loss computes, or what it computes instead."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from halfsquare.audit.law import HALF, SINGLE, Law, find_law, find_lifted
from halfsquare.audit.samples import ROWS, SIZES, rows
from halfsquare.audit.subject import CallFailed, Sample, Subject

# Small errors, those of about 1, and large ones: clipped and Huber losses change in between.
SCALES = (1.0, 1 / 64, 1.0, 64.0)


@dataclass(frozen=True)
class Convention:
    """What the values of a loss obey; ``column`` where (n, k) arrays obey another law than (n,)."""

    law: Law | None
    column: Law | None = None
    returns: str = "one number"
    power: int = 1
    offset: float = 0.0
    broken: str = ""  # the arrays, (n,) or (n, k), of which it is no known function

    @property
    def name(self) -> str | None:
        return None if self.law is None else self.law.name

    def formula(self) -> str:
        if self.law is None:
            return ""
        return self.law.formula() + (
            f"; of (n, k) arrays {self.column.formula()}" if self.column else ""
        )


def flat_samples(subject: Subject) -> list[Sample]:
    """Samples of one output a row, in the shape that the loss takes."""
    shape = next((s for s in subject.shapes if s in ((), (1,))), None)
    return (
        []
        if shape is None
        else [
            rows(n, shape, seed=i, scale=c).astype(subject.dtype)
            for i, (n, c) in enumerate(zip(ROWS, SCALES, strict=True))
        ]
    )


def wide_samples(subject: Subject) -> list[Sample]:
    """Samples of several outputs a row."""
    if (2,) in subject.shapes:
        return [
            rows(n, (k,), seed=i, scale=c).astype(subject.dtype)
            for i, ((n, k), c) in enumerate(zip(SIZES, SCALES, strict=True))
        ]
    wide = next((s for s in subject.shapes if len(s) > 1), None)
    if wide is None:
        return []
    other = (*(size + 1 for size in wide[:-1]), wide[-1] - 1)
    return [
        rows(n, wide if i % 2 else other, seed=i, scale=c).astype(subject.dtype)
        for i, (n, c) in enumerate(zip(ROWS, SCALES, strict=True))
    ]


def find_convention(subject: Subject) -> Convention:
    """The law of a loss with a value, from some sixteen calls."""
    flat, wide = flat_samples(subject), wide_samples(subject)
    values = []
    for sample in [*flat, *wide]:
        try:
            values.append(subject.value(sample))
        except CallFailed:
            values.append(float("nan"))
    returns = _returns(subject, flat, wide)
    law = find_law([*flat, *wide], values)
    if law is not None:
        return Convention(law, returns=returns)
    lifted = find_lifted([*flat, *wide], values)
    if lifted is not None:
        return Convention(lifted[0], None, returns, *lifted[1:])
    # Logarithms of negative outputs are NaN: what is left may still tell that it is one of them.
    some = [i for i, v in enumerate(values) if np.isfinite(v)]
    law = (
        find_law([[*flat, *wide][i] for i in some], [values[i] for i in some])
        if len(some) > 3
        else None
    )
    if law is not None and not law.squared:
        return Convention(law, returns=returns)
    plain = [
        i for i in range(len(values)) if i % 4 in (0, 2)
    ]  # errors of about ½, which float16 holds
    law = find_law([[*flat, *wide][i] for i in plain], [values[i] for i in plain], HALF)
    if law is not None and law.squared and law.deviation > SINGLE:
        return Convention(law, returns=returns)
    if not flat or not wide:
        return Convention(None, returns=returns)
    first, second = find_law(flat, values[: len(flat)]), find_law(wide, values[len(flat) :])
    if first is not None and second is not None:
        return Convention(first, second, returns)
    return Convention(first or second, None, returns, broken="(n, k)" if first else "(n,)")


def _returns(subject: Subject, flat: list[Sample], wide: list[Sample]) -> str:
    """The shape of what is returned, in words."""
    sample = wide[1] if wide else flat[1]
    try:
        value = subject.evaluate(sample, False).value
    except CallFailed:
        return "one number"
    if value is None or value.size == 1:
        return "one number"
    if value.shape == sample.output.shape:
        return "one number for each output of each row" if wide else "one number for each row"
    if value.shape[0] == sample.rows:
        return "one number for each row"
    return (
        "one number for each output"
        if value.size == sample.outputs
        else f"an array of shape {value.shape}"
    )


def gradient_convention(subject: Subject) -> Convention:
    """The law of an objective without a value: its gradient is that of ½ c Σ(o−t)² / D."""
    samples = [*flat_samples(subject), *wide_samples(subject)]
    values = []
    for sample in samples:
        gradient = subject.gradient(sample)
        # By Euler's theorem Σ g (o−t) = 2 V: a squared error is homogeneous of degree two.
        if gradient is None or gradient.size != sample.output.size:
            return Convention(None)
        values.append(float(np.sum(gradient.reshape(sample.error.shape) * sample.error)) / 2)
    flat = len(flat_samples(subject))
    law = find_law(samples, values) or (find_law(samples[:flat], values[:flat]) if flat else None)
    return Convention(law)
