"""Sums computed by SQL where the rows are: the coefficients of a fit of the rows."""

from __future__ import annotations

import csv
import io
import pickle
from collections.abc import Callable, Iterator
from functools import reduce
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import pytest
import sqlglot
from postgres import Ask, postgresql
from sqlglot import exp

from halfsquare import FittedModel, fit, fit_sums, load_sums, sum_rows
from halfsquare.errors import DataError, OptionError
from halfsquare.exact.sql_layout import SqlLayout
from halfsquare.exact.sql_result import sums_from_sql
from halfsquare.exact.sql_statement import DIALECTS, statement
from halfsquare.exact.table_sums import TableSums

NAMES = {"area": 'the "area", m²', "rooms": "rooms", "town": "to'wn", "kind": "select"}


def houses(n: int = 900, seed: int = 0) -> pd.DataFrame:
    """Numbers far from 0, gaps, NaN, levels of all sorts, weights, names that need quotes."""
    rng = np.random.default_rng(seed)
    area, rooms = 1e9 + 30 * rng.normal(size=n), rng.integers(1, 9, n).astype(float)
    town = rng.choice(["york", "", "St. John's", '"x"; DROP TABLE houses; --', "ü\\n"], n)
    kind = rng.choice([1.0, 2.0, 2.5], n)
    price = 3e5 + 20 * (area - 1e9) + 5 * rooms + 40 * (town == "york") + rng.normal(size=n)
    table = {"area": area, "rooms": rooms, "town": town.astype(object), "kind": kind}
    frame = pd.DataFrame({NAMES[k]: v for k, v in table.items()})
    frame["price"], frame["w"] = price, rng.uniform(0.1, 3, n)
    frame["lot"] = 2 * area + rng.normal(size=n)
    frame.loc[rng.random(n) < 0.1, NAMES["area"]] = np.nan
    frame.loc[rng.random(n) < 0.05, "price"] = np.nan
    frame.loc[rng.random(n) < 0.1, NAMES["town"]] = None
    frame.loc[rng.random(n) < 0.02, "w"] = 0.0
    return frame


CATEGORIES = (NAMES["town"], NAMES["kind"])
NUMBERS = (NAMES["area"], NAMES["rooms"])
LAYOUTS = {
    "weighted": SqlLayout("houses", ("price",), NUMBERS, CATEGORIES, (), "w"),
    "counted": SqlLayout("houses", ("price",), NUMBERS, CATEGORIES, (NAMES["rooms"],)),
    "numbers alone": SqlLayout("houses", ("price",), NUMBERS, (), NUMBERS[1:]),
    "levels alone": SqlLayout("houses", ("price",), (), CATEGORIES),
    "two targets": SqlLayout("houses", ("price", "lot"), NUMBERS, CATEGORIES[:1], (), "w"),
}


def of_rows(frame: pd.DataFrame, layout: SqlLayout) -> FittedModel:
    return fit(
        frame,
        list(layout.targets),
        model="linear",
        features=[*layout.numbers, *layout.categories],
        category=list(layout.categories),
        weights=layout.weight,
        test_fraction=0,
    )


def by_duckdb(frame: pd.DataFrame, layout: SqlLayout, folder: Path) -> Path:
    with duckdb.connect() as connection:
        connection.execute("SET threads=1")
        connection.register("houses", frame)
        sql = statement(layout, "houses", "duckdb").removesuffix(";")
        connection.execute(f"COPY ({sql}) TO '{folder / 'result.csv'}' (HEADER)")
    return folder / "result.csv"


@pytest.fixture(scope="module")
def postgres() -> Iterator[Ask]:
    with postgresql() as ask:
        yield ask


