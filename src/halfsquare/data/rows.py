"""Encoded rows, a chunk at a time: what models and sums are given.

Chunk boundaries depend on the data alone, never on the number of threads or workers, so that sums
merged in chunk order have the same bits everywhere.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

from halfsquare.loss import Floats

# A chunk is the unit of parallel work: large enough that Python's overhead vanishes, small enough
# that a chunk per thread of a wide table stays in tens of megabytes.
CHUNK_ROWS = 16384


@dataclass(frozen=True)
class Chunk:
    """Some rows: design (m, d), target (m, k), weight (m,) or None for ones; float64.

    ``block``, where it is there, is [1 | design | target] transposed, (1+d+k, m): the other two are
    views of it.
    """

    design: Floats
    target: Floats
    weight: Floats | None
    block: Floats | None = None


class Rows(ABC):
    """A table of encoded rows that can be passed over any number of times, from any thread."""

    @property
    @abstractmethod
    def chunk_count(self) -> int: ...

    @property
    @abstractmethod
    def row_count(self) -> int: ...

    @abstractmethod
    def chunk(self, index: int) -> Chunk:
        """Chunk ``index``; the arrays may be views and are not to be written to."""

    def chunk_size(self, index: int) -> int:
        """Rows of chunk ``index``."""
        return len(self.chunk(index).target)


@dataclass(frozen=True)
class ArrayRows(Rows):
    """Rows that lie in memory: design (n, d), target (n, k), weight (n,) or None."""

    design: Floats
    target: Floats
    weight: Floats | None = None

    @property
    def row_count(self) -> int:
        return len(self.design)

    @property
    def chunk_count(self) -> int:
        return -(-len(self.design) // CHUNK_ROWS)

    def chunk(self, index: int) -> Chunk:
        at = slice(index * CHUNK_ROWS, (index + 1) * CHUNK_ROWS)
        return Chunk(self.design[at], self.target[at], None if self.weight is None else self.weight[at])
