"""Reads a formula such as ``y ~ b1*(1 - exp(-b2*x))``; nothing in it is ever evaluated.

    text ─ tokens → plain Python source ─ ast.parse → tree ─ allow-list → expression

The tokens are checked first: length, nesting, characters. Names become ``v0, v1, …`` before
Python's parser sees the text, so that no word of the user's can mean anything to it.
"""

from __future__ import annotations

import ast
import keyword
import re
from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from itertools import pairwise
from typing import Any, NoReturn

from halfsquare.errors import FormulaError
from halfsquare.models.formula.derivatives import Algebra
from halfsquare.models.formula.functions import ALSO_NAMES, CALLED, FUNCTIONS, takes
from halfsquare.models.target import TARGET_FUNCTIONS

_CHOOSING = ("where", "piecewise")
_LONGEST = 4000  # characters
_DEEPEST = 40  # parentheses
_TOKEN = re.compile(
    r"(?P<space>\s+)|(?P<number>(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)|(?P<name>[^\W\d]\w*)"
    r"|`(?P<quoted>[^`\n]+)`|(?P<operator>\*\*|//|<=|>=|==|!=|[-+*/^(),~<>])"
)
_WORDS = ("and", "or", "not")
# What people write instead, and what to write here.
_HINTS = {
    "=": "write '~' between target and formula",
    ".": "attribute access is not part of a formula; write exp(x), not np.exp(x)",
    "[": "write ( ) for brackets",
    "]": "write ( ) for brackets",
    "{": "write ( ) for brackets",
    "}": "write ( ) for brackets",
    "//": "write / to divide",
    "%": "a remainder is not part of a formula",
    "&": "write and between conditions",
    "|": "write or between conditions",
    "!": "write not before a condition",
    ":": "write numbers, names, + - * / ** and functions",
    "'": "text is not part of a formula; a column whose name is no plain word stands in "
    "backticks: `flow rate`",
    '"': "text is not part of a formula; a column whose name is no plain word stands in "
    "backticks: `flow rate`",
    "`": "a backtick is not closed",
}


@dataclass(frozen=True)
class Token:
    """One token: its kind ("number", "name" or "operator"), text, and position counted from 0."""

    kind: str
    text: str
    at: int


@dataclass(frozen=True)
class Source:
    """A formula as Python source that holds no word of the user's.

    ``code`` is the right side with every name as ``v0, v1, …``; ``names`` are the names these stand
    for; ``starts`` and ``origins`` say where in ``text`` each token of ``code`` came from.
    """

    text: str
    left: tuple[Token, ...]
    code: str
    names: tuple[str, ...]
    starts: tuple[int, ...]
    origins: tuple[int, ...]

    def position(self, offset: int) -> int:
        """The position in the user's text of a column of ``code``."""
        index = max(0, bisect_right(self.starts, offset) - 1)
        return self.origins[index] if self.origins else len(self.text)


def locate(text: str, at: int, message: str) -> NoReturn:
    """Raise FormulaError, with the position (counted from 1) and the text about it."""
    around = text[max(0, at - 20) : at + 20].strip()
    raise FormulaError(f"formula, character {at + 1}: {message} (near {around!r})")


def read_tokens(text: str) -> Source:
    """Split at ``~``, refuse what no formula holds, and write the right side anew for Python's
    parser.

    Raises
    ------
    FormulaError
        With the position of what was refused.
    """
    if not isinstance(text, str):
        raise FormulaError(
            f"the formula is a {type(text).__name__}; expected text such as 'y ~ a + b*x'"
        )
    if len(text) > _LONGEST:
        raise FormulaError(
            f"the formula has {len(text):,} characters; at most {_LONGEST:,} are read"
        )
    tokens = _tokens(text)
    waves = [i for i, token in enumerate(tokens) if token.text == "~" and token.kind == "operator"]
    if len(waves) != 1:
        found = "no '~'" if not waves else "more than one '~'"
        raise FormulaError(
            f"the formula {text[:60]!r} has {found}; write target ~ expression, such as 'y ~ "
            "a + b*x'"
        )
    left, right = tokens[: waves[0]], tokens[waves[0] + 1 :]
    if not right:
        locate(text, len(text), "nothing stands right of '~'")
    _check_nesting(text, right)
    return _rewrite(text, tuple(left), right)


