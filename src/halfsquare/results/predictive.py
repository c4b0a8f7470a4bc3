"""The variance of one model's outputs: its noise, and what is not known of its parameters, J C Jᵀ.

Seber & Wild (1989), "Nonlinear Regression", eq. 5.22.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from halfsquare.loss import Floats
from halfsquare.models.linear import Linear
from halfsquare.results.trained import Trained


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
        a = np.hstack([np.ones((len(design), 1)), design])
        spread = [
            np.einsum("ni,ij,nj->n", a, covariance[j::k, j::k], a, optimize=True) for j in range(k)
        ]
        return o, noise + np.column_stack(spread)
    o, jacobian = member.model.outputs_and_last_derivatives(
        member.parameters, design, len(covariance)
    )
    if member.root is not None and member.robust is None:
        return o, noise + np.square(jacobian @ member.root).sum(axis=2)
    moved = jacobian @ covariance
    return o, noise + np.einsum("nkp,nkp->nk", moved, jacobian)


def deviations(root: Floats) -> Floats:
    """Standard deviations (p,) of a covariance L Lᵀ with the root L (p, q); the covariance itself
    may be beyond float64.
    """
    size = np.abs(root).max(axis=1, initial=0.0)
    unit = np.where(size > 0, size, 1.0)
    return np.asarray(size * np.sqrt(np.square(root / unit[:, None]).sum(axis=1)))
