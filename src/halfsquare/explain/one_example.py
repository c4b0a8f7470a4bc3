"""One example, explained: the loss is never negative, its gradient has the sign of the error.

The loss over one output is a parabola about the target. Left of it the output is too low, the
slope is negative and descent raises the output; right of it everything is the other way round.
The curvature of the parabola makes the step exact: -gradient / curvature = t - o, the same under
all four conventions, because gradient and curvature carry the same factor.
Conventions: see :mod:`halfsquare.loss`.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import frexp, isfinite, ldexp
from numbers import Real
from typing import Any, Literal

from halfsquare.errors import DataError, NotFiniteError
from halfsquare.explain.derivation import Derivation, derivation, number
from halfsquare.loss import CONVENTIONS, Convention, Direction, SquaredError, direction, sse_factor
from halfsquare.text import digits_apart

Sign = Literal["negative", "zero", "positive"]


@dataclass(frozen=True)
class LossAt:
    """The loss of one example under one convention: ``value``, ``gradient`` and ``curvature`` at
    the output.
    """

    value: float
    gradient: float
    curvature: float


@dataclass(frozen=True)
class FiniteDifference:
    """The gradient measured: (L(o+h) - L(o-h)) / 2h, and how far that is from the formula's."""

    value: float
    difference: float
    h: float


@dataclass(frozen=True)
class ExampleExplanation:
    """What the squared error of one example is, which way it pushes the output, and how far.

    Attributes
    ----------
    target, output, weight : float
        The example.
    convention : str
        Which of the four conventions ``value``, ``gradient`` and ``curvature`` are in.
    error : float
        o - t, in the unit of the target; negative: the output is too low.
    conventions : dict
        Value, gradient and curvature under each convention.
    step : float
        What descent adds to the output: -gradient / curvature = t - o under every convention.
    finite_difference : FiniteDifference
        The gradient confirmed by a central difference.
    """

    target: float
    output: float
    weight: float
    convention: Convention
    error: float
    conventions: dict[Convention, LossAt]
    step: float
    finite_difference: FiniteDifference

    @property
    def value(self) -> float:
        """The loss under ``convention``; never negative."""
        return self.conventions[self.convention].value

    @property
    def gradient(self) -> float:
        """∂L/∂o under ``convention``; it has the sign of the error."""
        return self.conventions[self.convention].gradient

    @property
    def curvature(self) -> float:
        """∂²L/∂o² under ``convention``; the same at every output, always positive."""
        return self.conventions[self.convention].curvature

    @property
    def direction(self) -> Direction:
        """What descent does to the output: ``raise``, ``lower`` or ``stay``."""
        return direction(self.error)

    @property
    def sign(self) -> Sign:
        """The sign of the gradient in a word."""
        return "negative" if self.error < 0 else "positive" if self.error > 0 else "zero"

    @property
    def sentence(self) -> str:
        """What the sign means, in words."""
        output = number(self.output, digits_apart(self.target, self.output, 10))
        size = number(abs(self.error))
        if self.error == 0:
            return (
                f"The output {output} equals the target: the gradient is zero, so descent "
                "leaves the output alone."
            )
        side, verb = ("low", "raises") if self.error < 0 else ("high", "lowers")
        return (
            f"The output {output} is too {side} by {size}: the gradient is {self.sign}, "
            f"so descent {verb} the output."
        )

    @property
    def derivation(self) -> Derivation:
        """The derivative line by line, these numbers put in (SymPy is imported here)."""
        return derivation(self.convention, at=(self.target, self.output), weight=self.weight)

    def as_dict(self, *, with_derivation: bool = True) -> dict[str, Any]:
        """The explanation under its JSON names; without the derivation SymPy is not needed."""
        chosen = (
            "target",
            "output",
            "weight",
            "convention",
            "error",
            "value",
            "gradient",
            "curvature",
        )
        more = ("sign", "direction", "sentence", "step")
        found: dict[str, Any] = {name: getattr(self, name) for name in chosen + more}
        found["conventions"] = {name: vars(at) for name, at in self.conventions.items()}
        found["finite_difference"] = vars(self.finite_difference)
        if with_derivation:
            found["derivation"] = self.derivation.as_dict()
        return found


def explain_example(
    target: float, output: float, weight: float = 1.0, convention: Convention = "half_sse"
) -> ExampleExplanation:
    """Explain the squared error of one example with one output.

    Parameters
    ----------
    target, output : float
        In the same unit.
    weight : float
        > 0. An example of weight 0 is the same as no example.
    convention : {"half_sse", "sse", "mse", "half_mse"}
        The one that ``value``, ``gradient`` and the derivation are in; all four are always
        reported.

    Raises
    ------
    NotFiniteError
        If a number is NaN or infinite, or its square overflows.
    DataError
        If something is not a number, or the weight is not positive.
    OptionError
        If the convention is none of the four.

    Examples
    --------
    >>> explained = explain_example(target=3.0, output=2.2)
    >>> print(explained.sentence)
    The output 2.2 is too low by 0.8: the gradient is negative, so descent raises the output.
    >>> e = explained
    >>> round(e.value, 6), round(e.gradient, 6), e.direction, round(e.step, 6)
    (0.32, -0.8, 'raise', 0.8)
    """
    sse_factor(convention, 1, 1.0)
    t, o, w = _finite("target", target), _finite("output", output), _finite("weight", weight)
    if not w > 0:
        raise DataError(
            f"weight is {w:g}; expected a number > 0: an example of weight 0 is the same as "
            "no example"
        )
    found = {name: _at(name, t, o, w) for name in CONVENTIONS}
    measured = _central_difference(SquaredError(convention), t, o, w)
    difference = FiniteDifference(
        measured[0], measured[0] - found[convention].gradient, measured[1]
    )
    return ExampleExplanation(t, o, w, convention, o - t, found, t - o, difference)


def _finite(name: str, value: object) -> float:
    if not isinstance(value, Real) or isinstance(value, bool):
        raise DataError(f"{name} is {value!r}; expected a number")
    try:
        found = float(value)
    except OverflowError:
        raise NotFiniteError(f"{name} does not fit float64; state it in a larger unit") from None
    if not isfinite(found):
        raise NotFiniteError(f"{name} is {found}; expected a finite number")
    return found


def _at(convention: Convention, t: float, o: float, w: float) -> LossAt:
    value, gradient = SquaredError(convention).value_and_gradient([t], [o], [w])
    # L = a w (o-t)², so L'' = 2 a w, whatever the output.
    return LossAt(value, float(gradient[0]), 2.0 * sse_factor(convention, 1, w) * w)


def _central_difference(loss: SquaredError, t: float, o: float, w: float) -> tuple[float, float]:
    """(L(o+h) - L(o-h)) / 2h and h.

    A parabola has no third derivative, so a central difference has no truncation error whatever
    h is; only rounding is left, ε (|e|+h)² / h, which is least at h = |e|. A power of two near it
    (and at least √ε |o|, so that o ± h differ) is added with little or no rounding of its own.
    """
    size = max(abs(o - t), abs(o) * 2.0**-26, 2.0**-500)
    h = ldexp(1.0, frexp(size)[1] - 1)
    high, low = o + h, o - h
    rise = loss.value([t], [high], [w]) - loss.value([t], [low], [w])
    return rise / (high - low), h
