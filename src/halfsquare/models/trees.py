"""Boosted regression trees: a base and, of every tree, the value of the leaf that a row falls in.

    o = b + Σ_trees v[leaf(tree, z)]

Inputs are read from the standardized design, where every encoder decision can be undone: a number
with its missing indicator, a category from its one-hot columns. Each is turned into a small whole
number, its *code*: the place among the cuts, a level, or "missing". A node sends a set of codes to
the left. So numbers, levels and missing values need one rule, and a prediction is table look-ups:
of each tree the leaves that are still possible are the bits of one word; each input's code strikes
out those beyond the nodes that test it; the lowest bit left is the leaf (QuickScorer: Lucchese et
al. 2015, "QuickScorer: a fast algorithm to rank documents with additive ensembles of regression
trees", section 3).

The outputs are linear in the parameters, the base and the leaf values; ∂o/∂v is 1 for the leaf of
the row.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, final, overload

import numpy as np
import numpy.typing as npt

from halfsquare.loss import Floats
from halfsquare.models.base import Model

Codes = npt.NDArray[np.uint8]
Integers = npt.NDArray[np.integer[Any]]

MOST_CODES = 256
MOST_LEAVES = 62  # one bit of a signed word each
_ROWS = 8192  # of a block: codes and words stay in the cache
_FEW_ROWS = 256  # up to here tables cost more than they save
_TREES = 64  # of a block, whose tables are built together
# 2 has a different remainder by 67 for every power below 66: the place of a single bit.
_BIT = np.zeros(67, dtype=np.intp)
_BIT[[pow(2, bit, 67) for bit in range(MOST_LEAVES)]] = np.arange(MOST_LEAVES)


@final
@dataclass(frozen=True)
class Input:
    """What trees ask of a row: a number or a category, read from its columns of the design.

    Attributes
    ----------
    name : str
    kind : {"number", "category"}
    first, stop : int
        Its design columns; of a category one for each level but the first.
    indicator : int
        The design column that is positive where a number is missing; -1 if there is none.
    """

    name: str
    kind: Literal["number", "category"]
    first: int
    stop: int
    indicator: int = -1

    def values(self, design: Floats) -> Floats:
        """Numbers (n,) or the level codes of a category; NaN where missing or unseen."""
        own = design[:, self.first : self.stop]
        if self.kind == "number":
            gone = design[:, self.indicator] > 0 if self.indicator >= 0 else False
            return np.where(gone, np.nan, own[:, 0])
        on = own > 0
        code = np.where(on.any(axis=1), on.argmax(axis=1) + 1.0, 0.0)
        # The encoder writes an unseen level as the average row, which is 0 in every column.
        return np.where((own == 0).all(axis=1), np.nan, code)

    def codes(self, design: Floats, cuts: Floats) -> Codes:
        """The code (n,) of each row; ``count(cuts) - 1`` is that of a missing value."""
        values = self.values(design)
        code = values if self.kind == "category" else np.searchsorted(cuts, values, side="left")
        missing = np.isnan(values)
        return np.where(missing, self.count(cuts) - 1, code).astype(np.uint8)

    def count(self, cuts: Floats) -> int:
        """How many codes there are, the missing value's included."""
        return 2 + (self.stop - self.first if self.kind == "category" else len(cuts))


@final
class _Names(Sequence[str]):
    """Names of the base and the leaves, made when they are asked for: there are many."""

    def __init__(self, targets: tuple[str, ...], leaf_stops: Integers) -> None:
        self._targets, self._stops = targets, leaf_stops

    def __len__(self) -> int:
        return len(self._targets) + (int(self._stops[-1]) if len(self._stops) else 0)

    @overload
    def __getitem__(self, at: int) -> str: ...
    @overload
    def __getitem__(self, at: slice) -> Sequence[str]: ...
    def __getitem__(self, at: int | slice) -> str | Sequence[str]:
        if isinstance(at, slice):
            return [self[j] for j in range(*at.indices(len(self)))]
        j, k = range(len(self))[at], len(self._targets)
        if j < k:
            return "base" if k == 1 else f"{self._targets[j]}: base"
        tree = int(np.searchsorted(self._stops, j - k, side="right"))
        first = int(self._stops[tree - 1]) if tree else 0
        return f"tree {tree + 1}, leaf {j - k - first + 1}"


