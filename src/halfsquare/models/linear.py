"""The linear model: an intercept and a coefficient for each design column, for each output."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, final

import numpy as np

from halfsquare.files.records import from_json
from halfsquare.loss import Floats
from halfsquare.models.base import Model
from halfsquare.models.target import TARGET_FUNCTIONS


@final
@dataclass(frozen=True)
class Linear(Model):
    """o = b₀ + Σ_j b_j z_j.

    The parameter vector is the matrix (1 + d, k), intercepts first, row by row.

    Attributes
    ----------
    names : tuple of str
        The d design columns.
    targets : tuple of str
        The k outputs.
    intercept : bool
        Whether b₀ is a parameter; if not it is 0.
    target_function : str
        What the left side of a formula applies to the target, as "log"; the outputs are those of
        the transformed target.
    held : int
        How many columns, the last ones, have a coefficient that is held and no parameter.
    """

    names: tuple[str, ...]
    targets: tuple[str, ...]
    intercept: bool = True
    target_function: str = "identity"
    held: int = 0

    @property
    def parameter_names(self) -> tuple[str, ...]:
        terms = ("intercept", *self.names)
        if len(self.targets) == 1:
            return terms
        return tuple(f"{target}: {term}" for term in terms for target in self.targets)

    @property
    def outputs_count(self) -> int:
        return len(self.targets)

    def as_dict(self) -> dict[str, Any]:
        return {
            "kind": "linear",
            "names": list(self.names),
            "targets": list(self.targets),
            "intercept": self.intercept,
            "target_function": self.target_function,
            "held": self.held,
        }

    @classmethod
    def from_dict(cls, saved: dict[str, Any]) -> Linear:
        """The model that :meth:`as_dict` described."""
        model = from_json(cls, {name: v for name, v in saved.items() if name != "kind"}, "model")
        if model.target_function not in ("identity", *TARGET_FUNCTIONS):
            raise ValueError(f"the unknown function {model.target_function!r} of the target")
        if not 0 <= model.held <= len(model.names):
            raise ValueError(f"{model.held} of {len(model.names)} coefficients are held")
        return model

    def matrix(self, parameters: Floats) -> Floats:
        """The parameters as (1 + d, k)."""
        return parameters.reshape(1 + len(self.names), len(self.targets))

    def outputs(self, parameters: Floats, design: Floats) -> Floats:
        # Column by column rather than by a matrix product: the bits of a row do not depend on the
        # others.
        coefficients = self.matrix(parameters)
        outputs = np.empty((len(self.targets), len(design)))
        product = np.empty(len(design))
        for k, total in enumerate(outputs):
            total[:] = coefficients[0, k]
            for column, slope in zip(design.T, coefficients[1:, k], strict=True):
                np.multiply(column, slope, out=product)
                total += product
        return np.ascontiguousarray(outputs.T)

    def outputs_and_jacobian(self, parameters: Floats, design: Floats) -> tuple[Floats, Floats]:
        n, k = len(design), len(self.targets)
        jacobian = np.zeros((n, k, 1 + len(self.names), k))
        for j in range(k):
            jacobian[:, j, 0, j] = 1.0
            jacobian[:, j, 1:, j] = design
        return self.outputs(parameters, design), jacobian.reshape(n, k, -1)

    def pull(
        self, parameters: Floats, design: Floats, error: Floats, weight: Floats
    ) -> tuple[Floats, Floats]:
        weighted = error * weight[:, None]
        gradient = np.vstack([weighted.sum(axis=0), design.T @ weighted])
        squares = np.einsum("nk,nk->n", error, error) * (
            1.0 + np.einsum("nd,nd->n", design, design)
        )
        return gradient.reshape(-1), squares

    def directional(self, parameters: Floats, design: Floats, directions: Floats) -> Floats:
        matrices = directions.reshape(1 + len(self.names), -1)  # (1 + d, k q)
        moved: Floats = design @ matrices[1:] + matrices[0]
        return moved.reshape(len(design), len(self.targets), -1)
