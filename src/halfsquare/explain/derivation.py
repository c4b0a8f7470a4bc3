"""The derivative of the squared error, line by line: as text, LaTeX and MathML.

SymPy does the algebra (expanding, differentiating); what is written here is only the order in
which a person would put the terms. SymPy is imported when a derivation is asked for, not before.
Conventions: see :mod:`halfsquare.loss`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import Any

from halfsquare.loss import Convention, sse_factor
from halfsquare.text import digits_apart


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
    "text": Notation(
        "½", "−", "+", " = ", "·", lambda x: f"{x}²", lambda x: f"({x})", _same, _same, _same
    ),
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
        f"{space}{n.minus if negative else n.plus}{space}{_write_product(factors, n)}"
        for negative, factors in rest
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


def number(x: float, digits: int = 10) -> str:
    """At most so many significant digits, with a real minus sign."""
    return f"{x:.{digits}g}".replace("-", "−")


_LHS_VALUE = {"text": "L", "latex": "L", "mathml": "<mi>L</mi>"}
_LHS_GRADIENT = {
    "text": "∂L/∂o",
    "latex": r"\frac{\partial L}{\partial o}",
    "mathml": "<mfrac><mrow><mo>∂</mo><mi>L</mi></mrow><mrow><mo>∂</mo><mi>o</mi></mrow></mfrac>",
}


@dataclass(frozen=True)
class Line:
    """One line of a derivation in three notations, and why it follows from the line before."""

    reason: str
    text: str
    latex: str
    mathml: str


@dataclass(frozen=True)
class Derivation:
    """The lines from the loss of one example to its derivative with respect to the output.

    Examples
    --------
    >>> print(derivation("half_sse").text)
    L = ½(t − o)²
    L = ½(t² − 2to + o²)
    ∂L/∂o = ½(−2t + 2o)
    ∂L/∂o = o − t
    """

    lines: tuple[Line, ...]

    @property
    def text(self) -> str:
        """The lines in Unicode, one below the other."""
        return "\n".join(line.text for line in self.lines)

    @property
    def latex(self) -> str:
        """One ``align*`` environment, the equal signs below each other."""
        rows = " \\\\\n".join(line.latex.replace(" = ", " &= ", 1) for line in self.lines)
        return f"\\begin{{align*}}\n{rows}\n\\end{{align*}}"

    @property
    def mathml(self) -> str:
        """The lines as ``math`` elements, one below the other."""
        return "\n".join(line.mathml for line in self.lines)

    def as_dict(self) -> dict[str, Any]:
        """``text``, ``latex`` and ``mathml`` whole, and ``lines`` one by one."""
        return {
            "text": self.text,
            "latex": self.latex,
            "mathml": self.mathml,
            "lines": [asdict(line) for line in self.lines],
        }


def derivation(
    convention: Convention = "half_sse",
    *,
    at: tuple[float, float] | None = None,
    weight: float = 1.0,
) -> Derivation:
    """Derive the gradient of the loss of one example with respect to its output.

    Parameters
    ----------
    convention : {"half_sse", "sse", "mse", "half_mse"}
        For one example of weight 1 the sums and the means agree.
    at : (target, output), optional
        Adds two lines with these numbers put in.
    weight : float
        Where it is not 1, half_sse and sse carry the factor w; in the means it cancels.

    Raises
    ------
    OptionError
        If the convention is none of the four.
    """
    doubled = 2 * sse_factor(convention, 1, 1.0)
    weighted = weight != 1.0 and not convention.endswith("mse")
    lines = list(_general(int(doubled), weighted))
    if at is not None:
        lines += _with_numbers(int(doubled), *at, weight if weighted else None)
    return Derivation(tuple(lines))


@lru_cache(maxsize=8)
def _general(doubled: int, weighted: bool) -> tuple[Line, ...]:
    """The lines in letters. ``doubled`` is 2a in loss = a (t-o)²: 1 with the half, 2 without."""
    import sympy

    t, o, w = sympy.symbols("t o w", real=True)
    front = [sympy.Rational(doubled, 2), *([w] if weighted else [])]
    # The powers of o, lowest first, are the order of the textbook: t² - 2to + o².
    coefficients = reversed(sympy.Poly((t - o) ** 2, o).all_coeffs())
    square = [_product(sympy, *c.as_coeff_Mul(), o**i) for i, c in enumerate(coefficients)]
    slopes = [sympy.diff(term.doit(), o) for term in square]
    gradient = sympy.factor(sympy.diff(sympy.Rational(doubled, 2) * (t - o) ** 2, o))
    assert sympy.expand(gradient - doubled * (o - t)) == 0
    difference = sympy.Add(o, -t, evaluate=False)
    head = _product(sympy, *front, sympy.Pow(sympy.Add(t, -o, evaluate=False), 2, evaluate=False))
    opened = _product(sympy, *front, sympy.Add(*square, evaluate=False))
    sloped = _product(sympy, *front, sympy.Add(*[s for s in slopes if s != 0], evaluate=False))
    simple = _product(sympy, sympy.Integer(doubled), *([w] if weighted else []), difference)
    return (
        _line("the loss of one example", _LHS_VALUE, head),
        _line("multiply the square out", _LHS_VALUE, opened),
        _line("differentiate each term with respect to the output o", _LHS_GRADIENT, sloped),
        _line("simplify: the derivative has the sign of the error", _LHS_GRADIENT, simple),
    )


def _with_numbers(
    doubled: int, target: float, output: float, weight: float | None
) -> Iterator[Line]:
    """Loss and derivative with the numbers put in, and what they come to."""
    import sympy

    digits = digits_apart(target, output, 10)
    t, o = (sympy.Symbol(number(x, digits)) for x in (target, output))
    w = [] if weight is None else [sympy.Symbol(number(weight))]
    scale = 1.0 if weight is None else weight
    head = sympy.Pow(sympy.Add(t, -o, evaluate=False), 2, evaluate=False)
    value = _product(sympy, sympy.Rational(doubled, 2), *w, head)
    yield _line(
        "with the numbers", _LHS_VALUE, value, 0.5 * doubled * scale * (target - output) ** 2
    )
    error = sympy.Add(o, -t, evaluate=False)
    gradient = doubled * scale * (output - target)
    sign = (
        "negative: too low"
        if gradient < 0
        else "positive: too high"
        if gradient > 0
        else "zero: on the target"
    )
    yield _line(sign, _LHS_GRADIENT, _product(sympy, sympy.Integer(doubled), *w, error), gradient)


def _product(sympy: Any, *factors: Any) -> Any:
    """The product as it stands, without ones and without SymPy reordering it."""
    kept = [f for f in factors if f != 1]
    return (
        sympy.Mul(*kept, evaluate=False)
        if len(kept) > 1
        else (kept[0] if kept else sympy.Integer(1))
    )


def _line(reason: str, lhs: dict[str, str], expression: Any, value: float | None = None) -> Line:
    written = {}
    for name, n in NOTATIONS.items():
        tail = "" if value is None else n.equals + write_value(number(value), n)
        written[name] = n.whole(lhs[name] + n.equals + write(expression, n) + tail)
    return Line(reason, **written)
