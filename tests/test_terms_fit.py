"""Linear models of terms from outside: every door, the model file, the command line, a cluster."""

from __future__ import annotations

import contextlib
import json
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from inference_cases import table
from typer.testing import CliRunner

from halfsquare import fit, load
from halfsquare.cli.main import app
from halfsquare.errors import DataError, FitError, FormulaError, OptionError
from halfsquare.explain.pulls import explain_pulls
from halfsquare.explain.row import explain_row
from halfsquare.results.evaluate import evaluate
from halfsquare.results.inference.effects import effects_of
from halfsquare.results.inference.of_model import inference_of
from halfsquare.results.inference.table import model_table

smf = pytest.importorskip("statsmodels.formula.api")
FORMULA = "log(price) ~ x*g + poly(z, 2) + C(year) + bs(v, df=4)"
COMMAND = [sys.executable, "-c", "from halfsquare.cli.main import main; main()"]


def houses(seed: int = 0, n: int = 300) -> pd.DataFrame:
    frame = table(seed, n)
    frame["price"] = np.exp(frame.y / 6)
    return frame


def fitted_to(data: Any, formula: str = FORMULA, **options: Any) -> Any:
    return fit(data, formula=formula, model="linear", **options)


def told(command: str, folder: Path) -> str:
    """What a command prints, run in this process."""
    with contextlib.chdir(folder):
        done = CliRunner().invoke(app, shlex.split(command))
    assert done.exit_code == 0, (done.output, done.exception)
    return done.stdout


def run(command: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *shlex.split(command)],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_every_door_gives_the_same_model(tmp_path: Path) -> None:
    frame = houses()
    frame.to_csv(tmp_path / "h.csv", index=False)
    frame.to_parquet(tmp_path / "h.parquet")
    arrow = pa.Table.from_pandas(frame, preserve_index=False)
    doors = {
        "frame": frame,
        "parquet": str(tmp_path / "h.parquet"),
        "arrow": arrow,
        "polars": pl.from_pandas(frame),
        "dict": {c: frame[c].to_numpy() for c in frame},
        "csv": str(tmp_path / "h.csv"),
        "query": f"SELECT * FROM '{tmp_path / 'h.parquet'}'",
    }
    first = fitted_to(frame, errors="hc3")
    for door, data in doors.items():
        other = fitted_to(data, errors="hc3")
        assert [p.name for p in other.parameters] == [p.name for p in first.parameters], door
        np.testing.assert_array_equal(other.members[0].parameters, first.members[0].parameters)
        np.testing.assert_array_equal(other.members[0].robust, first.members[0].robust)
        np.testing.assert_array_equal(first.predict(data), first.predict(frame))


def test_the_model_file_keeps_all_of_it(tmp_path: Path) -> None:
    frame = houses()
    model = fitted_to(frame, errors="cluster:firm")
    model.save(tmp_path / "m.hsq")
    back = load(tmp_path / "m.hsq")
    np.testing.assert_array_equal(back.predict(frame), model.predict(frame))
    assert json.dumps(effects_of(back).as_dict()) == json.dumps(effects_of(model).as_dict())
    assert [p.as_dict() for p in back.parameters] == [p.as_dict() for p in model.parameters]


def test_threads_change_no_bit() -> None:
    frame = houses(3, 20_000)
    one = fitted_to(frame, errors="cluster:firm,year", threads=1)
    two = fitted_to(frame, errors="cluster:firm,year", threads=2)
    for name in ("parameters", "covariance", "robust", "triangle"):
        np.testing.assert_array_equal(getattr(one.members[0], name), getattr(two.members[0], name))
    assert one.info["inference"] == two.info["inference"]


def test_the_left_side_is_taken_back() -> None:
    frame = houses()
    model = fitted_to(frame, "log(price) ~ x + g", test_fraction=0)
    theirs = smf.ols("np.log(price) ~ x + g", frame).fit()
    np.testing.assert_allclose(model.predict(frame), np.exp(theirs.fittedvalues), rtol=1e-10)
    _, low, high = model.interval(frame, 0.9)
    wanted = theirs.get_prediction(frame).summary_frame(alpha=0.1)
    np.testing.assert_allclose(low, np.exp(wanted.obs_ci_lower), rtol=1e-9)
    np.testing.assert_allclose(high, np.exp(wanted.obs_ci_upper), rtol=1e-9)
    errors = evaluate(model, frame).summary
    assert errors.sse == pytest.approx(((model.predict(frame) - frame.price) ** 2).sum(), rel=1e-12)
    assert inference_of(model).sse == pytest.approx(theirs.ssr, rel=1e-10)


