"""A table that the workers of a cluster hold together, each some of its chunks; and the passes that
make it.

One pass counts the rows that matter in each part of the files; then it is known which rows are
chunk i, wherever it is made. In a second pass each worker reads the parts that its chunks lie in,
keeps the chunks, and returns their statistics. What it keeps it can read again at any time, should
it or another be asked for it.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, replace
from functools import partial
from itertools import accumulate
from threading import RLock
from typing import Any, final

import numpy as np

from halfsquare.cluster.cluster import Cluster
from halfsquare.cluster.parts import PartedSource
from halfsquare.data.counts import Counts
from halfsquare.data.cut import Cut
from halfsquare.data.levels import MISSING, UNSEEN, LevelCoder, raw_columns
from halfsquare.data.messages import Misread
from halfsquare.data.roles import Roles
from halfsquare.data.scan import Scanned
from halfsquare.data.scan import scanned as scanned_of
from halfsquare.data.source import Source
from halfsquare.data.spec import Progress
from halfsquare.data.statistics import Pair, merged
from halfsquare.data.stretch import Stretch
from halfsquare.data.table import Table
from halfsquare.errors import ClusterError
from halfsquare.loss import Floats
from halfsquare.parallel.threads import Local
from halfsquare.parallel.tree import Node, Tree

_AGAIN = 64  # chunks read at once where one that was lost is asked for
_FETCHED = 2  # chunks the driver remembers: it looks at the first now and then


def scan_shared(
    cluster: Cluster,
    source: Source,
    roles: Roles,
    *,
    test_fraction: float = 0.0,
    seed: int = 0,
    products: bool = False,
    progress: Progress | None = None,
) -> Scanned:
    """What :func:`halfsquare.data.scan.scan` brings, read by the workers of a cluster and kept
    there.

    Raises
    ------
    OptionError
        If the source is not made of files.
    ClusterError
        If a worker does not have them.
    DataError
        As the scan on one machine.
    """
    try:
        cut = Cut.of(source.name, roles, test_fraction, seed, products=products)
        return _scan_shared(cluster, source, cut, progress)
    except Misread as problem:
        # A worker counts the rows of its part alone: read here, they are those of the source.
        for _ in source.scan(roles.scanned):
            pass
        raise problem


def _scan_shared(
    cluster: Cluster,
    source: Source,
    cut: Cut,
    progress: Progress | None,
) -> Scanned:
    roles = cut.roles
    parted = PartedSource.of(source)
    cluster.require(parted.files)
    counts = [
        c
        for found in cluster.over(partial(_counted, parted, cut), len(parted.parts))
        for c in found
    ]
    total = sum(counts, Counts())
    if progress is not None:
        progress(total.rows)
    seen = (0, *accumulate(c.rows for c in counts))
    kept = (0, *accumulate(c.kept for c in counts))
    held = HeldTable(Plan(parted, cut, seen, kept))
    tree: Tree[Pair] = Tree(merged)
    coders = {c.name: LevelCoder() for c in roles.scanned if c.kind == "text"}
    for nodes, found in cluster.over(partial(_loaded, held), len(held.sizes)):
        codes = _codes(roles, found, coders)
        for node in nodes:
            tree.push_node(_recoded(node, codes))
    levels = {name: coder.levels for name, coder in coders.items()}
    return scanned_of(cut, SharedTable(held, levels, cluster), tree, levels, total)


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
    """

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.sizes = plan.sizes()
        self.train_sizes = [size - plan.cut.test_rows(i, size) for i, size in enumerate(self.sizes)]
        self._where: dict[int, tuple[Stretch, int]] = {}
        self._lock = RLock()

    def __reduce__(self) -> Any:
        return HeldTable, (self.plan,)

    def load(self, first: int, stop: int) -> Stretch:
        """Read some chunks and keep them."""
        with self._lock:
            stretch = self.plan.read(first, stop)
            self._where.update({first + i: (stretch, i) for i in range(stop - first)})
            return stretch

    def find(self, index: int) -> tuple[Floats, Stretch]:
        """A chunk, and the stretch in whose codes its texts are."""
        with self._lock:
            if (
                index not in self._where
            ):  # its worker was lost, or has forgotten: others of its stretch will be wanted too
                first = index - index % _AGAIN
                self.load(first, min(first + _AGAIN, len(self.sizes)))
            stretch, at = self._where[index]
        return stretch.table.read(at), stretch

    def read(self, index: int) -> Floats:
        return self.find(index)[0]