def by_postgresql(ask: Ask, frame: pd.DataFrame, layout: SqlLayout, folder: Path) -> Path:
    kinds = {"float64": "double precision", "object": "text", "str": "text"}
    dialect = DIALECTS["postgresql"]
    named = ", ".join(f"{dialect.name(n)} {kinds[str(t)]}" for n, t in frame.dtypes.items())
    ask(f"DROP TABLE IF EXISTS houses; CREATE TABLE houses ({named})")
    # An empty text is none of COPY's missing values if it is quoted.
    rows = frame.to_csv(index=False, header=False, quoting=csv.QUOTE_NONNUMERIC, na_rep="NULL")
    for name in frame:
        assert "NULL" not in frame[name].to_numpy()
    ask("COPY houses FROM STDIN (FORMAT csv, NULL 'NULL')", rows.replace('"NULL"', "NULL"))
    (folder / "result.csv").write_text(ask(statement(layout, "public.houses")), encoding="utf-8")
    return folder / "result.csv"


def require_equal(found: FittedModel, expected: FittedModel) -> None:
    """Coefficients to 1e-10 of what they move the output by, standard errors to 1e-10."""
    ours, theirs = ({p.name: p for p in m.parameters} for m in (found, expected))
    assert ours.keys() == theirs.keys()
    for name, p in theirs.items():
        assert ours[name].value == pytest.approx(p.value, rel=1e-10, abs=1e-10 * p.standard_error)
        assert ours[name].standard_error == pytest.approx(p.standard_error, rel=1e-10), name
    for key in ("rows", "sse", "mse", "r2"):
        assert found.train[key] == pytest.approx(expected.train[key], rel=1e-9), key
    for key in ("rows_missing_target", "rows_zero_weight"):
        assert found.info[key] == expected.info[key], key


@pytest.mark.parametrize("name", LAYOUTS)
def test_duckdb_gives_the_coefficients_of_the_rows(name: str, tmp_path: Path) -> None:
    frame, layout = houses(), LAYOUTS[name]
    sums = sums_from_sql(by_duckdb(frame, layout, tmp_path))
    sums.save(tmp_path / "houses.sums")
    found = fit_sums(tmp_path / "houses.sums")
    require_equal(found, of_rows(frame, layout))
    assert sums.counts.read == len(frame) and "digits of the coefficients" in sums.doubts[0]


@pytest.mark.parametrize("name", LAYOUTS)
def test_postgresql_gives_the_coefficients_of_the_rows(
    name: str, tmp_path: Path, postgres: Ask
) -> None:
    frame, layout = houses(), LAYOUTS[name]
    result = by_postgresql(postgres, frame, layout, tmp_path)
    require_equal(fit_sums(sums_from_sql(result)), of_rows(frame, layout))


@pytest.mark.parametrize("dialect", [d for d in DIALECTS if d not in ("postgresql", "duckdb")])
@pytest.mark.parametrize("name", LAYOUTS)
def test_other_dialects_are_read_by_their_parser(name: str, dialect: str) -> None:
    """No such server is asked: an independent parser reads the statement, and finds tables and
    columns by their names.
    """
    layout, table = LAYOUTS[name], "shop.public.houses"
    sql = statement(layout, table, dialect)
    tree = sqlglot.parse_one(sql, read=dialect, error_level=sqlglot.ErrorLevel.RAISE)
    named = {c.name for c in tree.find_all(exp.Column)}
    wanted = {*layout.values, *layout.categories, *filter(None, [layout.weight])}
    assert wanted <= named
    tables = [t for t in tree.find_all(exp.Table) if t.name != "about"]
    assert {(t.catalog, t.db, t.name) for t in tables} == {tuple(table.split("."))}


def edited(path: Path, **columns: Any) -> Path:
    """A result in which columns say something else, in every row."""
    with path.open(newline="") as file:
        lines = list(csv.DictReader(file))
    for line in lines:
        line.update({k: v(line[k]) if callable(v) else v for k, v in columns.items()})
    out = io.StringIO()
    writer = csv.DictWriter(out, list(lines[0]))
    writer.writeheader()
    writer.writerows(lines)
    changed = path.with_name("edited.csv")
    changed.write_text(out.getvalue())
    return changed


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return by_duckdb(houses(), LAYOUTS["weighted"], tmp_path_factory.mktemp("result"))


