"""Mean and variance of a new target: noise, what is not known of the parameters, J C Jᵀ, and the
spread of the members.

Seber & Wild (1989), "Nonlinear Regression", eq. 5.22.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from halfsquare.loss import Floats
from halfsquare.models.base import Model
from halfsquare.models.linear import Linear
from halfsquare.results.trained import Trained

_BLOCK_ROWS = 2048  # few enough that what is made of them stays in the cache


def predictive(
    members: Sequence[Trained[Any]], design: Floats, share: Floats | None = None
) -> tuple[Floats, Floats]:
    """Mean and variance (m, k) of the target over the members by their shares: noise + parameters +
    spread; the noise of a row is ``share`` (m,) of the model's.
    """
    each = [member_variance(member, design, share) for member in members]
    mean = mean_of(members, (o for o, _ in each))
    spread = mean_of(members, ((o - mean) ** 2 for o, _ in each))
    return mean, mean_of(members, (v for _, v in each)) + spread


def mean_of(members: Sequence[Trained[Any]], values: Iterable[Floats]) -> Floats:
    """The mean of a value for each member by their shares, summed in their order."""
    shares = [member.share for member in members]
    equal = len(set(shares)) == 1
    total: Floats | None = None
    for value, share in zip(values, shares, strict=True):
        part = value if equal else share * value
        total = part if total is None else total + part
    assert total is not None
    return total / (len(shares) if equal else sum(shares))


def member_variance(
    member: Trained[Any], design: Floats, share: Floats | None = None
) -> tuple[Floats, Floats]:
    """Outputs and their predictive variance (m, k) by one member: noise + J C Jᵀ."""
    noise = member.noise if share is None else share[:, None] * member.noise
    whole = max(len(design), 1)
    o, variance = outputs_and_variance(
        member.model, member.parameters, member.told, design, block=whole
    )
    return o, noise + variance


def outputs_and_variance(
    model: Model, parameters: Floats, covariance: Floats | None, design: Floats, block: int = 1024
) -> tuple[Floats, Floats]:
    """Outputs (m, k) and the variance J C Jᵀ (m, k) they have from the covariance C of the last
    parameters.
    """
    if covariance is None:
        known = model.outputs(parameters, design)
        return known, np.zeros_like(known)
    if isinstance(model, Linear):  # J is [1 | z] for each output: no need to write it out
        o = model.outputs(parameters, design)
        k = o.shape[1]
        spread = np.empty_like(o)
        for start in range(0, len(design), _BLOCK_ROWS):
            rows = slice(start, start + _BLOCK_ROWS)
            a = np.hstack([np.ones((len(design[rows]), 1)), design[rows]])
            for j in range(k):
                moved = a @ covariance[j::k, j::k]
                spread[rows, j] = np.einsum("ni,ni->n", moved, a)
        return o, spread
    outputs: list[Floats] = []
    variances: list[Floats] = []
    for start in range(0, max(len(design), 1), block):
        some = design[start : start + block]
        o, jacobian = model.outputs_and_last_derivatives(parameters, some, len(covariance))
        variances.append(np.einsum("nkp,nkp->nk", jacobian @ covariance, jacobian))
        outputs.append(o)
    return np.concatenate(outputs), np.concatenate(variances)
