"""Descent: three methods end at one answer, the loss never rises, and the noise of a batch is what
it is said to be.
"""

from __future__ import annotations

import time
from dataclasses import replace
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from halfsquare import LinearRegressor
from halfsquare import fit as fit_any
from halfsquare.data.rows import ArrayRows
from halfsquare.errors import OptionError
from halfsquare.loss import CONVENTIONS, Convention
from halfsquare.models.linear import Linear
from halfsquare.parallel.threads import Local
from halfsquare.solvers.base import Reason, State, Termination
from halfsquare.solvers.growing_batches import GrowingBatches
from halfsquare.solvers.loop import descend
from halfsquare.solvers.normal_system import linear_sums
from halfsquare.solvers.objective import Objective, Quadratic
from halfsquare.solvers.run import Run, Seed
from halfsquare.solvers.steepest_descent import SteepestDescent

fit = partial(fit_any, model="linear")

METHODS = ("gradient", "minibatch")
# How far from least squares the other methods may end, in standard deviations of target over
# column.
SAME = 1e-7


def columns(rows: int = 3000, d: int = 5, seed: int = 0) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    x = (
        rng.normal(size=(rows, d))
        @ (np.eye(d) + 0.4 * rng.normal(size=(d, d)))
        * 10.0 ** np.arange(d)
        + 7
    )
    t = 4 + (x / 10.0 ** np.arange(d)) @ rng.normal(size=d) + rng.normal(size=rows)
    return {**{f"x{j}": x[:, j] for j in range(d)}, "y": t}


def standardized(fitted: Any) -> np.ndarray:
    """Parameters in standard deviations: those of the member itself."""
    return np.asarray(fitted.members[0].parameters)


@pytest.mark.parametrize("loss", CONVENTIONS)
@pytest.mark.parametrize("method", METHODS)
def test_every_method_reaches_least_squares_under_every_convention(
    method: str, loss: Convention
) -> None:
    table = columns()
    found = fit(table, "y", method=method, loss=loss, test_fraction=0)
    direct = fit(table, "y", test_fraction=0)
    np.testing.assert_allclose(standardized(found), standardized(direct), atol=SAME)
    assert found.info["converged"]
    assert found.info["warnings"] == []
    for a, b in zip(found.parameters, direct.parameters, strict=True):
        assert a.standard_error == pytest.approx(b.standard_error, rel=1e-6)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("l2", [0.0, 0.2])
def test_duplicated_rows_and_weights_change_no_minimum(method: str, l2: float) -> None:
    table = columns(600)
    direct = standardized(fit(table, "y", l2=l2, test_fraction=0))
    twice = {k: np.tile(v, 3) for k, v in table.items()}
    weighted = {**table, "w": np.full(600, 3.0)}
    for data, weights in ((table, None), (twice, None), (weighted, "w")):
        found = fit(data, "y", method=method, l2=l2, weights=weights, test_fraction=0)
        np.testing.assert_allclose(standardized(found), direct, atol=SAME)


@pytest.mark.parametrize("method", METHODS)
def test_the_conventions_state_the_same_descent(method: str) -> None:
    """One sequence of parameters: the histories differ by the factor of the convention alone."""
    table, n = columns(), 3000
    histories = {
        c: fit(table, "y", method=method, loss=c, test_fraction=0).info["history"]
        for c in CONVENTIONS
    }
    for convention, factor in {"sse": 2.0, "mse": 2.0 / n, "half_mse": 1.0 / n}.items():
        assert len(histories[convention]) == len(histories["half_sse"])
        for a, b in zip(histories[convention], histories["half_sse"], strict=True):
            for name in ("loss", "gradient_norm"):
                assert a[name] == pytest.approx(factor * b[name], rel=1e-12)
            assert a["iteration"] == b["iteration"]


