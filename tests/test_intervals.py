"""Intervals that hold row by row: coverage by simulation, and what must stay as it was."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from conftest import Ran
from numpy.typing import NDArray
from scipy import stats

from halfsquare import FittedModel, fit, load
from halfsquare.errors import ModelFileError, OptionError
from halfsquare.files.records import to_json
from halfsquare.fitting.normality import chance_of_normal
from halfsquare.results.model_file import save

Command = Callable[..., Ran]
Rows = dict[str, NDArray[Any]]


def drawn(kind: str, n: int, random: np.random.Generator) -> tuple[Rows, NDArray[np.float64]]:
    """A table whose target has noise of some kind, and what its rows are sorted by."""
    x = random.uniform(0, 1, (n, 3))
    group = random.integers(0, 3, n)
    noise: NDArray[np.float64]
    by = x[:, 0]
    if kind == "rises":
        noise = (0.1 + 2 * x[:, 0]) * random.normal(size=n)
    elif kind == "jumps":
        noise, by = np.array([0.2, 1.0, 3.0])[group] * random.normal(size=n), 1.0 * group
    elif kind == "skewed":
        noise = (random.exponential(size=n) - 1) * (0.1 + 2 * x[:, 0])
    else:
        noise = random.normal(size=n)
    table = {f"x{j}": x[:, j] for j in range(3)} | {"g": np.array(list("abc"))[group]}
    return table | {"y": 2 * x[:, 0] + x[:, 1] + noise}, by


def fifths(fitted: FittedModel, table: Rows, by: NDArray[np.float64]) -> NDArray[np.float64]:
    """The share of targets inside their 95 % interval in each fifth of the rows."""
    _, low, high = fitted.interval(table, 0.95)
    inside = (low <= table["y"]) & (table["y"] <= high)
    order = np.argsort(by, kind="stable")
    return np.array([inside[part].mean() for part in np.array_split(order, 5)])


def with_calibration(fitted: FittedModel, found: Any) -> FittedModel:
    """The same model with another calibration."""
    return fitted.with_training(calibration=found)


@pytest.mark.parametrize("n", [20, 100, 5000])
@pytest.mark.parametrize("kind", ["normal", "exponential", "uniform", "standard_t"])
def test_the_test_of_normality_is_scipys(n: int, kind: str) -> None:
    random = np.random.default_rng(n)
    draw = getattr(random, kind)
    values = 5.0 - 3.0 * (draw(4.0, size=n) if kind == "standard_t" else draw(size=n))
    assert chance_of_normal(values) == pytest.approx(stats.normaltest(values).pvalue, rel=1e-9)
    assert np.isnan(chance_of_normal(np.ones(n)))


@pytest.mark.parametrize("kind", ["rises", "jumps", "skewed"])
def test_every_fifth_of_the_rows_is_covered_whatever_the_noise(kind: str) -> None:
    found, constant = [], []
    for seed in range(4):
        random = np.random.default_rng(seed)
        fitted = fit(drawn(kind, 3000, random)[0], "y", model="linear", test_fraction=0)
        new, by = drawn(kind, 4000, random)
        found.append(fifths(fitted, new, by))
        constant.append(fifths(with_calibration(fitted, ()), new, by))
    assert np.abs(np.mean(found, axis=0) - 0.95).max() < 0.02
    assert abs(np.mean(found) - 0.95) < 0.01
    # One noise for all rows does not: the check can fail.
    assert np.abs(np.mean(constant, axis=0) - 0.95).max() > 0.04


def test_a_few_hundred_rows_are_enough() -> None:
    found = []
    for seed in range(8):
        random = np.random.default_rng(seed)
        fitted = fit(drawn("rises", 300, random)[0], "y", model="linear", test_fraction=0)
        found.append(fifths(fitted, *drawn("rises", 2000, random)))
    assert np.abs(np.mean(found, axis=0) - 0.95).max() < 0.04
    assert abs(np.mean(found) - 0.95) < 0.015


def test_a_network_covers_every_fifth() -> None:
    random = np.random.default_rng(3)
    fitted = fit(drawn("rises", 300, random)[0], "y", model="network", test_fraction=0)
    assert np.abs(fifths(fitted, *drawn("rises", 4000, random)) - 0.95).max() < 0.06
    _, std = fitted.predict(drawn("rises", 4000, random)[0], return_std=True)
    assert np.quantile(std, 0.9) > 2.5 * np.quantile(std, 0.1)


def test_skewed_noise_has_ends_of_different_length() -> None:
    random = np.random.default_rng(0)
    x = random.uniform(0, 1, 2000)
    table = {"x": x, "y": x + random.exponential(size=2000)}
    fitted = fit(table, "y", model="linear", test_fraction=0)
    output, low, high = fitted.interval({"x": np.array([0.2, 0.8])}, 0.9)
    # The quantiles of an exponential distribution less its mean: 0.05 - 1 and 3.0 - 1.
    np.testing.assert_allclose(low - output, np.log(1 / 0.95) - 1, atol=0.1)
    np.testing.assert_allclose(high - output, np.log(1 / 0.05) - 1, atol=0.3)


def test_equal_normal_noise_keeps_the_exact_t_interval() -> None:
    kept = 0
    for seed in range(20):
        random = np.random.default_rng(seed)
        x = random.normal(size=(200, 2))
        y = x @ [1.0, 2.0] + random.normal(size=200)
        fitted = fit({"a": x[:, 0], "b": x[:, 1], "y": y}, "y", model="linear", test_fraction=0)
        kept += fitted.calibrations == (None,)
    assert kept >= 18  # each is taken for something else once in a hundred times or less
    a = np.column_stack([np.ones(200), x])
    inverse = np.linalg.inv(a.T @ a)
    b = inverse @ a.T @ y
    sigma = np.sqrt(np.sum((y - a @ b) ** 2) / 197)
    at = np.array([1.0, 0.5, -1.0])
    half = stats.t.ppf(0.975, 197) * sigma * np.sqrt(1 + at @ inverse @ at)
    output, low, high = fitted.interval({"a": [0.5], "b": [-1.0]})
    np.testing.assert_allclose(
        [output[0], low[0], high[0]], [at @ b, at @ b - half, at @ b + half], rtol=1e-10
    )


def test_the_test_part_takes_no_part_in_the_calibration() -> None:
    """Garbage in the target of the test rows changes neither calibration nor interval."""
    random = np.random.default_rng(5)
    table = drawn("skewed", 1500, random)[0]
    clean = fit(table, "y", model="linear", refit=False)
    # Which rows are set apart does not depend on the values: found by their number.
    train = np.sort(np.random.default_rng([0, 0]).permutation(1500)[:1200])
    spoilt = table["y"].copy()
    test = np.setdiff1d(np.arange(1500), train)
    spoilt[test] = 1e6
    garbage = fit({**table, "y": spoilt}, "y", model="linear", refit=False)
    assert clean.test is not None and garbage.test is not None
    assert garbage.test["mse"] > 1e6 * clean.test["mse"]
    assert garbage.calibrations == clean.calibrations != (None,)
    for a, b in zip(clean.interval(table), garbage.interval(table), strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_model_file_keeps_it_and_a_damaged_one_is_refused(tmp_path: Any) -> None:
    table = drawn("rises", 1000, np.random.default_rng(1))[0]
    fitted = fit(table, "y", model="linear", test_fraction=0)
    save(fitted, tmp_path / "m.hsq")
    again = load(tmp_path / "m.hsq")
    for a, b in zip(fitted.interval(table), again.interval(table), strict=True):
        np.testing.assert_array_equal(a, b)
    assert again.calibrations == fitted.calibrations
    one = to_json(fitted.calibrations[0])
    for wrong in (
        {**one, "factor": -1.0},
        {**one, "ramps": [{"column": 99, "knots": [0, 1], "rises": [1.0]}]},
        {**one, "ramps": [{"column": 0, "knots": [1, 0], "rises": [1.0]}]},
        {k: v for k, v in one.items() if k != "rows"},
    ):
        save(with_calibration(fitted, (wrong,)), tmp_path / "bad.hsq")
        with pytest.raises(ModelFileError):
            load(tmp_path / "bad.hsq")


def test_a_logarithm_on_the_left_has_transformed_ends() -> None:
    covered = []
    for seed in range(5):
        random = np.random.default_rng(seed)
        x = random.uniform(0, 2, 400)
        table = {"x": x, "y": np.exp(1 + x + random.normal(size=400))}
        fitted = fit(table, formula="log(y) ~ a + b*x", test_fraction=0)
        x = random.uniform(0, 2, 4000)
        y = np.exp(1 + x + random.normal(size=4000))
        _, low, high = fitted.interval({"x": x})
        assert np.all(low > 0)
        covered.append([np.mean(y < low), np.mean(y > high)])
    # As many below as above: 2.5 % each.
    np.testing.assert_allclose(np.mean(covered, axis=0), 0.025, atol=0.008)


def test_several_levels_and_quantiles_on_the_command_line(tmp_path: Any, command: Command) -> None:
    table = drawn("skewed", 400, np.random.default_rng(2))[0]
    fitted = fit(table, "y", model="linear", test_fraction=0)
    save(fitted, tmp_path / "m.hsq")
    rows = tmp_path / "new.csv"
    rows.write_text("x0,x1,x2,g\n0.5,0.5,0.5,a\n0.1,0.2,0.3,b\n")
    levels = ["--interval", "0.5", "--interval", "0.95", "--quantile", "0.9"]
    run = command("predict", str(tmp_path / "m.hsq"), str(rows), *levels, "--json")
    assert run.code == 0, run.err
    found = run.json["predictions"]
    for row in found:
        assert list(row) == [
            *("prediction", "low_0.5", "high_0.5", "low_0.95", "high_0.95", "quantile_0.9")
        ]
        assert row["low_0.95"] < row["low_0.5"] < row["high_0.5"] < row["quantile_0.9"]
        assert row["quantile_0.9"] < row["high_0.95"]
    with pytest.raises(OptionError, match="between 0 and 1"):
        fitted.predict_quantiles(str(rows), [1.0])
    output, (median,) = fitted.predict_quantiles(str(rows), [0.5])
    assert np.all(median < output)  # of noise with a long tail above, the median is below the mean
    np.testing.assert_array_equal(
        fitted.predict_std(str(rows)), fitted.predict(str(rows), return_std=True)[1]
    )