def test_without_an_intercept() -> None:
    frame = houses()
    model = fitted_to(frame, "y ~ x + g - 1", test_fraction=0)
    theirs = smf.ols("y ~ x + g - 1", frame).fit()
    assert [p.name for p in model.parameters] == ["x", "g[a]", "g[b]", "g[c]"]
    np.testing.assert_allclose(
        [p.value for p in model.parameters],
        theirs.params[[p.name for p in model.parameters]],
        rtol=1e-10,
    )
    plain = fitted_to(frame, "y ~ 0 + x", test_fraction=0)
    assert plain.predict({"x": [0.0]})[0] == 0.0
    assert plain.parameters[0].standard_error == pytest.approx(
        smf.ols("y ~ 0 + x", frame).fit().bse.x, rel=1e-10
    )
    pulls = explain_pulls(plain, frame)
    assert [p.name for p in pulls.parameters] == ["x"]
    assert pulls.balanced


def test_columns_that_others_determine_are_left_out_and_told() -> None:
    frame = houses()
    frame["twice"] = 2 * frame.x + 1
    model = fitted_to(frame, "y ~ x + twice + g", test_fraction=0)
    assert [p.name for p in model.parameters] == ["intercept", "x", "g[T.b]", "g[T.c]"]
    assert any("'twice' is determined by the columns before" in w for w in model.info["warnings"])
    np.testing.assert_allclose(
        model.predict(frame), smf.ols("y ~ x + g", frame).fit().fittedvalues, rtol=1e-9
    )
    means = effects_of(model, means=[["g"]]).marginal[0].means
    assert np.isfinite([m.standard_error for m in means]).all()


def test_rows_that_lack_a_column_of_the_formula_are_left_out() -> None:
    frame = houses()
    frame.loc[3, "x"] = np.nan
    frame.loc[7, "g"] = None
    frame.loc[9, "h"] = None  # not in the formula
    frame.loc[11, "firm"] = np.nan
    model = fitted_to(frame, "y ~ x*g", test_fraction=0)
    assert model.info["rows_missing_feature"] == 2
    whole = frame.dropna(subset=["x", "g"])
    np.testing.assert_allclose(
        [p.value for p in model.parameters],
        smf.ols("y ~ x*g", whole)
        .fit()
        .params[["Intercept", "x", "g[T.b]", "g[T.c]", "x:g[T.b]", "x:g[T.c]"]],
        rtol=1e-9,
    )
    clustered = fitted_to(frame, "y ~ x*g", test_fraction=0, errors="cluster:firm")
    assert clustered.info["rows_missing_feature"] == 3
    predicted = model.predict(frame)
    assert np.flatnonzero(np.isnan(predicted)).tolist() == [3, 7]


def test_a_level_that_was_not_there_is_refused_with_its_row() -> None:
    frame = houses()
    model = fitted_to(frame, "y ~ g + C(year)")
    later = frame[:5].copy()
    later.loc[2, "g"] = "new"
    with pytest.raises(DataError, match="row 3, column 'g': found 'new', which was no level"):
        model.predict(later)
    later = frame[:5].copy()
    later.loc[4, "year"] = 1999
    with pytest.raises(DataError, match=r"row 5, column 'year': found 1999.0, which was no level"):
        model.predict(later)


def test_weights_are_repetitions_in_all_that_is_told() -> None:
    frame = houses(1, 120)
    frame["w"] = np.random.default_rng(0).integers(1, 4, 120)
    repeated = frame.loc[frame.index.repeat(frame.w)].reset_index(drop=True)
    formula = "log(price) ~ x*g + poly(z, 2)"
    for errors in ("classical", "hc2", "cluster:firm"):
        a = fitted_to(frame, formula, weights="w", test_fraction=0, errors=errors)
        b = fitted_to(repeated, formula, test_fraction=0, errors=errors)
        np.testing.assert_allclose(
            [p.standard_error for p in a.parameters],
            [p.standard_error for p in b.parameters],
            rtol=1e-9,
        )
        one, two = effects_of(a).as_dict(), effects_of(b).as_dict()
        for name in ("aic", "adjusted_r2", "condition_number"):
            assert one[name] == pytest.approx(two[name], rel=1e-9)
        np.testing.assert_allclose(
            [e["value"] for e in one["average_effects"]],
            [e["value"] for e in two["average_effects"]],
            rtol=1e-7,
        )


