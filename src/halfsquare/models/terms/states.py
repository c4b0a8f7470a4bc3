"""What each factor of a design has learnt, as a model file must have it: see :mod:`.learn`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any

from halfsquare.files.records import from_json
from halfsquare.models.terms.arithmetic import learning_calls
from halfsquare.models.terms.factors import Basis, Category, Factor, Numeric
from halfsquare.models.terms.syntax import Node, unparse


@dataclass(frozen=True)
class _TextLevels:
    levels: tuple[str, ...]
    positions: tuple[int, ...]  # of each code of the column among them


@dataclass(frozen=True)
class _NumberLevels:
    levels: tuple[str, ...]
    values: tuple[float, ...]


@dataclass(frozen=True)
class _Shift:
    mean: float
    scale: float


@dataclass(frozen=True)
class _Polynomials:
    low: float
    high: float
    coefficients: tuple[tuple[float, ...], ...]


@dataclass(frozen=True)
class _Knots:
    knots: tuple[float, ...]
    low: float
    high: float


def require_states(
    factors: Iterable[Factor], texts: Mapping[str, Sequence[str]], states: Mapping[str, Any]
) -> None:
    """See that every factor finds what it has learnt, in the shape in which it reads it.

    Raises
    ------
    ValueError
        With the place of what is missing or of another type.
    """
    for factor in factors:
        if isinstance(factor, Category):
            _levels(factor, texts, _of(states, factor.key))
        else:
            for node in _nodes(factor):
                for call in learning_calls(node):
                    text = unparse(call)
                    shift = from_json(_Shift, _of(states, text), f"states.{text}")
                    _require(isfinite(shift.mean) and 0 < abs(shift.scale) < float("inf"), text)
            if isinstance(factor, Basis) and factor.learns:
                _basis(factor, _of(states, factor.text))


def _of(states: Mapping[str, Any], name: str) -> Any:
    if name not in states:
        raise ValueError(f"states.{name} is missing")
    return states[name]


def _nodes(factor: Factor) -> Iterator[Node]:
    if isinstance(factor, Numeric):
        yield factor.node
    elif isinstance(factor, Basis):
        yield factor.argument


def _levels(factor: Category, texts: Mapping[str, Sequence[str]], state: Any) -> None:
    at = f"states.{factor.key}"
    if factor.is_text:
        if factor.column not in texts:
            raise ValueError(f"texts.{factor.column} is missing")
        found = from_json(_TextLevels, state, at)
        levels = found.levels
        _require(len(found.positions) == len(texts[factor.column]), factor.key)
        _require(all(0 <= place < len(levels) for place in found.positions), factor.key)
    else:
        numbers = from_json(_NumberLevels, state, at)
        levels = numbers.levels
        _require(len(numbers.values) == len(levels), factor.key)
        _require(all(map(isfinite, numbers.values)), factor.key)
        # Marginal means read the numbers off the labels.
        _require([float(label) for label in levels] == list(numbers.values), factor.key)
    _require(2 <= len(levels) == len(set(levels)), factor.key)
    _require(factor.base is None or factor.base in levels, factor.key)
    _require(factor.scores is None or len(factor.scores) == len(levels), factor.key)


def _basis(factor: Basis, state: Any) -> None:
    at = f"states.{factor.text}"
    if factor.kind == "poly":
        poly = from_json(_Polynomials, state, at)
        low, high = poly.low, poly.high
        shape = [len(row) for row in poly.coefficients]
        _require(shape == [factor.degree] * (factor.degree + 1), factor.text)
        _require(all(isfinite(v) for row in poly.coefficients for v in row), factor.text)
    else:
        spline = from_json(_Knots, state, at)
        low, high = spline.low, spline.high
        _require(all(low < knot < high for knot in spline.knots), factor.text)
        _require(len(set(spline.knots)) == len(spline.knots), factor.text)
        wanted = len(factor.knots) if factor.knots is not None else factor.inner_knots()
        _require(len(spline.knots) == wanted, factor.text)
    _require(isfinite(low) and isfinite(high) and low < high, factor.text)


def _require(right: bool, name: str) -> None:
    if not right:
        raise ValueError(f"states.{name} is not what a factor of that name learns")
