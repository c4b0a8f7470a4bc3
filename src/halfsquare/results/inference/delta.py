"""Estimates made from coefficients, with standard errors: linear ones exactly, others by the
delta method.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from halfsquare.errors import OptionError
from halfsquare.loss import Floats
from halfsquare.models.terms.arithmetic import check, evaluate
from halfsquare.models.terms.parser import parse
from halfsquare.models.terms.syntax import names_in
from halfsquare.results.coefficients import Parameter, student
from halfsquare.results.inference.wald import Estimates


def estimates(
    names: Sequence[str], values: Floats, covariance: Floats, freedom: float, level: float = 0.95
) -> list[Parameter]:
    """Estimates (q,) with the diagonal of their covariance (q, q)."""
    errors = np.sqrt(np.maximum(np.diag(covariance), 0.0))
    return student(names, values, errors, freedom, level)


def linear_estimates(
    fit: Estimates, names: Sequence[str], rows: Floats, level: float = 0.95
) -> list[Parameter]:
    """L b for L (q, p)."""
    return estimates(names, rows @ fit.values, rows @ fit.covariance @ rows.T, fit.freedom, level)


def derived(
    text: str,
    names: Sequence[str],
    values: Floats,
    covariance: Floats,
    freedom: float,
    level: float = 0.95,
) -> Parameter:
    """A quantity ``name = expression`` of coefficients, by the delta method: g Σ gᵀ with g its
    gradient.

    Parameters
    ----------
    text : str
        Such as ``half = log(2)/k``; names that are no plain words stand in backticks.

    Raises
    ------
    FormulaError
        With a caret where the expression cannot be read.
    OptionError
        If it is no finite number at the estimates.
    """
    name, equals, expression = text.partition("=")
    name, expression = (
        (name.strip(), expression.strip()) if equals else (text.strip(), text.strip())
    )
    if not name or not expression:
        raise OptionError(f"{text!r} is not of the form name = expression")
    node = parse(expression)
    check(node, expression, dict.fromkeys(names, True))
    used = [n for n in names_in(node) if n in names]
    if not used:
        raise OptionError(f"{text!r} names no coefficient; they are {', '.join(names[:12])}")
    where = [list(names).index(n) for n in used]

    def value(at: Mapping[str, float]) -> float:
        return float(evaluate(node, {k: np.array([v]) for k, v in at.items()}, {})[0])

    start = {n: float(values[j]) for n, j in zip(used, where, strict=True)}
    found = value(start)
    errors = np.sqrt(np.maximum(np.diag(covariance), 0.0))[where]
    gradient = np.array([_slope(value, start, n, s) for n, s in zip(used, errors, strict=True)])
    if not np.isfinite(found) or not np.isfinite(gradient).all():
        raise OptionError(f"{text!r} is no finite number at the estimates")
    part = covariance[np.ix_(where, where)]
    return estimates(
        [name], np.array([found]), np.array([[gradient @ part @ gradient]]), freedom, level
    )[0]


def _slope(
    value: Callable[[Mapping[str, float]], float], at: Mapping[str, float], name: str, error: float
) -> float:
    """∂/∂name by central differences of fourth order: exact to about 11 digits."""
    here = at[name]
    step = 1e-3 * (min(abs(here), error) if error > 0 and here else max(abs(here), error, 1e-3))

    def moved(steps: int) -> float:
        return value({**at, name: here + steps * step})

    return (8.0 * (moved(1) - moved(-1)) - (moved(2) - moved(-2))) / (12.0 * step)
