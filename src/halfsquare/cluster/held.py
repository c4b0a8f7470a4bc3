"""The rows that a worker holds: some chunks of a table, read from the files once, and again
wherever they are asked for after a loss.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from threading import RLock
from typing import Any, final

from halfsquare.cluster.parts import PartedSource
from halfsquare.data.cut import Cut
from halfsquare.data.stretch import Stretch
from halfsquare.data.table import Table
from halfsquare.errors import ClusterError
from halfsquare.loss import Floats

_AGAIN = 64  # chunks read at once where one that is not held is asked for


@dataclass(frozen=True)
class Plan:
    """Where every row of a shared table lies.

    Attributes
    ----------
    seen, kept : tuple of int
        How many rows of the source, and how many that count, come before each part; last all of
        them.
    """

    source: PartedSource
    cut: Cut
    seen: tuple[int, ...]
    kept: tuple[int, ...]

    def sizes(self) -> list[int]:
        """Rows of each chunk."""
        rows, each = self.kept[-1], self.cut.chunk_rows
        return [min(each, rows - first) for first in range(0, rows, each)]

    def read(self, first: int, stop: int) -> Stretch:
        """Chunks ``first`` … ``stop - 1``, from the files.

        Raises
        ------
        ClusterError
            If the files are no longer as they were counted.
        """
        begin, sizes = first * self.cut.chunk_rows, self.sizes()
        at = bisect_left(self.kept, begin)
        at -= self.kept[at] > begin
        # The last stretch reads to the end: rows that do not count may still be wrong, or have
        # levels.
        last = stop == len(sizes)
        end = len(self.source.parts) if last else bisect_left(self.kept, stop * self.cut.chunk_rows)
        until = None if last else stop
        stretch = Stretch(self.cut, first=first, stop=until, seen=self.seen[at], kept=self.kept[at])
        stretch.read(
            self.source.read(self.source.parts[at:end], stretch.columns, self.cut.chunk_rows)
        )
        if stretch.table.sizes != sizes[first:stop]:
            raise ClusterError(
                f"{self.cut.name} changed while it was read: it has other rows than were "
                "counted in it"
            )
        return stretch


@final
class HeldTable(Table):
    """The chunks that lie on this machine, others read when they are asked for; text in codes of
    its own.

    To Dask it weighs what its rows do. Moved to another machine it reads them there.
    """

    def __init__(self, plan: Plan, held: tuple[int, int] | None = None) -> None:
        self.plan, self.held = plan, held
        self.sizes = plan.sizes()
        self.train_sizes = [size - plan.cut.test_rows(i, size) for i, size in enumerate(self.sizes)]
        self._where: dict[int, tuple[Stretch, int]] = {}
        self._lock = RLock()

    def __reduce__(self) -> Any:
        return HeldTable, (self.plan, self.held)

    def __sizeof__(self) -> int:
        first, stop = self.held or (0, 0)
        return 8 * len(self.plan.cut.roles.scanned) * sum(self.sizes[first:stop])

    def load(self, first: int, stop: int) -> Stretch:
        """Read some chunks and keep them."""
        with self._lock:
            stretch = self.plan.read(first, stop)
            self._where.update({first + i: (stretch, i) for i in range(stop - first)})
            return stretch

    def find(self, index: int) -> tuple[Floats, Stretch]:
        """A chunk, and the stretch in whose codes its texts are."""
        with self._lock:
            if index not in self._where:
                first, stop = self.held or (0, 0)
                if not first <= index < stop:
                    first = index - index % _AGAIN
                    stop = min(first + _AGAIN, len(self.sizes))
                self.load(first, stop)
            stretch, at = self._where[index]
        return stretch.table.read(at), stretch

    def read(self, index: int) -> Floats:
        return self.find(index)[0]
