"""What the rows pull at: the parameters of a fitted model, in the user's units.

The pull of a row on a parameter is its part of the gradient of ½SSE, w (o-t) ∂o/∂parameter. A
negative pull asks for a larger parameter, since descent moves against the gradient. What the
parameters are:

linear      intercept and the change of the output for one unit of each design column: ∂o/∂b = x
formula     its own parameters; the error is taken where the formula is, on log y if it
            says log(y) ~ …
network     for each input a *gain*: a common factor, now 1, on all weights that leave that input
            in every member of the ensemble, so that ∂o/∂gain = x ∂o/∂x; gains of the layers; the
            output's bias
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, final

import numpy as np

from halfsquare.errors import OptionError
from halfsquare.explain.parts import output_slopes, tree_contributions
from halfsquare.loss import Floats, error
from halfsquare.models.formula.model import Formula
from halfsquare.models.linear import Linear
from halfsquare.models.network import Network
from halfsquare.results.fitted import FittedModel
from halfsquare.results.trained import LinearFacts, Trained

# The Jacobian of a network is formed for a block of rows at a time, of about this many numbers.
_BLOCK_NUMBERS = 1 << 21


@dataclass(frozen=True)
class Levers(ABC):
    """The q parameters that rows pull at, with k outputs.

    Attributes
    ----------
    fitted : FittedModel
    names : tuple of str, q
    values : (q,)
    scales : (q,)
        A comparable change of each, so that pulls on different parameters can be ranked: pull ×
        scale. For a slope one over its column's standard deviation, for a gain 1.
    """

    fitted: FittedModel
    names: tuple[str, ...]
    values: Floats
    scales: Floats

    @property
    def targets(self) -> tuple[int | None, ...]:
        """The output that each parameter belongs to; None where it moves several."""
        one = len(self.fitted.encoder.targets) == 1
        return (0 if one else None,) * len(self.names)

    def errors(self, design: Floats, target: Floats) -> Floats:
        """o - t (m, k) in the unit of the target, or of what is fitted in its place."""
        transform = self.fitted.encoder.target_transform
        if transform is not None:
            return error(transform.forward(target), self.fitted.fitted_outputs(design))
        model = self.fitted.members[0].model
        if model.target_function == "identity":
            return error(target, self.fitted.outputs_of(design)[0])
        outputs = model.outputs(self.fitted.members[0].parameters, design)
        return error(model.transform_target(target), outputs)

    @abstractmethod
    def pulls(self, design: Floats, errors: Floats) -> Floats:
        """(o-t) ∂o/∂parameter for each row, (m, q), in the user's units; not yet weighted."""

    def penalty(self, weight: float) -> Floats:
        """The gradient (q,) of the penalty over rows of this total weight."""
        del weight
        return np.zeros(len(self.names))


