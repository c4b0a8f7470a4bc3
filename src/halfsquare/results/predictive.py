"""The variance of one model's outputs: its noise, and what is not known of its parameters, J C Jᵀ.

Seber & Wild (1989), "Nonlinear Regression", eq. 5.22.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from halfsquare.loss import Floats
from halfsquare.models.linear import Linear
from halfsquare.results.trained import Trained

_BLOCK_ROWS = 2048  # few enough that what is made of them stays in the cache


def member_variance(
    member: Trained[Any], design: Floats, share: Floats | None = None
) -> tuple[Floats, Floats]:
    """Outputs and their predictive variance (m, k): noise + J cov Jᵀ; the noise of a row is
    ``share`` (m,) of the model's.
    """
    noise = member.noise if share is None else share[:, None] * member.noise
    covariance = member.told
    if covariance is None:
        o = member.model.outputs(member.parameters, design)
        return o, np.broadcast_to(noise, o.shape)
    if isinstance(member.model, Linear):  # J is [1 | z] for each output: no need to write it out
        o = member.model.outputs(member.parameters, design)
        k = o.shape[1]
        spread = np.empty_like(o)
        for start in range(0, len(design), _BLOCK_ROWS):
            rows = slice(start, start + _BLOCK_ROWS)
            a = np.hstack([np.ones((len(design[rows]), 1)), design[rows]])
            for j in range(k):
                moved = a @ covariance[j::k, j::k]
                spread[rows, j] = np.einsum("ni,ni->n", moved, a)
        return o, noise + spread
    o, jacobian = member.model.outputs_and_last_derivatives(
        member.parameters, design, len(covariance)
    )
    moved = jacobian @ covariance
    return o, noise + np.einsum("nkp,nkp->nk", moved, jacobian)
