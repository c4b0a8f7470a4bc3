"""Boosted regression trees: a base and, of every tree, the value of the leaf that a row falls in.

    o = b + Σ_trees v[leaf(tree, z)]

Inputs are read from the standardized design, where every encoder decision can be undone, as *codes*
(:mod:`halfsquare.models.tree_inputs`): the place of a number among the cuts, a level, or "missing".
So numbers, levels and missing values need one rule, and a prediction is table look-ups
(:mod:`halfsquare.models.tree_nodes`).

The outputs are linear in the parameters, the base and the leaf values; ∂o/∂v is 1 for the leaf of
the row.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, final, overload

import numpy as np
import numpy.typing as npt

from halfsquare.loss import Floats
from halfsquare.models.base import Model
from halfsquare.models.tree_inputs import Codes, Input
from halfsquare.models.tree_nodes import Integers, Nodes, require_stops

_ROWS = 8192  # of a block: codes and words stay in the cache


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
        count, nodes = len(self.leaf_stops), self.nodes
        if len(self.output) != count or len(self.cut_stops) != len(self.inputs):
            raise ValueError("arrays of trees whose lengths differ")
        require_stops(self.leaf_stops, len(self.cover))
        require_stops(self.cut_stops, len(self.cuts))
        nodes.check()
        within = self.tested.size == 0 or 0 <= self.tested.min() <= self.tested.max() < len(
            self.inputs
        )
        if not within or (
            count and not 0 <= self.output.min() <= self.output.max() < len(self.targets)
        ):
            raise ValueError("trees that test an input, or add to an output, that is not there")
        if not (np.isfinite(self.cuts).all() and np.isfinite(self.cover).all()):
            raise ValueError("cuts or weights of trees that are no numbers")

    @cached_property
    def nodes(self) -> Nodes:
        """The nodes of all trees."""
        arrays = self.tested, self.goes_left, self.left, self.right
        return Nodes(*arrays, self.node_stops, self.leaf_stops)

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

    def leaves(self, design: Floats) -> Iterator[tuple[int, Integers]]:
        """For each tree its number and the leaf (n,) of each row, counted over all trees."""
        return self.nodes.leaves(self.codes(design))

    def outputs(self, parameters: Floats, design: Floats) -> Floats:
        k, values = len(self.targets), parameters[len(self.targets) :]
        found = np.repeat(parameters[None, :k], len(design), axis=0)
        for start in range(0, len(design), _ROWS):
            part = found[start : start + _ROWS]
            for tree, leaf in self.leaves(design[start : start + _ROWS]):
                part[:, self.output[tree]] += values.take(leaf)
        return found

    def outputs_and_jacobian(self, parameters: Floats, design: Floats) -> tuple[Floats, Floats]:
        n, k = len(design), len(self.targets)
        jacobian = np.zeros((n, k, len(parameters)))
        jacobian[:, range(k), range(k)] = 1.0
        for tree, leaf in self.leaves(design):
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
        for tree, leaf in self.leaves(design):
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
            for tree, leaf in self.leaves(design[start : start + _ROWS]):
                part[:, self.output[tree]] += credits.take(leaf, axis=0)
        return constant, found

    def _credits(self, values: Floats) -> tuple[Floats, Floats]:
        """What each input adds on the way to each leaf (leaves, inputs); the mean of each tree."""
        starts = self.leaf_stops - np.diff(self.leaf_stops, prepend=0)
        sizes = np.diff(self.node_stops, prepend=0)
        offset = np.repeat(starts, sizes)
        first, middle, stop = (self.nodes.spans + offset[:, None]).T
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
