"""Formulas: what is read, what is refused and where, and that the derivatives are right."""

from __future__ import annotations

import ast
import json
import pickle
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import special
from scipy.special import erf

import halfsquare.models.formula.parser as parser_module
from halfsquare.errors import FormulaError, ShapeError
from halfsquare.models.formula.model import Formula
from halfsquare.models.formula.parser import parse_formula
from halfsquare.models.formula.symmetry import canonical, symmetry
from halfsquare.models.formula.units import unit_exponents

COLUMNS = ["x", "z", "y", "flow rate"]

REFUSED = {
    "unknown function": ("y ~ b*foo(x)", "character 7: unknown function 'foo'"),
    "near miss": ("y ~ b*sine(x)", "did you mean 'sin'"),
    "no parameters": ("y ~ x + 2*z", "has no parameters"),
    "left side no column": ("q ~ b*x", "'q' is not a column"),
    "left side an expression": ("y + 1 ~ b*x", "left side"),
    "left side function": ("cos(y) ~ b*x", "'cos' cannot stand on the left side"),
    "target on the right": ("y ~ b*y", "cannot explain itself"),
    "attribute": ("y ~ np.exp(b*x)", "character 7: '.' is not allowed; attribute access"),
    "dunder": ("y ~ b*__import__('os')", "character 7: '__import__' is not allowed"),
    "lambda": ("y ~ (lambda q: q)(b)", "'lambda' is a word of Python"),
    "condition": ("y ~ b if x else 2", "'if' is a word of Python"),
    "comparison": ("y ~ b*(x < 2)", "write where(condition, value, other)"),
    "no condition": ("y ~ where(x, b, 2)", "character 11: a condition is missing here"),
    "membership": ("y ~ where(x in z, b, 2)", "'in' is a word of Python"),
    "one value too few": ("y ~ piecewise(x < 1, b, x < 2, 3)", "write piecewise(condition, value"),
    "one argument": ("y ~ b*min(x)", "write min(a, b, …)"),
    "order of a Bessel function": (
        "y ~ besselj(b, x)",
        "the order of a Bessel function is a number",
    ),
    "ampersand": ("y ~ where(x < 1 & z < 1, b, 2)", "write and between conditions"),
    "text": ("y ~ b*'a'", "text is not part"),
    "index": ("y ~ b[0]*x", "write ( )"),
    "equals": ("y = b*x", "write '~'"),
    "no wave": ("b*x", "no '~'"),
    "two waves": ("y ~ b ~ x", "more than one '~'"),
    "empty": ("", "no '~'"),
    "nothing right": ("y ~ ", "nothing stands right of '~'"),
    "too long": ("y ~ b" + "+x" * 5000, "10,005 characters"),
    "too deep": ("y ~ " + "(" * 60 + "b" + ")" * 60, "nested more than 40 deep"),
    "deep functions": ("y ~ " + "exp(" * 60 + "b" + ")" * 60, "nested more than 40 deep"),
    "unclosed": ("y ~ b*(x + 2", "this '(' is never closed"),
    "unopened": ("y ~ b*x) + 2", "this ')' closes nothing"),
    "signs": ("y ~ " + "-" * 300 + "b", "more than three signs"),
    "tower": ("y ~ b*x**x**x", "can be read in two ways"),
    "tower with caret": ("y ~ b*2^3^4", "can be read in two ways"),
    "tower in parentheses": ("y ~ b*x**(x**(x**x))", "power tower of this height"),
    "huge tower": ("y ~ b*9**9**9**9**9", "power tower"),
    "huge power": ("y ~ b*9**(9**9)", "too large for float64"),
    "huge hidden power": ("y ~ " + "(" * 9 + "2*x" + ")**64" * 9 + "*b", "too large for float64"),
    "huge number": ("y ~ b*1e999", "the number 1e999 is too large"),
    "long number": ("y ~ b*" + "9" * 3000, "too large for float64"),
    "missing times": ("y ~ 2x*b", "write 2*x"),
    "missing times before parenthesis": ("y ~ 2(x+b)", "write 2*(…)"),
    "product by call": ("y ~ b(x)", "for a product write b*"),
    "two names": ("y ~ b x", "an operator, a name or a ')' is missing"),
    "two arguments": ("y ~ b*sin(x, z)", "sin takes one argument"),
    "star argument": ("y ~ b*exp(*x)", "takes one argument"),
    "function as name": ("y ~ b*exp", "exp is a function"),
    "comma": ("y ~ b*x, z", "a comma is not allowed"),
    "floor division": ("y ~ b//x", "write / to divide"),
    "matrix product": ("y ~ b@x", "'@' is not allowed"),
    "log of a negative number": ("y ~ b*log(-1)", "not real"),
    "root of a negative number": ("y ~ b*sqrt(-2)", "not real"),
    "division by zero": ("y ~ b/0", "division by zero"),
    "zero to a negative power": ("y ~ b*0**(-1)", "division by zero"),
}


