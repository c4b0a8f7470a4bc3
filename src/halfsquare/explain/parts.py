"""A row's output as the average row's output and what each column adds to it.

Linear: each column's coefficient times its distance from the mean. Network: integrated gradients
along the straight line from the average row, Sundararajan, Taly & Yan (2017), "Axiomatic
attribution for deep networks", eq. 1: part_j = z_j ∫₀¹ ∂o/∂z_j(αz) dα, by Gauss-Legendre
quadrature; the parts add up to the difference of the outputs, which is checked and stated.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from halfsquare.loss import Floats
from halfsquare.models.linear import Linear
from halfsquare.models.network import Network
from halfsquare.results.fitted import FittedModel

_NODES = (32, 64, 128, 256, 512, 1024)
_EXACT = 1e-10


@dataclass(frozen=True)
class Parts:
    """``output = baseline + Σ contributions + gap``, in the unit of the target."""

    baseline: float | None
    contributions: dict[str, float]
    method: str
    gap: float


def parts_of(fitted: FittedModel, design: Floats, output: int = 0) -> Parts | None:
    """The parts of one row's output ``output``; ``design`` (d,). None for a formula: it knows of no
    average row.
    """
    model = fitted.members[0].model
    if not isinstance(model, Linear | Network) or model.target_function != "identity":
        return None
    ends, _ = fitted.outputs_of(np.vstack([design, np.zeros_like(design)]))
    difference = float(ends[0, output] - ends[1, output])
    if isinstance(model, Linear):
        by_column = design * output_slopes(fitted, design[None, :], output)[0]
        method = "coefficient times distance from the mean, exact"
    else:
        by_column, nodes = _integrated(fitted, design, output, difference)
        method = f"integrated gradients from the average row, {nodes} Gauss-Legendre points"
    parts = {column: float(by_column[a:b].sum()) for column, a, b in fitted.encoder.groups}
    return Parts(float(ends[1, output]), parts, method, difference - sum(parts.values()))


def output_slopes(fitted: FittedModel, design: Floats, output: int = 0) -> Floats:
    """∂output/∂(standardized design column) at each row of ``design`` (m, d), in the unit of the
    target: (m, d).
    """
    member = fitted.members[0]
    scale = float(fitted.encoder.target_scales[output])
    if isinstance(member.model, Linear):
        slopes = member.model.matrix(member.parameters)[1:, output] * scale
        return np.broadcast_to(slopes, design.shape)
    total = np.zeros(design.shape)
    for each in fitted.members:
        assert isinstance(each.model, Network)
        total += each.model.input_jacobian(each.parameters, design)[:, output]
    return total * (scale / len(fitted.members))


def _integrated(
    fitted: FittedModel, design: Floats, output: int, difference: float
) -> tuple[Floats, int]:
    """The parts (d,) by as many points as it takes until they add up."""
    found, size = np.zeros_like(design), 0
    for size in _NODES:
        nodes, weights = np.polynomial.legendre.leggauss(size)
        along = 0.5 * (nodes + 1.0)
        found = design * (0.5 * weights @ output_slopes(fitted, along[:, None] * design, output))
        if abs(found.sum() - difference) <= _EXACT * max(
            np.abs(found).sum(), abs(difference), 1e-300
        ):
            break
    return found, size