@final
@dataclass(frozen=True)
class LinearLevers(Levers):
    """Coefficients in the user's units; ``shift`` (d,) is where each column is measured from: 0, or
    its mean.
    """

    shift: Floats

    @classmethod
    def of(cls, fitted: FittedModel, about: str) -> LinearLevers:
        encoder, model, k = fitted.encoder, fitted.members[0].model, len(fitted.encoder.targets)
        assert isinstance(model, Linear)
        values: Floats = np.array([p.value for p in fitted.parameters])
        shift: Floats = np.zeros(len(encoder.names))
        if about == "mean" and model.intercept:
            shift = encoder.user_means
            values[:k] = (
                encoder.target_means + encoder.target_scales * fitted.members[0].parameters[:k]
            )
        scales = np.repeat(np.concatenate([[1.0], 1.0 / encoder.scales]), k)
        first = 0 if model.intercept else k
        stop = len(model.parameter_names) - k * model.held
        names = tuple(model.parameter_names)[first:stop]
        return cls(fitted, names, values, scales[first:stop], shift)

    @property
    def targets(self) -> tuple[int | None, ...]:
        k = len(self.fitted.encoder.targets)
        return tuple(j % k for j in range(len(self.names)))

    def pulls(self, design: Floats, errors: Floats) -> Floats:
        encoder = self.fitted.encoder
        slopes = np.empty((len(design), 1 + design.shape[1]))
        slopes[:, 0] = 1.0
        np.multiply(design, encoder.scales, out=slopes[:, 1:])
        if not self.shift.any():
            means = encoder.user_means
            slopes[:, 1:] += means
            # What was 0 before it was standardized is 0 again: a row of another level does not
            # pull at all.
            slopes[:, 1:][np.abs(slopes[:, 1:]) <= 8 * np.finfo(float).eps * np.abs(means)] = 0.0
        whole = (slopes[:, :, None] * errors[:, None, :]).reshape(len(design), -1)
        model, k = self.fitted.members[0].model, errors.shape[1]
        assert isinstance(model, Linear)
        first = 0 if model.intercept else k
        return whole[:, first : first + len(self.names)]

    def penalty(self, weight: float) -> Floats:
        # ½ λ Σw Σ_j (b_j s_j)², b in the user's units and s_j the column's standard deviation
        facts = self.fitted.facts
        l2 = facts.l2 if isinstance(facts, LinearFacts) else 0.0
        k = len(self.fitted.encoder.targets)
        pull = l2 * weight * self.values / self.scales**2
        if len(self.names) > k * len(self.fitted.encoder.names):
            pull[:k] = 0.0  # none on the intercepts
        return pull


@final
@dataclass(frozen=True)
class FormulaLevers(Levers):
    """The parameters of a formula."""

    formula: Formula

    @classmethod
    def of(cls, fitted: FittedModel) -> FormulaLevers:
        member, formula = fitted.members[0], fitted.members[0].model
        assert isinstance(formula, Formula)
        scales = np.where(member.parameters != 0, np.abs(member.parameters), 1.0)
        return cls(fitted, tuple(formula.parameter_names), member.parameters, scales, formula)

    def pulls(self, design: Floats, errors: Floats) -> Floats:
        _, jacobian = self.formula.outputs_and_jacobian(self.values, design)
        return jacobian[:, 0, :] * errors


