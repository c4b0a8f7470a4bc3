"""The blend: weights by least squares on rows left out; what is not worth its error is dropped."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.optimize import minimize

from halfsquare import fit, load
from halfsquare.explain.row import explain_row
from halfsquare.fitting.blend import blended
from halfsquare.fitting.judged import Judged, Part, may_gain
from halfsquare.results.evaluate import evaluate
from halfsquare.solvers.combination import combination_weights

Floats = NDArray[np.float64]


@pytest.mark.parametrize("seed", range(40))
def test_the_weights_are_those_of_a_general_solver(seed: int) -> None:
    r = np.random.default_rng(seed)
    q = int(r.integers(1, 7))
    shared = r.normal(size=(200, 1))
    errors = r.uniform(0, 2) * shared + r.normal(size=(200, q)) * r.uniform(0.3, 2, q)
    products = errors.T @ errors / 200
    weights = combination_weights(products)
    assert weights.min() >= 0 and weights.sum() == pytest.approx(1)
    found = minimize(
        lambda w: w @ products @ w,
        np.full(q, 1 / q),
        jac=lambda w: 2 * products @ w,
        bounds=[(0, 1)] * q,
        constraints={"type": "eq", "fun": lambda w: w.sum() - 1},
        options={"ftol": 1e-14, "maxiter": 500},
    )
    assert weights @ products @ weights <= found.fun * (1 + 1e-7)


def test_equal_parts_and_exact_ones() -> None:
    assert combination_weights(np.ones((3, 3))).sum() == pytest.approx(1)
    assert combination_weights(np.diag([0.0, 1.0])).tolist() == [1.0, 0.0]


def part(name: str, errors: Floats, members: int = 1) -> Part:
    from halfsquare.results.trained import Trained
    from halfsquare.solvers.base import Reason, Termination

    ended = Termination(Reason.SOLVED, "by hand")
    one: Any = Trained(None, np.empty(0), None, np.ones(1), 0.0, ended, None)  # type: ignore[arg-type]
    return Part(name, [one] * members, errors)


def test_the_mean_square_of_members_is_foreseen_from_two() -> None:
    """Each of M members errs by what all share and by something of its own; two show both."""
    r = np.random.default_rng(0)
    shared, own = r.normal(size=(20_000, 1)), r.normal(size=(8, 20_000, 1)) * 0.8
    judged = Judged.of([part("p", shared + own[:2], members=8)], None)
    assert judged is not None
    foreseen, doubt = judged.mean(judged.losses(np.ones(1)))
    actual = float(((shared + own.mean(axis=0)) ** 2).mean())
    assert abs(foreseen - actual) < 3 * doubt
    assert float((shared + own[0]).var()) - actual > 10 * doubt


def test_a_part_that_adds_nothing_is_dropped_and_a_simple_one_stays() -> None:
    r = np.random.default_rng(1)
    truth, noise = r.normal(size=(400, 1)), r.normal(size=(400, 1)) * 0.5
    del truth
    line = part("linear", np.stack([noise, noise]))
    worse = noise + 0.3 * r.normal(size=(2, 400, 1))
    assert blended([line, part("network", worse)], None, simplest=True).weights.tolist() == [1, 0]
    same = noise + 0.01 * r.normal(size=(2, 400, 1))
    assert blended([line, part("network", same)], None, simplest=True).weights.tolist() == [1, 0]
    # Errors that are independent are worth averaging.
    other = np.repeat(r.normal(size=(1, 400, 1)) * 0.5, 2, axis=0)
    weights = blended([line, part("network", other)], None, simplest=True).weights
    assert weights == pytest.approx([0.5, 0.5], abs=0.1)


def test_a_row_of_weight_two_is_judged_as_two_rows() -> None:
    r = np.random.default_rng(2)
    errors = r.normal(size=(2, 2, 90, 1))
    errors[1] += 0.3 * errors[0]
    times = r.integers(0, 4, 90)
    twice = np.repeat(np.arange(90), times)
    names = ["a", "b"]
    weighted = Judged.of([part(n, e, 4) for n, e in zip(names, errors, strict=True)], times * 1.0)
    repeated = Judged.of(
        [part(n, e[:, twice], 4) for n, e in zip(names, errors, strict=True)], None
    )
    assert weighted is not None and repeated is not None
    np.testing.assert_allclose(weighted.products, repeated.products, rtol=1e-12)
    w = np.array([0.3, 0.7])
    assert weighted.mean(weighted.losses(w)) == pytest.approx(repeated.mean(repeated.losses(w)))
    np.testing.assert_allclose(weighted.certainty(w), repeated.certainty(w), rtol=1e-9)


def bumpy(n: int, seed: int = 0) -> dict[str, Any]:
    """Half a slope, that a line knows best; half steps, that trees know best."""
    r = np.random.default_rng(seed)
    x = r.uniform(-2, 2, size=(n, 4))
    steps = 2.0 * (x[:, 0] > 0.3) * (x[:, 1] > -0.5) - 1.5 * (np.abs(x[:, 2]) < 0.4)
    return {
        **{f"x{j}": x[:, j] for j in range(4)},
        "y": 3 * x[:, 3] + steps + r.normal(0, 0.3, n),
    }


@pytest.fixture(scope="module")
def blend() -> Any:
    return fit(bumpy(240), "y", refit=False)


def test_the_blend_is_better_than_a_line_and_says_what_it_is_made_of(blend: Any) -> None:
    tried = {t["model"]: t for t in blend.info["tried"]}
    assert {"linear", "trees", "trees of random cuts", "network"} == set(tried)
    assert sum(t["weight"] for t in tried.values()) == pytest.approx(1)
    assert tried["trees"]["difference"] < -2 * tried["trees"]["difference_se"]
    new = evaluate(blend, bumpy(2000, 5)).summary
    assert new.mse < 0.6 * tried["linear"]["mse"]
    # What is said of new rows on the way holds on new rows.
    assert new.mse == pytest.approx(blend.test["mse"], abs=4 * blend.test["mse_se"])


def test_a_blend_comes_back_from_its_file_and_explains_itself(blend: Any, tmp_path: Path) -> None:
    blend.save(tmp_path / "b.hsq")
    again = load(tmp_path / "b.hsq")
    new = bumpy(60, 9)
    for one, other in zip(blend.interval(new), again.interval(new), strict=True):
        np.testing.assert_array_equal(one, other)
    assert again.shares.sum() == pytest.approx(1)
    told = explain_row(again, new, 2)
    assert told.baseline is not None
    whole = told.baseline + sum(told.contributions.values()) + told.gap
    assert whole == pytest.approx(told.output, abs=1e-9) and abs(told.gap) < 1e-6


def test_preferring_the_simple_blends_nothing() -> None:
    fitted = fit(bumpy(120), "y", prefer="simple")
    assert fitted.kind in ("linear", "network")
    assert all(t["weight"] is None for t in fitted.info["tried"])


@pytest.mark.parametrize("own", [0.0, 0.3, 1.0, 3.0])
def test_what_may_be_gained_is_what_the_best_weight_gains_and_its_doubt(own: float) -> None:
    r = np.random.default_rng(3)
    shared = r.normal(size=(40_000, 1))
    known, new = (
        shared + 0.5 * r.normal(size=shared.shape),
        shared + own * r.normal(size=shared.shape),
    )
    blends = [np.mean(((1 - v) * known + v * new) ** 2) for v in np.linspace(0, 1, 201)]
    gain = 1 - min(blends) / float(np.mean(known**2))
    assert gain - 1e-4 <= may_gain(known, new, None) <= gain + 0.02
    few = slice(0, 40)
    assert may_gain(known[few], new[few], None) > gain
    twice = np.full(40, 2.0)
    assert may_gain(np.repeat(known[few], 2, 0), np.repeat(new[few], 2, 0), None) == pytest.approx(
        may_gain(known[few], new[few], twice), rel=0.5
    )


def test_trees_in_vain_stop_after_the_first_and_others_do_not() -> None:
    r = np.random.default_rng(0)
    x = r.normal(size=(500, 3))
    curved = x @ [2.0, 1.0, -1.0] + 0.5 * x[:, 0] ** 2 + r.normal(0, 0.3, 500)
    smooth = {**dict(zip("abc", x.T, strict=True)), "y": curved}
    tried = fit(smooth, target="y", refit=False).record.training.candidates
    stopped = [c for c in tried if "stopped after the first" in c.note]
    assert stopped and all("trees" in c.model and c.mse is None for c in stopped)
    steps = {**smooth, "y": (x[:, 0] > 0.3) * 2.0 + (x[:, 1] > -0.4) * (x[:, 2] > 0)}
    tried = fit(steps, target="y", refit=False).record.training.candidates
    assert [c.model for c in tried][:2] == ["linear", "trees"]
    assert not any("stopped" in c.note for c in tried if c.model == "trees")
