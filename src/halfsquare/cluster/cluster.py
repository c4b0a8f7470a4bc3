"""A cluster as a place where sums are computed: workers hold the rows, parameters go out, a few
sums come back.

All is futures of Dask. A partition of a table is one, pinned to the worker that reads it; a round
is one for each partition, which Dask runs where that lies, and these are merged in a tree of
futures. What is lost with a worker Dask makes anew elsewhere. Sums are merged as the tree of all
chunks says, whoever merges them: what comes out does not depend on who did what, or how often.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property, partial
from threading import RLock
from typing import Any, TypeVar, final
from weakref import WeakKeyDictionary

from halfsquare.cluster import tasks
from halfsquare.cluster.held import HeldTable
from halfsquare.cluster.packing import Enclosed, Packed, Packer
from halfsquare.cluster.partitions import Partitions, dealt, moves, partitions_each
from halfsquare.cluster.scheduler import Scheduler, unanswered
from halfsquare.cluster.traffic import Traffic
from halfsquare.errors import ClusterError
from halfsquare.parallel.base import Execution
from halfsquare.parallel.tree import Tree

T = TypeVar("T")

_FAN_IN = 16  # lists of nodes that are merged by one task, or by the driver
_LARGE_BYTES = 1 << 16  # of work: sent to one worker, which others have it from
_ENCLOSED = 64  # what work refers to beside chunks: so many are kept, the longest unused go first


@final
@dataclass(frozen=True, eq=False)
class Cluster(Execution):
    """The workers of a Dask cluster; see :func:`halfsquare.cluster.connect.connect`. Any thread may
    use it.

    Attributes
    ----------
    traffic : Traffic
        What it was used for so far.
    """

    client: Any = field(repr=False)
    traffic: Traffic = field(default_factory=Traffic)
    _packer: Packer = field(default_factory=Packer, repr=False)
    _tables: WeakKeyDictionary[HeldTable, Partitions] = field(
        default_factory=WeakKeyDictionary, repr=False
    )
    _enclosed: OrderedDict[str, Any] = field(default_factory=OrderedDict, repr=False)
    _lock: RLock = field(default_factory=RLock, repr=False)

    serves_batches = False

    @cached_property
    def scheduler(self) -> Scheduler:
        """What the workers are asked through."""
        return Scheduler(self.client, self.traffic, self._lock)

    @property
    def workers(self) -> int:
        return sum(self.scheduler.threads().values())

    def concurrent(self, count: int) -> tuple[int, Execution]:
        """Two, so that the workers have something to do while the driver takes a step of the
        other.
        """
        return max(1, min(2, count)), self

    def map(self, work: Callable[[int], T], count: int) -> Iterator[T]:
        """``work(0) … work(count-1)``, yielded in this order."""
        if count:
            futures = self._round(tasks.Mapped(work), count)
            for results in self.scheduler.results(futures, futures):
                yield from results

    def reduce(
        self, work: Callable[[int], T], merge: Callable[[T, T], T], count: int, zero: T
    ) -> T:
        """``work`` over the chunks, merged in a fixed tree; ``zero`` for none."""
        import cloudpickle  # type: ignore[import-untyped]

        tree = Tree(merge)
        if count:
            leaves = self._round(tasks.Reduced(work, merge), count, to_merge=True)
            level, packed = leaves, cloudpickle.dumps(merge)
            while len(level) > _FAN_IN:
                groups = [level[i : i + _FAN_IN] for i in range(0, len(level), _FAN_IN)]
                last = len(groups) <= _FAN_IN
                level = self.scheduler.each(
                    tasks.merged, groups, [packed] * len(groups), sealed=last
                )
            for nodes in self.scheduler.results(level, leaves):
                for node in nodes:
                    tree.push_node(node)
        return tree.total(zero)

    def one(self, work: Callable[[int], T], count: int, index: int) -> T:
        """``work(index)`` of ``count`` chunks, where that chunk lies."""
        futures = self._round(tasks.Mapped(work), count, index)
        ((found,),) = self.scheduler.results(futures, futures)
        return found  # type: ignore[no-any-return]

    def hold(self, table: HeldTable) -> Iterator[Any]:
        """Have the workers read the chunks of a table, and keep them as long as it is kept here;
        what :func:`halfsquare.cluster.tasks.statistics` finds in each partition, in order.
        """
        threads = self.scheduler.present()
        each = partitions_each(len(table.plan.source.parts), len(threads))
        spans, owners = dealt(len(table.sizes), threads, each)
        futures = [self._load(table, *given) for given in zip(spans, owners, strict=True)]
        self.scheduler.set_free(futures)
        self._tables[table] = Partitions(spans, futures, each, set(threads))
        self.traffic.begin(threads)
        found = self.scheduler.each(tasks.statistics, futures)
        return self.scheduler.results(found, found)

    def require(self, files: Mapping[str, int]) -> None:
        """See that every worker has the versions of this machine, and these files, of these sizes.

        Raises
        ------
        ClusterError
            If one does not; says which, and what it has.
        """
        expected = tasks.versions()
        try:
            found = self.client.run(tasks.examine, expected, dict(files), on_error="return")
        except Exception as problem:
            raise unanswered(problem) from None
        for worker, why in found.items():
            if isinstance(why, Exception):
                why = (
                    f"cannot run halfsquare: {type(why).__name__}: {why}. Install the same version "
                    "as here"
                )
            if why:
                raise ClusterError(f"worker {worker} {why}")

    def _round(
        self, work: Any, count: int, only: int | None = None, *, to_merge: bool = False
    ) -> list[Any]:
        """A future for each span of ``count`` chunks, or for one chunk: of the work on it."""
        threads = self.scheduler.present()
        packed, enclosed = self._packer.pack(work)
        with self._lock:
            held = None if packed.table is None else self._tables.get(packed.table)
            if held is not None and packed.table is not None:
                self._settle(packed.table, held, threads)
            each = held.each if held else partitions_each(count, len(threads))
            spans = dealt(count, threads, each)[0]
            if held is not None and held.spans[-1][1] == count:
                spans = held.spans
            places = list(range(len(spans)))
            if only is not None:
                places = [held.place(only) if held else 0]
                spans = [(only, only + 1)]
            for name, piece in enclosed.items():
                self._send(name, piece, enclosed, held)
            beside = [[self._found(name, held, i) for name in packed.names] for i in places]
            chunks = [held.futures[i % len(held.futures)] if held else None for i in places]
            large = len(packed.body) > _LARGE_BYTES
            self.traffic.begin(threads, len(packed.body) * (1 if large else len(spans)))
        # As lists: Dask gives a large keyword argument the name of the keyword as its key.
        body: Any = packed.body
        if large:
            body = self.client.submit(tasks.same, body, pure=False)
        order: dict[str, Any] = {"names": packed.names, "at_once": each}
        order["sealed"] = not to_merge or len(spans) <= _FAN_IN
        return self.scheduler.each(
            tasks.summed, [body] * len(spans), spans, beside, chunks, **order
        )

    def _send(self, name: str, piece: Packed, others: Enclosed, held: Partitions | None) -> None:
        """See that the workers have what work refers to: for each partition if it refers to the
        chunks.
        """
        rebuilt = partial(tasks.rebuilt, piece.body, piece.names)
        if piece.table is None or held is None:
            if name not in self._enclosed:
                beside = [self._found(n, held, 0) for n in piece.names]
                (self._enclosed[name],) = self.scheduler.each(rebuilt, [beside], [None])
                self.traffic.bytes_sent += len(piece.body)
            _keep(self._enclosed, name, len(others))
            return
        known = held.enclosed.setdefault(name, [None] * len(held.futures))
        wanted = [i for i, future in enumerate(known) if future is None]
        if wanted:
            beside = [[self._found(n, held, i) for n in piece.names] for i in wanted]
            made = self.scheduler.each(rebuilt, beside, [held.futures[i] for i in wanted])
            for i, future in zip(wanted, made, strict=True):
                known[i] = future
            self.traffic.bytes_sent += len(piece.body) * len(wanted)
        held.enclosed[name] = held.enclosed.pop(name)
        _keep(held.enclosed, name, len(others))

    def _found(self, name: str, held: Partitions | None, place: int) -> Any:
        if held is not None and name in held.enclosed:
            return held.enclosed[name][place % len(held.futures)]
        return self._enclosed[name]

    def _settle(self, table: HeldTable, held: Partitions, threads: Mapping[str, int]) -> None:
        """Give workers that have joined their part of the partitions."""
        joined = sorted(threads.keys() - held.workers)
        held.workers = set(threads)
        if not joined:
            return
        try:
            who = self.client.who_has(held.futures)
        except Exception as problem:
            raise unanswered(problem) from None
        holders = [next(iter(who.get(f.key, ())), "") for f in held.futures]
        moved = moves(holders, joined)
        for i, worker in moved.items():
            held.futures[i] = self._load(table, held.spans[i], worker)
            for made in held.enclosed.values():
                made[i] = None
        self.scheduler.set_free([held.futures[i] for i in moved])

    def _load(self, table: HeldTable, span: tuple[int, int], worker: str) -> Any:
        return self.scheduler.submit_at(worker, tasks.load, table.plan, span, tasks.versions())


def _keep(known: Any, name: str, least: int) -> None:
    """The name is the last used; of more than are to be kept the first go."""
    known[name] = known.pop(name)
    while len(known) > max(_ENCLOSED, least):
        known.pop(next(iter(known)))
