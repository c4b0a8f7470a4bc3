"""One tree for every sum: which parts are merged with which depends on their number alone.

Parts 0, 1, 2, … are the leaves of a binary tree over their indices: 0 with 1, 2 with 3, then these
two, and so on; what is left over at the end is folded from the right. Rounding follows the order of
additions, so a fixed tree gives a sum the same bits wherever its nodes are made: a worker that owns
a stretch of the parts hands in the nodes that lie whole in it, about 2 log₂ of its length, and
whoever merges these ends with the same root. That pairs are merged with pairs keeps rounding small,
too (Higham 1993, "The accuracy of floating point summation", section 3: its error grows with log₂
n).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(frozen=True)
class Node(Generic[T]):
    """The merged parts ``start`` … ``start + size - 1``; size is a power of two that divides
    start.
    """

    start: int
    size: int
    value: T


class Tree(Generic[T]):
    """Merges parts as they come, in order; at most log₂ of their number wait at any time.

    Parameters
    ----------
    merge : callable
        Of two neighbours, the left one first. It need not commute.
    start : int
        Index of the first part, where this is a stretch of a longer table.

    Examples
    --------
    >>> tree = Tree(lambda a, b: f"({a}{b})")
    >>> for letter in "abcdefg":
    ...     tree.push(letter)
    >>> tree.total("")
    '(((ab)(cd))((ef)g))'
    >>> part = Tree(lambda a, b: f"({a}{b})", start=3)
    >>> for letter in "defg":
    ...     part.push(letter)
    >>> [node.value for node in part.nodes]
    ['d', '(ef)', 'g']
    """

    def __init__(self, merge: Callable[[T, T], T], start: int = 0) -> None:
        self._merge = merge
        self._next = start
        self.nodes: list[Node[T]] = []

    def push(self, value: T) -> None:
        """Add the next part."""
        self.push_node(Node(self._next, 1, value))

    def push_node(self, node: Node[T]) -> None:
        """Add parts that have been merged elsewhere; they follow on the last."""
        if node.start != self._next:
            raise ValueError(f"the next part is {self._next}, not {node.start}")
        self._next = node.start + node.size
        while (
            self.nodes
            and self.nodes[-1].size == node.size
            and self.nodes[-1].start % (2 * node.size) == 0
        ):
            left = self.nodes.pop()
            node = Node(left.start, 2 * node.size, self._merge(left.value, node.value))
        self.nodes.append(node)

    def total(self, zero: T) -> T:
        """All parts merged; ``zero`` if there are none."""
        if not self.nodes:
            return zero
        total = self.nodes[-1].value
        for node in reversed(self.nodes[:-1]):
            total = self._merge(node.value, total)
        return total
