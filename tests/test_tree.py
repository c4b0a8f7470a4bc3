"""The tree of merges: the same bits for any division of the parts, and no other order."""

from __future__ import annotations

import operator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from halfsquare.parallel.threads import Local
from halfsquare.parallel.tree import Node, Tree

hostile = st.lists(st.floats(-1e16, 1e16), max_size=200)


def recursive(parts: list[float]) -> float:
    """The same tree, written from the other end: split at the largest power of two below the
    length.
    """
    if len(parts) == 1:
        return parts[0]
    split = 1 << (len(parts) - 1).bit_length() - 1
    return recursive(parts[:split]) + recursive(parts[split:])


@given(hostile, st.data())
def test_any_ranges_give_the_bits_of_one_sequence(parts: list[float], data: st.DataObject) -> None:
    cuts = sorted(data.draw(st.lists(st.integers(0, len(parts)), max_size=12)))
    whole: Tree[float] = Tree(operator.add)
    for start, stop in zip([0, *cuts], [*cuts, len(parts)], strict=True):
        worker: Tree[float] = Tree(operator.add, start)
        for part in parts[start:stop]:
            worker.push(part)
        assert (
            len(worker.nodes) <= 2 * max(1, stop - start).bit_length()
        )  # bytes do not grow with the rows
        for node in worker.nodes:
            whole.push_node(node)
    assert whole.total(0.0) == (recursive(parts) if parts else 0.0)


@given(hostile, st.integers(1, 4))
def test_threads_merge_in_this_tree(parts: list[float], threads: int) -> None:
    total = Local(threads).reduce(lambda i: parts[i], operator.add, len(parts), 0.0)
    assert total == (recursive(parts) if parts else 0.0)


def test_another_tree_would_be_seen() -> None:
    parts = np.random.default_rng(0).normal(size=1000).tolist()
    assert recursive(parts) != sum(parts)


def test_a_gap_is_refused() -> None:
    tree: Tree[float] = Tree(operator.add)
    tree.push(1.0)
    with pytest.raises(ValueError, match="the next part is 1, not 2"):
        tree.push_node(Node(2, 2, 1.0))
