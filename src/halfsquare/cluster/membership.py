"""Which workers there are, and which of them can take part: those of our versions that have our
files.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from halfsquare.cluster.worker import examine, versions
from halfsquare.errors import ClusterError

LOOK_SECONDS = 0.5  # while waiting, between two looks at who is still there
_EXAMINE_SECONDS = 10.0
_PATIENCE_SECONDS = 30.0  # for a worker to come back when there is none


@dataclass(frozen=True)
class Membership:
    """The workers of a Dask client; each is examined when it is first seen.

    Attributes
    ----------
    files : dict of path to int
        What workers must have, with sizes in bytes.
    """

    client: Any = field(repr=False)
    files: dict[str, int] = field(default_factory=dict)
    _known: dict[str, str] = field(
        default_factory=dict
    )  # worker: why it cannot take part, or nothing

    def require(self, files: Mapping[str, int]) -> None:
        """See that every worker has the versions of this machine, and these files, of these sizes.

        Raises
        ------
        ClusterError
            If one does not; says which, and what it has. A worker that joins later is left out
            instead.
        """
        self.files.clear()
        self.files.update(files)
        self._known.clear()
        self.alive()
        for worker, why in self._known.items():
            if why:
                raise ClusterError(f"worker {worker} {why}")

    def alive(self) -> dict[str, int]:
        """The workers that can take part, with their threads.

        Raises
        ------
        ClusterError
            If there is no scheduler any more.
        """
        try:
            there: dict[str, int] = self.client.nthreads()
            self._examine([worker for worker in there if worker not in self._known])
        except Exception as problem:
            raise unanswered(problem) from None
        return {
            worker: threads
            for worker, threads in there.items()
            if self._known.get(worker, "silent") == ""
        }

    def present(self) -> dict[str, int]:
        """The same, at least one; waits a while for one to come back.

        Raises
        ------
        ClusterError
            If none does.
        """
        until = time.monotonic() + _PATIENCE_SECONDS
        while not (alive := self.alive()):
            if time.monotonic() >= until:
                raise ClusterError(
                    "all workers of the cluster are gone, and none came back in "
                    f"{_PATIENCE_SECONDS:.0f} s"
                )
            time.sleep(LOOK_SECONDS)
        return alive

    def _examine(self, workers: list[str]) -> None:
        """See whether these can take part; who does not answer is asked again at the next look."""
        asked = {
            w: self.client.submit(examine, versions(), self.files, workers=[w], pure=False)
            for w in workers
        }
        with suppress(TimeoutError):
            first_of(self.client, asked.values(), _EXAMINE_SECONDS, all_of_them=True)
        for worker, future in asked.items():
            if future.status == "finished":
                with suppress(TimeoutError):
                    self._known[worker] = future.result(timeout=_EXAMINE_SECONDS)
            elif future.status == "error":
                problem = future.exception()
                self._known[worker] = (
                    f"cannot run halfsquare: {type(problem).__name__}: {problem}. Install "
                    "the same version as here"
                )


def first_of(
    client: Any, futures: Iterable[Any], timeout: float, all_of_them: bool = False
) -> Iterable[Any]:
    """The futures that are done, as soon as one is, or all.

    Raises
    ------
    TimeoutError
        If that takes longer.
    """
    import distributed

    wait: Any = distributed.wait
    when, listed = "ALL_COMPLETED" if all_of_them else "FIRST_COMPLETED", list(futures)
    with client.as_current():
        done: Iterable[Any] = wait(listed, timeout=timeout, return_when=when).done if listed else ()
    return done


def unanswered(problem: Exception) -> ClusterError:
    """The error for a scheduler that has gone away in the middle."""
    return ClusterError(
        f"the scheduler does not answer any more: {problem or type(problem).__name__}"
    )