@final
@dataclass(frozen=True)
class NetworkLevers(Levers):
    """Gains of the inputs and layers of an ensemble, and its output's bias.

    ``directions`` has for each member how a unit of each lever moves its parameters, (p, q).
    """

    directions: tuple[Floats, ...]

    @classmethod
    def of(cls, fitted: FittedModel) -> NetworkLevers:
        encoder = fitted.encoder
        inputs = [f"gain of {column}" for column, _, _ in encoder.groups]
        layers = [
            "gain of the hidden layers",
            "gain of the output layer",
            "gain of the hidden biases",
        ]
        suffix = [""] if len(encoder.targets) == 1 else [f" of {t}" for t in encoder.targets]
        names = (*inputs, *layers, *(f"output bias{s}" for s in suffix))
        directions = tuple(_directions(fitted, member, len(names)) for member in fitted.members)
        used = np.any([np.any(d != 0, axis=0) for d in directions], axis=0)
        values = np.ones(len(names))
        values[len(inputs) + 3 :] = encoder.target_means + encoder.target_scales * np.mean(
            [m.parameters[_network(m).layers[-1].biases] for m in fitted.members], axis=0
        )
        kept = tuple(name for name, is_used in zip(names, used, strict=True) if is_used)
        return cls(
            fitted, kept, values[used], np.ones(len(kept)), tuple(d[:, used] for d in directions)
        )

    def pulls(self, design: Floats, errors: Floats) -> Floats:
        members = self.fitted.members
        scaled = errors * self.fitted.encoder.target_scales / len(members)
        total = np.zeros((len(design), len(self.names)))
        for member, directions in zip(members, self.directions, strict=True):
            step = max(1, _BLOCK_NUMBERS // (len(directions) * errors.shape[1]))
            for start in range(0, len(design), step):
                at = slice(start, start + step)
                moved = member.model.directional(member.parameters, design[at], directions)
                total[at] += np.einsum("nkq,nk->nq", moved, scaled[at])
        return total


@final
@dataclass(frozen=True)
class GainLevers(Levers):
    """Gains of the columns of trees or a blend, and the output's bias.

    A gain is a common factor, now 1, on all that a column adds to the output: on the coefficients
    of a linear member, on the weights that leave the input of a network, on the column's steps
    through trees.
    """

    @classmethod
    def of(cls, fitted: FittedModel) -> GainLevers:
        encoder, k = fitted.encoder, len(fitted.encoder.targets)
        suffix = [""] if k == 1 else [f" of {t}" for t in encoder.targets]
        names = [f"gain of {column}" for column, _, _ in encoder.groups]
        names += [f"output bias{s}" for s in suffix]
        at_average = fitted.outputs_of(np.zeros((1, len(encoder.names))))[0][0]
        values = np.concatenate([np.ones(len(encoder.groups)), at_average])
        return cls(fitted, tuple(names), values, np.ones(len(names)))

    @property
    def targets(self) -> tuple[int | None, ...]:
        k = len(self.fitted.encoder.targets)
        gains: list[int | None] = [0 if k == 1 else None] * (len(self.names) - k)
        return (*gains, *range(k))

    def pulls(self, design: Floats, errors: Floats) -> Floats:
        groups = self.fitted.encoder.groups
        total = np.zeros((len(design), len(self.names)))
        total[:, len(groups) :] = errors
        for j in range(errors.shape[1]):
            added = design * output_slopes(self.fitted, design, j)
            moved = tree_contributions(self.fitted, design, j)[1]
            for g, (_, a, b) in enumerate(groups):
                total[:, g] += (added[:, a:b].sum(axis=1) + moved[:, g]) * errors[:, j]
        return total


def levers(fitted: FittedModel, about: str = "zero") -> Levers:
    """The levers of a fitted model; ``about`` is where a linear model's columns are measured from.

    Raises
    ------
    OptionError
        If ``about`` is neither ``"zero"`` nor ``"mean"``, or the mean is asked of another model.
    """
    if about not in ("zero", "mean"):
        raise OptionError(f"about is {about!r}; expected 'zero' or 'mean'")
    model = fitted.members[0].model
    if isinstance(model, Linear) and len(fitted.members) == 1:
        return LinearLevers.of(fitted, about)
    if about == "mean":
        raise OptionError("only the columns of a linear model can be measured from their means")
    if isinstance(model, Formula):
        return FormulaLevers.of(fitted)
    if all(isinstance(member.model, Network) for member in fitted.members):
        return NetworkLevers.of(fitted)
    return GainLevers.of(fitted)


def _directions(fitted: FittedModel, member: Trained[Any], count: int) -> Floats:
    network, theta = _network(member), member.parameters
    found = np.zeros((len(theta), count))
    first, last, inputs = network.layers[0], network.layers[-1], len(fitted.encoder.groups)
    weights = np.arange(len(theta))[first.weights].reshape(first.fan_in, first.fan_out)
    for g, (_, start, stop) in enumerate(fitted.encoder.groups):
        rows = weights[start:stop].reshape(-1)
        found[rows, g] = theta[rows]
    for layer in network.layers[1:-1]:
        found[layer.weights, inputs] = theta[layer.weights]
    if last is not first:
        found[last.weights, inputs + 1] = theta[last.weights]
    for layer in network.layers[:-1]:
        found[layer.biases, inputs + 2] = theta[layer.biases]
    own = np.arange(len(theta))[last.biases]
    found[own, inputs + 3 + np.arange(len(own))] = 1.0 / fitted.encoder.target_scales
    return found


def _network(member: Trained[Any]) -> Network:
    assert isinstance(member.model, Network)
    return member.model
