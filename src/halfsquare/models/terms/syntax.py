"""The tree of a formula of terms, and the one way to write it.

From the tightest: ``^ **``, ``:``, ``%in%``, ``* /``, a sign, ``+ -``, comparisons, ``~``. The same
grammar serves terms and the arithmetic inside functions; what an operator means depends on where
it stands (see :mod:`.expand` and :mod:`.arithmetic`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import final

_PLAIN = re.compile(r"[^\W\d][\w.]*\Z")
BINARY = {
    "~": 1, "<": 2, ">": 2, "<=": 2, ">=": 2, "==": 2, "!=": 2,
    "+": 3, "-": 3, "*": 5, "/": 5, "%in%": 6, ":": 7, "^": 8, "**": 8,
}  # fmt: skip
SIGN = 4


@dataclass(frozen=True)
class Node:
    """A node; ``at`` is its position in the text, from 0, and no part of what it is."""

    at: int = field(compare=False, repr=False)


@final
@dataclass(frozen=True)
class Number(Node):
    """A number."""

    value: float


@final
@dataclass(frozen=True)
class Text(Node):
    """A text in quotation marks."""

    value: str


@final
@dataclass(frozen=True)
class Name(Node):
    """A column, or the bare name of a coding; ``.`` where it stands for all other columns."""

    name: str
    quoted: bool = field(default=False, compare=False)


@final
@dataclass(frozen=True)
class Listed(Node):
    """``[a, b]`` or ``c(a, b)``."""

    items: tuple[Node, ...]


@final
@dataclass(frozen=True)
class Sign(Node):
    """``- operand`` or ``+ operand``."""

    operator: str
    operand: Node


@final
@dataclass(frozen=True)
class Binary(Node):
    """``left operator right``; ``**`` is written ``^``."""

    operator: str
    left: Node
    right: Node


@final
@dataclass(frozen=True)
class Call(Node):
    """``function(arguments, name=argument)``."""

    function: str
    arguments: tuple[Node, ...]
    named: tuple[tuple[str, Node], ...]


def unparse(node: Node, above: int = 0) -> str:
    """The one way to write a node: what two spellings of the same term have in common."""
    if isinstance(node, Number):
        whole = int_or_none(node.value)
        return repr(node.value) if whole is None else str(whole)
    if isinstance(node, Text):
        return f'"{node.value}"' if '"' not in node.value else f"'{node.value}'"
    if isinstance(node, Name):
        return node.name if node.name == "." or plain(node.name) else f"`{node.name}`"
    if isinstance(node, Listed):
        return "[" + ", ".join(unparse(item) for item in node.items) + "]"
    if isinstance(node, Call):
        parts = [unparse(item) for item in node.arguments]
        parts += [f"{name}={unparse(item)}" for name, item in node.named]
        return f"{node.function}({', '.join(parts)})"
    if isinstance(node, Sign):
        inner = f"{node.operator}{unparse(node.operand, SIGN)}"
        return f"({inner})" if above >= SIGN else inner
    if isinstance(node, Binary):
        rank = BINARY[node.operator]
        # A power is read from the right, everything else from the left.
        left, right = (rank + 1, rank) if node.operator == "^" else (rank, rank + 1)
        space = "" if node.operator == ":" else " "
        inner = (
            f"{unparse(node.left, left)}{space}{node.operator}{space}{unparse(node.right, right)}"
        )
        return f"({inner})" if above > rank else inner
    raise TypeError(type(node).__name__)


def plain(name: str) -> bool:
    """Whether a name of a column can stand without backticks."""
    return bool(_PLAIN.match(name))


def int_or_none(value: float) -> int | None:
    """A value that is a whole number of at most 15 digits, as int."""
    return int(value) if abs(value) < 1e15 and float(value).is_integer() else None


def names_in(node: Node) -> dict[str, Name]:
    """The columns that a node names, in the order in which they first appear."""
    found: dict[str, Name] = {}
    waiting = [node]
    while waiting:
        here = waiting.pop()
        if isinstance(here, Name):
            found.setdefault(here.name, here)
        waiting.extend(reversed(children(here)))
    return found


def children(node: Node) -> tuple[Node, ...]:
    """The nodes directly below, from the left."""
    if isinstance(node, Binary):
        return node.left, node.right
    if isinstance(node, Sign):
        return (node.operand,)
    if isinstance(node, Listed):
        return node.items
    if isinstance(node, Call):
        return (*node.arguments, *(item for _, item in node.named))
    return ()
