"""What the file says is what is fitted: tables that readers get wrong, through several doors."""

from __future__ import annotations

import gzip
import json
import os
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import date, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import Ran
from hypothesis import given, settings
from hypothesis import strategies as st
from spreadsheets import book

from halfsquare import FittedModel, LinearRegressor, fit_sums, load, sum_rows
from halfsquare import fit as fit_any
from halfsquare.data.arrow import floats_of
from halfsquare.data.columns import level_of
from halfsquare.data.deciding import open_source
from halfsquare.data.messages import Misread
from halfsquare.data.novelty import Novelty
from halfsquare.data.passes import record_batches, with_few_words
from halfsquare.data.spec import DataSpec
from halfsquare.errors import DataError, OptionError
from halfsquare.results.evaluate import evaluate

Command = Callable[..., Ran]
fit = partial(fit_any, model="linear", test_fraction=0)
N = 40
V = [1000 + 37 * i for i in range(N)]


def write(path: Path, rows: Sequence[Sequence[object]], sep: str = ",", end: str = "\n") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [sep.join(str(cell) for cell in row) for row in rows]
    path.write_bytes((end.join(lines) + end).encode())
    return path


def slopes(fitted: FittedModel) -> dict[str, float]:
    return {p.name: p.value for p in fitted.parameters}


def said(fitted: FittedModel) -> str:
    return "\n".join(fitted.info["reading"]["suspicious"])


def packed(path: Path) -> Path:
    (path.parent / f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes()))
    return path.parent / f"{path.name}.gz"


def translated(path: Path, encoding: str) -> Path:
    path.write_bytes(path.read_text(encoding="utf-8").encode(encoding))
    return path


def database(table: dict[str, list[Any]], path: Path) -> Path:
    import duckdb

    with duckdb.connect(str(path)) as connection:
        connection.register("given", pa.table(table))
        connection.execute("CREATE TABLE own AS SELECT * FROM given")
    return path


DOORS: dict[str, Callable[[dict[str, list[Any]], Path], Any]] = {
    "csv": lambda t, p: write(
        p / "t.csv", [list(t), *zip(*[[f'"{c}"' for c in v] for v in t.values()], strict=True)]
    ),
    "tsv": lambda t, p: write(p / "t.tsv", [list(t), *zip(*t.values(), strict=True)], "\t"),
    "parquet": lambda t, p: pq.write_table(pa.table(t), p / "t.parquet") or p / "t.parquet",
    "json": lambda t, p: (
        (p / "t.jsonl").write_text(
            "\n".join(json.dumps(dict(zip(t, row, strict=True)))
                      for row in zip(*t.values(), strict=True))
        ) and p / "t.jsonl"
    ),
    "pandas": lambda t, p: pd.DataFrame(t),
    "polars": lambda t, p: pl.DataFrame(t),
    "arrow": lambda t, p: pa.table(t),
    "lists": lambda t, p: t,
    "semicolons": lambda t, p: write(
        p / "s.csv", [list(t), *zip(*[[f'"{c}"' for c in v] for v in t.values()], strict=True)],
        ";", "\r\n",
    ),
    "packed": lambda t, p: packed(DOORS["csv"](t, p)),
    "utf-16": lambda t, p: translated(DOORS["csv"](t, p), "utf-16"),
    "spreadsheet": lambda t, p: (
        book(p / "t.xlsx", {"First": [list(t), *map(list, zip(*t.values(), strict=True))]})
        or p / "t.xlsx"
    ),
    "query": lambda t, p: f"SELECT * FROM '{DOORS['parquet'](t, p)}'",
    "database": lambda t, p: database(t, p / "t.duckdb"),
    "folder": lambda t, p: DOORS["csv"](t, p / "folder").parent,
}  # fmt: skip
some_doors = pytest.mark.parametrize("door", ["csv", "json", "pandas"])


NUMBERS: dict[str, tuple[Callable[[float], str], float]] = {
    # how 1234.5 is written, and what a unit of it counts
    "thousands": (lambda v: f"{v:,.2f}", 1),
    "german": (lambda v: f"{v:,.2f}".translate(str.maketrans(",.", ".,")), 1),
    "swiss": (lambda v: f"{v:,.2f}".replace(",", "'"), 1),
    "french": (lambda v: f"{v:,.2f}".replace(",", "\u202f").replace(".", ","), 1),
    "hard spaces": (lambda v: f"{v:,.0f}".replace(",", "\u00a0"), 1),
    "dollars": (lambda v: f"${v:,.2f}", 1),
    "euros": (lambda v: f"{v:.2f} €", 1),
    "code before": (lambda v: f"USD {v:,.0f}", 1),
    "percent": (lambda v: f"{v / 100:.2f}%", 100),
    "unit": (lambda v: f"{v:.1f} kg", 1),
    "square metres": (lambda v: f"{v:.0f} m2", 1),
    "plus": (lambda v: f"+{v:.1f}", 1),
    "parentheses": (lambda v: f"({v:.1f})", -1),
    "minus behind": (lambda v: f"{v:.1f}-", -1),
    "real minus": (lambda v: f"\u2212{v:.1f}", -1),
    "scientific": (lambda v: f"{v:.6e}".replace(".", ","), 1),
    "padded": (lambda v: f"{v:08.1f}", 1),
}


@some_doors
@pytest.mark.parametrize("kind", NUMBERS)
def test_numbers_that_are_text(tmp_path: Path, door: str, kind: str) -> None:
    spell, unit = NUMBERS[kind]
    table = {"area": [spell(v) for v in V], "y": [5.0 + 2 * v for v in V]}
    fitted = fit(DOORS[door](table, tmp_path), "y")
    assert slopes(fitted) == pytest.approx({"intercept": 5, "area": 2 * unit}, abs=1e-6)
    again = {"area": [spell(1234.0)]}
    assert fitted.predict(again) == pytest.approx([2473])


@pytest.mark.parametrize("door", DOORS)
def test_every_door(tmp_path: Path, door: str) -> None:
    table = {
        "area": [f"{v:,.2f} €".translate(str.maketrans(",.", ".,")) for v in V],
        "when": [(date(2024, 1, 1) + timedelta(9 * i)).strftime("%d.%m.%Y") for i in range(N)],
        "y": [2.0 * v + i * i % 7 for i, v in enumerate(V)],
    }
    here = fit(DOORS[door](table, tmp_path), "y")
    there = fit(pd.DataFrame(table), "y")
    assert slopes(here) == pytest.approx(slopes(there), rel=1e-12)
    assert here.encoder.reading.columns["area"].numbers.told == (
        "decimal mark ',', thousands mark '.', unit '€' left out"
    )


def test_indian_groups(tmp_path: Path) -> None:
    table = {"x": ["1,00,000", "12,34,567", "99,999", "5,000", "7,50,000"], "y": [1.0, 2, 3, 4, 5]}
    assert fit(table, "y").encoder.features[0].maximum == 1234567  # type: ignore[attr-defined]


@pytest.mark.parametrize("cell", [" ", "-", "none", "unknown", "n.a.", "–", "#VALUE!", "abc"])
@some_doors
def test_an_odd_cell_is_missing_and_said(tmp_path: Path, door: str, cell: str) -> None:
    cells = [str(v) for v in V]
    cells[7] = cell
    fitted = fit(DOORS[door]({"area": cells, "y": [5.0 + 2 * v for v in V]}, tmp_path), "y")
    assert slopes(fitted)["area"] == pytest.approx(2)
    assert fitted.encoder.names == ("area", "area is missing")
    if cell.strip():
        assert f"{cell!r} (row 8)" in said(fitted)


