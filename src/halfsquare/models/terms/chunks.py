"""Some rows as they were read, which factors learn from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from halfsquare.loss import Floats
from halfsquare.models.terms.syntax import Node, names_in


@dataclass(frozen=True)
class RawChunk:
    """Some rows as they were read.

    Attributes
    ----------
    columns : mapping of name to (m,)
        Numbers; of a text column, codes into its levels.
    weight : (m,) or None
    train : int
        How many of them, the first ones, are for training.
    """

    columns: Mapping[str, Floats]
    weight: Floats | None
    train: int

    def training(self) -> RawChunk:
        """The training rows alone."""
        at = slice(0, self.train)
        weight = None if self.weight is None else self.weight[at]
        return RawChunk({k: v[at] for k, v in self.columns.items()}, weight, self.train)


def values_at(columns: Mapping[str, Floats], node: Node, row: int) -> str:
    """The columns of a node with their values in one row, for a message."""
    return ", ".join(f"{n} = {columns[n][row]:g}" for n in names_in(node) if n in columns)
