"""Which worker has which chunks: for as long as it lives, so that what it has read is read once."""

from __future__ import annotations

from collections.abc import Mapping
from threading import Lock

Span = tuple[int, int]
_SHARES = 8  # for each worker: so finely can the work be divided anew when workers come and go


class Shares:
    """Chunks in shares of a power of two, dealt out in stretches; of a change of workers as few as
    can be feel it.

    A share is a node of the tree in which sums are merged, so that it comes back as one sum.

    Examples
    --------
    >>> shares = Shares()
    >>> shares.spans(100, {"a": 1, "b": 1})
    {'a': [(0, 48)], 'b': [(48, 100)]}
    >>> shares.spans(100, {"a": 1})
    {'a': [(0, 100)]}
    """

    def __init__(self) -> None:
        self._dealt: dict[int, tuple[int, list[str]]] = {}
        self._lock = Lock()

    def spans(self, count: int, workers: Mapping[str, int]) -> dict[str, list[Span]]:
        """The stretches of ``count`` chunks that each worker, with so many threads, is to work
        on.
        """
        with self._lock:
            if count not in self._dealt:
                size = 1 << max(0, (count // (_SHARES * len(workers))).bit_length() - 1)
                self._dealt[count] = size, _dealt(-(-count // size), workers)
            size, owners = self._dealt[count]
            _balance(owners, workers)
            spans: dict[str, list[Span]] = {}
            for share, owner in enumerate(owners):
                mine, start, stop = (
                    spans.setdefault(owner, []),
                    share * size,
                    min((share + 1) * size, count),
                )
                if mine and mine[-1][1] == start:
                    start = mine.pop()[0]
                mine.append((start, stop))
            return spans


def _dealt(shares: int, workers: Mapping[str, int]) -> list[str]:
    """Neighbouring shares to one worker, as many as it has of the threads."""
    names, total, owners = sorted(workers), sum(workers.values()), []
    given, threads = 0, 0
    for name in names:
        threads += workers[name]
        until = round(shares * threads / total)
        owners += [name] * (until - given)
        given = until
    return owners


def _balance(owners: list[str], workers: Mapping[str, int]) -> None:
    """Give the shares of those who left to who has least, and to newcomers from who has most."""
    load = {name: owners.count(name) / threads for name, threads in sorted(workers.items())}

    def give(share: int) -> None:
        to = min(load, key=lambda name: load[name] + 1 / workers[name])
        load[to] += 1 / workers[to]
        owners[share] = to

    for share, owner in enumerate(owners):
        if owner not in workers:
            give(share)
    while True:
        most = max(load, key=lambda name: load[name])
        if load[most] <= min(load[name] + 1 / workers[name] for name in load):
            return
        share = len(owners) - 1 - owners[::-1].index(most)
        load[most] -= 1 / workers[most]
        give(share)
