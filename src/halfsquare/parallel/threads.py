"""Where sums are computed: the chunks of a table, side by side on the threads of this machine."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from threading import Lock
from typing import Any, TypeVar, final

from halfsquare.parallel.base import Execution
from halfsquare.parallel.tree import Node, Tree

T = TypeVar("T")


@final
@dataclass(frozen=True)
class Local(Execution):
    """Threads of this process. The result has the same bits for any number of them.

    Parameters
    ----------
    threads : int, optional
        How many chunks are worked on at once; by default one for each core this process may use.
    """

    threads: int | None = None

    @property
    def workers(self) -> int:
        return self.threads or len(
            os.sched_getaffinity(0)
            if hasattr(os, "sched_getaffinity")
            else [0] * (os.cpu_count() or 1)
        )

    def map(self, work: Callable[[int], T], count: int) -> Iterator[T]:
        """``work(0) … work(count-1)``, yielded in this order, computed a few at a time."""
        workers = min(self.workers, count)
        with one_blas_thread():
            if workers <= 1:
                yield from map(work, range(count))
                return
            with ThreadPoolExecutor(workers) as pool:
                # A short window keeps memory flat: at most a few unmerged results are alive.
                window = [pool.submit(work, i) for i in range(min(count, 2 * workers))]
                try:
                    for i in range(count):
                        result = window.pop(0).result()
                        if i + 2 * workers < count:
                            window.append(pool.submit(work, i + 2 * workers))
                        yield result
                finally:
                    for waiting in window:
                        waiting.cancel()

    def reduce(
        self, work: Callable[[int], T], merge: Callable[[T, T], T], count: int, zero: T
    ) -> T:
        """``work`` over the chunks, merged in a fixed tree; ``zero`` for none."""
        # A thread takes some neighbours at a time and merges them itself, so that threads seldom
        # have to meet: a power of two of them, which is a node of the tree, and few enough that no
        # thread has the last one alone.
        size = 1 << min(3, max(1, count // (8 * self.workers)).bit_length() - 1)

        def stretch(number: int) -> list[Node[T]]:
            part = Tree(merge, number * size)
            for index in range(number * size, min((number + 1) * size, count)):
                part.push(work(index))
            return part.nodes

        tree = Tree(merge)
        for nodes in self.map(stretch, -(-count // size)):
            for node in nodes:
                tree.push_node(node)
        return tree.total(zero)

    def concurrent(self, count: int) -> tuple[int, Local]:
        """As many as there are threads and work, and the threads shared out among them."""
        at_once = max(1, min(self.workers, count))
        return at_once, Local(max(1, self.workers // at_once))


class _OneBlasThread:
    """The limit of the process, held by all who compute at the moment: the last to leave lifts it.

    If each lifted what it had set itself, one fit would change the bits of another in a thread
    beside it.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._holders = 0
        self._limiter: Any = None

    def take(self) -> None:
        with self._lock:
            if self._holders == 0:
                _any_thread_may_limit()
                self._limiter = _blas().limit(limits=1, user_api="blas")
            self._holders += 1

    def leave(self) -> None:
        with self._lock:
            self._holders -= 1
            if self._holders == 0:
                _any_thread_may_limit()
                self._limiter.restore_original_limits()
                _any_thread_may_limit()


_ONE = _OneBlasThread()


@lru_cache(maxsize=1)
def _blas() -> Any:
    # SciPy brings a BLAS of its own, and the controller knows only those that are loaded when it is
    # made.
    import scipy.linalg  # noqa: F401
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()


def _any_thread_may_limit() -> None:
    # Recent versions of the library let one thread of the process set limits, and pass over the
    # others without a word: a fit beside the main thread would run, and round, with as many BLAS
    # threads as there are.
    for library in _blas().lib_controllers:
        if hasattr(library, "clear_controlling_thread"):
            library.clear_controlling_thread(force=True)


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """BLAS on one thread: ours work on different chunks, and its bits do not depend on the
    machine.
    """
    _ONE.take()
    try:
        yield
    finally:
        _ONE.leave()
