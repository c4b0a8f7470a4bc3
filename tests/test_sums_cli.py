"""Sums on the command line, as a person uses them: several sites, one model, and what goes
wrong.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from conftest import Ran

Command = Callable[..., Ran]


@pytest.fixture
def sites(tmp_path: Path, command: Command) -> Path:
    """Three sites with their sums; the last has another category, and no value of one column."""
    rng = np.random.default_rng(0)
    for name, towns, rows in (("north", "ab", 40), ("south", "abc", 70), ("west", "d", 25)):
        lines = ["area,rooms,town,note,price"]
        for _ in range(rows):
            area, rooms, town = rng.normal(100, 20), rng.integers(1, 6), rng.choice(list(towns))
            shown = "" if name == "west" or rng.random() < 0.1 else f"{area:.1f}"
            lines.append(
                f"{shown},{rooms},{town},{rng.random():.2f},{2 * area + rooms + rng.normal():.2f}"
            )
        (tmp_path / f"{name}.csv").write_text("\n".join(lines) + "\n")
        done = command(
            "sums", f"{name}.csv", "--target", "price", "--out", f"{name}.sums", "--exclude", "note"
        )
        assert done.code == 0, done.err
    return tmp_path


def parameters(ran: Ran) -> dict[str, tuple[float, float]]:
    assert ran.code == 0, ran.err
    return {p["name"]: (p["value"], p["standard_error"]) for p in ran.json["parameters"]}


def test_sites_fit_together_as_one_table(sites: Path, command: Command) -> None:
    ours = command("fit-sums", "*.sums", "--out", "model.hsq", "--json")
    files = "SELECT * EXCLUDE note FROM read_csv('*.csv')"
    theirs = command(
        "fit", files, "--target", "price", "--model", "linear", "--test-fraction", 0, "--json"
    )
    found, expected = parameters(ours), parameters(theirs)
    assert found.keys() == expected.keys()
    for name, pair in expected.items():
        assert found[name] == pytest.approx(pair, rel=1e-10), name
    told = ours.json
    assert told["measured_on"] == "test" and told["test"]["rows"] == 8 + 14 + 5 and told["refit"]
    assert told["mse"] > 0 and told["mse_se"] is None and told["too_high"] is None
    assert [s["name"] for s in sorted(told["sources"], key=lambda s: s["name"])] == [
        "north.csv",
        "south.csv",
        "west.csv",
    ]
    measured = command("evaluate", "model.hsq", "south.csv", "--json")
    assert measured.code == 0 and measured.json["rows"] == 70
    assert command("pulls", "model.hsq", "south.csv", "--row", 3).code == 0
    assert command("predict", "model.hsq", "north.csv", "--interval", 0.9).code == 0


def test_the_summary_and_what_is_not_known(sites: Path, command: Command) -> None:
    shown = command("fit-sums", "north.sums", "south.sums", "--all").out
    assert "of sums of north.csv, south.csv" in shown and "not known from sums" in shown
    assert "22 set apart for the test (seed 0)" in shown and "solved from exact sums" in shown


def test_a_site_leaves_again(sites: Path, command: Command) -> None:
    for together in ("[ns]*.sums", "*.sums"):
        extra = ["--subtract", "west.sums"] if together == "*.sums" else []
        assert command("fit-sums", together, *extra, "--out", f"{len(extra)}.hsq").code == 0
    rest, never = (command("info", f"{i}.hsq", "--json").json for i in (2, 0))
    for told in (rest, never):
        del told["model_file"]
    assert rest == never


def test_info_tells_what_sums_hold(sites: Path, command: Command) -> None:
    shown = command("info", "south.sums")
    assert shown.code == 0 and "Sums of price and 3 columns, over south.csv" in shown.out
    assert (
        "category of 3 levels: a, b, c" in shown.out and "70 rows read; 14 set apart" in shown.out
    )
    told = command("info", "west.sums", "--json").json
    assert (told["rows"], told["rows_test"], told["target"]) == (25, 5, ["price"])
    assert {c["name"]: c["kind"] for c in told["columns"]} == {
        "area": "empty",
        "rooms": "number",
        "town": "text",
    }


def test_sums_of_few_rows_say_so(tmp_path: Path, command: Command) -> None:
    (tmp_path / "few.csv").write_text("town,price\na,1\na,2\nb,3\n")
    assert "fewer than 5 rows" in command("sums", "few.csv", "-t", "price", "-o", "few.sums").out
    done = command("sums", "few.csv", "-t", "price", "-o", "few.sums", "--json")
    assert done.json["columns"][0]["fewest"] == 1.0 and done.json["sums_file"] == "few.sums"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["fit-sums", "*.sums", "--weights", "rooms"], "No such option: --weights"),
        (["fit-sums", "--subtract", "*.sums"], "Missing argument 'SUMS...'"),
        (["fit", "--target", "price"], "Missing argument 'DATA'"),
    ],
)
def test_wrong_usage(sites: Path, command: Command, arguments: list[str], message: str) -> None:
    ran = command(*arguments)
    assert ran.code == 2 and message in " ".join(ran.err.replace("│", " ").split()), ran.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["fit-sums", "east*.sums"], "no file matches east*.sums"),
        (["fit-sums", "north.csv"], "north.csv is no file of sums"),
        (
            ["fit-sums", "north.sums", "--subtract", "south.sums"],
            "these rows were not in the sums",
        ),
        (
            ["fit-sums", "*.sums", "--exclude", "garden"],
            "the sums have no column 'garden'",
        ),
        (["fit", "north.sums", "--target", "price"], "halfsquare fit-sums north.sums"),
        (
            ["fit-sums", "*.sums", "--out", "nowhere/model.hsq"],
            "there is no folder nowhere",
        ),
        (["predict", "north.sums", "north.csv"], "is a file of sums, not a model file"),
        (["sums", "north.csv", "-t", "prize", "-o", "x.sums"], "Did you mean 'price'?"),
        (
            ["sums", "north.csv", "-t", "price", "-o", "nowhere/x.sums"],
            "there is no folder nowhere",
        ),
    ],
)
def test_clear_errors(sites: Path, command: Command, arguments: list[str], message: str) -> None:
    ran = command(*arguments)
    assert ran.code == 1 and message in ran.err and "Traceback" not in ran.err, ran.err
    assert not (sites / "x.sums").exists()


def test_sites_that_differ_are_named(sites: Path, command: Command) -> None:
    (sites / "east.csv").write_text("area,rooms,town,price\nlarge,1,a,2\n90,1,b,2\n")
    assert command("sums", "east.csv", "-t", "price", "-o", "east.sums").code == 0
    ran = command("fit-sums", "*.sums")
    assert (
        ran.code == 1
        and "column 'area' is" in ran.err
        and "east.csv" in ran.err
        and "--category area" in ran.err
    )


def test_the_same_site_twice_is_told(sites: Path, command: Command) -> None:
    shutil.copy(sites / "north.sums", sites / "again.sums")
    ran = command("fit-sums", "*.sums")
    assert ran.code == 0 and "north.csv and north.csv hold the same sums" in ran.out


def test_a_report_of_a_model_from_sums(sites: Path, command: Command) -> None:
    pytest.importorskip("altair")
    assert command("fit-sums", "*.sums", "--out", "model.hsq").code == 0
    assert command("report", "model.hsq", "south.csv", "--out", "page.html").code == 0
    page = (sites / "page.html").read_text()
    assert "R²" in page and "Too low, high" not in page
