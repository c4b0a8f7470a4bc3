"""From the trees that the library describes to the arrays of
:class:`halfsquare.models.trees.Trees`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import floor
from typing import Any

import numpy as np

from halfsquare.loss import Floats
from halfsquare.models.trees import MOST_CODES, Codes, Input, Trees
from halfsquare.solvers.boosting import Boosted


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
        for tree in one.trees:
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

    def tree(self, described: dict[str, Any], typical: Sequence[int]) -> None:
        """Add a tree."""
        self._node(described, typical, len(self.tested), len(self.values))
        self.node_stops.append(len(self.tested))
        self.leaf_stops.append(len(self.values))

    def _node(
        self, node: dict[str, Any], typical: Sequence[int], first_node: int, first_leaf: int
    ) -> int:
        """Add a node or leaf with all below it; the number by which its parent names it."""
        if "split_feature" not in node:
            self.values.append(float(node["leaf_value"]))
            self.cover.append(float(node.get("leaf_weight", node.get("leaf_count", 1.0))))
            return -1 - (len(self.values) - 1 - first_leaf)
        at = len(self.tested)
        self.tested.append(int(node["split_feature"]))
        self.goes_left.append(np.packbits(self._codes_left(node, typical), bitorder="little"))
        self.left.append(0)
        self.right.append(0)
        self.left[at] = self._node(node["left_child"], typical, first_node, first_leaf)
        self.right[at] = self._node(node["right_child"], typical, first_node, first_leaf)
        return at - first_node

    def _codes_left(self, node: dict[str, Any], typical: Sequence[int]) -> Any:
        """Which of the 256 codes go left."""
        number = int(node["split_feature"])
        chosen = np.zeros(MOST_CODES, dtype=bool)
        if node["decision_type"] == "==":
            chosen[[int(code) for code in str(node["threshold"]).split("||")]] = True
            return chosen
        chosen[: floor(node["threshold"]) + 1] = True
        missing = self.counts[number] - 1
        chosen[missing] = (
            node["default_left"] if typical[number] == missing else chosen[typical[number]]
        )
        return chosen
