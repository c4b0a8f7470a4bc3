"""What the triangle R of [Φ | ∂o/∂α | e] says of a step: damped, the shortest of equals."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from halfsquare.loss import Floats

# Singular values below this, relative to the largest of unit columns, are taken for zero in steps.
_RANK = 1e-11


def free_columns(r: Floats, q: int, free: npt.NDArray[np.bool_]) -> Floats:
    """The triangle without the nonlinear columns that are held at a bound."""
    if free.all():
        return r
    keep = np.concatenate([np.ones(q, dtype=bool), free, [True]])
    return np.asarray(np.linalg.qr(r[:, keep], mode="r"))


def length_within(r: Floats) -> float:
    """The length of the error's part in the span of the Jacobian: what a whole step would take
    away.
    """
    norms = np.linalg.norm(r[:-1, :-1], axis=0)
    u, s, _ = np.linalg.svd(r[:-1, :-1] / np.where(norms > 0, norms, 1.0))
    return float(np.linalg.norm((u.T @ r[:-1, -1])[s > _RANK * s.max(initial=0.0)]))


def damped_step(r: Floats, z: Floats, damping: Floats) -> Floats:
    """δ minimizing |z + Rδ|² + |damping δ|², by the SVD of R with unit columns; the shortest of
    equals.
    """
    if not len(z):
        return np.zeros(0)
    tall = np.vstack([r, np.diag(damping)])
    norms = np.linalg.norm(tall, axis=0)
    norms = np.where(norms > 0, norms, 1.0)
    right = np.concatenate([-z, np.zeros(len(z))])
    return np.asarray(np.linalg.lstsq(tall / norms, right, rcond=_RANK)[0]) / norms
