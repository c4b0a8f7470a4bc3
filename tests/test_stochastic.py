"""Mini-batch descent of networks: its gradient, what it measures, when it stops."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from halfsquare import fit, load
from halfsquare.data.rows import ArrayRows, Chunk
from halfsquare.errors import ModelFileError, OptionError
from halfsquare.fitting import output_layer
from halfsquare.fitting.output_layer import solve_output_layer
from halfsquare.fitting.train_network import train_network
from halfsquare.models.base import Model
from halfsquare.models.network import Network
from halfsquare.parallel.threads import Local
from halfsquare.results.predictive import outputs_and_variance, predictive
from halfsquare.solvers.adam import Adam
from halfsquare.solvers.evidence import belief_of, covariance_of
from halfsquare.solvers.loop import descend
from halfsquare.solvers.objective import Objective
from halfsquare.solvers.run import Run, Seed


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(1, 4), max_size=3).map(tuple), st.integers(1, 3), st.integers(0, 1000))
def test_pull_is_that_of_the_jacobian(hidden, targets, seed):
    network = Network(3, hidden, targets, "silu")
    random = np.random.default_rng(seed)
    parameters, design = network.initial_parameters(seed), random.normal(size=(6, 3))
    error, weight = random.normal(size=(6, targets)), random.uniform(size=6)
    gradient, norms = network.pull(parameters, design, error, weight)
    expected, squares = Model.pull(network, parameters, design, error, weight)
    np.testing.assert_allclose(gradient, expected, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(norms, squares, rtol=1e-9, atol=1e-12)


@pytest.fixture(scope="module")
def waves():
    random = np.random.default_rng(1)
    design = random.normal(size=(3000, 2))
    target = np.sin(3 * design[:, :1]) + 0.5 * design[:, 1:] + 0.1 * random.normal(size=(3000, 1))
    return design, target


def _descent(design, target, held_out: int = 500, **options):
    network = Network(design.shape[1], (32, 32), 1, "silu")
    objective = Objective(network, ArrayRows(design[held_out:], target[held_out:]), Local(1))
    method = Adam(
        Objective(network, ArrayRows(design[:held_out], target[:held_out]), Local(1)), **options
    )
    return descend(method, objective, network.initial_parameters(1), iterations=1000)


@pytest.fixture(scope="module")
def whole(waves):
    """A descent to its end."""
    return _descent(*waves)


def test_reaches_the_noise_and_stops(whole):
    state, history = whole
    assert state.converged
    assert np.sqrt(2 * state.notes["held_out_loss"]) == pytest.approx(0.1, abs=0.02)
    assert history[-1].notes["step_length"] < history[1].notes["step_length"]


def test_batch_grows_when_noise_dominates():
    """Pure noise: the rows' gradients cancel, so the batch has to grow."""
    random = np.random.default_rng(2)
    _, history = _descent(
        random.normal(size=(3000, 2)), random.normal(size=(3000, 1)), passes_no_change=100
    )
    assert max(record.notes["batch"] for record in history[1:]) > history[1].notes["batch"]


def test_early_stopping_keeps_what_predicts_best():
    """300 rows of noise can be learnt by heart; the rows held out do not let that happen."""
    random = np.random.default_rng(3)
    state, _ = _descent(random.normal(size=(400, 10)), random.normal(size=(400, 1)), held_out=100)
    assert state.converged
    assert 2 * state.notes["held_out_loss"] < 1.3


def _pools(rows, passes, **options):
    method = Adam(Objective(Network(1), rows, Local(1)), **options)
    return [method._pool(rows, number)[0][:, 0] for number in range(passes)]


