"""The loss: the invariants of its conventions, against torch and scikit-learn, exact fractions and
differences.
"""

from __future__ import annotations

import tracemalloc
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.metrics import mean_squared_error

from halfsquare import SquaredError
from halfsquare.errors import DataError, HalfsquareError, NotFiniteError, OptionError, ShapeError
from halfsquare.loss import CONVENTIONS, Convention, direction, error

numbers = st.floats(-1e6, 1e6, allow_nan=False).map(lambda x: round(x, 4))


@st.composite
def examples(
    draw: st.DrawFn, *, weighted: bool = True
) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """Targets, outputs (n,) or (n, k), and weights (n,) or None, at least one of them positive."""
    n = draw(st.integers(1, 12))
    shape = (n,) if draw(st.booleans()) else (n, draw(st.integers(1, 3)))
    t, o = (draw(arrays(np.float64, shape, elements=numbers)) for _ in range(2))
    if not weighted or draw(st.booleans()):
        return t, o, None
    w = draw(arrays(np.float64, n, elements=st.floats(0, 10).map(lambda x: round(x, 3))))
    w[draw(st.integers(0, n - 1))] = 1.5
    return t, o, w


def exact_sse(t: np.ndarray, o: np.ndarray, w: np.ndarray | None) -> Fraction:
    weights = [1.0] * len(t) if w is None else w.tolist()
    rows = zip(t.reshape(len(t), -1).tolist(), o.reshape(len(o), -1).tolist(), weights, strict=True)
    return sum(
        (
            Fraction(c) * (Fraction(b) - Fraction(a)) ** 2
            for x, y, c in rows
            for a, b in zip(x, y, strict=True)
        ),
        Fraction(0),
    )


@given(examples())
def test_values_against_exact_fractions(case: tuple) -> None:
    t, o, w = case
    sse, k = exact_sse(t, o, w), 1 if t.ndim == 1 else t.shape[1]
    total = Fraction(len(t)) if w is None else sum(map(Fraction, w.tolist()), Fraction(0))
    expected = {
        "sse": sse,
        "half_sse": sse / 2,
        "mse": sse / k / total,
        "half_mse": sse / 2 / k / total,
    }
    for convention, value in expected.items():
        # The differences are rounded once, to half a unit in the last place of the larger number.
        slack = 1e-15 * float(np.sum(np.abs(t)) + np.sum(np.abs(o))) ** 2
        assert SquaredError(convention).value(t, o, w) == pytest.approx(
            float(value), rel=1e-12, abs=slack
        )  # type: ignore[arg-type]


@given(examples())
def test_value_and_gradient_agree_with_each_alone(case: tuple) -> None:
    for convention in CONVENTIONS:
        loss = SquaredError(convention)
        value, gradient = loss.value_and_gradient(*case)
        assert value == loss.value(*case)
        np.testing.assert_array_equal(gradient, loss.gradient(*case))
        assert gradient.shape == case[1].shape


@given(examples())
def test_gradient_is_the_central_difference(case: tuple) -> None:
    t, o, w = case
    for convention in CONVENTIONS:
        loss = SquaredError(convention)
        gradient = loss.gradient(t, o, w)
        for at in np.ndindex(o.shape):
            # A parabola: the central difference is exact for any step, but for rounding.
            h = max(1.0, abs(float(o[at] - t[at])))
            up, down = o.copy(), o.copy()
            up[at], down[at] = o[at] + h, o[at] - h
            difference = (loss.value(t, up, w) - loss.value(t, down, w)) / (2 * h)
            slack = 1e-13 * loss.value(t, up, w) / h + 1e-9 * abs(gradient[at]) + 1e-12
            assert difference == pytest.approx(gradient[at], abs=slack)


@given(examples())
def test_the_conventions_differ_by_one_positive_factor(case: tuple) -> None:
    """So they have the same minimiser, and a step -g/curvature is the same in each."""
    t, o, w = case
    reference_value, reference = SquaredError("half_sse").value_and_gradient(t, o, w)
    k = 1 if t.ndim == 1 else t.shape[1]
    total = float(len(t)) if w is None else float(w.sum())
    for convention, factor in {
        "half_sse": 1.0,
        "sse": 2.0,
        "mse": 2 / (k * total),
        "half_mse": 1 / (k * total),
    }.items():
        value, gradient = SquaredError(convention).value_and_gradient(t, o, w)  # type: ignore[arg-type]
        assert value == pytest.approx(factor * reference_value, rel=1e-13)
        np.testing.assert_allclose(gradient, factor * reference, rtol=1e-13)
        np.testing.assert_array_equal(SquaredError(convention).gradient(t, t, w), np.zeros_like(t))  # type: ignore[arg-type]
        # The curvature with respect to an output is factor · w, so the step takes it to its target.
        weight = np.ones(len(t)) if w is None else w
        column = weight if t.ndim == 1 else weight[:, None]
        with np.errstate(invalid="ignore", divide="ignore"):
            step = -gradient / (factor * column)
        used = np.broadcast_to(column > 0, t.shape)
        np.testing.assert_allclose((o + step)[used], t[used], rtol=1e-9, atol=1e-6)


