"""Lines at the end of a text file that are no rows, short rows that are, and marks first met at
prediction.
"""

from __future__ import annotations

import gzip
import io
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from conftest import Ran
from spreadsheets import book

from halfsquare import FittedModel, sum_rows
from halfsquare import fit as fit_any
from halfsquare.data.footer import Row, footer_start
from halfsquare.data.novelty import Novelty
from halfsquare.errors import DataError, HalfsquareError
from halfsquare.results.predict import predicted_batches

fit = partial(fit_any, model="linear", test_fraction=0)
NUMBERS = [f"{i},{2 * i + 1},{i % 7}" for i in range(40)]  # x, y, z
CITIES = [f"City {'ABCDE'[i % 5]},{2 * i + 1},{i}" for i in range(40)]  # c, y, x


def said(fitted: FittedModel) -> str:
    return "\n".join(fitted.info["reading"]["suspicious"])


def slope(fitted: FittedModel) -> float:
    return {p.name: p.value for p in fitted.parameters}["x"]


def plain(lines: list[str], folder: Path) -> Any:
    path = folder / "t.csv"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def packed(lines: list[str], folder: Path) -> Any:
    path = folder / "t.csv.gz"
    path.write_bytes(gzip.compress(("\n".join(lines) + "\n").encode()))
    return path


def in_latin(lines: list[str], folder: Path) -> Any:
    path = folder / "t.csv"
    path.write_bytes(("\r\n".join(lines) + "\r\n").encode("utf-16"))
    return path


def queried(lines: list[str], folder: Path) -> Any:
    return f"SELECT * FROM '{plain(lines, folder)}'"


DOORS = {"csv": plain, "gz": packed, "utf-16": in_latin, "sql": queried}


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize(
    ("header", "rows", "footer"),
    [
        ("x,y,z", NUMBERS, ["Source: ONS"]),
        ("x,y,z", NUMBERS, ["Total,1600"]),
        ("x,y,z", NUMBERS, ["compiled by hand, in a hurry, on a train, at night"]),
        ("x,y,z", NUMBERS, ["", "Notes", "1 the first, which is long", "2 the second"]),
        ("x,y,z", NUMBERS, ["Source: ONS,,"]),
        (
            "y,x,z",
            [",".join(np.array(r.split(","))[[1, 0, 2]]) for r in NUMBERS],
            ["Stand: 2023,,"],
        ),
        ("x,y,z", NUMBERS, [",", ""]),
        ("x,y,z", NUMBERS, ["\x1a"]),
        ("c,y,x", CITIES, ["Source: ONS, London"]),
        ("c,y,x", CITIES, ["", "Prepared by the office"]),
        ("c,y,x", CITIES, ["(40 rows affected)"]),
        ("c,y,x", CITIES, ["* provisional"]),
        ("c,y,x", CITIES, ["---", "Summe,1600"]),
    ],
)
def test_a_footer_is_passed_over_and_said(
    header: str, rows: list[str], footer: list[str], door: str, tmp_path: Path
) -> None:
    fitted = fit(DOORS[door]([header, *rows, *footer], tmp_path), "y")
    assert fitted.info["rows_read"] == len(rows)
    assert slope(fitted) == pytest.approx(2.0)
    assert "passed over: a footer" in said(fitted)
    assert "line 42" in said(fitted) or "line 43" in said(fitted)


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize(
    ("header", "rows", "last", "found"),
    [
        ("x,y,z", NUMBERS, "41,83", "2 fields"),
        ("x,y,z", NUMBERS, "41", "1 field"),
        ("x,y,z", NUMBERS, "2023-05-01", "1 field"),
        ("c,y,x", CITIES, "City A,83", "2 fields"),
        ("c,y,x", CITIES, "City", "1 field"),
        ("c,y,x", CITIES, "Sumter,1,2,3", "4 fields"),
    ],
)
def test_a_row_that_lacks_something_is_no_footer(
    header: str, rows: list[str], last: str, found: str, door: str, tmp_path: Path
) -> None:
    with pytest.raises(DataError, match=rf"row 41.*found ({found}, exp|'{last}')") as refused:
        fit(DOORS[door]([header, *rows, last], tmp_path), "y")
    assert "Correct" in str(refused.value)


def test_a_short_line_among_the_rows_is_no_footer(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"row 41.*found 1 field"):
        fit(plain(["x,y,z", *NUMBERS, "Source: ONS", *NUMBERS], tmp_path), "y")


def test_a_row_that_is_full_is_never_taken_for_a_footer(tmp_path: Path) -> None:
    """Nor one with a single text where texts are usual, nor a total of the width of the rows."""
    fitted = fit(plain(["c,y,x", *CITIES, "Total,1600,780"], tmp_path), "y")
    assert fitted.info["rows_read"] == 41
    assert "Row 41 looks like a total of the others ('Total')" in said(fitted)
    fitted = fit(plain(["c,y,x", *CITIES, "City A,,"], tmp_path), "y")
    assert (fitted.info["rows_read"], fitted.info["rows_missing_target"]) == (41, 1)
    assert "footer" not in said(fitted)


def test_footers_of_large_and_packed_files_are_found(tmp_path: Path) -> None:
    """Beyond the first megabyte, that is looked at when a file is opened."""
    rows = [f"{i},{2 * i + 1},{i % 7}" for i in range(120_000)]
    for door in (plain, packed):
        fitted = fit(door(["x,y,z", *rows, "Source: ONS"], tmp_path), "y")
        assert fitted.info["rows_read"] == len(rows)
        assert "the last line (line 120,002, 'Source: ONS') passed over: a footer" in said(fitted)
        with pytest.raises(DataError, match=r"row 120001.*found 2 fields"):
            fit(door(["x,y,z", *rows, "7,8"], tmp_path), "y")


