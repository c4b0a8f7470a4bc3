"""More columns than rows: the minimum-norm answer, at the cost of the rows squared."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from halfsquare import LinearRegressor, fit, sum_rows
from halfsquare.data.deciding import open_source
from halfsquare.errors import DataError, FitError
from halfsquare.explain.changes import _output_over_steps, changes
from halfsquare.explain.parts import tree_contributions
from halfsquare.solvers import wide
from halfsquare.solvers.wide import MOST_COLUMNS


def problem(n: int, d: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    random = np.random.default_rng(n)
    x = random.normal(3.0, random.uniform(0.1, 10, d), (n, d))
    return x, random.normal(size=n), random.uniform(0.5, 2.0, n)


@pytest.mark.parametrize("weighted", [False, True])
def test_it_is_the_answer_of_smallest_norm(weighted: bool) -> None:
    """Of the standardized columns, against the pseudo-inverse."""
    x, y, w = problem(7, 300)
    weight = w if weighted else np.ones(7)
    mean, middle = (np.average(v, axis=0, weights=weight) for v in (x, y))
    scale = np.sqrt(np.average((x - mean) ** 2, axis=0, weights=weight))
    root = np.sqrt(weight)[:, None]
    standard = np.linalg.pinv((x - mean) / scale * root, rcond=1e-10) @ ((y - middle) * root[:, 0])
    found = LinearRegressor().fit(x, y, sample_weight=weight if weighted else None)
    np.testing.assert_allclose(found.coef_, standard / scale, rtol=1e-9, atol=1e-14)
    np.testing.assert_allclose(found.predict(x), y, atol=1e-9)
    assert found.rank_ == 6 and np.isnan(found.coef_std_error_).all()


def test_the_same_as_from_the_sums(monkeypatch: pytest.MonkeyPatch) -> None:
    x, y, _ = problem(12, 230)
    x[:, 5], x[:, 9] = 1.0, x[:, 8]
    there = LinearRegressor().fit(x, y)
    monkeypatch.setattr(wide, "_LEAST", 1 << 30)
    here = LinearRegressor().fit(x, y)
    np.testing.assert_allclose(there.coef_, here.coef_, rtol=1e-6, atol=1e-12)
    assert (there.rank_, there.coef_[5]) == (here.rank_, 0.0)


def test_rows_that_stand_twice_leave_degrees_of_freedom() -> None:
    x, y, _ = problem(5, 250)
    fitted = fit(
        {f"x{j}": np.tile(x[:, j], 2) for j in range(250)} | {"y": np.concatenate([y, y + 1.0])},
        "y",
        model="linear",
        test_fraction=0,
    )
    assert fitted.info["facts"]["degrees_of_freedom"] == pytest.approx(5.0)
    assert fitted.residual_standard_deviation[0] == pytest.approx(np.sqrt(2.5 / 5.0))
    assert "10 rows cannot determine 250 coefficients" in fitted.info["warnings"][0]


def test_what_is_too_wide_is_refused_with_its_cost() -> None:
    n, d = MOST_COLUMNS + 2, MOST_COLUMNS + 1
    with pytest.raises(FitError, match=r"10,001 columns are too many: .* 0\.8 GB, and solving .*"):
        wide.require_columns(_Rows(n), d, wide=False)
    with pytest.raises(FitError, match=r"200,000 columns on 5,000 rows are too many: .* 24\.0 GB"):
        wide.require_columns(_Rows(5000), 200_000, wide=True)
    wide.require_columns(_Rows(3), 200_000, wide=True)


class _Rows:
    def __init__(self, count: int) -> None:
        self.row_count = count


@pytest.mark.parametrize("model", ["linear", "trees"])
def test_twice_the_columns_are_twice_the_work(model: str, tmp_path: Path) -> None:
    """In lines of our own that are run, by fit, predict and evaluate, for each column once.

    The columns of trees were sought among all for each of them: of 20,000 that took longer than all
    the rest, whatever the time limit.
    """
    counts = []
    for d in (200, 400):
        path = tmp_path / f"{d}.csv"
        rows = np.random.default_rng(0).normal(size=(3, d)).round(3).astype(str)
        header = ",".join([*(f"c{j}" for j in range(d - 1)), "y"])
        path.write_text("\n".join([header, *map(",".join, rows)]) + "\n")
        with lines_run() as lines:
            fitted = fit(str(path), "y", model=model, test_fraction=0)
            fitted.predict(str(path))
            fitted.evaluate(str(path))
            row = np.zeros(len(fitted.encoder.names))
            changes(fitted, row)
            if model == "trees":
                tree_contributions(fitted, row[None, :])
        counts.append(lines[0])
    assert 1.5 < counts[1] / counts[0] < 2.2


@contextmanager
def lines_run() -> Iterator[list[int]]:
    """How many lines of this package are run in this thread meanwhile."""
    found = [0]

    def line(frame: FrameType, event: str, argument: object) -> Any:
        found[0] += event == "line"
        return line

    def called(frame: FrameType, event: str, argument: object) -> Any:
        return line if "halfsquare" in frame.f_code.co_filename else None

    before = sys.gettrace()
    sys.settrace(called)
    try:
        yield found
    finally:
        sys.settrace(before)


def test_a_header_longer_than_a_block_is_read_whole(tmp_path: Path) -> None:
    """Names are never cut: 1 MB is read at first."""
    names = [f"{'long' * 30}{j}" for j in range(10_000)]
    path = tmp_path / "wide.csv"
    path.write_text(",".join(names) + "\n" + ",".join(map(str, range(10_000))) + "\n")
    assert path.stat().st_size > 1 << 20
    assert open_source(path).columns[-1].name == names[-1]


def test_more_columns_than_can_be_read_are_refused_at_once(tmp_path: Path) -> None:
    path = tmp_path / "wider.csv"
    row = ",".join(["1"] * 40_001)
    path.write_text(",".join(f"c{j}" for j in range(40_001)) + f"\n{row}\n{row}\n")
    with pytest.raises(
        DataError, match=r"wider\.csv has 40,001 columns; at most 40,000 are read: .* 1 minutes"
    ):
        open_source(path)


@pytest.mark.parametrize("form", ["csv", "parquet", "frame", "array"])
def test_sums_of_too_many_columns_are_refused_before_a_row_is_read(
    form: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """20,000 columns were opened for 12 seconds, and refused then."""
    columns = {f"x{j + 1}": np.zeros(2) for j in range(2_102)}
    path, data = tmp_path / f"wide.{form}", columns if form == "frame" else None
    if form == "csv":
        path.write_text("\n".join([",".join(columns), *[",".join("0" * 2_102)] * 2]))
    elif form == "parquet":
        pq.write_table(pa.table(columns), path)
    elif form == "array":
        data = np.zeros((2, 2_102))

    def opened(*_: object) -> None:
        raise AssertionError("the rows were opened")

    monkeypatch.setattr("halfsquare.exact.sum_rows.whole", opened)
    with pytest.raises(DataError, match=r"has 2,100 columns to sum: up to 4,201 terms and 8,826,"):
        sum_rows(str(path) if data is None else data, "x1", exclude=["x2"])
    with pytest.raises(AssertionError):
        sum_rows(str(path) if data is None else data, "x1", features=["x3"])


def test_steps_about_a_row_are_tried_some_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """All at once they were a matrix of twice the square of the columns: 6 GB of 20,000."""
    random = np.random.default_rng(0)
    data = {f"x{j}": random.normal(size=80) for j in range(6)}
    data["x1"][::7] = np.nan
    data |= {"y": np.nan_to_num(data["x1"]) * 2 + data["x4"] ** 2}
    for options in ({"model": "trees"}, {"model": "linear", "target_transform": "yeo-johnson"}):
        fitted = fit(data, "y", test_fraction=0, **options)
        design = random.normal(size=len(fitted.encoder.names))
        steps = 0.5 * np.eye(len(design))
        outputs, _ = fitted.outputs_of(np.vstack([design + steps, design - steps]))
        wanted = outputs[: len(design), 0] - outputs[len(design) :, 0]
        for numbers in (1, 40, 1 << 24):
            monkeypatch.setattr("halfsquare.explain.changes._NUMBERS", numbers)
            found = _output_over_steps(fitted, design, 0)
            assert found == pytest.approx(wanted, abs=1e-12) and np.ptp(found) > 0.1
