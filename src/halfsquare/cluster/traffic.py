"""What a cluster was used for."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

_TOLD = ("workers", "rounds", "bytes_sent", "bytes_received", "workers_lost")


@dataclass
class Traffic:
    """Rounds, and the bytes of what the driver has sent and received.

    Attributes
    ----------
    workers : int
        The most that took part in a round.
    workers_lost : int
        How many were there and left; Dask has had their work done by others.
    """

    workers: int = 0
    rounds: int = 0
    bytes_sent: int = 0
    bytes_received: int = 0
    workers_lost: int = 0
    _there: set[str] = field(default_factory=set, repr=False)

    def begin(self, workers: Iterable[str], sent: int = 0) -> None:
        """A round begins, with these workers."""
        self.rounds += 1
        self.workers = max(self.workers, len(set(workers)))
        self.bytes_sent += sent

    def see(self, workers: Iterable[str]) -> None:
        """These workers are there now."""
        there = set(workers)
        self.workers_lost += len(self._there - there)
        self._there = there

    def as_dict(self) -> dict[str, int]:
        """JSON values."""
        return {name: getattr(self, name) for name in _TOLD}

    def __str__(self) -> str:
        lost = f"; {self.workers_lost} workers were lost" if self.workers_lost else ""
        sent, received = _size(self.bytes_sent), _size(self.bytes_received)
        return (
            f"{self.workers} workers, {self.rounds:,} rounds, {sent} sent, {received} "
            f"received{lost}"
        )


def _size(count: int) -> str:
    return f"{count / 1e6:,.1f} MB" if count >= 1e6 else f"{count / 1e3:,.0f} kB"
