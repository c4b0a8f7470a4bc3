"""Reads a formula such as ``y ~ b1*(1 - exp(-b2*x))``; nothing in it is ever evaluated.

    text ─ tokens → plain Python source ─ ast.parse → tree ─ allow-list → expression

The tokens are checked first (:mod:`halfsquare.models.formula.tokens`), then each node of the tree
(:mod:`halfsquare.models.formula.reader`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any

from halfsquare.errors import FormulaError
from halfsquare.models.formula.reader import Reader, listed, syntax_tree
from halfsquare.models.formula.tokens import Source, locate, read_tokens
from halfsquare.models.target import TARGET_FUNCTIONS


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
    grouped : tuple of (parameter, column)
        Those with a value for each level of a column, as a[plant].
    """

    text: str
    target: str
    target_function: str
    columns: tuple[str, ...]
    parameters: tuple[str, ...]
    expression: Any = field(compare=False, repr=False)
    deciding: tuple[str, ...] = ()
    grouped: tuple[tuple[str, str], ...] = ()


def parse_formula(
    text: str,
    columns: Sequence[str],
    parameters: Sequence[str] | None = None,
    levels: Mapping[str, Sequence[str]] | None = None,
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
    levels : mapping of column to its levels, optional
        What ``a[plant]`` has a parameter for, ``a[level]`` each; where a column is not among them,
        ``a[plant]`` itself stands for all.

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
    reader = Reader(
        source, frozenset(columns), None if parameters is None else frozenset(parameters), levels
    )
    expression = reader.build(syntax_tree(source))
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
        tuple(reader.grouped.items()),
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
        hint = f"; did you mean {near[0]!r}?" if near else f"; the columns are {listed(columns)}"
        locate(
            source.text, name.at, f"the left side {name.text!r} is not a column of the data{hint}"
        )
    return name.text, {"ln": "log"}.get(function, function)
