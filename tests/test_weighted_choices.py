"""Whatever rows choose, they choose by their weights: penalties, folds, blends, calibrations.

Each test has rows that say one thing and weights that say another; or it repeats rows as often as
their weights say.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from halfsquare import NetworkRegressor, fit
from halfsquare.data.rows import ArrayRows
from halfsquare.fitting.blend import blended, some_design
from halfsquare.fitting.calibrate import _drawn
from halfsquare.fitting.ensemble import better
from halfsquare.fitting.judged import Judged, Part
from halfsquare.fitting.judgement import HeldOutErrors, Judgement
from halfsquare.loss import Floats
from halfsquare.results.compare import compare
from halfsquare.results.evaluate import evaluate
from halfsquare.solvers.boosting import _Stop
from halfsquare.solvers.lightgbm_input import CodedRows


def two_kinds(seed: int, n: int = 300) -> tuple[Floats, Floats, Floats]:
    """Rows of weight 1 about sin(2x), and as many of weight 0.001 with noise 20."""
    random = np.random.default_rng(seed)
    x = random.uniform(-3, 3, n)
    weight = np.where(np.arange(n) < n // 2, 1.0, 0.001)
    y = np.sin(2 * x) + np.where(weight == 1, 0.05, 20.0) * random.normal(size=n)
    return x, y, weight


@pytest.mark.parametrize("sum_to", [1.0, 300.0])
def test_a_network_is_stopped_by_the_rows_that_weigh(sum_to: float) -> None:
    x, y, w = two_kinds(0)
    w = w * (sum_to / w.sum())
    table = {"x": x, "y": y, "w": w}
    fitted = fit(table, "y", model="network", weights="w", test_fraction=0)
    grid = np.linspace(-2.8, 2.8, 40)
    assert np.mean((fitted.predict({"x": grid}) - np.sin(2 * grid)) ** 2) < 0.05
    assert "relative to their mean" in fitted.info["warnings"][0]


def test_a_penalty_does_not_depend_on_the_unit_of_weights_that_are_no_counts() -> None:
    random = np.random.default_rng(1)
    x = random.normal(size=(80, 6))
    y = x @ np.array([2.0, 1.0, 0, 0, 0, 0]) + random.normal(size=80)
    w = random.uniform(0.5, 1.5, 80)
    found = [
        fit(
            {**{f"x{j}": x[:, j] for j in range(6)}, "y": y, "w": w * unit},
            "y",
            model="linear",
            l2="auto",
            weights="w",
            test_fraction=0,
        )
        for unit in (1.0, 1.0 / w.sum(), 1e6)
    ]
    expected = [p.value for p in found[0].parameters]
    for other in found[1:]:
        assert [p.value for p in other.parameters] == pytest.approx(expected, rel=1e-6)
        assert other.facts.l2 == pytest.approx(found[0].facts.l2, rel=1e-4)


def held(rows: Any, error: Any, weight: Any) -> HeldOutErrors:
    e = np.asarray(error, dtype=float)[:, None]
    return HeldOutErrors(np.asarray(rows), e, np.zeros_like(e), np.asarray(weight, dtype=float))


def test_folds_are_judged_as_if_rows_stood_as_often_as_they_weigh() -> None:
    random = np.random.default_rng(2)
    e, w = random.normal(size=(2, 40)), random.integers(1, 5, 40).astype(float)
    at = np.repeat(np.arange(40), w.astype(int))
    once = Judgement.of([held(np.arange(40), one, w) for one in e], 40)
    many = np.arange(len(at))
    each = Judgement.of([held(many, one[at], np.ones(len(at))) for one in e], len(at))
    assert once is not None and each is not None
    for name in ("single", "ensemble", "between"):
        assert getattr(once, name) == pytest.approx(getattr(each, name), rel=1e-12)


def test_of_two_methods_the_one_that_serves_the_heavy_rows_stays() -> None:
    class Fit:
        def __init__(self, name: str, errors: HeldOutErrors) -> None:
            self.trainer = type("T", (), {"name": name})
            self.stops = [type("S", (), {"held_out": errors})]

    random = np.random.default_rng(3)
    weight = np.where(np.arange(200) < 100, 1.0, 1e-4)
    small, large = 0.1 * random.normal(size=200), random.normal(size=200)
    heavy = np.where(weight == 1, small, 3 * large)  # good where it counts
    light = np.where(weight == 1, large, small)
    rows = np.arange(200)
    pilots: Any = [Fit("a", held(rows, light, weight)), Fit("b", held(rows, heavy, weight))]
    assert better(pilots, ["a", "b"])[1] == ["b"]
    equal: Any = [Fit("a", held(rows, light, 0 * weight + 1)), Fit("b", held(rows, heavy, 1))]
    equal[1].stops[0].held_out = held(rows, heavy, 0 * weight + 1)
    assert better(equal, ["a", "b"])[1] == ["a"]


def test_a_blend_serves_the_heavy_rows() -> None:
    random = np.random.default_rng(4)
    weight = np.where(np.arange(400) < 200, 3.0, 1.0)
    small, large = 0.1 * random.normal(size=400), random.normal(size=400)
    errors = [np.where(weight == 3, small, large), np.where(weight == 3, large, small)]
    parts = [Part(str(i), [], np.stack([e, e])[:, :, None]) for i, e in enumerate(errors)]
    blend = blended(parts, weight)
    assert blend.weights[0] > 0.6
    at = np.repeat(np.arange(400), weight.astype(int))
    repeated = blended([Part(p.name, [], p.errors[:, at]) for p in parts], None)
    assert blend.weights == pytest.approx(repeated.weights, rel=1e-9)
    assert (blend.mse, blend.mse_se) == pytest.approx((repeated.mse, repeated.mse_se), rel=1e-9)
    ours, theirs = Judged.of(parts, weight), Judged.of(repeated.parts, None)
    assert ours is not None and theirs is not None
    half = np.array([0.5, 0.5])
    assert ours.certainty(half) == pytest.approx(theirs.certainty(half), rel=1e-9)
    # Weights that are no counts: their unit is none of the comparison's business.
    scaled = [blended(parts, (weight + 0.5) * unit) for unit in (1.0, 0.37)]
    assert scaled[0].mse_se == pytest.approx(scaled[1].mse_se, rel=1e-9)


def test_boosting_is_watched_as_if_rows_stood_as_often_as_they_weigh() -> None:
    random = np.random.default_rng(5)
    target, w = random.normal(size=30), random.integers(1, 4, 30).astype(float)
    at = np.repeat(np.arange(30), w.astype(int))
    codes = np.zeros((1, 30), dtype=np.uint8)
    ours = _Stop(CodedRows(codes, target, w), 0.3)
    theirs = _Stop(CodedRows(codes[:, at], target[at]), 0.3)
    assert (ours.mse, ours.mse_se) == pytest.approx((theirs.mse, theirs.mse_se), rel=1e-12)


def test_a_calibration_is_that_of_rows_repeated() -> None:
    random = np.random.default_rng(6)
    n = 400
    x = random.uniform(0, 2, n)
    w = np.where(x > 1, 6.0, 1.0)  # the wide ones are seldom seen, but count
    y = 1 + 2 * x + np.where(x > 1, 2.0, 0.2) * random.standard_t(3, size=n)
    at = np.repeat(np.arange(n), w.astype(int))
    ours = fit({"x": x, "y": y, "w": w}, "y", weights="w", model="linear", test_fraction=0)
    ignored = fit({"x": x, "y": y}, "y", model="linear", test_fraction=0)
    new = {"x": np.linspace(0.1, 1.9, 7)}
    widths = [np.subtract(*f.interval(new)[:0:-1]) for f in (ours, ignored)]
    assert not np.allclose(widths[0], widths[1], rtol=0.05)
    first, second = _drawn([w[:150], w[150:]], [150, n - 150])
    assert [*first, *(150 + second)] == at.tolist()


def test_the_noise_of_a_blend_is_looked_for_where_rows_weigh() -> None:
    rows = ArrayRows(np.arange(6.0)[:, None], np.zeros((6, 1)), np.array([0.0, 1, 0, 2, 1, 0]))
    some = some_design(rows)
    assert some.design[:, 0].tolist() == [1.0, 3.0, 4.0]
    assert some.share.tolist() == [0.25, 0.5, 0.25]


def test_evaluations_and_comparisons_by_what_the_column_says() -> None:
    random = np.random.default_rng(7)
    x = random.normal(size=60)
    data = {"x": x, "y": x + random.normal(size=60), "s": random.uniform(0.1, 2.0, 60)}
    data["g"] = np.arange(60) % 6 * 1.0
    a, b = (fit(data, "y", model="linear", features=["x"], test_fraction=0, **o)
            for o in ({"sigma": "s"}, {}))  # fmt: skip
    from halfsquare.data.spec import DataSpec

    spec = DataSpec.of(data, sigma="s")
    w = data["s"] ** -2.0
    losses = [(m.predict(data) - data["y"]) ** 2 for m in (a, b)]
    mean = w @ (losses[0] - losses[1]) / w.sum()
    for options in ({}, {"in_time": True}, {"cluster_by": "g"}):
        found: Any = compare(a, b, spec, **options)
        assert found.difference == pytest.approx(mean, rel=1e-9)
    scale = evaluate(a, DataSpec.of(data, weights="s"))
    more = evaluate(a, DataSpec.of({**data, "s": 1e-3 * data["s"]}, weights="s"))
    assert (scale.mse_low, scale.mse_high) == pytest.approx((more.mse_low, more.mse_high), rel=1e-9)


def test_weights_of_a_network_by_the_estimator() -> None:
    x, y, w = two_kinds(8)
    model = NetworkRegressor(members=4, hidden=(8,)).fit(x[:, None], y, w)
    grid = np.linspace(-2.8, 2.8, 40)
    assert np.mean((model.predict(grid[:, None]) - np.sin(2 * grid)) ** 2) < 0.1
