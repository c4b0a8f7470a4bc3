"""What every trainer returns."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from halfsquare.loss import Floats
from halfsquare.models.base import Model
from halfsquare.solvers.base import Termination
from halfsquare.solvers.loop import Record


@dataclass(frozen=True)
class Trained:
    """One trained model, in the units of the design it was given.

    Attributes
    ----------
    model : Model
    parameters : (p,)
    covariance : (p, p), (q, q) or None
        Of the parameters, or of the last q, noise included (σ² times the inverse curvature); None
        if not known.
    noise : (k,)
        Variance of the targets about the outputs, in the squared unit of the design's target.
    effective_parameters : float
        Degrees of freedom that the data determine; p without a penalty.
    termination : Termination
        Why the descent ended.
    history : list of Record
    warnings : list of str
    facts : dict
        Whatever else is worth keeping (log evidence, penalties, relevance, rounds, …): JSON values.
    held_out : (n,) or None
        Of each row, in the order of the chunks, its own MSE from models that had not seen it; NaN
        where there was none. Not kept in a file.
    """

    model: Model
    parameters: Floats
    covariance: Floats | None
    noise: Floats
    effective_parameters: float
    termination: Termination
    history: list[Record] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)
    held_out: Floats | None = None
