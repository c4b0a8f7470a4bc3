"""Which rows of a source count, and where it is cut: decided for each row by its number and its values alone."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from halfsquare.data.columns import Roles
from halfsquare.data.rows import CHUNK_ROWS
from halfsquare.loss import Floats

_CHUNK_NUMBERS = 1 << 22


@dataclass(frozen=True)
class Counts:
    """How many rows were seen, how many of them count, and why others were left out."""

    rows: int = 0
    kept: int = 0
    missing_target: int = 0
    zero_weight: int = 0
    missing_feature: int = 0

    @classmethod
    def of(cls, raw: Floats, roles: Roles) -> tuple[npt.NDArray[np.bool_], Counts]:
        """Which raw rows (columns, m) count; the columns are those of ``roles.needed``, or more in their order."""
        k = len(roles.targets)
        keep: npt.NDArray[np.bool_] = np.asarray(~np.isnan(raw[:k]).any(axis=0))
        missing_target, zero_weight, missing_feature = int((~keep).sum()), 0, 0
        if roles.weight is not None:
            zero_weight = int((keep & (raw[k] == 0)).sum())
            keep &= raw[k] > 0
        if roles.complete:
            whole = ~np.isnan(raw[-len(roles.features) :]).any(axis=0)
            missing_feature = int((keep & ~whole).sum())
            keep &= whole
        return keep, cls(raw.shape[1], int(keep.sum()), missing_target, zero_weight, missing_feature)

    def __add__(self, other: Counts) -> Counts:
        return Counts(*(getattr(self, name) + getattr(other, name) for name in self.__dataclass_fields__))


@dataclass(frozen=True)
class Cut:
    """How a source is cut into chunks, and these into rows to train on and rows set apart.

    A row's chunk and part follow from its number among the rows that count, so that any chunk can be made
    anywhere.
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

    def split(self, index: int, chunk: Floats) -> tuple[Floats, int]:
        """The chunk (columns, m) with the rows to train on first, and how many these are."""
        m = chunk.shape[1]
        test_rows = self.test_rows(index, m)
        if not test_rows:
            return chunk, m
        shuffled = np.random.default_rng([self.seed, index]).permutation(m)
        train_rows = m - test_rows
        order = np.concatenate([np.sort(shuffled[:train_rows]), np.sort(shuffled[train_rows:])])
        return np.take(chunk, order, axis=1), train_rows
