"""How a source is cut into chunks, and these into rows to train on and rows set apart."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from halfsquare.data.buffers import Buffers
from halfsquare.data.roles import Roles
from halfsquare.data.rows import CHUNK_ROWS
from halfsquare.loss import Floats

_CHUNK_NUMBERS = 1 << 22


@dataclass(frozen=True)
class Cut:
    """How a source is cut into chunks, and these into rows to train on and rows set apart.

    A row's chunk and part follow from its number among the rows that count, so that any chunk can
    be made anywhere.
    """

    name: str  # of the source, in messages
    roles: Roles
    fraction: float
    seed: int
    chunk_rows: int

    @classmethod
    def of(cls, name: str, roles: Roles, fraction: float, seed: int) -> Cut:
        """Chunks of a size that depends on the number of columns alone."""
        rows = max(256, min(CHUNK_ROWS, _CHUNK_NUMBERS // len(roles.scanned)))
        return cls(name, roles, fraction, seed, rows)

    def test_rows(self, index: int, size: int) -> int:
        """How many of the ``size`` rows of a chunk are set apart."""
        before = index * self.chunk_rows
        return round(self.fraction * (before + size)) - round(self.fraction * before)

    def split(self, index: int, chunk: Floats, buffers: Buffers) -> tuple[Floats, int]:
        """The chunk (columns, m) with the rows to train on first, and how many these are."""
        m = chunk.shape[1]
        test_rows = self.test_rows(index, m)
        if not test_rows:
            return chunk, m
        train_rows = m - test_rows
        order = order_in_chunk(self.seed, index, m, train_rows)
        split = buffers.empty(*chunk.shape)
        np.take(chunk, order, axis=1, out=split, mode="clip")
        return split, train_rows


def order_in_chunk(seed: int, index: int, size: int, train_rows: int) -> npt.NDArray[np.intp]:
    """Where the rows of a chunk of the source stand when those for training come first."""
    if train_rows == size:
        return np.arange(size)
    for_training = np.zeros(size, dtype=np.bool_)
    for_training[np.random.default_rng([seed, index]).permutation(size)[:train_rows]] = True
    return np.concatenate([np.flatnonzero(for_training), np.flatnonzero(~for_training)])
