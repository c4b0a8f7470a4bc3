"""A table that the workers of a cluster hold together, each some of its chunks; and the passes that
make it.

One pass counts the rows that matter in each part of the files; then it is known which rows are
chunk i, wherever it is made. In a second pass each worker reads the parts that its chunks lie in,
keeps the chunks, and returns their statistics. What it keeps it can read again at any time, should
it or another be asked for it.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from itertools import accumulate
from typing import Any, final

import numpy as np

from halfsquare.cluster.cluster import Cluster
from halfsquare.cluster.held import HeldTable, Plan
from halfsquare.cluster.parts import PartedSource
from halfsquare.data.counts import Counts
from halfsquare.data.cut import Cut
from halfsquare.data.levels import MISSING, UNSEEN, LevelCoder, raw_columns
from halfsquare.data.messages import Misread
from halfsquare.data.passes import record_batches
from halfsquare.data.roles import Roles
from halfsquare.data.scan import Scanned
from halfsquare.data.scan import scanned as scanned_of
from halfsquare.data.source import Source
from halfsquare.data.spec import Progress
from halfsquare.data.statistics import Pair, merged
from halfsquare.data.stretch import Stretch
from halfsquare.data.table import Table
from halfsquare.errors import OptionError
from halfsquare.loss import Floats
from halfsquare.parallel.threads import Local
from halfsquare.parallel.tree import Node, Tree

# Of chunks that the driver has looked at: intervals are calibrated on rows of some, several times.
_FETCHED_BYTES = 128 << 20


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
        for _ in record_batches(source, roles.scanned):
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
    if any(column.lag is not None for column in roles.scanned):
        raise OptionError(
            "lag needs all rows in their order, and a cluster reads them in parts: leave the "
            "cluster out"
        )
    cluster.require(parted.files)
    counts = list(cluster.map(partial(counted, parted, cut), len(parted.parts)))
    total = sum(counts, Counts())
    if progress is not None:
        progress(total.rows)
    seen = (0, *accumulate(c.rows for c in counts))
    kept = (0, *accumulate(c.kept for c in counts))
    held = HeldTable(Plan(parted, cut, seen, kept))
    tree: Tree[Pair] = Tree(merged)
    coders = {c.name: LevelCoder() for c in roles.scanned if c.kind == "text"}
    for nodes, found in cluster.hold(held):
        codes = _codes(roles, found, coders)
        for node in nodes:
            tree.push_node(_recoded(node, codes))
    levels = {name: coder.levels for name, coder in coders.items()}
    return scanned_of(cut, SharedTable(held, levels, cluster), tree, levels, total)


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

    @property
    def here(self) -> bool:
        """Whether its chunks lie on this machine."""
        return isinstance(self.execution, Local)

    def read(self, index: int) -> Floats:
        if isinstance(self.execution, Local):
            return self._coded(*self.held.find(index))
        found = self._fetched.get(index)
        if found is None:
            found = self.execution.one(partial(_read, self), len(self.sizes), index)
            self._fetched[index] = found
            while len(self._fetched) * found.nbytes > _FETCHED_BYTES and len(self._fetched) > 1:
                self._fetched.pop(next(iter(self._fetched)), None)
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


def counted(source: PartedSource, cut: Cut, index: int) -> Counts:
    """How many rows of a part count."""
    columns = cut.roles.needed
    coders = {c.name: LevelCoder() for c in columns if c.kind == "text"}
    batches = source.read([source.parts[index]], columns, cut.chunk_rows)
    return sum(
        (Counts.of(raw_columns(b, columns, coders), cut.roles)[1] for b in batches), Counts()
    )


def _read(table: SharedTable, index: int) -> Floats:
    return table.read(index)


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
