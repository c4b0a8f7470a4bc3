"""A row's output as a baseline and what each column adds to it.

Linear: each column's coefficient times its distance from the mean. Network: integrated gradients
along the straight line from the average row, Sundararajan, Taly & Yan (2017), "Axiomatic
attribution for deep networks", eq. 1: part_j = z_j ∫₀¹ ∂o/∂z_j(αz) dα, by Gauss-Legendre
quadrature; the parts add up to the difference of the outputs, which is checked and stated. Trees:
the steps of the mean of the leaves on the row's way through each tree, credited to the column
tested (:meth:`halfsquare.models.trees.Trees.contributions`). The parts of a blend are those of its
members, by their shares. The baseline is the output of the average row; of trees the mean of their
leaves.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from halfsquare.loss import Floats
from halfsquare.models.formula.model import Formula
from halfsquare.models.linear import Linear
from halfsquare.models.network import Network
from halfsquare.models.trees import Trees
from halfsquare.results.fitted import FittedModel
from halfsquare.results.trained import Trained

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
    """The parts of one row's output ``output``; ``design`` (d,).

    None for a formula, which knows of no average row, and for a transformed target, whose mean is
    no sum of parts.
    """
    first = fitted.members[0].model
    if fitted.encoder.target_transform is not None:
        return None
    if isinstance(first, Formula) or first.target_function != "identity":
        return None
    smooth, grown = _sorted(fitted)
    whole = float(fitted.outputs_of(design[None, :])[0][0, output])
    baseline = float(fitted.encoder.target_means[output])
    parts = {column: 0.0 for column, _, _ in fitted.encoder.groups}
    methods = []
    if smooth:
        ends = _outputs(fitted, smooth, np.vstack([design, np.zeros_like(design)]), output)
        difference = float(ends[0] - ends[1])
        if all(isinstance(member.model, Linear) for member, _ in smooth):
            by_column = design * output_slopes(fitted, design[None, :], output)[0]
            methods.append("coefficient times distance from the mean, exact")
        else:
            by_column, nodes = _integrated(fitted, design, output, difference)
            methods.append(
                f"integrated gradients from the average row, {nodes} Gauss-Legendre points"
            )
        baseline += float(ends[1])
        for column, a, b in fitted.encoder.groups:
            parts[column] += float(by_column[a:b].sum())
    if grown:
        mean, by_group = tree_contributions(fitted, design[None, :], output)
        baseline += mean
        methods.append("steps of the leaves' mean on the way through each tree, exact")
        for (column, _, _), part in zip(fitted.encoder.groups, by_group[0], strict=True):
            parts[column] += float(part)
    gap = whole - baseline - sum(parts.values())
    return Parts(baseline, parts, "; ".join(methods), gap)


def tree_contributions(
    fitted: FittedModel, design: Floats, output: int = 0
) -> tuple[float, Floats]:
    """What the trees of a fitted model say without a row, and what each column of ``groups`` adds.

    In the unit of the target; (m, groups) for ``design`` (m, d).
    """
    scale = float(fitted.encoder.target_scales[output])
    group_of = fitted.encoder.group_of
    mean, found = 0.0, np.zeros((len(design), len(fitted.encoder.groups)))
    for member, share in _sorted(fitted)[1]:
        assert isinstance(member.model, Trees)
        constant, by_input = member.model.contributions(member.parameters, design)
        mean += share * scale * float(constant[output])
        for j, each in enumerate(member.model.inputs):
            found[:, group_of[each.first]] += share * scale * by_input[:, output, j]
    return mean, found


def _sorted(
    fitted: FittedModel,
) -> tuple[list[tuple[Trained[Any], float]], list[tuple[Trained[Any], float]]]:
    """The members that are smooth, and those of trees, with their shares."""
    pairs = list(zip(fitted.members, fitted.shares.tolist(), strict=True))
    grown = [pair for pair in pairs if isinstance(pair[0].model, Trees)]
    return [pair for pair in pairs if not isinstance(pair[0].model, Trees)], grown


def _outputs(
    fitted: FittedModel, members: list[tuple[Trained[Any], float]], design: Floats, output: int
) -> Floats:
    """The part of the output (m,) that these members have in it."""
    total = np.zeros(len(design))
    for member, share in members:
        total += share * member.model.outputs(member.parameters, design)[:, output]
    return total * float(fitted.encoder.target_scales[output])


def output_slopes(fitted: FittedModel, design: Floats, output: int = 0) -> Floats:
    """∂output/∂(standardized design column) at each row of ``design`` (m, d), in the unit of the
    target: (m, d). Trees have none: they are flat between their cuts.
    """
    scale = float(fitted.encoder.target_scales[output])
    total = np.zeros(design.shape)
    for member, share in _sorted(fitted)[0]:
        if isinstance(member.model, Linear):
            total += share * member.model.matrix(member.parameters)[1:, output]
        else:
            assert isinstance(member.model, Network)
            total += share * member.model.input_jacobian(member.parameters, design)[:, output]
    return total * scale


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