@pytest.mark.timeout(60)  # a text that were evaluated would go on for ever
@pytest.mark.parametrize("name", REFUSED)
def test_refused_with_its_message_and_at_once(name: str) -> None:
    text, message = REFUSED[name]
    with pytest.raises(FormulaError) as caught:
        parse_formula(text, COLUMNS)
    assert message in str(caught.value)
    assert len(str(caught.value)) < 600


def test_a_name_that_is_neither_column_nor_listed_parameter() -> None:
    with pytest.raises(
        FormulaError, match=r"'slpoe' is neither a column nor one of the parameters listed.*'slope'"
    ):
        parse_formula("y ~ slpoe*x", COLUMNS, parameters=["slope"])
    assert parse_formula("y ~ slope*x", COLUMNS, parameters=["slope"]).parameters == ("slope",)


def test_not_text() -> None:
    with pytest.raises(FormulaError, match="is a int; expected text"):
        parse_formula(3, COLUMNS)  # type: ignore[arg-type]


@given(st.text(alphabet="xyzb12.~+-*/^()`'\"[]{}:,=<>@ eEsinlogp_\n\té²", max_size=60))
def test_any_text_is_read_or_refused_in_words(text: str) -> None:
    try:
        parse_formula("y ~ " + text, COLUMNS)
    except FormulaError as problem:
        assert str(problem)


def test_names_and_their_order() -> None:
    formula = parse_formula("y ~ b1 + b10*exp(-x*b2) + b3*z", COLUMNS)
    assert formula.parameters == ("b1", "b2", "b3", "b10")
    assert formula.columns == ("x", "z")
    assert parse_formula("y ~ tau*x + a", COLUMNS).parameters == ("tau", "a")
    quoted = parse_formula("y ~ k*`flow rate`^2", COLUMNS)
    assert quoted.columns == ("flow rate",)
    assert parse_formula("y ~ a + pi*x", COLUMNS).parameters == ("a",)
    assert parse_formula("y ~ a + pi*x", [*COLUMNS, "pi"]).columns == ("pi", "x")


def test_left_side() -> None:
    formula = Formula.read("log(y) ~ a + b*x", COLUMNS)
    y = np.array([[0.5], [2.0]])
    assert (formula.target, formula.target_function) == ("y", "log")
    np.testing.assert_allclose(formula.transform_target(y), np.log(y))
    for function in ("log", "ln", "log10", "log2", "log1p", "sqrt"):
        other = Formula.read(f"{function}(y) ~ a + b*x", COLUMNS)
        np.testing.assert_allclose(other.restore_target(other.transform_target(y)), y, rtol=1e-14)


