"""What is said of a formula's parameters beforehand: starts, bounds, values that are held."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeVar

import numpy as np

from halfsquare.errors import OptionError
from halfsquare.loss import Floats
from halfsquare.models.formula.model import Formula
from halfsquare.models.formula.reader import level_names

T = TypeVar("T")
Bounds = Mapping[str, tuple[float | None, float | None]]

Start = Mapping[str, float] | Sequence[float]


def by_level(formula: Formula, given: Mapping[str, T]) -> dict[str, T]:
    """The values by parameter: ``a`` or ``a[plant]`` stands for ``a[level]`` of every level that is
    not named itself.
    """
    if not formula.levels:
        return dict(given)
    levels = dict(formula.levels)
    every: dict[str, T] = {}
    for stem, column in formula.grouped.items():
        for name in (stem, f"{stem}[{column}]"):
            if name in given and name not in formula.names:
                every |= dict.fromkeys(level_names(stem, column, levels[column]), given[name])
    stems = {*formula.grouped, *(f"{s}[{c}]" for s, c in formula.grouped.items())}
    rest = {n: v for n, v in given.items() if n in formula.names or n not in stems}
    return {n: v for n, v in every.items() if n in formula.names} | rest


def _named(formula: Formula, names: Sequence[str], what: str) -> None:
    for name in names:
        if name not in formula.names:
            raise OptionError(
                f"{what} for {name!r}, which is no parameter of {formula.text!r}; "
                f"the parameters are {', '.join(formula.names)}"
            )


def fixed_values(formula: Formula, fixed: Mapping[str, float] | None) -> dict[str, float]:
    """The values of the parameters that are held; refused if one is unknown or not finite, or none
    is left free.
    """
    fixed = by_level(formula, fixed or {})
    _named(formula, list(fixed), "a fixed value")
    for name, value in fixed.items():
        if not np.isfinite(value):
            raise OptionError(f"the fixed value of {name!r} is {value}; expected a finite number")
    if len(fixed) == len(formula.names):
        raise OptionError("every parameter is fixed: there is nothing to fit")
    return {name: float(value) for name, value in fixed.items()}


def bound_vectors(formula: Formula, bounds: Bounds | None) -> tuple[Floats, Floats]:
    """Lower and upper bounds (p,) each, infinite where there is none; refused if one is unknown or
    out of order.
    """
    bounds = by_level(formula, bounds or {})
    _named(formula, list(bounds), "a bound")
    lower, upper = np.full(len(formula.names), -np.inf), np.full(len(formula.names), np.inf)
    for name, (low, high) in bounds.items():
        j = formula.names.index(name)
        lower[j] = -np.inf if low is None else low
        upper[j] = np.inf if high is None else high
        if not lower[j] < upper[j]:
            raise OptionError(
                f"the bounds of {name!r} are {low} and {high}; expected low < high (to hold "
                "it, fix it)"
            )
    return lower, upper


def start_vector(formula: Formula, start: Start | None, lower: Floats, upper: Floats) -> Floats:
    """The start (p,), NaN where none is given."""
    names = formula.names
    if start is None:
        return np.full(len(names), np.nan)
    if not isinstance(start, Mapping):
        if len(start) != len(names):
            raise OptionError(
                f"{len(start)} starting values for {len(names)} parameters; expected "
                f"{', '.join(names)}"
            )
        start = dict(zip(names, start, strict=True))
    start = by_level(formula, start)
    _named(formula, list(start), "a start")
    given = np.full(len(names), np.nan)
    for name, value in start.items():
        j = names.index(name)
        if not np.isfinite(value):
            raise OptionError(f"the start of {name!r} is {value}; expected a finite number")
        if not lower[j] <= value <= upper[j]:
            raise OptionError(
                f"the start {value:g} of {name!r} lies outside its bounds {lower[j]:g} to "
                f"{upper[j]:g}"
            )
        given[j] = value
    return given
