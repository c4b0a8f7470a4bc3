"""One example explained: against numbers worked out by hand, finite differences and exact
fractions.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from fractions import Fraction
from html.parser import HTMLParser

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from halfsquare.errors import DataError, NotFiniteError, OptionError
from halfsquare.explain.derivation import derivation
from halfsquare.explain.one_example import explain_example
from halfsquare.explain.several_examples import explain_examples
from halfsquare.loss import CONVENTIONS

numbers = st.floats(-1e6, 1e6).map(lambda x: round(x, 6))
Lines = dict[str, Callable[[Fraction, Fraction], Fraction]]
weights = st.floats(0.01, 100).map(lambda x: round(x, 4))


def test_too_low_by_hand() -> None:
    # ½(3-2.2)² = 0.32, 2.2-3 = -0.8; without the ½ 0.64 and -1.6.
    e = explain_example(3.0, 2.2)
    assert e.value == pytest.approx(0.32, rel=1e-14)
    assert e.gradient == pytest.approx(-0.8, rel=1e-14)
    assert (e.direction, e.sign) == ("raise", "negative")
    assert e.step == pytest.approx(0.8, rel=1e-14)
    assert (
        e.sentence
        == "The output 2.2 is too low by 0.8: the gradient is negative, so descent raises "
        "the output."
    )
    expected = {
        "half_sse": (0.32, -0.8, 1),
        "sse": (0.64, -1.6, 2),
        "mse": (0.64, -1.6, 2),
        "half_mse": (0.32, -0.8, 1),
    }
    for name, (value, gradient, curvature) in expected.items():
        found = e.conventions[name]  # type: ignore[index]
        assert (found.value, found.gradient, found.curvature) == pytest.approx(
            (value, gradient, curvature), rel=1e-14
        )


def test_too_high_and_on_the_target() -> None:
    high = explain_example(3, 4.5)
    assert (high.value, high.gradient, high.direction, high.step) == (1.125, 1.5, "lower", -1.5)
    assert (
        high.sentence
        == "The output 4.5 is too high by 1.5: the gradient is positive, so descent lowers "
        "the output."
    )
    on = explain_example(-3, -3)
    assert (on.value, on.gradient, on.direction, on.step, on.finite_difference.value) == (
        0,
        0,
        "stay",
        0,
        0,
    )
    assert on.sentence.startswith("The output −3 equals the target: the gradient is zero")


def test_a_weight_scales_the_sums_but_not_the_means() -> None:
    e = explain_example(3.0, 2.0, weight=4.0)
    assert {name: (at.value, at.gradient) for name, at in e.conventions.items()} == {
        "half_sse": (2.0, -4.0),
        "sse": (4.0, -8.0),
        "mse": (1.0, -2.0),
        "half_mse": (0.5, -1.0),
    }


@given(numbers, numbers, weights, st.sampled_from(CONVENTIONS))
def test_the_gradient_is_the_exact_derivative(
    t: float, o: float, w: float, convention: str
) -> None:
    e = explain_example(t, o, w, convention)  # type: ignore[arg-type]
    a = Fraction(w) if "mse" not in convention else Fraction(1)
    a = a / 2 if convention.startswith("half") else a
    error = Fraction(o) - Fraction(t)
    assert e.value == pytest.approx(float(a * error**2), rel=1e-14)
    assert e.gradient == pytest.approx(float(2 * a * error), rel=1e-14)
    # An output at which the loss is known exactly, by another route: L(o+h)-L(o) = L'h + ½L''h².
    h = Fraction(1, 7)
    rise = a * (error + h) ** 2 - a * error**2
    assert float(rise) == pytest.approx(e.gradient / 7 + e.curvature / 98, rel=1e-9, abs=1e-9)


@given(numbers, numbers, weights, st.sampled_from(CONVENTIONS))
def test_the_finite_difference_agrees(t: float, o: float, w: float, convention: str) -> None:
    e = explain_example(t, o, w, convention)  # type: ignore[arg-type]
    d = e.finite_difference
    # Rounding alone: each loss to ε of its size, and each point to ε of the output.
    reach = (abs(e.error) + d.h) ** 2 / d.h + max(abs(t), abs(o))
    assert abs(d.difference) <= 8 * np.finfo(float).eps * e.curvature * reach


@given(numbers, numbers, weights)
def test_the_step_is_the_same_under_every_convention_and_lands_on_the_target(
    t: float, o: float, w: float
) -> None:
    steps = {explain_example(t, o, w, name).step for name in CONVENTIONS}
    assert len(steps) == 1
    step = steps.pop()
    for at in explain_example(t, o, w).conventions.values():
        assert -at.gradient / at.curvature == pytest.approx(step, rel=1e-14, abs=1e-300)
    after = explain_example(t, o + step, w)
    assert abs(after.error) <= 2 * np.spacing(max(abs(t), abs(o), abs(step)))


@given(numbers, numbers)
def test_the_sign_tells_too_low_from_too_high(t: float, o: float) -> None:
    e = explain_example(t, o)
    assert e.value >= 0
    assert np.sign(e.gradient) == np.sign(o - t)
    assert e.direction == ("raise" if o < t else "lower" if o > t else "stay")


@given(
    st.lists(st.tuples(numbers, numbers, weights), min_size=1, max_size=8),
    st.sampled_from(CONVENTIONS),
)
def test_several_examples_add(examples: list[tuple[float, float, float]], convention: str) -> None:
    together = explain_examples(examples, convention)  # type: ignore[arg-type]
    exact = [(Fraction(t), Fraction(o), Fraction(w)) for t, o, w in examples]
    total = sum(w for _, _, w in exact)
    sse = sum(w * (o - t) ** 2 for t, o, w in exact)
    assert together.summary.sse == pytest.approx(float(sse), rel=1e-12)
    assert together.summary.mse == pytest.approx(float(sse / total), rel=1e-12)
    mean = float(sum(w * (o - t) for t, o, w in exact) / total)
    spread = float(sum(w * abs(o - t) for t, o, w in exact) / total)
    assert together.mean_gradient == pytest.approx(mean, rel=1e-12, abs=1e-14 * spread)
    factor = (1 if convention.startswith("half") else 2) / (total if "mse" in convention else 1)
    for (t, o, w), gradient in zip(exact, together.gradients, strict=True):
        assert gradient == pytest.approx(float(factor * w * (o - t)), rel=1e-12)
    assert together.summary.sse == pytest.approx(
        sum(e.conventions["sse"].value for e in together.examples), rel=1e-12
    )


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ((float("nan"), 1.0), NotFiniteError, "target is nan"),
        ((1.0, float("inf")), NotFiniteError, "output is inf"),
        ((1.0, "2"), DataError, "output is '2'"),
        ((None, 1.0), DataError, "target is None"),
        ((True, 1.0), DataError, "target is True"),
        ((1j, 1.0), DataError, "expected a number"),
        ((10**400, 1.0), NotFiniteError, "larger unit"),
        ((1e200, -1e200), NotFiniteError, "overflows"),
        ((1.0, 1.0, 0.0), DataError, "weight is 0"),
        ((1.0, 1.0, -2.0), DataError, "weight is -2"),
        ((1.0, 1.0, 1.0, "rmse"), OptionError, "half_mse"),
        ((1.0, 1.0, 1.0, "mape_half"), OptionError, "unknown loss"),
    ],
)
def test_what_is_refused(arguments: tuple[object, ...], error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        explain_example(*arguments)  # type: ignore[arg-type]


def test_several_examples_refused() -> None:
    with pytest.raises(DataError, match="no rows"):
        explain_examples([])
    with pytest.raises(DataError, match="example 2 has 1 numbers"):
        explain_examples([(1.0, 2.0), (1.0,)])  # type: ignore[list-item]


def test_json_has_every_key_and_is_strict() -> None:
    found = json.loads(json.dumps(explain_example(3.0, 2.2).as_dict(), allow_nan=False))
    assert set(found) >= {
        "value",
        "gradient",
        "direction",
        "error",
        "target",
        "output",
        "convention",
        "conventions",
        "step",
        "finite_difference",
        "derivation",
    }
    assert set(found["conventions"]) == set(CONVENTIONS)
    one = json.dumps(explain_examples([(3.0, 2.2)]).as_dict(), allow_nan=False)
    assert json.loads(one)["mse_se"] is None


def test_the_derivation_line_by_line() -> None:
    assert derivation("half_sse", at=(3.0, 2.2)).text.splitlines() == [
        "L = ½(t − o)²",
        "L = ½(t² − 2to + o²)",
        "∂L/∂o = ½(−2t + 2o)",
        "∂L/∂o = o − t",
        "L = ½(3 − 2.2)² = 0.32",
        "∂L/∂o = 2.2 − 3 = −0.8",
    ]
    assert derivation("mse").text.splitlines()[-1] == "∂L/∂o = 2(o − t)"
    assert derivation("sse", weight=2.5, at=(-1.0, 1.0)).text.splitlines()[3:] == [
        "∂L/∂o = 2w(o − t)",
        "L = 2.5((−1) − 1)² = 10",
        "∂L/∂o = 2·2.5(1 − (−1)) = 10",
    ]
    with pytest.raises(OptionError):
        derivation("rmse")  # type: ignore[arg-type]


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("convention", CONVENTIONS)
def test_each_line_of_the_derivation_is_true(convention: str, weighted: bool) -> None:
    """The same lines as written and as Python: the written ones are compared, the others
    evaluated.
    """
    half, sums = convention.startswith("half"), "mse" not in convention
    a, w = (
        (Fraction(1, 2) if half else Fraction(1)),
        (Fraction(5, 2) if weighted and sums else Fraction(1)),
    )
    front = ("½" if half else "") + ("w" if weighted and sums else "")
    ends = "({})" if front else "{}"
    value: Lines = {
        f"{front}(t − o)²": lambda t, o: a * w * (t - o) ** 2,
        front + ends.format("t² − 2to + o²"): lambda t, o: a * w * (t**2 - 2 * t * o + o**2),
    }
    simple = ("" if half else "2") + ("w" if weighted and sums else "")
    slope: Lines = {
        front + ends.format("−2t + 2o"): lambda t, o: a * w * (-2 * t + 2 * o),
        simple + ("({})" if simple else "{}").format("o − t"): lambda t, o: 2 * a * w * (o - t),
    }
    found = derivation(convention, weight=2.5 if weighted else 1.0).text.splitlines()  # type: ignore[arg-type]
    assert found == [f"L = {line}" for line in value] + [f"∂L/∂o = {line}" for line in slope]
    t, o, h = Fraction(3), Fraction(9, 4), Fraction(1, 8)
    first, opened = value.values()
    assert first(t, o) == opened(t, o)
    for line in slope.values():
        assert line(t, o) == (first(t, o + h) - first(t, o - h)) / (2 * h)


class _Balance(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_latex_and_mathml_are_well_formed() -> None:
    for at in [(3.0, 2.2), (-3.5, 1e-9), (0.0, -1e20)]:
        d = derivation("sse", at=at, weight=2.0)
        assert d.latex.count("{") == d.latex.count("}")
        assert d.latex.count(r"\left(") == d.latex.count(r"\right)")
        assert d.latex.count("&=") == len(d.lines)
        parser = _Balance()
        parser.feed(d.mathml)
        assert parser.open == []
    assert r"\frac{\partial L}{\partial o} &= o - t" in derivation().latex


def test_sympy_waits_until_it_is_asked_for() -> None:
    code = (
        "import sys; from halfsquare.explain.one_example import explain_example as explain; "
        "e = explain(3, 2.2); "
        "e.as_dict(with_derivation=False); assert 'sympy' not in sys.modules; "
        "e.derivation; assert 'sympy' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(
    ("target", "output", "shown"),
    [
        (1e12, 1e12 + 1, ("1000000000000", "1000000000001")),
        (-3.0, -3.0000000000004, ("−3", "−3.0000000000004")),
        (0.3, 0.1 + 0.2, ("0.29999999999999999", "0.30000000000000004")),
        (3.0, 2.2, ("3", "2.2")),
    ],
)
def test_numbers_that_differ_are_written_apart(
    target: float, output: float, shown: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    from halfsquare.cli.show_example import show_example, show_examples

    one = explain_example(target, output)
    text = one.derivation.text
    assert all(t in text.split("\n")[-2].replace("(", "").replace(")", "") for t in shown)
    assert f"The output {shown[1]} is too" in one.sentence
    show_example(one)
    capsys.readouterr()
    show_examples(explain_examples([(target, output)]))
    lines = capsys.readouterr().out.replace(",", "").split("\n")
    cells = next(line.split() for line in lines if "raise" in line or "lower" in line)
    assert float(cells[1]) - float(cells[0]) == pytest.approx(output - target, rel=1e-4)