def test_robust_errors_without_a_formula() -> None:
    frame = houses()[["x", "z", "y", "firm"]]
    model = fit(frame, "y", errors="cluster:firm", test_fraction=0)
    theirs = (
        smf.ols("y ~ x + z", frame)
        .fit()
        .get_robustcov_results("cluster", groups=frame.firm, use_t=True)
    )
    assert [p.name for p in model.parameters] == ["intercept", "x", "z"]
    np.testing.assert_allclose([p.standard_error for p in model.parameters], theirs.bse, rtol=1e-9)
    np.testing.assert_allclose([p.p for p in model.parameters], theirs.pvalues, rtol=1e-7)
    assert model.encoder.left_out["firm"] == "clusters of rows, and no feature"
    named = fit(frame, "y", errors="cluster:firm", features=["x", "firm"], test_fraction=0)
    assert [p.name for p in named.parameters] == ["intercept", "x", "firm"]
    tests = effects_of(model, tests=["x = z"]).tests
    assert tests[0].statistic == pytest.approx(float(theirs.f_test("x = z").fvalue), rel=1e-8)
    assert effects_of(model).anova[0].sum_of_squares == pytest.approx(
        effects_of(fitted_to(frame, "y ~ x + z", test_fraction=0)).anova[0].sum_of_squares, rel=1e-8
    )


def test_newey_west_takes_rows_in_their_order_though_some_were_set_apart() -> None:
    frame = houses(2, 400)
    frame["y"] += np.cumsum(np.random.default_rng(0).normal(size=400))
    model = fitted_to(frame, "y ~ x + z", errors="newey-west:6")
    assert model.info["refit"]
    theirs = smf.ols("y ~ x + z", frame).fit(cov_type="HAC", cov_kwds={"maxlags": 6}, use_t=True)
    np.testing.assert_allclose([p.standard_error for p in model.parameters], theirs.bse, rtol=1e-9)


def test_unequal_variances_are_told_under_classical_errors_alone() -> None:
    frame = houses(0, 600)
    assert any("Breusch–Pagan" in w for w in fitted_to(frame, "y ~ x").info["warnings"])
    assert not any("Breusch" in w for w in fitted_to(frame, "y ~ x", errors="hc3").info["warnings"])
    rng = np.random.default_rng(1)
    even = pd.DataFrame({"x": rng.normal(size=600)})
    even["y"] = even.x + rng.normal(size=600)
    assert fitted_to(even, "y ~ x").info["warnings"] == []


def test_what_does_not_go_together() -> None:
    frame = houses(0, 60)
    for formula, options, message in (
        ("y ~ x - 1", {"l2": 0.1}, "without an intercept is solved directly"),
        ("y ~ x", {"l2": 0.1, "errors": "hc3"}, "without a penalty"),
        ("y ~ x", {"errors": "cluster:nobody"}, "nobody"),
        ("y ~ x", {"errors": "cluster:y"}, "is the target"),
        ("y ~ x", {"weights": "v", "errors": "newey-west:2"}, "negative|newey-west|weight"),
        ("y ~ x + y", {}, "cannot explain itself"),
        ("I(y/2) ~ x", {}, "the left side is a column"),
        ("log(q) ~ x", {}, "'q' is no column"),
        ("log(v) ~ x", {}, "not finite"),
        ("y ~ x", {"start": {"a": 1.0}}, "there are none"),
        ("y ~ x", {"target": "z"}, "leave the target out"),
    ):
        with pytest.raises((OptionError, FormulaError, DataError, FitError), match=message):
            fitted_to(frame, formula, **options)
    with pytest.raises(FormulaError, match="--model linear"):
        fit(frame, formula="y ~ x*z")
    with pytest.raises(OptionError, match="linear model or a formula: add one"):
        fit(frame, "y", model="network", errors="hc3")
    with pytest.raises(OptionError, match="fit it with --model linear and --formula"):
        effects_of(fit(frame[["x", "y"]], "y", model="linear"), means=[["x"]])


def test_other_methods_reach_the_same_coefficients() -> None:
    frame = houses()
    direct = fitted_to(frame, "log(price) ~ x + g", test_fraction=0)
    descended = fitted_to(frame, "log(price) ~ x + g", test_fraction=0, method="gradient")
    np.testing.assert_allclose(
        [p.value for p in descended.parameters], [p.value for p in direct.parameters], rtol=1e-5
    )
    shrunk = fitted_to(frame, "log(price) ~ x + g", test_fraction=0, l2="auto")
    assert abs(shrunk.parameters[1].value) < abs(direct.parameters[1].value)


def test_a_row_is_explained() -> None:
    frame = houses()
    model = fitted_to(frame, "y ~ x + z*g", test_fraction=0)
    told = explain_row(model, frame, 5)
    assert set(told.contributions) == {"x", "z", "g", "z:g"}
    assert told.error == pytest.approx(model.predict(frame)[4] - frame.y[4])
    logged = explain_row(fitted_to(frame, "log(price) ~ x + g"), frame, 5)
    assert 0 < logged.low < logged.output < logged.high
    slope = next(c for c in logged.changes if c.column == "x")
    moved = frame[4:5].copy()
    moved["x"] += 1e-6
    model = fitted_to(frame, "log(price) ~ x + g")
    assert slope.change == pytest.approx(
        (model.predict(moved)[0] - model.predict(frame[4:5])[0]) / 1e-6, rel=1e-4
    )


