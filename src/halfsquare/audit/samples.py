"""The rows that losses are tried on: fixed, few, and exact in float32."""

from __future__ import annotations

import numpy as np

from halfsquare.audit.subject import Sample

# Numbers of rows and outputs are never equal, so that no wrong shape passes by chance.
# Few shapes in all: a library that compiles does so for each.
ROWS = (4, 6, 12, 13)
SIZES = ((4, 1), (3, 2), (4, 3), (5, 2))
TRIAL: dict[tuple[int, ...], int] = {(): 6, (2,): 3}


def rows(n: int, shape: tuple[int, ...] = (), *, seed: int = 0, scale: float = 1.0) -> Sample:
    """``n`` rows: targets in [1.5, 3], errors of either sign in ±[0.1, 0.9] · scale.

    All are multiples of 2⁻¹⁰ · scale: target, output and error are exact in float32, so that
    nothing but the loss rounds. Outputs are positive at scale 1, so that logarithms
    have a value too.
    """
    rng = np.random.default_rng((seed, n, *shape))
    grid = 1024.0
    target = np.round(rng.uniform(1.5, 3.0, (n, *shape)) * grid) / grid
    size = np.round(rng.uniform(0.1, 0.9, (n, *shape)) * grid) / grid
    sign = np.where(rng.random((n, *shape)) < 0.5, -1.0, 1.0)
    return Sample(target, target + scale * sign * size)


def one(target: float, output: float, shape: tuple[int, ...] = (), n: int = 1) -> Sample:
    """``n`` equal rows, for the examples in messages."""
    return Sample(np.full((n, *shape), target), np.full((n, *shape), output))


def uneven() -> tuple[Sample, np.ndarray, list[slice]]:
    """13 rows in batches of 4, 4, 4 and 1, with inputs (13, 3) of a linear model.

    The last row is far off: a last batch of one hard row is what an average of batch means gets
    most wrong, and data sorted by time ends in such a batch.
    """
    rng = np.random.default_rng(7)
    inputs = np.column_stack([np.ones(13), np.round(rng.uniform(-1, 1, (13, 2)) * 64) / 64])
    sample = rows(13, seed=3)
    output = sample.output.copy()
    output[-1] = sample.target[-1] + 1.25
    return (
        Sample(sample.target, output),
        inputs,
        [slice(0, 4), slice(4, 8), slice(8, 12), slice(12, 13)],
    )