X = np.random.default_rng(0).uniform(0.5, 2.0, (50, 2))
WRITTEN = {
    "y ~ b1*(1-exp(-b2*x))": lambda b, x, z: b[0] * (1 - np.exp(-b[1] * x)),
    "y ~ (b1+b2*x+b3*x^2)/(1+b4*x)": lambda b, x, z: (
        (b[0] + b[1] * x + b[2] * x**2) / (1 + b[3] * x)
    ),
    "y ~ b1*x**b2 + z**(-1/b3)": lambda b, x, z: b[0] * x ** b[1] + z ** (-1 / b[2]),
    "y ~ b1*exp(-(x-b2)**2/b3**2)*sin(2*pi*z/b4)": lambda b, x, z: (
        b[0] * np.exp(-((x - b[1]) ** 2) / b[2] ** 2) * np.sin(2 * np.pi * z / b[3])
    ),
    "y ~ b1 - arctan(b2/(x+b3))/pi": lambda b, x, z: b[0] - np.arctan(b[1] / (x + b[2])) / np.pi,
    "y ~ abs(b1*x-z) + sqrt(b2*x)/b3**0.5": lambda b, x, z: (
        np.abs(b[0] * x - z) + np.sqrt(b[1] * x) / np.sqrt(b[2])
    ),
    "y ~ erf(b1*x) + log10(b2*z) + ln(x*b1) + log2(b2) + log1p(b1*z)": lambda b, x, z: (
        erf(b[0] * x) + np.log10(b[1] * z) + np.log(x * b[0]) + np.log2(b[1]) + np.log1p(b[0] * z)
    ),
    "y ~ tanh(b1*x)+sinh(b2*z)*cosh(b1)-tan(b1/4)+asinh(b2*x)+atanh(b1/9)"
    "+acosh(2+b1*x)+asin(b1/9)+acos(b2/9)+cos(b2*x)": (
        lambda b, x, z: (
            np.tanh(b[0] * x)
            + np.sinh(b[1] * z) * np.cosh(b[0])
            - np.tan(b[0] / 4)
            + np.arcsinh(b[1] * x)
            + np.arctanh(b[0] / 9)
            + np.arccosh(2 + b[0] * x)
            + np.arcsin(b[0] / 9)
            + np.arccos(b[1] / 9)
            + np.cos(b[1] * x)
        )
    ),
    "y ~ b1*expm1(-b2*x) + erfc(b2*z) - -b1 + +b2"
    " + 1e-3 + .5*b1/x**3 + x**1.5*b2**-2": lambda b, x, z: (
        b[0] * np.expm1(-b[1] * x)
        + 1
        - erf(b[1] * z)
        + b[0]
        + b[1]
        + 1e-3
        + 0.5 * b[0] / x**3
        + x**1.5 / b[1] ** 2
    ),
    "y ~ where(x < 1, b1*x, b2) + piecewise(z < 0.8, b1, z < 1.2 or x >= 1.5, b2**2*z, 1)": (
        lambda b, x, z: (
            np.where(x < 1, b[0] * x, b[1])
            + np.where(z < 0.8, b[0], np.where((z < 1.2) | (x >= 1.5), b[1] ** 2 * z, 1.0))
        )
    ),
    "y ~ where(not 0.7 < x <= 1.1 and z != 2, b1*log(x), if(x - 0.9 > 0, sqrt(x - 0.9)*b2, b1))": (
        lambda b, x, z: np.where(
            ~((x > 0.7) & (x <= 1.1)),
            b[0] * np.log(x),
            np.where(x > 0.9, np.sqrt(np.maximum(x - 0.9, 0)) * b[1], b[0]),
        )
    ),
    "y ~ max(b1*x, 9, z) + min(-b2*x, z, 3) + gamma(b1 + x)/10 + lgamma(b2*z) + digamma(b1*x)": (
        lambda b, x, z: (
            9
            - b[1] * x
            + special.gamma(b[0] + x) / 10
            + special.gammaln(b[1] * z)
            + special.digamma(b[0] * x)
        )
    ),
    "y ~ b1*besselj(0, b2*x) + bessely(1, b1*z) + besseli(2, b1*x) + besselk(0.5, b2*z)"
    " + atan2(b1*x, b2*z) + erfc(4*b1 + x)*1e6": lambda b, x, z: (
        b[0] * special.jv(0, b[1] * x)
        + special.yv(1, b[0] * z)
        + special.iv(2, b[0] * x)
        + special.kv(0.5, b[1] * z)
        + np.arctan2(b[0] * x, b[1] * z)
        + special.erfc(4 * b[0] + x) * 1e6
    ),
    "y ~ 2*b1 + b1*b2": lambda b, x, z: 2 * b[0] + b[0] * b[1] + 0 * x,
}


