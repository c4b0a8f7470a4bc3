"""Where a descent stands: its weights, and the errors of some of its rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from halfsquare.data.reading import open_for, read_encoded
from halfsquare.figures.charts_run import SHOWN_WEIGHTS
from halfsquare.loss import Floats, error
from halfsquare.results.fitted import FittedModel
from halfsquare.web.held_out import sample

SHOWN_ROWS = 240


@dataclass(frozen=True)
class Weight:
    """A parameter and the step that brought it there."""

    name: str
    value: float
    step: float

    @property
    def before(self) -> float:
        """Where it stood."""
        return self.value - self.step


@dataclass(frozen=True)
class Snapshot:
    """Where a descent stands.

    Attributes
    ----------
    curve, member, iteration : int
        Which descent (from 1), of which member of an ensemble, after how many steps.
    loss : float
        ½ MSE with the penalty's share, in the unit in which the model is trained.
    gradient_norm : float
        Of that loss.
    standardized : bool
        Whether that unit is the targets' standard deviation.
    weights : tuple of Weight
        The strongest, in their own order.
    targets, outputs : (m,)
        Of some of the rows it is trained on.
    notes : mapping of str to float
        What else the method says of itself.
    """

    curve: int
    member: int
    iteration: int
    loss: float
    gradient_norm: float
    standardized: bool
    weights: tuple[Weight, ...]
    targets: Floats
    outputs: Floats
    notes: Mapping[str, float]
    reason: str | None = None

    @property
    def largest_step(self) -> float:
        """Of the weights that are shown."""
        return max((abs(w.step) for w in self.weights), default=0.0)

    @property
    def too_low(self) -> float:
        """The share of these rows whose output is too low."""
        return float(np.mean(self.outputs < self.targets)) if len(self.targets) else 0.0

    @property
    def too_high(self) -> float:
        """The share of these rows whose output is too high."""
        return float(np.mean(self.outputs > self.targets)) if len(self.targets) else 0.0


def snapshot_of(fitted: FittedModel, data: Any | None) -> Snapshot:
    """A fitted model: nothing moves any more, and the errors are in the user's unit; none without
    its rows.
    """
    member = fitted.members[0]
    targets: Floats = np.empty(0)
    outputs: Floats = np.empty(0)
    batches = (
        read_encoded(open_for(fitted.encoder, data), fitted.encoder, with_target=True)
        if data is not None
        else ()
    )
    for batch in batches:
        assert batch.target is not None
        some = sample(len(batch.target), SHOWN_ROWS)
        targets, outputs = batch.target[some, 0], fitted.outputs_of(batch.design[some])[0][:, 0]
        break
    fine = np.isfinite(error(targets, outputs))
    weights = strongest(
        member.model.parameter_names, member.parameters, np.zeros_like(member.parameters)
    )
    return Snapshot(
        0,
        0,
        0,
        np.nan,
        np.nan,
        False,
        weights,
        targets[fine],
        outputs[fine],
        {},
        fitted.info.get("reason"),
    )


def strongest(names: Any, values: Floats, steps: Floats) -> tuple[Weight, ...]:
    """The parameters of greatest magnitude, in the order of the parameter vector."""
    size = np.where(np.isfinite(values) & np.isfinite(steps), np.abs(values), -1.0)
    picked = [j for j in np.sort(np.argsort(-size, kind="stable")[:SHOWN_WEIGHTS]) if size[j] >= 0]
    return tuple(
        Weight(short_name(str(names[j])), float(values[j]), float(steps[j])) for j in picked
    )


def short_name(name: str) -> str:
    """A network's ``layer 2: unit 11 → unit 5`` as ``2: 11 → 5``."""
    if "→" not in name and "bias of" not in name:
        return name
    for long, short in (
        ("layer ", ""),
        ("output: ", "out: "),
        ("unit ", ""),
        ("→ output ", "→ "),
        ("of output ", "of "),
    ):
        name = name.replace(long, short)
    return name