def test_the_history_states_the_loss_in_the_targets_unit() -> None:
    table = columns()
    fitted = fit(table, "y", method="gradient", loss="mse", test_fraction=0)
    history = fitted.info["history"]
    assert history[0]["loss"] == pytest.approx(
        table["y"].var(), rel=1e-9
    )  # the mean is where it starts
    assert history[-1]["loss"] == pytest.approx(fitted.train["mse"], rel=1e-9)


def test_several_targets_and_regressors() -> None:
    rng = np.random.default_rng(3)
    x, w = rng.normal(size=(500, 3)) * [1, 100, 0.01] + 5, rng.uniform(0, 2, 500)
    t = np.column_stack([x @ [1, 0.1, 2], x @ [-1, 0, 50]]) + rng.normal(size=(500, 2))
    direct = LinearRegressor().fit(x, t, sample_weight=w)
    for method in METHODS:
        found = LinearRegressor(method=method).fit(x, t, sample_weight=w)
        np.testing.assert_allclose(
            found.coef_ * x.std(axis=0), direct.coef_ * x.std(axis=0), atol=SAME
        )
        np.testing.assert_allclose(found.predict(x), direct.predict(x), atol=5 * SAME)
        assert found.n_iter_ > 0
    assert direct.n_iter_ == 0


def test_an_unknown_method_is_refused() -> None:
    with pytest.raises(
        OptionError, match=r"unknown method 'adam'.*least-squares, gradient or minibatch"
    ):
        fit(columns(10), "y", method="adam")


# --- objectives -----------------------------------------------------------------------------------
# -------------------


def objective(
    rows: int = 400, d: int = 3, seed: int = 1, *, penalty: float = 0.0, weighted: bool = False
) -> Quadratic:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(rows, d)) @ rng.normal(size=(d, d))
    t = (x @ rng.normal(size=d) + 1 + rng.normal(size=rows))[:, None]
    made = ArrayRows(x, t, rng.uniform(0.5, 2, rows) if weighted else None)
    model = Linear(tuple(f"x{j}" for j in range(d)), ("y",))
    strength = np.array([0.0, *[penalty] * d]) if penalty else None
    return Quadratic(model, made, Local(1), strength, sums=linear_sums(made, Local(1)))


@pytest.mark.parametrize("penalty", [0.0, 5.0])
@pytest.mark.parametrize("weighted", [False, True])
def test_sums_once_or_at_every_point_are_the_same_objective(penalty: float, weighted: bool) -> None:
    quick = objective(penalty=penalty, weighted=weighted)
    plain = Objective(quick.model, quick.rows, quick.execution, quick.penalty)
    b = np.array([0.3, -1.0, 2.0, 0.7])
    (loss, gradient), (expected, reference) = quick.loss_and_gradient(b), plain.loss_and_gradient(b)
    assert loss == pytest.approx(expected, rel=1e-12)
    np.testing.assert_allclose(gradient, reference, rtol=1e-10)
    np.testing.assert_allclose(quick.curvature_times(b, b), plain.curvature_times(b, b), rtol=1e-10)
    for j in range(4):
        step = np.eye(4)[j]
        difference = (
            plain.loss_and_gradient(b + step)[0] - plain.loss_and_gradient(b - step)[0]
        ) / 2
        assert gradient[j] == pytest.approx(difference, rel=1e-9, abs=1e-8)
    assert plain.half_sse(b) + plain.penalty_value(b) == pytest.approx(expected, rel=1e-12)


@given(st.integers(0, 10_000), st.integers(1, 4), st.sampled_from([0.0, 2.0]), st.booleans())
def test_the_loss_of_steepest_descent_never_rises(
    seed: int, d: int, penalty: float, weighted: bool
) -> None:
    state, history = descend(
        SteepestDescent(),
        objective(30, d, seed, penalty=penalty, weighted=weighted),
        np.random.default_rng(seed).normal(size=1 + d) * 5,
        iterations=300,
    )
    assert all(b.loss <= a.loss for a, b in pairwise(history))
    assert state.loss == history[-1].loss


