"""Exact sums against rational arithmetic: every value of float64, any batches, any order."""

from __future__ import annotations

import itertools
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from halfsquare.errors import DataError, NotFiniteError, ShapeError
from halfsquare.exact.gram import ExactGram, nearest
from halfsquare.exact.slices import BITS, slices, weighted_slices

ANY = st.floats(allow_nan=False, allow_infinity=False)  # subnormals and the largest included
USUAL = st.one_of(
    st.integers(-1000, 1000).map(float),
    st.floats(-1e6, 1e6),
    st.decimals(-99, 99, places=2).map(float),
)


def columns(values: st.SearchStrategy[float]) -> st.SearchStrategy[np.ndarray]:
    row = st.lists(values, min_size=3, max_size=3)
    return st.lists(row, min_size=1, max_size=12).map(lambda rows: np.array(rows).T)


def rational(block: np.ndarray, weight: np.ndarray | None = None) -> list[list[Fraction]]:
    w = [Fraction(1)] * block.shape[1] if weight is None else [Fraction(x) for x in weight.tolist()]
    a = [[Fraction(x) for x in row] for row in block.tolist()]
    return [
        [sum((p * x * y for p, x, y in zip(w, u, v, strict=True)), Fraction(0)) for v in a]
        for u in a
    ]


def as_fractions(gram: ExactGram) -> list[list[Fraction]]:
    numbers, exponent = gram.integers()
    return [[Fraction(n) * Fraction(2) ** exponent for n in row] for row in numbers.tolist()]


@given(columns(st.one_of(ANY, USUAL)))
@example(np.array([[1.7976931348623157e308] * 3, [5e-324] * 3, [-2.2250738585072014e-308] * 3]))
@example(np.array([[1e300, 1e-300, 0.0], [-0.0, 0.1, 3.0], [2.0**20, -(2.0**20), 2.0**-1074]]))
def test_slices_add_up_to_the_values(block: np.ndarray) -> None:
    total = [[Fraction(0)] * block.shape[1] for _ in block]
    for piece in slices(block):
        assert np.abs(piece.digits).max() <= 2.0 ** (BITS - 1)
        for c, digits in zip(piece.columns, piece.digits, strict=True):
            for r, digit in enumerate(digits):
                total[c][r] += Fraction(digit) * Fraction(2) ** (BITS * piece.level)
    assert total == [[Fraction(x) for x in row] for row in block.tolist()]


@given(columns(st.one_of(ANY, USUAL)))
def test_the_sums_are_exact(block: np.ndarray) -> None:
    assert as_fractions(ExactGram.zero(3).add(block)) == rational(block)


@given(columns(st.one_of(ANY, USUAL)), st.data())
def test_weighted_sums_are_exact(block: np.ndarray, data: st.DataObject) -> None:
    positive = st.one_of(
        st.integers(1, 9).map(float), st.floats(0, exclude_min=True, allow_infinity=False)
    )
    weight = np.array(
        data.draw(st.lists(positive, min_size=block.shape[1], max_size=block.shape[1]))
    )
    assert as_fractions(ExactGram.zero(3).add(block, weight)) == rational(block, weight)


@given(columns(USUAL), st.data())
def test_any_batches_in_any_order_give_the_same_bits(
    block: np.ndarray, data: st.DataObject
) -> None:
    whole = ExactGram.zero(3).add(block)
    order = data.draw(st.permutations(range(block.shape[1])))
    cuts = sorted(data.draw(st.lists(st.integers(0, block.shape[1]), max_size=3)))
    pieces = [block[:, order[i:j]] for i, j in itertools.pairwise([0, *cuts, len(order)])]
    parts = [ExactGram.zero(3).add(piece) for piece in pieces]
    forward, backward = ExactGram.zero(3), ExactGram.zero(3)
    for part in parts:
        forward, backward = forward.merge(part), part.merge(backward)
    assert forward == whole == backward
    assert whole.subtract(parts[0]) == sum_of(parts[1:])
    assert whole.subtract(whole) == ExactGram.zero(3)


def sum_of(parts: list[ExactGram]) -> ExactGram:
    total = ExactGram.zero(3)
    for part in parts:
        total = total.merge(part)
    return total


def test_many_rows_and_the_largest_digits() -> None:
    """The worst case of every bound: full digits of one sign in more rows than a block has."""
    rng = np.random.default_rng(0)
    rows = 3 * 8192 + 5
    block = np.vstack([np.full(rows, 2.0**20), np.full(rows, 2.0**53 - 1.0), rng.normal(size=rows)])
    gram = ExactGram.zero(3).add(block)
    # Python's integers as the reference.
    scaled = [[int(Fraction(x) * 2**80) for x in row] for row in block.tolist()]
    expected = [[sum(x * y for x, y in zip(u, v, strict=True)) for v in scaled] for u in scaled]
    assert as_fractions(gram) == [[Fraction(n, 2**160) for n in row] for row in expected]
    assert gram.entry(0, 0) == rows * 2.0**40


def test_a_weight_is_a_repetition() -> None:
    block = np.random.default_rng(1).normal(size=(3, 50))
    times = np.random.default_rng(2).integers(1, 5, 50)
    repeated = ExactGram.zero(3).add(np.repeat(block, times, axis=1))
    weighted = ExactGram.zero(3).add(block, times.astype(float))
    assert np.array_equal(repeated.limbs, weighted.limbs) and repeated.rows != weighted.rows
    assert len(weighted_slices(block, times.astype(float))) > len(slices(block))


def test_float_sums_would_have_lost_it() -> None:
    block = np.array([[1e16, 1.0, -1e16]])
    assert ExactGram.zero(1).add(np.vstack([block, np.ones(3)])[:1]).entry(0, 0) == 2e32
    both = ExactGram.zero(2).add(np.vstack([np.ones(3), block]))
    assert both.entry(0, 1) == 1.0 != float(np.sum(block))


def test_columns_move_and_go() -> None:
    block = np.random.default_rng(3).normal(size=(2, 9))
    gram = ExactGram.zero(2).add(block)
    wide = gram.placed(4, [3, 1])
    assert wide == ExactGram.zero(4).add(np.vstack([np.zeros(9), block[1], np.zeros(9), block[0]]))
    assert wide.taken([3, 1]) == gram


def test_rows_that_were_not_there_are_refused() -> None:
    rng = np.random.default_rng(4)
    ones = np.ones(5)
    gram = ExactGram.zero(2).add(np.vstack([ones, rng.normal(size=5)]))
    with pytest.raises(DataError, match="not in the sums"):
        gram.subtract(ExactGram.zero(2).add(np.vstack([ones[:2], [50.0, 60.0]])))
    with pytest.raises(DataError, match="there are more of them"):
        gram.subtract(gram.merge(gram))


def test_what_does_not_belong_is_refused() -> None:
    with pytest.raises(ShapeError):
        ExactGram.zero(2).add(np.ones((3, 4)))
    with pytest.raises(ShapeError):
        ExactGram.zero(2).merge(ExactGram.zero(3))
    with pytest.raises(NotFiniteError):
        ExactGram.zero(1).add(np.array([[1.0, np.nan]]))


def test_rounding_once() -> None:
    assert nearest(2**53 + 1, 0) == 2.0**53
    assert nearest(3, -1074 - 1) == 1e-323 and nearest(1, 1023) == 2.0**1023
    with pytest.raises(OverflowError):
        nearest(1, 1024)