@given(examples(), st.integers(2, 4))
def test_duplicating_rows_changes_sums_and_not_means(case: tuple, times: int) -> None:
    t, o, w = case
    many = (
        np.concatenate([t] * times),
        np.concatenate([o] * times),
        None if w is None else np.concatenate([w] * times),
    )
    for convention in CONVENTIONS:
        factor = times if convention.endswith("sse") else 1
        assert SquaredError(convention).value(*many) == pytest.approx(
            factor * SquaredError(convention).value(*case), rel=1e-12
        )


@given(examples(), st.data())
def test_a_row_of_weight_zero_is_no_row(case: tuple, data: st.DataObject) -> None:
    t, o, w = case
    w = np.ones(len(t)) if w is None else w
    at = data.draw(st.integers(0, len(t)))
    row = data.draw(arrays(np.float64, t.shape[1:], elements=numbers))
    with_row = (
        np.insert(t, at, row, axis=0),
        np.insert(o, at, row + 7, axis=0),
        np.insert(w, at, 0.0),
    )
    for convention in CONVENTIONS:
        value, gradient = SquaredError(convention).value_and_gradient(*with_row)
        expected, without = SquaredError(convention).value_and_gradient(t, o, w)
        assert value == pytest.approx(expected, rel=1e-13)
        np.testing.assert_array_equal(gradient[at], np.zeros(t.shape[1:]))
        np.testing.assert_allclose(np.delete(gradient, at, axis=0), without, rtol=1e-13)


@given(examples(weighted=False), st.data())
def test_an_integer_weight_is_a_repeated_row(case: tuple, data: st.DataObject) -> None:
    t, o, _ = case
    times = data.draw(arrays(np.int64, len(t), elements=st.integers(0, 4)))
    times[0] = max(times[0], 1)
    for convention in CONVENTIONS:
        loss = SquaredError(convention)
        repeated = loss.value(np.repeat(t, times, axis=0), np.repeat(o, times, axis=0))
        assert loss.value(t, o, times) == pytest.approx(repeated, rel=1e-12)


@given(examples(), st.randoms(use_true_random=False))
def test_order_does_not_matter(case: tuple, random: object) -> None:
    t, o, w = case
    order = np.array(random.sample(range(len(t)), len(t)))  # type: ignore[attr-defined]
    shuffled = (t[order], o[order], None if w is None else w[order])
    for convention in CONVENTIONS:
        assert SquaredError(convention).value(*shuffled) == pytest.approx(
            SquaredError(convention).value(*case), rel=1e-12
        )


@given(examples())
def test_the_gradient_has_the_sign_of_the_error_and_descent_goes_against_it(case: tuple) -> None:
    t, o, _ = case
    for convention in CONVENTIONS:
        gradient = SquaredError(convention).gradient(t, o)
        np.testing.assert_array_equal(np.sign(gradient), np.sign(error(t, o)))
    for target, output, wanted in ((3.0, 2.2, "raise"), (3.0, 4.0, "lower"), (3.0, 3.0, "stay")):
        assert direction(float(SquaredError().gradient(target, output))) == wanted


@pytest.mark.parametrize("shape", [(20_001,), (7_000, 3)])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_against_torch(shape: tuple[int, ...], dtype: type) -> None:
    rng = np.random.default_rng(1)
    t, o = rng.normal(size=shape).astype(dtype), rng.normal(size=shape).astype(dtype)
    output = torch.tensor(o, dtype=torch.float64, requires_grad=True)
    for convention, reduction, factor in (
        ("mse", "mean", 1.0),
        ("sse", "sum", 1.0),
        ("half_sse", "sum", 0.5),
        ("half_mse", "mean", 0.5),
    ):
        output.grad = None
        expected = factor * torch.nn.MSELoss(reduction=reduction)(
            output, torch.tensor(t, dtype=torch.float64)
        )
        expected.backward()
        value, gradient = SquaredError(convention).value_and_gradient(t, o)  # type: ignore[arg-type]
        assert gradient.dtype == dtype
        assert value == pytest.approx(expected.item(), rel=1e-6 if dtype == np.float32 else 1e-13)
        np.testing.assert_allclose(
            gradient, output.grad.numpy(), rtol=1e-5 if dtype == np.float32 else 1e-13, atol=1e-14
        )


