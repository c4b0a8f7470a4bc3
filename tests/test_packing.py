"""Trees come back from JSON and arrays to the last bit; what is no tree is refused."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from halfsquare.files.packing import Packed, packable
from halfsquare.solvers.base import State


@packable("test.pair")
@dataclass(frozen=True)
class Pair:
    left: Any
    right: Any


def laid_out(array: Any, order: str) -> Any:
    """By rows, by columns, or every other number of a larger array."""
    array = np.asarray(array)
    if order != "S" or array.ndim == 0:
        return np.asarray(array, order="F" if order == "F" else "C")
    return np.repeat(array, 2, axis=0)[::2]


KINDS = ["<f8", "<f4", "<i8", "<i4", "|u1", "|b1"]
ARRAYS = st.tuples(
    st.sampled_from(KINDS).flatmap(
        lambda kind: hnp.arrays(
            kind, hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4)
        )
    ),
    st.sampled_from("CFS"),
).map(lambda drawn: laid_out(*drawn))
NUMBERS = st.one_of(
    st.floats(width=32).map(np.float32), st.floats().map(np.float64), st.integers(0, 9).map(np.intp)
)
LEAVES = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(), ARRAYS, NUMBERS)
TREES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.lists(inner, max_size=3).map(tuple),
        st.dictionaries(
            st.one_of(st.text(), st.integers(), st.tuples(st.integers(), st.text())),
            inner,
            max_size=3,
        ),
        st.builds(Pair, inner, inner),
        st.builds(State, ARRAYS, st.floats(), st.floats(), memory=inner),
    ),
    max_leaves=12,
)


def same(a: Any, b: Any) -> bool:
    """Equal in type, order in memory and every bit."""
    if type(a) is not type(b):
        return False
    if isinstance(a, (np.ndarray, np.generic)):
        a, b = np.asarray(a), np.asarray(b)
        by_columns = a.flags.f_contiguous and not a.flags.c_contiguous
        layout = b.flags.f_contiguous if by_columns else b.flags.c_contiguous
        return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes() and layout
    if isinstance(a, float):
        return (math.isnan(a) and math.isnan(b)) or (
            a == b and math.copysign(1, a) == math.copysign(1, b)
        )
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(same(x, y) for x, y in zip(a, b, strict=True))
    if isinstance(a, dict):
        return same(list(a.items()), list(b.items()))
    return (
        same(list(vars(a).items()), list(vars(b).items()))
        if hasattr(a, "__dict__")
        else bool(a == b)
    )


@given(TREES)
def test_a_tree_comes_back_to_the_last_bit(tree: Any) -> None:
    packed = Packed.of(tree)
    assert all(array.flags.c_contiguous for array in packed.arrays)
    again = Packed(json.loads(json.dumps(packed.tree)), packed.arrays).value()
    assert same(tree, again)
    assert Packed.of(again).digest() == packed.digest()


def test_the_comparison_sees_a_bit() -> None:
    assert not same(0.0, -0.0)
    assert not same(1, 1.0)
    assert not same(np.zeros((2, 2)), np.zeros((2, 2), order="F")) or not same(
        np.zeros((2, 2), order="F"), np.zeros((2, 2))
    )
    assert not same((np.float64(1.0),), (1.0,))
    assert Packed.of(0.0).digest() != Packed.of(-0.0).digest()
    assert Packed.of(np.zeros(3)).digest() != Packed.of(np.array([0.0, -0.0, 0.0])).digest()
    assert Packed.of(np.zeros((1, 3))).digest() != Packed.of(np.zeros((3, 1))).digest()


def test_what_is_shared_is_stored_once() -> None:
    matrix = np.eye(3)
    packed = Packed.of(Pair(matrix, (matrix, np.eye(3))))
    assert len(packed.arrays) == 2
    again = packed.value()
    assert again.left is again.right[0]


@pytest.mark.parametrize(
    "value", [object(), {1, 2}, np.array([object()]), np.array(["a"]), 1j, np.longdouble(1), b"x"]
)
def test_what_cannot_be_packed_is_refused(value: Any) -> None:
    with pytest.raises(TypeError, match="cannot be packed"):
        Packed.of([value])


@pytest.mark.parametrize(
    "tree",
    [
        {"os.system": "true"},
        {},
        {"tuple": 3},
        {"array": 0},
        {"array": -1},
        {"array": "0"},
        {"dict": [[1]]},
        {"dict": [[[1], 2]]},
        {"state": {"parameters": 1}},
        {"test.pair": {"left": 1, "other": 2}},
        {"tuple": [], "dict": []},
        {"number": None},
    ],
)
def test_what_is_no_tree_is_refused(tree: Any) -> None:
    with pytest.raises(ValueError):
        Packed(tree).value()


def test_a_tree_too_deep_is_refused() -> None:
    tree: Any = 1
    for _ in range(100_000):
        tree = [tree]
    with pytest.raises(ValueError, match="Recursion"):
        Packed(tree).value()


def test_a_name_is_given_once() -> None:
    with pytest.raises(ValueError, match="'state' names State already"):
        packable("state")(Pair)
    assert Packed.of(Pair(1, 2)).tree == {
        "test.pair": {"left": 1, "right": 2}
    }  # as before the refusal


def test_names_do_not_follow_the_module() -> None:
    """A class that is moved to another module or renamed keeps the name it has in files."""
    assert set(Packed.of(State(np.zeros(1), 0.0, 0.0, memory=None)).tree) == {"state"}


def test_a_number_beyond_float64_is_told_as_what_it_is() -> None:
    """Of checkpoints with an edited value, one in ten thousand ended in an internal error."""
    with pytest.raises(ValueError, match="OverflowError at int too large"):
        Packed({"tuple": _Failing()}, ()).value()


class _Failing:
    def __iter__(self) -> Any:
        raise OverflowError("int too large to convert to float")
