"""Intervals where a column has no rows: between its values, and beyond them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from halfsquare import LinearRegressor, fit, load
from halfsquare.results.fitted import FittedModel
from halfsquare.results.stretches import Stretches, require_stretches, variance_of_stretches


def bend(x: np.ndarray) -> np.ndarray:
    """Flat to the left, steep to the right: what the middle does cannot be told from the sides."""
    return np.where(x < 0.3, np.sin(6 * x), 3 * x - 2)


def with_gap(
    noise: float = 0.05, shape: object = bend, n: int = 300, seed: int = 4
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Rows whose x leaves the middle of 0 to 1 out, and the rows in that middle."""
    random = np.random.default_rng(seed)
    x = np.linspace(0, 1, n)
    table = {"x": x, "z": random.normal(size=n)}
    table["y"] = shape(x) + 0.3 * table["z"] + noise * random.normal(size=n)  # type: ignore[operator]
    inside = (x > 0.4) & (x < 0.65)
    return (
        {name: v[~inside] for name, v in table.items()},
        {name: v[inside] for name, v in table.items()},
    )


def covered(fitted: FittedModel, rows: dict[str, np.ndarray]) -> float:
    _, low, high = fitted.interval(rows)
    return float(np.mean((low <= rows["y"]) & (rows["y"] <= high)))


def narrow(fitted: FittedModel) -> FittedModel:
    """The same without what is known of stretches."""
    return fitted.with_training(stretches=())


@pytest.mark.parametrize("model", ["trees", "linear"])
def test_a_stretch_without_rows_has_wider_intervals(model: str, tmp_path: Path) -> None:
    rows, gap = with_gap()
    fitted = fit(rows, "y", model=model, test_fraction=0)
    assert covered(fitted, gap) >= 0.9
    assert covered(narrow(fitted), gap) < 0.9  # what it would have said
    # Where there are rows nothing changes.
    for a, b in zip(fitted.interval(rows), narrow(fitted).interval(rows), strict=True):
        assert np.array_equal(a, b)
    fitted.save(tmp_path / "m.hsq")
    for a, b in zip(fitted.interval(gap), load(tmp_path / "m.hsq").interval(gap), strict=True):
        assert np.array_equal(a, b)


def test_a_network_and_the_same_again() -> None:
    rows, gap = with_gap(n=150)
    fitted = fit(rows, "y", model="network", test_fraction=0.1)
    assert covered(fitted, gap) >= 0.9
    again = fit(rows, "y", model="network", test_fraction=0.1)
    assert fitted.record.training.stretches == again.record.training.stretches != ()


def test_what_is_a_line_keeps_its_exact_interval() -> None:
    rows, gap = with_gap(0.5, lambda x: 2 * x)
    fitted = fit(rows, "y", model="linear", test_fraction=0)
    assert fitted.record.training.stretches == ()
    assert covered(fitted, gap) >= 0.88


def test_by_the_estimator_too() -> None:
    rows, gap = with_gap()
    fitted = fit(rows, "y", model="linear", test_fraction=0)
    model = LinearRegressor().fit(np.column_stack([rows["x"], rows["z"]]), rows["y"])
    new = np.column_stack([gap["x"], gap["z"]])
    _, low, high = fitted.interval(gap)
    _, own_low, own_high = model.predict(new, interval=0.95)
    np.testing.assert_allclose(own_low, low, rtol=1e-9)
    np.testing.assert_allclose(own_high, high, rtol=1e-9)
    assert model.fitted_.record.training.stretches


def test_beyond_the_range_it_grows() -> None:
    rows, _ = with_gap()
    fitted = fit(rows, "y", model="trees", test_fraction=0)
    x = np.array([1.0, 1.5, 3.0, 9.0])
    _, low, high = fitted.interval({"x": x, "z": np.zeros(4)})
    assert np.all(np.diff(high - low) > 0)


def test_distances() -> None:
    one = Stretches(0, -1.0, 3.0, (0.0, 1.5), (1.0, 2.0), (0.5,))
    at = np.array([-2.0, -1.0, -0.5, 0.0, 0.25, 0.5, 0.9, 1.0, 1.2, 1.75, 2.5, 3.0, 4.5])
    expected = [1.0, 0, 0, 0, 0.25, 0.5, 0.1, 0, 0, 0.25, 0, 0, 1.5]
    np.testing.assert_allclose(one.distance(at), expected, atol=1e-12)
    found = variance_of_stretches([one, one], at[:, None], 1)
    np.testing.assert_allclose(found[:, 0], expected, atol=1e-12)


@pytest.mark.parametrize(
    "wrong",
    [
        {"low": 4.0},
        {"starts": (2.0,), "ends": (1.0,)},
        {"rates": (-1.0,)},
        {"rates": (np.nan,)},
        {"starts": (1.0,), "ends": ()},
    ],
)
def test_what_cannot_be_is_refused(wrong: dict[str, object]) -> None:
    right = {"column": 0, "low": 0.0, "high": 3.0, "starts": (), "ends": (), "rates": (1.0,)}
    require_stretches([Stretches(**right)], 1, 1)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r".+"):
        Stretches(**{**right, **wrong})  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="column 0 of 0"):
        require_stretches([Stretches(**right)], 0, 1)  # type: ignore[arg-type]


@pytest.mark.filterwarnings("error")
def test_a_constant_target_has_no_stretches_and_is_told() -> None:
    table, _ = with_gap()
    fitted = fit({**table, "y": np.full(len(table["x"]), 3.0)}, "y", model="linear")
    assert not fitted.record.training.stretches
    assert "y: every row has the target 3; a constant can be fitted" in str(fitted.summary())
    assert "every row has the target" not in str(fit(table, "y", model="linear").summary())
    two = {**table, "c": np.full(len(table["x"]), 3.0)}
    both = fit(two, ["y", "c"], model="linear", test_fraction=0)
    assert all(one.rates[1] == 0 for one in both.record.training.stretches)
