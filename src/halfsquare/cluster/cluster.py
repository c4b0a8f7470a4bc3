"""A cluster as a place where sums are computed: workers hold the rows, parameters go out, a few
sums come back.

Each round sends every worker one order and waits for all. Who holds which chunks is decided here,
not by Dask, so that chunks are read once; if a worker is lost its stretches go to others, which
read them again. The sums are merged in the tree of all chunks: what comes out does not depend on
who did what, or how often.
"""

from __future__ import annotations

import pickle
import uuid
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import CancelledError
from contextlib import suppress
from dataclasses import dataclass, field, replace
from threading import Lock
from typing import Any, TypeVar, final

from halfsquare.cluster.membership import LOOK_SECONDS, Membership, first_of, unanswered
from halfsquare.cluster.payload import Enclosed, Packer, Payload
from halfsquare.cluster.shares import Shares, Span
from halfsquare.cluster.worker import Mapped, Order, Reduced, Reply, carry_out, forget
from halfsquare.errors import ClusterError, HalfsquareError
from halfsquare.parallel.base import Execution
from halfsquare.parallel.threads import Local
from halfsquare.parallel.tree import Tree

T = TypeVar("T")
Work = Callable[[int, int, Local], T]

_ATTEMPTS = 8  # at a stretch whose workers die


@dataclass
class Traffic:
    """What a cluster was used for: rounds of orders, and the bytes of what was sent and
    received.
    """

    workers: int = 0
    rounds: int = 0
    bytes_sent: int = 0
    bytes_received: int = 0
    orders_repeated: int = 0

    def as_dict(self) -> dict[str, int]:
        """JSON values."""
        return dict(vars(self))

    def __str__(self) -> str:
        lost = (
            f"; {self.orders_repeated} orders had to be given again" if self.orders_repeated else ""
        )
        sent, received = _size(self.bytes_sent), _size(self.bytes_received)
        return (
            f"{self.workers} workers, {self.rounds:,} rounds, {sent} sent, {received} "
            f"received{lost}"
        )


def _size(count: int) -> str:
    return f"{count / 1e6:,.1f} MB" if count >= 1e6 else f"{count / 1e3:,.0f} kB"


@dataclass(frozen=True)
class _Job:
    """An order that is out: to whom, for which stretches, for the how-manieth time."""

    worker: str
    spans: tuple[Span, ...]
    attempt: int = 1


@final
@dataclass(frozen=True)
class Cluster(Execution):
    """The workers of a Dask cluster; see :func:`halfsquare.cluster.connect.connect`. Any thread may
    use it.

    Attributes
    ----------
    traffic : Traffic
        What it was used for so far.
    """

    client: Any = field(repr=False)
    membership: Membership = field(repr=False)
    traffic: Traffic = field(default_factory=Traffic)
    _session: str = field(default_factory=lambda: uuid.uuid4().hex)
    _packer: Packer = field(default_factory=Packer, repr=False)
    _shares: Shares = field(default_factory=Shares, repr=False)
    _sent: dict[str, set[str]] = field(default_factory=dict, repr=False)
    _lock: Lock = field(default_factory=Lock, repr=False)

    serves_batches = False

    @property
    def workers(self) -> int:
        return sum(self.membership.alive().values())

    def lanes(self, count: int) -> tuple[int, Execution]:
        """Two, so that the workers have something to do while the driver takes a step of the
        other.
        """
        return max(1, min(2, count)), self

    def map(self, work: Callable[[int], T], count: int) -> Iterator[T]:
        """``work(0) … work(count-1)``, yielded in this order."""
        for results in self.over(Mapped(work), count):
            yield from results

    def reduce(
        self, work: Callable[[int], T], merge: Callable[[T, T], T], count: int, zero: T
    ) -> T:
        """``work`` over the chunks, merged in a fixed tree; ``zero`` for none."""
        tree = Tree(merge)
        for nodes in self.over(Reduced(work, merge), count):
            for node in nodes:
                tree.push_node(node)
        return tree.total(zero)

    def require(self, files: Mapping[str, int]) -> None:
        """See that every worker can take part; see
        :meth:`halfsquare.cluster.membership.Membership.require`.
        """
        self.membership.require(files)

    def over(self, work: Work[T], count: int, within: Span | None = None) -> Iterator[T]:
        """``work(start, stop, its threads)`` for every stretch of ``count`` chunks, each where it
        is held, in order.

        ``within`` leaves it at some of the chunks.

        Raises
        ------
        HalfsquareError
            What went wrong with the work; of several the first in the order of the chunks.
        ClusterError
            If workers cannot do it, or none is left.
        """
        if not count:
            return
        low, high = within or (0, count)
        work_payload, enclosed = self._packer.pack(work)
        jobs = []
        workers = self.membership.present()
        for worker, spans in self._shares.spans(count, workers).items():
            cut = [(max(a, low), min(b, high)) for a, b in spans if a < high and b > low]
            jobs += [_Job(worker, tuple(cut))] if cut else []
        with self._lock:
            self.traffic.rounds += 1
            self.traffic.workers = max(self.traffic.workers, len(workers))
        replies = _Round(self, work_payload, enclosed).run(jobs)
        for span in sorted(replies):
            if isinstance(replies[span], HalfsquareError):
                raise replies[span]
        for span in sorted(replies):
            yield replies.pop(span)

    def close(self) -> None:
        """Let the workers forget what they hold of ours."""
        import distributed

        later: Any = distributed.fire_and_forget
        try:
            for worker in self.client.nthreads():
                later(self.client.submit(forget, self._session, workers=[worker], pure=False))
        except Exception:
            return  # a scheduler that is gone holds nothing

    def _send(self, work: Payload, enclosed: Enclosed, job: _Job, everything: bool = False) -> Any:
        """The future of a job; what the worker has been sent before is left out."""
        with self._lock:
            sent = self._sent.setdefault(job.worker, set())
            fresh = {n: p for n, p in enclosed.items() if everything or n not in sent}
            sent.update(fresh)
        order = pickle.dumps(
            Order(self._session, work, fresh, job.spans), protocol=pickle.HIGHEST_PROTOCOL
        )
        with self._lock:
            self.traffic.bytes_sent += len(order)
        return self.client.submit(
            carry_out, order, workers=[job.worker], pure=False, key=f"halfsquare-{uuid.uuid4().hex}"
        )

    def _received(self, answer: bytes) -> Reply:
        with self._lock:
            self.traffic.bytes_received += len(answer)
        reply: Reply = pickle.loads(answer)
        return reply