def _tokens(text: str) -> list[Token]:
    tokens: list[Token] = []
    at = 0
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None or match.lastgroup is None:
            locate(
                text,
                at,
                f"{text[at]!r} is not allowed; "
                f"{_HINTS.get(text[at], 'it has no meaning in a formula')}",
            )
        kind, found = match.lastgroup, match.group(match.lastgroup)
        if kind == "operator" and found == "//":
            locate(text, at, f"'//' is not allowed; {_HINTS['//']}")
        if kind == "name" and found in _WORDS:
            kind = "operator"
        elif kind == "name" and not (found == "if" and text[match.end() :].lstrip()[:1] == "("):
            _check_name(text, at, found)
        if kind == "number":
            _check_number(text, at, found, match.end())
        if kind != "space":
            tokens.append(Token("name" if kind == "quoted" else kind, found, at))
        at = match.end()
    return tokens


def _check_name(text: str, at: int, name: str) -> None:
    if name.startswith("__"):
        locate(text, at, f"{name!r} is not allowed: names that begin with '__' are reserved")
    if keyword.iskeyword(name):
        hint = (
            f"as the name of a column write `{name}` in backticks"
            if name != "lambda"
            else "call the parameter lam"
        )
        locate(text, at, f"{name!r} is a word of Python and not part of a formula; {hint}")


def _check_number(text: str, at: int, number: str, end: int) -> None:
    if end < len(text) and (text[end].isalpha() or text[end] in "_`"):
        locate(
            text,
            end,
            f"a multiplication sign is missing after {number}; write {number}*{text[end]}",
        )
    if end < len(text) and text[end] == "(":
        locate(text, end, f"a multiplication sign is missing after {number}; write {number}*(…)")
    if float(number) in (float("inf"), float("-inf")):
        locate(text, at, f"the number {number[:30]} is too large for float64")


def _check_nesting(text: str, tokens: list[Token]) -> None:
    opened: list[int] = []
    signs = 0
    for token in tokens:
        signs = signs + 1 if token.text in ("+", "-") and token.kind == "operator" else 0
        if signs > 3:
            locate(text, token.at, "more than three signs in a row")
        if token.text == "(" and token.kind == "operator":
            opened.append(token.at)
            if len(opened) > _DEEPEST:
                locate(
                    text,
                    token.at,
                    f"parentheses are nested more than {_DEEPEST} deep; split the formula",
                )
        elif token.text == ")" and token.kind == "operator":
            if not opened:
                locate(
                    text,
                    token.at,
                    "this ')' closes nothing; remove it or add the '(' it belongs to",
                )
            opened.pop()
    if opened:
        locate(text, opened[-1], "this '(' is never closed; add a ')'")


def _rewrite(text: str, left: tuple[Token, ...], tokens: list[Token]) -> Source:
    numbers: dict[str, int] = {}
    pieces, starts, origins, length = [], [], [], 0
    for token in tokens:
        if token.kind == "name":
            piece = f"v{numbers.setdefault(token.text, len(numbers))}"
        elif token.kind == "number":
            value = float(token.text)
            piece = str(int(value)) if value.is_integer() and value < 1e15 else repr(value)
        else:
            piece = {"^": "**"}.get(token.text, token.text)
        starts.append(length)
        origins.append(token.at)
        pieces.append(piece)
        length += len(piece) + 1
    return Source(text, left, " ".join(pieces), tuple(numbers), tuple(starts), tuple(origins))


