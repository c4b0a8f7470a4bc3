"""The command line as a person uses it: fit, predict, evaluate, compare, info, explain, demo; text,
JSON and pipes.
"""

from __future__ import annotations

import csv
import io
import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet
import pytest
from conftest import COMMAND, Ran

Command = Callable[..., Ran]
MEASURES = {
    "rows",
    "sse",
    "half_sse",
    "mse",
    "mse_se",
    "rmse",
    "r2",
    "too_high",
    "too_low",
    "mean_error",
}
FIT = ("fit", "--model", "linear", "houses.csv", "--target", "price")


def houses(rows: int, seed: int) -> str:
    rng = np.random.default_rng(seed)
    lines = ["size,town,price"]
    for size, town in zip(
        np.round(rng.uniform(20, 200, rows), 1), rng.choice(["Ulm", "Bonn"], rows), strict=True
    ):
        lines.append(
            f"{size},{town},{2 * size + (30 if town == 'Bonn' else 0) + 7 * rng.normal():.2f}"
        )
    return "\n".join(lines) + "\n"


@pytest.fixture
def folder(tmp_path: Path, command: Command) -> Path:
    """Houses to fit, others to measure on, and a fitted model."""
    (tmp_path / "houses.csv").write_text(houses(500, 1))
    (tmp_path / "new.csv").write_text(houses(200, 2))
    assert command(*FIT, "--out", "m.hsq").code == 0
    return tmp_path


# --- fit ------------------------------------------------------------------------------------------
# -------------------


def test_fit_prints_a_summary_a_person_can_read(folder: Path, command: Command) -> None:
    ran = command(*FIT, "--out", "again.hsq")
    assert (ran.code, ran.err) == (0, "")
    assert len(ran.out.splitlines()) <= 15
    test = command(*FIT, "--json").json["test"]
    for words in (
        "Linear model of price, from 2 columns of houses.csv",
        "500 rows read; 100 set apart for the test",
        f"Typical error ±{test['rmse']:.3f} (price), on 100 test rows.",
        f"R² {test['r2']:.4f}",
        "smaller than the mean's (±",
        "Strongest columns: size +",
        "Model written to again.hsq. Next: halfsquare predict again.hsq",
    ):
        assert words in ran.out, words
    assert "\x1b[" not in ran.out  # no colours in a pipe
    assert (folder / "again.hsq").read_bytes() == (folder / "m.hsq").read_bytes()
    assert command(*FIT, "--quiet").out == ""


def test_fit_all_prints_everything(folder: Path, command: Command) -> None:
    ran = command(*FIT, "--out", "again.hsq", "--all")
    assert (ran.code, ran.err) == (0, "")
    for words in (
        "500 rows read",
        "100 set apart for the test",
        "MSE ± standard error",
        "R²",
        "outputs too high",
        "outputs too low",
        "std. error",
        "town=",
        "residual standard deviation",
        "after the refit on all rows",
        "Model written to again.hsq",
    ):
        assert words in ran.out, words


