"""From the text of a formula to its tree, by precedence climbing; nothing is evaluated."""

from __future__ import annotations

from halfsquare.models.terms.syntax import (
    BINARY,
    SIGN,
    Binary,
    Call,
    Listed,
    Name,
    Node,
    Number,
    Sign,
    Text,
)
from halfsquare.models.terms.tokens import Token, refuse, tokens_of


def parse(text: str) -> Node:
    """The tree of a formula, or of one term.

    Raises
    ------
    FormulaError
        With a caret where the text cannot be read.

    Examples
    --------
    >>> from halfsquare.models.terms.syntax import unparse
    >>> unparse(parse("log( y )~a* b+I(c**2)"))
    'log(y) ~ a * b + I(c ^ 2)'
    """
    reader = _Reader(text)
    node = reader.expression(0)
    if reader.now.kind != "end":
        reader.unexpected()
    return node


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
        while self.now.kind == "operator" and BINARY.get(self.now.text, -1) >= max(least, 1):
            token = self.take()
            rank = BINARY[token.text]
            operator = "^" if token.text == "**" else token.text
            if rank == 8:
                right = self.expression(rank)
            else:
                right = self.expression(rank + 1)
                if (
                    rank <= 2
                    and BINARY.get(self.now.text, -1) == rank
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
            return Sign(token.at, "-" if minus else "+", self.expression(max(least, SIGN + 1)))
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
