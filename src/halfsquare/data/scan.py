"""One pass over a source: raw chunks for later passes, and the statistics the encoder is made from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from halfsquare.data.columns import Roles
from halfsquare.data.rows import CHUNK_ROWS
from halfsquare.data.source import Source, SourceColumn
from halfsquare.data.statistics import NumberStatistics, TableStatistics
from halfsquare.data.table import RawTable
from halfsquare.data.times import PARTS, time_parts
from halfsquare.errors import DataError, NotFiniteError
from halfsquare.execution.tree import Tree
from halfsquare.loss import Floats

MISSING, UNSEEN = -1, -2
MAX_LEVELS = 100_000
_CHUNK_NUMBERS = 1 << 22
Progress = Callable[[int], None]
Pair = tuple[TableStatistics, TableStatistics]  # of the rows to train on, and of those set apart


@dataclass(frozen=True)
class Scanned:
    """What a pass brought.

    Attributes
    ----------
    table : RawTable
        Rows of columns in the order of ``roles.scanned``; text as codes into ``levels``.
    train, test : TableStatistics
    levels : dict of column name to list of str
    missing_target, missing_feature, zero_weight : int
        Rows left out; those that lack a feature only where ``roles.complete`` says so.
    """

    source_name: str
    roles: Roles
    table: RawTable
    train: TableStatistics
    test: TableStatistics
    levels: dict[str, list[str]]
    missing_target: int
    zero_weight: int
    missing_feature: int = 0


@dataclass
class LevelCoder:
    """Numbers the levels of a text column in the order in which they turn up, or by a given list."""

    levels: list[str] = field(default_factory=list)
    frozen: bool = False

    def __post_init__(self) -> None:
        self._code = {level: code for code, level in enumerate(self.levels)}

    def encode(self, texts: Any) -> Floats:
        """Codes (m,) of an Arrow string array, as float64; -1 missing, -2 unseen."""
        encoded = texts.dictionary_encode()
        codes = np.array([self._of(t) for t in encoded.dictionary.to_pylist()] + [MISSING], dtype=np.float64)
        indices: npt.NDArray[np.intp] = encoded.indices.fill_null(len(codes) - 1).to_numpy(zero_copy_only=False)
        return codes[indices]

    def _of(self, text: str | None) -> int:
        if text is None:
            return MISSING
        if text not in self._code and not self.frozen and len(self.levels) < MAX_LEVELS:
            self._code[text] = len(self.levels)
            self.levels.append(text)
        return self._code.get(text, UNSEEN)


def batch_columns(batch: Any, columns: Sequence[SourceColumn], coders: dict[str, LevelCoder]) -> Floats:
    """An Arrow batch as raw rows (columns, m), float64, missing values NaN (in text: -1)."""
    raw = np.empty((len(columns), batch.num_rows))
    for j, column in enumerate(columns):
        values = batch.column(j)
        raw[j] = coders[column.name].encode(values) if column.kind == "text" else values.to_numpy(zero_copy_only=False)
    return raw


def require_weights(weight: Floats, first_row: int, source: str, column: str) -> None:
    """Refuse a weight that is missing or negative, naming its row; ``first_row`` counts from 0."""
    bad = ~(weight >= 0)
    if bad.any():
        at = int(np.argmax(bad))
        found = "no value" if np.isnan(weight[at]) else f"{weight[at]:g}"
        raise DataError(
            f"{source}, row {first_row + at + 1}, weight column {column!r}: found {found}, expected a number >= 0"
        )


def scan(
    source: Source, roles: Roles, *, test_fraction: float = 0.0, seed: int = 0, progress: Progress | None = None
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
    return _Scan(source, roles, test_fraction, seed, progress).run()


def _merged(a: Pair, b: Pair) -> Pair:
    return a[0].merge(b[0]), a[1].merge(b[1])


class _Scan:
    """The running state of one pass."""

    def __init__(self, source: Source, roles: Roles, fraction: float, seed: int, progress: Progress | None) -> None:
        self.source, self.roles, self.fraction, self.seed, self.progress = source, roles, fraction, seed, progress
        self.columns = roles.scanned
        self.coders = {c.name: LevelCoder() for c in roles.features if c.kind == "text"}
        self.chunk_rows = max(256, min(CHUNK_ROWS, _CHUNK_NUMBERS // len(self.columns)))
        self.table = RawTable(len(self.columns), self.chunk_rows)
        self.buffer = np.empty((len(self.columns), self.chunk_rows))
        self.buffer_rows = np.empty(self.chunk_rows, dtype=np.int64)  # their row numbers in the source
        self.filled = self.kept = self.seen = self.missing_target = self.zero_weight = self.missing_feature = 0
        self.stored: Future[None] | None = None
        self.statistics: Tree[Pair] = Tree(_merged)

    def run(self) -> Scanned:
        # A full chunk is stored by a second thread, in order, while this one goes on reading.
        with ThreadPoolExecutor(1) as self.storing:
            for batch in self.source.scan(self.columns, self.chunk_rows):
                self._take(batch_columns(batch, self.columns, self.coders))
                if self.progress is not None:
                    self.progress(self.seen)
            self._emit()
            if self.stored is not None:
                self.stored.result()
        if not self.kept:
            raise DataError(self._nothing())
        levels = {name: coder.levels for name, coder in self.coders.items()}
        none = self._statistics(self.buffer[:, :0])
        train, test = self.statistics.total((none, none))
        left_out = self.missing_target, self.zero_weight, self.missing_feature
        return Scanned(self.source.name, self.roles, self.table, train, test, levels, *left_out)

    def _take(self, raw: Floats) -> None:
        numbers = np.arange(self.seen, self.seen + raw.shape[1])
        self.seen += raw.shape[1]
        keep = ~np.isnan(raw[: len(self.roles.targets)]).any(axis=0)
        self.missing_target += int((~keep).sum())
        if self.roles.weight is not None:
            weight = raw[len(self.roles.targets)]
            require_weights(weight, self.seen - len(weight), self.source.name, self.roles.weight.name)
            self.zero_weight += int((keep & (weight == 0)).sum())
            keep &= weight > 0
        if self.roles.complete:
            whole = ~np.isnan(raw[-len(self.roles.features) :]).any(axis=0)
            self.missing_feature += int((keep & ~whole).sum())
            keep &= whole
        if not keep.all():
            raw, numbers = raw[:, keep], numbers[keep]
        start = 0
        while start < raw.shape[1]:
            count = min(raw.shape[1] - start, self.chunk_rows - self.filled)
            at, to = slice(start, start + count), slice(self.filled, self.filled + count)
            self.buffer[:, to], self.buffer_rows[to] = raw[:, at], numbers[at]
            self.filled, start = self.filled + count, start + count
            if self.filled == self.chunk_rows:
                self._emit()

    def _emit(self) -> None:
        if self.stored is not None:
            self.stored.result()  # at most one chunk waits; what went wrong with it is told here
        if self.filled:
            full = self.buffer[:, : self.filled], self.buffer_rows[: self.filled]
            self.stored = self.storing.submit(self._store, *full)
            self.buffer, self.buffer_rows = np.empty_like(self.buffer), np.empty_like(self.buffer_rows)
            self.filled = 0

    def _store(self, chunk: Floats, row_numbers: npt.NDArray[np.int64]) -> None:
        m = train_rows = chunk.shape[1]
        test_rows = round(self.fraction * (self.kept + m)) - round(self.fraction * self.kept)
        with np.errstate(over="ignore", invalid="ignore"):
            self._require_finite(chunk, row_numbers)
            if test_rows:
                shuffled = np.random.default_rng([self.seed, len(self.table.sizes)]).permutation(m)
                train_rows = m - test_rows
                order = np.concatenate([np.sort(shuffled[:train_rows]), np.sort(shuffled[train_rows:])])
                chunk = np.take(chunk, order, axis=1)
            self.statistics.push((self._statistics(chunk[:, :train_rows]), self._statistics(chunk[:, train_rows:])))
        self.table.append(chunk, train_rows)
        self.kept += m

    def _statistics(self, part: Floats) -> TableStatistics:
        weight = part[len(self.roles.targets)] if self.roles.weight is not None else None
        times, levels = {}, {}
        for j, column in enumerate(self.columns):
            if column.kind in ("timestamp", "time"):
                parts = np.empty((len(PARTS), part.shape[1]))
                time_parts(part[j], parts)
                times[j] = NumberStatistics.of(parts, weight)
            elif column.kind == "text":
                levels[j] = np.bincount((part[j] - UNSEEN).astype(np.intp), weights=weight, minlength=2).astype(float)
        total = float(part.shape[1]) if weight is None else float(weight.sum())
        return TableStatistics(part.shape[1], total, NumberStatistics.of(part, weight), times, levels)

    def _require_finite(self, chunk: Floats, row_numbers: npt.NDArray[np.int64]) -> None:
        # A sum is finite unless a value is infinite or missing (or it overflows): look closer only then.
        for j in np.flatnonzero(~np.isfinite(np.add.reduce(chunk, axis=1))):
            infinite = np.isinf(chunk[j])
            if infinite.any():
                at = int(np.argmax(infinite))
                raise NotFiniteError(
                    f"{self.source.name}, row {row_numbers[at] + 1}, column {self.columns[j].name!r}: "
                    f"found {chunk[j, at]}, expected a finite number. Correct it, or leave it empty if it is not known"
                )

    def _nothing(self) -> str:
        names = ", ".join(repr(t.name) for t in self.roles.targets)
        if not self.seen:
            return f"{self.source.name} has a header but no rows"
        if self.missing_target == self.seen:
            return f"all {self.seen} values of the target {names} in {self.source.name} are missing"
        if self.missing_feature:
            return f"no row of {self.source.name} has both a target and a value in every column of the formula"
        return f"no row of {self.source.name} has both a target and a positive weight"
