"""The data: the same rows by any door give the same bits; decisions are kept; what does not fit is
named.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import os
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet
import pytest

from halfsquare import FittedModel, load
from halfsquare import fit as fit_any
from halfsquare.data import table as raw_table
from halfsquare.data.arrow import floats_of, integers_of
from halfsquare.data.features import Category
from halfsquare.data.levels import MISSING, UNSEEN
from halfsquare.errors import DataError, NotFiniteError, OptionError
from halfsquare.results import evaluate

fit = partial(fit_any, model="linear")

N = 400


def frame(n: int = N, seed: int = 0) -> pd.DataFrame:
    """Numbers with gaps, categories, times, booleans; what the target is made of."""
    rng = np.random.default_rng(seed)
    size, rooms = np.round(rng.uniform(20, 200, n), 1), rng.integers(1, 7, n)
    town = rng.choice(["Ulm", "Bonn", "Kiel"], n, p=[0.5, 0.3, 0.2])
    sold = [
        datetime(2020, 1, 1) + timedelta(days=int(d), hours=int(h))
        for d, h in zip(rng.integers(0, 900, n), rng.integers(0, 24, n), strict=True)
    ]
    garden = rng.random(n) < 0.4
    level = pd.Series(town).map({"Ulm": 0.0, "Bonn": 50.0, "Kiel": -20.0})
    price = np.round(30 + 2 * size + 5 * rooms + level + 10 * garden + rng.normal(size=n) * 5, 2)
    return pd.DataFrame(
        {"size": size, "rooms": rooms, "town": town, "sold": sold, "garden": garden, "price": price}
    )


def bits(fitted: FittedModel) -> tuple[Any, ...]:
    """All of the model but how its values were written, which is another in every kind of file."""
    return (
        [vars(p) for p in fitted.parameters],
        fitted.train,
        fitted.test,
        {k: v for k, v in fitted.encoder.as_dict().items() if k != "reading"},
    )


# --- doors ----------------------------------------------------------------------------------------
# -------------------


def as_json_lines(data: pd.DataFrame, path: Path) -> None:
    data.to_json(
        path, orient="records", lines=True, date_format="iso", date_unit="s", double_precision=10
    )


def as_database(data: pd.DataFrame, path: Path) -> None:
    with duckdb.connect(str(path)) as connection:
        connection.register("frame", data)
        connection.execute("CREATE TABLE houses AS SELECT * FROM frame")


FILES: dict[str, Callable[[pd.DataFrame, Path], Any]] = {
    "houses.csv": lambda d, p: d.to_csv(p, index=False),
    "houses.csv.gz": lambda d, p: d.to_csv(p, index=False),
    "houses.tsv": lambda d, p: d.to_csv(p, index=False, sep="\t"),
    "semicolons.txt": lambda d, p: d.to_csv(p, index=False, sep=";"),
    "houses.parquet": lambda d, p: d.to_parquet(p, index=False),
    "houses.jsonl": as_json_lines,
    "houses.duckdb": as_database,
}


@pytest.fixture(scope="module")
def reference() -> tuple[Any, ...]:
    return bits(fit(frame(), "price"))


@pytest.mark.parametrize("name", FILES)
def test_every_file_gives_the_same_model_to_the_last_bit(
    tmp_path: Path, name: str, reference: tuple
) -> None:
    FILES[name](frame(), tmp_path / name)
    assert bits(fit(tmp_path / name, "price")) == reference
    assert bits(fit(str(tmp_path / name), "price")) == reference


def test_a_query_and_a_named_table(tmp_path: Path, reference: tuple) -> None:
    frame().to_parquet(tmp_path / "a.parquet")
    query = f"SELECT * FROM '{tmp_path / 'a.parquet'}'"
    assert bits(fit(query, "price")) == reference
    assert (
        bits(
            fit(
                query.lower().replace("select *", "  with t as (select *") + ") select * from t;",
                "price",
            )
        )
        == reference
    )
    as_database(frame(), tmp_path / "b.duckdb")
    with duckdb.connect(str(tmp_path / "b.duckdb")) as connection:
        connection.execute("CREATE TABLE other (x INTEGER)")
    assert bits(fit(tmp_path / "b.duckdb", "price", table="houses")) == reference
    for table, words in (
        (None, "several tables; name one with --table. Its tables: houses, other"),
        ("house", "has no table 'house'"),
    ):
        with pytest.raises(DataError, match=words):
            fit(tmp_path / "b.duckdb", "price", table=table)


def test_a_glob_is_its_files_in_the_order_of_their_names(tmp_path: Path, reference: tuple) -> None:
    data = frame()
    for i, start in enumerate(range(0, N, 100)):
        data[start : start + 100].to_csv(tmp_path / f"part-{i}.csv", index=False)
        data[start : start + 100].to_parquet(tmp_path / f"part-{i}.parquet", index=False)
    assert bits(fit(tmp_path / "part-*.csv", "price")) == reference
    assert bits(fit(str(tmp_path / "*.parquet"), "price")) == reference
    with pytest.raises(DataError, match=r"no file matches .*none-\*.csv"):
        fit(tmp_path / "none-*.csv", "price")


@pytest.mark.parametrize(
    "make",
    [
        lambda d: d,
        pl.from_pandas,
        lambda d: pl.from_pandas(d).lazy(),
        pa.Table.from_pandas,
        lambda d: pa.RecordBatch.from_pandas(d),
    ],
    ids=["pandas", "polars", "lazy", "arrow", "batch"],
)
def test_every_frame_gives_the_same_model_to_the_last_bit(make: Callable, reference: tuple) -> None:
    assert bits(fit(make(frame()), "price")) == reference


def test_arrays(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(50, 3))
    fitted = fit(x, "x3", test_fraction=0)
    assert [p.name for p in fitted.parameters] == ["intercept", "x1", "x2"]
    named = fit({"x1": x[:, 0], "x2": x[:, 1], "x3": x[:, 2]}, "x3", test_fraction=0)
    assert bits(named)[0] == bits(fitted)[0]
    np.testing.assert_array_equal(fitted.predict(x), fitted.predict(x[:, :2]))
    np.testing.assert_array_equal(fitted.predict(np.asfortranarray(x)), fitted.predict(x))
    structured = np.rec.fromarrays([x[:, 0], x[:, 1], x[:, 2]], names="x1,x2,x3")
    assert bits(fit(structured, "x3", test_fraction=0))[0] == bits(fitted)[0]
    assert (
        bits(fit(x.astype(np.float32).astype(float), "x3"))[0]
        == bits(fit(x.astype(np.float32), "x3"))[0]
    )
    with pytest.raises(DataError, match=r"shape \(50,\); expected rows and columns"):
        fit(x[:, 0], "x1")
    with pytest.raises(
        DataError, match="the array has 4 columns; expected the 2 of the model: a, b"
    ):
        fit({"a": x[:, 0], "b": x[:, 1], "c": x[:, 2]}, "c").predict(np.zeros((2, 4)))
    with pytest.raises(OptionError, match="cannot read rows from int"):
        fit(3, "x1")


# --- decisions ------------------------------------------------------------------------------------
# -------------------


def decisions(fitted: FittedModel) -> dict[str, str]:
    return {f.column: f.decision for f in fitted.encoder.features}


def test_every_column_has_a_decision() -> None:
    fitted = fit(frame(), "price", test_fraction=0)
    assert decisions(fitted)["size"] == "number from 20.1 to 199.5"
    assert (
        decisions(fitted)["town"] == "category, one-hot, 3 levels: reference Ulm; Ulm, Bonn, Kiel"
    )
    assert decisions(fitted)["sold"].startswith("date or time, as day, time of day sin 1")
    values = {p.name: p.value for p in fitted.parameters}
    assert values["size"] == pytest.approx(2, abs=0.03)
    assert values["town=Bonn"] == pytest.approx(50, abs=3)
    assert values["town=Kiel"] == pytest.approx(-20, abs=3)
    assert values["garden"] == pytest.approx(10, abs=3)
    assert fitted.train["rmse"] == pytest.approx(5, rel=0.15)


def test_one_hot_is_what_is_done_by_hand() -> None:
    data = frame()
    by_hand = data.assign(bonn=(data.town == "Bonn") * 1.0, kiel=(data.town == "Kiel") * 1.0)
    ours = fit(data, "price", features=["size", "town"], test_fraction=0)
    reference = fit(by_hand, "price", features=["size", "bonn", "kiel"], test_fraction=0)
    for a, b in zip(ours.parameters, reference.parameters, strict=True):
        assert (a.value, a.standard_error) == pytest.approx((b.value, b.standard_error), rel=1e-10)


def test_missing_numbers_are_the_mean_with_an_indicator() -> None:
    data = frame()
    data.loc[::7, "size"] = np.nan
    gone = data["size"].isna()
    by_hand = data.assign(gone=gone * 1.0, size=data["size"].fillna(data["size"].mean()))
    ours = fit(data, "price", features=["size", "rooms"], test_fraction=0)
    reference = fit(by_hand, "price", features=["size", "gone", "rooms"], test_fraction=0)
    assert [p.name for p in ours.parameters] == ["intercept", "size", "size is missing", "rooms"]
    by_name = {p.name: p for p in reference.parameters}
    for a in ours.parameters:
        b = by_name[a.name if a.name != "size is missing" else "gone"]
        assert (a.value, a.standard_error) == pytest.approx((b.value, b.standard_error), rel=1e-9)
    assert "14.50% missing: the mean, and an indicator" in decisions(ours)["size"]
    # Missing at prediction only: the mean.
    whole = fit(frame(), "price", features=["size", "rooms"], test_fraction=0)
    mean = frame()["size"].mean()
    assert whole.predict({"size": [np.nan], "rooms": [3.0]}) == pytest.approx(
        whole.predict({"size": [mean], "rooms": [3.0]})
    )


@pytest.mark.parametrize(
    "text", ["", "NA", "N/A", "NaN", "nan", "NULL", "null", "None", "#N/A", "?"]
)
def test_what_stands_for_no_value(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.csv").write_text(
        "x,c,y\n"
        + "".join(f"{i},{'ab'[i % 2]},{i * 2}\n" for i in range(30))
        + f"{text},{text},7\n3,a,{text}\n"
    )
    fitted = fit(tmp_path / "a.csv", "y", test_fraction=0)
    assert "x is missing" in fitted.encoder.names
    assert "c=(missing)" in fitted.encoder.names
    assert (fitted.info["rows_read"], fitted.info["rows_missing_target"], fitted.train["rows"]) == (
        32,
        1,
        31,
    )


def test_rare_missing_and_unseen_levels() -> None:
    town = ["Ulm"] * 60 + ["Bonn"] * 30 + ["X"] + ["Z"] + [None] * 8
    y = np.concatenate([np.zeros(60), np.ones(30), [9.0, 11.0], np.full(8, 5.0)])
    fitted = fit(pd.DataFrame({"town": town, "y": y}), "y", test_fraction=0)
    assert fitted.encoder.names == ("town=Bonn", "town=(other)", "town=(missing)")
    assert "rare levels together, missing a level" in decisions(fitted)["town"]
    found = fitted.predict(pd.DataFrame({"town": ["Ulm", "Bonn", "X", "Z", "Unheard of", None]}))
    np.testing.assert_allclose(found, [0, 1, 10, 10, 10, 5], atol=1e-9)
    # Where no level is rare, an unseen one is the average row, as is a missing value where none was
    # missing.
    plain = fit(pd.DataFrame({"town": town[:90], "y": y[:90]}), "y", test_fraction=0)
    np.testing.assert_allclose(
        plain.predict(pd.DataFrame({"town": ["Unheard of", None]})), y[:90].mean()
    )


def test_categories_by_request_and_digits_with_leading_zeros(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(
        "zip,y\n" + "".join(f"{(1067, 4109, 10115)[i % 3]},{i % 3}\n" for i in range(60))
    )
    assert fit(tmp_path / "a.csv", "y").encoder.names == ("zip",)
    fitted = fit(tmp_path / "a.csv", "y", category=["zip"], test_fraction=0)
    assert fitted.encoder.names == ("zip=1067", "zip=4109") or len(fitted.encoder.names) == 2
    np.testing.assert_allclose(fitted.predict(tmp_path / "a.csv")[:3], [0, 1, 2], atol=1e-9)
    with pytest.raises(DataError, match=r"no column 'zap'\. Did you mean 'zip'"):
        fit(tmp_path / "a.csv", "y", category=["zap"])


def test_times_turn_on_circles_and_have_weekdays(tmp_path: Path) -> None:
    when = pd.date_range("2021-01-01", periods=2000, freq="5h")
    y = 3 * np.sin(2 * np.pi * (when.hour / 24)) + 2.0 * (when.day_of_week == 5)
    fitted = fit(pd.DataFrame({"when": when, "y": y}), "y", test_fraction=0)
    values = {p.name: p.value for p in fitted.parameters}
    assert values["when time of day sin 1"] == pytest.approx(3, abs=1e-8)
    assert values["when Saturday"] == pytest.approx(2, abs=1e-8)
    assert values["when Sunday"] == pytest.approx(0, abs=1e-8)
    assert any("season" in name for name in values)
    clock = fit(pd.DataFrame({"at": [t.time() for t in when], "y": y}), "y", test_fraction=0)
    assert clock.encoder.names == (
        "at time of day sin 1",
        "at time of day cos 1",
        "at time of day sin 2",
        "at time of day cos 2",
    )
    dates = fit(pd.DataFrame({"on": when.date, "y": y}), "y", test_fraction=0)
    assert "on day" in dates.encoder.names
    assert not any("time of day" in name for name in dates.encoder.names)
    gaps = pd.DataFrame({"when": when.where(np.arange(2000) % 3 > 0), "y": y})
    assert fit(gaps, "y").encoder.names[-1] == "when is missing"
    assert np.isfinite(fit(gaps, "y").predict(gaps)).all()


def test_columns_left_out_say_why() -> None:
    n = 200
    rng = np.random.default_rng(0)
    data = pd.DataFrame(
        {
            "id": range(n),
            "same": 3.5,
            "name": [f"person {i}" for i in range(n)],
            "empty": [None] * n,
            "one": "a",
            "half": [1.0 if i % 2 else None for i in range(n)],
            "list": [[1, 2]] * n,
            "x": rng.normal(size=n),
            "y": rng.normal(size=n),
        }
    )
    fitted = fit(data, "y", exclude=["x"], test_fraction=0)
    reasons = fitted.encoder.left_out
    assert reasons["id"] == "an identifier: it counts the rows"
    assert reasons["same"] == "constant: 3.5"
    assert reasons["name"] == "an identifier: 200 different texts in 200 rows"
    assert reasons["one"] == "constant: a"
    assert reasons["x"] == "excluded"
    assert "neither number, text nor time" in reasons["list"]
    assert "empty" in reasons
    assert fitted.encoder.names == ("half is missing",)


def test_features_and_roles() -> None:
    data = frame()
    assert {f.column for f in fit(data, "price", features=["rooms", "size"]).encoder.features} == {
        "rooms",
        "size",
    }
    for options, words in (
        ({"features": ["sise"]}, "no column 'sise'. Did you mean 'size'"),
        ({"exclude": ["nothing"]}, "no column 'nothing'"),
        ({"weights": "wight"}, "no weight column 'wight'"),
        ({"weights": "price"}, "two roles"),
        ({"exclude": ["price"]}, "two roles"),
        ({"features": ["price"]}, "two roles"),
    ):
        with pytest.raises((DataError, OptionError), match=words):
            fit(data, "price", **options)  # type: ignore[arg-type]


def test_rows_without_a_target_and_of_weight_zero_are_counted() -> None:
    data = frame()
    data.loc[:9, "price"] = np.nan
    data["w"] = np.where(np.arange(N) % 4 == 0, 0.0, 2.0)
    fitted = fit(data, "price", weights="w", test_fraction=0)
    kept = data[data.price.notna() & (data.w > 0)]
    assert fitted.info["rows_read"] == N
    assert fitted.info["rows_missing_target"] == 10
    assert fitted.train["rows"] == len(kept)
    assert fitted.info["rows_zero_weight"] == N - 10 - len(kept)
    plain = fit(kept, "price", weights="w", test_fraction=0)
    assert [p.value for p in fitted.parameters] == pytest.approx(
        [p.value for p in plain.parameters], rel=1e-9
    )
    measured = evaluate.evaluate(fitted, data)
    assert (measured.missing_target, measured.summary.rows) == (10, N - 10)


# --- prediction -----------------------------------------------------------------------------------
# -------------------


def test_columns_are_matched_by_name_and_others_passed_over() -> None:
    data, fitted = frame(), fit(frame(), "price")
    expected = fitted.predict(data)
    shuffled = data[["sold", "town", "garden", "rooms", "size"]].assign(extra="text", more=np.nan)
    np.testing.assert_array_equal(fitted.predict(shuffled), expected)


def test_a_missing_or_mistyped_column_is_named() -> None:
    data, fitted = frame(), fit(frame(), "price")
    for change, words in (
        (data.drop(columns="size"), "no column 'size'"),
        (data.rename(columns={"size": "Size"}), "no column 'size'. Did you mean 'Size'"),
        (
            data.assign(size=["big"] * N),
            "the data, row 1, column 'size': found 'big', expected numbers as in training",
        ),
        (
            data.assign(sold=1.5),
            "column 'sold' of the data has the type DOUBLE; the model needs a date or time",
        ),
        (
            data.assign(size=data.sold),
            "column 'size' of the data has the type TIMESTAMP.*; expected numbers as in training",
        ),
    ):
        with pytest.raises(DataError, match=words):
            fitted.predict(change)
    with pytest.raises(NotFiniteError, match="row 4, column 'size': found inf"):
        fitted.predict(data.assign(size=[1.0, 2.0, 3.0, np.inf] + [1.0] * (N - 4)))
    with pytest.raises(DataError, match="no target column 'price'"):
        evaluate.evaluate(fitted, data.drop(columns="price"))


def test_empty_columns_and_files_without_rows_at_prediction(tmp_path: Path) -> None:
    data, fitted = frame(), fit(frame(), "price")
    data[["sold", "size"]] = None
    data.to_csv(tmp_path / "gaps.csv", index=False)
    assert np.isfinite(fitted.predict(tmp_path / "gaps.csv")).all()
    frame()[:0].to_csv(tmp_path / "none.csv", index=False)
    assert len(fitted.predict(tmp_path / "none.csv")) == 0


def test_decisions_survive_the_model_file(tmp_path: Path) -> None:
    data = frame()
    data.loc[::9, ["size", "town", "sold"]] = None
    fitted = fit(data, "price")
    fitted.save(tmp_path / "m.hsq")
    again = load(tmp_path / "m.hsq")
    assert again.encoder.as_dict() == fitted.encoder.as_dict()
    assert repr(bits(again)) == repr(bits(fitted))  # NaN where columns determine each other
    new = frame(50, seed=1)
    for a, b in zip(again.interval(new), fitted.interval(new), strict=True):
        np.testing.assert_array_equal(a, b)
    assert json.loads(json.dumps(fitted.encoder.as_dict())) == json.loads(
        json.dumps(again.encoder.as_dict())
    )


# --- the pass -------------------------------------------------------------------------------------
# -------------------


def test_rows_kept_in_a_file_give_the_same_bits_and_leave_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    data = frame(40_000)
    in_memory = bits(fit(data, "price"))
    monkeypatch.setattr(raw_table, "MEMORY_BYTES", 1 << 20)
    opened: list[Any] = []
    spill = raw_table.RawTable._spill
    monkeypatch.setattr(
        raw_table.RawTable, "_spill", lambda self: (opened.append(self), spill(self))[1]
    )
    assert bits(fit(data, "price")) == in_memory
    assert len(opened) == 1
    assert list(tmp_path.iterdir()) == []


def test_a_full_temporary_folder_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from halfsquare.errors import OutputError

    def full(*_: Any) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(raw_table, "MEMORY_BYTES", 0)
    monkeypatch.setattr(os, "pwrite", full)
    with pytest.raises(
        OutputError, match=r"do not fit in the temporary folder .*No space left on device.*TMPDIR"
    ):
        fit(frame(), "price")


def test_the_test_part_is_even_over_the_table_and_of_the_right_size() -> None:
    n = 50_000
    order = np.arange(n, dtype=float)
    table = {"order": order, "x": np.sin(order), "y": order}
    for fraction in (0.1, 0.25, 0.5):
        fitted = fit(table, "y", features=["x"], test_fraction=fraction)
        assert fitted.test is not None
        assert fitted.test["rows"] == round(fraction * n)
        # A shuffled part: its mean is the mean of all to the error of a mean.
        half_width = 4 * n / np.sqrt(12) / np.sqrt(fraction * n)
        assert abs(fitted.test["mean_error"] - fitted.train["mean_error"]) < half_width * 2


def test_a_csv_of_awkward_but_lawful_text(tmp_path: Path) -> None:
    rows = [
        ["x", 'a "quoted", name', "y"],
        *[[str(i), ["a,b", "line\nbreak", 'say "hi"'][i % 3], str(i * 1.5)] for i in range(90)],
    ]
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    (tmp_path / "a.csv").write_text("\ufeff" + text.getvalue(), encoding="utf-8")
    with gzip.open(tmp_path / "b.csv.gz", "wt", encoding="utf-8") as file:
        file.write(text.getvalue())
    fitted = fit(tmp_path / "a.csv", "y", test_fraction=0)
    assert fitted.train["rows"] == 90
    assert {f.column for f in fitted.encoder.features} | set(fitted.encoder.left_out) == {
        "x",
        'a "quoted", name',
    }
    assert bits(fit(tmp_path / "b.csv.gz", "y", test_fraction=0)) == bits(fitted)


def test_whole_numbers_that_go_on_with_fractions_are_not_rounded(tmp_path: Path) -> None:
    n = 30_000
    x = [str(i) for i in range(n)] + ["0.5"] * 3
    (tmp_path / "a.csv").write_text("x,y\n" + "".join(f"{v},{float(v) * 2}\n" for v in x))
    fitted = fit(tmp_path / "a.csv", "y", test_fraction=0)
    assert [p.value for p in fitted.parameters] == pytest.approx([0, 2], abs=1e-8)
    assert fitted.train["sse"] < 1e-12 * n**3


def test_fractional_weights_leave_no_rest_beside_the_levels() -> None:
    """What is left of Σw when every level's weight is taken off is rounding, not a rare level."""
    for seed in range(20):
        rng = np.random.default_rng(seed)
        data = {
            "town": rng.choice(["a", "b", "c", "d"], 60),
            "w": rng.random(60) + 0.9,
            "price": rng.normal(size=60),
        }
        fitted = fit(data, "price", model="linear", weights="w", test_fraction=0)
        assert [p.name for p in fitted.parameters][1:] == [
            f"town={v}" for v in fitted.encoder.features[0].levels[1:]
        ]  # type: ignore[attr-defined]