def test_passes_over_many_rows_take_turns():
    """Seven chunks, two a pass: in seven passes each has its turn twice, in an order of its own."""
    rows = ArrayRows(np.arange(6 * 16384.0 + 100)[:, None], np.zeros((6 * 16384 + 100, 1)))
    pools = _pools(rows, 7, pass_rows=2 * 16384)
    counts = np.bincount((np.concatenate(pools) // 16384).astype(int))
    np.testing.assert_array_equal(counts, [2 * 16384] * 6 + [200])
    other = _pools(rows, 3, pass_rows=2 * 16384, seed=Seed(1))
    assert not np.array_equal(np.concatenate(pools[:3]), np.concatenate(other))


def test_a_pass_over_few_rows_takes_all():
    rows = ArrayRows(np.arange(40000.0)[:, None], np.zeros((40000, 1)))
    for pool in _pools(rows, 2):
        np.testing.assert_array_equal(np.sort(pool), np.arange(40000.0))


def test_rows_in_order_are_learnt_as_well_as_shuffled_ones():
    """Rows sorted by the input: a batch of neighbours would tell of one end of the curve alone."""
    random = np.random.default_rng(5)
    x = np.sort(random.uniform(-2, 2, size=(40000, 1)), axis=0)
    network = Network(1, (16,), 1, "silu")
    test = np.linspace(-2, 2, 200)[:, None]
    held = Objective(network, ArrayRows(test, np.sin(3 * test)), Local(1))
    for order in (np.arange(40000), random.permutation(40000)):
        rows = ArrayRows(x[order], np.sin(3 * x[order]))
        method = Adam(held, first_length=0.02)
        state, _ = descend(
            method,
            Objective(network, rows, Local(1)),
            network.initial_parameters(1),
            iterations=8,
        )
        assert state.notes["held_out_loss"] < 2e-3


def test_the_descent_ends_however_many_rows_there_are(waves, whole):
    """The step halves after so many rows although the loss still falls."""
    state, history = _descent(*waves, most_rows=2500)
    assert state.converged and len(history) <= 8
    longer, _ = whole
    assert longer.iteration > state.iteration


def test_without_weights_the_rows_are_counted_not_read(monkeypatch):
    rows = ArrayRows(np.zeros((5, 1)), np.zeros((5, 1)))
    monkeypatch.setattr(ArrayRows, "chunk", lambda self, index: pytest.fail("read"))
    assert Objective(Network(1), rows, Local(1)).weight == 5.0


def test_with_weights_they_are_added():
    rows = ArrayRows(np.zeros((3, 1)), np.zeros((3, 1)), np.array([0.5, 2.0, 0.0]))
    assert Objective(Network(1), rows, Local(1)).weight == 2.5


def test_row_losses_are_weighted_halves_of_squares():
    network = Network(1, ())
    rows = ArrayRows(np.array([[1.0], [2.0]]), np.array([[0.0], [0.0]]), np.array([1.0, 3.0]))
    losses = Objective(network, rows, Local(1)).row_losses(np.array([2.0, 0.0]))
    np.testing.assert_allclose(losses, [0.5 * 4.0, 3 * 0.5 * 16.0])


def test_ensemble_by_minibatches_is_calibrated_and_repeatable(waves):
    design, target = waves
    options = {"method": "minibatch", "members": 4, "hidden": (8,)}
    rows = ArrayRows(design[:900], target[:900])
    one, two = (train_network(rows, Run(Local(t), seed=Seed(2)), **options) for t in (1, 2))
    np.testing.assert_array_equal(one[3].parameters, two[3].parameters)
    assert all(m.facts.method == "minibatch" for m in one)
    mean, variance = predictive(one, design[900:])
    covered = np.abs(mean - target[900:]) < 1.96 * np.sqrt(variance)
    assert 0.91 < covered.mean() < 0.99


@pytest.fixture(scope="module")
def layer():
    """An output layer of two targets solved on weighted rows, and what it was solved from."""
    random = np.random.default_rng(4)
    design, weight = random.normal(size=(300, 2)), random.integers(0, 3, size=300).astype(float)
    target = design @ random.normal(size=(2, 2)) + 0.2 * random.normal(size=(300, 2))
    network = Network(2, (6, 5), 2, "silu")
    parameters = network.initial_parameters(3)
    state = solve_output_layer(
        network, parameters, ArrayRows(design, target, weight), 1.0, Run(Local(1))
    )
    return network, parameters, (design, target, weight), state


def test_output_layer_is_bayesian_linear_regression_on_the_hidden_units(layer):
    network, parameters, (design, target, weight), state = layer
    signals = np.hstack([network.hidden_signals(parameters, design), np.ones((300, 1))])
    precision = belief_of(state).penalties[[0] * 5 + [1]]
    # The last re-estimation came after the last step: what was solved is the system in the state's
    # memory.
    curvature = (signals * weight[:, None]).T @ signals + np.diag(precision)
    kept = np.r_[0:10:2, 10]  # weights and bias of the first target
    found = covariance_of(state) / belief_of(state).noise
    np.testing.assert_allclose(found[np.ix_(kept, kept)], np.linalg.inv(curvature), rtol=1e-6)
    assert np.abs(found[np.ix_(kept, kept + 1)]).max() < 1e-12 * np.abs(found).max()
    expected = np.linalg.solve(curvature, signals.T @ (weight[:, None] * target))
    np.testing.assert_allclose(state.parameters.reshape(6, 2), expected, rtol=0.02, atol=1e-3)
    squares = np.sum(weight[:, None] * (signals @ expected - target) ** 2)
    effective = 2 * (6 - precision @ np.diag(np.linalg.inv(curvature)))
    assert belief_of(state).noise == pytest.approx(
        squares / (2 * weight.sum() - effective), rel=1e-2
    )


def test_a_covariance_of_the_output_layer_gives_the_variance_of_the_full_one(layer):
    network, parameters, (design, _, _), state = layer
    covariance, p = covariance_of(state), network.parameter_count
    whole = np.zeros((p, p))
    whole[-len(covariance) :, -len(covariance) :] = covariance
    o, variance = outputs_and_variance(network, parameters, covariance, design)
    expected, expected_variance = outputs_and_variance(network, parameters, whole, design)
    np.testing.assert_allclose(o, expected, rtol=1e-12)
    np.testing.assert_allclose(variance, expected_variance, rtol=1e-10)


def test_a_network_by_minibatches_knows_less_away_from_its_rows():
    random = np.random.default_rng(5)
    x = random.normal(size=(400, 1))
    rows = ArrayRows(x, np.sin(2 * x) + 0.1 * random.normal(size=(400, 1)))
    trained = train_network(rows, members=1, hidden=(16,), method="minibatch")
    _, variance = predictive(trained, np.array([[0.0], [6.0]]))
    assert variance[1] > 1.5 * variance[0] > 1.5 * 0.1**2 * 0.7


@pytest.fixture(scope="module")
def fitted():
    x = np.random.default_rng(6).normal(size=60)
    return fit({"x": x, "y": x**2}, "y", model="network", test_fraction=0)


def with_covariance(fitted, count):
    """The model with members that know the covariance of their last ``count`` parameters alone."""
    members = [replace(m, covariance=m.covariance[-count:, -count:]) for m in fitted.members]
    return replace(fitted, members=tuple(members))


def test_a_covariance_of_the_output_layer_is_kept_in_the_file(fitted, tmp_path):
    q = fitted.members[
        0
    ].model.linear_parameters  # members alternate between two shapes: those of the first are taken
    some = replace(
        fitted, members=tuple(m for m in fitted.members if m.model.linear_parameters == q)
    )
    partial = with_covariance(some, q)
    partial.save(tmp_path / "m.hsq")
    again, grid = load(tmp_path / "m.hsq"), {"x": [0.0, 6.0]}
    _, std = again.predict(grid, return_std=True)
    np.testing.assert_array_equal(std, partial.predict(grid, return_std=True)[1])
    errors = np.array([p.standard_error for p in again.parameters])
    assert np.isnan(errors[:-q]).all()
    np.testing.assert_allclose(
        errors[-q:], [p.standard_error for p in some.parameters][-q:], rtol=1e-12
    )


def test_a_covariance_of_other_parameters_is_refused(fitted, tmp_path):
    with_covariance(fitted, 3).save(tmp_path / "m.hsq")
    with pytest.raises(ModelFileError, match="covariance of shape"):
        load(tmp_path / "m.hsq")


def test_unknown_method_is_refused(waves):
    with pytest.raises(OptionError, match="expected auto, levenberg-marquardt or minibatch"):
        train_network(ArrayRows(*waves), method="newton")


def test_the_output_layer_keeps_no_more_of_many_rows_than_it_uses(monkeypatch):
    """Thirty chunks of five megabytes, of which every thirtieth row is used."""
    import tracemalloc

    class Made(ArrayRows):
        row_count = property(lambda self: 30 * 16384)
        chunk_count = property(lambda self: 30)

        def chunk(self, index):
            return Chunk(np.full((16384, 40), float(index)), np.zeros((16384, 1)), None)

    monkeypatch.setattr(output_layer, "_MOST_NUMBERS", 16384 * 8)
    network = Network(40, (8,))
    tracemalloc.start()
    solve_output_layer(
        network, network.initial_parameters(1), Made(*np.zeros((2, 1, 1))), 1.0, Run(Local(1))
    )
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 40e6
