"""Whole numbers beyond 2⁵³ in tables: their differences count, whatever door they come by.

The reference is statsmodels on the differences.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import statsmodels.api as sm

from halfsquare import LinearRegressor, fit, fit_sums, load, sum_rows


@pytest.fixture(scope="module")
def far_apart(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """One table by every door: t beyond 2⁵³, with differences that float64 does not hold."""
    k, folder = np.arange(40), tmp_path_factory.mktemp("far")
    t = 1_700_000_000_000_000_000 + 100 * k + k % 3
    frame = pd.DataFrame({"t": t, "x": np.round(np.sin(k), 3)})
    frame["y"] = 3.0 + 0.005 * (t - t[0]) + 0.25 * frame.x + np.round(np.cos(5 * k) * 0.01, 4)
    frame.to_csv(folder / "a.csv", index=False)
    frame.to_parquet(folder / "a.parquet")
    frame.to_json(folder / "a.json", orient="records")
    # Before the large numbers many small ones, in rows without a target.
    before = pd.DataFrame({"t": np.full(3000, 5), "x": 0.0, "y": np.nan})
    pd.concat([before, frame]).to_csv(folder / "late.csv", index=False)
    decimal = pa.array(t.tolist()).cast(pa.decimal128(25, 2))
    table = pa.table({"t": decimal, "x": frame.x.to_numpy(), "y": frame.y.to_numpy()})
    return {
        "csv": folder / "a.csv",
        "parquet": folder / "a.parquet",
        "json": folder / "a.json",
        "late": folder / "late.csv",
        "frame": frame,
        "unsigned": frame.assign(t=frame.t.astype("uint64")),
        "decimal": table,
        "query": f"SELECT * FROM '{folder / 'a.parquet'}'",
    }


def _of_differences(frame: pd.DataFrame) -> Any:
    design = np.column_stack([(frame.t - frame.t.iloc[0]).astype(float), frame.x])
    return sm.OLS(frame.y.to_numpy(), sm.add_constant(design)).fit()


@pytest.mark.parametrize(
    "door", ["csv", "parquet", "json", "late", "frame", "unsigned", "decimal", "query"]
)
def test_tables_keep_differences_beyond_float64(
    far_apart: dict[str, Any], door: str, tmp_path: Path
) -> None:
    frame = far_apart["frame"]
    known = _of_differences(frame)
    fitted = fit(far_apart[door], "y", model="linear", test_fraction=0)
    fitted.save(tmp_path / "m.hsq")
    for model in (fitted, load(tmp_path / "m.hsq")):
        by_name = {p.name: p for p in model.parameters}
        assert by_name["t"].value == pytest.approx(known.params[1], rel=1e-12)
        assert by_name["t"].standard_error == pytest.approx(known.bse[1], rel=1e-9)
        # The intercept is where t is 0.
        at_zero = known.params[0] - known.params[1] * float(frame.t.iloc[0])
        assert by_name["intercept"].value == pytest.approx(at_zero, rel=1e-12)
        assert np.abs(model.predict(frame) - known.fittedvalues).max() < 1e-12
        assert np.abs(model.predict(frame.iloc[[7, 3]]) - known.fittedvalues[[7, 3]]).max() < 1e-12
    assert "less 1700000000000000000" in fitted.encoder.features[0].decision


def test_terms_and_sums_keep_differences_beyond_float64(
    far_apart: dict[str, Any], tmp_path: Path
) -> None:
    frame = far_apart["frame"]
    known = _of_differences(frame)
    models = [fit(frame, formula="y ~ t + x", model="linear", test_fraction=0)]
    models.append(LinearRegressor().fit(frame[["t", "x"]], frame.y).fitted_)
    # Sums of parts that begin at other values, merged either way and taken apart again.
    parts = [sum_rows(f, "y", test_fraction=0) for f in (frame.iloc[:17], frame.iloc[17:])]
    first, second = parts
    assert first.reading.columns["t"].base != second.reading.columns["t"].base
    for merged in (first.merge(second), second.merge(first)):
        models += [fit_sums(merged), fit_sums(merged.merge(second).subtract(second))]
    for model in models:
        value = {p.name: p.value for p in model.parameters}["t"]
        assert value == pytest.approx(known.params[1], rel=1e-12)
        assert np.abs(model.predict(frame) - known.fittedvalues).max() < 1e-12
    # A column that stands elsewhere too is as float64 has it, and this is told.
    product = fit(frame, formula="y ~ t * x", model="linear", test_fraction=0)
    assert "in float64" in " ".join(product.info["reading"]["suspicious"])


def test_numbers_are_not_told_to_be_texts_too(tmp_path: Path) -> None:
    """Beyond 2⁶³, and in JSON from 2⁵³ on: they are read less the first of them, and as nothing
    else.
    """
    k = np.arange(60)
    y = (k % 7 + 0.5 * k).tolist()
    high = pa.table({"u": pa.array([2**63 + 7 * i for i in range(60)], pa.uint64()), "y": y})
    pq.write_table(high, tmp_path / "u.parquet")
    lines = [f'{{"u": {2**53 + i * i}, "y": {v}}}' for i, v in enumerate(y)]
    (tmp_path / "u.jsonl").write_text("\n".join(lines) + "\n")
    for name in ("u.parquet", "u.jsonl"):
        said = fit(tmp_path / name, "y", model="linear").info["reading"]["suspicious"]
        (about,) = [s for s in said if s.startswith("u: ")]
        assert "whole numbers that float64 would merge, taken less" in about
    # Texts some of which are numbers are texts, and it is still said.
    mixed = pa.table({"u": [str(i) if i % 2 else f"t{i}" for i in range(60)], "y": y})
    pq.write_table(mixed, tmp_path / "t.parquet")
    said = fit(tmp_path / "t.parquet", "y", model="linear").info["reading"]["suspicious"]
    assert any(s.startswith("u: some of its texts are numbers") for s in said)
