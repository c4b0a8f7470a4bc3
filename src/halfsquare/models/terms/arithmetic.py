"""Arithmetic on columns: what stands inside ``I( )`` and the functions, worked out node by node.

Only what is listed here has a meaning; there is no evaluation of text. Rows whose result is no
number (the logarithm of 0, say) become NaN here; who asks decides what to say of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from difflib import get_close_matches
from math import e, pi
from typing import Any

import numpy as np

from halfsquare.loss import Floats
from halfsquare.models.terms.dates import PARTS, part
from halfsquare.models.terms.syntax import Binary, Call, Name, Node, Number, Sign, unparse
from halfsquare.models.terms.tokens import refuse

FUNCTIONS: dict[str, Callable[..., Any]] = {
    "log": np.log, "ln": np.log, "log10": np.log10, "log2": np.log2, "log1p": np.log1p,
    "exp": np.exp, "expm1": np.expm1, "sqrt": np.sqrt, "abs": np.abs, "sign": np.sign,
    "sin": np.sin, "cos": np.cos, "tan": np.tan, "tanh": np.tanh, "atan": np.arctan,
    "floor": np.floor, "ceil": np.ceil, "round": np.round,
}  # fmt: skip
_TWO = {"min": np.minimum, "max": np.maximum}
_OPERATORS: dict[str, Callable[..., Any]] = {
    "+": np.add, "-": np.subtract, "*": np.multiply, "/": np.divide, "^": np.power,
    "<": np.less, ">": np.greater, "<=": np.less_equal, ">=": np.greater_equal,
    "==": np.equal, "!=": np.not_equal,
}  # fmt: skip
_CONSTANTS = {"pi": pi, "e": e}
#: Functions that learn a number or two from the training rows: mean, or mean and spread.
LEARNING = ("center", "scale", "standardize")


def check(node: Node, text: str, numbers: Mapping[str, bool]) -> None:
    """Refuse what is no arithmetic on number columns; ``numbers`` says of each column if it is one.

    Raises
    ------
    FormulaError
        With a caret at what was found.
    """
    if isinstance(node, Name):
        if node.name in numbers and not numbers[node.name]:
            refuse(text, node.at, f"column {node.name!r} is text, and arithmetic needs numbers")
        if node.name not in numbers and (node.quoted or node.name not in _CONSTANTS):
            refuse(text, node.at, unknown_column(node.name, list(numbers)))
    elif isinstance(node, Sign):
        check(node.operand, text, numbers)
    elif isinstance(node, Binary) and node.operator in _OPERATORS:
        check(node.left, text, numbers)
        check(node.right, text, numbers)
    elif isinstance(node, Call):
        _check_call(node, text, numbers)
    elif not isinstance(node, Number):
        hint = (
            f"inside a function {node.operator!r} has no meaning"
            if isinstance(node, Binary)
            else ""
        )
        refuse(text, node.at, hint or "expected a number, a column, or arithmetic on them")


def _check_call(node: Call, text: str, numbers: Mapping[str, bool]) -> None:
    if node.function in PARTS:
        return  # looked at where dates become numbers
    known = ("I", *FUNCTIONS, *LEARNING, *_TWO, *PARTS)
    if node.function not in known:
        refuse(text, node.at, unknown_function(node.function, known))
    if node.named:
        refuse(text, node.named[0][1].at, f"{node.function} takes no {node.named[0][0]}")
    wanted = 2 if node.function in _TWO else 1
    if len(node.arguments) != wanted:
        shown = "(x)" if wanted == 1 else "(a, b)"
        refuse(
            text,
            node.at,
            f"{node.function} takes {wanted} argument{'s' * (wanted > 1)}: {node.function}{shown}",
        )
    for argument in node.arguments:
        check(argument, text, numbers)


def unknown_function(name: str, known: Any) -> str:
    """What to say of a function that is not on the list."""
    near = get_close_matches(name, list(known), n=1)
    hint = f"did you mean {near[0]}? " if near else ""
    return f"unknown function {name!r}; {hint}allowed are: {', '.join(known)}"


def unknown_column(name: str, columns: list[str]) -> str:
    """What to say of a name that is no column."""
    near = get_close_matches(name, columns, n=1)
    shown = ", ".join(map(repr, columns[:12])) + (", …" if len(columns) > 12 else "")
    return f"{name!r} is no column of the data" + (
        f"; did you mean {near[0]!r}?" if near else f"; the columns are {shown}"
    )


def evaluate(node: Node, columns: Mapping[str, Floats], states: Mapping[str, Any]) -> Floats:
    """The value of arithmetic that :func:`check` has let pass, for each row.

    Parameters
    ----------
    columns : mapping of name to (m,)
    states : mapping of the text of a learning function to what it has learnt

    Returns
    -------
    (m,) float64, or (1,) where no column is named
    """
    with np.errstate(all="ignore"):
        return np.atleast_1d(np.asarray(_value(node, columns, states), dtype=np.float64))


def _value(node: Node, columns: Mapping[str, Floats], states: Mapping[str, Any]) -> Any:
    if isinstance(node, Number):
        return np.float64(node.value)
    if isinstance(node, Name):
        return columns[node.name] if node.name in columns else np.float64(_CONSTANTS[node.name])
    if isinstance(node, Sign):
        value = _value(node.operand, columns, states)
        return -value if node.operator == "-" else value
    if isinstance(node, Binary):
        left, right = _value(node.left, columns, states), _value(node.right, columns, states)
        found = np.asarray(_OPERATORS[node.operator](left, right), dtype=np.float64)
        if node.operator in ("<", ">", "<=", ">=", "==", "!="):
            return np.where(np.isnan(left) | np.isnan(right), np.nan, found)
        return found
    assert isinstance(node, Call)
    values = [_value(a, columns, states) for a in node.arguments]
    if node.function in PARTS:
        return part(node.function, values[0])
    if node.function == "I":
        return values[0]
    if node.function in LEARNING:
        state = states[unparse(node)]
        return (values[0] - state["mean"]) / state["scale"]
    if node.function in _TWO:
        return _TWO[node.function](*values)
    return FUNCTIONS[node.function](values[0])


def learning_calls(node: Node) -> list[Call]:
    """The calls inside arithmetic that learn from the rows, innermost first."""
    found: list[Call] = []
    if isinstance(node, Call):
        for argument in node.arguments:
            found += learning_calls(argument)
        if node.function in LEARNING:
            found.append(node)
    elif isinstance(node, Binary):
        found = learning_calls(node.left) + learning_calls(node.right)
    elif isinstance(node, Sign):
        found = learning_calls(node.operand)
    return found