def test_arrow_arrays_by_their_buffers() -> None:
    random = np.random.default_rng(0)
    for n in (0, 1, 7, 8, 9, 100):
        for share in (0.0, 0.3, 1.0):
            gone = random.random(n) < share
            values = np.where(gone, np.nan, random.normal(size=n))
            array = pa.array([None if g else v for g, v in zip(gone, values, strict=True)])
            array = array.cast("double")
            codes = pa.array([None if g else i for i, g in enumerate(gone)], pa.int32())
            for first, count in ((0, n), (3, n), (5, 9), (n, 2)):
                expected = values[first : first + count]
                np.testing.assert_array_equal(floats_of(array.slice(first, count)), expected)
                out = np.zeros(len(expected))
                floats_of(array.slice(first, count), out)
                np.testing.assert_array_equal(out, expected)
                found = integers_of(codes.slice(first, count), -7)
                numbers = np.where(gone, -7, np.arange(n))[first : first + count]
                np.testing.assert_array_equal(found, numbers)
    assert floats_of(pa.array([1, None, 3])).tolist()[::2] == [1.0, 3.0]


def test_an_unseen_level_is_the_average_row_in_every_column() -> None:
    """The column of missing values was 0 in it, not the mean."""
    means = (0.25, 0.125)
    feature = Category("kind", means, (1.0, 1.0), ("a", "b"), other=False, missing=True)
    out = np.empty((2, 4))
    feature.write(np.array([0.0, 1.0, float(MISSING), float(UNSEEN)]), out)
    assert out.T.tolist() == [[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], list(means)]