@pytest.mark.parametrize("text", WRITTEN)
@given(data=st.data())
def test_values_and_derivatives(text: str, data: st.DataObject) -> None:
    formula = Formula.read(text, ["x", "z", "y"])
    b = np.array([data.draw(st.floats(0.4, 1.6)) for _ in formula.names])
    design = X[:, [["x", "z"].index(c) for c in formula.columns]]
    outputs, jacobian = formula.outputs_and_jacobian(b, design)
    np.testing.assert_allclose(
        outputs[:, 0], WRITTEN[text](b, X[:, 0], X[:, 1]), rtol=1e-12, atol=1e-12
    )
    np.testing.assert_allclose(
        outputs, formula.outputs(b, design), rtol=1e-13
    )  # terms may add in another order
    if "abs" in text and np.abs(b[0] * X[:, 0] - X[:, 1]).min() < 1e-4:
        return  # a kink lies between the two points of a difference
    for j in range(len(b)):
        h = 1e-6 * np.eye(len(b))[j]
        central = (formula.outputs(b + h, design) - formula.outputs(b - h, design)) / 2e-6
        np.testing.assert_allclose(
            jacobian[:, :, j], central, rtol=2e-7, atol=2e-7 * max(1.0, np.abs(jacobian).max())
        )


def test_names_of_functions_may_be_parameters_where_they_are_not_called() -> None:
    formula = Formula.read("y ~ gamma*exp(-x) + min*gamma(2 + x)", ["x", "y"])
    assert formula.names == ("gamma", "min")


def test_what_is_not_chosen_is_not_computed_to_nan() -> None:
    """Neither the output nor a derivative: log(-1) stands in the rows that are not chosen."""
    formula = Formula.read("y ~ where(x > 0, a*log(x - b), c)", ["x", "y"])
    outputs, jacobian = formula.outputs_and_jacobian(
        np.array([2.0, -1.0, 5.0]), np.array([[-3.0], [0.0], [1.0]])
    )
    np.testing.assert_allclose(outputs[:, 0], [5.0, 5.0, 2 * np.log(2)])
    np.testing.assert_allclose(jacobian[:, 0], [[0, 0, 1], [0, 0, 1], [np.log(2), -1, 0]])


def test_a_power_of_zero_has_a_derivative() -> None:
    formula = Formula.read("y ~ b1*x**b2", ["x", "y"])
    outputs, jacobian = formula.outputs_and_jacobian(np.array([2.0, 1.5]), np.array([[0.0], [4.0]]))
    np.testing.assert_allclose(outputs[:, 0], [0.0, 16.0])
    np.testing.assert_allclose(jacobian[:, 0], [[0.0, 0.0], [8.0, 16.0 * np.log(4.0)]])


def test_blocks_of_rows_do_not_show() -> None:
    formula = Formula.read("y ~ b1*exp(-b2*x) + b3*x", ["x", "y"])
    x = np.random.default_rng(1).uniform(0, 3, (20_000, 1))
    b = np.array([1.0, 0.7, 0.1])
    whole, jacobian = formula.outputs_and_jacobian(b, x)
    parts = [formula.outputs_and_jacobian(b, x[i : i + 777]) for i in range(0, len(x), 777)]
    np.testing.assert_allclose(whole, np.concatenate([p[0] for p in parts]), rtol=1e-15)
    np.testing.assert_allclose(jacobian, np.concatenate([p[1] for p in parts]), rtol=1e-14)
    with pytest.raises(ShapeError, match="expected a column for each"):
        formula.outputs(b, np.zeros((3, 2)))


