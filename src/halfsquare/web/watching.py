"""What the page sees of a descent: its curve so far, and where it stands now."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from halfsquare.data.reading import open_for, read_encoded
from halfsquare.figures.charts_run import SHOWN_WEIGHTS
from halfsquare.loss import Floats, error
from halfsquare.models.formula.model import Formula
from halfsquare.report.learning import mixed
from halfsquare.results.fitted import FittedModel
from halfsquare.solvers.base import State
from halfsquare.solvers.objective import Objective

SHOWN_ROWS = 240
_MOST_POINTS = 300  # of one curve; beyond, every second is dropped
_MOST_CURVES = 80
_EVERY = 0.1  # seconds between two looks while the descent runs


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


@dataclass
class Curve:
    """The points of one descent: iteration, loss, gradient norm; thinned evenly as they grow many.

    ``before`` is how many steps its member had taken when it began; ``phase`` is ``"measure"``
    while rows are set apart, ``"refit"`` on all of them.
    """

    number: int
    member: int
    before: int = 0
    phase: str = "measure"
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

    def __init__(self, test_fraction: float = 0.2) -> None:
        self.total = 0  # rows of the table
        self._test_fraction = test_fraction
        self._lock = threading.Lock()
        self._current: dict[int, Curve] = {}  # the present one of each member
        self._all: list[Curve] = []
        self._count = 0
        self._followed: int | None = None
        self._last: Floats | None = None
        self._looked = 0.0
        self._snapshot: Snapshot | None = None
        self._sample: tuple[Objective, Floats, Floats] | None = None
        self.version = 0

    def see(self, state: State[Any], *, closely: bool) -> None:
        """Note a state; look at weights and errors if asked to, or if it is time to."""
        member, objective = int(state.notes.get("member", 0)), state.objective
        if objective is None:  # trees: a curve, and no parameters to look at
            with self._lock:
                mse = state.notes.get("left_out_mse", state.notes["train_mse"])
                curve = self._curve(member, state.iteration, "measure")
                curve.add(state.iteration, mse, state.gradient_norm)
                self.version += 1
            return
        with self._lock:
            curve = self._curve(member, state.iteration, self._phase(objective))
            scale = 1.0 / (objective.weight * objective.model.outputs_count)
            loss, norm = state.loss * scale, state.gradient_norm * scale
            if np.isfinite(loss) and np.isfinite(norm):
                curve.add(state.iteration, loss, norm)
            if self._followed in (None, member):
                self._follow(state, objective, curve, loss, norm, closely=closely)
                self._followed = None if state.stopped is not None else member
            self.version += 1

    @classmethod
    def of(cls, curves: list[Curve]) -> Watcher:
        """One that has seen these curves, and sees no more."""
        found = cls()
        found._all = list(curves)
        return found

    def _phase(self, objective: Objective) -> str:
        """A refit has more rows than what was left for training, by half of those set apart."""
        without = (1.0 - 0.5 * self._test_fraction) * self.total
        whole = self._test_fraction > 0 and objective.rows.row_count > without > 0
        return "refit" if whole else "measure"

    @property
    def snapshot(self) -> Snapshot | None:
        """The latest snapshot; None before the first step."""
        return self._snapshot

    def curves(self) -> list[Curve]:
        """The latest curves, the one that is followed last."""
        with self._lock:
            found = [replace(w, points=list(w.points)) for w in self._all if w.points]
        here = self._snapshot.curve if self._snapshot else 0
        return sorted(found, key=lambda w: (w.number == here, w.number))

    def _curve(self, member: int, iteration: int, phase: str) -> Curve:
        curve = self._current.get(member)
        again = curve is not None and curve.points and iteration <= curve.points[-1][0]
        if curve is None or curve.phase != phase or again:
            self._count += 1
            before = curve.before + curve.points[-1][0] if curve is not None and curve.points else 0
            curve = self._current[member] = Curve(self._count, member, before, phase)
            self._all = [*self._all, curve][-_MOST_CURVES:]
            if self._followed in (None, member):
                self._last = None
        return curve

    def _follow(
        self,
        state: State[Any],
        objective: Objective,
        curve: Curve,
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
        self._snapshot = Snapshot(
            curve.number, curve.member, state.iteration, loss, norm, not formula,
            strongest(objective.model.parameter_names, state.parameters, step), targets, outputs,
            {k: v for k, v in state.notes.items() if k != "member"},
            None if state.stopped is None else str(state.stopped),
        )  # fmt: skip

    def _errors(self, parameters: Floats, objective: Objective) -> tuple[Floats, Floats]:
        """Targets and outputs of some rows, of the first target."""
        if self._sample is None or self._sample[0] is not objective:
            chunk = objective.rows.chunk(0)
            some = sample(len(chunk.target))
            self._sample = (objective, chunk.design[some], chunk.target[some, 0])
        _, design, targets = self._sample
        with np.errstate(all="ignore"):
            outputs = objective.model.outputs(parameters, design)[:, 0]
        fine = np.isfinite(error(targets, outputs))
        return targets[fine], outputs[fine]

    def forget(self) -> None:
        """Let go of the rows; what was seen stays."""
        with self._lock:
            self._sample = self._last = None


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
        some = sample(len(batch.target))
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
    return tuple(Weight(_short(str(names[j])), float(values[j]), float(steps[j])) for j in picked)


def sample(count: int) -> npt.NDArray[np.intp]:
    """So many of ``count`` rows as are shown, chosen by a hash of their place: every k-th row would
    fall into step with whatever repeats in the table.
    """
    if count <= SHOWN_ROWS:
        return np.arange(count)
    order = np.argsort(mixed(np.arange(count, dtype=np.uint64)), kind="stable")
    return np.sort(order[:SHOWN_ROWS])


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