def test_against_scikit_learn_weighted_and_over_several_outputs() -> None:
    rng = np.random.default_rng(2)
    t, o, w = rng.normal(size=(500, 4)), rng.normal(size=(500, 4)), rng.uniform(0, 3, 500)
    assert SquaredError("mse").value(t, o, w) == pytest.approx(
        mean_squared_error(t, o, sample_weight=w), rel=1e-13
    )


@pytest.mark.parametrize("layout", ["fortran", "strided", "reversed", "transposed"])
def test_layouts(layout: str) -> None:
    rng = np.random.default_rng(3)
    t, o, w = rng.normal(size=(9001, 3)), rng.normal(size=(9001, 3)), rng.uniform(size=9001)
    make = {
        "fortran": np.asfortranarray,
        "strided": lambda a: np.repeat(a, 2, axis=0)[::2],
        "reversed": lambda a: a[::-1].copy()[::-1],
        "transposed": lambda a: np.ascontiguousarray(a.T).T,
    }[layout]
    for weight in (None, w):
        value, gradient = SquaredError().value_and_gradient(make(t), make(o), weight)
        expected, reference = SquaredError().value_and_gradient(t, o, weight)
        assert value == pytest.approx(expected, rel=1e-13)
        np.testing.assert_array_equal(gradient, reference)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("weighted", [False, True])
def test_arrays_are_not_copied(dtype: type, weighted: bool) -> None:
    n = 1_000_000
    t, o = np.zeros(n, dtype), np.ones(n, dtype)
    w = np.ones(n) if weighted else None
    SquaredError().value(t[:10], o[:10])
    tracemalloc.start()
    SquaredError().value(t, o, w)
    _, for_value = tracemalloc.get_traced_memory()
    tracemalloc.reset_peak()
    _, gradient = SquaredError("mse").value_and_gradient(t, o, w)
    _, for_both = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    # Looking for bad weights takes a mask of a byte a row; nothing else is as long as the data.
    assert for_value < 600_000 + n * weighted
    assert for_both < gradient.nbytes + 600_000 + n * weighted


@pytest.mark.parametrize("shape", [(30_001,), (7_001, 3)])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("weighted", [False, True])
def test_a_gradient_into_an_array_that_is_there(
    shape: tuple[int, ...], dtype: type, weighted: bool
) -> None:
    random = np.random.default_rng(5)
    t, o = (random.normal(size=shape).astype(dtype) for _ in range(2))
    w = random.uniform(size=shape[0]) if weighted else None
    out = np.full_like(o, np.nan)
    for convention in CONVENTIONS:
        loss = SquaredError(convention)
        value, gradient = loss.value_and_gradient(t, o, w)
        again, same = loss.value_and_gradient(t, o, w, out=out)
        assert same is out and again == value
        np.testing.assert_array_equal(out, gradient)
        out[...] = np.nan
        assert loss.gradient(t, o, w, out=out) is out
        np.testing.assert_array_equal(out, gradient)
    for wrong in (out[:-1], out.astype(np.float16), out.tolist(), o, t):
        with pytest.raises(ShapeError, match=r"out (is|shares)"):
            SquaredError().gradient(t, o, w, out=wrong)  # type: ignore[arg-type]


def test_a_gradient_is_finite_or_refused() -> None:
    """It may be finite where the value is not, and the other way round."""
    huge = np.array([1e200]), np.array([-1e200])
    assert SquaredError("half_sse").gradient(*huge).tolist() == [-2e200]
    with pytest.raises(NotFiniteError, match="overflows"):
        SquaredError("half_sse").value_and_gradient(*huge)
    heavy = np.array([0.0]), np.array([0.6]), np.array([1.7e308])
    assert SquaredError("sse").value(*heavy) == pytest.approx(6.12e307)
    with pytest.raises(NotFiniteError, match="overflows"):
        SquaredError("sse").gradient(*heavy)


