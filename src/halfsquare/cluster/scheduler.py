"""Dask's scheduler: who is there, what is asked of them, and what they answer; or which error says
that they do not.
"""

from __future__ import annotations

import pickle
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError
from contextlib import suppress
from dataclasses import dataclass, field
from threading import RLock
from typing import Any, final

from halfsquare.cluster.traffic import Traffic
from halfsquare.errors import ClusterError, HalfsquareError

_LOOK_SECONDS = 0.5  # while waiting, between two looks at who is still there
_ARRIVAL_SECONDS = 0.005  # between two questions whether the scheduler knows of a task
_GRACE_SECONDS = 30.0  # for a worker to come back when there is none


@final
@dataclass(frozen=True, eq=False)
class Scheduler:
    """What is asked of it is counted in ``traffic``, under the lock."""

    client: Any = field(repr=False)
    traffic: Traffic
    lock: RLock = field(repr=False)

    def threads(self) -> dict[str, int]:
        """The workers, with their threads.

        Raises
        ------
        ClusterError
            If there is no scheduler any more.
        """
        try:
            found: dict[str, int] = self.client.nthreads()
        except Exception as problem:
            raise unanswered(problem) from None
        self.traffic.see(found)
        return found

    def present(self) -> dict[str, int]:
        """The workers, at least one; waits a while for one to come back.

        Raises
        ------
        ClusterError
            If none does, or there is no scheduler any more.
        """
        until = time.monotonic() + _GRACE_SECONDS
        while not (found := self.threads()):
            _require_before(until)
            time.sleep(_LOOK_SECONDS)
        return found

    def each(self, task: Callable[..., Any], *arguments: Sequence[Any], **more: Any) -> list[Any]:
        """A future of the task for each of the arguments."""
        found: list[Any] = self.client.map(task, *arguments, pure=False, **more)
        return found

    def submit_at(self, worker: str, task: Callable[..., Any], *arguments: Any) -> Any:
        """A future of the task, first at that worker, and where that is gone at any other."""
        return self.client.submit(
            task, *arguments, workers=[worker], allow_other_workers=True, pure=False
        )

    def set_free(self, futures: list[Any]) -> None:
        """Let go of the workers that futures of :meth:`submit_at` were given to, where they are by
        now: a task whose worker went when there was no other would wait for that very one, although
        others are allowed.

        Raises
        ------
        ClusterError
            If there is no scheduler any more.
        """
        until = time.monotonic() + _GRACE_SECONDS
        while True:
            try:
                self.client.sync(
                    self.client.scheduler.set_restrictions, worker={f.key: None for f in futures}
                )
                return
            except KeyError as problem:  # what was submitted is still on its way there
                if time.monotonic() >= until:
                    raise unanswered(problem) from None
                time.sleep(_ARRIVAL_SECONDS)
            except Exception as problem:
                raise unanswered(problem) from None

    def results(self, futures: list[Any], leaves: list[Any]) -> Iterator[Any]:
        """What sealed futures come to, in order; or the error of the first of the leaves that has
        one.
        """
        try:
            self._wait(futures)
            if any(future.status in ("error", "cancelled") for future in futures):
                self._wait(leaves)
                raise _first_error([*leaves, *futures])
            answers: list[bytes] = self.client.gather(futures)
        except (CancelledError, OSError) as problem:
            raise unanswered(problem) from None
        except BaseException:
            with suppress(Exception):
                self.client.cancel([*leaves, *futures], force=True)
            raise
        with self.lock:
            self.traffic.bytes_received += sum(map(len, answers))
        return map(pickle.loads, answers)

    def _wait(self, futures: list[Any]) -> None:
        """Until all are done, for as long as there is somebody who works on them; what was done and
        went with its worker is done again.
        """
        import distributed

        wait: Any = distributed.wait
        until = None
        while True:
            try:
                with self.client.as_current():
                    wait(futures, timeout=_LOOK_SECONDS)
                if not any(future.status == "lost" for future in futures):
                    return
            except TimeoutError:
                if self._look():
                    until = None
                    continue
                until = until or time.monotonic() + _GRACE_SECONDS
                _require_before(until)

    def _look(self) -> bool:
        """Whether there are workers."""
        return bool(self.threads())


def _require_before(until: float) -> None:
    if time.monotonic() >= until:
        raise ClusterError(
            f"all workers of the cluster are gone, and none came back in {_GRACE_SECONDS:.0f} s"
        )


def _first_error(futures: list[Any]) -> BaseException:
    """What went wrong with the work; of several the first in the order of the chunks."""
    from distributed import KilledWorker

    for future in futures:
        if future.status == "error":
            problem: BaseException = future.exception()
            if isinstance(problem, KilledWorker):
                return ClusterError(
                    f"{problem.allowed_failures + 1} workers in a row were lost at the same work, "
                    f"the last one {problem.last_worker.address}; do they have enough memory?"
                )
            if isinstance(problem, HalfsquareError):
                return problem
            return ClusterError(f"a worker failed: {type(problem).__name__}: {problem}")
    return unanswered(CancelledError())


def unanswered(problem: BaseException) -> ClusterError:
    """The error for a scheduler that has gone away in the middle."""
    return ClusterError(
        f"the scheduler does not answer any more: {problem or type(problem).__name__}"
    )