def test_saved_and_read_again() -> None:
    formula = Formula.read("log(y) ~ b1*x**b2 + `flow rate`*b3", COLUMNS).with_fixed({"b2": 2.0})
    for again in (
        Formula.from_dict(json.loads(json.dumps(formula.as_dict()))),
        pickle.loads(pickle.dumps(formula)),
    ):
        assert again == formula
        design = np.array([[1.0, 2.0], [3.0, 0.5]])
        np.testing.assert_array_equal(
            again.outputs(np.ones(2), design), formula.outputs(np.ones(2), design)
        )
    damaged = formula.as_dict() | {"text": "log(y) ~ __import__('os').system('true')"}
    with pytest.raises(FormulaError, match="not allowed"):
        Formula.from_dict(damaged)
    with pytest.raises(FormulaError, match="neither a column nor one of the parameters"):
        Formula.from_dict(formula.as_dict() | {"text": "log(y) ~ other*x"})


def test_linear_parameters_are_found() -> None:
    def linear(text: str) -> set[str]:
        formula = Formula.read(text, ["x", "y"])
        return {formula.names[j] for j in formula.linear}

    assert linear("y ~ a*exp(-b*x) + c") == {"a", "c"}
    assert linear("y ~ a*b*x + c") in ({"a", "c"}, {"b", "c"})
    assert linear("y ~ exp(-a*x)/(b+c*x)") == set()
    assert linear("y ~ (a + b*x)/(1 + c*x + d*x**2)") == {"a", "b"}


def test_units() -> None:
    formula = Formula.read("y ~ (b1 + b2*x)/(1 + b3*x) + b4*exp(-z/b5)", ["x", "z", "y"])
    np.testing.assert_allclose(
        unit_exponents(formula),
        [[0, 0, 1], [-1, 0, 1], [-1, 0, 0], [0, 0, 1], [0, 1, 0]],
        atol=1e-9,
    )


def test_parts_that_may_trade_names() -> None:
    formula = Formula.read("y ~ c + a*exp(-(x-m)**2/s**2) + b*exp(-(x-n)**2/t**2)", ["x", "y"])
    values = {"c": 1.0, "a": 2.0, "m": 30.0, "s": -4.0, "b": 3.0, "n": 10.0, "t": 5.0}
    found = canonical(formula, np.array([values[name] for name in formula.names]))
    expected = {"c": 1.0, "a": 3.0, "m": 10.0, "s": 5.0, "b": 2.0, "n": 30.0, "t": 4.0}
    assert dict(zip(formula.names, found, strict=True)) == expected
    like = np.array([(values | {"m": 2.0, "n": 1.0, "s": 1.0})[name] for name in formula.names])
    kept = canonical(formula, np.array([values[name] for name in formula.names]), like)
    assert kept[formula.names.index("m")] == 30.0
    assert symmetry(Formula.read("y ~ a*exp(-b*x) + c*x", ["x", "y"])).groups == ()


def test_nothing_evaluates_text() -> None:
    forbidden = {"eval", "exec", "compile", "sympify", "S", "parse_expr", "lambdify", "__import__"}
    for path in Path(parser_module.__file__).parent.glob("formula*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call):
                name = (
                    node.func.id
                    if isinstance(node.func, ast.Name)
                    else getattr(node.func, "attr", "")
                )
                name = (
                    "" if name == "compile" and isinstance(node.func, ast.Attribute) else name
                )  # re.compile
                assert name not in forbidden, f"{path.name}:{node.lineno}"


def test_a_formula_whose_every_product_is_a_result_needs_no_buffer() -> None:
    formula = Formula.read("y ~ b1*x", ["x", "y"])
    outputs, jacobian = formula.outputs_and_jacobian(np.array([2.0]), np.array([[3.0], [5.0]]))
    assert (outputs.tolist(), jacobian.tolist()) == ([[6.0], [10.0]], [[[3.0]], [[5.0]]])