def test_inputs_are_left_alone() -> None:
    t, o, w = np.array([1.0, 2.0]), np.array([3.0, 5.0]), np.array([1.0, 2.0])
    for a in (t, o, w):
        a.flags.writeable = False
    assert SquaredError("mse").gradient(t, o, w).tolist() == pytest.approx([4 / 3, 4.0])


def test_a_long_float32_sum_does_not_stall() -> None:
    # In float32 the sum of n ones stops growing at 2^24.
    n = 2**24 + 2**12
    assert SquaredError("sse").value(np.zeros(n, np.float32), np.ones(n, np.float32)) == n


def test_single_numbers_lists_and_integers() -> None:
    assert SquaredError().value(3, 2) == 0.5
    assert SquaredError().gradient(3, 2) == -1.0
    assert SquaredError("sse").value([1, 2], [3, 3]) == 5.0


@pytest.mark.parametrize(
    ("target", "output", "weight", "kind", "words"),
    [
        (np.zeros(3), np.zeros((3, 1)), None, ShapeError, r"\(3,\).*\(3, 1\).*reshape"),
        (np.zeros((3, 1)), np.zeros(3), None, ShapeError, "must be equal"),
        (np.zeros(3), np.zeros(4), None, ShapeError, "must be equal"),
        (np.zeros((3, 2)), np.zeros((2, 3)), None, ShapeError, "must be equal"),
        (np.zeros(3), 0.0, None, ShapeError, "must be equal"),
        (
            np.zeros((2, 2, 2)),
            np.zeros((2, 2, 2)),
            None,
            ShapeError,
            r"expected \(n,\) or \(n, k\)",
        ),
        (
            np.zeros((3, 2)),
            np.zeros((3, 2)),
            np.ones((3, 2)),
            ShapeError,
            "one weight for each row",
        ),
        (
            np.zeros((3, 1)),
            np.zeros((3, 1)),
            np.ones((3, 1)),
            ShapeError,
            "one weight for each row",
        ),
        (np.zeros(3), np.zeros(3), 1.0, ShapeError, "one weight for each row"),
        ([1.0, np.nan, 2.0], [1.0, 1.0, 1.0], None, NotFiniteError, "target is nan in row 2"),
        ([1.0, 1.0, 2.0], [1.0, 1.0, -np.inf], None, NotFiniteError, "output is -inf in row 3"),
        ([[1.0, 1.0]], [[1.0, np.inf]], None, NotFiniteError, "output is inf in row 1, output 2"),
        ([1.0, 1.0], [1.0, 1.0], [1.0, np.nan], NotFiniteError, "weight is nan in row 2"),
        (
            [1.0, 1.0],
            [1.0, 1.0],
            [1.0, -0.5],
            DataError,
            "weight is -0.5 in row 2; expected a number >= 0",
        ),
        ([np.nan, 1.0], [1.0, 1.0], [0.0, 1.0], NotFiniteError, "target is nan in row 1"),
        (["a"], ["b"], None, DataError, "target is not an array of numbers"),
        ([1j], [1.0], None, DataError, "complex"),
        ([[1.0], [1.0, 2.0]], [1.0], None, DataError, "not an array of numbers"),
        ([1e200], [-1e200], None, NotFiniteError, "overflows float64"),
    ],
)
def test_refused(
    target: object, output: object, weight: object, kind: type[HalfsquareError], words: str
) -> None:
    for convention in CONVENTIONS:
        for method in (SquaredError(convention).value, SquaredError(convention).value_and_gradient):
            with pytest.raises(kind, match=words):
                method(target, output, weight)  # type: ignore[arg-type]


def test_what_is_refused_is_a_value_error_too() -> None:
    with pytest.raises(ValueError, match="must be equal"):
        SquaredError().value(np.zeros(3), np.zeros((3, 1)))


@pytest.mark.parametrize("convention", ["mse", "half_mse"])
def test_a_mean_over_nothing_is_refused_but_a_sum_is_zero(convention: Convention) -> None:
    for case in (([], []), ([1.0], [2.0], [0.0])):
        with pytest.raises(DataError, match="at least one row of positive weight"):
            SquaredError(convention).value(*case)
    assert SquaredError("sse").value([], []) == 0.0
    assert SquaredError("sse").gradient([], []).shape == (0,)
    assert SquaredError("sse").value(np.zeros((0, 3)), np.zeros((0, 3))) == 0.0


def test_an_unknown_convention_is_refused() -> None:
    with pytest.raises(
        OptionError, match="unknown loss 'rmse': expected one of half_sse, sse, mse, half_mse"
    ):
        SquaredError("rmse")  # type: ignore[arg-type]
