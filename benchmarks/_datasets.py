"""The data sets and published test splits that benchmarks read from the folder given with
``--data``.
"""

from __future__ import annotations

import gzip
import io
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np


@dataclass(frozen=True)
class Split:
    """One published split, in the units of the file: rows to learn from and rows to be judged
    by.
    """

    name: str
    number: int
    design: np.ndarray
    target: np.ndarray
    test_design: np.ndarray
    test_target: np.ndarray


def names(folder: Path) -> list[str]:
    """``splits/…`` and ``uci/…``, as they lie in the folder."""
    return [
        f"{kind}/{path.name}"
        for kind in ("splits", "uci")
        for path in sorted((folder / kind).iterdir())
    ]


def splits(folder: Path, name: str, count: int) -> Iterator[Split]:
    """The first ``count`` splits of a set."""
    design, target, tests = _read(folder / name)
    for number, test in enumerate(tests[:count]):
        yield Split(
            name.split("/")[1], number, design[~test], target[~test], design[test], target[test]
        )


def _read(folder: Path) -> tuple[np.ndarray, np.ndarray, list[np.ndarray]]:
    if (folder / "data.csv.gz").exists():
        table = _gzipped(folder / "data.csv.gz")
        masks = _gzipped(folder / "test_mask.csv.gz") > 0
        return table[:, :-1], table[:, -1], list(masks.T)
    table = np.loadtxt(folder / "data.txt")
    features = np.loadtxt(folder / "index_features.txt", dtype=int)
    target = int(np.loadtxt(folder / "index_target.txt"))
    tests = [
        np.isin(np.arange(len(table)), rows)
        for rows in json.loads((folder / "test_indices.json").read_text())
    ]
    return table[:, features], table[:, target], tests


def _gzipped(path: Path) -> np.ndarray:
    with gzip.open(path, "rt") as file:
        return np.loadtxt(io.StringIO(file.read()), delimiter=",")
