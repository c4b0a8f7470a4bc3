"""Parameters in the user's units, with their standard errors."""

from __future__ import annotations

from typing import Any

import numpy as np

from halfsquare.data.encoder import Encoder
from halfsquare.loss import Floats
from halfsquare.models.linear import Linear
from halfsquare.results.coefficients import Parameter, constrained, student
from halfsquare.results.predictive import deviations
from halfsquare.results.trained import Trained


def coefficients(member: Trained[Any], encoder: Encoder) -> list[Parameter]:
    """The parameters of a member that somebody may read, each with its standard error."""
    values, known_errors = in_user_units(member, encoder)
    facts = member.facts
    known = facts.degrees_of_freedom
    if facts.test_degrees_of_freedom is not None:
        known = facts.test_degrees_of_freedom
    freedom = np.inf if facts.noise_known or known is None else known
    errors = np.full(len(values), np.nan) if known_errors is None else known_errors
    names = list(member.model.parameter_names)
    # Of a formula any value fits as well; of collinear columns one of many was chosen.
    none = np.nan if isinstance(member.model, Linear) else np.inf
    open_names = getattr(facts, "undetermined", ())
    errors[[name in open_names for name in names]] = none
    fixed, on_bound = getattr(facts, "fixed", {}), getattr(facts, "on_bound", {})
    every = [constrained(p, fixed, on_bound) for p in student(names, values, errors, freedom)]
    if not isinstance(member.model, Linear):
        return every
    k = len(encoder.targets)
    first = 0 if member.model.intercept else k
    return every[first : len(every) - k * member.model.held]


def in_user_units(member: Trained[Any], encoder: Encoder) -> tuple[Floats, Floats | None]:
    """Parameters (p,) and their standard errors (p,), None if not known."""
    covariance = member.told
    if not isinstance(member.model, Linear):
        known: Floats = np.empty(0)
        if member.root is not None and member.robust is None:
            known = deviations(member.root)
        elif covariance is not None:
            known = np.sqrt(np.maximum(np.diag(covariance), 0.0))
        unknown = np.full(len(member.parameters) - len(known), np.nan)
        return member.parameters, np.concatenate([unknown, known])
    k, units, scales = (
        len(encoder.targets),
        encoder.target_scales,
        encoder.scales,
    )
    # Slopes are divided by their column's scale; the intercept takes over what the means
    # shifted.
    back = np.concatenate([[1.0], -encoder.user_means / scales])
    b = member.model.matrix(member.parameters)
    level = encoder.target_means + encoder.target_offsets
    values = np.vstack([back @ b * units + level, b[1:] / scales[:, None] * units])
    if covariance is None:
        return values.reshape(-1), None
    errors = np.empty_like(values)
    for j in range(k):
        of_output = covariance[j::k, j::k]
        errors[0, j] = np.sqrt(max(float(back @ of_output @ back), 0.0))
        errors[1:, j] = np.sqrt(np.maximum(np.diag(of_output)[1:], 0.0)) / scales
    return values.reshape(-1), (errors * units).reshape(-1)