def test_an_odd_cell_in_the_target_or_at_prediction_is_an_error(tmp_path: Path) -> None:
    cells = [str(v) for v in V]
    cells[7] = "abc"
    table = {"x": V, "y": cells}
    with pytest.raises(DataError, match="'y' of the data is text: found 'abc' in row 8"):
        fit(table, "y")
    assert fit(table, "y", missing=["abc"]).info["rows_missing_target"] == 1
    fitted = fit({"x": [f"{v:,}" for v in V], "y": V}, "y")
    with pytest.raises(DataError, match=r"row 2, column 'x': found '1\.000,5', expected numbers"):
        fitted.predict({"x": ["1,000", "1.000,5"]})


def test_thousands_or_decimals(tmp_path: Path) -> None:
    values = [700 + 37 * i for i in range(N)]
    rows = [["area", "y"], *([f"{a:,}".replace(",", "."), 5 + 2 * a] for a in values)]
    fitted = fit(write(tmp_path / "g.csv", rows, ";"), "y")
    assert slopes(fitted)["area"] == pytest.approx(2)
    assert "could be a fraction: --decimal '.' reads it so" in said(fitted)
    other = fit(tmp_path / "g.csv", "y", decimal=".", thousands="")
    assert slopes(other)["area"] != pytest.approx(2, rel=0.1)
    # 0.996 beside 1.033: no doubt.
    rows = [["area", "y"], *([f"{a / 1000:.3f}", 5 + 2 * a] for a in values)]
    assert slopes(fit(write(tmp_path / "d.csv", rows), "y"))["area"] == pytest.approx(2000)


@pytest.mark.parametrize("door", ["semicolons", "csv", "parquet", "json", "pandas", "spreadsheet"])
@pytest.mark.parametrize("turned", [False, True])
def test_a_table_has_one_decimal_mark(tmp_path: Path, door: str, turned: bool) -> None:
    """52,8 beside 223.975: the second is no fraction; and the other way round."""
    swap = str.maketrans(",.", ".,") if turned else {}
    prices = [200_000 + 1_237 * i for i in range(N)]
    table = {
        "area": [f"{40 + i * 7 % 50 / 10:.1f}".replace(".", ",").translate(swap) for i in range(N)],
        "price": [f"{p:,}".replace(",", ".").translate(swap) for p in prices],
        "y": [str(2 * p) for p in prices],
    }
    data = DOORS[door](table, tmp_path)
    fitted = fit(data, "y", features=["price"])
    assert slopes(fitted)["price"] == pytest.approx(2)
    assert f"thousands mark {'.,'[turned]!r}" in said(fitted)
    assert slopes(fit(data, "price", features=["y"]))["y"] == pytest.approx(0.5)


DATES = {
    "%d/%m/%y": "dd/mm/yy", "%d.%m.%Y": "dd.mm.yyyy", "%m/%d/%Y": "mm/dd/yyyy",
    "%d-%b-%Y": "dd-mmm-yyyy", "%B %d, %Y": "month dd, yyyy", "%Y/%m/%d": "yyyy/mm/dd",
    "%d.%m.%Y %H:%M": "dd.mm.yyyy hh:mm", "%m/%d/%Y %I:%M %p": "mm/dd/yyyy hh:mm AM/PM",
    "%a, %d %b %Y": "weekday, dd mmm yyyy", "%G-W%V-%u": "year-Wweek-day",
    "%Y-%m-%dT%H:%M:%S+00:00": "yyyy-mm-dd", "%Y-%m-%d": None,
}  # fmt: skip


@some_doors
@pytest.mark.parametrize("form", DATES)
def test_dates(tmp_path: Path, door: str, form: str) -> None:
    days = [date(2024, 1, 1) + timedelta(9 * i) for i in range(N)]
    y = [10 + 0.5 * (d - days[0]).days for d in days]
    table = {"when": [d.strftime(form) for d in days], "y": y}
    fitted = fit(DOORS[door](table, tmp_path), "y")
    assert slopes(fitted)["when day"] == pytest.approx(0.5)
    if DATES[form] and form != "%Y-%m-%dT%H:%M:%S+00:00":
        assert f"dates as {DATES[form]}, from 2024-01-01 to 2024-12-17" in said(fitted)
    assert fitted.predict({"when": [days[3].strftime(form)]}) == pytest.approx([y[3]])


def test_the_format_of_dates_is_kept(tmp_path: Path) -> None:
    days = [date(2022, 1, 1) + timedelta(i) for i in range(730)]
    table = pd.DataFrame({"day": [d.strftime("%m/%d/%Y") for d in days], "y": np.arange(730.0)})
    fitted = fit(table, "y")
    fitted.save(tmp_path / "m.hsq")
    for model in (fitted, load(tmp_path / "m.hsq")):
        assert model.predict({"day": ["03/02/2023"]}) == pytest.approx([425])
        assert model.predict({"day": ["03/02/2023", "03/20/2023"]}) == pytest.approx([425, 443])
        with pytest.raises(DataError, match=r"row 2.*'13/01/2023', expected dates as mm/dd/yyyy"):
            model.predict({"day": ["01/02/2023", "13/01/2023"]})
    north = [d.day <= 12 for d in days]
    parts = table[north], table[[not n for n in north]]
    whole = fit_sums([sum_rows(part, "y", test_fraction=0) for part in parts])
    assert slopes(whole)["day day"] == pytest.approx(1)
    for i, part in enumerate(parts):
        part.to_csv(tmp_path / f"part{i}.csv", index=False)
    assert slopes(fit(tmp_path / "part*.csv", "y"))["day day"] == pytest.approx(1)
    european = [d.strftime("%d/%m/%Y") for d in days]
    with pytest.raises(DataError, match=r"dates as dd/mm/yyyy in .* and dates as mm/dd/yyyy in"):
        sum_rows({"day": european, "y": np.arange(730.0)}, "y").merge(sum_rows(table, "y"))


def test_ambiguous_dates_are_said_and_settled() -> None:
    table = {"d": [f"{m:02}/{k:02}/2023" for m in range(1, 13) for k in range(1, 13)]}
    table["y"] = np.arange(144.0)  # type: ignore[assignment]
    assert "could be dd/mm/yyyy: --dates dmy reads it so" in said(fit(table, "y"))
    settled = fit(table, "y", dates="dmy")
    assert settled.encoder.reading.columns["d"].dates == ("%d/%m/%Y",)
    assert "could be" not in said(settled)
    assert fit(table, "y", dates="dd/mm/yyyy").encoder.as_dict() == settled.encoder.as_dict()
    with pytest.raises(OptionError, match="expected dmy, mdy or ymd"):
        fit(table, "y", dates="sometimes")


def test_rows_of_another_order_are_read_by_a_model_as_is_said(
    tmp_path: Path, command: Command
) -> None:
    days = [date(2023, 1, 1) + timedelta(5 * i) for i in range(60)]
    rows = [["d", "y"], *([d.strftime("%d/%m/%Y"), i] for i, d in enumerate(days))]
    write(tmp_path / "d.csv", rows)
    asked = ("-t", "y", "--model", "linear", "--dates", "dmy", "--out", "m.hsq")
    ran = command("fit", "d.csv", *asked, "--report", "r.html")
    assert ran.code == 0, ran.err
    american = {"d": [days[7].strftime("%m/%d/%Y")]}
    found = load(tmp_path / "m.hsq").predict(DataSpec.of(american, dates="mdy"))
    assert found == pytest.approx([7], abs=0.5)