class _Round:
    """One piece of work on its way through the workers, until every stretch has its answer."""

    def __init__(self, cluster: Cluster, work: Payload, enclosed: Enclosed) -> None:
        self.cluster, self.work, self.enclosed = cluster, work, enclosed
        self.waiting: dict[Any, _Job] = {}
        self.found: dict[Span, Any] = {}

    def run(self, jobs: list[_Job]) -> dict[Span, Any]:
        """The value of each span, or the error that it came to."""
        self.waiting = {self.cluster._send(self.work, self.enclosed, job): job for job in jobs}
        try:
            while self.waiting:
                try:
                    done = first_of(self.cluster.client, self.waiting, LOOK_SECONDS)
                except TimeoutError:
                    self._rescue()
                    continue
                except CancelledError as problem:
                    raise unanswered(problem) from None
                for future in done:
                    self._take(future, self.waiting.pop(future))
            return self.found
        finally:
            if self.waiting:  # interrupted, or broken
                with suppress(Exception):
                    self.cluster.client.cancel(list(self.waiting), force=True)

    def _take(self, future: Any, job: _Job) -> None:
        answer = self._answer(future, job)
        if answer is None:
            self._again(job)
            return
        reply = self.cluster._received(answer)
        if reply.missing:  # it has forgotten, or was never told
            self.waiting[self.cluster._send(self.work, self.enclosed, job, everything=True)] = job
        elif reply.broken:
            raise ClusterError(f"worker {job.worker} failed: {reply.broken}")
        elif reply.error is not None:
            self.found[job.spans[0]] = reply.error
        else:
            self.found.update(zip(job.spans, reply.values, strict=True))

    def _answer(self, future: Any, job: _Job) -> bytes | None:
        """What the worker has answered; None if it was lost before that came here."""
        patience = 2 * LOOK_SECONDS
        while future.status == "finished":
            try:
                answer: bytes = future.result(timeout=patience)
                return answer
            except TimeoutError:
                if job.worker not in self.cluster.membership.present():
                    break
                patience *= 2  # a large answer takes its time
            except Exception:
                break
        return None

    def _rescue(self) -> None:
        """Give the work of those who are gone to others."""
        alive = self.cluster.membership.present()
        for future, job in list(self.waiting.items()):
            if job.worker not in alive:
                del self.waiting[future]
                self.cluster.client.cancel([future], force=True)
                self._again(job)

    def _again(self, job: _Job) -> None:
        if job.attempt >= _ATTEMPTS:
            raise ClusterError(
                f"{job.attempt} workers in a row were lost at the same work, the last one "
                f"{job.worker}; "
                "do they have enough memory?"
            )
        with self.cluster._lock:
            self.cluster.traffic.orders_repeated += 1
        alive = self.cluster.membership.present()
        busy = [other.worker for other in self.waiting.values()]
        others = sorted(
            alive, key=lambda worker: (worker == job.worker, busy.count(worker), worker)
        )
        moved = replace(job, worker=others[0], attempt=job.attempt + 1)
        self.waiting[self.cluster._send(self.work, self.enclosed, moved)] = moved
