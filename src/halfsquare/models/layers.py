"""A layer of a network: its activation beside the derivative, and where its parameters lie."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

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


@dataclass(frozen=True)
class Layer:
    """Where a layer's weights (fan_in, fan_out) and biases (fan_out,) lie in the parameter
    vector.
    """

    fan_in: int
    fan_out: int
    start: int

    @property
    def weights(self) -> slice:
        return slice(self.start, self.start + self.fan_in * self.fan_out)

    @property
    def biases(self) -> slice:
        return slice(self.weights.stop, self.stop)

    @property
    def stop(self) -> int:
        return self.start + (self.fan_in + 1) * self.fan_out

    def pre_activation(self, parameters: Floats, a: Floats) -> Floats:
        """z (n, fan_out) of the signals ``a`` (n, fan_in) into the layer."""
        return a @ self.weight_matrix(parameters) + parameters[self.biases]

    def weight_matrix(self, parameters: Floats) -> Floats:
        """W (fan_in, fan_out)."""
        return parameters[self.weights].reshape(self.fan_in, self.fan_out)
