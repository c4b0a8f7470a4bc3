"""The network's derivatives against torch and differences, and what its training promises."""

from __future__ import annotations

import time
from itertools import count

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from halfsquare.data.kept_rows import KeptRows
from halfsquare.data.rows import ArrayRows
from halfsquare.errors import FitError, OptionError, ShapeError
from halfsquare.fitting.folds import Folds
from halfsquare.fitting.judgement import HeldOutErrors, Judgement
from halfsquare.fitting.train_network import train_network
from halfsquare.models.base import Model
from halfsquare.models.layers import ACTIVATIONS
from halfsquare.models.network import Network
from halfsquare.parallel.threads import Local
from halfsquare.results.predictive import predictive
from halfsquare.solvers.base import Reason
from halfsquare.solvers.objective import Objective
from halfsquare.solvers.run import Run, Seed

networks = st.builds(
    Network,
    inputs=st.integers(1, 4),
    hidden=st.lists(st.integers(1, 4), max_size=3).map(tuple),
    targets=st.integers(1, 3),
    activation=st.sampled_from(sorted(ACTIVATIONS)),
)


def _design(network: Network, seed: int, n: int = 5) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, network.inputs))


def _differences(function, point: np.ndarray, step: float = 1e-5) -> np.ndarray:
    """Central differences of a function of a vector; the derivative's axis comes last."""
    moves = np.eye(len(point)) * step
    return np.stack(
        [(function(point + m) - function(point - m)) / (2 * step) for m in moves], axis=-1
    )


@settings(max_examples=40, deadline=None)
@given(networks, st.integers(0, 1000))
def test_jacobian_is_a_central_difference(network, seed):
    parameters, design = network.initial_parameters(seed), _design(network, seed)
    outputs, jacobian = network.outputs_and_jacobian(parameters, design)
    assert jacobian.shape == (5, network.targets, network.parameter_count)
    np.testing.assert_allclose(outputs, network.outputs(parameters, design), rtol=1e-12, atol=1e-12)
    expected = _differences(lambda p: network.outputs(p, design), parameters)
    np.testing.assert_allclose(jacobian, expected, rtol=1e-6, atol=1e-8)


