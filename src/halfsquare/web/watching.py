"""What the page sees of a descent: the way down so far, and where it stands now."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from halfsquare.data.reading import open_for, read_encoded
from halfsquare.figures.charts_run import SHOWN_WEIGHTS
from halfsquare.loss import Floats, error
from halfsquare.models.formula.model import Formula
from halfsquare.results.fitted import FittedModel
from halfsquare.solvers.base import State
from halfsquare.solvers.objective import Objective

SHOWN_ROWS = 240
_MOST_POINTS = 300  # of one way down; beyond, every second is dropped
_MOST_WAYS = 80
_EVERY = 0.1  # seconds between two looks while the descent runs


@dataclass(frozen=True)
class Weight:
    """A parameter and the step that brought it there."""

    name: str
    value: float
    step: float


@dataclass(frozen=True)
class Look:
    """Where a descent stands.

    Attributes
    ----------
    way, member, iteration : int
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

    way: int
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


@dataclass
class Way:
    """The points of one descent: iteration, loss, gradient norm; thinned evenly as they grow many.

    ``before`` is how many steps its member had taken when it began.
    """

    number: int
    member: int
    before: int = 0
    points: list[tuple[int, float, float]] = field(default_factory=list)
    every: int = 1

    def add(self, iteration: int, loss: float, norm: float) -> None:
        if self.points and self.points[-1][0] % self.every:
            self.points.pop()  # the last point always stands, whether it will be kept or not
        self.points.append((iteration, loss, norm))
        if len(self.points) > _MOST_POINTS:
            self.every *= 2
            self.points = [p for p in self.points[:-1] if p[0] % self.every == 0] + self.points[-1:]


class Watcher:
    """Follows every descent of a fit; asked by the page from other threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._ways: dict[int, Way] = {}  # the present one of each member
        self._all: list[Way] = []
        self._count = 0
        self._followed: int | None = None
        self._last: Floats | None = None
        self._looked = 0.0
        self._look: Look | None = None
        self._sample: tuple[Objective, Floats, Floats] | None = None
        self.version = 0

    def see(self, state: State[Any], *, closely: bool) -> None:
        """Note a state; look at weights and errors if asked to, or if it is time to."""
        member, objective = int(state.notes.get("member", 0)), state.objective
        assert objective is not None
        with self._lock:
            way = self._way(member, state.iteration)
            scale = 1.0 / (objective.weight * objective.model.outputs_count)
            loss, norm = state.loss * scale, state.gradient_norm * scale
            if np.isfinite(loss) and np.isfinite(norm):
                way.add(state.iteration, loss, norm)
            if self._followed in (None, member):
                self._follow(state, objective, way, loss, norm, closely=closely)
                self._followed = None if state.stopped is not None else member
            self.version += 1

    @property
    def look(self) -> Look | None:
        """The latest look; None before the first step."""
        return self._look

    def ways(self) -> list[Way]:
        """The latest ways down, the one that is followed last."""
        with self._lock:
            found = [replace(w, points=list(w.points)) for w in self._all if w.points]
        here = self._look.way if self._look else 0
        return sorted(found, key=lambda w: (w.number == here, w.number))

    def _way(self, member: int, iteration: int) -> Way:
        way = self._ways.get(member)
        if way is None or (way.points and iteration <= way.points[-1][0]):
            self._count += 1
            before = way.before + way.points[-1][0] if way is not None else 0
            way = self._ways[member] = Way(self._count, member, before)
            self._all = [*self._all, way][-_MOST_WAYS:]
            if self._followed in (None, member):
                self._last = None
        return way

    def _follow(
        self,
        state: State[Any],
        objective: Objective,
        way: Way,
        loss: float,
        norm: float,
        *,
        closely: bool,
    ) -> None:
        before, self._last = self._last, state.parameters
        now = time.monotonic()
        if not closely and state.stopped is None and now - self._looked < _EVERY:
            return
        self._looked = now
        formula = isinstance(objective.model, Formula)
        targets, outputs = self._errors(state.parameters, objective)
        step = (
            np.zeros_like(state.parameters)
            if before is None or before.shape != state.parameters.shape
            else (state.parameters - before)
        )
        self._look = Look(
            way.number, way.member, state.iteration, loss, norm, not formula,
            strongest(objective.model.parameter_names, state.parameters, step), targets, outputs,
            {k: v for k, v in state.notes.items() if k != "member"},
            None if state.stopped is None else str(state.stopped),
        )  # fmt: skip

    def _errors(self, parameters: Floats, objective: Objective) -> tuple[Floats, Floats]:
        """Targets and outputs of some rows, of the first target."""
        if self._sample is None or self._sample[0] is not objective:
            chunk = objective.rows.chunk(0)
            some = _some(len(chunk.target))
            self._sample = (objective, chunk.design[some].copy(), chunk.target[some, 0].copy())
        _, design, targets = self._sample
        with np.errstate(all="ignore"):
            outputs = objective.model.outputs(parameters, design)[:, 0]
        fine = np.isfinite(error(targets, outputs))
        return targets[fine], outputs[fine]

    def forget(self) -> None:
        """Let go of the rows; what was seen stays."""
        with self._lock:
            self._sample = self._last = None


def look_at(fitted: FittedModel, data: Any) -> Look:
    """A fitted model as a look: nothing moves any more, and the errors are in the user's unit."""
    member = fitted.members[0]
    targets: Floats = np.empty(0)
    outputs: Floats = np.empty(0)
    for batch in read_encoded(open_for(fitted.encoder, data), fitted.encoder, with_target=True):
        assert batch.target is not None
        some = _some(len(batch.target))
        targets, outputs = batch.target[some, 0], fitted.outputs_of(batch.design[some])[0][:, 0]
        break
    fine = np.isfinite(error(targets, outputs))
    weights = strongest(
        member.model.parameter_names, member.parameters, np.zeros_like(member.parameters)
    )
    return Look(
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
    return tuple(Weight(_short(str(names[j])), float(values[j]), float(steps[j])) for j in picked)


def _some(count: int) -> slice:
    """So many rows, evenly spaced, as are shown."""
    return slice(0, None, -(-count // SHOWN_ROWS) or 1)


def _short(name: str) -> str:
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
