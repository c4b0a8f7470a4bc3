"""A file that changes, shrinks or goes while it is read is detected and refused; what was written
before stays.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from halfsquare import fit
from halfsquare.data.deciding import open_source
from halfsquare.data.passes import record_batches
from halfsquare.data.source import Source
from halfsquare.data.spec import DataSpec
from halfsquare.errors import DataError
from halfsquare.explain.pulls import explain_pulls
from halfsquare.results.evaluate import evaluate
from halfsquare.results.predict import predicted_batches, write_batches

ROWS = 60_000


def write(path: Path, seed: int = 0, rows: int = ROWS) -> None:
    x = np.random.default_rng(seed).normal(size=(rows, 3)).round(3)
    frame = pa.table({name: x[:, j] for j, name in enumerate("abc")})
    if path.suffix == ".parquet":
        pq.write_table(frame, path, row_group_size=5000)
    else:
        path.write_text("a,b,c\n" + "\n".join(",".join(map(str, r)) for r in x) + "\n")


def shrink(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def grow(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"1,2,3\n")


def rewrite(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[:-8] + b"00000000")  # as long as before
    os.utime(
        path, ns=(0, path.stat().st_mtime_ns + 10_000_000)
    )  # whatever the clock of the file system


def replace(path: Path) -> None:
    other = path.with_name("other" + path.suffix)
    write(other, 1)
    other.replace(path)


CHANGES: dict[str, tuple[Callable[[Path], None], str]] = {
    "shrunk": (
        shrink,
        r"was changed while it was read: it had [\d,]+ bytes at the beginning, and has [\d,]+ now",
    ),
    "grown": (
        grow,
        r"was changed while it was read: it had [\d,]+ bytes at the beginning, and has [\d,]+ now",
    ),
    "rewritten": (rewrite, r"but they were written anew"),
    "replaced": (replace, r"another file has taken its place|it had [\d,]+ bytes"),
    "gone": (Path.unlink, "it is no longer there"),
}


class Once:
    """Does something to a file as soon as the first rows have been read."""

    def __init__(self, change: Callable[[Path], None], path: Path) -> None:
        self.change, self.path, self.done = change, path, False

    def __call__(self, rows: int) -> None:
        if not self.done:
            self.done = True
            self.change(self.path)


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
@pytest.mark.parametrize("name", CHANGES)
def test_during_the_fit(name: str, suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"data{suffix}"
    write(path)
    change, words = CHANGES[name]
    with pytest.raises(DataError, match=words):
        fit(str(path), "c", model="linear", progress=Once(change, path))


def test_left_alone_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "data.csv"
    write(path)
    assert fit(str(path), "c", model="linear", progress=lambda rows: None).info["rows_read"] == ROWS


@pytest.mark.parametrize("name", ["shrunk", "rewritten"])
def test_during_other_passes(name: str, tmp_path: Path) -> None:
    path, out = tmp_path / "data.csv", tmp_path / "out.csv"
    write(path)
    fitted = fit(str(path), "c", model="linear")
    change, words = CHANGES[name]
    out.write_text("old")

    def predict(once: Once) -> Any:
        return write_batches(
            predicted_batches(fitted, DataSpec(str(path), progress=once)), str(out)
        )

    for work in (
        predict,
        lambda once: evaluate(fitted, DataSpec(str(path), progress=once)),
        lambda once: explain_pulls(fitted, DataSpec(str(path), progress=once)),
    ):
        write(path)
        with pytest.raises(DataError, match=words):
            work(Once(change, path))
    assert out.read_text() == "old"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["data.csv", "out.csv"]


def test_between_looking_and_reading(tmp_path: Path) -> None:
    path = tmp_path / "data.csv"
    write(path, rows=100)
    source: Source = open_source(str(path))
    grow(path)
    with pytest.raises(DataError, match="was changed while it was read"):
        list(record_batches(source, source.columns))
    with pytest.raises(DataError, match="was changed while it was read"):
        source.row(3)


def test_a_new_file_of_a_glob(tmp_path: Path) -> None:
    for i in range(3):
        write(tmp_path / f"part{i}.csv", i, rows=50)
    source = open_source(str(tmp_path / "part*.csv"))
    assert sum(b.num_rows for b in record_batches(source, source.columns)) == 150
    write(tmp_path / "part3.csv", 3, rows=50)
    with pytest.raises(DataError, match=r"has a new file since the reading began: .*part3\.csv"):
        list(record_batches(source, source.columns))


def test_a_file_in_a_query(tmp_path: Path) -> None:
    path = tmp_path / "data.csv"
    write(path, rows=50)
    source = open_source(f"SELECT a, b FROM '{path}' WHERE a > 0")
    assert list(record_batches(source, source.columns))
    shrink(path)
    with pytest.raises(DataError, match="was changed while it was read"):
        list(record_batches(source, source.columns))


def test_between_the_fit_and_its_report(
    tmp_path: Path, command: Callable[..., Any], monkeypatch: Any
) -> None:
    pytest.importorskip("vl_convert", reason="the report needs the extra 'page'")
    from halfsquare import FittedModel

    path = tmp_path / "data.csv"
    write(path, rows=100)
    save = FittedModel.save
    monkeypatch.setattr(FittedModel, "save", lambda self, out: (save(self, out), grow(path)))
    ran = command(
        "fit",
        "data.csv",
        "--target",
        "c",
        "--model",
        "linear",
        "--out",
        "m.hsq",
        "--report",
        "r.html",
    )
    assert (ran.code, ran.out) == (1, "")
    assert "data.csv was changed while it was read" in ran.err
    assert not (tmp_path / "r.html").exists()
