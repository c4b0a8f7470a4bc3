"""Small expressions written as text, LaTeX and MathML, with terms and factors in the order in which they stand.

SymPy's own printers sort; a derivation has the order that a person would write. Only the shapes that
the squared error of one example needs are known: sums, products, squares, ½, letters and numbers.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Notation:
    """How the handful of shapes that occur here are written."""

    half: str
    minus: str
    plus: str
    equals: str
    times: str
    square: Callable[[str], str]
    group: Callable[[str], str]
    letter: Callable[[str], str]
    number: Callable[[str], str]
    whole: Callable[[str], str]


def _same(x: str) -> str:
    return x


NOTATIONS = {
    "text": Notation("½", "−", "+", " = ", "·", lambda x: f"{x}²", lambda x: f"({x})", _same, _same, _same),
    "latex": Notation(
        r"\frac{1}{2}",
        "-",
        "+",
        " = ",
        r" \cdot ",
        lambda x: f"{x}^{{2}}",
        lambda x: rf"\left({x}\right)",
        _same,
        lambda x: x.replace("−", "-"),
        _same,
    ),
    "mathml": Notation(
        "<mfrac><mn>1</mn><mn>2</mn></mfrac>",
        "<mo>−</mo>",
        "<mo>+</mo>",
        "<mo>=</mo>",
        "<mo>·</mo>",
        lambda x: f"<msup><mrow>{x}</mrow><mn>2</mn></msup>",
        lambda x: f"<mrow><mo>(</mo>{x}<mo>)</mo></mrow>",
        lambda x: f"<mi>{x}</mi>",
        lambda x: f"<mn>{x}</mn>",
        lambda x: f'<math display="block">{x}</math>',
    ),
}


def write_value(text: str, n: Notation) -> str:
    """A number that is already text, in this notation."""
    return n.minus + n.number(text[1:]) if text.startswith("−") else n.number(text)


def write(e: Any, n: Notation) -> str:
    """The expression in this notation, its terms and factors in the order in which they stand."""
    if e.is_Add:
        return _write_sum([_signed(term) for term in e.args], n)
    if e.is_Pow:
        return n.square(_write_factor(e.base, n))
    if e.is_Mul:
        negative, factors = _signed(e)
        return (n.minus if negative else "") + _write_product(factors, n)
    if e.is_Symbol:
        return _write_symbol(e.name, n)
    return n.number(str(e)) if e.is_Integer else n.half


def _signed(term: Any) -> tuple[bool, list[Any]]:
    """Whether the term is negative, and its factors without the sign."""
    factors = list(term.args) if term.is_Mul else [term]
    first = factors[0]
    if not (first.is_Number and first < 0):
        return False, factors
    return True, factors[1:] if first == -1 and len(factors) > 1 else [-first, *factors[1:]]


def _write_sum(terms: list[tuple[bool, list[Any]]], n: Notation) -> str:
    space = "" if n.minus.startswith("<") else " "
    first, *rest = terms
    head = (n.minus if first[0] else "") + _write_product(first[1], n)
    return head + "".join(
        f"{space}{n.minus if negative else n.plus}{space}{_write_product(factors, n)}" for negative, factors in rest
    )


def _write_product(factors: list[Any], n: Notation) -> str:
    parts = [_write_factor(f, n) for f in factors]
    joined = parts[0]
    for before, factor, part in zip(factors, factors[1:], parts[1:], strict=False):
        # Two numbers side by side need a sign between them; all else is written together.
        joined += (n.times if _is_number(before) and _is_number(factor) else "") + part
    return joined


def _write_factor(e: Any, n: Notation) -> str:
    return n.group(write(e, n)) if e.is_Add else write(e, n)


def _is_number(e: Any) -> bool:
    return bool(e.is_Number) or (e.is_Symbol and not e.name.isalpha())


def _write_symbol(name: str, n: Notation) -> str:
    if name.isalpha():
        return n.letter(name)
    return n.group(write_value(name, n)) if name.startswith("−") else n.number(name)


def number(x: float) -> str:
    """At most 10 significant digits, with a real minus sign."""
    return f"{x:.10g}".replace("-", "−")
