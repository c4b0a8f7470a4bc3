"""The table of coefficients: each with its standard error, t, p and confidence interval."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from halfsquare.loss import Floats


@dataclass(frozen=True)
class Parameter:
    """A parameter, or a quantity made of some, in the user's units, with its uncertainty; NaN where
    it is not known.

    ``t`` and ``p`` test the value against 0; ``low`` and ``high`` bound it with confidence, of a
    parameter 95 %.
    """

    name: str
    value: float
    standard_error: float
    t: float
    p: float
    low: float
    high: float

    def as_dict(self) -> dict[str, Any]:
        """JSON values; NaN as None."""
        return {k: None if v != v else v for k, v in vars(self).items()}


def constrained(
    parameter: Parameter, fixed: Mapping[str, float], on_bound: Mapping[str, Sequence[float]]
) -> Parameter:
    """The parameter without t and p where it is fixed, and with a one-sided interval and no error
    where it lies on a bound.
    """
    if parameter.name in fixed:
        value = parameter.value
        return replace(parameter, standard_error=0.0, t=np.nan, p=np.nan, low=value, high=value)
    if parameter.name in on_bound:
        low, high = on_bound[parameter.name]
        nan = np.nan
        return replace(parameter, standard_error=nan, t=nan, p=nan, low=low, high=high)
    return parameter


def student(
    names: Sequence[str], values: Floats, errors: Floats, freedom: float, level: float = 0.95
) -> list[Parameter]:
    """Parameters (p,) with Student's t on ``freedom`` degrees, two-sided p and confidence limits of
    that ``level`` (Seber & Lee 2003, "Linear Regression Analysis", section 4.2).

    ``errors`` (p,) are infinite where the data do not determine a parameter, NaN where there are no
    rows left to tell the noise. Infinite degrees of freedom are the normal distribution: the noise
    is known.

    Examples
    --------
    >>> row = student(["b1"], np.array([2.0]), np.array([0.5]), 10)[0]
    >>> [round(v, 4) for v in (row.t, row.p, row.low, row.high)]
    [4.0, 0.0025, 0.8859, 3.1141]
    """
    from scipy.special import ndtr, stdtr

    known, reach = freedom is not None and freedom > 0, reach_of(freedom, level)
    with np.errstate(divide="ignore", invalid="ignore"):
        t = values / errors
        tail = ndtr(-np.abs(t)) if freedom == np.inf else stdtr(freedom or 1.0, -np.abs(t))
        p = 2.0 * tail if known else np.full(len(values), np.nan)
    return [
        Parameter(
            name,
            float(v),
            float(s),
            float(tt),
            float(pp),
            float(v - reach * s),
            float(v + reach * s),
        )
        for name, v, s, tt, pp in zip(names, values, errors, t, p, strict=True)
    ]


def reach_of(freedom: float | None, level: float) -> float:
    """Student's quantile, or the normal distribution's where the noise is known (infinite degrees
    of freedom); NaN where there are none.
    """
    from scipy.special import ndtri, stdtrit

    if freedom is None or not freedom > 0:
        return float("nan")
    tail = 0.5 + level / 2.0
    return float(ndtri(tail) if freedom == np.inf else stdtrit(freedom, tail))
