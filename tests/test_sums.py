"""What adds: any split into batches in any order gives the same sums, and the means are divided
once.
"""

from __future__ import annotations

import math
from fractions import Fraction
from functools import reduce

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.metrics import mean_squared_error, r2_score

from halfsquare import ErrorSums
from halfsquare.errors import DataError, NotFiniteError, ShapeError
from halfsquare.moments import Moments
from halfsquare.normal_sums import NormalSums
from halfsquare.sums import ErrorSummary

numbers = st.floats(-1e4, 1e4).map(lambda x: round(x, 3))


@st.composite
def rows(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Targets and outputs (n, k), weights (n,) whose sum is above 1."""
    n, k = draw(st.integers(2, 20)), draw(st.integers(1, 3))
    t, o = (draw(arrays(np.float64, (n, k), elements=numbers)) for _ in range(2))
    w = draw(arrays(np.float64, n, elements=st.floats(0, 5).map(lambda x: round(x, 2))))
    w[0] = 2.5
    return t, o, w


def parts(data: st.DataObject, n: int) -> list[np.ndarray]:
    """The rows 0 … n-1, shuffled and cut into batches, empty ones among them."""
    order = np.array(data.draw(st.permutations(range(n))))
    cuts = sorted(data.draw(st.lists(st.integers(0, n), max_size=5)))
    return [np.asarray(p, dtype=int) for p in np.split(order, cuts)]


def close(
    found: ErrorSummary, expected: ErrorSummary, *, but: tuple[str, ...] = (), scale: float = 1.0
) -> None:
    """Equal up to rounding; what is a difference of large numbers, relative to these."""
    a, b = found.as_dict(), expected.as_dict()
    for name in a.keys() - set(but):
        if a[name] is None or b[name] is None:
            assert a[name] == b[name], name
        else:
            slack = 1e-9 if name == "r2" else 1e-13 * scale
            assert a[name] == pytest.approx(b[name], rel=1e-10, abs=slack), name


@given(rows(), st.data())
def test_any_batches_in_any_order_give_the_same_sums(case: tuple, data: st.DataObject) -> None:
    t, o, w = case
    zero = ErrorSums.zero(t.shape[1])
    whole = zero.add(t, o, w)
    added = reduce(lambda sums, i: sums.add(t[i], o[i], w[i]), parts(data, len(t)), zero)
    merged = reduce(
        ErrorSums.merge, [zero.add(t[i], o[i], w[i]) for i in parts(data, len(t))], zero
    )
    scale = float(np.max((np.abs(t) + np.abs(o)) ** 2)) * len(t) + 1
    # R² is undefined where the target does not vary, which rounding decides.
    but = ("r2",) if whole.target.m2.sum() < 1e-9 * scale else ()
    for sums in (added, merged):
        close(sums.finish(), whole.finish(), but=but, scale=scale)


@given(rows())
def test_against_plain_definitions(case: tuple) -> None:
    t, o, w = case
    n, k, total = len(t), t.shape[1], math.fsum(w)
    s = ErrorSums.zero(k).add(t, o, w).finish()
    e = o - t
    sse = math.fsum((w[:, None] * e * e).ravel())
    assert (s.rows, s.weight) == (np.count_nonzero(w), pytest.approx(total))
    assert s.sse == pytest.approx(sse, rel=1e-12)
    assert s.half_sse == s.sse / 2
    assert s.mse == pytest.approx(sse / k / total, rel=1e-12)
    assert s.rmse == pytest.approx(math.sqrt(s.mse))
    assert s.too_high == pytest.approx(float(w @ (e > 0).sum(axis=1)))
    assert s.too_low == pytest.approx(float(w @ (e < 0).sum(axis=1)))
    assert s.mean_error == pytest.approx(
        math.fsum((w[:, None] * e).ravel()) / k / total, rel=1e-9, abs=1e-9
    )
    q = (e * e).mean(axis=1)
    assert n >= s.rows
    if (w == np.floor(w)).all():
        variance = math.fsum(w * (q - s.mse) ** 2) / (total - 1) / total if total > 1 else math.nan
    elif s.rows > 1:  # weights that count nothing: the variance of a weighted mean
        variance = math.fsum((w * (q - s.mse)) ** 2) / total**2 * s.rows / (s.rows - 1)
    else:
        variance = math.nan
    expected = math.sqrt(variance)
    assert s.mse_se == pytest.approx(expected, rel=1e-7, abs=1e-9 * (1 + s.mse), nan_ok=True)


def test_against_scikit_learn_and_the_textbook_standard_error() -> None:
    rng = np.random.default_rng(0)
    t = rng.normal(5, 2, 400)
    o = t + rng.normal(size=400)
    w = rng.uniform(0, 2, 400)
    s = ErrorSums.zero().add(t, o, w).finish()
    assert s.mse == pytest.approx(mean_squared_error(t, o, sample_weight=w), rel=1e-13)
    assert s.r2 == pytest.approx(r2_score(t, o, sample_weight=w), rel=1e-12)
    plain = ErrorSums.zero().add(t, o).finish()
    assert plain.mse_se == pytest.approx(((t - o) ** 2).std(ddof=1) / 20, rel=1e-12)
    assert (plain.too_high + plain.too_low, plain.weight) == (400, 400)


@given(rows(), st.data())
def test_an_integer_weight_is_a_repeated_row(case: tuple, data: st.DataObject) -> None:
    t, o, _ = case
    times = data.draw(arrays(np.int64, len(t), elements=st.integers(0, 4)))
    times[0] = max(times[0], 2)
    zero = ErrorSums.zero(t.shape[1])
    weighted = zero.add(t, o, times)
    repeated = zero.add(np.repeat(t, times, axis=0), np.repeat(o, times, axis=0))
    scale = float(np.max((np.abs(t) + np.abs(o)) ** 2)) + 1
    but = ("rows", "r2") if repeated.target.m2.sum() < 1e-9 * scale else ("rows",)
    close(weighted.finish(), repeated.finish(), but=but, scale=scale)


@given(rows(), st.integers(2, 4))
def test_duplication_changes_only_n_the_sums_and_the_error_bars(case: tuple, times: int) -> None:
    t, o, _ = case
    zero = ErrorSums.zero(t.shape[1])
    once, many = (
        zero.add(t, o).finish(),
        zero.add(*(np.concatenate([a] * times) for a in (t, o))).finish(),
    )
    for name in ("mse", "rmse", "mean_error"):
        assert getattr(many, name) == pytest.approx(getattr(once, name), rel=1e-9, abs=1e-9)
    for name in ("rows", "weight", "sse", "half_sse", "too_high", "too_low"):
        assert getattr(many, name) == pytest.approx(times * getattr(once, name), rel=1e-12)
    assert many.mse_se <= once.mse_se * 1.0000001


@given(rows())
def test_zero_weight_and_empty_batches_add_nothing(case: tuple) -> None:
    t, o, w = case
    zero = ErrorSums.zero(t.shape[1])
    sums = zero.add(t, o, w)
    more = sums.add(t + 1, o - 5, np.zeros(len(t))).add(t[:0], o[:0]).merge(zero)
    assert more.finish() == sums.finish()
    assert zero.merge(sums).finish() == sums.finish()


def test_shapes_are_refused() -> None:
    zero = ErrorSums.zero(2)
    with pytest.raises(ShapeError, match="3 outputs; the sums hold 2"):
        zero.add(np.zeros((4, 3)), np.zeros((4, 3)))
    with pytest.raises(ShapeError, match=r"\(4,\).*\(4, 1\)"):
        ErrorSums.zero().add(np.zeros(4), np.zeros((4, 1)))
    with pytest.raises(ShapeError, match="2 and over 1 outputs do not add"):
        zero.merge(ErrorSums.zero())
    with pytest.raises(ShapeError, match="do not add"):
        NormalSums.zero(2, 1).merge(NormalSums.zero(1, 2))
    with pytest.raises(NotFiniteError, match="target is nan in row 2"):
        ErrorSums.zero().add([1.0, np.nan], [1.0, 1.0])
    with pytest.raises(NotFiniteError, match="overflows float64"):
        ErrorSums.zero().add([1e200], [-1e200])
    with pytest.raises(DataError, match="there is no error to state"):
        zero.finish()


def test_one_row_has_no_standard_error_and_no_r2() -> None:
    s = ErrorSums.zero().add([3.0], [2.0]).finish()
    assert (s.sse, s.rows) == (1.0, 1)
    assert math.isnan(s.mse_se)
    assert math.isnan(s.r2)
    assert s.as_dict()["mse_se"] is None
    assert s.as_dict()["r2"] is None
    assert isinstance(s.as_dict()["too_low"], int)


def exact_moments(values: np.ndarray) -> tuple[Fraction, Fraction]:
    exact = [Fraction(v) for v in values.tolist()]
    mean = sum(exact, Fraction(0)) / len(exact)
    return mean, sum(((v - mean) ** 2 for v in exact), Fraction(0))


@pytest.mark.parametrize("batches", [1, 2, 7, 100, 1000])
def test_moments_do_not_cancel(batches: int) -> None:
    """Mean 1e9, standard deviation 1e-3: Σx² - (Σx)²/n, the textbook's formula, keeps no digit of
    this variance.
    """
    values = 1e9 + 1e-3 * np.random.default_rng(5).standard_normal(1000)
    mean, m2 = exact_moments(values)
    found = reduce(
        Moments.merge,
        [Moments.of(p[:, None]) for p in np.array_split(values, batches)],
        Moments.zero(1),
    )
    assert found.mean[0] == pytest.approx(float(mean), rel=1e-15)
    # Chan, Golub & LeVeque: the error grows with κu, κ = 1e12 the mean over the standard deviation
    # and u = 1.1e-16; with that of the textbook's formula, κ²u, no digit is left.
    assert found.m2[0] == pytest.approx(float(m2), rel=1.1e-4)
    # In one batch the mean, rounded to 1e-7, is 1e-4 standard deviations off, and only its square
    # is lost.
    assert Moments.of(values[:, None]).m2[0] == pytest.approx(float(m2), rel=1e-7)
    naive = np.sum(values**2) - np.sum(values) ** 2 / 1000
    assert naive != pytest.approx(float(m2), rel=0.5)


@given(arrays(np.float64, st.integers(1, 30), elements=numbers), st.data())
def test_moments_of_any_split_against_fractions(values: np.ndarray, data: st.DataObject) -> None:
    mean, m2 = exact_moments(values)
    found = reduce(
        Moments.merge,
        [Moments.of(values[i][:, None]) for i in parts(data, len(values))],
        Moments.zero(1),
    )
    assert found.weight == len(values)
    assert found.mean[0] == pytest.approx(float(mean), rel=1e-12, abs=1e-10)
    assert found.m2[0] == pytest.approx(float(m2), rel=1e-10, abs=1e-8)


@given(rows(), st.data())
def test_normal_sums_of_any_split_are_the_gram_matrix(case: tuple, data: st.DataObject) -> None:
    a, b, w = case

    def of(i: np.ndarray) -> NormalSums:
        block = (np.hstack([a[i], b[i]]) * np.sqrt(w[i])[:, None]).T
        return NormalSums.zero(a.shape[1], b.shape[1]).add_block(
            block, int(np.count_nonzero(w[i])), float(w[i].sum())
        )

    merged = reduce(NormalSums.merge, [of(i) for i in parts(data, len(a))])
    aa, ab, bb = merged.finish()
    weighted = w[:, None]
    slack = 1e-9 * (1 + float(np.max(np.abs(np.hstack([a, b])))) ** 2)
    np.testing.assert_allclose(aa, a.T @ (weighted * a), rtol=1e-10, atol=slack)
    np.testing.assert_allclose(ab, a.T @ (weighted * b), rtol=1e-10, atol=slack)
    np.testing.assert_allclose(bb, b.T @ (weighted * b), rtol=1e-10, atol=slack)
    np.testing.assert_array_equal(aa, aa.T)
    assert (merged.rows, merged.weight) == (np.count_nonzero(w), pytest.approx(w.sum()))


def test_the_mean_of_batch_means_would_be_wrong() -> None:
    """The mistake that is made elsewhere: a short last batch counted like a full one."""
    t, o = np.zeros(5), np.array([1.0, 1.0, 1.0, 1.0, 10.0])
    halves = [ErrorSums.zero().add(t[:4], o[:4]), ErrorSums.zero().add(t[4:], o[4:])]
    assert np.mean([h.finish().mse for h in halves]) == 50.5
    assert halves[0].merge(halves[1]).finish().mse == 20.8