def test_the_command_line(tmp_path: Path) -> None:
    houses().to_csv(tmp_path / "h.csv", index=False)
    fitting = f"fit h.csv --model linear --formula '{FORMULA}' --errors cluster:firm -o a.hsq"
    made = told(fitting, tmp_path)
    for part in (
        FORMULA,
        "standard errors cluster:firm",
        "12 clusters of firm",
        "R² of log(price)",
        "poly(z, 2)[2]",
    ):
        assert part in made
    told("fit h.csv --model linear --formula 'price ~ x' -o b.hsq", tmp_path)
    options = "--test C(year) --derive 'r = exp(x)' --means g --adjust bh --json"
    found = json.loads(told(f"effects a.hsq {options}", tmp_path))
    assert found["tests"][0]["degrees_of_freedom"] == [6, 11]
    assert [m["name"] for m in found["marginal_means"][0]["means"]] == ["g=a", "g=b", "g=c"]
    assert found["derived"][0]["name"] == "r"
    text = told("effects a.hsq --anova 1", tmp_path)
    for part in (
        "Analysis of variance, type I",
        "Marginal means of log(price) by g",
        "Average effects",
        "Breusch–Pagan",
    ):
        assert part in text
    side = told("table a.hsq b.hsq --names large,small", tmp_path)
    assert "large" in side.splitlines()[0]
    assert "cluster" in side
    told("table a.hsq b.hsq --format html -o t.html", tmp_path)
    assert (tmp_path / "t.html").read_text().startswith("<table>")
    told("predict a.hsq h.csv --interval 0.95 --of mean -o mean.csv", tmp_path)
    told("predict a.hsq h.csv --interval 0.95 -o new.csv", tmp_path)
    mean, new = pd.read_csv(tmp_path / "mean.csv"), pd.read_csv(tmp_path / "new.csv")
    np.testing.assert_array_equal(mean.prediction, new.prediction)
    assert ((new.low < mean.low) & (mean.high < new.high) & (new.low > 0)).all()


@pytest.mark.parametrize(
    ("seed", "low", "high", "words"),
    [
        (47, 0.02, 0.021, ": a weak sign of unequal variances (not below 0.01)"),
        (0, 0.61, 0.62, ": no sign of unequal variances"),
    ],
)
def test_the_words_of_breusch_and_pagan_are_those_of_their_p(
    seed: int, low: float, high: float, words: str, tmp_path: Path
) -> None:
    from statsmodels.stats.diagnostic import het_breuschpagan

    random = np.random.default_rng(seed)
    x = random.normal(size=80)
    y = 1 + x + random.normal(size=80)
    design = np.column_stack([np.ones(80), x])
    left = y - design @ np.linalg.lstsq(design, y, rcond=None)[0]
    assert low < het_breuschpagan(left, design)[1] < high
    pd.DataFrame({"x": x, "y": y}).to_csv(tmp_path / "b.csv", index=False)
    told("fit b.csv --model linear --formula 'y ~ x' --test-fraction 0 -o b.hsq", tmp_path)
    (line,) = [s for s in told("effects b.hsq", tmp_path).splitlines() if "Breusch" in s]
    assert line.endswith(words)


def test_errors_of_the_command_line_show_the_place(tmp_path: Path) -> None:
    houses().to_csv(tmp_path / "h.csv", index=False)
    wrong = run("fit h.csv --model linear --formula 'y ~ x + lgo(z)'", tmp_path)
    assert wrong.returncode == 1
    lines = wrong.stderr.splitlines()
    assert "did you mean log?" in lines[-3]
    assert lines[-1].index("^") == lines[-2].index("lgo")
    assert "Traceback" not in wrong.stderr


def test_a_table_in_latex_and_html_escapes_names() -> None:
    frame = houses().rename(columns={"x": "area_m2", "z": "a & b <i>"})
    model = fitted_to(frame, "y ~ area_m2 + `a & b <i>`")
    shown = model_table([model, model], ["one", "two"])
    assert r"area\_m2" in shown.render("latex")
    assert r"`a \& b $<$i$>$`" in shown.render("latex")
    assert "a &amp; b &lt;i&gt;" in shown.render("html")
    lines = shown.render("text").splitlines()
    assert len({len(line) for line in lines if line.startswith("─")}) == 1