def test_two_orders_in_one_column_are_refused_with_the_row() -> None:
    days = [date(2023, 1, 1) + timedelta(5 * i) for i in range(60)]
    cells = [d.strftime("%m/%d/%Y") for d in days]
    cells[30] = "31/05/2023"
    with pytest.raises(DataError, match="row 31: found '31/05/2023'"):
        fit({"d": cells, "y": np.arange(60.0)}, "y")


def test_decisions_are_made_once(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    x = rng.normal(size=50).round(2)
    table = {"id": np.arange(1, 51), "x": x, "y": x + 0.3 * np.arange(50)}
    found = fit(table, "y", test_fraction=0.2, refit=False)
    assert found.encoder.names == fit(table, "y", test_fraction=0.2).encoder.names == ("x",)
    names = [f"p{k}" for k in range(49)]
    levels = {"p": (names * 3)[:100], "y": [10.0 * names.index(p) for p in (names * 3)[:100]]}
    measured = fit(levels, "y", test_fraction=0.2, refit=False)
    returned = fit(levels, "y", test_fraction=0.2)
    assert measured.encoder.names == returned.encoder.names
    assert len(returned.encoder.names) == 48


def test_the_unnamed_index_is_not_a_feature(tmp_path: Path) -> None:
    pd.DataFrame({"x": range(N), "y": [1 + 2 * i for i in range(N)]}).to_csv(tmp_path / "i.csv")
    fitted = fit(tmp_path / "i.csv", "y")
    assert "without a name" in fitted.encoder.left_out["column0"]
    assert fitted.predict({"x": [3.0]}) == pytest.approx([7])


def test_an_existing_file_is_that_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name, slope in (("trial[1].csv", 2), ("trial1.csv", 7), ("from shop.csv", 2),
                        ("x=5/d.csv", 2), ("a*b.csv", 3), ("select a from b.csv", 4)):  # fmt: skip
        write(tmp_path / name, [["x", "y"], *([i, 1 + slope * i] for i in range(N))])
    for name, slope in (("trial[1].csv", 2), ("from shop.csv", 2), ("x=5/d.csv", 2),
                        ("a*b.csv", 3), ("select a from b.csv", 4)):  # fmt: skip
        assert slopes(fit(name, "y"))["x"] == pytest.approx(slope), name
    pq.write_table(pa.table({"z": [1.0, 2, 3], "y": [2.0, 4, 6]}), tmp_path / "x=5" / "p.parquet")
    assert fit("x=5/p.parquet", "y").encoder.names == ("z",)
    assert "x" in fit("x=5/p.parquet", "y", partitions=True).encoder.left_out


def test_a_level_called_none(tmp_path: Path) -> None:
    plan = ["None", "Gold", "Silver"]
    table = pa.table(
        {"plan": [plan[i % 3] for i in range(N)], "y": [(i % 3) * 10 for i in range(N)]}
    )
    pq.write_table(table, tmp_path / "plan.parquet")
    fitted = fit(tmp_path / "plan.parquet", "y")
    write(tmp_path / "new.csv", [["plan"], *([p] for p in plan)])
    for data in (tmp_path / "new.csv", {"plan": plan}, pd.DataFrame({"plan": plan})):
        assert fitted.predict(data) == pytest.approx([0, 10, 20], abs=1e-9)


def test_levels_are_compared_by_value(tmp_path: Path) -> None:
    y = [(i % 3) * 10.0 for i in range(N)]
    frame = pd.DataFrame({"store": [1 + i % 3 for i in range(N)], "y": y})
    frame.to_csv(tmp_path / "s.csv", index=False)
    frame.to_parquet(tmp_path / "s.parquet")
    write(tmp_path / "new.csv", [["store"], ["1.0"], ["2.0"], ["3.0"]])
    for data in (tmp_path / "s.csv", tmp_path / "s.parquet", frame, frame.astype({"store": float})):
        fitted = fit(data, "y", category=["store"])
        assert fitted.encoder.names == ("store=2", "store=3")
        for new in (tmp_path / "new.csv", {"store": [1, 2, 3]}, {"store": ["1", "2", "3"]}):
            assert fitted.predict(new) == pytest.approx([0, 10, 20], abs=1e-9)
    with pytest.raises(DataError, match=r"no column 'stoer'\. Did you mean 'store'"):
        fit(frame, "y", category=["stoer"])
    assert level_of("007") == "007"
    assert level_of("TRUE") == "true"


def test_types_that_frames_have(tmp_path: Path) -> None:
    stay = [1 + i % 3 for i in range(N)]
    frame = pd.DataFrame({"stay": pd.to_timedelta(stay, unit="D"), "y": [4.0 * s for s in stay]})
    frame.to_parquet(tmp_path / "stay.parquet")
    for data in (frame, tmp_path / "stay.parquet", pl.from_pandas(frame)):
        assert slopes(fit(data, "y")) == pytest.approx({"intercept": 0, "stay": 4}, abs=1e-9)
    kinds = pd.DataFrame({"c": pd.Categorical([1 + i % 3 for i in range(N)]),
                          "y": [[0.0, 10, 5][i % 3] for i in range(N)]})  # fmt: skip
    kinds.to_parquet(tmp_path / "c.parquet")
    for data in (kinds, tmp_path / "c.parquet"):
        assert slopes(fit(data, "y")) == pytest.approx(
            {"intercept": 0, "c=2": 10, "c=3": 5}, abs=1e-9
        )


def test_what_only_shows_late(tmp_path: Path) -> None:
    n, change = 21_000, 20_500
    z = [None if i < change else (i * 7919) % 101 / 10 for i in range(n)]
    rows = [["z", "y"], *(["" if v is None else v, 0 if v is None else 3 * v] for v in z)]
    assert slopes(fit(write(tmp_path / "late.csv", rows), "y"))["z"] == pytest.approx(3)
    a = [i % 10 if i < change else round(i % 10 + 0.4, 1) for i in range(n)]
    lines = [json.dumps({"a": v, "y": round(3 * v, 1)}) for v in a]
    (tmp_path / "a.jsonl").write_text("\n".join(lines))
    fitted = fit(tmp_path / "a.jsonl", "y")
    assert slopes(fitted)["a"] == pytest.approx(3)
    assert fitted.encoder.features[0].maximum == 9.4  # type: ignore[attr-defined]
    query = f"SELECT * FROM '{tmp_path / 'a.jsonl'}'"
    assert slopes(fit(query, "y"))["a"] == pytest.approx(3)
    lines = [json.dumps({"y": 1.0} if i < change else {"y": 3.0 * (i % 7), "a": i % 7})
             for i in range(n)]  # fmt: skip
    (tmp_path / "k.jsonl").write_text("\n".join(lines))
    assert slopes(fit(tmp_path / "k.jsonl", "y"))["a"] == pytest.approx(3)
    # 996 throughout, and then 1.033: the whole column says that points divide thousands.
    whole = [str(700 + i % 300) for i in range(25_000)] + ["1.033", "1.250"] * 20
    rows = [["x", "y"], *([v, 2 * int(v.replace(".", ""))] for v in whole)]
    fitted = fit(write(tmp_path / "w.csv", rows, ";"), "y")
    assert slopes(fitted)["x"] == pytest.approx(2)
    assert "could be a fraction" in said(fitted)
    rows = [["x", "y"], *([v, 2 * float(v)] for v in [*whole, "12.5"])]
    fitted = fit(write(tmp_path / "w.csv", rows), "y")
    assert slopes(fitted)["x"] == pytest.approx(2)
    assert fitted.encoder.features[0].minimum == 1.033  # type: ignore[attr-defined]
    # Numbers that turn into text, and text that turns into numbers.
    x = ["a" if i % 2 else "b" for i in range(200)] + [str(i % 9) for i in range(n)]
    rows = [["x", "y"], *([v, 2 * float(v) if v.isdigit() else 1] for v in x)]
    fitted = fit(write(tmp_path / "x.csv", rows), "y")
    assert fitted.encoder.reading.columns["x"].kind == "number"
    assert "200 values that are no number" in said(fitted)


def test_json_that_is_wide_mixed_or_nested(tmp_path: Path) -> None:
    wide = [json.dumps({**{f"k{c}": (i * 7 + c * c) % 11 for c in range(260)}, "y": i})
            for i in range(300)]  # fmt: skip
    (tmp_path / "w.jsonl").write_text("\n".join(wide))
    assert len(fit(tmp_path / "w.jsonl", "y", exclude=["k0"]).encoder.features) == 259
    mixed = [{"a": v, "b": {"c": i}, "y": 2.0 * i} for i, v in enumerate([0, "1", 2.0, "3.0", 4])]
    (tmp_path / "m.json").write_text(json.dumps(mixed))
    fitted = fit(tmp_path / "m.json", "y", features=["a"])
    assert slopes(fitted) == pytest.approx({"intercept": 0, "a": 2}, abs=1e-9)
    nested = fit(tmp_path / "m.json", "y", features=["b.c"])
    assert slopes(nested)["b.c"] == pytest.approx(2)


def test_keys_of_json_that_differ_in_large_letters(tmp_path: Path) -> None:
    rows = [{"iod": q, "y": q + 2 * (q * q % 13) + q % 2, "IOD": q * q % 13, "a_1": q % 2, "a": 1}
            for q in range(N)]  # fmt: skip
    (tmp_path / "k.jsonl").write_text("\n".join(map(json.dumps, rows)))
    (tmp_path / "k.json").write_text(json.dumps(rows))
    wanted = {"intercept": 0, "iod": 1, "IOD": 2, "a_1": 1}
    for name in ("k.jsonl", "k.json"):
        fitted = fit(tmp_path / name, "y")
        assert slopes(fitted) == pytest.approx(wanted, abs=1e-9)
        assert fitted.predict(tmp_path / name)[5] == pytest.approx(rows[5]["y"])


def test_several_files(tmp_path: Path) -> None:
    rows = [[i, 1 + 2 * i] for i in range(N)]
    write(tmp_path / "parts" / "a.csv", [["x", "y"], *rows])
    write(tmp_path / "parts" / "b.csv", [["x", "y"], *rows], ";")
    for data in (tmp_path / "parts" / "*.csv", tmp_path / "parts"):
        fitted = fit(data, "y")
        assert (fitted.info["rows_read"], slopes(fitted)["x"]) == (80, pytest.approx(2))
        assert "has the delimiter ';'" in said(fitted)
    pq.write_table(pa.table({"x": [1.0], "y": [3.0]}), tmp_path / "parts" / "c.parquet")
    with pytest.raises(DataError, match=r"folder of 2 \.csv and 1 \.parquet files"):
        fit(tmp_path / "parts", "y")


def test_lines(tmp_path: Path) -> None:
    lines = [f"{q},{1 + 2 * q}" for q in range(3000)]
    ragged = ["x,y", *lines[:1500], "7", *lines[1500:]]
    (tmp_path / "r.csv").write_text("\n".join(ragged))
    with pytest.raises(DataError, match="row 1501: found 1 field, expected 2"):
        fit(tmp_path / "r.csv", "y")
    text = "x,y\r\n" + "\r\n".join(lines[:20]) + "\r\n" + "\n".join(lines[20:40]) + "\n"
    (tmp_path / "m.csv").write_bytes(text.encode())
    assert fit(tmp_path / "m.csv", "y").info["rows_read"] == 40
    cells = [["note", "y"], *(['"two\nlines"' if i in (1, 198) else "one", i * 0.5]
                              for i in range(1, 301))]  # fmt: skip
    assert fit(write(tmp_path / "b.csv", cells), "y").info["rows_read"] == 300
    cells[250][1] = "many"
    with pytest.raises(DataError, match="found 'many' in row 250"):
        fit(write(tmp_path / "b.csv", cells), "y")
    quoted = [["note", "y"], *(['5" pipe', i] for i in range(20))]
    assert fit(write(tmp_path / "q.csv", quoted), "y").info["rows_read"] == 20


def test_padded_targets(tmp_path: Path) -> None:
    rows = [["x", "y"], *([q, f"{1 + 2 * q:05d}"] for q in range(30))]
    assert slopes(fit(write(tmp_path / "p.csv", rows), "y"))["x"] == pytest.approx(2)


@pytest.mark.parametrize("encoding", ["cp1252", "utf-16", "utf-8-sig", "latin-1", "gb18030"])
def test_encodings(tmp_path: Path, encoding: str) -> None:
    sign = "€" if encoding not in ("latin-1",) else "kr"
    text = "prix payé,y\n" + "".join(f"{q} {sign},{2 * q}\n" for q in range(N))
    (tmp_path / "e.csv").write_bytes(text.encode(encoding))
    found = fit(tmp_path / "e.csv", "y", encoding=encoding)
    assert slopes(found)["prix payé"] == pytest.approx(2)
    assert found.predict(tmp_path / "e.csv")[3] == pytest.approx(6)
    if encoding in ("utf-16", "utf-8-sig"):  # a mark at the beginning says it
        assert slopes(fit(tmp_path / "e.csv", "y"))["prix payé"] == pytest.approx(2)
    with pytest.raises(OptionError, match="there is no encoding 'klingon'"):
        fit(write(tmp_path / "k.csv", [["x", "y"], [1, 2]]), "y", encoding="klingon")


def test_headers(tmp_path: Path) -> None:
    rows = [
        ["country", 1990, 2000, 2010],
        *([f"c{q % 3}", q, q * q % 17, 3 * q] for q in range(30)),
    ]
    fitted = fit(write(tmp_path / "years.csv", rows), "2010")
    assert slopes(fitted)["1990"] == pytest.approx(3)
    assert fitted.predict(tmp_path / "years.csv")[5] == pytest.approx(15)
    bare = write(tmp_path / "bare.csv", [[i, 1 + 2 * i] for i in range(N)])
    with pytest.raises(DataError, match=r"has no header line.*--no-header"):
        fit(bare, "x2")
    assert slopes(fit(bare, "x2", header=False))["x1"] == pytest.approx(2)
    case = [["iod", "IOD", "y"], *([q, q * q % 13, q + 2 * (q * q % 13)] for q in range(N))]
    expected = {"intercept": 0, "iod": 1, "IOD": 2}
    assert slopes(fit(write(tmp_path / "c.csv", case), "y")) == pytest.approx(expected, abs=1e-9)
    frame = pd.DataFrame(case[1:], columns=case[0])
    frame.to_parquet(tmp_path / "c.parquet")
    for data in (frame, tmp_path / "c.parquet"):
        assert slopes(fit(data, "y")) == pytest.approx(expected, abs=1e-9)
    titled = [["Quarterly figures"], [""], ["x", "y"], *([q, 1 + 2 * q] for q in range(N))]
    path = write(tmp_path / "t.csv", titled)
    for more in ({}, {"skip": 2}):
        assert slopes(fit(path, "y", **more))["x"] == pytest.approx(2)
    assert "before the header passed over, the first 'Quarterly figures'" in said(fit(path, "y"))
    noted = [["# made by hand"], ["x", "y"], ["# a note"], *([q, 1 + 2 * q] for q in range(N))]
    path = write(tmp_path / "n.csv", noted)
    assert slopes(fit(path, "y", comment="#"))["x"] == pytest.approx(2)
    spaced = write(tmp_path / "s.csv", [["x", " y"], *([q, f" {1 + 2 * q}"] for q in range(N))])
    assert slopes(fit(spaced, "y"))["x"] == pytest.approx(2)


def test_rows_that_are_not_like_the_others(tmp_path: Path) -> None:
    rows = [["sample", "x", "y"], *([q, q * 3 % 7, q * 3 % 7 + 1] for q in range(N))]
    total = write(tmp_path / "t.csv", [*rows, ["Total", "", 180]])
    assert "Row 41 looks like a total of the others" in said(fit(total, "y"))
    assert "y: row 41 (180) stands apart" in said(fit(total, "y"))
    twice = write(tmp_path / "h.csv", [*rows[:20], ["sample", "x", ""], *rows[20:]])
    assert "Row 20 repeats the header" in said(fit(twice, "y"))
    spike = [["x", "y"], *([-999 if q % 10 == 3 else q % 7, q % 7] for q in range(200))]
    found = fit(write(tmp_path / "s.csv", spike), "y")
    assert "x: -999 stands 20 times far from all other values (from 0 to 6)" in said(found)
    settled = fit(tmp_path / "s.csv", "y", missing=["-999"])
    assert settled.encoder.names == ("x", "x is missing")
    assert slopes(settled)["x"] == pytest.approx(1)
    assert settled.predict({"x": [-999.0]}) == pytest.approx(settled.predict({"x": [np.nan]}))


@pytest.mark.parametrize("apart", [0.0, 0.2])
@pytest.mark.parametrize(
    "model", [{"model": "linear"}, {"formula": "y ~ x + z", "model": "linear"}]
)
def test_the_row_that_decides_a_fit_is_named(
    model: dict[str, str], apart: float, tmp_path: Path, command: Command
) -> None:
    from statsmodels.api import OLS, add_constant

    rng = np.random.default_rng(4)
    x, z = rng.normal(size=(2, 300)).round(3)
    y = (2 * x + z + rng.normal(size=300)).round(3)
    x[200], y[200] = 60.0, 0.0
    y[[3, 90, 250]] = np.nan  # these do not count, and the number is that of the file
    table = pd.DataFrame({"town": [f"t{i:03}" for i in range(300)], "x": x, "z": z, "y": y})
    table.to_csv(tmp_path / "t.csv", index=False)
    fitted = fit_any(tmp_path / "t.csv", "y", test_fraction=apart, **model)  # type: ignore[arg-type]
    whole = table.dropna()
    oracle = OLS(whole["y"], add_constant(whole[["x", "z"]])).fit().get_influence()
    (found,) = fitted.info["reading"]["decisive_rows"]
    at = list(whole.index).index(200)
    assert found["row"] == 201
    assert found["cooks_distance"] == pytest.approx(oracle.cooks_distance[0][at], rel=1e-6)
    assert found["leverage"] == pytest.approx(oracle.hat_matrix_diag[at], rel=1e-6)
    assert "Row 201" in said(fitted)
    assert len(np.flatnonzero(oracle.cooks_distance[0] > 1)) == 1
    if "formula" not in model:
        assert found["identifiers"] == {"town": "t200"}
    if "formula" not in model and apart:
        ran = command("fit", "t.csv", "-t", "y", "--model", "linear", "--report", "r.html")
        assert "Row 201 (town: t200) decides the fit" in " ".join(ran.out.split())
        assert "Row 201 (town: t200) decides the fit" in (tmp_path / "r.html").read_text()
    # A row of the same leverage that lies where the others say decides nothing.
    others = whole.drop(index=200)
    intercept, *slopes_without = OLS(others["y"], add_constant(others[["x", "z"]])).fit().params
    table.loc[200, "y"] = intercept + slopes_without @ table.loc[200, ["x", "z"]].astype(float)
    calm = fit_any(table, "y", test_fraction=apart, **model)  # type: ignore[arg-type]
    assert calm.info["reading"]["decisive_rows"] == []


def test_a_weighted_row_that_decides_a_fit_is_named() -> None:
    rng = np.random.default_rng(5)
    x = rng.normal(size=2000)
    y = x + rng.normal(size=2000)
    y[1200] += 4
    weight = np.ones(2000)
    table = {"x": x, "y": y, "w": weight}
    assert fit(table, "y", weights="w").info["reading"]["decisive_rows"] == []
    weight[1200] = 1500.0
    (found,) = fit(table, "y", weights="w").info["reading"]["decisive_rows"]
    assert found["row"] == 1201


def test_an_input_is_never_an_output(tmp_path: Path, command: Command) -> None:
    rows = [["x", "y"], *([q, 1 + 2 * q] for q in range(N))]
    mine = write(tmp_path / "mine.csv", rows)
    before = mine.read_bytes()
    (tmp_path / "sub").mkdir()
    (tmp_path / "link.hsq").symlink_to(mine)
    os.link(mine, tmp_path / "hard.hsq")
    base = ("fit", "mine.csv", "-t", "y", "--model", "linear")
    for out in ("mine.csv", "sub/../mine.csv", mine, "link.hsq", "hard.hsq"):
        ran = command(*base, "--out", out)
        assert ran.code == 2
        assert "is the input mine.csv: it would be written over" in ran.err
    for option in ("--report", "--checkpoint"):
        assert "is the input" in command(*base, option, "mine.csv").err
    glob = command("fit", "*.csv", "-t", "y", "--out", "mine.csv")
    assert "is the input" in glob.err
    assert "one file" in command(*base, "--out", "m.hsq", "--report", "sub/../m.hsq").err
    assert "ends in .hsq" in command(*base, "--out", "m.json").err
    assert command(*base, "--out", "m.json", "--force").code == 0
    assert command(*base, "--out", "m.hsq").code == 0
    for out in ("mine.csv", "m.hsq"):
        assert command("predict", "m.hsq", "mine.csv", "--out", out).code == 2
    assert "is the input" in command("sums", "mine.csv", "-t", "y", "--out", "mine.csv").err
    assert mine.read_bytes() == before


def test_predict_keeps_columns_and_tells_what_is_new(tmp_path: Path, command: Command) -> None:
    rows = [["town", "x", "y"], *(["ab"[q % 2], q, q + q % 2] for q in range(N))]
    write(tmp_path / "a.csv", rows)
    assert command("fit", "a.csv", "-t", "y", "--model", "linear", "--out", "m.hsq").code == 0
    write(
        tmp_path / "n.csv", [["id", "town", "x"], ["007", "a", 1], ["8", "c", 99], ["9", "b", ""]]
    )
    ran = command("predict", "m.hsq", "n.csv", "--keep", "id,town")
    assert ran.out.splitlines()[0] == '"id","town","prediction"'
    assert ran.out.splitlines()[1].startswith('"007","a",')
    assert "town: 1 row of a level that was not in training" in ran.err
    assert "x: 1 row outside the range of training" in ran.err
    found = command("predict", "m.hsq", "n.csv", "--json").json["unlike_training"]
    assert found == {"unseen": {"town": 1}, "outside": {"x": 1}, "missing": {"x": 1}}


@pytest.mark.parametrize(
    ("formula", "kind"), [("y ~ x*g", "linear"), ("y ~ a[g] + b*x", "formula")]
)
def test_a_missing_value_that_leaves_no_output_is_told(
    formula: str, kind: str, tmp_path: Path, command: Command
) -> None:
    rows = [["g", "x", "y"], *(["uv"[q % 2], q, 2 * q + 5 * (q % 2) + q % 3] for q in range(N))]
    write(tmp_path / "a.csv", rows)
    ran = command("fit", "a.csv", "--formula", formula, "--model", kind, "--out", "m.hsq")
    assert ran.code == 0, ran.err
    write(tmp_path / "n.csv", [["g", "x"], ["u", 1], ["v", ""], ["", 3], ["", 4]])
    ran = command("predict", "m.hsq", "n.csv")
    assert [line == "nan" for line in ran.out.splitlines()[1:]] == [False, True, True, True]
    assert "x: 1 row without a value, which the formula needs: there is no output" in ran.err
    assert "g: 2 rows without a value, which the formula needs" in ran.err
    found = command("predict", "m.hsq", "n.csv", "--json").json["unlike_training"]
    assert found["without_output"] == {"x": 1, "g": 2} and found["missing"] == {}
    write(tmp_path / "n.csv", [["g", "x"], ["u", 1], ["v", 2]])
    assert "without a value" not in command("predict", "m.hsq", "n.csv").err


STRANGE: dict[str, tuple[list[Any], Callable[[int], float], str]] = {
    # what stands in the column x, the number that it is, and what is said of it
    "single quotes": ([f"'{v}'" for v in V], lambda i: V[i], ""),
    "kept from being numbers": ([f'="{v}"' for v in V], lambda i: V[i], ""),
    "days": ([f"{1 + i % 9} day{'s' if i % 9 else ''}" for i in range(N)], lambda i: 1 + i % 9,
             "unit 'days' left out"),
    "percent here and there": ([f"{v}%" if i % 2 else f"{v}" for i, v in enumerate(V)],
                               lambda i: V[i], "20 of its numbers, such as 1000 in row 1, have no"),
    "codes": ([f"{v:06}" for v in V], lambda i: V[i],
              "001000 has leading zeros and is read as a number"),
    "yyyymmdd": ([(date(2024, 1, 1) + timedelta(i)).strftime("%Y%m%d") for i in range(N)],
                 lambda i: float((date(2024, 1, 1) + timedelta(i)).strftime("%Y%m%d")),
                 "read as dates, yyyymmdd, and are taken for numbers: --dates yyyymmdd"),
    "beyond float64": ([2**53 + 2 * i for i in range(N)], lambda i: 2.0**53 + 2 * i,
                       "differ in digits that float64 does not hold"),
}  # fmt: skip


@pytest.mark.parametrize("door", ["csv", "parquet", "pandas"])
@pytest.mark.parametrize("kind", STRANGE)
def test_strange_numbers(tmp_path: Path, door: str, kind: str) -> None:
    cells, value, told = STRANGE[kind]
    if door == "csv" and kind == "kept from being numbers":
        cells = [c.replace('"', '""') for c in cells]
    first = value(0)
    table = {"x": cells, "y": [5.0 + 2 * (value(i) - first) for i in range(N)]}
    fitted = fit(DOORS[door](table, tmp_path), "y")
    assert slopes(fitted)["x"] == pytest.approx(2, rel=1e-6)
    assert told in said(fitted)


def test_dates_as_digits_are_read_so_where_it_is_said(tmp_path: Path) -> None:
    days = [date(2024, 1, 1) + timedelta(3 * i) for i in range(N)]
    numbers = [int(d.strftime("%Y%m%d")) for d in days]
    table = {"day": numbers, "count": V, "y": [0.5 * (d - days[0]).days for d in days]}
    for door in ("csv", "parquet", "json", "pandas"):
        fitted = fit(DOORS[door](table, tmp_path), "y", dates="yyyymmdd", features=["day"])
        assert slopes(fitted)["day day"] == pytest.approx(0.5), door
        assert "dates as yyyymmdd, from 2024-01-01 to 2024-04-27" in said(fitted)
        for new in ([20240131], ["20240131"]):
            assert fitted.predict({"day": new}) == pytest.approx([15])
    both = fit(table, "y", dates="yyyymmdd")
    assert both.encoder.reading.columns["count"].kind == "number"


@pytest.mark.parametrize(("form", "told"), [("%m/%Y", "mm/yyyy"), ("%b-%y", "mmm-yy")])
def test_months(form: str, told: str) -> None:
    months = [date(2019 + i // 12, 1 + i % 12, 1) for i in range(60)]
    fitted = fit({"m": [m.strftime(form) for m in months], "y": np.arange(60.0)}, "y")
    assert f"dates as {told}, from 2019-01-01 to 2023-12-01" in said(fitted)
    assert slopes(fitted)["m day"] == pytest.approx(12 / 365.25, rel=1e-2)


def test_orders_that_take_turns_are_refused() -> None:
    days = [date(2024, 1, 1) + timedelta(i) for i in range(60)]
    cells = [d.strftime("%d/%m/%Y" if i < 30 else "%m/%d/%Y") for i, d in enumerate(days)]
    with pytest.raises(
        DataError, match=r"two orders: '\d\d/\d\d/2024' in row \d+ is mm/dd/yyyy and"
    ):
        fit({"d": cells, "y": np.arange(60.0)}, "y")
    numbers = {"id": [f"{i * 37 % 99:02}-{i * 53 % 99:02}-{2000 + i}" for i in range(60)]}
    fit({**numbers, "x": range(60), "y": np.arange(60.0)}, "y")  # no dates at all


def test_units_and_spellings_that_take_turns_are_said() -> None:
    y = np.arange(60.0)
    weights = [f"{i / 2} kg" if i % 3 else f"{500 * i} g" for i in range(60)]
    assert "different units ('kg', 'g'); it is read as text" in said(
        fit({"x": weights, "y": y}, "y")
    )
    levels = [("Male", "male ", "Female")[i % 3] for i in range(60)]
    found = said(fit({"x": levels, "y": y}, "y"))
    assert (
        "x: levels that differ in large letters or spaces alone are apart: 'Male', 'male '."
        in found
    )


def test_a_first_line_that_names_the_delimiter(tmp_path: Path) -> None:
    rows = [["sep=;"], ["x;y"], *([f"{q},5;{2 * q + 1}"] for q in range(N))]
    assert slopes(fit(write(tmp_path / "s.csv", rows), "y"))["x"] == pytest.approx(2)


def test_a_delimiter_that_divides_every_line(tmp_path: Path) -> None:
    rows = [["n", "y"], *([f"a\tb\t{q}", q] for q in range(N)), ["a note", 3]]
    fitted = fit(write(tmp_path / "n.csv", rows), "y")
    assert fitted.info["rows_read"] == N + 1
    rows = [["x", "source", "y"], *([q / 2, '"4,6"' if q == 7 else q % 5, q] for q in range(N))]
    odd = fit(write(tmp_path / "c.csv", rows), "y")
    assert "source: 1 value that is no number, read as missing: '4,6' (row 8)" in said(odd)


def test_types_that_only_pandas_has() -> None:
    x = [float(q % 7) for q in range(N)]
    y = [2 * v for v in x]
    plain = slopes(fit({"x": x, "y": y}, "y"))
    mixed = [v if q % 2 else f"{v:g}" for q, v in enumerate(x)]
    for column in (pd.arrays.SparseArray(x), pd.Series(mixed, dtype=object)):
        frame = pd.DataFrame({"x": column, "y": y})
        assert slopes(fit(frame, "y")) == pytest.approx(plain, abs=1e-9)
    months = pd.period_range("2020-01", periods=N, freq="M")
    found = fit(pd.DataFrame({"m": months, "y": np.arange(float(N))}), "y")
    assert found.encoder.reading.columns["m"].kind == "timestamp"
    cut = pd.DataFrame({"x": pd.cut(pd.Series(x), 3), "y": y})
    assert len(fit(cut, "y").encoder.names) == 2
    moments = pd.date_range("2024-01-01", periods=N, tz="Europe/Berlin").astype(
        "datetime64[ns, Europe/Berlin]"
    )
    zoned = pd.DataFrame({"t": moments, "y": np.arange(float(N))})
    assert slopes(fit(zoned, "y"))["t day"] == pytest.approx(1, rel=1e-3)
    with pytest.raises(DataError, match="column 'x' is complex; expected real numbers"):
        fit(pd.DataFrame({"x": np.array(x) + 0j, "y": y}), "y")


def test_digits_of_other_scripts_are_no_numbers() -> None:
    cells = [str(v).translate(str.maketrans("0123456789", "٠١٢٣٤٥٦٧٨٩")) for v in V]
    assert "identifier" in fit({"x": cells, "y": V}, "y").encoder.left_out["x"]


def test_predict_tells_dates_outside_those_of_training() -> None:
    days = [date(2024, 1, 1) + timedelta(9 * i) for i in range(N)]
    fitted = fit({"day": [d.strftime("%d.%m.%Y") for d in days], "y": V}, "y")
    novelty = Novelty()
    new = {"day": ["05.02.2024", "31.12.2023", "01.01.2031"]}
    list(fitted.batches(new, novelty=novelty))
    assert novelty.sentences == ["day: 2 rows outside the range of training"]


def test_spreadsheets_and_archives(tmp_path: Path) -> None:
    rows = [["x", "y"], *([q, 1 + 2 * q] for q in range(N))]
    plain = write(tmp_path / "a.csv", rows)
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.write(plain, "a.csv")
    (tmp_path / "b.csv.gz").write_bytes(gzip.compress(plain.read_bytes()))
    with (
        pa.OSFile(str(tmp_path / "c.csv.zst"), "wb") as raw,
        pa.CompressedOutputStream(raw, "zstd") as out,
    ):
        out.write(plain.read_bytes())
    for name in ("a.zip", "b.csv.gz", "c.csv.zst"):
        assert slopes(fit(tmp_path / name, "y"))["x"] == pytest.approx(2), name
    with zipfile.ZipFile(tmp_path / "two.zip", "w") as archive:
        archive.write(plain, "a.csv")
        archive.write(plain, "b.csv")
    with pytest.raises(DataError, match="holds 2 files"):
        fit(tmp_path / "two.zip", "y")
    book(tmp_path / "s.xlsx", {"First": [["Title"], *rows], "Other": [["z"], [1]]})
    with pytest.raises(DataError, match="several sheets; name one with --sheet: First, Other"):
        fit(tmp_path / "s.xlsx", "y")
    ods(tmp_path / "s.ods", [["x", "y"], *([q, 1 + 2 * q] for q in range(N))])
    assert slopes(fit(tmp_path / "s.ods", "y"))["x"] == pytest.approx(2)
    fitted = fit(tmp_path / "s.xlsx", "y", sheet="First")
    assert slopes(fitted)["x"] == pytest.approx(2)
    assert evaluate(fitted, DataSpec(tmp_path / "s.xlsx", sheet="First")).summary.rows == N


def ods(path: Path, rows: list[list[Any]]) -> None:
    """An OpenDocument spreadsheet by hand, of numbers and texts."""
    urn = "urn:oasis:names:tc:opendocument:xmlns"
    kind = "application/vnd.oasis.opendocument.spreadsheet"
    body = ""
    for row in rows:
        cells = "".join(
            f'<table:table-cell office:value-type="string"><text:p>{v}</text:p></table:table-cell>'
            if isinstance(v, str)
            else f'<table:table-cell office:value-type="float" office:value="{v}"/>'
            for v in row
        )
        body += f"<table:table-row>{cells}</table:table-row>"
    spaces = " ".join(f'xmlns:{n}="{urn}:{n}:1.0"' for n in ("office", "table", "text"))
    content = (
        f"<office:document-content {spaces}><office:body><office:spreadsheet><table:table "
        f'table:name="First">{body}</table:table></office:spreadsheet></office:body>'
        "</office:document-content>"
    )
    listed = "".join(
        f'<manifest:file-entry manifest:full-path="{where}" manifest:media-type="{what}"/>'
        for where, what in (("/", kind), ("content.xml", "text/xml"))
    )
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("mimetype", kind)
        archive.writestr("content.xml", content)
        archive.writestr(
            "META-INF/manifest.xml",
            f'<manifest:manifest xmlns:manifest="{urn}:manifest:1.0">{listed}</manifest:manifest>',
        )


@settings(max_examples=20)
@given(
    st.integers(0, 2**31),
    st.sampled_from(sorted(NUMBERS)),
    st.sampled_from(["%d.%m.%Y", "%m/%d/%Y", "%Y-%m-%d", "%d %b %Y"]),
    st.sampled_from(sorted(DOORS)),
)
def test_one_table_in_any_spelling_by_any_door(
    tmp_path_factory: pytest.TempPathFactory, seed: int, kind: str, form: str, door: str
) -> None:
    rng = np.random.default_rng(seed)
    spell, unit = NUMBERS[kind]
    area = (rng.integers(1_000, 900_000, 80) / 10).round(1 if unit != 100 else 0)
    if kind in ("hard spaces", "code before", "square metres"):
        area = area.round()
    days = [date(2019, 1, 1) + timedelta(int(d)) for d in rng.integers(0, 2000, 80)]
    level = [("Ulm", "Bonn", "true", "7")[i] for i in rng.integers(0, 4, 80)]
    y = area * 0.01 + np.array([d.toordinal() for d in days]) + (np.array(level) == "Ulm")
    y += rng.normal(size=80)
    plain = {
        "area": area / unit if unit != 100 else area / 100,
        "when": days,
        "level": level,
        "y": y,
    }
    plain["area"] = area if abs(unit) == 1 and unit > 0 else (-area if unit < 0 else area / 100)
    written = {
        "area": [spell(float(v)) for v in area],
        "when": [d.strftime(form) for d in days],
        "level": level,
        "y": y.tolist(),
    }
    by_hand = fit(pd.DataFrame({**plain, "when": pd.to_datetime(days)}), "y")
    by_door = fit(DOORS[door](written, tmp_path_factory.mktemp("door")), "y")
    by_estimator = LinearRegressor().fit(
        pd.DataFrame(written).drop(columns="y"), np.array(written["y"])
    )
    outputs = by_door.predict(written)
    assert by_estimator.predict(pd.DataFrame(written)[["area", "when", "level"]]) == pytest.approx(
        outputs, rel=1e-9
    )
    assert slopes(by_door) == pytest.approx(slopes(by_hand), rel=1e-6, abs=1e-6)


@pytest.mark.parametrize("at", [None, 3, 40_000])
@pytest.mark.parametrize("word", ["NA", "?", "nan", "absent"])
def test_a_word_for_no_value_is_known_wherever_it_turns_up(
    tmp_path: Path, at: int | None, word: str
) -> None:
    """Few of the words are looked for in numbers until one turns up that is none of them."""
    random = np.random.default_rng(0)
    x, y = random.normal(size=(2, 60_000)).round(4)
    fields = [str(v) for v in x]
    if at is not None:
        fields[at] = fields[at + 15_000] = word
        x[[at, at + 15_000]] = np.nan
    path = tmp_path / "words.csv"
    rows = [f"{a},{b},{'true' if b > 0 else 'false'}" for a, b in zip(fields, y, strict=True)]
    path.write_text("\n".join(["x,y,b", *rows]))
    source = open_source(DataSpec(str(path), missing=("absent",) if word == "absent" else ()))
    columns = [source.column(name) for name in ("x", "y")]
    found = list(record_batches(source, columns, 4096))
    values = [np.concatenate([floats_of(b.column(j)) for b in found]) for j in (0, 1)]
    np.testing.assert_array_equal(values[0], x)
    np.testing.assert_array_equal(values[1], y)
    quick = with_few_words(source, columns)
    assert quick is not None and quick.table is not None
    assert (word in quick.table.words) is (word == "absent" or at == 3)
    with_text = [replace(columns[0], kind="text"), columns[1]]
    texts = [v for b in record_batches(source, with_text, 4096) for v in b.column(0).to_pylist()]
    assert (at is None) == (None not in texts)


def test_what_is_no_word_is_told_with_its_row_wherever_it_turns_up(tmp_path: Path) -> None:
    path = tmp_path / "wrong.csv"
    rows = [f"{i * 0.5},{i}" for i in range(30_000)]
    rows[11_000] = "NA,11000"
    rows[25_000] = "twelve,25000"
    path.write_text("\n".join(["x,y", *rows]))
    source = open_source(str(path))
    with pytest.raises(Misread, match=r"row 25001, column 'x': found 'twelve'"):
        list(record_batches(source, [source.column("x"), source.column("y")], 4096))


@pytest.mark.parametrize("door", ["csv", "frame"])
def test_whole_numbers_that_float64_merges_are_said_and_group_nothing(
    door: str, tmp_path: Path
) -> None:
    """Account numbers of 19 digits: 40 of them are 10 numbers of float64."""
    random = np.random.default_rng(0)
    group = np.repeat(np.arange(40), 8)
    x = random.normal(size=320)
    frame = pd.DataFrame({"acct": 1234567890123456001 + group * 60, "x": x, "y": x + 0.3 * group})
    data: Any = frame
    if door == "csv":
        data = tmp_path / "t.csv"
        frame.to_csv(data, index=False)
    told = "acct: whole numbers that float64 would merge, taken less 1234567890123456001; codes"
    line = fit(data, "y", model="linear")
    assert told in str(line.record.data.reading["suspicious"])
    said = "40 different whole numbers near 1.23457e+18 are 10 in float64"
    product = fit(data, model="linear", formula="y ~ log(acct) * x")
    assert said in str(product.record.data.reading["suspicious"])
    options = {"model": "linear", "features": ["x"]}
    for more in ({"errors": "cluster:acct"}, {"split": "group:acct"}):
        with pytest.raises(DataError, match=r"of which float64 makes 10: .* --category acct"):
            fit(data, "y", **options, **more)
    apart = fit(data, "y", errors="cluster:acct", category=["acct"], test_fraction=0, **options)
    assert apart.info["facts"]["errors_facts"]["clusters"] == {"acct": 40}
    few = frame.assign(acct=frame["acct"] // 10**6)
    if door == "csv":
        few.to_csv(data, index=False)
    else:
        data = few
    assert "float64" not in str(fit(data, "y", model="linear").record.data.reading["suspicious"])


def test_a_short_line_after_a_preamble_is_named_by_its_row_and_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "umsatz.csv"
    rows = "".join(f"{i};{2 * i + i % 3}\n" for i in range(40))
    path.write_text(f"Umsatz 2023\nx;y\n{rows}41\n")
    with pytest.raises(DataError, match=r"row 41 \(line 43\): found 1 field,.*delete it if"):
        fit(str(path), "y", model="linear")
    path.write_text(f"Umsatz 2023\nx;y\n{rows}Quelle: Amt\n")
    assert "the last line (line 43, 'Quelle: Amt') passed over" in said(fit(str(path), "y"))


@pytest.fixture(scope="module")
def dated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of ISO dates and a number."""
    path = tmp_path_factory.mktemp("dated") / "m.hsq"
    days = [date(2023, 1, 1) + timedelta(n) for n in range(150)]
    text = path.with_suffix(".csv")
    rows = (f"{d},{n * n},{n}" for n, d in enumerate(days))
    text.write_text("d,x,y\n" + "\n".join(rows) + "\n")
    fit(str(text), "y").save(path)
    return path


@pytest.mark.parametrize("door", ["predict", "evaluate"])
@pytest.mark.parametrize(
    ("row", "found", "expected", "option"),
    [("2023-03-01,abc,1", "'abc'", "numbers as in training", "--decimal"),
     ("01/02/2023,4,1", "'01/02/2023'", "dates as yyyy-mm-dd as in training", "--dates")],
)  # fmt: skip
def test_a_value_unlike_training_is_told_with_options_that_are_there(
    dated: Path, command: Command, door: str, row: str, found: str, expected: str, option: str
) -> None:
    Path("new.csv").write_text(f"d,x,y\n{row}\n2023-03-01,9,3\n")
    ran = command(door, str(dated), "new.csv")
    said = ran.err
    assert ran.code
    assert (
        f"row 1, column {'x' if 'abc' in row else 'd'!r}: found {found}, expected {expected}"
        in (" ".join(said.split()))
    )
    assert option in said and "--missing" in said
    assert "--exclude" not in said and "--category" not in said and "other rows" not in said


@pytest.mark.parametrize("shape", ["%d/%m/%Y", "%d.%m.%Y", "%Y-%m-%d"])
def test_the_order_of_dates_is_heeded_by_a_model_of_iso_dates(dated: Path, shape: str) -> None:
    model = load(dated)
    days = [date(2023, 3, 2), date(2023, 3, 14)]
    path = dated.with_name("new.csv")
    path.write_text("d,x\n" + "".join(f"{d.strftime(shape)},4\n" for d in days))
    got = model.predict(DataSpec(str(path), dates="dmy"))
    want = model.predict({"d": days, "x": [4, 4]})
    np.testing.assert_allclose(got, want, rtol=1e-12)


def test_marks_are_told_of_columns_in_which_they_occur() -> None:
    count = [str(i) for i in range(1, 61)]
    price = [f"{i}.100,5" if i % 2 else "7" for i in range(60)]
    table = DataSpec({"Nr": count, "p": price, "y": range(60)}, decimal=",", thousands=".")
    told = said(fit(table, "y"))
    assert "p: number (decimal mark ',', thousands mark '.')" in told and "Nr: number (" not in told


def test_times_of_day_are_told_as_times() -> None:
    times = [f"{i % 24:02d}:{23 * i % 60:02d}" for i in range(60)]
    told = said(fit({"t": times, "y": range(60)}, "y"))
    assert f"t: times as hh:mm, from {min(times)} to {max(times)}." in told


def test_no_penalty_is_told_where_there_is_none(command: Command) -> None:
    Path("one.csv").write_text("y\n5\n")
    assert "penalty" not in command("fit", "one.csv", "-t", "y").out
