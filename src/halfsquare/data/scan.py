"""One pass over a source: raw chunks for later passes, and the statistics the encoder is made
from.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from halfsquare.data.arrow import floats_of, integers_of
from halfsquare.data.buffers import Buffers
from halfsquare.data.columns import level_of
from halfsquare.data.roles import Roles
from halfsquare.data.rows import CHUNK_ROWS
from halfsquare.data.source import Source
from halfsquare.data.source_column import SourceColumn
from halfsquare.data.spec import Progress
from halfsquare.data.splits import Units
from halfsquare.data.statistics import NumberStatistics, TableStatistics, require_range
from halfsquare.data.table import RawTable, Table
from halfsquare.data.times import PARTS, time_parts
from halfsquare.data.weighting import as_weights
from halfsquare.errors import DataError, NotFiniteError
from halfsquare.loss import Floats
from halfsquare.parallel.tree import Tree

_CHUNK_NUMBERS = 1 << 22


@dataclass(frozen=True)
class Counts:
    """How many rows were seen, how many of them count, and why others were left out."""

    rows: int = 0
    kept: int = 0
    missing_target: int = 0
    zero_weight: int = 0
    missing_feature: int = 0

    @classmethod
    def of(cls, raw: Floats, roles: Roles) -> tuple[npt.NDArray[np.bool_], Counts]:
        """Which raw rows (columns, m) count; the columns are those of ``roles.needed``, or more in
        their order.
        """
        k = len(roles.targets)
        keep: npt.NDArray[np.bool_] = np.asarray(~np.isnan(raw[:k]).any(axis=0))
        missing_target, zero_weight, missing_feature = int((~keep).sum()), 0, 0
        if roles.weight is not None:
            zero_weight = int((keep & (raw[k] == 0)).sum())
            keep &= raw[k] > 0
        columns = roles.beside if not roles.complete else (*roles.beside, *roles.features)
        if columns:
            # A missing number is NaN, a missing text has the code -1.
            first = roles.beside_at.start
            values = raw[first : first + len(columns)]
            texts = np.array([c.kind == "text" for c in columns])
            whole = ~np.isnan(values).any(axis=0) & ~(values[texts] == MISSING).any(axis=0)
            missing_feature = int((keep & ~whole).sum())
            keep &= whole
        return keep, cls(
            raw.shape[1], int(keep.sum()), missing_target, zero_weight, missing_feature
        )

    def __add__(self, other: Counts) -> Counts:
        return Counts(
            *(getattr(self, name) + getattr(other, name) for name in self.__dataclass_fields__)
        )


@dataclass(frozen=True)
class Cut:
    """How a source is cut into chunks, and these into rows to train on and rows set apart.

    A row's chunk and part follow from its number among the rows that count, so that any chunk can
    be made anywhere.
    """

    name: str  # of the source, in messages
    roles: Roles
    fraction: float
    seed: int
    chunk_rows: int

    @classmethod
    def of(cls, name: str, roles: Roles, fraction: float, seed: int) -> Cut:
        """Chunks of a size that depends on the number of columns alone."""
        rows = max(256, min(CHUNK_ROWS, _CHUNK_NUMBERS // len(roles.scanned)))
        return cls(name, roles, fraction, seed, rows)

    def test_rows(self, index: int, size: int) -> int:
        """How many of the ``size`` rows of a chunk are set apart."""
        before = index * self.chunk_rows
        return round(self.fraction * (before + size)) - round(self.fraction * before)

    def split(self, index: int, chunk: Floats, buffers: Buffers) -> tuple[Floats, int]:
        """The chunk (columns, m) with the rows to train on first, and how many these are."""
        m = chunk.shape[1]
        test_rows = self.test_rows(index, m)
        if not test_rows:
            return chunk, m
        train_rows = m - test_rows
        order = order_in_chunk(self.seed, index, m, train_rows)
        split = buffers.empty(*chunk.shape)
        np.take(chunk, order, axis=1, out=split, mode="clip")
        return split, train_rows


def order_in_chunk(seed: int, index: int, size: int, train_rows: int) -> npt.NDArray[np.intp]:
    """Where the rows of a chunk of the source stand when those for training come first."""
    if train_rows == size:
        return np.arange(size)
    for_training = np.zeros(size, dtype=np.bool_)
    for_training[np.random.default_rng([seed, index]).permutation(size)[:train_rows]] = True
    return np.concatenate([np.flatnonzero(for_training), np.flatnonzero(~for_training)])


MISSING, UNSEEN = -1, -2
MAX_LEVELS = 100_000
Pair = tuple[TableStatistics, TableStatistics]  # of the rows to train on, and of those set apart


@dataclass(frozen=True)
class Scanned:
    """What a pass brought.

    Attributes
    ----------
    table : Table
        Rows of columns in the order of ``roles.scanned``; text as codes into ``levels``.
    train, test : TableStatistics
    levels : dict of column name to list of str
    missing_target, missing_feature, zero_weight : int
        Rows left out; those that lack a feature only where ``roles.complete`` says so.
    units : Units or None
        Which rows are left out together, in the order of the table; None: each by itself.
    orders : tuple of (m,) int, or None
        Of a table that was cut anew: where the rows of each chunk stood among those of the source's
        stretch.
    rows_whole : bool
        Whether rows that count more than once were set apart as a whole: each is one cluster.
    """

    source_name: str
    roles: Roles
    table: Table
    train: TableStatistics
    test: TableStatistics
    levels: dict[str, list[str]]
    missing_target: int
    zero_weight: int
    missing_feature: int = 0
    units: Units | None = None
    orders: tuple[npt.NDArray[np.intp], ...] | None = None
    rows_whole: bool = False

    def statistics_of(self, part: str) -> TableStatistics:
        """Of the rows of a part: ``"train"``, ``"test"`` or ``"all"``."""
        if part == "all":
            return self.train.merge(self.test)
        return self.train if part == "train" else self.test


@dataclass
class LevelCoder:
    """Numbers the levels of a text column in the order in which they turn up, or by a given
    list.
    """

    levels: list[str] = field(default_factory=list)
    frozen: bool = False

    def __post_init__(self) -> None:
        self._code = {level_of(level): code for code, level in enumerate(self.levels)}
        self._of_text: dict[str, int] = {}

    def encode(self, texts: Any) -> Floats:
        """Codes (m,) of an Arrow string array, as float64; -1 missing, -2 unseen."""
        encoded = texts.dictionary_encode()
        codes = np.append(self.codes(encoded.dictionary.to_pylist()), MISSING)
        return codes[integers_of(encoded.indices, len(codes) - 1)]

    def codes(self, texts: Sequence[str | None]) -> Floats:
        """Codes (m,) of some texts."""
        return np.array([self._of(text) for text in texts], dtype=np.float64)

    def _of(self, text: str | None) -> int:
        if text is None:
            return MISSING
        known = self._of_text.get(text)
        if known is None:
            known = self._code_of(level_of(text))
            if len(self._of_text) < MAX_LEVELS:
                self._of_text[text] = known
        return known

    def _code_of(self, text: str) -> int:
        if text not in self._code and not self.frozen and len(self.levels) < MAX_LEVELS:
            self._code[text] = len(self.levels)
            self.levels.append(text)
        return self._code.get(text, UNSEEN)


def batch_columns(
    batch: Any,
    columns: Sequence[SourceColumn],
    coders: dict[str, LevelCoder],
    out: Floats | None = None,
) -> Floats:
    """An Arrow batch as raw rows (columns, m), float64, missing values NaN (in text: -1); written
    to ``out`` where that is given.
    """
    raw = np.empty((len(columns), batch.num_rows)) if out is None else out
    for j, column in enumerate(columns):
        values = batch.column(j)
        if column.kind == "text":
            raw[j] = coders[column.name].encode(values)
        else:
            floats_of(values, raw[j])
    return raw


def scan(
    source: Source,
    roles: Roles,
    *,
    test_fraction: float = 0.0,
    seed: int = 0,
    progress: Progress | None = None,
) -> Scanned:
    """Read every row once.

    Rows whose target is missing are left out and counted. A share ``test_fraction`` of the rest is
    set apart, evenly over the table and chosen by ``seed``: of the first r rows, round(r ·
    test_fraction), whatever the size of the table.

    Raises
    ------
    NotFiniteError
        If a number is infinite: file, column and row are named.
    DataError
        If no row has a target, or a weight is missing or negative.
    """
    cut = Cut.of(source.name, roles, test_fraction, seed)
    stretch = Stretch(cut, progress=progress, source_rows=source.row_count)
    stretch.read(source.scan(stretch.columns, cut.chunk_rows))
    return scanned(cut, stretch.table, stretch.statistics, stretch.levels, stretch.counts)


def merged(a: Pair, b: Pair) -> Pair:
    """The statistics of both, part by part."""
    return a[0].merge(b[0]), a[1].merge(b[1])


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


def statistics_of(part: Floats, roles: Roles) -> TableStatistics:
    """Of raw rows (columns, m) in the order of ``roles.scanned``."""
    weight = part[len(roles.targets)] if roles.weight is not None else None
    times, levels = {}, {}
    for j, column in enumerate(roles.scanned):
        if column.kind in ("timestamp", "time"):
            parts = np.empty((len(PARTS), part.shape[1]))
            time_parts(part[j], parts)
            times[j] = NumberStatistics.of(parts, weight)
        elif column.kind == "text":
            levels[j] = np.bincount(
                (part[j] - UNSEEN).astype(np.intp), weights=weight, minlength=2
            ).astype(float)
    total = float(part.shape[1]) if weight is None else float(weight.sum())
    whole = weight is None or bool((weight == np.floor(weight)).all())
    numbers = NumberStatistics.of(part, weight)
    return TableStatistics(part.shape[1], total, numbers, times, levels, whole)


def scanned(
    cut: Cut, table: Table, nodes: Tree[Pair], levels: dict[str, list[str]], counts: Counts
) -> Scanned:
    """What passes over all rows of a source come to.

    Raises
    ------
    DataError
        If no row counts; says why. If squares of numbers do not fit in float64.
    """
    if not counts.kept:
        raise DataError(_nothing(cut, counts))
    none = statistics_of(np.empty((len(cut.roles.scanned), 0)), cut.roles)
    train, test = nodes.total((none, none))
    require_range(train.merge(test), cut.roles, cut.name)
    left_out = counts.missing_target, counts.zero_weight, counts.missing_feature
    return Scanned(cut.name, cut.roles, table, train, test, levels, *left_out)


def _nothing(cut: Cut, counts: Counts) -> str:
    names = ", ".join(repr(t.name) for t in cut.roles.targets)
    if not counts.rows:
        return f"{cut.name} has a header but no rows"
    if counts.missing_target == counts.rows:
        return f"all {counts.rows} values of the target {names} in {cut.name} are missing"
    if counts.missing_feature:
        return f"no row of {cut.name} has both a target and a value in every column of the formula"
    return f"no row of {cut.name} has both a target and a positive weight"