def test_means_that_were_computed_again_change_nothing(result: Path, tmp_path: Path) -> None:
    """A database may compute the means once for each part of the statement, in another order of
    rows: the levels then stand about means that differ in their last digits.
    """
    with result.open(newline="") as file:
        lines = list(csv.DictReader(file))
    moved = 2.0**-23 * 3
    for line in lines:
        if line["part"] == "halfsquare-levels":
            line["a1"] = repr(float(line["a1"]) + moved)
            there = float(line["w"]) - float(line["sm1"])
            line["sv1"] = repr(float(line["sv1"]) - moved * there)
    out = tmp_path / "moved.csv"
    with out.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(lines[0]))
        writer.writeheader()
        writer.writerows(lines)
    require_equal(fit_sums(sums_from_sql(out)), fit_sums(sums_from_sql(result)))


@pytest.mark.parametrize("first", [0, 1])
def test_products_about_other_means_are_moved(
    first: int, result: Path, tmp_path: Path, monkeypatch: Any
) -> None:
    """With two products a row there are many rows; in every second one two numbers stand about
    means that are off, by 0.5 and 2.
    """
    from halfsquare.exact import sql_layout

    expected = fit_sums(sums_from_sql(result))
    monkeypatch.setattr(sql_layout, "_PAIRS", 2)
    layout, path = LAYOUTS["weighted"], tmp_path / "moved.csv"
    parts = statement(layout, "houses", "duckdb").removesuffix(";").split("UNION ALL")
    about, parts[0] = parts[0].split("\n)\n", 1)
    for i in range(first, len(parts), 2):
        for j, off in ((1, 0.5), (3, 2.0)):
            mean, centred = f"\n  a{j},\n", f"COALESCE(x{j} - a{j},"
            assert mean in parts[i] and centred in parts[i]
            parts[i] = parts[i].replace(mean, f"\n  a{j} + {off} AS a{j},\n")
            parts[i] = parts[i].replace(centred, f"COALESCE(x{j} - (a{j} + {off}),")
    with duckdb.connect() as connection:
        connection.execute("SET threads=1")
        connection.register("houses", houses())
        sql = about + "\n)\n" + "UNION ALL".join(parts)
        connection.execute(f"COPY ({sql}) TO '{path}' (HEADER)")
    found = sums_from_sql(path)
    with path.open(newline="") as file:
        assert len({line["a1"] for line in csv.DictReader(file)}) == 2
    require_equal(fit_sums(found), expected)


@pytest.mark.parametrize(
    ("columns", "match"),
    [
        ({"hi1": "Infinity"}, "column 'the \"area\", m²' of houses holds infinite values"),
        ({"n_bad_weight": "3"}, "3 rows of houses have a weight that is missing, negative"),
        ({"a1": "inf"}, "beyond float64"),
        ({"p0": "many"}, "column 'p0': found 'many', expected a number"),
        ({"part": "x"}, "'x' does not describe sums"),
        ({"part": "halfsquare-levels"}, "holds no sums"),
        ({"block": "1"}, "1 rows of products, and its statement gives 1"),
        ({"k1": "=york", "k2": ""}, "stand twice"),
    ],
)
def test_a_result_that_cannot_be_is_refused(
    columns: dict[str, str], match: str, result: Path
) -> None:
    with pytest.raises(DataError, match=match):
        sums_from_sql(edited(result, **columns))


def test_levels_of_another_table_are_refused(result: Path) -> None:
    def less(text: str) -> str:
        return repr(0.9 * float(text)) if text else text

    with result.open(newline="") as file:
        lines = list(csv.reader(file))
    at = lines[0].index("w")
    for line in lines[2:]:
        line[at] = less(line[at])
    changed = result.with_name("less.csv")
    with changed.open("w", newline="") as file:
        csv.writer(file).writerows(lines)
    with pytest.raises(DataError, match="the table changed while the statement ran"):
        sums_from_sql(changed)


