"""The tree of a formula of terms, by precedence climbing with R's precedence.

From the tightest: ``^ **``, ``:``, ``%in%``, ``* /``, a sign, ``+ -``, comparisons, ``~``. The same
grammar serves terms and the arithmetic inside functions; what an operator means depends on where
it stands (see :mod:`.expand` and :mod:`.arithmetic`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import final

from halfsquare.models.terms.tokens import Token, refuse, tokens_of

_PLAIN = re.compile(r"[^\W\d][\w.]*\Z")
_BINARY = {
    "~": 1, "<": 2, ">": 2, "<=": 2, ">=": 2, "==": 2, "!=": 2,
    "+": 3, "-": 3, "*": 5, "/": 5, "%in%": 6, ":": 7, "^": 8, "**": 8,
}  # fmt: skip
_SIGN = 4


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


def parse(text: str) -> Node:
    """The tree of a formula, or of one term.

    Raises
    ------
    FormulaError
        With a caret where the text cannot be read.

    Examples
    --------
    >>> unparse(parse("log( y )~a* b+I(c**2)"))
    'log(y) ~ a * b + I(c ^ 2)'
    """
    reader = _Reader(text)
    node = reader.expression(0)
    if reader.now.kind != "end":
        reader.unexpected()
    return node


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
        inner = f"{node.operator}{unparse(node.operand, _SIGN)}"
        return f"({inner})" if above >= _SIGN else inner
    if isinstance(node, Binary):
        rank = _BINARY[node.operator]
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


class _Reader:
    """Reads tokens from the left, one ahead."""

    def __init__(self, text: str) -> None:
        self.text = text
        self._tokens = tokens_of(text)
        self._next = 0

    @property
    def now(self) -> Token:
        return self._tokens[self._next]

    def take(self) -> Token:
        token = self.now
        self._next += token.kind != "end"
        return token

    def expect(self, operator: str) -> None:
        if not self.now.is_operator(operator):
            self.unexpected(f"expected '{operator}'")
        self.take()

    def unexpected(
        self, wanted: str = "an operator is missing before it, or it is one too many"
    ) -> None:
        token = self.now
        if token.kind == "end":
            refuse(
                self.text, token.at, "the formula ends here; a term, a number or a name is missing"
            )
        if token.is_operator("="):
            refuse(
                self.text,
                token.at,
                "'=' stands between left and right side as '~', and '==' compares",
            )
        refuse(self.text, token.at, f"{token.text!r} is not expected here; {wanted}")

    def expression(self, least: int) -> Node:
        left = self._operand(least)
        while self.now.kind == "operator" and _BINARY.get(self.now.text, -1) >= max(least, 1):
            token = self.take()
            rank = _BINARY[token.text]
            operator = "^" if token.text == "**" else token.text
            if rank == 8:
                right = self.expression(rank)
            else:
                right = self.expression(rank + 1)
                if (
                    rank <= 2
                    and _BINARY.get(self.now.text, -1) == rank
                    and self.now.kind == "operator"
                ):
                    self.unexpected("only one such operator can stand here")
            left = Binary(token.at, operator, left, right)
        return left

    def _operand(self, least: int) -> Node:
        token = self.now
        if token.is_operator("+", "-"):
            signs = 0
            minus = False
            while self.now.is_operator("+", "-"):
                signs += 1
                if signs > 3:
                    refuse(self.text, self.now.at, "more than three signs in a row")
                minus ^= self.take().text == "-"
            return Sign(token.at, "-" if minus else "+", self.expression(max(least, _SIGN + 1)))
        if token.is_operator("~") and self._next == 0:
            refuse(self.text, token.at, "the left side is missing; write the target before '~'")
        if token.is_operator("(", "{"):
            self.take()
            inner = self.expression(2)
            self.expect(")" if token.text == "(" else "}")
            return inner if token.text == "(" else Call(token.at, "I", (inner,), ())
        if token.is_operator("["):
            self.take()
            return self._list(token, "]")
        if token.is_operator("."):
            self.take()
            return Name(token.at, ".")
        if token.kind == "number":
            return self._number()
        if token.kind == "string":
            self.take()
            return Text(token.at, token.text)
        if token.kind == "name":
            return self._name()
        self.unexpected("a term, a number or a name is missing before it")
        raise AssertionError

    def _number(self) -> Node:
        token = self.take()
        value = float(token.text)
        if value == float("inf"):
            refuse(self.text, token.at, "the number is too large for float64")
        following = self.now
        if following.kind == "name" and following.at == token.at + len(token.text):
            refuse(self.text, following.at, f"write {token.text}*{following.text}, inside I( )")
        return Number(token.at, value)

    def _name(self) -> Node:
        token = self.take()
        if token.quoted or not self.now.is_operator("("):
            return Name(token.at, token.text, token.quoted)
        function = token.text.removeprefix("np.").removeprefix("numpy.")
        self.take()
        if function == "c":
            return self._list(token, ")")
        arguments, named = self._arguments()
        if function == "Q":
            if len(arguments) != 1 or named or not isinstance(arguments[0], Text):
                refuse(
                    self.text, token.at, 'Q takes the name of a column in quotation marks: Q("a b")'
                )
            return Name(token.at, arguments[0].value, True)
        return Call(token.at, function, arguments, named)

    def _list(self, opening: Token, closing: str) -> Node:
        items, named = self._arguments(closing)
        if named:
            refuse(self.text, opening.at, "a list has no named items")
        return Listed(opening.at, items)

    def _arguments(
        self, closing: str = ")"
    ) -> tuple[tuple[Node, ...], tuple[tuple[str, Node], ...]]:
        arguments: list[Node] = []
        named: list[tuple[str, Node]] = []
        while not self.now.is_operator(closing):
            item = self.expression(2)
            if self.now.is_operator("="):
                if not isinstance(item, Name):
                    self.unexpected()
                self.take()
                name = item.name  # type: ignore[attr-defined]
                if name in dict(named):
                    refuse(self.text, item.at, f"{name} is given twice")
                named.append((name, self.expression(2)))
            elif named:
                refuse(self.text, item.at, "what has no name stands before what has one")
            else:
                arguments.append(item)
            if not self.now.is_operator(closing):
                self.expect(",")
        self.expect(closing)
        return tuple(arguments), tuple(named)