@settings(max_examples=20, deadline=None)
@given(networks, st.integers(0, 1000))
def test_input_jacobian_is_a_central_difference(network, seed):
    parameters, design = network.initial_parameters(seed), _design(network, seed, 1)
    slopes = network.input_jacobian(parameters, design)
    assert slopes.shape == (1, network.targets, network.inputs)
    expected = _differences(lambda x: network.outputs(parameters, x[None, :]), design[0])
    np.testing.assert_allclose(slopes, expected, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("activation", sorted(ACTIVATIONS))
def test_outputs_and_jacobian_are_torchs(activation):
    torch = pytest.importorskip("torch")
    network = Network(3, (4, 5), 2, activation)
    parameters, design = network.initial_parameters(3), _design(network, 4)
    phi = {
        "tanh": torch.tanh,
        "silu": torch.nn.functional.silu,
        "softplus": torch.nn.functional.softplus,
    }[activation]

    def forward(flat):
        a, layers = torch.from_numpy(design), network.layers
        for layer in layers:
            z = a @ flat[layer.weights].reshape(layer.fan_in, layer.fan_out) + flat[layer.biases]
            a = z if layer is layers[-1] else phi(z)
        return a

    flat = torch.from_numpy(parameters)
    outputs, jacobian = network.outputs_and_jacobian(parameters, design)
    np.testing.assert_allclose(outputs, forward(flat).numpy(), rtol=1e-12, atol=1e-12)
    expected = torch.autograd.functional.jacobian(forward, flat).numpy()
    np.testing.assert_allclose(jacobian, expected, rtol=1e-10, atol=1e-12)


def test_sums_are_those_of_the_plain_jacobian():
    network = Network(3, (4,), 2)
    random = np.random.default_rng(0)
    parameters, design, target = (
        network.initial_parameters(1),
        _design(network, 2, 50),
        random.normal(size=(50, 2)),
    )
    weight = random.integers(0, 3, size=50).astype(float)
    outputs, jacobian = network.outputs_and_jacobian(parameters, design)
    jtj, jte, ete = (
        Objective(network, ArrayRows(design, target, weight), Local(1))
        .normal_sums(parameters)
        .finish()
    )
    error = outputs - target
    np.testing.assert_allclose(
        jtj, np.einsum("n,nkp,nkq->pq", weight, jacobian, jacobian), rtol=1e-10, atol=1e-10
    )
    np.testing.assert_allclose(
        jte[:, 0], np.einsum("n,nkp,nk->p", weight, jacobian, error), rtol=1e-10, atol=1e-10
    )
    np.testing.assert_allclose(ete[0, 0], weight @ (error**2).sum(axis=1), rtol=1e-12)


def test_default_way_of_writing_a_jacobian_agrees():
    network = Network(2, (3,), 2)
    parameters, design = network.initial_parameters(1), _design(network, 2)
    ours, plain = (np.empty((network.parameter_count, 2, 5)) for _ in range(2))
    network.write_jacobian(parameters, design, ours)
    Model.write_jacobian(network, parameters, design, plain)
    np.testing.assert_array_equal(ours, plain)


def test_groups_and_names_cover_every_parameter():
    network = Network(3, (2,), 1, input_names=("age", "red", "blue"))
    assert len(network.parameter_names) == network.parameter_count == 11
    assert network.parameter_names[2] == "layer 1: red → unit 1"
    groups = network.groups([0, 1, 1])
    assert groups.tolist() == [0, 0, 1, 1, 1, 1, 2, 2, 3, 3, 4]
    with pytest.raises(ShapeError, match="2 input groups for 3 inputs"):
        network.groups([0, 1])


@pytest.mark.parametrize(
    "wrong", [{"hidden": (0,)}, {"activation": "step"}, {"input_names": ("a",)}, {"targets": 0}]
)
def test_impossible_networks_are_refused(wrong):
    with pytest.raises(OptionError, match="expected"):
        Network(**{"inputs": 2, **wrong})


@pytest.fixture(scope="module")
def waves():
    random = np.random.default_rng(5)
    design = random.normal(size=(300, 3))
    target = np.sin(2.0 * design[:, :1]) + 0.5 * design[:, 1:2] + 0.2 * random.normal(size=(300, 1))
    return design, target


def test_training_finds_noise_relevance_and_honest_intervals(waves):
    design, target = waves
    trained = train_network(ArrayRows(design, target), Run(seed=Seed(1)), hidden=(6,))
    assert len(trained) == 10 and all(m.termination.converged for m in trained)
    random = np.random.default_rng(6)
    unseen = random.normal(size=(2000, 3))
    truth = np.sin(2.0 * unseen[:, :1]) + 0.5 * unseen[:, 1:2]
    mean, variance = predictive(trained, unseen)
    assert np.sqrt(np.mean((mean - truth) ** 2)) < 0.1
    assert 0.16 < np.sqrt(trained[0].noise[0]) < 0.24  # the noise put in is 0.2
    covered = np.abs(mean - truth - 0.2 * random.normal(size=truth.shape)) < 1.96 * np.sqrt(
        variance
    )
    assert 0.92 < covered.mean() < 0.98
    relevance = trained[0].facts.relevance
    assert relevance[0] > relevance[1] > 20 * relevance[2]  # the third input does nothing


def test_result_does_not_depend_on_threads(waves):
    rows = ArrayRows(waves[0][:120], waves[1][:120])
    one, two = (
        train_network(rows, Run(Local(t), seed=Seed(3)), members=2, hidden=(4,)) for t in (1, 2)
    )
    for a, b in zip(one, two, strict=True):
        np.testing.assert_array_equal(a.parameters, b.parameters)


def test_weights_repeat_rows(waves):
    design, target = waves[0][:60], waves[1][:60]
    weight = np.tile([1.0, 2.0, 0.0], 20)
    times = weight.astype(int)
    # one member leaves nothing out, so that both see the same rows
    weighted = train_network(ArrayRows(design, target, weight), members=1, hidden=(3,))[0]
    repeated = train_network(
        ArrayRows(design.repeat(times, 0), target.repeat(times, 0)), members=1, hidden=(3,)
    )[0]
    np.testing.assert_allclose(weighted.parameters, repeated.parameters, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize(("n", "units"), [(40, 6), (200, 8), (700, 16)])
def test_members_have_no_more_units_than_the_rows_can_speak_for(n, units):
    """Two inputs: 8 units make 105 parameters and 10 make 151, of which 200 rows allow 120; 6 are
    the least.
    """
    random = np.random.default_rng(8)
    design = random.normal(size=(n, 2))
    member = train_network(ArrayRows(design, design[:, :1] * design[:, 1:]), members=1)[0]
    assert member.model.hidden == (units, units)


def test_a_row_that_three_members_left_out_is_judged_by_two_of_them():
    def left_out(error):
        at = np.arange(2)
        return HeldOutErrors(at, np.full((2, 1), error), np.zeros((2, 1)), np.ones(2))

    judgement = Judgement.of([left_out(e) for e in (1.0, 3.0, 50.0)], 4)
    assert (judgement.rows, judgement.single[0], judgement.ensemble[0]) == (2, 5.0, 3.0)


def test_deadline_returns_what_there_is(waves, monkeypatch):
    """On a clock that goes on by a hundredth of a second whenever it is looked at, once before each
    step.
    """
    readings = count()
    monkeypatch.setattr(time, "monotonic", lambda: 0.01 * next(readings))
    steps = []

    def trained(deadline):
        steps.clear()
        return train_network(
            ArrayRows(*waves), Run(deadline=deadline, callback=steps.append), members=4, hidden=(5,)
        )

    everything, unhurried = trained(None), len(steps)
    begun = next(readings)
    hurried = trained(0.01 * begun + 0.5)
    assert len(everything) == 4 and unhurried > 60
    assert hurried and np.isfinite(hurried[0].parameters).all()
    # Fifty looks at the clock: no more than that many steps, and few looks that are not.
    assert 10 < len(steps) <= 50
    assert next(readings) - begun < 100


def test_interruption_returns_what_there_is(waves):
    def interrupt(state):
        if state.iteration == 5:
            raise KeyboardInterrupt

    trained = train_network(ArrayRows(*waves), Run(callback=interrupt), members=3, hidden=(4,))
    assert trained and all(m.termination.reason is Reason.INTERRUPTED for m in trained)


def test_no_rows_are_refused():
    with pytest.raises(FitError, match="at least 2 rows"):
        train_network(ArrayRows(np.zeros((1, 2)), np.zeros((1, 1))))


def test_kept_rows_are_a_selection():
    rows = ArrayRows(np.arange(40000.0)[:, None], np.zeros((40000, 1)))
    kept = np.arange(40000) % 3 == 0
    some = KeptRows.of(rows, kept)
    assert some.row_count == kept.sum() and some.chunk_count == rows.chunk_count
    seen = np.concatenate([some.chunk(i).design[:, 0] for i in range(some.chunk_count)])
    np.testing.assert_array_equal(seen, np.flatnonzero(kept))


def test_each_row_is_left_out_twice():
    folds = Folds.deal(100, 10, np.random.default_rng(1))
    assert folds is not None
    out = np.array([folds.left_out(member) for member in range(10)])
    assert (out.sum(axis=0) == 2).all() and out[0].sum() == 20
    assert not folds.left_out(10).any()
    assert Folds.deal(20, 10, np.random.default_rng(1)) is None  # four rows a fold: too few


def test_of_many_rows_few_are_left_out_and_those_twice():
    folds = Folds.deal(200_000, 6, np.random.default_rng(1), least=10)
    assert folds is not None and folds.fold.nbytes == 2 * 200_000
    out = np.array([folds.left_out(member) for member in range(6)])
    times = out.sum(axis=0)
    assert abs(out.sum(axis=1) - 20_000).max() <= 1 and set(times) == {0, 2}
    assert (out[:3].sum(axis=0) == out[3:].sum(axis=0)).all()  # once in each round
    assert Folds.deal(10**6, 6, np.random.default_rng(1), least=10).left_out(0).sum() < 40_000


def test_judgement_tells_an_ensemble_from_its_members():
    """Members err by a part they share (0.3) and one of their own (0.4): the average keeps only the
    first.
    """
    random = np.random.default_rng(7)
    n = 20000
    shared = 0.3 * random.normal(size=(n, 1))
    rows = np.arange(n)
    none, ones = np.zeros((n, 1)), np.ones(n)
    errors = [
        HeldOutErrors(rows, shared + 0.4 * random.normal(size=(n, 1)), none, ones) for _ in range(2)
    ]
    judgement = Judgement.of(errors, n)
    assert judgement.single[0] == pytest.approx(0.25, rel=0.03)
    assert judgement.ensemble[0] == pytest.approx(0.09, rel=0.05)
    assert judgement.between[0] == pytest.approx(0.16, rel=0.03)
    assert Judgement.of(errors[:1], n) is None  # one error a row says nothing about an ensemble
