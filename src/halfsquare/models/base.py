"""What a model is: parameters → outputs and their derivatives. It knows nothing about fitting."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from halfsquare.loss import Floats
from halfsquare.models.target import restore, transform


class Model(ABC):
    """A family of functions of a design row, by p parameters, with k outputs.

    Shapes: parameters (p,), design (n, d), outputs (n, k), Jacobian (n, k, p).
    A model is a frozen value: every method is a pure function of its arguments.
    """

    @property
    @abstractmethod
    def parameter_names(self) -> Sequence[str]:
        """p names, in the order of the parameter vector."""

    @property
    def parameter_count(self) -> int:
        """p."""
        return len(self.parameter_names)

    @property
    @abstractmethod
    def outputs_count(self) -> int:
        """k."""

    @property
    def target_function(self) -> str:
        """What the left side of a formula applies to the target, as ``"log"``; the outputs are of
        the target so transformed.
        """
        return "identity"

    def transform_target(self, target: Floats) -> Floats:
        """What is compared with the outputs. Same shape as ``target``."""
        return transform(self.target_function, target)

    def restore_target(self, output: Floats) -> Floats:
        """Outputs in the unit of the target."""
        return restore(self.target_function, output)

    @abstractmethod
    def outputs(self, parameters: Floats, design: Floats) -> Floats:
        """The outputs (n, k)."""

    @abstractmethod
    def outputs_and_jacobian(self, parameters: Floats, design: Floats) -> tuple[Floats, Floats]:
        """The outputs (n, k) and ∂output/∂parameter (n, k, p)."""

    @property
    def linear_parameters(self) -> int:
        """How many parameters, the last ones, the outputs are linear in; 0 where that is not
        known.
        """
        return 0

    def outputs_and_last_derivatives(
        self, parameters: Floats, design: Floats, count: int
    ) -> tuple[Floats, Floats]:
        """The outputs (n, k) and their derivatives by the last ``count`` parameters (n, k, count).

        What a covariance (count, count) of these parameters alone needs.
        """
        outputs, jacobian = self.outputs_and_jacobian(parameters, design)
        return outputs, jacobian[:, :, len(parameters) - count :]

    def write_jacobian(self, parameters: Floats, design: Floats, block: Floats) -> Floats:
        """Write ∂output/∂parameter to ``block`` (p, k, n), a row for each parameter; returns the
        outputs (n, k).

        What sums are formed from. A model that can write it without a copy overrides this.
        """
        outputs, jacobian = self.outputs_and_jacobian(parameters, design)
        block[...] = jacobian.transpose(2, 1, 0)
        return outputs

    @abstractmethod
    def as_dict(self) -> dict[str, Any]:
        """JSON values that a class method ``from_dict`` turns into this model again; ``kind`` names
        the class.
        """

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """What ``from_dict`` needs besides :meth:`as_dict`: large arrays, stored as they are."""
        return {}

    def pull(
        self, parameters: Floats, design: Floats, error: Floats, weight: Floats
    ) -> tuple[Floats, Floats]:
        """Σ w Jᵀ(o-t), (p,), and for each row |Jᵀ(o-t)|², (n,): how hard it pulls at the
        parameters.

        ``error`` (n, k) is o - t at these parameters, ``weight`` (n,).
        """
        _, jacobian = self.outputs_and_jacobian(parameters, design)
        pulls = np.einsum("nkp,nk->np", jacobian, error)
        return weight @ pulls, np.einsum("np,np->n", pulls, pulls)

    def directional(self, parameters: Floats, design: Floats, directions: Floats) -> Floats:
        """J v for each column v of ``directions`` (p, q): (n, k, q)."""
        _, jacobian = self.outputs_and_jacobian(parameters, design)
        return jacobian @ directions
