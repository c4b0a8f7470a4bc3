"""From the trees as the library writes them down to the arrays of
:class:`halfsquare.models.trees.Trees`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import floor
from typing import Any

import numpy as np

from halfsquare.loss import Floats
from halfsquare.models.tree_inputs import MOST_CODES, Codes, Input
from halfsquare.models.trees import Trees
from halfsquare.solvers.boosting import Boosted

_OF_LEVELS, _MISSING_LEFT = 1, 2  # bits of a node's decision type
_WORD = 32  # levels whose place is a bit of one number


@dataclass(frozen=True)
class Written:
    """A tree as the library writes it: of each node what it tests, of each leaf its value.

    Children are nodes, or leaves where they are negative: -1 - leaf.
    """

    tested: Sequence[int]
    threshold: Sequence[float]
    decision: Sequence[int]
    left: Sequence[int]
    right: Sequence[int]
    value: Sequence[float]
    weight: Sequence[float]
    level_stops: Sequence[int]
    level_words: Sequence[int]

    @classmethod
    def of(cls, lines: Mapping[str, str]) -> Written:
        """From the lines ``name=value value ...`` of one tree."""

        def whole(name: str) -> list[int]:
            return [int(one) for one in lines.get(name, "").split()]

        def numbers(name: str) -> list[float]:
            return [float(one) for one in lines.get(name, "").split()]

        value = numbers("leaf_value")
        return cls(
            whole("split_feature"),
            numbers("threshold"),
            whole("decision_type"),
            whole("left_child"),
            whole("right_child"),
            value,
            numbers("leaf_weight") or [1.0] * len(value),
            whole("cat_boundaries"),
            whole("cat_threshold"),
        )

    def levels(self, node: int) -> list[int]:
        """The level codes that a node sends to the left; it has to be one that tests levels."""
        at = int(self.threshold[node])
        words = self.level_words[self.level_stops[at] : self.level_stops[at + 1]]
        return [
            _WORD * i + bit
            for i, word in enumerate(words)
            for bit in range(_WORD)
            if word >> bit & 1
        ]


def written(text: str) -> Iterator[Written]:
    """The trees of a model that the library has written as text."""
    for part in text.split("\nTree=")[1:]:
        lines = part.split("\n\n")[0].splitlines()[1:]
        yield Written.of(dict(line.split("=", 1) for line in lines if "=" in line))


def grown(
    boosted: Sequence[Boosted],
    inputs: Sequence[Input],
    cuts: Sequence[Floats],
    targets: Sequence[str],
) -> tuple[Trees, Floats]:
    """The model and the parameters of the trees grown for each of the k targets."""
    writer = _Writer(inputs, [each.count(c) for each, c in zip(inputs, cuts, strict=True)])
    output = []
    for j, one in enumerate(boosted):
        for tree in written(one.trees):
            writer.tree(tree, one.typical)
            output.append(j)
    model = Trees(
        inputs=tuple(inputs),
        targets=tuple(targets),
        cuts=np.concatenate([np.empty(0), *cuts]),
        cut_stops=np.cumsum([len(c) for c in cuts], dtype=np.int64),
        tested=np.array(writer.tested, dtype=np.int32),
        goes_left=np.array(writer.goes_left, dtype=np.uint8).reshape(-1, MOST_CODES // 8),
        left=np.array(writer.left, dtype=np.int32),
        right=np.array(writer.right, dtype=np.int32),
        node_stops=np.array(writer.node_stops, dtype=np.int64),
        leaf_stops=np.array(writer.leaf_stops, dtype=np.int64),
        output=np.array(output, dtype=np.int32),
        cover=np.array(writer.cover, dtype=np.float64),
    )
    bases = [one.base for one in boosted]
    return model, np.array([*bases, *writer.values], dtype=np.float64)


@dataclass
class _Writer:
    """Writes trees one after the other: nodes before their children, leaves from left to right."""

    inputs: Sequence[Input]
    counts: Sequence[int]
    tested: list[int] = field(default_factory=list)
    goes_left: list[Codes] = field(default_factory=list)
    left: list[int] = field(default_factory=list)
    right: list[int] = field(default_factory=list)
    node_stops: list[int] = field(default_factory=list)
    leaf_stops: list[int] = field(default_factory=list)
    values: list[float] = field(default_factory=list)
    cover: list[float] = field(default_factory=list)

    def tree(self, tree: Written, typical: Sequence[int]) -> None:
        """Add a tree."""
        self._child(tree, 0 if tree.tested else -1, typical, len(self.tested), len(self.values))
        self.node_stops.append(len(self.tested))
        self.leaf_stops.append(len(self.values))

    def _child(
        self, tree: Written, child: int, typical: Sequence[int], first_node: int, first_leaf: int
    ) -> int:
        """Add a node or leaf with all below it; the number by which its parent names it."""
        if child < 0:
            self.values.append(tree.value[-1 - child])
            self.cover.append(tree.weight[-1 - child])
            return -1 - (len(self.values) - 1 - first_leaf)
        at = len(self.tested)
        self.tested.append(tree.tested[child])
        self.goes_left.append(
            np.packbits(self._codes_left(tree, child, typical), bitorder="little")
        )
        self.left.append(0)
        self.right.append(0)
        self.left[at] = self._child(tree, tree.left[child], typical, first_node, first_leaf)
        self.right[at] = self._child(tree, tree.right[child], typical, first_node, first_leaf)
        return at - first_node

    def _codes_left(self, tree: Written, node: int, typical: Sequence[int]) -> Any:
        """Which of the 256 codes go left."""
        number, decision = tree.tested[node], tree.decision[node]
        chosen = np.zeros(MOST_CODES, dtype=bool)
        if decision & _OF_LEVELS:
            chosen[tree.levels(node)] = True
            return chosen
        chosen[: floor(min(tree.threshold[node], MOST_CODES)) + 1] = True
        missing = self.counts[number] - 1
        chosen[missing] = (
            bool(decision & _MISSING_LEFT)
            if typical[number] == missing
            else chosen[typical[number]]
        )
        return chosen