@final
class SharedTable(Table):
    """A held table with its texts in the codes of the whole; on the driver it asks a worker for
    what is read.

    Parameters
    ----------
    levels : dict of column name to list of str
    execution : Cluster or Local
        The cluster, on the driver; on a worker its own threads, which stand for "here".
    """

    def __init__(
        self, held: HeldTable, levels: dict[str, list[str]], execution: Cluster | Local
    ) -> None:
        self.held, self.levels, self.execution = held, levels, execution
        self.sizes, self.train_sizes = held.sizes, held.train_sizes
        self._fetched: dict[int, Floats] = {}
        self._codes: dict[int, tuple[Stretch, dict[int, Floats]]] = {}

    def __reduce__(self) -> Any:
        return SharedTable, (self.held, self.levels, self.execution)

    def read(self, index: int) -> Floats:
        if isinstance(self.execution, Local):
            return self._coded(*self.held.find(index))
        found = self._fetched.get(index)
        if found is None:
            read: Any = partial(_read, self)
            (found,) = self.execution.over(read, len(self.sizes), (index, index + 1))
            while len(self._fetched) >= _FETCHED:
                self._fetched.pop(next(iter(self._fetched)), None)
            self._fetched[index] = found
        return found

    def _coded(self, chunk: Floats, stretch: Stretch) -> Floats:
        if not self.levels:
            return chunk
        if id(stretch) not in self._codes:
            coders = {name: LevelCoder(levels, frozen=True) for name, levels in self.levels.items()}
            self._codes[id(stretch)] = (
                stretch,
                _codes(self.held.plan.cut.roles, stretch.levels, coders),
            )
        coded = chunk.copy()
        for j, table in self._codes[id(stretch)][1].items():
            coded[j] = table[(chunk[j] - UNSEEN).astype(np.intp)]
        return coded


def _counted(
    source: PartedSource, cut: Cut, first: int, stop: int, execution: Local
) -> list[Counts]:
    """How many rows of each of some parts count."""
    columns, found = cut.roles.needed, []
    coders = {c.name: LevelCoder() for c in columns if c.kind == "text"}
    for part in source.parts[first:stop]:
        batches = source.read([part], columns, cut.chunk_rows)
        found.append(
            sum(
                (Counts.of(raw_columns(b, columns, coders), cut.roles)[1] for b in batches),
                Counts(),
            )
        )
    return found


def _loaded(
    held: HeldTable, first: int, stop: int, execution: Local
) -> tuple[list[Node[Pair]], dict[str, list[str]]]:
    """Read and keep some chunks; their statistics, and the levels in whose codes these are."""
    stretch = held.load(first, stop)
    return stretch.statistics.nodes, stretch.levels


def _read(table: SharedTable, first: int, stop: int, execution: Local) -> Floats:
    return table.read(first)


def _codes(
    roles: Roles, levels: dict[str, list[str]], coders: dict[str, LevelCoder]
) -> dict[int, Floats]:
    """From the codes of some levels, shifted by 2, to those of ``coders``: a table for each text
    column's position.
    """
    return {
        j: np.concatenate([[UNSEEN, MISSING], coders[column.name].codes(levels[column.name])])
        for j, column in enumerate(roles.scanned)
        if column.kind == "text"
    }


def _recoded(node: Node[Pair], codes: dict[int, Floats]) -> Node[Pair]:
    train, test = (
        replace(s, levels={j: _moved(w, codes[j]) for j, w in s.levels.items()}) for s in node.value
    )
    return replace(node, value=(train, test))


def _moved(weights: Floats, codes: Floats) -> Floats:
    """The weight of each level, in the order of the new codes."""
    at = (codes[: len(weights)] - UNSEEN).astype(np.intp)
    moved: Floats = np.bincount(at, weights, minlength=2).astype(np.float64)
    return moved
