"""Doors and spellings of tables that are met outside: SQLite files, lists of rows, durations in
units, quarters, seasons, and numbers that count time.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from halfsquare import FittedModel, fit
from halfsquare.errors import DataError
from halfsquare.results.predict import predicted_batches


def linear(data: Any, target: str = "y", **options: Any) -> FittedModel:
    return fit(data, target, model="linear", test_fraction=0, **options)


def slope(fitted: FittedModel, name: str) -> float:
    return {p.name: p.value for p in fitted.parameters}[name]


def told(fitted: FittedModel) -> str:
    return " ".join(fitted.info["reading"]["suspicious"])


def csv(path: Path, header: str, rows: Sequence[Sequence[Any]]) -> Path:
    path.write_text("\n".join([header, *(",".join(map(str, row)) for row in rows)]) + "\n")
    return path


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """A file that is not called SQLite, of two tables, a view and an empty table."""
    path = tmp_path / "shop.db"
    base = 1_700_000_000_000_000_000
    with closing(sqlite3.connect(path)) as db:
        db.execute('CREATE TABLE "the sales" (x, g, t, day, y)')
        rows = [
            # Numbers as texts here and there: the whole column decides.
            (str(i) if i % 3 else i + 0.5, "ab"[i % 2], base + 100 * (i * i % 37),
             f"2024-01-{1 + i % 28:02d}", 2 * (i if i % 3 else i + 0.5) + 5 * (i % 2))
            for i in range(40)
        ]  # fmt: skip
        db.executemany('INSERT INTO "the sales" VALUES (?, ?, ?, ?, ?)', rows)
        db.execute('CREATE VIEW short AS SELECT x, y, g FROM "the sales"')
        db.execute("CREATE TABLE void (x, y)")
        db.execute("CREATE TABLE mixed (x, y)")
        db.executemany("INSERT INTO mixed VALUES (?, ?)", [(b"\x00", 1), (2, 3)])
        db.commit()
    return path


def test_a_table_of_an_sqlite_file(database: Path, tmp_path: Path) -> None:
    fitted = linear(database, table="the sales", features=["x", "g"])
    assert slope(fitted, "x") == pytest.approx(2.0, rel=1e-12)
    assert slope(fitted, "g=b") == pytest.approx(5.0, rel=1e-12)
    whole = linear(database, table="the sales")
    assert "yyyy-mm-dd, from 2024-01-01" in told(whole)
    assert "t: whole numbers that float64 would merge" in told(whole)
    of_view = linear(database, table="short")
    assert slope(of_view, "x") == pytest.approx(2.0, rel=1e-12)
    rows = csv(tmp_path / "new.csv", "x,g", [(1, "a"), (2.5, "b")])
    assert of_view.predict(rows) == pytest.approx([2.0, 10.0], rel=1e-12)
    from halfsquare.data.spec import DataSpec

    batches = predicted_batches(of_view, DataSpec.of(database, table="short"))
    assert sum(batch.num_rows for batch in batches) == 40


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (None, "several tables; name one with --table. Its tables: mixed, short, the sales, void"),
        ("sales", "no table 'sales'"),
        ("void", "has a header but no rows"),
        ("mixed", "column 'x' of table mixed mixes bytes"),
    ],
)
def test_what_an_sqlite_file_cannot_give(database: Path, table: str | None, message: str) -> None:
    with pytest.raises(DataError, match=message):
        linear(database, table=table)


def test_a_damaged_sqlite_file(database: Path) -> None:
    database.write_bytes(database.read_bytes()[:200] + b"\xff" * 5000)
    with pytest.raises(DataError, match="could not be read as an SQLite database"):
        linear(database, table="short")


def test_rows_as_lists() -> None:
    records = [{"x": i, "g": "ab"[i % 2], "y": 2 * i + 5 * (i % 2)} for i in range(20)]
    fitted = linear(records)
    assert slope(fitted, "x") == pytest.approx(2.0)
    assert slope(fitted, "g=b") == pytest.approx(5.0)
    assert fitted.predict([{"g": "b", "x": 0.5}, {"x": 4}]) == pytest.approx([6.0, 10.5])
    of_values = linear([[i, 3 * i + 1] for i in range(20)], "x2")
    assert slope(of_values, "x1") == pytest.approx(3.0)
    # A name that is missing in some rows has no value there; numbers beside texts are texts.
    late = [{"y": float(i)} | ({"x": i} if i > 3 else {}) for i in range(12)]
    assert slope(linear(late), "x") == pytest.approx(1.0)
    mixed = [{"x": v, "y": i} for i, v in enumerate([float("nan"), "a", 3, 3] * 6)]
    assert "x=a" in [p.name for p in linear(mixed).parameters]  # beside 3, most frequent


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([], "the list holds no rows"),
        ([[1, 2], [1]], "row 2: found 1 values, expected 2"),
        ([1.0, 2.0], "row 1: found float, expected a list of values"),
        ([{"x": 1}, [1]], "row 2: found list, expected a mapping of names to values"),
    ],
)
def test_lists_that_are_no_rows(rows: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        linear(rows)


@pytest.mark.parametrize(
    "spelt",
    [
        lambda m: f"{m // 60}h {m % 60}m",
        lambda m: f"{m // 60} h {m % 60} min",
        lambda m: f"PT{m // 60}H{m % 60}M",
        lambda m: f"{m}m" if m < 60 else f"{m // 60} hours {m % 60} minutes",
        lambda m: f"{m // 1440}d {m % 1440 // 60}h {m % 60}m 0s",
    ],
)
def test_durations_in_units(tmp_path: Path, spelt: Any) -> None:
    rows = [(spelt(m), 3 * m) for m in range(1, 3000, 61)]
    fitted = linear(csv(tmp_path / "d.csv", "d,y", rows))
    assert slope(fitted, "d") == pytest.approx(3 * 1440, rel=1e-12)  # a day
    assert "durations, read as numbers of days" in told(fitted)
    new = csv(tmp_path / "new.csv", "d", [("2h 30m",), ("36:15:00",)])
    assert fitted.predict(new) == pytest.approx([450.0, 3 * 2175.0])


def test_lengths_are_no_durations(tmp_path: Path) -> None:
    fitted = linear(csv(tmp_path / "m.csv", "d,y", [(f"{m}m", 3 * m) for m in range(1, 60)]))
    assert slope(fitted, "d") == pytest.approx(3.0, rel=1e-12)


@pytest.mark.parametrize("spelt", ["Q{q}-{y:02d}", "{y:02d}Q{q}", "{q}Q20{y:02d}", "{q}Q {y:02d}"])
def test_quarters(tmp_path: Path, spelt: str) -> None:
    starts = np.array([f"20{5 + i // 4:02d}-{i % 4 * 3 + 1:02d}-01" for i in range(40)], "M8[D]")
    days = (starts - starts[0]).astype(int)
    rows = [(spelt.format(q=i % 4 + 1, y=5 + i // 4), d) for i, d in enumerate(days)]
    fitted = linear(csv(tmp_path / "q.csv", "q,y", rows))
    assert "from 2005-01-01 to 2014-10-01" in told(fitted)
    assert fitted.train["rmse"] < 1e-6  # days, linear in the date


def test_what_could_be_a_time_is_said(tmp_path: Path) -> None:
    days = range(40)
    cases = {
        "ts": ([1_600_000_000 + 86400 * i for i in days], "seconds since 1970, from 2020-09-13"),
        "created_at": ([1_600_000_000_000 + 86_400_000 * i for i in days], "milliseconds since"),
        "order_date": ([44_000 + i for i in days], "a spreadsheet's days, from 2020-06-18"),
    }
    for name, (values, said) in cases.items():
        path = csv(tmp_path / f"{name}.csv", f"{name},y", [(v, i) for i, v in enumerate(values)])
        fitted = linear(path)
        assert said in told(fitted)
        # The query that is told of reads them so.
        query = told(fitted).split("for dates: ")[1].split("…")[0] + f"'{path}'"
        read = {c["name"]: c["read_as"] for c in linear(query).info["reading"]["columns"]}
        assert read[name] in ("date", "date or time")
    income = csv(tmp_path / "i.csv", "income,y", [(1_600_000_000 + 7 * i, i) for i in days])
    assert "since 1970" not in told(linear(income))


def test_seasons_are_said(tmp_path: Path) -> None:
    for first in (2001, 2013):  # 2001/02 to 2011/12 could be months
        rows = [(f"{first + i}/{(first + i + 1) % 100:02d}", 2 * i) for i in range(11)]
        path = csv(tmp_path / f"{first}.csv", "s,y", rows)
        said = told(linear(path))
        assert "seasons, such as" in said and "dates as" not in said
        query = said.split("for numbers: ")[1].split("…")[0] + f"'{path}'"
        assert slope(linear(query), "s") == pytest.approx(2.0, rel=1e-12)
    months = [(f"2001/{1 + i:02d}", i) for i in range(12)]
    assert "dates as yyyy/mm" in told(linear(csv(tmp_path / "m.csv", "s,y", months)))


def test_advice_is_our_own(tmp_path: Path) -> None:
    twice = tmp_path / "twice.json"
    twice.write_text('[{"x": 1, "y": 2}, {"x": 1, "y": 2, "x": 3}]')
    with pytest.raises(DataError, match="record 2: the key 'x' stands there twice") as refused:
        linear(twice)
    assert "auto_detect" not in str(refused.value)
    aligned = tmp_path / "aligned.txt"
    aligned.write_text(
        "x      y     name\n" + "".join(f"{i:<6d} {2 * i:<5d} n\n" for i in range(9))
    )
    with pytest.raises(DataError, match="aligned by spaces"):
        linear(aligned)


@pytest.mark.parametrize("spelt", ["({})", "−{}", "{}-"])
def test_signs_are_read_at_prediction_as_in_training(tmp_path: Path, spelt: str) -> None:
    rows = [(spelt.format(20 - i) if i < 20 else i - 20, 2 * i + 1) for i in range(40)]
    path = csv(tmp_path / "a.csv", "x,y", rows)
    fitted = linear(path)
    assert slope(fitted, "x") == pytest.approx(2.0)
    assert fitted.predict(path) == pytest.approx(np.arange(1, 81, 2))
    assert fitted.predict(csv(tmp_path / "b.csv", "x", [(1,), (2.5,)])) == pytest.approx([43, 46])


def test_arrays_of_other_kinds() -> None:
    pl = pytest.importorskip("polars")
    i = np.arange(40)
    swapped = {"x": i.astype(">i4"), "y": (2.0 * i).astype(">f8")}
    assert slope(linear(swapped), "x") == pytest.approx(2.0)
    assert slope(linear(pd.DataFrame(swapped)), "x") == pytest.approx(2.0)
    # What is masked is no value.
    masked = {"x": np.ma.array(np.where(i == 3, 9999, i), mask=i == 3), "y": 2.0 * i}
    fitted = linear(masked)
    assert slope(fitted, "x") == pytest.approx(2.0) and "x is missing" in fitted.encoder.names
    both = np.ma.array(np.column_stack([i, 2.0 * i]), mask=np.column_stack([i == 3, i == 5]))
    assert linear(both, "x2").info["rows_missing_target"] == 1
    wide = pl.DataFrame({"x": pl.Series(i.tolist(), dtype=pl.Int128), "y": 2.0 * i})
    assert slope(linear(wide), "x") == pytest.approx(2.0)
    levels = pd.DataFrame({"c": pd.Categorical(1 + i % 3), "y": np.array([0.0, 10.0, 5.0])[i % 3]})
    assert "c=2" in linear(levels).encoder.names
    empty = pd.DataFrame({"x": i, "z": [None] * 40, "y": 2.0 * i})
    assert linear(empty).encoder.left_out == {"z": "it has no values"}
