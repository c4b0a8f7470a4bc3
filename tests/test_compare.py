"""Two models compared on the rows that they were fitted to."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from halfsquare import fit
from halfsquare.cli.main import app
from halfsquare.results.compare import compare
from halfsquare.results.compare_unpaired import compare_unpaired


def table(seed: int, n: int = 60, noise_columns: int = 10) -> dict[str, np.ndarray]:
    random = np.random.default_rng(seed)
    found = {f"x{j}": random.normal(size=n) for j in range(2 + noise_columns)}
    found["y"] = found["x0"] - found["x1"] + random.normal(size=n)
    return found


def pair(rows: dict[str, np.ndarray], **options: Any) -> tuple[Any, Any]:
    small = fit(rows, "y", model="linear", features=["x0", "x1"], test_fraction=0, **options)
    return small, fit(rows, "y", model="linear", test_fraction=0, **options)


def test_rows_of_the_fit_are_judged_by_fits_without_them() -> None:
    """Reference: every row left out in turn."""
    rows = table(1, n=25)
    names = [name for name in rows if name != "y"]
    found = compare(*pair(rows), rows)
    assert found.fitted_to == found.left_out == ("A", "B")
    for mse, columns in ((found.mse_a, ["x0", "x1"]), (found.mse_b, names)):
        design = np.column_stack([np.ones(25), *(rows[c] for c in columns)])
        errors = []
        for i in range(25):
            kept = np.arange(25) != i
            b = np.linalg.lstsq(design[kept], rows["y"][kept], rcond=None)[0]
            errors.append(design[i] @ b - rows["y"][i])
        assert mse == pytest.approx(np.mean(np.square(errors)), rel=1e-9)


def test_the_larger_model_does_not_win_by_having_seen_the_rows() -> None:
    wins, seen_wins = 0, 0
    for seed in range(20):
        rows = table(seed)
        small, large = pair(rows)
        wins += compare(small, large, rows).verdict == "B is better"
        e = [rows["y"] - m.predict(rows) for m in (small, large)]
        worse = e[0] ** 2 - e[1] ** 2
        seen_wins += bool(worse.mean() > 1.96 * worse.std() / np.sqrt(len(worse)))
    assert wins <= 1
    assert seen_wins >= 4  # what plain errors would have said


def test_new_rows_and_other_models_are_judged_as_they_are() -> None:
    rows = table(3)
    small, large = pair(rows)
    new = table(4)
    new = {name: v[:50] for name, v in new.items()}
    plain = compare(small, large, new)
    assert plain.left_out == plain.fitted_to == ()
    assert plain.mse_a == pytest.approx(np.mean((small.predict(new) - new["y"]) ** 2), rel=1e-12)
    trees = fit(rows, "y", model="trees", test_fraction=0)
    mixed = compare(small, trees, rows)
    assert mixed.fitted_to == ("A", "B") and mixed.left_out == ()


def test_different_rows_of_the_fit_are_judged_by_fits_without_them() -> None:
    """Reference: every row left out in turn; new rows as they are."""
    rows, new = table(1, n=25), table(2, n=40)
    small, large = pair(rows)
    e = large.predict(new) - new["y"]
    design = np.column_stack([np.ones(25), rows["x0"], rows["x1"]])
    left = []
    for i in range(25):
        kept = np.arange(25) != i
        b = np.linalg.lstsq(design[kept], rows["y"][kept], rcond=None)[0]
        left.append(float(design[i] @ b - rows["y"][i]))
    found = compare_unpaired(small, large, rows, new)
    assert (found.fitted_to, found.left_out, found.paired) == (("A",), ("A",), False)
    assert found.mse_a == pytest.approx(np.mean(np.square(left)), rel=1e-9)
    assert found.mse_b == pytest.approx(np.mean(e**2), rel=1e-12)
    variances = [np.var(np.square(v), ddof=1) / len(v) for v in (np.array(left), e)]
    assert found.standard_error == pytest.approx(np.sqrt(sum(variances)), rel=1e-9)
    turned = compare_unpaired(large, small, new, rows)
    assert (turned.fitted_to, turned.left_out) == (("B",), ("B",))
    assert turned.difference == pytest.approx(-found.difference, rel=1e-12)
    trees = fit(rows, "y", model="trees", test_fraction=0)
    mixed = compare_unpaired(trees, small, rows, rows)
    assert (mixed.fitted_to, mixed.left_out) == (("A", "B"), ())
    assert compare_unpaired(small, large, new, table(3, n=30)).fitted_to == ()


def test_counts_stand_for_rows() -> None:
    rows = table(5, n=30)
    w = np.random.default_rng(0).integers(1, 4, 30)
    repeated = {name: np.repeat(v, w) for name, v in rows.items()}
    weighted = {**rows, "w": w}
    from halfsquare.data.spec import DataSpec

    a = compare(*pair(repeated), repeated)
    b = compare(*pair(weighted, weights="w"), DataSpec.of(weighted, weights="w"))
    assert b.mse_a == pytest.approx(a.mse_a, rel=1e-9)
    assert b.mse_b == pytest.approx(a.mse_b, rel=1e-9)


def test_the_command_says_it(tmp_path: Path) -> None:
    rows = table(6)
    file = tmp_path / "rows.csv"
    np.savetxt(file, np.column_stack([*rows.values()]), delimiter=",", header=",".join(rows),
               comments="")  # fmt: skip
    models = [str(tmp_path / name) for name in ("a.hsq", "b.hsq")]
    for model, more in zip(models, (["--features", "x0,x1"], []), strict=True):
        command = ["fit", str(file), "-t", "y", "--model", "linear", "-q", "--out", model]
        assert CliRunner().invoke(app, [*command, *more]).exit_code == 0
    told = CliRunner().invoke(app, ["compare", *models, str(file)]).output
    assert "Both models were fitted to" in told and "without it" in told
    assert "Warning" not in told
    aside = tmp_path / "new.csv"
    aside.write_text("\n".join(file.read_text().splitlines()[:41]) + "\n")
    told = CliRunner().invoke(app, ["compare", *models, str(file), str(aside)]).output
    assert f"A was fitted to {file}: a row is judged by the fit without it" in " ".join(
        told.split()
    )
    again = tmp_path / "." / "sub" / ".." / "rows.csv"
    (tmp_path / "sub").mkdir()
    told = CliRunner().invoke(app, ["compare", *models, str(aside), str(again)]).output
    assert "B was fitted to" in told
    given = ["compare", *models, str(file), str(aside), "--in-time"]
    told = CliRunner().invoke(app, given).output
    assert "Warning: A was fitted to" in told and "a model looks better than it is" in told
    assert (
        "fitted to" not in CliRunner().invoke(app, ["compare", *models, *[str(aside)] * 2]).output
    )
