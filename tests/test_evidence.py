"""The evidence against an independent account of it: Bayesian linear regression in closed form."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.linalg import LinAlgError
from scipy.stats import multivariate_normal

from halfsquare.data.rows import ArrayRows
from halfsquare.models.network import Network
from halfsquare.parallel.threads import Local
from halfsquare.solvers.cholesky import Cholesky
from halfsquare.solvers.evidence import Evidence, belief_of, covariance_of, highest_evidence
from halfsquare.solvers.loop import descend
from halfsquare.solvers.objective import Objective


@pytest.fixture(scope="module")
def line():
    """Five inputs of which two matter; without a hidden layer a network is a linear model."""
    random = np.random.default_rng(2)
    design = random.normal(size=(200, 5))
    target = design @ np.array([[1.0], [-0.5], [0.0], [0.0], [0.0]]) + 0.3 * random.normal(
        size=(200, 1)
    )
    return Objective(Network(5, ()), ArrayRows(design, target), Local(1))


def _descend(objective: Objective, method: Evidence):
    start = objective.model.initial_parameters(1)
    return descend(method, objective, start, iterations=400)


def test_log_evidence_is_the_density_of_the_targets(line):
    state, _ = _descend(line, Evidence(line.model.groups(), tolerance=1e-6))
    state = highest_evidence(state)
    best = state.memory.inner.memory
    design, target = line.rows.design, line.rows.target[:, 0]
    full = np.hstack([design, np.ones((len(design), 1))])
    # The penalties the evidence was measured at: what the curvature has beyond XᵀX.
    penalties = np.diag(best.curvature) - np.diag(full.T @ full)
    noise = state.memory.belief.noise
    covariance = noise * (np.eye(len(target)) + full @ np.diag(1.0 / penalties) @ full.T)
    expected = multivariate_normal(np.zeros(len(target)), covariance).logpdf(target)
    assert belief_of(state).log_evidence == pytest.approx(expected, abs=0.05)


def test_noise_and_relevance_are_found(line):
    state, _ = _descend(line, Evidence(line.model.groups()))
    belief = belief_of(state)
    assert state.converged
    assert np.sqrt(belief.noise) == pytest.approx(0.3, abs=0.03)
    # A coefficient of t statistic t keeps γ = 1 - 1/t² of itself, nothing if t² < 1 (Tipping & Faul
    # 2003, eq. 20).
    t = _t_statistics(line.rows.design, line.rows.target[:, 0])
    np.testing.assert_allclose(belief.effective[:5], np.maximum(1.0 - 1.0 / t**2, 0.0), atol=0.05)


def _t_statistics(design: np.ndarray, target: np.ndarray) -> np.ndarray:
    gram = np.linalg.inv(design.T @ design)
    coefficients = gram @ design.T @ target
    noise = np.sum((target - design @ coefficients) ** 2) / (len(target) - design.shape[1])
    return coefficients / np.sqrt(noise * np.diag(gram))


def test_covariance_is_that_of_bayesian_linear_regression(line):
    state, _ = _descend(line, Evidence(line.model.groups()))
    covariance = covariance_of(state)
    expected = belief_of(state).noise * np.linalg.inv(state.memory.inner.memory.curvature)
    np.testing.assert_allclose(covariance, expected, rtol=1e-8)


def test_loss_falls_between_re_estimations():
    random = np.random.default_rng(3)
    design = random.normal(size=(100, 2))
    objective = Objective(Network(2, (5,)), ArrayRows(design, np.sin(design[:, :1])), Local(1))
    method = Evidence(objective.model.groups())
    state = method.begin(objective, objective.model.initial_parameters(1))
    for _ in range(60):
        before = state.memory.inner
        after = method.inner.step(method._penalized(objective, state.memory.belief), before)
        assert after.loss <= before.loss
        state = method.step(objective, state)
        if state.stopped:
            break
    assert belief_of(highest_evidence(state)).log_evidence >= belief_of(state).log_evidence


def test_pure_noise_is_not_learnt():
    """More parameters than rows, and nothing to learn: the fit must stay near the mean."""
    random = np.random.default_rng(4)
    design, target = random.normal(size=(60, 5)), random.normal(size=(60, 1))
    objective = Objective(Network(5, (20,)), ArrayRows(design, target - target.mean()), Local(1))
    state = highest_evidence(_descend(objective, Evidence(objective.model.groups()))[0])
    outputs = objective.model.outputs(state.parameters, random.normal(size=(500, 5)))
    assert outputs.std() < 0.5
    assert belief_of(state).effective.sum() < 15


def test_more_evidence_for_the_size_that_is_needed():
    random = np.random.default_rng(5)
    design = random.uniform(-2, 2, size=(200, 1))
    target = np.sin(3 * design) + 0.1 * random.normal(size=(200, 1))
    evidence = {}
    for units in (1, 6):
        objective = Objective(Network(1, (units,)), ArrayRows(design, target), Local(1))
        evidence[units] = belief_of(
            _descend(objective, Evidence(objective.model.groups()))[0]
        ).log_evidence
    assert evidence[6] > evidence[1] + 20


def test_cholesky_agrees_with_numpy_and_refuses_the_indefinite():
    random = np.random.default_rng(6)
    root = random.normal(size=(30, 40))
    matrix, diagonal, right = root @ root.T, random.uniform(size=30), random.normal(size=30)
    whole = matrix + np.diag(diagonal)
    factor = Cholesky.of(matrix, diagonal)
    np.testing.assert_allclose(factor.solve(right), np.linalg.solve(whole, right), rtol=1e-8)
    np.testing.assert_allclose(factor.inverse(), np.linalg.inv(whole), rtol=1e-6, atol=1e-10)
    np.testing.assert_allclose(factor.inverse_diagonal(), np.diag(np.linalg.inv(whole)), rtol=1e-8)
    assert factor.log_determinant == pytest.approx(np.linalg.slogdet(whole)[1])
    with pytest.raises(np.linalg.LinAlgError):
        Cholesky.of(-matrix)


def test_a_curvature_that_is_singular_in_float64_has_a_covariance(line):
    """Two directions that rounding makes one: in the others nothing changes."""
    state, _ = _descend(line, Evidence(line.model.groups()))
    known = covariance_of(state)
    memory = state.memory
    damped = memory.inner.memory
    curvature = np.array(damped.curvature)
    curvature[1], curvature[:, 1] = curvature[0], curvature[:, 0]
    curvature[1, 1] = curvature[0, 0]
    with pytest.raises(LinAlgError):
        Cholesky.of(curvature - 1e-9 * np.eye(len(curvature)))
    damped = replace(damped, curvature=curvature)
    inner = replace(memory.inner, memory=damped)
    found = covariance_of(replace(state, memory=replace(memory, inner=inner)))
    assert np.isfinite(found).all() and found[0, 0] > 1e3 * known[0, 0]
    both = found[0, 0] + 2 * found[0, 1] + found[1, 1]  # their sum is known
    assert abs(both) < 1e-2 * found[0, 0]
