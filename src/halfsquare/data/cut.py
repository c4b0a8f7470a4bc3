"""How a source is cut into chunks, and these into rows to train on and rows set apart."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from halfsquare.data.products import MOST_COLUMNS
from halfsquare.data.roles import Roles
from halfsquare.data.rows import CHUNK_ROWS

_CHUNK_NUMBERS = 1 << 22


@dataclass(frozen=True)
class Cut:
    """How a source is cut into chunks, and these into rows to train on and rows set apart.

    A row's chunk and part follow from its number among the rows that count, so that any chunk can
    be made anywhere.

    Attributes
    ----------
    name : str
        Of the source, in messages.
    products : bool
        Whether products of the columns are summed while they are read.
    """

    name: str
    roles: Roles
    fraction: float
    seed: int
    chunk_rows: int
    products: bool = False

    @classmethod
    def of(
        cls, name: str, roles: Roles, fraction: float, seed: int, *, products: bool = False
    ) -> Cut:
        """Chunks of a size that depends on the number of columns alone."""
        rows = max(256, min(CHUNK_ROWS, _CHUNK_NUMBERS // len(roles.scanned)))
        plain = all(c.kind in ("number", "boolean") for c in roles.features)
        products = products and plain and len(roles.scanned) <= MOST_COLUMNS
        return cls(name, roles, fraction, seed, rows, products)

    def test_rows(self, index: int, size: int) -> int:
        """How many of the ``size`` rows of a chunk are set apart."""
        before = index * self.chunk_rows
        return round(self.fraction * (before + size)) - round(self.fraction * before)

    def order(self, index: int, size: int) -> tuple[npt.NDArray[np.intp], int]:
        """Where the rows of a chunk stand in the source when those to train on come first; how many
        these are.
        """
        train_rows = size - self.test_rows(index, size)
        return order_in_chunk(self.seed, index, size, train_rows), train_rows


def order_in_chunk(seed: int, index: int, size: int, train_rows: int) -> npt.NDArray[np.intp]:
    """Where the rows of a chunk of the source stand when those for training come first."""
    if train_rows == size:
        return np.arange(size)
    for_training = np.zeros(size, dtype=np.bool_)
    for_training[np.random.default_rng([seed, index]).permutation(size)[:train_rows]] = True
    return np.concatenate([np.flatnonzero(for_training), np.flatnonzero(~for_training)])
