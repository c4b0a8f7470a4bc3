"""Some chunks of a table while they are read."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from typing import Any

import numpy as np

from halfsquare.data.counts import Counts
from halfsquare.data.cut import Cut
from halfsquare.data.hashes import FEW_COLUMNS, MOST_ROWS, VARYING, Hashes, hashed
from halfsquare.data.levels import LevelCoder, raw_columns
from halfsquare.data.pieces import Piece, gathered
from halfsquare.data.spec import Progress
from halfsquare.data.statistics import Pair, merged, statistics_of
from halfsquare.data.table import RawTable
from halfsquare.data.weighting import as_weights
from halfsquare.errors import NotFiniteError
from halfsquare.parallel.threads import one_blas_thread
from halfsquare.parallel.tree import Tree

_MOST_WAITING = 2  # chunks, for the thread that stores them


class Stretch:
    """Some chunks of a table while they are read: all of them, or ``first`` … ``stop - 1`` of a
    longer one.

    Parameters
    ----------
    seen, kept : int
        How many rows of the source, and how many of those that count, come before the first batch.
    source_rows : int or None
        How many rows will be read, where that is known beforehand: room is then asked for at once.
    hashes : list or None
        To which hashes of some features of each chunk are added; None for none, and as soon as
        there are too many.
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
        hashes: list[Hashes] | None = None,
    ) -> None:
        self.cut, self.progress, self.columns = cut, progress, cut.roles.scanned
        self.coders = {c.name: LevelCoder() for c in cut.roles.scanned if c.kind == "text"}
        self.table = RawTable(len(self.columns), cut.chunk_rows)
        self.statistics: Tree[Pair] = Tree(merged, first)
        self.counts = Counts()
        self.hashes = hashes
        first_feature = len(self.columns) - len(cut.roles.features)
        varying = [j for j, c in enumerate(cut.roles.features, first_feature) if c.kind in VARYING]
        self._telling = varying[:FEW_COLUMNS]
        self._source_rows = source_rows
        self._seen, self._skip = seen, first * cut.chunk_rows - kept
        self._index, self._stop = first, stop
        self._pieces: list[Piece] = []  # of the chunk that is being filled
        self._filled = 0
        self._storing: deque[Future[None]] = deque()

    def read(self, batches: Iterable[Any]) -> None:
        """Take the rows of Arrow batches until there are no more, or the last chunk is whole."""
        # A full chunk is stored by a second thread, in order, while this one goes on reading.
        with ThreadPoolExecutor(1) as pool, one_blas_thread():
            for batch in batches:
                self._take(batch, pool)
                if self.progress is not None:
                    self.progress(self._seen)
                if self._index == self._stop:
                    break
            self._emit(pool)
            while self._storing:
                self._storing.popleft().result()

    @property
    def levels(self) -> dict[str, list[str]]:
        """The levels of each text column, in the order in which they turned up."""
        return {name: coder.levels for name, coder in self.coders.items()}

    def _take(self, batch: Any, pool: Executor) -> None:
        """Its rows that count, to the chunks that they belong to."""
        at = 0
        while at < batch.num_rows and self._index != self._stop:
            some = batch.slice(at, self.cut.chunk_rows - self._filled)
            piece = self._piece(some)
            if len(piece):
                self._pieces.append(piece)
                self._filled += len(piece)
            at += some.num_rows
            if self._filled == self.cut.chunk_rows:
                self._emit(pool)

    def _piece(self, batch: Any) -> Piece:
        """The rows of a batch that count, and have not been read before."""
        raw = raw_columns(batch, self.columns, self.coders)
        roles, first, m = self.cut.roles, self._seen, batch.num_rows
        if roles.weight is not None:
            k, name = len(roles.targets), roles.weight.name
            raw[k] = as_weights(raw[k], roles.weighting, first, self.cut.name, name)
        self._seen += m
        keep, counts = Counts.of(raw, roles)
        self.counts += counts
        skipped = min(self._skip, counts.kept)
        self._skip -= skipped
        if counts.kept == m and not skipped:
            return Piece(raw, first, m, None)
        kept = np.flatnonzero(keep)[skipped:]
        return Piece(raw, first, len(kept), kept)

    def _emit(self, pool: Executor) -> None:
        while len(self._storing) >= _MOST_WAITING:
            self._storing.popleft().result()  # what went wrong with a chunk is told here
        if self._filled:
            counts = self.counts
            self.table.expected_rows = (self._source_rows or 0) * counts.kept // max(counts.rows, 1)
            self._storing.append(pool.submit(self._store, self._index, self._pieces, self._filled))
            self._pieces, self._filled, self._index = [], 0, self._index + 1

    def _store(self, index: int, pieces: list[Piece], size: int) -> None:
        order, train_rows = self.cut.order(index, size)
        chunk = self.table.buffers.empty(len(self.columns), size)
        gathered(pieces, order if train_rows < size else None, chunk)
        roles, buffers = self.cut.roles, self.table.buffers if self.cut.products else None
        with np.errstate(over="ignore", invalid="ignore"):
            parts = (chunk[:, :train_rows], chunk[:, train_rows:])
            train, test = (statistics_of(part, roles, buffers) for part in parts)
        for numbers in (train.numbers, test.numbers):
            if np.isinf([numbers.minimum, numbers.maximum])[:, numbers.weight > 0].any():
                self._require_finite(pieces)
        if self.hashes is not None:
            self.hashes.append(hashed(chunk[self._telling]))
            if self.table.rows + size > MOST_ROWS:
                self.hashes = None
        self.statistics.push((train, test))
        self.table.append(chunk, train_rows)

    def _require_finite(self, pieces: Sequence[Piece]) -> None:
        for j, column in enumerate(self.columns):
            for piece in pieces:
                values = piece.values(j)
                infinite = np.isinf(values)
                if infinite.any():
                    at = int(np.argmax(infinite))
                    row = piece.first + (at if piece.kept is None else int(piece.kept[at])) + 1
                    raise NotFiniteError(
                        f"{self.cut.name}, row {row}, column {column.name!r}: "
                        f"found {values[at]}, expected a finite number. Correct it, or leave "
                        "it empty if it is not known"
                    )
