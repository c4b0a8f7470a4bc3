"""What the page sees of a fit: the curve of each descent so far, and where it stands now."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from halfsquare.data.rows import Chunk
from halfsquare.loss import Floats, error
from halfsquare.models.base import Model
from halfsquare.models.formula.model import Formula
from halfsquare.solvers.base import State
from halfsquare.solvers.objective import Objective
from halfsquare.web.curves import Curve, Point
from halfsquare.web.held_out import HeldOut, gathered, some_of, table_of
from halfsquare.web.snapshot import SHOWN_ROWS, Snapshot, strongest
from halfsquare.web.surface import Path, Step, Surface

_MOST_CURVES = 80
_EVERY = 0.1  # seconds between two looks while the descent runs


@dataclass(frozen=True)
class _Sample:
    """Rows that a descent is trained on: for its surface, and those whose errors are shown."""

    objective: Objective | None
    model: Model
    rows: Chunk
    shown: Chunk


class Watcher:
    """Follows every descent of a fit; asked by the page from other threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._current: dict[int, Curve] = {}  # the present one of each member
        self._all: list[Curve] = []
        self._count = 0
        self._followed: int | None = None
        self._last: Floats | None = None
        self._looked = 0.0
        self._snapshot: Snapshot | None = None
        self._sample: _Sample | None = None
        self._held_out = HeldOut()
        self._path: tuple[int, Path] | None = None  # with its member
        self.version = 0

    def see(self, state: State[Any], *, closely: bool) -> None:
        """Note a state; look at weights and errors if asked to, or if it is time to."""
        member, objective = int(state.notes.get("member", 0)), state.objective
        with self._lock:
            if objective is None:
                self._see_trees(state, member)
            else:
                self._see(state, objective, member, closely=closely)
            self.version += 1

    def _see_trees(self, state: State[Any], member: int) -> None:
        """A curve, and no parameters to look at; rows left out say when to stop."""
        curve = self._curve(
            member, state.iteration, "refit" if "refit" in state.notes else "measure"
        )
        apart = state.notes.get("left_out_mse")
        held_out = None if apart is None else 0.5 * apart
        loss = 0.5 * state.notes["train_mse"]
        curve.add(Point(state.iteration, loss, state.gradient_norm, held_out))

    def _see(self, state: State[Any], objective: Objective, member: int, *, closely: bool) -> None:
        table = table_of(objective.rows)
        phase = "refit" if table is not None and table.part == "all" else "measure"
        curve = self._curve(member, state.iteration, phase)
        scale = 1.0 / (objective.weight * objective.model.outputs_count)
        loss, norm = state.loss * scale, state.gradient_norm * scale
        if np.isfinite(loss) and np.isfinite(norm):
            # Only for points that are to stay: of a descent of many quick steps these are few.
            kept = curve.keeps(state.iteration) or state.stopped is not None
            held_out = self._held_out.loss(objective, state.parameters) if kept else None
            curve.add(Point(state.iteration, loss, norm, held_out))
        if self._followed in (None, member):
            self._walk(state, curve)
            self._follow(state, objective, curve, loss, norm, closely=closely)
            self._followed = None if state.stopped is not None else member

    @classmethod
    def of(cls, curves: list[Curve]) -> Watcher:
        """One that has seen these curves, and sees no more."""
        found = cls()
        found._all = list(curves)
        return found

    @property
    def snapshot(self) -> Snapshot | None:
        """The latest snapshot; None before the first step."""
        return self._snapshot

    @property
    def surface(self) -> Surface | None:
        """The loss around the descent that is followed; None where none has weights."""
        with self._lock:
            if self._path is None or self._sample is None:
                return None
            model, rows = self._sample.model, self._sample.rows
            steps = tuple(self._path[1].steps)
        fits = model.parameter_count == len(steps[-1].parameters)
        return Surface(model, rows, steps) if fits else None

    def curves(self) -> list[Curve]:
        """The latest curves, the one that is followed last."""
        with self._lock:
            found = [replace(w, points=list(w.points)) for w in self._all if w.points]
        here = self._snapshot.curve if self._snapshot else 0
        return sorted(found, key=lambda w: (w.number == here, w.number))

    def _curve(self, member: int, iteration: int, phase: str) -> Curve:
        curve = self._current.get(member)
        again = curve is not None and curve.points and iteration <= curve.points[-1].iteration
        if curve is None or curve.phase != phase or again:
            self._count += 1
            done = curve.before + curve.points[-1].iteration if curve and curve.points else 0
            curve = self._current[member] = Curve(self._count, member, done, phase)
            self._all = [*self._all, curve][-_MOST_CURVES:]
            if self._followed in (None, member):
                self._last = None
        return curve

    def _walk(self, state: State[Any], curve: Curve) -> None:
        """Note where the weights of the followed member stand."""
        if self._path is None or self._path[0] != curve.member:
            self._path = curve.member, Path()
        step = Step(curve.number, curve.before + state.iteration, state.parameters)
        self._path[1].add(step)

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
        if self._sample is None or self._sample.objective is not objective:
            rows = gathered(objective.rows)
            shown = some_of(rows, SHOWN_ROWS)
            self._sample = _Sample(objective, objective.model, rows, shown)
        rows = self._sample.shown
        with np.errstate(all="ignore"):
            outputs = objective.model.outputs(parameters, rows.design)[:, 0]
        targets = rows.target[:, 0]
        fine = np.isfinite(error(targets, outputs))
        return targets[fine], outputs[fine]

    def forget(self) -> None:
        """Let go of the table; what was seen of it stays."""
        with self._lock:
            self._held_out.forget()
            self._last = None
            if self._sample is not None:
                self._sample = replace(self._sample, objective=None)