_COMPARISONS = {
    ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">=", ast.Eq: "==", ast.NotEq: "!=",
}  # fmt: skip
_OPERATORS = {ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/", ast.Pow: "**"}


@dataclass(frozen=True)
class ParsedFormula:
    """What a formula says.

    Attributes
    ----------
    text : str
        The formula as it was given.
    target : str
        The column on the left side.
    target_function : str
        What the left side applies to it (a key of ``TARGET_FUNCTIONS``), or ``"identity"``.
    columns : tuple of str
        The data columns of the right side, in the order in which they first appear.
    parameters : tuple of str
        All other names: by their numbers where they are one stem with numbers (b1, b2, …), else in
        the order in which they first appear.
    expression : sympy.Expr
        The right side.
    deciding : tuple of str
        Parameters that stand in conditions alone.
    """

    text: str
    target: str
    target_function: str
    columns: tuple[str, ...]
    parameters: tuple[str, ...]
    expression: Any = field(compare=False, repr=False)
    deciding: tuple[str, ...] = ()


def parse_formula(
    text: str, columns: Sequence[str], parameters: Sequence[str] | None = None
) -> ParsedFormula:
    """Read a formula over the data columns ``columns``; every other name is a parameter.

    Parameters
    ----------
    text : str
        ``target ~ expression``. The expression has numbers, names, ``+ - * / **`` (``^`` is read as
        ``**``), parentheses, ``pi`` and the functions of
        :data:`halfsquare.models.formula.functions.FUNCTIONS`; the conditions of ``where`` and
        ``piecewise`` are comparisons, joined by ``and``, ``or``, ``not``. A name that is no plain
        word stands in backticks: `` `flow rate` ``. The left side is a column, or one
        of ``TARGET_FUNCTIONS`` of a column.
    columns : sequence of str
        The columns of the data, the target among them.
    parameters : sequence of str, optional
        The names that may be parameters; any name may where this is left out.

    Raises
    ------
    FormulaError
        If anything else is found; the message names the position, counted from 1.

    Examples
    --------
    >>> formula = parse_formula("y ~ b1*(1 - exp(-b2*x))", columns=["x", "y"])
    >>> formula.target, formula.columns, formula.parameters
    ('y', ('x',), ('b1', 'b2'))
    """
    source = read_tokens(text)
    target, function = _read_target(source, columns)
    reader = _Reader(
        source, frozenset(columns), None if parameters is None else frozenset(parameters)
    )
    expression = reader.build(_tree(source))
    if target in reader.columns:
        raise FormulaError(
            f"the target {target!r} is also on the right side of {text!r}; a target cannot "
            "explain itself"
        )
    if not reader.parameters:
        raise FormulaError(
            f"the formula {text!r} has no parameters: every name in it is a column, so there "
            "is nothing to fit. "
            "Write a name that is no column, such as b1*x; a model of terms is --model linear"
        )
    return ParsedFormula(
        text,
        target,
        function,
        tuple(reader.columns),
        tuple(_ordered(list(reader.parameters))),
        expression,
        tuple(name for name in reader.parameters if name not in reader.felt),
    )


def _ordered(names: list[str]) -> list[str]:
    """Names of one stem with numbers by number; others as they came."""
    parts = [re.fullmatch(r"(.*?)([0-9]+)", name) for name in names]
    if (
        all(part is not None for part in parts)
        and len({part.group(1) for part in parts if part}) == 1
    ):
        return sorted(names, key=lambda name: int(re.fullmatch(r".*?([0-9]+)", name).group(1)))  # type: ignore[union-attr]
    return names


def _read_target(source: Source, columns: Sequence[str]) -> tuple[str, str]:
    """The target column and the function applied to it, from the tokens left of ``~``."""
    tokens = [token.text for token in source.left]
    words = [token for token in source.left if token.kind == "name"]
    if len(tokens) == 1 and words:
        name, function = words[0], "identity"
    elif len(tokens) == 4 and len(words) == 2 and tokens[1::2] == ["(", ")"]:
        name, function = words[1], words[0].text
        if function not in TARGET_FUNCTIONS:
            allowed = ", ".join(TARGET_FUNCTIONS)
            locate(
                source.text,
                words[0].at,
                f"{function!r} cannot stand on the left side; allowed are: {allowed}",
            )
    else:
        at = source.left[0].at if source.left else 0
        locate(
            source.text,
            at,
            "the left side is not a column of the data; write a column, or such as log(y), "
            "before '~'",
        )
    if name.text not in columns:
        near = get_close_matches(name.text, columns, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else f"; the columns are {_listed(columns)}"
        locate(
            source.text, name.at, f"the left side {name.text!r} is not a column of the data{hint}"
        )
    return name.text, {"ln": "log"}.get(function, function)


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(map(repr, list(names)[:12]))
    return shown + (", …" if len(names) > 12 else "")


def _tree(source: Source) -> ast.expr:
    try:
        return ast.parse(source.code, mode="eval").body
    except (SyntaxError, ValueError, MemoryError, RecursionError) as problem:
        if isinstance(problem, SyntaxError) and problem.offset is not None:
            at = source.position(problem.offset - 1)
            locate(
                source.text,
                at,
                "the formula cannot be read from here: an operator, a name or a ')' is missing",
            )
        raise FormulaError(
            f"the formula {source.text[:60]!r} is nested too deeply; use fewer parentheses"
        ) from None


class _Reader:
    """Turns the tree into an expression; what is not on the allow-list is refused where it
    stands.
    """

    def __init__(
        self, source: Source, columns: frozenset[str], allowed: frozenset[str] | None
    ) -> None:
        self._source, self._known, self._allowed = source, columns, allowed
        self._algebra = Algebra()
        self.columns: dict[str, None] = {}
        self.parameters: dict[str, None] = {}
        self.felt: dict[str, None] = {}  # parameters outside of conditions
        self._deciding = False

    def build(self, node: ast.expr) -> Any:
        if isinstance(node, ast.BinOp):
            return self._chain(node)
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub | ast.UAdd):
            value = self.build(node.operand)
            return -value if isinstance(node.op, ast.USub) else value
        if isinstance(node, ast.Constant) and isinstance(node.value, int | float):
            return self._algebra.number(node.value)
        if isinstance(node, ast.Name):
            return self._name(node)
        if isinstance(node, ast.Call):
            return self._call(node)
        if isinstance(node, ast.Compare | ast.BoolOp) or (
            isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not)
        ):
            self._refuse(
                node,
                "a condition stands where a number should; write where(condition, value, other), "
                "and where(condition, 1, 0) for 1 where it holds",
            )
        if isinstance(node, ast.Tuple):
            self._refuse(
                node, "a comma is not allowed here; write one expression, and decimals with a point"
            )
        self._refuse(
            node, "this is not allowed in a formula; write numbers, names, + - * / ** and functions"
        )

    def _chain(self, node: ast.BinOp) -> Any:
        """A run of operators of one rank, read from the left without recursion: a long sum is not
        deep.
        """
        steps: list[tuple[ast.BinOp, str]] = []
        rank = _rank(node)
        left: ast.expr = node
        while isinstance(left, ast.BinOp) and _rank(left) == rank:
            steps.append((left, _OPERATORS[type(left.op)]))
            left = left.left
            if rank == 2:
                break
        value = self.build(left)
        for step, operator in reversed(steps):
            if operator == "**":
                self._refuse_tower(step)
            value = self._checked(
                step, self._algebra.combine, operator, value, self.build(step.right)
            )
        return self._checked(node, self._algebra.close, value)

    def _refuse_tower(self, node: ast.BinOp) -> None:
        """``a**b**c`` is read from the right by some and from the left by others; higher towers
        help nobody.
        """
        right = node.right
        while isinstance(right, ast.UnaryOp):
            right = right.operand
        if not isinstance(right, ast.BinOp) or not isinstance(right.op, ast.Pow):
            return
        if "(" not in self._source.code[_end(node.left) : right.col_offset]:
            self._refuse(
                right, "a power tower a**b**c can be read in two ways; write a**(b**c) or (a**b)**c"
            )
        if _tower(right) > 2:
            self._refuse(right, "a power tower of this height is not allowed; at most a**(b**c)")

    def _name(self, node: ast.Name) -> Any:
        name = self._source.names[int(node.id[1:])]
        if name in self._known:
            self.columns[name] = None
            return self._algebra.symbol(name)
        if name == "pi":
            return self._algebra.pi
        if name in FUNCTIONS and name not in ALSO_NAMES:
            self._refuse(node, f"{name} is a function: write {name}(…)")
        if self._allowed is not None and name not in self._allowed:
            near = get_close_matches(name, [*self._known, *self._allowed], n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            self._refuse(
                node, f"{name!r} is neither a column nor one of the parameters listed{hint}"
            )
        self.parameters[name] = None
        if not self._deciding:
            self.felt[name] = None
        return self._algebra.symbol(name)

    def _call(self, node: ast.Call) -> Any:
        if not isinstance(node.func, ast.Name):
            return self._refuse(node, "a multiplication sign is missing before '('; write 2*(…)")
        name = self._source.names[int(node.func.id[1:])]
        if name not in FUNCTIONS:
            if name in self._known or len(name) <= 2:
                self._refuse(node, f"{name!r} is not a function; for a product write {name}*(…)")
            near = get_close_matches(name, FUNCTIONS, n=1)
            hint = f"did you mean {near[0]!r}? " if near else ""
            self._refuse(
                node, f"unknown function {name!r}; {hint}allowed are: {', '.join(FUNCTIONS)}"
            )
        starred = any(isinstance(a, ast.Starred) for a in node.args)
        if node.keywords or starred or not takes(name, len(node.args)):
            called = CALLED.get(FUNCTIONS[name])
            self._refuse(
                node,
                f"{name} takes one argument: write {name}(x)"
                if called is None
                else f"write {name}{called[called.index('(') :]}",
            )
        decided = range(0, len(node.args) - 1, 2) if FUNCTIONS[name] in _CHOOSING else ()
        arguments = [
            self._condition(a) if i in decided else self.build(a) for i, a in enumerate(node.args)
        ]
        return self._checked(node, self._algebra.apply, name, *arguments)

    def _condition(self, node: ast.expr) -> Any:
        """An expression that is 1 where a condition holds, else 0."""
        if isinstance(node, ast.BoolOp):
            word = "and" if isinstance(node.op, ast.And) else "or"
            return self._algebra.join(word, [self._condition(v) for v in node.values])
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
            return self._algebra.join("not", [self._condition(node.operand)])
        if not isinstance(node, ast.Compare) or not {type(o) for o in node.ops} <= {*_COMPARISONS}:
            return self._refuse(node, "a condition is missing here; write such as x < 2")
        before, self._deciding = self._deciding, True
        values = [self.build(v) for v in (node.left, *node.comparators)]
        self._deciding = before
        each = [
            self._algebra.compare(_COMPARISONS[type(o)], a, b)
            for o, (a, b) in zip(node.ops, pairwise(values), strict=True)
        ]
        return self._algebra.join("and", each)

    def _checked(self, node: ast.expr, work: Callable[..., Any], *arguments: Any) -> Any:
        """``work``, with its complaint placed at ``node``."""
        try:
            return work(*arguments)
        except ArithmeticError as problem:
            self._refuse(node, str(problem))

    def _refuse(self, node: ast.expr, message: str) -> Any:
        locate(self._source.text, self._source.position(node.col_offset), message)


def _rank(node: ast.BinOp) -> int:
    return {"+": 0, "-": 0, "*": 1, "/": 1, "**": 2}[_OPERATORS[type(node.op)]]


def _end(node: ast.expr) -> int:
    return node.end_col_offset or 0


def _tower(node: ast.expr) -> int:
    """How many powers stand on each other in exponents."""
    height = 0
    while isinstance(node, ast.BinOp) and isinstance(node.op, ast.Pow):
        height += 1
        node = node.right
    return height + 1
