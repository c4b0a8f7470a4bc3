"""The file of exact sums: what ``halfsquare sums`` writes and ``halfsquare fit-sums`` reads,
in a :class:`~halfsquare.files.container.Container`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from halfsquare.data.columns import Reading
from halfsquare.errors import ModelFileError
from halfsquare.exact.gram import ExactGram
from halfsquare.exact.slices import BITS
from halfsquare.exact.sums_record import Counts, SumSource, SumsRecord
from halfsquare.exact.terms import MAX_TERMS, SumColumn
from halfsquare.files.container import Container
from halfsquare.files.records import from_json, to_json

SUMS_FILE = Container("sums", 2, ModelFileError, max_bytes=2 << 30)
# Limbs that any float64 products need, from 2^-2148 to 2^2048 times the number of rows.
_MAX_LIMBS = 220


@dataclass(frozen=True)
class _Gram:
    """What is said of a matrix; its limbs are an array."""

    rows: int
    low: int


@dataclass(frozen=True)
class _Saved:
    """The header."""

    version: str
    targets: tuple[str, ...]
    weight: str | None
    columns: tuple[SumColumn, ...]
    left_out: dict[str, str]
    train: _Gram
    test: _Gram
    counts: Counts
    sources: tuple[SumSource, ...]
    doubts: tuple[str, ...]
    reading: dict[str, Any]


def save_sums(sums: SumsRecord, path: str | Path) -> None:
    """Write a file of sums, whole or not at all.

    Raises
    ------
    OutputError
        If it cannot be written; what stood there stays as it was.
    """
    from importlib.metadata import version

    saved = _Saved(
        version("halfsquare"),
        sums.targets,
        sums.weight,
        sums.columns,
        dict(sums.left_out),
        _Gram(sums.train.rows, sums.train.low),
        _Gram(sums.test.rows, sums.test.low),
        sums.counts,
        sums.sources,
        sums.doubts,
        sums.reading.as_dict(),
    )
    arrays = {"train": _packed(sums.train), "test": _packed(sums.test)}
    SUMS_FILE.write(path, {"sums": to_json(saved)}, arrays)


def read_sums(path: str | Path) -> SumsRecord:
    """What a file of sums holds.

    Raises
    ------
    ModelFileError
        If there is no such file, it is damaged, holds no sums, or is of another version.
    """
    header, arrays = SUMS_FILE.read(path)
    with SUMS_FILE.checking(path):
        return _sums(from_json(_Saved, header["sums"]), arrays)


def is_sums(path: str | Path) -> bool:
    """Whether a file says that it holds sums; False for anything else, or nothing."""
    return SUMS_FILE.holds(path)


def _sums(saved: _Saved, arrays: dict[str, Any]) -> SumsRecord:
    for column in saved.columns:
        if list(column.levels) != sorted(set(column.levels)):
            raise ValueError(f"column {column.name!r} has levels out of order")
    terms = sum(len(c.terms) for c in saved.columns)
    names = [*saved.targets, *(c.name for c in saved.columns)]
    if not saved.targets or terms > MAX_TERMS or len(set(names)) < len(names):
        raise ValueError("columns that are too many, or named twice")
    counts = saved.counts
    if min(counts.read, counts.missing_target, counts.zero_weight) < 0:
        raise ValueError("fewer than no rows")
    if saved.train.rows + saved.test.rows and not saved.sources:
        raise ValueError("rows that no table holds")
    size = 1 + terms + len(saved.targets)
    return SumsRecord(
        saved.targets,
        saved.weight,
        saved.columns,
        saved.left_out,
        _gram(saved.train, arrays["train"], size),
        _gram(saved.test, arrays["test"], size),
        counts,
        saved.sources,
        saved.doubts,
        Reading.from_dict(saved.reading),
    )


def _gram(saved: _Gram, packed: Any, columns: int) -> ExactGram:
    upper = np.triu_indices(columns)
    limbs = len(packed) if packed.ndim else 0
    if (
        packed.dtype != np.int32
        or packed.ndim != 2
        or packed.shape[1] != len(upper[0])
        or limbs > _MAX_LIMBS
    ):
        raise ValueError(
            f"sums of shape {packed.shape} and type {packed.dtype} for {columns} columns"
        )
    half = 1 << (BITS - 1)
    if limbs and (
        packed.min() < -half or packed.max() >= half or not packed[0].any() or not packed[-1].any()
    ):
        raise ValueError("sums that are not in their one form")
    if saved.rows < 0 or not -_MAX_LIMBS < saved.low < _MAX_LIMBS:
        raise ValueError(f"{saved.rows} rows from limb {saved.low}")
    whole = np.zeros((limbs, columns, columns), dtype=np.int32)
    whole[:, upper[0], upper[1]] = packed
    whole[:, upper[1], upper[0]] = packed
    gram = ExactGram(saved.rows, saved.low, whole)
    if gram.impossible() is not None:
        raise ValueError("sums that no rows have")
    return gram


def _packed(gram: ExactGram) -> Any:
    upper = np.triu_indices(gram.columns)
    return np.ascontiguousarray(gram.limbs[:, upper[0], upper[1]], dtype=np.int32)
