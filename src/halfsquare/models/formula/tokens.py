"""The tokens of a formula: length, nesting and characters are checked before anything is read.

Names become ``v0, v1, …`` before Python's parser sees the text, so that no word of the user's can
mean anything to it.
"""

from __future__ import annotations

import keyword
import re
from bisect import bisect_right
from dataclasses import dataclass
from typing import NoReturn

from halfsquare.errors import FormulaError

_LONGEST = 4000  # characters
_DEEPEST = 40  # parentheses
_TOKEN = re.compile(
    r"(?P<space>\s+)|(?P<number>(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)|(?P<name>[^\W\d]\w*)"
    r"|`(?P<quoted>[^`\n]+)`|(?P<operator>\*\*|//|<=|>=|==|!=|[-+*/^(),~<>\[\]])"
)
_WORDS = ("and", "or", "not")
# What people write instead, and what to write here.
_HINTS = {
    "=": "write '~' between target and formula",
    ".": "attribute access is not part of a formula; write exp(x), not np.exp(x)",
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
    _check_levels(text, right)
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


def _check_levels(text: str, tokens: list[Token]) -> None:
    """Square brackets hold one name, behind another: a[plant]."""
    inside = -1
    for i, token in enumerate(tokens):
        if token.kind != "operator" or token.text not in "[]" or i == inside:
            continue
        around = [t.kind if t.kind == "name" else t.text for t in tokens[max(i - 1, 0) : i + 3]]
        if token.text == "]" or around != ["name", "[", "name", "]"]:
            locate(
                text,
                token.at,
                "square brackets stand behind a parameter and hold a column, as in a[plant]: one "
                "value for each level of it; else write ( ) for brackets",
            )
        inside = i + 2


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
