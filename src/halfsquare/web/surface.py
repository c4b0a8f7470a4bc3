"""The loss over any two weights of a descent, all others held where it ended; and the path that it
took.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from halfsquare.data.reading import open_for, read_encoded
from halfsquare.data.rows import Chunk
from halfsquare.errors import OptionError
from halfsquare.loss import Floats
from halfsquare.models.base import Model
from halfsquare.models.linear import Linear
from halfsquare.models.network import Network
from halfsquare.results.fitted import FittedModel
from halfsquare.web.held_out import MOST_ROWS, half_mse, some_of
from halfsquare.web.snapshot import short_name

GRID = 33  # points along each weight
LEVELS = 10
_MOST_STEPS = 200  # of a path; beyond, every second is dropped
_MOST_WEIGHTS = 400  # to choose from; of more, the strongest


@dataclass(frozen=True)
class Step:
    """Where the weights stood after so many steps of a descent, ``line`` by number."""

    line: int
    iteration: int
    parameters: Floats


@dataclass
class Path:
    """The steps of a descent, thinned as they grow many; the last always stands."""

    steps: list[Step] = field(default_factory=list)
    every: int = 1

    def add(self, step: Step) -> None:
        """One more step; weights of another shape begin another path."""
        if self.steps and self.steps[-1].parameters.shape != step.parameters.shape:
            self.steps, self.every = [], 1
        if self.steps and self.steps[-1].iteration % self.every:
            self.steps.pop()
        self.steps.append(step)
        if len(self.steps) > _MOST_STEPS:
            self.every *= 2
            kept = [s for s in self.steps[:-1] if s.iteration % self.every == 0]
            self.steps = [*kept, self.steps[-1]]


@dataclass(frozen=True)
class Over:
    """The loss over two weights.

    Attributes
    ----------
    a, b : (GRID,)
        Their values.
    loss : (GRID, GRID)
        ½ MSE, a row for each value of ``b``.
    levels : (LEVELS,)
        Of the contours: as far apart as those of a parabola at even distances from its minimum.
    """

    a: Floats
    b: Floats
    loss: Floats
    levels: Floats


@dataclass(frozen=True)
class Surface:
    """A model, where its descent ended, and the rows by which its loss is computed.

    Attributes
    ----------
    rows : Chunk
        At most :data:`halfsquare.web.held_out.MOST_ROWS` of those it is trained on.
    steps : sequence of Step
        The path; the last one is where it stands. At least one.
    """

    model: Model
    rows: Chunk
    steps: Sequence[Step]

    @property
    def here(self) -> Floats:
        """The weights where the descent stands (p,)."""
        return self.steps[-1].parameters

    @property
    def loss(self) -> float:
        """½ MSE of the rows there."""
        return half_mse(self.model, self.here, self.rows)

    @property
    def choices(self) -> list[tuple[int, str]]:
        """The weights that can be chosen, in their own order: place and name."""
        names, size = self.model.parameter_names, np.abs(self.here)
        places = np.sort(np.argsort(-size, kind="stable")[:_MOST_WEIGHTS])
        return [(int(j), short_name(str(names[j]))) for j in places]

    def strongest(self) -> tuple[int, int]:
        """The two weights that the descent moved most, or else the largest.

        Raises
        ------
        OptionError
            If there are not two.
        """
        if len(self.here) < 2:
            raise OptionError("a surface needs two weights, and this model has one")
        moved = np.abs(self.here - self.steps[0].parameters)
        size = moved if moved.any() else np.abs(self.here)
        a, b = sorted(np.argsort(-size, kind="stable")[:2].tolist())
        return a, b

    def over(self, a: int, b: int) -> Over:
        """The loss over the weights ``a`` and ``b``, around the path.

        Raises
        ------
        OptionError
            If they are no two of the weights.
        """
        p = len(self.here)
        if not (0 <= a < p and 0 <= b < p and a != b):
            raise OptionError(f"the weights {a} and {b} are not two of the {p} of this run")
        xs, ys = self._around(a), self._around(b)
        loss = np.empty((GRID, GRID))
        at = self.here.copy()
        for i, at[b] in enumerate(ys):
            for j, at[a] in enumerate(xs):
                loss[i, j] = half_mse(self.model, at, self.rows)
        fine = loss[np.isfinite(loss)]
        low, high = (fine.min(), np.quantile(fine, 0.95)) if fine.size else (0.0, 1.0)
        shares = ((np.arange(LEVELS) + 0.5) / LEVELS) ** 2
        levels = low + shares * max(high - low, 1e-300)
        return Over(xs, ys, np.where(np.isfinite(loss), loss, fine.max(initial=1.0)), levels)

    def _around(self, j: int) -> Floats:
        """Values of a weight with room on both sides of its path."""
        values = np.array([step.parameters[j] for step in self.steps])
        low, high = float(values.min()), float(values.max())
        room = max(0.3 * (high - low), 0.5 * abs(values[-1]), 0.1)
        return np.linspace(low - room, high + room, GRID)


def surface_of(fitted: FittedModel, data: Any) -> Surface | None:
    """Of a model that was solved at once, or came from a file; None where its outputs are not a
    function of weights on standardized columns.
    """
    member, encoder = fitted.members[0], fitted.encoder
    if not isinstance(member.model, (Linear, Network)):
        return None
    for batch in read_encoded(open_for(encoder, data), encoder, with_target=True):
        assert batch.target is not None
        target = np.empty(batch.target.T.shape)
        encoder.standardized(batch.target.T, target)
        rows = some_of(Chunk(batch.design, target.T, None), MOST_ROWS)
        return Surface(member.model, rows, [Step(0, 0, member.parameters)])
    return None