def test_the_first_screen_of_a_wide_table_is_short_and_folds(
    folder: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(3)
    x = rng.normal(size=(60, 200))
    names = ",".join(f"c{j}" for j in range(200))
    lines = [",".join(map(str, [*row, 137_900 + 50_000 * row[0]])) for row in x.tolist()]
    (folder / "wide.csv").write_text(f"{names},price\n" + "\n".join(lines) + "\n")
    wide = ("fit", "wide.csv", "-t", "price", "--model", "linear", "--l2", "auto")
    out = command(*wide).out
    assert len(out.splitlines()) <= 15 and "e+0" not in out
    monkeypatch.setattr("halfsquare.cli.screen.width", lambda: 40)
    folded = command(*wide).out
    assert max(map(len, folded.splitlines())) <= 40
    assert folded.split() == out.split()  # the same words, in shorter lines
    narrow = command("fit", "houses.csv", "-t", "price", "--model", "linear", "--all").out
    assert "MSE ± standard error" in narrow


def test_fit_json(folder: Path, command: Command) -> None:
    found = command(*FIT, "--json").json
    assert found.keys() >= MEASURES
    assert found["rows"] == 100
    assert found["too_high"] + found["too_low"] == 100
    assert found["half_sse"] == pytest.approx(found["sse"] / 2)
    values = {p["name"]: p for p in found["parameters"]}
    assert {"name", "value", "standard_error"} <= values["size"].keys()
    assert values["size"]["value"] == pytest.approx(2, abs=4 * values["size"]["standard_error"])
    everything = command(*FIT, "--json", "--test-fraction", "0").json
    assert everything["rows"] == 500
    # The refit is the fit on every row.
    assert [p["value"] for p in everything["parameters"]] == pytest.approx(
        [p["value"] for p in found["parameters"]], rel=1e-9
    )
    kept = command(*FIT, "--json", "--no-refit").json
    assert kept["mse"] == found["mse"]
    assert kept["parameters"] != found["parameters"]


def test_fit_options(folder: Path, command: Command) -> None:
    reference = command(*FIT, "--json").json
    for method in ("gradient", "minibatch"):
        for loss in ("sse", "mse"):
            found = command(*FIT, "--json", "--method", method, "--loss", loss).json
            assert [p["value"] for p in found["parameters"]] == pytest.approx(
                [p["value"] for p in reference["parameters"]], rel=1e-6
            )
            assert {"iteration", "loss", "gradient_norm"} <= found["history"][0].keys()
    on_file = command(*FIT, "--json", "--test", "new.csv").json
    assert on_file["rows"] == 200
    assert command(*FIT, "--json", "--features", "size").json["columns"][0]["name"] == "size"
    assert command(*FIT, "--json", "--exclude", "town,size").json["columns"] == []
    assert command(*FIT, "--json", "--seed", "5").json["mse"] != reference["mse"]
    assert command(*FIT, "--json", "--threads", "1").json["parameters"] == reference["parameters"]
    assert command(*FIT, "--json", "--l2", "auto").json["facts"]["l2"] > 0
    assert command("--version").out.startswith("halfsquare ")
    assert "Usage" in command("fit", "--help").out


# --- predict, evaluate, info
# -----------------------------------------------------------------------------------------


def test_predict_as_csv_parquet_and_on_standard_output(folder: Path, command: Command) -> None:
    out = command("predict", "m.hsq", "new.csv", "--interval", "0.9").out
    rows = list(csv.DictReader(io.StringIO(out)))
    assert len(rows) == 200
    assert list(rows[0]) == ["prediction", "low", "high"]
    inside = 0
    for row, house in zip(
        rows, csv.DictReader(io.StringIO((folder / "new.csv").read_text())), strict=True
    ):
        low, high = float(row["low"]), float(row["high"])
        assert low < float(row["prediction"]) < high
        inside += low <= float(house["price"]) <= high
    assert inside / 200 == pytest.approx(0.9, abs=0.07)
    assert (
        command("predict", "m.hsq", "new.csv", "--interval", "0.9", "--out", "p.csv").out
        == "200 predictions written to p.csv\n"
    )
    assert (folder / "p.csv").read_text() == out
    found = command(
        "predict", "m.hsq", "new.csv", "--interval", "0.9", "--out", "p.parquet", "--json"
    ).json
    assert (found["rows"], found["out"]) == (200, "p.parquet")
    table = pyarrow.parquet.read_table(folder / "p.parquet")
    assert table.column("prediction").to_pylist() == [float(r["prediction"]) for r in rows]
    printed = command("predict", "m.hsq", "new.csv", "--json").json
    assert printed["predictions"][0]["prediction"] == float(rows[0]["prediction"])


def test_evaluate(folder: Path, command: Command) -> None:
    found = command("evaluate", "m.hsq", "new.csv", "--json").json
    assert found.keys() >= MEASURES
    predicted = [
        r["prediction"]
        for r in command("predict", "m.hsq", "new.csv", "--json").json["predictions"]
    ]
    error = np.array(predicted) - [
        float(r["price"]) for r in csv.DictReader(io.StringIO((folder / "new.csv").read_text()))
    ]
    assert found["sse"] == pytest.approx(float(error @ error), rel=1e-10)
    assert found["mse_se"] == pytest.approx((error**2).std(ddof=1) / np.sqrt(200), rel=1e-10)
    assert found["mean_error"] == pytest.approx(error.mean(), rel=1e-8)
    assert (found["too_high"], found["too_low"]) == ((error > 0).sum(), (error < 0).sum())
    text = command("evaluate", "m.hsq", "new.csv")
    assert text.code == 0
    for words in ("MSE ± standard error", "½SSE", "RMSE", "mean error"):
        assert words in text.out


def test_info_says_what_fit_said(folder: Path, command: Command) -> None:
    fitted, info = (
        command(*FIT, "--json", "--out", "m.hsq").json,
        command("info", "m.hsq", "--json").json,
    )
    assert info == fitted
    assert "category, one-hot, 2 levels" in command("info", "m.hsq", "--all").out


# --- compare --------------------------------------------------------------------------------------
# -------------------


def test_compare(folder: Path, command: Command) -> None:
    assert command(*FIT, "--features", "town", "--out", "worse.hsq").code == 0
    found = command("compare", "m.hsq", "worse.hsq", "new.csv", "--json").json
    assert (found["verdict"], found["paired"], found["rows_a"]) == ("A is better", True, 200)
    a, b = (command("evaluate", m, "new.csv", "--json").json for m in ("m.hsq", "worse.hsq"))
    assert found["difference"] == pytest.approx(a["mse"] - b["mse"], rel=1e-9)
    assert (
        command("compare", "worse.hsq", "m.hsq", "new.csv", "--json").json["verdict"]
        == "B is better"
    )
    assert "A is better" in command("compare", "m.hsq", "worse.hsq", "new.csv").out
    same = command("compare", "m.hsq", "m.hsq", "new.csv", "--json").json
    assert (same["verdict"], same["difference"]) == ("cannot tell", 0.0)


def test_compare_unpaired_by_mse_and_never_by_sse(folder: Path, command: Command) -> None:
    few = (folder / "new.csv").read_text().splitlines(keepends=True)[:121]
    (folder / "few.csv").write_text("".join(few))
    found = command("compare", "m.hsq", "m.hsq", "few.csv", "new.csv", "--json").json
    assert (found["paired"], found["rows_a"], found["rows_b"]) == (False, 120, 200)
    assert found["fitted_to"] == []
    a, b = (command("evaluate", "m.hsq", d, "--json").json for d in ("few.csv", "new.csv"))
    assert found["difference"] == pytest.approx(a["mse"] - b["mse"], rel=1e-9)
    assert found["standard_error"] == pytest.approx(np.hypot(a["mse_se"], b["mse_se"]), rel=1e-9)
    refused = command("compare", "m.hsq", "m.hsq", "houses.csv", "new.csv", "--by", "sse")
    assert (refused.code, refused.out) == (2, "")
    assert "SSE grows with the number of rows" in refused.err
    (folder / "other.csv").write_text("size,cost\n1,2\n2,3\n3,5\n")
    assert (
        command("fit", "--model", "linear", "other.csv", "--target", "cost", "--out", "o.hsq").code
        == 0
    )
    assert "only models of the same target" in command("compare", "m.hsq", "o.hsq", "new.csv").err


# --- explain --------------------------------------------------------------------------------------
# -------------------


def test_explain_one_example(command: Command) -> None:
    found = command("explain", "--target", "3", "--output", "2.2", "--json").json
    assert (found["value"], found["gradient"]) == (pytest.approx(0.32), pytest.approx(-0.8))
    assert found["direction"] == "raise"
    ran = command("explain", "--target", "3", "--output", "2.2")
    assert ran.code == 0
    assert "too low by 0.8: the gradient is negative, so descent raises the output" in ran.out
    assert (
        command("explain", "--target", "3", "--output", "4", "--json").json["direction"] == "lower"
    )
    assert (
        command("explain", "--target", "3", "--output", "3", "--json").json["direction"] == "stay"
    )
    assert command("explain", "--target", "3", "--output", "2.2", "--loss", "sse", "--json").json[
        "gradient"
    ] == pytest.approx(-1.6)


def test_explain_several_examples(command: Command) -> None:
    found = command("explain", "-t", "3", "-o", "2", "-t", "1", "-o", "1.5", "--json").json
    assert (found["rows"], found["sse"], found["mse"], found["too_high"], found["too_low"]) == (
        2,
        1.25,
        0.625,
        1,
        1,
    )
    assert [e["direction"] for e in found["examples"]] == ["raise", "lower"]
    assert command("explain", "-t", "3", "-o", "2", "-t", "1").code == 2


# --- pipes ----------------------------------------------------------------------------------------
# -------------------


def told(ran: Any) -> list[str]:
    """What was said on standard error, but for the line on how the reading went: a busy machine
    takes more than a second.
    """
    return [line for line in ran.stderr.splitlines() if not line.startswith("read ")]


def test_pipes(folder: Path, run: Callable[..., Any]) -> None:
    text = (folder / "houses.csv").read_text()
    fitted = run(
        "fit",
        "-",
        "--model",
        "linear",
        "--target",
        "price",
        "--out",
        "piped.hsq",
        "--json",
        stdin=text,
    )
    assert (fitted.returncode, told(fitted)) == (0, [])
    predicted = run("predict", "piped.hsq", "-", stdin=(folder / "new.csv").read_text())
    assert predicted.stdout.count("\n") == 201
    assert predicted.stdout == run("predict", "m.hsq", "new.csv").stdout
    nothing = run("evaluate", "m.hsq", "-", stdin="")
    assert nothing.returncode == 1
    assert "standard input is empty" in nothing.stderr


def test_a_reader_that_stops_early_is_no_error(folder: Path) -> None:
    (folder / "long.csv").write_text(houses(60_000, 3))
    for arguments in ("predict m.hsq long.csv", "info m.hsq --json"):
        shell = 'set -o pipefail; "$@" | head -n 1'
        ran = subprocess.run(
            ["bash", "-c", shell, "bash", *COMMAND, *arguments.split()],
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert (ran.returncode, ran.stderr) == (0, ""), arguments
        assert ran.stdout.count("\n") == 1


def test_json_alone_is_on_standard_output(folder: Path, run: Callable[..., Any]) -> None:
    ran = run(*FIT, "--json")
    json.loads(ran.stdout)
    assert told(ran) == []


# --- demo -----------------------------------------------------------------------------------------
# -------------------