@final
@dataclass(frozen=True, eq=False)
class Trees(Model):
    """An additive ensemble of binary trees of at most 62 leaves.

    The parameters are the base of each output (k,), then the leaf values tree by tree, each tree's
    leaves from left to right.

    Attributes
    ----------
    inputs : tuple of Input
    targets : tuple of str
        The k outputs.
    cuts : (c,)
        Of all inputs one after the other: a number goes before the first cut that is not below it.
    cut_stops : (inputs,)
        Where the cuts of each input end.
    tested : (nodes,)
        The input that a node tests; nodes tree by tree, each before its children.
    goes_left : (nodes, 32) uint8
        The codes that go left, a bit each.
    left, right : (nodes,)
        The child: a node of the same tree, or where negative the leaf -1 - leaf.
    node_stops, leaf_stops : (trees,)
        Where the nodes and leaves of each tree end.
    output : (trees,)
        The output that a tree adds to.
    cover : (leaves,)
        Weight of the rows that were in each leaf when the tree was grown.
    """

    inputs: tuple[Input, ...]
    targets: tuple[str, ...]
    cuts: Floats
    cut_stops: Integers
    tested: Integers
    goes_left: Codes
    left: Integers
    right: Integers
    node_stops: Integers
    leaf_stops: Integers
    output: Integers
    cover: Floats

    ARRAYS = (
        "cuts", "cut_stops", "tested", "goes_left", "left", "right", "node_stops", "leaf_stops",
        "output", "cover",
    )  # fmt: skip

    @property
    def parameter_names(self) -> Sequence[str]:
        return _Names(self.targets, self.leaf_stops)

    @property
    def outputs_count(self) -> int:
        return len(self.targets)

    @property
    def tree_count(self) -> int:
        """Trees of all outputs."""
        return len(self.leaf_stops)

    def as_dict(self) -> dict[str, Any]:
        inputs = [[i.name, i.kind, i.first, i.stop, i.indicator] for i in self.inputs]
        return {"kind": "trees", "inputs": inputs, "targets": list(self.targets)}

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        return {name: getattr(self, name) for name in self.ARRAYS}

    @classmethod
    def from_dict(cls, saved: dict[str, Any], arrays: dict[str, npt.NDArray[Any]]) -> Trees:
        """The model that :meth:`as_dict` and :meth:`arrays` described.

        Raises
        ------
        ValueError
            If the arrays do not describe trees.
        """
        inputs = tuple(Input(*each) for each in saved["inputs"])
        trees = cls(inputs, tuple(saved["targets"]), **{name: arrays[name] for name in cls.ARRAYS})
        trees._check()
        return trees

    def _check(self) -> None:
        """Refuse arrays that would lead a row out of its tree, or in circles."""
        nodes, leaves, count = len(self.tested), len(self.cover), len(self.leaf_stops)
        shapes = (
            self.goes_left.shape == (nodes, MOST_CODES // 8)
            and self.goes_left.dtype == np.uint8
            and len(self.left) == len(self.right) == nodes
            and len(self.node_stops) == len(self.output) == count
            and len(self.cut_stops) == len(self.inputs)
        )
        if not shapes:
            raise ValueError("arrays of trees whose lengths differ")
        for stops, end in (
            (self.node_stops, nodes),
            (self.leaf_stops, leaves),
            (self.cut_stops, len(self.cuts)),
        ):
            if len(stops) and (np.diff(stops, prepend=0).min() < 0 or stops[-1] != end):
                raise ValueError("trees that begin and end in the wrong order")
        sizes = np.diff(self.leaf_stops, prepend=0)
        if count and (
            sizes.max() > MOST_LEAVES or (np.diff(self.node_stops, prepend=0) != sizes - 1).any()
        ):
            raise ValueError("trees with more leaves or fewer nodes than they can have")
        within = self.tested.size == 0 or 0 <= self.tested.min() <= self.tested.max() < len(
            self.inputs
        )
        if not within or (
            count and not 0 <= self.output.min() <= self.output.max() < len(self.targets)
        ):
            raise ValueError("trees that test an input, or add to an output, that is not there")
        if not (np.isfinite(self.cuts).all() and np.isfinite(self.cover).all()):
            raise ValueError("cuts or weights of trees that are no numbers")
        assert len(self._all_spans) == nodes

    def cuts_of(self, number: int) -> Floats:
        """The cuts of an input."""
        first = int(self.cut_stops[number - 1]) if number else 0
        return self.cuts[first : int(self.cut_stops[number])]

    def codes(self, design: Floats) -> Codes:
        """The code of every input (inputs, n) for the rows of a design (n, d)."""
        found = np.empty((len(self.inputs), len(design)), dtype=np.uint8)
        for j, (each, row) in enumerate(zip(self.inputs, found, strict=True)):
            row[:] = each.codes(design, self.cuts_of(j))
        return found

    def leaves(self, codes: Codes) -> Iterator[tuple[int, Integers]]:
        """For each tree its number and the leaf (n,) of each row, counted over all trees."""
        rows = codes.shape[1]
        if rows <= _FEW_ROWS:
            yield from enumerate(self._leaves_of_few(codes))
            return
        wide = codes.astype(np.intp)
        for first in range(0, self.tree_count, _TREES):
            stop = min(first + _TREES, self.tree_count)
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
    def _all_spans(self) -> Integers:
        """(nodes, 3): the first leaf of a node's subtree, the first of its right child, and the
        end.
        """
        found = [_spans(*self._tree(tree)) for tree in range(self.tree_count)]
        return np.concatenate([np.zeros((0, 3), dtype=np.int64), *found])

    @cached_property
    def _struck(self) -> Integers:
        """The leaves (nodes,) that are still possible where a node's test fails: all but those to
        its left.
        """
        first, middle = self._all_spans[:, 0], self._all_spans[:, 1]
        return ~((np.int64(1) << middle) - (np.int64(1) << first))

    def outputs(self, parameters: Floats, design: Floats) -> Floats:
        k, values = len(self.targets), parameters[len(self.targets) :]
        found = np.repeat(parameters[None, :k], len(design), axis=0)
        for start in range(0, len(design), _ROWS):
            part = found[start : start + _ROWS]
            for tree, leaf in self.leaves(self.codes(design[start : start + _ROWS])):
                part[:, self.output[tree]] += values.take(leaf)
        return found

    def outputs_and_jacobian(self, parameters: Floats, design: Floats) -> tuple[Floats, Floats]:
        n, k = len(design), len(self.targets)
        jacobian = np.zeros((n, k, len(parameters)))
        jacobian[:, range(k), range(k)] = 1.0
        for tree, leaf in self.leaves(self.codes(design)):
            jacobian[np.arange(n), self.output[tree], k + leaf] = 1.0
        return self.outputs(parameters, design), jacobian

    @property
    def linear_parameters(self) -> int:
        return len(self.parameter_names)

    def pull(
        self, parameters: Floats, design: Floats, error: Floats, weight: Floats
    ) -> tuple[Floats, Floats]:
        k = len(self.targets)
        total, counted = np.zeros(len(parameters)), np.ones(k)
        total[:k] = weight @ error
        for tree, leaf in self.leaves(self.codes(design)):
            pulls = weight * error[:, self.output[tree]]
            total += np.bincount(k + leaf, weights=pulls, minlength=len(parameters))
            counted[self.output[tree]] += 1.0
        return total, np.square(error) @ counted

    def directional(self, parameters: Floats, design: Floats, directions: Floats) -> Floats:
        return np.stack([self.outputs(v, design) for v in directions.T], axis=2)

    def contributions(self, parameters: Floats, design: Floats) -> tuple[Floats, Floats]:
        """Every output as a constant and what each input adds to it on the row's way through the
        trees.

        A node's value is the mean of its leaves, by the weight of the rows they were grown from; a
        step from a node to its child is credited to the input tested there (Saabas 2014,
        "Interpreting random forests"). So ``outputs = constant + Σ contributions``, up to rounding.

        Returns
        -------
        constant : (k,)
            The base and the means of all trees.
        contributions : (n, k, inputs)
        """
        n, k = len(design), len(self.targets)
        values = parameters[k:]
        credits, means = self._credits(values)
        constant = parameters[:k] + np.bincount(self.output, weights=means, minlength=k)
        found = np.zeros((n, k, len(self.inputs)))
        for start in range(0, n, _ROWS):
            part = found[start : start + _ROWS]
            for tree, leaf in self.leaves(self.codes(design[start : start + _ROWS])):
                part[:, self.output[tree]] += credits.take(leaf, axis=0)
        return constant, found

    def _credits(self, values: Floats) -> tuple[Floats, Floats]:
        """What each input adds on the way to each leaf (leaves, inputs); the mean of each tree."""
        starts = self.leaf_stops - np.diff(self.leaf_stops, prepend=0)
        sizes = np.diff(self.node_stops, prepend=0)
        offset = np.repeat(starts, sizes)
        first, middle, stop = (self._all_spans + offset[:, None]).T
        steps = np.zeros((len(values) + 1, len(self.inputs)))
        whole = self._means(values, first, stop)
        below = self._means(values, first, middle) - whole
        above = self._means(values, middle, stop) - whole
        # Each step holds from the first leaf below it to the last.
        np.add.at(steps, (first, self.tested), below)
        np.add.at(steps, (middle, self.tested), above - below)
        np.add.at(steps, (stop, self.tested), -above)
        return np.cumsum(steps, axis=0)[:-1], self._means(values, starts, self.leaf_stops)

    def _means(self, values: Floats, start: Integers, stop: Integers) -> Floats:
        """The mean of the leaves from ``start`` to ``stop``, by their cover."""
        if not len(start):
            return np.empty(0)
        bounds = np.column_stack([start, stop]).reshape(-1)
        weighted = np.append(self.cover * values, 0.0)
        total = np.add.reduceat(np.append(self.cover, 0.0), bounds)[::2]
        found: Floats = np.add.reduceat(weighted, bounds)[::2] / np.where(total > 0, total, 1.0)
        return found


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