def test_each_file_of_several_has_its_own_title_and_footer(tmp_path: Path) -> None:
    for k, before in enumerate(([], ["Sales of the north"], ["Sales", "of the south"])):
        lines = [*before, "x,y,z", *NUMBERS, f"Source: office {k}"]
        (tmp_path / f"{k}.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    fitted = fit(str(tmp_path / "*.csv"), "y")
    assert fitted.info["rows_read"] == 120
    assert slope(fitted) == pytest.approx(2.0)
    for told in ("office 0", "office 1", "office 2", "Sales of the north", "2 lines before"):
        assert told in said(fitted)
    assert "/proc/" not in said(fitted)


def test_sums_spreadsheets_and_pipes_pass_over_the_same_lines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = ["x,y,z", *NUMBERS, "Source: ONS"]
    assert sum_rows(plain(lines, tmp_path), "y").rows == 40
    cells = [[float(v) for v in row.split(",")] for row in NUMBERS]
    book(tmp_path / "t.xlsx", {"First": [["x", "y", "z"], *cells, ["Source: ONS"]]})
    fitted = fit(tmp_path / "t.xlsx", "y")
    assert fitted.info["rows_read"] == 40 and slope(fitted) == pytest.approx(2.0)
    assert "row 41 ('Source: ONS') passed over: a footer" in said(fitted)
    pipe = io.TextIOWrapper(io.BytesIO("\n".join(lines).encode()))
    monkeypatch.setattr(sys, "stdin", pipe)
    assert slope(fit("-", "y")) == pytest.approx(2.0)


def test_footers_are_read_from_the_end() -> None:
    def start(*lines: tuple[list[str], bool], values: bool = True) -> int:
        return footer_start([Row(*line) for line in lines], 3, values=values)

    row, short = (["1", "2", "3"], False), (["4", "5"], False)
    note = (["Note: later", "corrected"], False)
    assert start(row, note) == 1
    assert start(row, short) == 2  # a row
    assert start(row, short, note) == 3  # and a note does not make it one less
    assert start(row, note, (["more", "of", "it"], False)) == 3  # a line as wide as a row ends it
    assert start(row, (["unknown"], False)) == 2  # a word for no value is no text
    assert start(row, (["Bonn", "7"], False), values=False) == 2
    assert start(row, *[note] * 50) == 51  # so many lines are no footer


TRAINED = ["x,z,y", *[f"{500 + i},{i % 5},{2 * (500 + i) + 1}" for i in range(40)]]


@pytest.mark.parametrize("spelled", ["1,033", "1'033", "1 033"])
def test_a_thousands_mark_first_met_at_prediction_is_read_by_the_decimal_mark_of_training(
    spelled: str, tmp_path: Path
) -> None:
    fitted = fit(plain(TRAINED, tmp_path), "y")
    novelty = Novelty()
    new = plain(["x;z", "500;1", f"{spelled};2", "600;3"], tmp_path)
    batches = predicted_batches(fitted, new, novelty=novelty)
    found = [row["prediction"] for batch in batches for row in batch.to_pylist()]
    assert found == pytest.approx([1001.0, 2067.0, 1201.0])
    (told,) = (s for s in novelty.sentences if "thousands mark" in s)
    assert f"{spelled!r} in row 2" in told
    texts = pd.DataFrame({"x": ["500", spelled, "600"], "z": [1, 2, 3]})
    assert fitted.predict(texts) == pytest.approx([1001.0, 2067.0, 1201.0])


@pytest.mark.parametrize("spelled", ["0,125", "1,03", "1.033,5"])
def test_what_can_be_no_thousands_mark_is_refused_with_the_option(
    spelled: str, tmp_path: Path
) -> None:
    fitted = fit(plain(TRAINED, tmp_path), "y")
    new = plain(["x;z", "500;1", f"{spelled};2"], tmp_path)
    with pytest.raises(HalfsquareError, match=r"row 2, column 'x'.*--decimal and --thousands"):
        fitted.predict(new)


def test_predict_tells_of_marks_and_footers(command: Callable[..., Ran], tmp_path: Path) -> None:
    fit(plain(TRAINED, tmp_path), "y").save(tmp_path / "m.hsq")
    new = plain(["x,z", "500,1", '"1,033",2', "Source: ONS"], tmp_path)
    ran = command("predict", str(tmp_path / "m.hsq"), str(new), "--out", str(tmp_path / "o.csv"))
    assert ran.code == 0
    assert "'1,033' in row 2 has a thousands mark (',')" in ran.err
    assert "passed over: a footer" in ran.err


@pytest.mark.parametrize("word", ["Summe", "all", "Grand Total:"])
def test_a_total_is_named_by_a_label_that_is_no_feature(word: str, tmp_path: Path) -> None:
    """In a column of texts, or of numbers; a level of several rows is none."""
    for labels in (["north", "south", "east", "west"], "1234"):
        body = [f"{label};{i};{2 * i + i % 2}" for i, label in enumerate(labels, 1)]
        path = tmp_path / "t.csv"
        path.write_text("\n".join(["label;x;y", *body, f"{word};10;22"]) + "\n")
        for features in (["x"], None):
            info = fit(path, "y", model="linear", test_fraction=0, features=features).info
            said = info["reading"]["suspicious"]
            assert [s for s in said if "total" in s] == [
                f"Row 5 looks like a total of the others ({word!r})."
            ]
        path.write_text("\n".join(["label;x;y", *body, *[f"{word};10;22"] * 2]) + "\n")
        info = fit(path, "y", model="linear", test_fraction=0, features=["x"]).info
        assert "looks like a total" not in " ".join(info["reading"]["suspicious"])
