"""Some chunks of a table while they are read."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np
import numpy.typing as npt

from halfsquare.data.counts import Counts
from halfsquare.data.cut import Cut
from halfsquare.data.levels import LevelCoder, batch_columns
from halfsquare.data.spec import Progress
from halfsquare.data.statistics import Pair, merged, statistics_of
from halfsquare.data.table import RawTable
from halfsquare.data.weighting import as_weights
from halfsquare.errors import NotFiniteError
from halfsquare.loss import Floats
from halfsquare.parallel.tree import Tree


class Stretch:
    """Some chunks of a table while they are read: all of them, or ``first`` … ``stop - 1`` of a
    longer one.

    Parameters
    ----------
    seen, kept : int
        How many rows of the source, and how many of those that count, come before the first batch.
    source_rows : int or None
        How many rows will be read, where that is known beforehand: room is then asked for at once.
    """

    def __init__(
        self,
        cut: Cut,
        *,
        first: int = 0,
        stop: int | None = None,
        seen: int = 0,
        kept: int = 0,
        progress: Progress | None = None,
        source_rows: int | None = None,
    ) -> None:
        self.cut, self.progress, self.columns = cut, progress, cut.roles.scanned
        self.coders = {c.name: LevelCoder() for c in cut.roles.scanned if c.kind == "text"}
        self.table = RawTable(len(self.columns), cut.chunk_rows)
        self.statistics: Tree[Pair] = Tree(merged, first)
        self.counts = Counts()
        self._source_rows = source_rows
        self._seen, self._skip = seen, first * cut.chunk_rows - kept
        self._index, self._stop = first, stop
        self._buffer = self.table.buffers.empty(len(self.columns), cut.chunk_rows)
        self._numbers = np.empty(cut.chunk_rows, dtype=np.int64)  # of its rows, in the source
        self._filled = 0
        self._stored: Future[None] | None = None

    def read(self, batches: Iterable[Any]) -> None:
        """Take the rows of Arrow batches until there are no more, or the last chunk is whole."""
        # A full chunk is stored by a second thread, in order, while this one goes on reading.
        with ThreadPoolExecutor(1) as self._storing:
            for batch in batches:
                self._take(batch)
                if self.progress is not None:
                    self.progress(self._seen)
                if self._index == self._stop:
                    break
            self._emit()
            if self._stored is not None:
                self._stored.result()

    @property
    def levels(self) -> dict[str, list[str]]:
        """The levels of each text column, in the order in which they turned up."""
        return {name: coder.levels for name, coder in self.coders.items()}

    def _take(self, batch: Any) -> None:
        """Its rows that count, straight to where they stand in their chunk."""
        at = 0
        while at < batch.num_rows and self._index != self._stop:
            room = self.cut.chunk_rows - self._filled
            piece = batch.slice(at, room)
            self._filled += self._write(piece, slice(self._filled, self._filled + piece.num_rows))
            at += piece.num_rows
            if self._filled == self.cut.chunk_rows:
                self._emit()

    def _write(self, piece: Any, to: slice) -> int:
        """Write the rows of a batch to the chunk that is being filled, those that count first; how
        many these are.
        """
        raw, numbers = self._buffer[:, to], self._numbers[to]
        batch_columns(piece, self.columns, self.coders, raw)
        numbers[:] = np.arange(self._seen, self._seen + len(numbers))
        roles = self.cut.roles
        if roles.weight is not None:
            k, name = len(roles.targets), roles.weight.name
            raw[k] = as_weights(raw[k], roles.weighting, self._seen, self.cut.name, name)
        self._seen += len(numbers)
        keep, counts = Counts.of(raw, roles)
        self.counts += counts
        skipped = min(self._skip, counts.kept)
        if skipped:
            self._skip -= skipped
            keep[np.flatnonzero(keep)[:skipped]] = False
        kept = counts.kept - skipped
        if kept < len(numbers):
            raw[:, :kept], numbers[:kept] = raw[:, keep], numbers[keep]
        return kept

    def _emit(self) -> None:
        if self._stored is not None:
            self._stored.result()  # at most one chunk waits; what went wrong with it is told here
        if self._filled:
            counts = self.counts
            self.table.expected_rows = (self._source_rows or 0) * counts.kept // max(counts.rows, 1)
            full = self._buffer[:, : self._filled], self._numbers[: self._filled]
            self._stored = self._storing.submit(self._store, self._index, *full)
            self._buffer = self.table.buffers.empty(*self._buffer.shape)
            self._numbers = np.empty_like(self._numbers)
            self._filled, self._index = 0, self._index + 1

    def _store(self, index: int, chunk: Floats, row_numbers: npt.NDArray[np.int64]) -> None:
        given = chunk
        with np.errstate(over="ignore", invalid="ignore"):
            chunk, train_rows = self.cut.split(index, chunk, self.table.buffers)
            parts = (chunk[:, :train_rows], chunk[:, train_rows:])
            train, test = (statistics_of(part, self.cut.roles) for part in parts)
        for numbers in (train.numbers, test.numbers):
            if np.isinf([numbers.minimum, numbers.maximum])[:, numbers.weight > 0].any():
                self._require_finite(given, row_numbers)
        self.statistics.push((train, test))
        self.table.append(chunk, train_rows)

    def _require_finite(self, chunk: Floats, row_numbers: npt.NDArray[np.int64]) -> None:
        for j, values in enumerate(chunk):
            infinite = np.isinf(values)
            if infinite.any():
                at = int(np.argmax(infinite))
                raise NotFiniteError(
                    f"{self.cut.name}, row {row_numbers[at] + 1}, column {self.columns[j].name!r}: "
                    f"found {values[at]}, expected a finite number. Correct it, or leave "
                    "it empty if it is not known"
                )