def test_steepest_descent_takes_the_exact_step() -> None:
    goal = objective()
    method = SteepestDescent()
    state = method.begin(goal, np.zeros(4))
    after = method.step(goal, state)
    direction = after.parameters - state.parameters
    losses = [
        goal.loss_and_gradient(state.parameters + s * direction)[0] for s in (0.999, 1.0, 1.001)
    ]
    assert min(losses) == losses[1] == after.loss


def test_a_descent_from_the_minimum_ends_at_once() -> None:
    rows = ArrayRows(np.array([[-1.0], [1.0]]), np.array([[-2.0], [2.0]]))
    goal = Quadratic(Linear(("x",), ("y",)), rows, Local(1), sums=linear_sums(rows, Local(1)))
    state, history = descend(SteepestDescent(), goal, np.array([0.0, 2.0]))
    assert (state.converged, state.iteration, len(history)) == (True, 0, 1)


# --- mini-batches ---------------------------------------------------------------------------------
# -------------------


def test_batches_grow_to_all_rows_and_say_how_noisy_they_are() -> None:
    history = fit(columns(20_000), "y", method="minibatch", test_fraction=0).info["history"]
    batches = [h["batch"] for h in history]
    assert batches == sorted(batches)
    assert (batches[0], batches[-1]) == (256, 20_000)
    partial = [h for h in history if h["batch"] < 20_000]
    assert len({h["batch"] for h in partial}) >= 3
    assert all(h["noise"] > 0 and h["signal"] >= 0 for h in partial)
    assert (
        partial[0]["signal"] / partial[0]["noise"]
        > 5 * partial[-1]["signal"] / partial[-1]["noise"]
    )
    assert history[-1]["noise"] == 0.0


@pytest.mark.parametrize("batch", [32, 128])
def test_the_noise_is_the_variance_of_batch_gradients(batch: int) -> None:
    """Against brute force: the spread of the gradients of 4,000 random batches, drawn here."""
    goal, b = objective(20_000, 3), np.array([0.2, -0.5, 1.0, 0.3])
    x = np.vstack([goal.rows.chunk(i).design for i in range(goal.rows.chunk_count)])
    t = np.vstack([goal.rows.chunk(i).target for i in range(goal.rows.chunk_count)])
    a = np.hstack([np.ones((len(x), 1)), x])
    pulls = a * (a @ b - t[:, 0])[:, None]  # a row's gradient of ½ error²
    rng = np.random.default_rng(2)
    means = np.array([pulls[rng.integers(0, len(pulls), batch)].mean(axis=0) for _ in range(4000)])
    expected = means.var(axis=0).sum()
    reported = []
    for seed in range(200):
        method = GrowingBatches(first_batch=batch, seed=Seed(seed))
        reported.append(method.step(goal, method.begin(goal, b)).notes)
    noise = np.array([r["noise"] for r in reported])
    assert noise.mean() == pytest.approx(expected, rel=0.06)
    assert noise.mean() == pytest.approx(pulls.var(axis=0).sum() / batch, rel=0.06)
    full = pulls.mean(axis=0)
    signal = np.array([r["signal"] for r in reported])
    # |batch gradient|² less its noise estimates |full gradient|² without bias.
    assert signal.mean() == pytest.approx(
        full @ full, abs=4 * signal.std() / np.sqrt(200) + 0.05 * expected
    )


def test_a_pass_of_batches_draws_every_row_once() -> None:
    goal = objective(40_000, 2)
    method = GrowingBatches(first_batch=1000, noise_share=1e9)
    state = method.begin(goal, np.zeros(3))
    seen = []
    for _ in range(20):
        for chunk, picked in method._draw(goal, replace(state.memory, batch=1000)):
            seen += [(chunk, int(i)) for i in picked]
        state = replace(state, memory=replace(state.memory, drawn=state.memory.drawn + 1000))
    assert len(set(seen)) == 20_000
    assert {chunk for chunk, _ in seen} <= {0, 1, 2}


