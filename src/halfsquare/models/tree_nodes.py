"""Binary trees as arrays, and how a row finds its leaf in each of them.

A node sends a set of codes to the left. Of each tree the leaves that are still possible are the
bits of one word; each input's code strikes out those beyond the nodes that test it; the lowest bit
left is the leaf (QuickScorer: Lucchese et al. 2015, "QuickScorer: a fast algorithm to rank
documents with additive ensembles of regression trees", section 3).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, final

import numpy as np
import numpy.typing as npt

from halfsquare.models.tree_inputs import MOST_CODES, Codes

Integers = npt.NDArray[np.integer[Any]]

MOST_LEAVES = 62  # one bit of a signed word each
_FEW_ROWS = 256  # up to here tables cost more than they save
_TREES = 64  # of a block, whose tables are built together
# 2 has a different remainder by 67 for every power below 66: the place of a single bit.
_BIT = np.zeros(67, dtype=np.intp)
_BIT[[pow(2, bit, 67) for bit in range(MOST_LEAVES)]] = np.arange(MOST_LEAVES)


@final
@dataclass(frozen=True, eq=False)
class Nodes:
    """The nodes of all trees; see :class:`halfsquare.models.trees.Trees` for the attributes."""

    tested: Integers
    goes_left: Codes
    left: Integers
    right: Integers
    node_stops: Integers
    leaf_stops: Integers

    def check(self) -> None:
        """Refuse arrays that would lead a row out of its tree, or in circles.

        Raises
        ------
        ValueError
            If they do not describe trees.
        """
        nodes, count = len(self.tested), len(self.leaf_stops)
        shapes = (
            self.goes_left.shape == (nodes, MOST_CODES // 8)
            and self.goes_left.dtype == np.uint8
            and len(self.left) == len(self.right) == nodes
            and len(self.node_stops) == count
        )
        if not shapes:
            raise ValueError("arrays of trees whose lengths differ")
        require_stops(self.node_stops, nodes)
        sizes = np.diff(self.leaf_stops, prepend=0)
        if count and (
            sizes.max() > MOST_LEAVES or (np.diff(self.node_stops, prepend=0) != sizes - 1).any()
        ):
            raise ValueError("trees with more leaves or fewer nodes than they can have")
        assert len(self.spans) == nodes

    def leaves(self, codes: Codes) -> Iterator[tuple[int, Integers]]:
        """For each tree its number and the leaf (n,) of each row, counted over all trees."""
        rows = codes.shape[1]
        if rows <= _FEW_ROWS:
            yield from enumerate(self._leaves_of_few(codes))
            return
        wide = codes.astype(np.intp)
        for first in range(0, len(self.leaf_stops), _TREES):
            stop = min(first + _TREES, len(self.leaf_stops))
            for tree, start, words in self._tables(range(first, stop)):
                if not words:
                    yield tree, np.full(rows, start)
                    continue
                possible = None
                for number, table in words:
                    own = table.take(wide[number])
                    if possible is None:
                        possible = own
                    else:
                        np.bitwise_and(possible, own, out=possible)
                assert possible is not None
                yield tree, start + _lowest_bit(possible)

    def _leaves_of_few(self, codes: Codes) -> Integers:
        """The leaf (trees, n) of each row: all nodes at once, without tables."""
        first = self.leaf_stops - np.diff(self.leaf_stops, prepend=0)
        found = np.repeat(first[:, None], codes.shape[1], axis=1)
        grown = np.flatnonzero(np.diff(self.node_stops, prepend=0))
        if len(grown):
            own = codes[self.tested]
            byte = np.take_along_axis(self.goes_left, (own >> 3).astype(np.intp), axis=1)
            left = (byte >> (own & 7)) & 1
            words = np.where(left.astype(bool), np.int64(-1), self._struck[:, None])
            starts = (self.node_stops - np.diff(self.node_stops, prepend=0))[grown]
            found[grown] += _lowest_bit(np.bitwise_and.reduceat(words, starts, axis=0))
        return found

    def _tables(self, trees: range) -> Iterator[tuple[int, int, list[tuple[int, Integers]]]]:
        """Of each tree: its number, its first leaf and for each input it tests, the leaves possible
        by code.
        """
        lo = int(self.node_stops[trees.start - 1]) if trees.start else 0
        hi = int(self.node_stops[trees.stop - 1]) if len(trees) else lo
        some = slice(lo, hi)
        left = np.unpackbits(self.goes_left[some], axis=1, bitorder="little").astype(bool)
        words = np.where(left, np.int64(-1), self._struck[some, None])
        for tree in trees:
            start = int(self.node_stops[tree - 1]) if tree else 0
            tested = self.tested[start : int(self.node_stops[tree])]
            leaf = int(self.leaf_stops[tree - 1]) if tree else 0
            found: dict[int, Integers] = {}
            for node, number in enumerate(tested.tolist(), start - lo):
                found[number] = found[number] & words[node] if number in found else words[node]
            yield tree, leaf, list(found.items())

    def _tree(self, tree: int) -> tuple[list[int], list[int]]:
        start = int(self.node_stops[tree - 1]) if tree else 0
        at = slice(start, int(self.node_stops[tree]))
        return self.left[at].tolist(), self.right[at].tolist()

    @cached_property
    def spans(self) -> Integers:
        """(nodes, 3): the first leaf of a node's subtree, the first of its right child, and the
        end.
        """
        found = [_spans(*self._tree(tree)) for tree in range(len(self.leaf_stops))]
        return np.concatenate([np.zeros((0, 3), dtype=np.int64), *found])

    @cached_property
    def _struck(self) -> Integers:
        """The leaves (nodes,) that are still possible where a node's test fails: all but those to
        its left.
        """
        first, middle = self.spans[:, 0], self.spans[:, 1]
        return ~((np.int64(1) << middle) - (np.int64(1) << first))


def require_stops(stops: Integers, end: int) -> None:
    """Refuse what does not end one part after the other, the last at ``end``.

    Raises
    ------
    ValueError
        If it does not.
    """
    if len(stops) and (np.diff(stops, prepend=0).min() < 0 or stops[-1] != end):
        raise ValueError("trees that begin and end in the wrong order")


def _lowest_bit(words: Integers) -> Integers:
    """The place of the lowest bit of each word, which is overwritten."""
    lowest = np.bitwise_and(words, -words, out=words)
    return _BIT.take(np.remainder(lowest, 67, out=lowest))


def _spans(left: list[int], right: list[int]) -> Integers:
    """(nodes, 3) of a tree: the first leaf of each subtree, the first of its right child, and the
    end.

    Raises
    ------
    ValueError
        If this is no tree whose leaves are numbered from left to right, each node before its
        children.
    """
    found = np.zeros((len(left), 3), dtype=np.int64)

    def stop_of(child: int, parent: int, first: int) -> int:
        if child < 0:
            if -1 - child != first:
                raise ValueError("a tree whose leaves are not in order")
            return first + 1
        if not parent < child < len(left):
            raise ValueError("a node that is not after its parent")
        middle = stop_of(left[child], child, first)
        stop = stop_of(right[child], child, middle)
        found[child] = first, middle, stop
        return stop

    if left:
        middle = stop_of(left[0], 0, 0)
        found[0] = 0, middle, stop_of(right[0], 0, middle)
        if found[0, 2] != len(left) + 1:
            raise ValueError("a tree with nodes that nothing leads to")
    return found
