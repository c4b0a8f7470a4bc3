"""A fully connected network with linear outputs: each layer's forward beside its derivative.

    a₀ = x,   aₗ = φ(Wₗᵀ aₗ₋₁ + bₗ),   o = Vᵀ a_L + c

Derivatives of one output o_j (Bishop 2006, "Pattern Recognition and Machine Learning", eq.
5.53-5.56):

    δ_L = V_j φ'(z_L),   δₗ₋₁ = φ'(zₗ₋₁) (Wₗ δₗ),
    ∂o_j/∂Wₗ = aₗ₋₁ δₗᵀ,   ∂o_j/∂bₗ = δₗ,   ∂o_j/∂x = W₁ δ₁
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from math import sqrt
from typing import Any, final

import numpy as np
import numpy.typing as npt

from halfsquare.errors import OptionError, ShapeError
from halfsquare.files.records import from_json
from halfsquare.loss import Floats
from halfsquare.models.base import Model
from halfsquare.models.layers import ACTIVATIONS, Layer

# Signals of a layer, computed some rows at a time: so that they stay in the cache.
_CACHED_NUMBERS = 1 << 17


@final
@dataclass(frozen=True)
class Network(Model):
    """A fully connected network with smooth activations and linear outputs.

    Parameters
    ----------
    inputs : int
        d, the columns of the design.
    hidden : tuple of int
        Units of each hidden layer; empty for a linear model.
    targets : int
        k, the outputs.
    activation : {"tanh", "silu", "softplus"}
    input_names : tuple of str
        Names of the design's columns for :attr:`parameter_names`; ``x1 … xd`` if left out.

    Raises
    ------
    OptionError
        If a size is not positive or the activation is unknown.

    Examples
    --------
    >>> network = Network(inputs=2, hidden=(3,))
    >>> start = network.initial_parameters(seed=1)
    >>> outputs, jacobian = network.outputs_and_jacobian(start, np.array([[0.5, -1.0]]))
    >>> outputs.shape, jacobian.shape, network.parameter_names[0]
    ((1, 1), (1, 1, 13), 'layer 1: x1 → unit 1')
    """

    inputs: int
    hidden: tuple[int, ...] = (20,)
    targets: int = 1
    activation: str = "tanh"
    input_names: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.activation not in ACTIVATIONS:
            raise OptionError(
                f"unknown activation {self.activation!r}: expected one of {', '.join(ACTIVATIONS)}"
            )
        if self.inputs < 1 or self.targets < 1 or any(units < 1 for units in self.hidden):
            sizes = (self.inputs, *self.hidden, self.targets)
            raise OptionError(
                f"a network with layers of {sizes} units; expected at least 1 in every layer"
            )
        if self.input_names and len(self.input_names) != self.inputs:
            raise OptionError(
                f"{len(self.input_names)} input names for {self.inputs} inputs; expected one "
                "for each"
            )

    def as_dict(self) -> dict[str, Any]:
        """JSON values that :meth:`from_dict` makes the network of again."""
        return {
            "kind": "network",
            "inputs": self.inputs,
            "hidden": list(self.hidden),
            "targets": self.targets,
            "activation": self.activation,
            "input_names": list(self.input_names),
        }

    @classmethod
    def from_dict(cls, saved: dict[str, Any]) -> Network:
        """The network that :meth:`as_dict` described."""
        return from_json(cls, {name: v for name, v in saved.items() if name != "kind"}, "model")

    @cached_property
    def layers(self) -> tuple[Layer, ...]:
        sizes, layers, start = (self.inputs, *self.hidden, self.targets), [], 0
        for fan_in, fan_out in pairwise(sizes):
            layers.append(Layer(fan_in, fan_out, start))
            start = layers[-1].stop
        return tuple(layers)

    @property
    def parameter_count(self) -> int:
        """p."""
        return self.layers[-1].stop

    @property
    def outputs_count(self) -> int:
        """k."""
        return self.targets

    @property
    def linear_parameters(self) -> int:
        """Those of the output layer."""
        return self.layers[-1].stop - self.layers[-1].start

    @cached_property
    def parameter_names(self) -> Sequence[str]:
        """p names: ``layer 2: unit 1 → unit 3``, ``layer 2: bias of unit 3``, ``output: unit 3 →
        output 1``.
        """
        sources: Sequence[str] = self.input_names or [f"x{i + 1}" for i in range(self.inputs)]
        names: list[str] = []
        for number, layer in enumerate(self.layers, start=1):
            last = number == len(self.layers)
            where = "output" if last else f"layer {number}"
            ends = [f"{'output' if last else 'unit'} {j + 1}" for j in range(layer.fan_out)]
            names += [f"{where}: {source} → {end}" for source in sources for end in ends]
            names += [f"{where}: bias of {end}" for end in ends]
            sources = ends
        return names

    def groups(self, input_groups: Sequence[int] | None = None) -> npt.NDArray[np.intp]:
        """The penalty group (p,) of each parameter, as whole numbers from 0.

        First the groups of inputs (by default one for each), then the biases and the weights of
        each further layer. Without a hidden layer the inputs' groups hold the output weights.
        """
        by_input = np.arange(self.inputs) if input_groups is None else np.asarray(input_groups)
        if by_input.shape != (self.inputs,):
            raise ShapeError(
                f"{by_input.size} input groups for {self.inputs} inputs; expected one for each"
            )
        groups = np.empty(self.parameter_count, dtype=np.intp)
        following = int(by_input.max()) + 1
        for layer in self.layers:
            if layer is self.layers[0]:
                groups[layer.weights] = np.repeat(by_input, layer.fan_out)
                groups[layer.biases] = following
            else:
                groups[layer.weights], groups[layer.biases] = following, following + 1
            following = int(groups[layer.biases][0]) + 1
        return groups

    def initial_parameters(self, seed: int | np.random.Generator) -> Floats:
        """Random parameters (p,): normal weights of variance 1/fan_in, biases spread over the
        inputs' range.

        For standardized inputs each pre-activation then has variance about 1, so no unit starts
        saturated (LeCun et al. 1998, "Efficient BackProp", eq. 16).
        """
        random = np.random.default_rng(seed)
        parameters = np.empty(self.parameter_count)
        for layer in self.layers:
            last = layer is self.layers[-1]
            parameters[layer.weights] = random.normal(size=layer.fan_in * layer.fan_out) / sqrt(
                layer.fan_in
            )
            parameters[layer.biases] = 0.0 if last else random.normal(size=layer.fan_out)
        return parameters

    def hidden_signals(self, parameters: Floats, design: Floats) -> Floats:
        """a_L (n, units): what goes into the output layer."""
        activation = ACTIVATIONS[self.activation]
        a = design
        for layer in self.layers[:-1]:
            a = activation(layer.pre_activation(parameters, a))[0]
        return a

    def outputs(self, parameters: Floats, design: Floats) -> Floats:
        """The outputs (n, k)."""
        last = self.layers[-1]
        outputs = np.empty((len(design), self.targets), dtype=np.result_type(parameters, design))
        step = max(64, _CACHED_NUMBERS // max(self.inputs, *self.hidden, 1))
        for start in range(0, len(design), step):
            a = self.hidden_signals(parameters, design[start : start + step])
            outputs[start : start + step] = last.pre_activation(parameters, a)
        return outputs

    def outputs_and_jacobian(self, parameters: Floats, design: Floats) -> tuple[Floats, Floats]:
        """The outputs (n, k) and ∂output/∂parameter (n, k, p)."""
        block = np.empty((self.parameter_count, self.targets, len(design)))
        outputs = self.write_jacobian(parameters, design, block)
        return outputs, block.transpose(2, 1, 0)

    def outputs_and_last_derivatives(
        self, parameters: Floats, design: Floats, count: int
    ) -> tuple[Floats, Floats]:
        """See the base class; for the output layer the signals into it are all there is to know."""
        last, k = self.layers[-1], self.targets
        if count != self.linear_parameters:
            return super().outputs_and_last_derivatives(parameters, design, count)
        a = self.hidden_signals(parameters, design)
        derivatives = np.zeros((len(design), k, count))
        for j in range(k):  # a weight moves its own output alone
            derivatives[:, j, j : last.fan_in * k : k] = a
            derivatives[:, j, last.fan_in * k + j] = 1.0
        return last.pre_activation(parameters, a), derivatives

    def write_jacobian(self, parameters: Floats, design: Floats, block: Floats) -> Floats:
        """Write ∂output/∂parameter to ``block`` (p, k, n); returns the outputs (n, k)."""
        signals, slopes, outputs = self._forward(parameters, design)
        last = self.layers[-1]
        k, n = self.targets, len(design)
        weights = block[last.weights].reshape(last.fan_in, k, k, n)
        biases = block[last.biases]
        if k > 1:  # a weight moves its own output alone
            weights[:], biases[:] = 0.0, 0.0
        for j in range(k):
            weights[:, j, j], biases[j, j] = signals[-1], 1.0
        for layer, delta in zip(
            reversed(self.layers[:-1]), self._deltas(parameters, slopes), strict=True
        ):
            a = signals[self.layers.index(layer)]
            into = block[layer.weights].reshape(layer.fan_in, layer.fan_out, k, n)
            np.multiply(a[:, None, None, :], delta, out=into)
            block[layer.biases] = delta
        return outputs

    def input_jacobian(self, parameters: Floats, design: Floats) -> Floats:
        """∂output/∂input (n, k, d): how each output moves with each column of the design."""
        _, slopes, _ = self._forward(parameters, design)
        first = self.layers[0].weight_matrix(parameters)
        if not self.hidden:
            return np.broadcast_to(first.T, (len(design), self.targets, self.inputs)).copy()
        *_, delta = self._deltas(parameters, slopes)
        return np.tensordot(delta, first, axes=(0, 1)).transpose(1, 0, 2)

    def pull(
        self, parameters: Floats, design: Floats, error: Floats, weight: Floats
    ) -> tuple[Floats, Floats]:
        """Σ w Jᵀ(o-t), (p,), and for each row |Jᵀ(o-t)|², (n,); no Jacobian is formed.

        A row's derivative of a layer is the outer product aδᵀ, whose norm is |a| |δ|.
        """
        activation, signals, slopes = ACTIVATIONS[self.activation], [design], []
        for layer in self.layers[:-1]:
            a, slope = activation(layer.pre_activation(parameters, signals[-1]))
            signals.append(a)
            slopes.append(slope)
        gradient, norms = np.empty_like(parameters), np.zeros(len(design), dtype=parameters.dtype)
        delta = error
        for layer, a in zip(reversed(self.layers), reversed(signals), strict=True):
            weighted = weight[:, None] * delta
            gradient[layer.weights] = (a.T @ weighted).reshape(-1)
            gradient[layer.biases] = weighted.sum(axis=0)
            norms += (np.einsum("ni,ni->n", a, a) + 1.0) * np.einsum("ni,ni->n", delta, delta)
            if slopes:
                delta = (delta @ layer.weight_matrix(parameters).T) * slopes.pop()
        return gradient, norms

    def _forward(
        self, parameters: Floats, design: Floats
    ) -> tuple[list[Floats], list[Floats], Floats]:
        """Signals aₗ (units, n) into each layer, slopes φ'(zₗ) (units, n), and the outputs (n,
        k).
        """
        activation = ACTIVATIONS[self.activation]
        signals, slopes = [np.ascontiguousarray(design.T)], []
        for layer in self.layers[:-1]:
            z = layer.weight_matrix(parameters).T @ signals[-1] + parameters[layer.biases, None]
            a, slope = activation(z)
            signals.append(a)
            slopes.append(slope)
        last = self.layers[-1]
        return (
            signals,
            slopes,
            (last.weight_matrix(parameters).T @ signals[-1]).T + parameters[last.biases],
        )

    def _deltas(self, parameters: Floats, slopes: list[Floats]) -> list[Floats]:
        """∂output/∂zₗ (units, k, n), from the last hidden layer back to the first."""
        deltas: list[Floats] = []
        for index in range(len(self.hidden) - 1, -1, -1):
            above = self.layers[index + 1].weight_matrix(parameters)
            back = above[:, :, None] if not deltas else np.tensordot(above, deltas[-1], axes=(1, 0))
            deltas.append(back * slopes[index][:, None, :])
        return deltas