def test_the_seed_decides_the_batches() -> None:
    table = columns(5000)
    first, again, other = (
        fit(table, "y", method="minibatch", seed=s, test_fraction=0).info["history"]
        for s in (1, 1, 2)
    )
    assert first == again
    assert first != other


# --- the loop -------------------------------------------------------------------------------------
# -------------------


@pytest.mark.parametrize("method", [SteepestDescent(), GrowingBatches(first_batch=16)])
def test_a_descent_stopped_and_resumed_is_the_same_descent(method: Any) -> None:
    goal = objective()
    whole, history = descend(method, goal, np.zeros(4))
    half, _ = descend(method, goal, np.zeros(4), iterations=7)
    assert half.stopped == Termination(Reason.ITERATION_LIMIT, 7)
    assert str(half.stopped) == "stopped: the limit of 7 iterations"
    assert not half.converged
    resumed, rest = descend(method, goal, replace(half, stopped=None))
    np.testing.assert_array_equal(resumed.parameters, whole.parameters)
    assert history[-len(rest) + 1 :] == rest[1:]


def test_limits_and_interruption_keep_the_best_so_far() -> None:
    goal = objective()
    late, _ = descend(SteepestDescent(), goal, np.zeros(4), Run(deadline=time.monotonic() - 1))
    assert (late.stopped, late.iteration) == (Termination(Reason.TIME_LIMIT), 0)
    seen: list[State[Any]] = []

    def interrupt(state: State[Any]) -> None:
        seen.append(state)
        if len(seen) == 3:
            raise KeyboardInterrupt

    stopped, _ = descend(SteepestDescent(), goal, np.zeros(4), Run(callback=interrupt))
    assert stopped.stopped == Termination(Reason.INTERRUPTED)
    np.testing.assert_array_equal(stopped.parameters, seen[-1].parameters)


def collinear(seed: int, d: int = 6, most: float = 6.0) -> dict[str, np.ndarray]:
    """Columns whose singular values reach over up to six powers of ten."""
    rng = np.random.default_rng(seed)
    basis = np.linalg.qr(rng.normal(size=(d, d)))[0]
    x = (
        rng.normal(size=(500, d))
        @ (basis * np.logspace(0, -rng.uniform(most - 6, most), d))
        @ basis.T
    )
    return {
        **{f"x{j}": x[:, j] for j in range(d)},
        "y": x @ rng.normal(size=d) + rng.normal(size=500),
    }


class StopAfter:
    """Ends a descent after so many steps, as a person would: a clock would measure the machine."""

    def __init__(self, steps: int) -> None:
        self.left = steps

    def __call__(self, state: State[Any]) -> None:
        self.left -= 1
        if self.left < 0:
            raise KeyboardInterrupt


@pytest.mark.parametrize("method", METHODS)
def test_converged_means_there_to_a_hundredth_of_a_standard_error(method: str) -> None:
    """Where columns are nearly collinear a gradient may not arrive; what counts is that it does not
    claim to.
    """
    arrived = 0
    for seed in range(12):
        table = collinear(seed)
        found, direct = (
            fit(table, "y", method=method, test_fraction=0, callback=StopAfter(2000)),
            fit(table, "y", test_fraction=0),
        )
        assert found.info["converged"] == (not found.info["warnings"])
        if found.info["converged"]:
            arrived += 1
            off = [
                abs(a.value - b.value) / b.standard_error
                for a, b in zip(found.parameters, direct.parameters, strict=True)
            ]
            assert max(off) < 0.01, (seed, found.info["reason"])
    assert arrived >= 3


def test_a_descent_that_did_not_arrive_says_so() -> None:
    fitted = fit(collinear(1, most=9.0), "y", method="gradient", test_fraction=0, time_limit=1e-9)
    assert not fitted.info["converged"]
    (warning,) = fitted.info["warnings"]
    assert "did not converge (stopped: the time limit)" in warning
    assert "nearly collinear" in warning
