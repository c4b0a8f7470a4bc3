"""A target on another scale while it is fitted: means in its own unit, ends carried back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import yeojohnson
from typer.testing import CliRunner

from halfsquare import fit, load
from halfsquare.cli.main import app
from halfsquare.data.target_transform import TargetTransform, yeo_johnson
from halfsquare.errors import HalfsquareError
from halfsquare.results.smearing import Smearing

RANDOM = np.random.default_rng


def skewed(n: int = 600, seed: int = 0, sd: float = 0.7) -> dict[str, Any]:
    """A positive target whose logarithm is a line with equal noise."""
    random = RANDOM(seed)
    a, b = random.normal(size=(2, n))
    return {"a": a, "b": b, "y": np.exp(1.0 + 0.8 * a - 0.5 * b + sd * random.normal(size=n))}


@pytest.mark.parametrize("power", [0.0, 0.3, 1.0, 1.7, 2.0])
def test_yeo_johnson_is_that_of_scipy_there_and_back(power: float) -> None:
    t = np.concatenate([-np.geomspace(1e-3, 50, 40), [0.0], np.geomspace(1e-3, 50, 40)])
    one = TargetTransform("yeo-johnson", power)
    assert one.forward(t) == pytest.approx(yeojohnson(t, power), rel=1e-12, abs=1e-14)
    assert one.back(one.forward(t)) == pytest.approx(t, rel=1e-9, abs=1e-12)
    scaled = TargetTransform("yeo-johnson", power, 20.0)
    assert scaled.forward(20.0 * t) == pytest.approx(one.forward(t), rel=1e-12, abs=1e-14)


def test_the_power_is_that_of_scikit_learn() -> None:
    from sklearn.preprocessing import PowerTransformer

    t = RANDOM(1).uniform(0, 5, 3000) ** 1.5
    unit = t.std()
    theirs = PowerTransformer().fit((t / unit)[:, None]).lambdas_[0]
    ours = yeo_johnson(t)
    assert 0.0 < theirs < 2.0
    assert ours.power == pytest.approx(theirs, abs=2e-3)
    # In another unit it is the same; where more would be better the limit is taken.
    assert yeo_johnson(1e6 * t).power == pytest.approx(ours.power, abs=2e-3)
    assert yeo_johnson(np.exp(3.0 * RANDOM(2).normal(size=500))).power < 0.01


def test_the_mean_by_smearing_is_the_mean() -> None:
    z = RANDOM(0).normal(size=20_000)
    smearing = Smearing.of(z, np.ones(len(z)))
    assert len(smearing.scores) < 400
    u, s = np.array([[0.0], [1.0]]), np.array([[0.5], [1.0]])
    mean, std = smearing.moments(np.exp, u, s)
    # Thinned, it is the mean over the scores themselves; of these the lognormal's.
    direct = np.exp(u + s * z).mean(axis=1, keepdims=True)
    assert mean == pytest.approx(direct, rel=2e-3)
    assert mean == pytest.approx(np.exp(u + s**2 / 2), rel=2e-2)
    assert std[0] == pytest.approx(np.exp(0.125) * np.sqrt(np.expm1(0.25)), rel=5e-2)
    # A row of weight 2 is two rows.
    some = z[:50]
    twice = Smearing.of(np.repeat(some, 2), np.ones(100))
    weighed = Smearing.of(some, np.full(50, 2.0))
    assert twice.moments(np.exp, u, s)[0] == pytest.approx(
        weighed.moments(np.exp, u, s)[0], rel=1e-2
    )


def test_a_line_in_the_logarithm_is_that_of_its_own_formula() -> None:
    data = skewed()
    fitted = fit(data, "y", model="linear", target_transform="log", test_fraction=0)
    formula = fit(data, formula="log(y) ~ a + b", model="linear", test_fraction=0)
    for ours, theirs in zip(fitted.parameters, formula.parameters, strict=True):
        assert ours.value == pytest.approx(theirs.value, rel=1e-9)
        assert ours.standard_error == pytest.approx(theirs.standard_error, rel=1e-9)
    assert fitted.info["target_transform"]["fitted"] == "log(y)"
    # The median of the formula times the mean of the exponentials of the errors.
    new = skewed(300, seed=1)
    ratio = fitted.predict(new) / formula.predict(new)
    assert ratio == pytest.approx(np.full(300, np.exp(0.49 / 2)), rel=0.06)
    assert np.ptp(ratio) < 1e-9
    means = fit(data, formula="log(y) ~ a + b", model="linear", test_fraction=0, predicts="mean")
    assert means.predict(new) == pytest.approx(fitted.predict(new), rel=1e-2)
    assert formula.info["outputs"] == "median" and means.info["outputs"] == "mean"
    assert "--predicts mean" in formula.summary() and "--predicts mean" not in means.summary()
    low = means.interval(new)[1]
    assert low == pytest.approx(formula.interval(new)[1], rel=1e-12)
    exp = fit(data, formula="log(y) ~ b0 + b1*a + b2*b", test_fraction=0, predicts="mean")
    assert exp.predict(new) == pytest.approx(fitted.predict(new), rel=2e-2)


@pytest.mark.parametrize("model", ["linear", "network", "trees"])
def test_means_are_right_and_ends_are_positive(model: str, tmp_path: Path) -> None:
    data, new = skewed(400), skewed(4000, seed=1)
    truth = np.exp(1.0 + 0.8 * new["a"] - 0.5 * new["b"] + 0.49 / 2)
    plain = fit(data, "y", model=model, refit=False)
    fitted = fit(data, "y", model=model, target_transform="log", refit=False)
    output, low, high = fitted.interval(new)
    assert low.min() > 0 > plain.interval(new)[1].min()
    within = np.mean((new["y"] >= low) & (new["y"] <= high))
    assert 0.9 < within < 0.98
    error, before = (np.mean((o - truth) ** 2) for o in (output, plain.predict(new)))
    assert error < 0.8 * before
    assert output.mean() == pytest.approx(truth.mean(), rel=0.15)
    std = fitted.predict_std(new)
    assert (std > 0).all() and np.corrcoef(std, output)[0, 1] > 0.8
    path = tmp_path / "m.hsq"
    fitted.save(path)
    again = load(path)
    assert np.array_equal(again.predict(new), output)
    assert np.array_equal(again.interval(new)[2], high)
    found = again.evaluate(new).summary
    assert found.mse == pytest.approx(np.mean((output - new["y"]) ** 2), rel=1e-9)
    assert again.test is not None
    assert again.test["rows"] == 80


def test_auto_chooses_on_rows_left_out() -> None:
    chosen = fit(skewed(3000, sd=0.4), "y", model="linear", target_transform="auto")
    assert chosen.info["target_transform"]["name"] == "log"
    tried = {t["model"]: t["mse"] for t in chosen.info["transforms"]}
    assert min(tried, key=lambda name: tried[name]) == "log" and set(tried) == {
        "none",
        "log",
        "sqrt",
        "yeo-johnson",
    }
    # The left-out MSE is that of the rows set apart, as far as these tell.
    assert chosen.test is not None
    assert chosen.test["mse"] == pytest.approx(tried["log"], rel=0.5)
    random = RANDOM(0)
    x = random.normal(size=500)
    plain = fit(
        {"x": x, "y": 3.0 * x + random.normal(size=500)},
        "y",
        model="linear",
        target_transform="auto",
    )
    assert "log" not in {t["model"] for t in plain.info["transforms"]}  # negative targets
    assert plain.info.get("target_transform", {"name": "none", "power": 1.0})[
        "power"
    ] == pytest.approx(1.0, abs=0.1)


def test_garbage_in_the_rows_set_apart_changes_no_choice() -> None:
    data = skewed(300)
    options: dict[str, Any] = {
        "model": "linear",
        "target_transform": "auto",
        "split": "rows",
        "refit": False,
    }
    before = fit(data, "y", **options)
    y = data["y"].copy()
    y[240:] = 1e4 * RANDOM(5).normal(size=60) ** 2
    y[250] = -3.0
    after = fit({**data, "y": y}, "y", **options)
    assert np.array_equal(before.members[0].parameters, after.members[0].parameters)
    assert before.record.training.transforms == after.record.training.transforms
    assert before.record.training.smearing == after.record.training.smearing
    assert before.encoder.target_transform == after.encoder.target_transform
    assert before.test is not None and after.test is not None
    assert before.test["mse"] != after.test["mse"]
    # A refit on rows that the transform does not take would be another model: it is left out.
    kept = fit({**data, "y": y}, "y", **{**options, "refit": True})
    assert not kept.info["refit"]
    assert any("was not fitted to all rows" in w for w in kept.info["warnings"])


@pytest.mark.parametrize(
    "options, text",
    [
        ({"target_transform": "cube"}, "unknown transform"),
        ({"target_transform": "log", "model": "auto"}, "for linear, network and trees"),
        ({"target_transform": "log", "formula": "y ~ a", "model": "linear"}, "left side"),
        ({"target_transform": "log", "model": "linear", "errors": "hc3"}, "as it is"),
        ({"target_transform": "log", "model": "linear", "method": "gradient"}, "least-squares"),
        ({"target_transform": "log", "model": "linear", "sigma": "b"}, "sigma"),
        ({"predicts": "mean", "model": "linear"}, "left side"),
        ({"predicts": "mode", "formula": "log(y) ~ a"}, "median, mean"),
    ],
)
def test_what_does_not_go_together(options: dict[str, Any], text: str) -> None:
    data = skewed(60)
    data["b"] = np.abs(data["b"])
    with pytest.raises(HalfsquareError, match=text):
        fit(data, None if "formula" in options else "y", **options)


def test_values_that_a_transform_does_not_take_are_named() -> None:
    data = skewed(60)
    data["y"][7] = 0.0
    with pytest.raises(HalfsquareError, match=r"smallest value of the target 'y' is 0"):
        fit(data, "y", model="linear", target_transform="log")
    fit(data, "y", model="linear", target_transform="sqrt")
    data["y"][7] = -1.0
    with pytest.raises(HalfsquareError, match="yeo-johnson takes any"):
        fit(data, "y", model="linear", target_transform="sqrt")
    two = {**data, "z": data["a"]}
    with pytest.raises(HalfsquareError, match="one target"):
        fit(two, ["y", "z"], model="linear", target_transform="yeo-johnson")


def test_it_explains_itself_on_the_command_line(tmp_path: Path) -> None:
    table, model = tmp_path / "rows.csv", tmp_path / "m.hsq"
    data = skewed(120)
    lines = ["a,b,y", *(f"{a},{b},{y}" for a, b, y in zip(*data.values(), strict=True))]
    table.write_text("\n".join(lines) + "\n", encoding="utf-8")
    run = CliRunner()
    options = ["--target", "y", "--model", "linear", "--target-transform", "auto"]
    shown = run.invoke(app, ["fit", str(table), *options, "--out", str(model), "--all"])
    assert shown.exit_code == 0, shown.output
    assert "Transforms of the target" in shown.output and "← chosen" in shown.output
    found = json.loads(run.invoke(app, ["info", str(model), "--json"]).stdout)
    assert found["options"]["target_transform"] == "auto"
    log = ["fit", str(table), *options[:-1], "log", "--out", str(model)]
    first = run.invoke(app, log)
    assert "model of log(y)" in first.output and "of log(y) per std. deviation" in first.output
    for command in (
        ["evaluate", str(model), str(table), "--coverage"],
        ["predict", str(model), str(table), "--interval", "0.9"],
        ["pulls", str(model), str(table), "--row", "3"],
        ["pulls", str(model), str(table)],
        ["report", str(model), str(table), "--out", str(tmp_path / "r.html")],
    ):
        done = run.invoke(app, command)
        assert done.exit_code == 0, (command, done.output, done.exception)


def test_the_estimators_transform_as_fit_does() -> None:
    from sklearn.base import clone

    from halfsquare import LinearRegressor, TreesRegressor

    data, new = skewed(200), skewed(50, seed=1)
    x, z = (np.column_stack([d["a"], d["b"]]) for d in (data, new))
    linear = clone(LinearRegressor(target_transform="log")).fit(x, data["y"])
    fitted = fit(
        {"x1": x[:, 0], "x2": x[:, 1], "y": data["y"]},
        "y",
        model="linear",
        target_transform="log",
        test_fraction=0,
    )
    rows = {"x1": z[:, 0], "x2": z[:, 1]}
    assert linear.predict(z) == pytest.approx(fitted.predict(rows), rel=1e-9)
    _, low, _ = linear.predict(z, interval=0.95)
    assert low.min() > 0
    assert linear.coef_ == pytest.approx([p.value for p in fitted.parameters[1:]], rel=1e-9)
    trees = TreesRegressor(target_transform="auto", members=4).fit(x, data["y"])
    assert trees.predict(z).min() > 0 or trees.fitted_.encoder.target_transform is None
    with pytest.raises(HalfsquareError, match="unknown transform"):
        LinearRegressor(target_transform="cube").fit(x, data["y"])
    with pytest.raises(HalfsquareError, match="as it is"):
        LinearRegressor(target_transform="log").partial_fit(x, data["y"])