def test_a_file_that_is_something_else(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("a,b\n1,2\n")
    with pytest.raises(DataError, match=r"no result of a statement of halfsquare sums --sql"):
        sums_from_sql(tmp_path / "rows.csv")
    with pytest.raises(DataError, match="cannot read"):
        sums_from_sql(tmp_path / "none.csv")
    (tmp_path / "short.csv").write_text(f"part,block\n{LAYOUTS['weighted'].told}\n")
    with pytest.raises(DataError, match="row 1: 1 fields, and the header names 2"):
        sums_from_sql(tmp_path / "short.csv")
    (tmp_path / "short.csv").write_text(f"part,block\n{LAYOUTS['weighted'].told},0\n")
    with pytest.raises(DataError, match="lacks the column '"):
        sums_from_sql(tmp_path / "short.csv")


def test_few_digits_are_told(result: Path, tmp_path: Path) -> None:
    """Exported with six digits, and columns that can hardly be told apart."""

    def short(text: str) -> str:
        return f"{float(text):.6g}" if "." in text else text

    with pytest.raises(DataError, match="different rows"):
        sums_from_sql(edited(result, w=lambda t: f"{float(t):.3g}"))
    frame = houses()
    layout = SqlLayout("houses", ("price",), ("x", "z"))
    x = np.random.default_rng(1).normal(size=len(frame))
    frame["x"], frame["z"] = x, x + 1e-5 * frame["w"]
    few = sums_from_sql(by_duckdb(frame, layout, tmp_path)).doubts[0]
    digits = int(few.split("about ")[1].split()[0])
    found, expected = fit_sums(sums_from_sql(tmp_path / "result.csv")), of_rows(frame, layout)
    apart = max(
        abs(a.value / b.value - 1)
        for a, b in zip(found.parameters[1:], expected.parameters[1:], strict=True)
    )
    assert 2 <= digits <= 8 and apart < 10.0 ** -(digits - 1)
    six = edited(
        tmp_path / "result.csv",
        **{f"p{i}": short for i in range(len(layout.pairs))},
        **{f"{name}{i}": short for name in ("a", "sv", "lo", "hi") for i in (1, 2, 3)},
    )
    assert "about 0 digits" in sums_from_sql(six).doubts[0]


@pytest.mark.parametrize("least", [2**53 - 2000, 2**60])
def test_whole_numbers_that_sql_merges_are_told(least: int, tmp_path: Path) -> None:
    """And those that it does not are not; less what they have in common they are what they are."""
    i = 3 * np.arange(200) + np.arange(200) % 5
    x = np.random.default_rng(2).normal(size=200)
    frame = pd.DataFrame({"id": least + i, "x": x, "price": x + 0.1 * i})
    layout = SqlLayout("houses", ("price",), ("id", "x"))
    first, *more = sums_from_sql(by_duckdb(frame, layout, tmp_path)).doubts
    digits = int(first.split("about ")[1].split()[0])
    if least < 2**53:
        assert digits >= 12 and not more
        return
    assert digits == 0 and len(more) == 1
    assert more[0].startswith("id: its values, from 1152921504606846976 to ")
    assert "multiples of 256" in more[0] and "id - 1152921504606846976 AS id" in more[0]
    frame["id"] -= least
    found = sums_from_sql(by_duckdb(frame, layout, tmp_path))
    assert len(found.doubts) == 1
    slope = {p.name: p.value for p in fit_sums(found).parameters}["id"]
    assert slope == pytest.approx(0.1, rel=1e-10)


def test_what_a_statement_is_not_written_for() -> None:
    for table in ("a b", "houses;x", "houses; DROP TABLE x", "", "a.", "x'", "f(x)"):
        with pytest.raises(OptionError, match="is no table"):
            statement(LAYOUTS["counted"], table)
    with pytest.raises(OptionError, match="the dialect is 'oracle'; expected postgresql"):
        statement(LAYOUTS["counted"], "houses", "oracle")
    for layout, match in (
        ({"targets": ()}, "no target"),
        ({"numbers": ()}, "no columns to sum"),
        ({"numbers": ("x", "x")}, "'x' is named twice"),
        ({"not_null": ("z",)}, "--not-null names 'z'"),
        ({"numbers": tuple(map(str, range(100)))}, "101 numbers and targets"),
    ):
        with pytest.raises(OptionError, match=match):
            SqlLayout("houses", **{"targets": ("y",), "numbers": ("x",), **layout})  # type: ignore[arg-type]


def test_null_where_it_was_said_that_there_is_none(tmp_path: Path) -> None:
    layout = SqlLayout("houses", ("price",), NUMBERS, (), NUMBERS)
    with pytest.raises(DataError, match="has missing values, and --not-null said that it has none"):
        sums_from_sql(by_duckdb(houses(), layout, tmp_path))


def test_constant_columns_and_no_values(tmp_path: Path) -> None:
    """A mean that is not exact leaves deviations of rounding: the column does not vary all the
    same, as where the rows are read.
    """
    frame = houses(500)
    frame["same"], frame["nothing"], frame["nowhere"] = 0.1, np.nan, None
    frame["nowhere"] = frame["nowhere"].astype("string")
    layout = SqlLayout("houses", ("price",), ("rooms", "same", "nothing"), ("nowhere",))
    sums = sums_from_sql(by_duckdb(frame, layout, tmp_path))
    sums.save(tmp_path / "s.sums")
    require_equal(fit_sums(load_sums(tmp_path / "s.sums")), of_rows(frame, layout))


def test_too_many_levels_are_left_out_by_the_database(tmp_path: Path) -> None:
    frame = houses(700)
    frame["id"] = [f"n{i}" for i in range(700)]
    layout = SqlLayout("houses", ("price",), ("rooms",), ("id", NAMES["town"]))
    path = by_duckdb(frame, layout, tmp_path)
    sums = sums_from_sql(path)
    assert [c.kind for c in sums.columns] == ["number", "crowded", "text"]
    assert len(path.read_text().splitlines()) < 40
    fit_sums(sums)


Command = Callable[..., Any]


def test_the_command_line(tmp_path: Path, command: Command) -> None:
    houses().to_parquet(tmp_path / "houses.parquet")
    asked = ["--target", "price", "--features", "rooms,select", "--category", "select"]
    table = "SELECT * FROM 'houses.parquet'"
    ran = command("sums", table, "--sql", *asked, "--dialect", "duckdb")
    assert ran.code == 0, ran.err
    with duckdb.connect() as connection:
        query = (
            ran.out.strip()
            .removesuffix(";")
            .replace("houses.parquet", str(tmp_path / "houses.parquet"))
        )
        connection.execute(f"COPY ({query}) TO '{tmp_path / 'r.csv'}' (HEADER)")
    done = command("sums", "--from-sql", "r.csv", "--out", "houses.sums")
    assert done.code == 0 and "over query" in done.out and "was summed by SQL" in done.out
    ours = command("fit-sums", "houses.sums", "--json").json
    theirs = command(
        "fit", "houses.parquet", *asked, "--model", "linear", "--test-fraction", 0, "--json"
    ).json
    for a, b in zip(ours["parameters"], theirs["parameters"], strict=True):
        assert a["name"] == b["name"] and a["value"] == pytest.approx(b["value"], rel=1e-10)
    for arguments, match in (
        ((table, "--sql", "--target", "price"), "name them (--features)"),
        ((table, "--sql", *asked, "--out", "x.sums"), "--out is not for --sql"),
        ((table, "--sql", *asked, "--missing", "-9"), "--missing is not for --sql"),
        ((table, "--sql", *asked, "--category", "lot"), "'lot' is not among --features"),
        ((table, *asked, "--not-null", "rooms", "--out", "x"), "--not-null is for --sql alone"),
        (("r.csv", "--from-sql", "--target", "price", "--out", "x"), "--target was said to --sql"),
        (("houses.parquet", "--out", "x.sums"), "name the column to predict"),
        (("houses.parquet", "--target", "price"), "name the file for the sums"),
    ):
        refused = command("sums", *arguments)
        assert (refused.code, refused.out) == (2, "") and match in refused.err, refused.err


def test_partitions_go_from_process_to_process_and_merge(tmp_path: Path) -> None:
    """As docs/warehouse.md shows for Spark, Ray and Dask: what a worker returns is pickled."""
    frame, names = houses(600), [NAMES["rooms"], NAMES["town"]]

    def summed(part: pd.DataFrame) -> TableSums:
        return sum_rows(part, "price", features=names, category=names[1:], test_fraction=0)

    parts = [pickle.loads(pickle.dumps(summed(frame[i::3]))) for i in range(3)]
    found, whole = reduce(TableSums.merge, parts), summed(frame)
    assert (found.train, found.columns) == (whole.train, whole.columns)
