"""``lag(x, k, by=g)``: a column of the data that is made of the rows before.

Such a call stands for a column of its own, which is called as the formula writes it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from halfsquare.data.source_column import LagNames
from halfsquare.models.terms.syntax import (
    Binary,
    Call,
    Listed,
    Name,
    Node,
    Number,
    Sign,
    children,
    int_or_none,
    unparse,
)
from halfsquare.models.terms.tokens import refuse

LAG = "lag"
MOST_STEPS = 10_000


def lags_in(nodes: Iterable[Node], text: str, kinds: Mapping[str, str]) -> dict[str, LagNames]:
    """What the calls of ``lag`` in some nodes stand for, by the names of their columns.

    Raises
    ------
    FormulaError
        With a caret at what is no lag of a column of numbers.
    """
    found: dict[str, LagNames] = {}
    waiting = list(nodes)
    while waiting:
        node = waiting.pop(0)
        if isinstance(node, Call) and node.function == LAG:
            found.setdefault(unparse(node), _lag(node, text, kinds))
        else:
            waiting.extend(children(node))
    return found


def _lag(node: Call, text: str, kinds: Mapping[str, str]) -> LagNames:
    given = dict(zip(("x", "k", "by"), node.arguments, strict=False))
    if len(node.arguments) > 3 or any(name not in ("k", "by") for name, _ in node.named):
        refuse(text, node.at, "lag takes a column, a number of rows and groups: lag(x, 1, by=g)")
    given |= dict(node.named)
    of, steps = given.get("x"), given.get("k", Number(node.at, 1.0))
    if not isinstance(of, Name):
        refuse(text, node.at, "lag takes a column: lag(x), lag(x, 2), lag(x, 1, by=g)")
    if kinds.get(of.name) not in ("number", "boolean"):
        what = f"is a {kinds[of.name]}" if of.name in kinds else "is no column of the data"
        refuse(text, of.at, f"{of.name!r} {what}; lag is of a column of numbers")
    k = int_or_none(steps.value) if isinstance(steps, Number) else None
    if k is None or not 1 <= k <= MOST_STEPS:
        refuse(text, steps.at, f"expected a whole number of rows from 1 to {MOST_STEPS:,}")
    return LagNames(of.name, _groups(given.get("by"), text, kinds), k)


def _groups(node: Node | None, text: str, kinds: Mapping[str, str]) -> tuple[str, ...]:
    items = () if node is None else node.items if isinstance(node, Listed) else (node,)
    names = []
    for item in items:
        if not isinstance(item, Name) or item.name not in kinds:
            refuse(text, item.at, "by names columns of the data: by=g, by=[g, h]")
        names.append(item.name)
    return tuple(names)


def with_lags(node: Node, text: str, kinds: Mapping[str, str]) -> Node:
    """The node with every call of ``lag`` as the column that it stands for."""
    if isinstance(node, Call) and node.function == LAG:
        if unparse(node) not in kinds:
            refuse(text, node.at, "lag stands in terms of the formula alone")
        return Name(node.at, unparse(node), True)
    if isinstance(node, Call):
        return replace(node, arguments=tuple(with_lags(a, text, kinds) for a in node.arguments))
    if isinstance(node, Binary):
        left, right = (with_lags(side, text, kinds) for side in (node.left, node.right))
        return replace(node, left=left, right=right)
    if isinstance(node, Sign):
        return replace(node, operand=with_lags(node.operand, text, kinds))
    return node
