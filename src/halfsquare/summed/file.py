"""The file of sums: safetensors for the limbs, JSON in its metadata for everything else, and a digest over both.

Nothing in it is code and nothing is unpickled. A bit that has changed is noticed, and the file is refused.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from halfsquare.errors import ModelFileError
from halfsquare.exact.gram import ExactGram
from halfsquare.exact.slices import BITS
from halfsquare.loss import Floats
from halfsquare.summed.table_sums import Counts, SumSource, TableSums
from halfsquare.summed.terms import KINDS, MAX_TERMS, SumColumn
from halfsquare.writing import atomic_write

FORMAT_VERSION = 1
_KEY, _SEAL = "halfsquare-sums", "sha256"
# Limbs that any float64 products need, from 2^-2148 to 2^2048 times the number of rows.
_MAX_LIMBS = 220
_MAX_BYTES = 2 << 30


def save_sums(sums: TableSums, path: str | Path) -> None:
    """Write a file of sums, whole or not at all.

    Raises
    ------
    OutputError
        If it cannot be written; what stood there stays as it was.
    """
    from importlib.metadata import version

    from safetensors.numpy import save as to_bytes

    described = {
        "format_version": FORMAT_VERSION,
        "version": version("halfsquare"),
        "targets": sums.targets,
        "weight": sums.weight,
        "columns": [asdict(c) for c in sums.columns],
        "left_out": dict(sums.left_out),
        "train": {"rows": sums.train.rows, "low": sums.train.low},
        "test": {"rows": sums.test.rows, "low": sums.test.low},
        "counts": asdict(sums.counts),
        "sources": [asdict(s) for s in sums.sources],
        "doubts": sums.doubts,
    }
    tensors = {"train": _packed(sums.train), "test": _packed(sums.test)}
    text = json.dumps(described)
    with atomic_write(path) as file:
        file.write(to_bytes(tensors, {_KEY: text, _SEAL: _sealed(text, tensors)}))


def load_sums(path: str | Path) -> TableSums:
    """Read a file of sums.

    Raises
    ------
    ModelFileError
        If there is no such file, it is damaged, holds no sums, or comes from a later version.

    Examples
    --------
    >>> load_sums("no-such-file.sums")
    Traceback (most recent call last):
    ...
    halfsquare.errors.ModelFileError: there is no file no-such-file.sums
    """
    metadata, tensors = _read(Path(path))
    try:
        described = json.loads(metadata[_KEY])
        found = described["format_version"]
        if not isinstance(found, int) or found > FORMAT_VERSION:
            raise ModelFileError(
                f"{path} has the format {found} of sums; this version reads up to {FORMAT_VERSION}: update halfsquare"
            )
        if metadata.get(_SEAL) != _sealed(metadata[_KEY], tensors):
            raise ValueError("its contents do not have the digest that was written with them")
        return _sums(described, tensors)
    except (KeyError, TypeError, ValueError, IndexError, AttributeError, RecursionError) as problem:
        raise ModelFileError(f"{path} is damaged: {type(problem).__name__} at {problem}") from None


def is_sums(path: str | Path) -> bool:
    """Whether a file says that it holds sums; False for anything else, or nothing."""
    try:
        return _KEY in _read(Path(path), tensors=False)[0]
    except ModelFileError:
        return False


def _read(path: Path, *, tensors: bool = True) -> tuple[dict[str, str], dict[str, Any]]:
    from safetensors import SafetensorError, safe_open

    if not path.is_file():
        raise ModelFileError(f"there is no file {path}" if not path.exists() else f"{path} is not a file")
    if path.stat().st_size > _MAX_BYTES:
        raise ModelFileError(f"{path} is larger than any file of sums")
    try:
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
            found = {name: file.get_tensor(name) for name in file.keys()} if tensors else {}  # noqa: SIM118
    except (SafetensorError, OSError, ValueError, TypeError, KeyError) as problem:
        raise ModelFileError(f"{path} is no file of sums, or it is damaged: {problem}") from None
    if _KEY not in metadata:
        kind = (
            "a model: --from-sums reads what 'halfsquare sums' writes" if "halfsquare" in metadata else "none of ours"
        )
        raise ModelFileError(f"{path} holds no sums; it is {kind}")
    return metadata, found


def _sums(described: dict[str, Any], tensors: dict[str, Any]) -> TableSums:
    columns = tuple(SumColumn(c["name"], c["kind"], tuple(c["levels"])) for c in described["columns"])
    targets = tuple(described["targets"])
    for column in columns:
        if column.kind not in KINDS or list(column.levels) != sorted({str(v) for v in column.levels}):
            raise ValueError(f"column {column.name!r} of unknown kind or with levels out of order")
    terms = sum(len(c.terms) for c in columns)
    if not targets or terms > MAX_TERMS or len({*targets, *(c.name for c in columns)}) < len(targets) + len(columns):
        raise ValueError("columns that are too many, or named twice")
    grams = [_gram(described[part], tensors[part], 1 + terms + len(targets)) for part in ("train", "test")]
    sources = tuple(SumSource(**{**s, **{p: _ranges(s[p]) for p in ("train", "test")}}) for s in described["sources"])
    counts = Counts(**described["counts"])
    left_out, doubts = dict(described["left_out"]), tuple(described["doubts"])
    return TableSums(targets, described["weight"], columns, left_out, grams[0], grams[1], counts, sources, doubts)


def _ranges(saved: dict[str, Any]) -> dict[str, tuple[float, float]]:
    return {str(name): (float(low), float(high)) for name, (low, high) in saved.items()}


def _gram(saved: dict[str, Any], packed: Any, columns: int) -> ExactGram:
    upper = np.triu_indices(columns)
    limbs, low, rows = len(packed), saved["low"], saved["rows"]
    if packed.dtype != np.int32 or packed.ndim != 2 or packed.shape[1] != len(upper[0]) or limbs > _MAX_LIMBS:
        raise ValueError(f"sums of shape {packed.shape} and type {packed.dtype} for {columns} columns")
    half = 1 << (BITS - 1)
    if limbs and (packed.min() < -half or packed.max() >= half or not packed[0].any() or not packed[-1].any()):
        raise ValueError("sums that are not in their one form")
    if not isinstance(rows, int) or not isinstance(low, int) or rows < 0 or not -_MAX_LIMBS < low < _MAX_LIMBS:
        raise ValueError(f"{rows} rows from limb {low}")
    whole = np.zeros((limbs, columns, columns), dtype=np.int32)
    whole[:, upper[0], upper[1]] = packed
    whole[:, upper[1], upper[0]] = packed
    gram = ExactGram(rows, low, whole)
    if gram.impossible() is not None:
        raise ValueError("sums that no rows have")
    return gram


def _packed(gram: ExactGram) -> Any:
    upper = np.triu_indices(gram.columns)
    return np.ascontiguousarray(gram.limbs[:, upper[0], upper[1]], dtype=np.int32)


def _sealed(text: str, tensors: dict[str, Floats]) -> str:
    found = hashlib.sha256(text.encode())
    for name in ("train", "test"):
        found.update(np.ascontiguousarray(tensors[name]).tobytes())
    return found.hexdigest()
