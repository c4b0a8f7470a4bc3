"""The tokens of a formula of terms: what each is and where it stands; nothing is evaluated.

Characters, length and nesting are checked here, before any tree is made.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, NoReturn

from halfsquare.errors import FormulaError

LONGEST = 20_000  # characters
DEEPEST = 40  # parentheses

Kind = Literal["number", "name", "string", "operator", "end"]
_TOKEN = re.compile(
    r"(?P<space>\s+)"
    r"|(?P<number>(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)"
    r"|(?P<name>[^\W\d][\w.]*)"
    r"|`(?P<quoted>[^`\n]+)`"
    r"|\"(?P<double>[^\"\n]*)\"|'(?P<single>[^'\n]*)'"
    r"|(?P<operator>%in%|\*\*|==|!=|<=|>=|[-+*/^:(),~=<>{}\[\].])"
)
_HINTS = {
    "%": "the only such operator is %in%",
    "|": "grouped terms are not part of it; absorbed effects are the option absorb",
    "&": "write I(a > 1) * I(b > 2) for both of two conditions",
    "`": "a backtick is not closed",
    '"': "a quotation mark is not closed",
    "'": "a quotation mark is not closed",
    "@": "it has no meaning in a formula",
}


@dataclass(frozen=True)
class Token:
    """One token: kind, text, and position counted from 0; ``quoted`` for a name in backticks."""

    kind: Kind
    text: str
    at: int
    quoted: bool = False

    def is_operator(self, *texts: str) -> bool:
        """Whether it is one of these operators."""
        return self.kind == "operator" and self.text in texts


def refuse(text: str, at: int, message: str) -> NoReturn:
    """Raise FormulaError with the position (from 1), the line about it, and a caret below it.

    Raises
    ------
    FormulaError
    """
    flat = re.sub(r"\s", " ", text)
    start = max(0, at - 60)
    shown = flat[start : at + 40]
    caret = " " * (at - start) + "^"
    raise FormulaError(f"formula, character {at + 1}: {message}\n  {shown}\n  {caret}")


def tokens_of(text: str) -> list[Token]:
    """Split a formula into tokens, the last of kind ``"end"``.

    Raises
    ------
    FormulaError
        At the first character that no formula holds; if it is too long or nested too deeply.

    Examples
    --------
    >>> [token.text for token in tokens_of("y ~ a:b")]
    ['y', '~', 'a', ':', 'b', '']
    """
    if not isinstance(text, str):
        raise FormulaError(f"the formula is a {type(text).__name__}; expected text: 'y ~ a + b'")
    if len(text) > LONGEST:
        raise FormulaError(
            f"the formula has {len(text):,} characters; at most {LONGEST:,} are read"
        )
    found: list[Token] = []
    at = 0
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None or match.lastgroup is None:
            hint = _HINTS.get(text[at], "it has no meaning in a formula of terms")
            refuse(text, at, f"{text[at]!r} is not allowed; {hint}")
        kind, word = match.lastgroup, match.group(match.lastgroup)
        if kind in ("number", "operator"):
            found.append(Token("number" if kind == "number" else "operator", word, at))
        elif kind in ("name", "quoted"):
            found.append(Token("name", word, at, kind == "quoted"))
        elif kind in ("double", "single"):
            found.append(Token("string", word, at))
        at = match.end()
    _check_nesting(text, found)
    return [*found, Token("end", "", len(text))]


def _check_nesting(text: str, tokens: list[Token]) -> None:
    closing = {")": "(", "]": "[", "}": "{"}
    opened: list[Token] = []
    for token in tokens:
        if token.is_operator("(", "[", "{"):
            opened.append(token)
            if len(opened) > DEEPEST:
                refuse(text, token.at, f"nested more than {DEEPEST} deep; split the formula")
        elif token.is_operator(")", "]", "}"):
            if not opened or opened[-1].text != closing[token.text]:
                refuse(text, token.at, f"this '{token.text}' closes nothing; remove it")
            opened.pop()
    if opened:
        refuse(text, opened[-1].at, f"this '{opened[-1].text}' is never closed")
