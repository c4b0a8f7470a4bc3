"""A table in partitions: which chunks each has, and the futures of what workers hold of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from halfsquare.cluster.tasks import Span

_SHARES = 8  # a partition ends where the tree of all chunks has a node of about an eighth of it
# Of a small cluster each worker has some, so that a worker that joins can be given of them.
_EACH, _PARTITIONS = 2, 64


@dataclass
class Partitions:
    """The partitions of a table on the workers.

    Attributes
    ----------
    spans : list of (first, stop)
        Their chunks, in order.
    futures : list
        Of the chunks, as :class:`halfsquare.cluster.held.HeldTable`.
    each : int
        How many a worker has.
    workers : set of str
        Those that were there when it was last seen where they lie.
    enclosed : dict of name to list of futures
        What work refers to beside the chunks, made for each partition; None where it has to be
        made anew.
    """

    spans: list[Span]
    futures: list[Any]
    each: int
    workers: set[str]
    enclosed: dict[str, list[Any]] = field(default_factory=dict)

    def place(self, index: int) -> int:
        """The partition in which a chunk lies."""
        return next(i for i, (first, stop) in enumerate(self.spans) if first <= index < stop)


def dealt(count: int, threads: Mapping[str, int], each: int) -> tuple[list[Span], list[str]]:
    """``count`` chunks in up to ``each`` partitions a worker, as long as its number of threads
    says; and whose each is.

    Examples
    --------
    >>> dealt(100, {"a": 1, "b": 1}, 1)
    ([(0, 48), (48, 100)], ['a', 'b'])
    """
    size = 1 << max(0, (count // (_SHARES * each * len(threads))).bit_length() - 1)
    shares, total = -(-count // size), each * sum(threads.values())
    spans: list[Span] = []
    owners: list[str] = []
    begin = given = 0
    for name in sorted(threads):
        for _ in range(each):
            given += threads[name]
            end = shares * given // total
            if end > begin:
                spans.append((begin * size, min(end * size, count)))
                owners.append(name)
                begin = end
    return spans, owners


def partitions_each(parts: int, workers: int) -> int:
    """How many partitions a worker is given of a table that ``parts`` of files make up: files that
    cannot be divided would be read for each of them.
    """
    return max(1, min(_EACH, -(-_PARTITIONS // workers), parts // workers))


def moves(holders: list[str], newcomers: list[str]) -> dict[int, str]:
    """Which partitions to give to workers that have joined, so that none has two more than they:
    ``holders`` says who has each.

    Examples
    --------
    >>> moves(["a", "a", "a", "b", "b", "b"], ["c"])
    {2: 'c', 5: 'c'}
    >>> moves(["a", "b"], ["c"])
    {}
    """
    holders, found = list(holders), dict[int, str]()
    while newcomers:
        load = {name: holders.count(name) for name in (*holders, *newcomers)}
        least, most = min(newcomers, key=lambda n: load[n]), max(load, key=lambda n: load[n])
        if load[most] - load[least] < 2:
            break
        last = len(holders) - 1 - holders[::-1].index(most)
        holders[last] = found[last] = least
    return found
