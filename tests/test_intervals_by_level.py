"""Intervals calibrated within the levels of a category."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from conftest import Ran
from numpy.typing import NDArray

from halfsquare import FittedModel, fit, load
from halfsquare.errors import OptionError
from halfsquare.results.intervals import ByLevel, LevelScores, quantiles_of_scores

Command = Callable[..., Ran]


def leaning(n: int, seed: int) -> dict[str, Any]:
    """Noise of one size, that leans upwards in one group and downwards in the other: no variance
    tells them apart.
    """
    random = np.random.default_rng(seed)
    group, x = random.choice(["up", "down", "rare"], n, p=[0.6, 0.39, 0.01]), random.normal(size=n)
    noise = (random.exponential(size=n) - 1.0) * np.where(group == "down", -1.0, 1.0)
    return {"x": x, "g": group.astype(object), "y": 2.0 * x + noise}


def above_the_ends(fitted: FittedModel, table: dict[str, Any]) -> dict[str, NDArray[np.float64]]:
    """Of each group the shares above the lower and above the upper end of the 90 % interval."""
    _, low, high = fitted.interval(table, 0.9)
    y, g = table["y"], table["g"]
    return {
        name: np.array([(y > low)[g == name].mean(), (y > high)[g == name].mean()])
        for name in ("up", "down")
    }


@pytest.mark.parametrize("model", ["linear", "trees"])
def test_each_level_has_ends_of_its_own(model: str) -> None:
    table, new = leaning(3000, 0), leaning(20_000, 1)
    options: dict[str, Any] = {"model": model, "test_fraction": 0}
    for shares in above_the_ends(fit(table, "y", **options), new).values():
        assert np.max(np.abs(shares - [0.95, 0.05])) > 0.04  # as all rows are: wrong in each
    fitted = fit(table, "y", **options, interval_by="g")
    for shares in above_the_ends(fitted, new).values():
        # Three standard errors: the noise is dense at its end, which 1,200 rows place to 0.008.
        np.testing.assert_allclose(shares, [0.95, 0.05], atol=0.024)
    told = next(w for w in fitted.info["warnings"] if "calibrated within" in w)
    assert told.startswith("intervals are calibrated within 2 of the 3 levels of g")
    assert "fewer than 39" in told and "rare (" in told


def test_the_ends_of_a_level_are_quantiles_of_its_scores() -> None:
    """Outputs stay; the ends of a row are those of its own level, by hand."""
    table = leaning(400, 2)
    fitted = fit(table, "y", model="linear", test_fraction=0, interval_by="g")
    calibration = fitted.calibrations[0]
    assert calibration is not None and calibration.by is not None
    names = [level.level for level in calibration.by.levels]
    for name in ("up", "down"):
        level = calibration.by.levels[names.index(name)]
        assert level.rows == np.sum(table["g"] == name) == len(level.scores)
        at = np.arange(1, level.rows + 1) / (level.rows + 1)
        np.testing.assert_allclose(level.probabilities, at)
        assert np.mean(np.square(level.scores)) == pytest.approx(1.0)
        row = {"x": [0.3], "g": [name]}
        output, (end,) = fitted.predict_quantiles(row, [0.95])
        std = fitted.predict_std(row)
        assert (end - output) / std == pytest.approx(np.interp(0.95, at, level.scores))
    plain = fit(table, "y", model="linear", test_fraction=0)
    assert np.array_equal(plain.predict(table), fitted.predict(table))


def test_levels_without_rows_enough_and_unseen_ones_have_the_interval_of_all() -> None:
    table = leaning(800, 3)
    plain = fit(table, "y", model="linear", test_fraction=0)
    fitted = fit(table, "y", model="linear", test_fraction=0, interval_by="g")
    for name in ("rare", "new", None):
        row = {"x": [1.0], "g": np.array([name], dtype=object)}
        np.testing.assert_array_equal(plain.interval(row), fitted.interval(row))
    row = {"x": [1.0], "g": np.array(["up"], dtype=object)}
    assert not np.array_equal(plain.interval(row), fitted.interval(row))


def test_equal_normal_noise_keeps_the_exact_interval_where_the_level_is_not_known() -> None:
    random = np.random.default_rng(4)
    table = {"x": random.normal(size=300), "g": np.array(["a", "b", "c"] * 100, dtype=object)}
    table["g"][:20] = "few"
    table["y"] = table["x"] + random.normal(size=300)
    plain = fit(table, "y", model="linear", test_fraction=0)
    assert plain.calibrations == (None,)
    fitted = fit(table, "y", model="linear", test_fraction=0, interval_by="g")
    row = {"x": [1.0], "g": np.array(["few"], dtype=object)}
    np.testing.assert_allclose(plain.interval(row), fitted.interval(row), rtol=1e-14)


def test_a_row_of_each_level_is_known_again() -> None:
    levels = tuple(LevelScores(name, 0, float("nan"), (), ()) for name in "abcd")
    by = ByLevel("g", 2, 5, levels)
    assert by.level_of(by.examples(7)).tolist() == [-1, 0, 1, 2, 3]


def test_quantiles_of_many_scores_are_thinned_and_stay() -> None:
    scores = np.random.default_rng(0).normal(size=5000)
    at, values = quantiles_of_scores(scores)
    assert len(at) == 400
    for q in (0.01, 0.5, 0.975):
        assert np.interp(q, at, values) == pytest.approx(np.quantile(scores, q), abs=0.02)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"interval_by": "x"}, "is no category of the model"),
        ({"interval_by": "nowhere"}, "is no column of the model; expected a category"),
        ({"interval_by": "g", "formula": "y ~ a + b*x"}, "leave the formula or interval_by"),
        ({"interval_by": "g", "sigma": "s"}, "leave interval_by"),
        ({"interval_by": "g", "exclude": ["g"]}, "left out"),
    ],
)
def test_what_cannot_be_calibrated_by_is_refused(options: dict[str, Any], said: str) -> None:
    table = leaning(100, 5) | {"s": np.ones(100)}
    with pytest.raises(OptionError, match=said):
        fit(table, "y", **({} if "formula" in options else {"model": "linear"}), **options)


def test_few_rows_are_said_to_be_too_few() -> None:
    fitted = fit(leaning(40, 6), "y", model="linear", test_fraction=0, interval_by="g")
    assert any("not calibrated by a column" in w for w in fitted.info["warnings"])


def test_the_command_line_keeps_it_in_the_file(command: Command, tmp_path: Any) -> None:
    table = leaning(500, 7)
    lines = [",".join(map(str, row)) for row in zip(*table.values(), strict=True)]
    (tmp_path / "rows.csv").write_text("x,g,y\n" + "\n".join(lines) + "\n", encoding="utf-8")
    ran = command("fit", "rows.csv", "--target", "y", "--model", "linear", "--by", "g",
                     "--out", "m.hsq")  # fmt: skip
    assert ran.code == 0 and "calibrated within 2 of the 3 levels of g" in ran.out
    row = {"x": [0.0], "g": ["down"]}
    low, high = (float(end[0]) for end in load(tmp_path / "m.hsq").interval(row)[1:])
    assert -low > 1.5 * high  # it leans downwards
    ran = command("fit", "rows.csv", "--target", "y", "--by", "x", "--out", "n.hsq")
    assert ran.code == 2 and "--category makes a column of numbers one" in ran.err
