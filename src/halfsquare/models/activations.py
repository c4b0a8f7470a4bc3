"""The activations of a network: each φ beside its own derivative."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from halfsquare.loss import Floats


def _tanh(z: Floats) -> tuple[Floats, Floats]:
    a = np.tanh(z)
    return a, 1.0 - a * a


def _silu(z: Floats) -> tuple[Floats, Floats]:
    s = 0.5 + 0.5 * np.tanh(0.5 * z)  # the logistic function, which cannot overflow in this form
    a = z * s
    return a, s + a * (1.0 - s)


def _softplus(z: Floats) -> tuple[Floats, Floats]:
    return np.logaddexp(0.0, z), 0.5 + 0.5 * np.tanh(0.5 * z)


#: φ and φ' by name; all are smooth, so that the curvature is too.
ACTIVATIONS: dict[str, Callable[[Floats], tuple[Floats, Floats]]] = {
    "tanh": _tanh,
    "silu": _silu,
    "softplus": _softplus,
}
