"""What the report says of columns and residuals: partial dependence and diagnostics of a line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from halfsquare import FittedModel, fit
from halfsquare.errors import OptionError
from halfsquare.report.collect import SAMPLED, collect
from halfsquare.report.dependence import BAND_ROWS, dependence, dependences
from halfsquare.report.diagnostics import DIAGNOSTICS, diagnose, diagnostics, quantile_band
from halfsquare.report.sample import Sample
from halfsquare.report.views import views


def table(n: int, seed: int = 1) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    x, z, town = rng.normal(5, 2, n), rng.exponential(1, n), rng.choice(["Ulm", "Bonn", "Jena"], n)
    y = np.sin(x) + z * (town == "Bonn") + 0.2 * rng.normal(size=n)
    return {"x": x, "z": z, "town": town, "y": y}


@pytest.fixture(scope="module")
def trees() -> tuple[FittedModel, dict[str, Any]]:
    data = table(150)
    return fit(data, "y", model="trees", test_fraction=0, time_limit=20), data


def test_a_sample_is_the_same_whatever_the_batches() -> None:
    rng = np.random.default_rng(0)
    rows, design = np.arange(1, 1001), rng.normal(size=(1000, 2))
    target, weight = rng.normal(size=(1000, 1)), (np.arange(1000) % 3 > 0).astype(float)

    def taken(size: int) -> Sample:
        sample = Sample.zero(50, 2, 1)
        for i in range(0, 1000, size):
            at = slice(i, i + size)
            sample = sample.add(rows[at], design[at], target[at], target[at], weight[at])
        return sample

    one, many = taken(1000), taken(7)
    assert len(one.rows) == 50 and one.seen == many.seen == weight.sum()
    assert np.array_equal(one.rows, many.rows) and np.array_equal(one.design, many.design)
    assert np.array_equal(one.design, design[one.rows - 1]) and (one.weight > 0).all()
    # In step with nothing: rows of every remainder are among them.
    assert np.bincount(one.rows % 5, minlength=5).min() >= 3


def test_partial_dependence_is_the_mean_prediction_with_the_column_replaced(
    trees: tuple[FittedModel, dict[str, Any]],
) -> None:
    fitted, data = trees
    sample = collect(fitted, data).sample
    some = np.unique(np.linspace(0, 149, BAND_ROWS).astype(int))
    for view in views(fitted.encoder):
        found = dependence(fitted, view, sample)
        column = view.feature.column
        for i in (0, len(found.values) - 1):
            value = view.levels[i] if view.levels else found.values[i]
            replaced = {**data, column: np.full(150, value)}
            output, low, high = fitted.interval(replaced)
            assert found.output[i] == pytest.approx(output.mean(), rel=1e-9)
            below, above = (output - low)[some].mean(), (high - output)[some].mean()
            assert found.output[i] - found.low[i] == pytest.approx(below, rel=1e-6)
            assert found.high[i] - found.output[i] == pytest.approx(above, rel=1e-6)


def test_dependence_is_of_models_without_coefficients() -> None:
    data = table(60)
    line = fit(data, "y", model="linear", test_fraction=0)
    assert dependences(line, collect(line, data).sample, "y", 3) == []


def test_diagnostics_agree_with_statsmodels() -> None:
    sm = pytest.importorskip("statsmodels.api")
    data = table(80)
    line = fit(data, "y", model="linear", test_fraction=0, features=["x", "z"])
    found = diagnose(line, collect(line, data).sample)
    assert found is not None and np.array_equal(found.rows, np.arange(1, 81))
    design = sm.add_constant(np.column_stack([data["x"], data["z"]]))
    known = sm.OLS(data["y"], design).fit().get_influence()
    np.testing.assert_allclose(found.standardized, known.resid_studentized_internal, rtol=1e-8)
    np.testing.assert_allclose(found.leverage, known.hat_matrix_diag, rtol=1e-8)
    np.testing.assert_allclose(found.cooks, known.cooks_distance[0], rtol=1e-7)


def test_the_band_of_normal_quantiles() -> None:
    middle, low, high = quantile_band(1)
    np.testing.assert_allclose([low[0], middle[0], high[0]], [-1.959964, 0, 1.959964], atol=1e-6)
    drawn = np.sort(np.random.default_rng(3).normal(size=(4000, 25)), axis=1)
    _, low, high = quantile_band(25)
    inside = ((drawn >= low) & (drawn <= high)).mean(axis=0)
    assert (np.abs(inside - 0.95) < 0.02).all()
    heavy = np.sort(np.random.default_rng(3).standard_t(2, size=(500, 25)), axis=1)
    assert ((heavy < low) | (heavy > high)).any(axis=1).mean() > 0.5


def test_what_is_said_is_what_is_drawn() -> None:
    data = table(3 * SAMPLED)
    data["y"] = data["x"] ** 2  # bent: the residuals say so
    line = fit(data, "y", model="linear", features=["x"], test_fraction=0)
    residuals, normal, scale, influence = diagnostics(line, collect(line, data).sample, "y")
    assert f"{SAMPLED} of {3 * SAMPLED:,} rows" in residuals.caption
    assert "Outside: 0" not in normal.caption and "factor" in scale.caption
    assert "Greatest Cook's distances: row " in influence.caption
    assert all(f.svg.startswith("<svg") for f in (residuals, normal, scale, influence))


def test_plots_of_one_and_refusals(
    trees: tuple[FittedModel, dict[str, Any]], tmp_path: Path
) -> None:
    from halfsquare.figures.save import save_chart

    fitted, data = trees
    for column in ("x", "town"):
        svg = save_chart(fitted.plot(column, data), tmp_path / "x.svg").read_text()
        assert "mean output: y" in svg
    line = fit(data, "y", model="linear", test_fraction=0)
    for what in DIAGNOSTICS:
        assert save_chart(line.plot(what, data), tmp_path / "d.svg").read_text()[:4] == "<svg"
    with pytest.raises(OptionError, match="nothing to diagnose"):
        fitted.plot("residuals", data)
    with pytest.raises(OptionError, match="give them as data"):
        line.plot("normal")


def test_the_report_has_them(trees: tuple[FittedModel, dict[str, Any]], tmp_path: Path) -> None:
    fitted, data = trees
    page = fitted.report(data, tmp_path / "t.html").read_text()
    assert "What the columns do" in page and "Does a line fit?" not in page
    line = fit(data, "y", model="linear", test_fraction=0)
    page = line.report(data, tmp_path / "l.html").read_text()
    assert "What the columns do" not in page and "Are they normal?" in page
