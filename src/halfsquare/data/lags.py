"""Earlier rows: the value that a column had some rows before, within a group, as the rows stand.

Rows are read in the order of the source, so that the last values of each group are all that is kept
from one batch to the next.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from halfsquare.data.arrow import array_of, floats_of
from halfsquare.data.source_column import SourceColumn
from halfsquare.loss import Floats


@dataclass
class Lagging:
    """The values so many rows before, batch after batch.

    Examples
    --------
    >>> lag = Lagging(1)
    >>> lag.of(np.array([0, 1, 0]), np.array([1.0, 2.0, 3.0])).tolist()
    [nan, nan, 1.0]
    >>> lag.of(np.array([1, 0]), np.array([4.0, 5.0])).tolist()
    [2.0, 3.0]
    """

    steps: int
    _tails: Floats = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._tails = np.empty((0, self.steps))

    def of(self, groups: Any, values: Floats) -> Floats:
        """Of the next rows: groups (m,) counted from 0, values (m,); NaN where there is none."""
        k, m = self.steps, len(values)
        found: Floats = np.full(m, np.nan)
        if not m:
            return found
        missing = int(groups.max()) + 1 - len(self._tails)
        if missing > 0:
            self._tails = np.vstack([self._tails, np.full((missing, k), np.nan)])
        order = np.argsort(groups, kind="stable")
        group, value = groups[order], values[order]
        starts = np.flatnonzero(np.concatenate([[True], group[1:] != group[:-1]]))
        sizes = np.diff(np.append(starts, m))
        place = np.arange(m) - np.repeat(starts, sizes)
        inside = np.flatnonzero(place >= k)
        found[order[inside]] = value[inside - k]
        # Row number p of a batch has its partner k - p rows before the end of those before.
        before = place < k
        found[order[before]] = self._tails[group[before], place[before]]
        for start, size in zip(starts.tolist(), sizes.tolist(), strict=True):
            tail = self._tails[group[start]]
            last = value[start + max(0, size - k) : start + size]
            tail[:] = np.concatenate([tail[len(last) :], last])
        return found


def lagged(
    scan: Callable[[Sequence[SourceColumn], int], Iterator[Any]],
    columns: Sequence[SourceColumn],
    batch_rows: int,
) -> Iterator[Any]:
    """The batches of ``scan`` with columns some of which are lags of others."""
    import pyarrow as pa

    plain = [c for c in columns if c.lag is None]
    read, groups = list(plain), [dict[tuple[Any, ...], int]() for _ in columns]
    lagging = {}
    for j, column in enumerate(columns):
        if column.lag is not None:
            lagging[j] = Lagging(column.lag.steps), len(read), len(column.lag.by)
            read.append(replace(column.lag.of, name=f"lag {j}", value=column.lag.of.stored))
            read += [
                replace(b, name=f"lag {j} by {i}", value=b.stored, kind="text")
                for i, b in enumerate(column.lag.by)
            ]
    for batch in scan(read, batch_rows):
        given, made = iter(range(len(plain))), []
        for j in range(len(columns)):
            if j not in lagging:
                made.append(batch.column(next(given)))
                continue
            lag, at, by = lagging[j]
            keys = [batch.column(at + 1 + i).to_pylist() for i in range(by)]
            numbers = _numbered(keys, batch.num_rows, groups[j])
            made.append(array_of(lag.of(numbers, floats_of(batch.column(at)))))
        yield pa.RecordBatch.from_arrays(made, names=[c.name for c in columns])


def _numbered(keys: Sequence[list[Any]], rows: int, known: dict[tuple[Any, ...], int]) -> Any:
    """A number for each combination of values, those that were seen before as they were."""
    if not keys:
        return np.zeros(rows, dtype=np.intp)
    return np.array(
        [known.setdefault(key, len(known)) for key in zip(*keys, strict=True)], dtype=np.intp
    )
