"""Adam on shuffled mini-batches, its batch and its step set by what is measured: for many rows or
parameters.

The step is that of Kingma & Ba (2015), "Adam", algorithm 1. Nothing is tuned:

- The variance of the rows' gradients comes with their sum. Its share tr Σ / B in the square of a
  batch's
  gradient tells noise from signal; while it exceeds the signal many times over, the batch doubles
  after a pass (McCandlish et al. 2018, eq. 2.9; Byrd et al. 2012, eq. 3.3).
- What is kept is the average of a pass's iterates (Polyak & Juditsky 1992) that predicts rows held
  out best.
- The step halves when the loss seen in some hundred steps has fallen by less than its standard
  error, when no
  better average has come for some passes (then the descent goes back to the best), and after two
  million rows in any case. It ends when the step is short.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import sqrt

import numpy as np

from halfsquare.data.rows import Chunk, Rows
from halfsquare.files.packing import packable
from halfsquare.loss import Floats
from halfsquare.solvers.base import Reason, Solver, State, Termination
from halfsquare.solvers.objective import Objective
from halfsquare.solvers.run import SEED_ZERO, Seed, Stream

_POOL_NUMBERS = 1 << 23  # at most: 32 MB
_PLATEAU = 2_500_000  # rows times passes: from 8,300 rows on nothing is added to 300


@packable("adam.memory")
@dataclass(frozen=True)
class AdamMemory:
    """What a pass needs of those before it."""

    iterate: Floats  # (p,) float32: where the next pass begins
    first: Floats  # (p,) running mean of the gradient
    second: Floats  # (p,) running mean of its square
    steps: int
    batch: int
    length: float
    lowest: float  # the mean loss of the last pass that saw it fall
    stuck: int  # steps since then
    judged: Floats  # (rows held out,) their losses at the best average so far
    waited: int  # passes since then, or since the step length was halved
    kept: float = 0.0  # weight seen since it was halved


@dataclass
class _Pass:
    """What one pass adds up; the only thing in this module that changes."""

    iterate: Floats
    first: Floats
    second: Floats
    steps: int
    average: Floats
    weight: float = 0.0
    loss: float = 0.0
    loss_squares: float = 0.0
    noise: float = 0.0
    power: float = 0.0
    batches: int = 0


@dataclass(frozen=True)
class Adam(Solver[Objective, AdamMemory]):
    """Mini-batch descent; one step of it is a pass: over all rows, or where they are very many over
    the next of them.

    Parameters
    ----------
    held_out : Objective
        The same model on rows kept aside, which judge when to stop.
    pass_rows : int
        Rows of a pass, about: what it shuffles in memory, and how often the rows held out are
        asked.
    first_batch, largest_batch : int
    first_length : float
        Adam's step length to begin with.
    least_length : float
        Converged when the step length has been halved below this.
    noise_share : float
        The batch doubles while noise is more than this many times the signal.
    least_fall : float
        In standard errors of the mean loss of a pass: a smaller fall is none.
    stuck_steps : int
        Steps without a fall after which the step length halves; more where rows are few, see
        :func:`passes`.
    most_rows : int
        Rows seen after which the step length halves in any case: the descent ends however many rows
        there are.
    passes_no_change : int
        Passes without a better average after which the step length halves and the descent goes back
        to the best.
    seed : Seed
        Of the shuffling.
    """

    held_out: Objective
    pass_rows: int = 131072
    first_batch: int = 128
    largest_batch: int = 2048
    first_length: float = 5e-3
    least_length: float = 1e-4
    noise_share: float = 30.0
    least_fall: float = 0.5
    stuck_steps: int = 300
    most_rows: int = 1 << 21
    passes_no_change: int = 6
    seed: Seed = SEED_ZERO

    def begin(self, objective: Objective, parameters: Floats) -> State[AdamMemory]:
        zero = np.zeros_like(parameters)
        batch = max(16, min(self.first_batch, objective.rows.row_count // 8))
        judged = self.held_out.row_losses(parameters)
        memory = AdamMemory(
            parameters, zero, zero, 0, batch, self.first_length, np.inf, 0, judged, 0
        )
        mean = float(judged.sum()) / self.held_out.weight
        return State(
            parameters,
            mean * objective.weight + objective.penalty_value(parameters),
            np.inf,
            memory=memory,
        )

    def resume(self, objective: Objective, state: State[AdamMemory]) -> State[AdamMemory]:
        """A state reached on other rows, to go on from on these: Adam's memory stays, the judges
        are new.
        """
        m = state.memory
        batch = max(16, min(self.first_batch, objective.rows.row_count // 8))
        judged = self.held_out.row_losses(state.parameters)
        memory = replace(m, batch=batch, lowest=np.inf, stuck=0, judged=judged, waited=0)
        return replace(state, stopped=None, memory=memory)

    def step(self, objective: Objective, state: State[AdamMemory]) -> State[AdamMemory]:
        m = state.memory
        done = self._pass(objective, state.iteration, m)
        average = done.average / max(done.batches, 1)
        losses = self.held_out.row_losses(average)
        change = losses - m.judged
        better = float(change.mean()) < 0.0
        mean = done.loss / done.weight
        deviation = sqrt(max(done.loss_squares / done.weight - mean**2, 0.0) / done.weight)
        signal = max(done.power - done.noise, 0.0) / max(done.batches, 1)
        noise = done.noise / max(done.batches, 1)
        noisy = noise > self.noise_share * signal
        most = min(self.largest_batch, max(m.batch, objective.rows.row_count // 8))
        batch = min(2 * m.batch, most) if noisy else m.batch
        fallen = mean < m.lowest - self.least_fall * deviation
        stuck = 0 if fallen else m.stuck + done.batches
        waited = 0 if better else m.waited + 1
        enough = passes(self.stuck_steps, objective.rows.row_count)
        stalled = stuck >= max(enough, 3 * done.batches)
        beyond = waited * done.batches >= enough and waited >= self.passes_no_change
        kept = m.kept + done.weight
        halve = stalled or beyond or kept >= self.most_rows
        length = 0.5 * m.length if halve else m.length
        best = average if better else state.parameters
        stopped = None
        if not np.isfinite(mean):
            stopped = Termination(Reason.LOSS_NOT_FINITE)
        elif length < self.least_length:
            stopped = Termination(Reason.HELD_OUT_NO_BETTER)
        memory = AdamMemory(
            best if beyond else done.iterate,
            done.first,
            done.second,
            done.steps,
            batch,
            length,
            mean if fallen else m.lowest,
            0 if halve else stuck,
            losses if better else m.judged,
            0 if halve else waited,
            0.0 if halve else kept,
        )
        return State(
            best,
            mean * objective.weight + objective.penalty_value(best),
            sqrt(signal),
            state.iteration + 1,
            stopped,
            {
                "batch": float(m.batch),
                "step_length": m.length,
                "signal": signal,
                "noise": noise,
                "held_out_loss": float(memory.judged.mean()),
            },
            memory=memory,
        )

    def _pass(self, objective: Objective, number: int, m: AdamMemory) -> _Pass:
        """One shuffled pass, cut into random batches."""
        done = _Pass(
            m.iterate.astype(np.float32), m.first, m.second, m.steps, np.zeros(len(m.iterate))
        )
        random = self.seed.generator(Stream.SHUFFLE, number)
        pull = None if objective.penalty is None else objective.penalty / objective.weight
        design, target, weight = self._pool(objective.rows, number)
        order = random.permutation(len(design))
        for rows in np.array_split(order, max(1, round(len(order) / m.batch))):
            if weight[rows].sum() > 0:
                batch = Chunk(design[rows], target[rows], weight[rows])
                self._batch(objective, done, batch, pull, m)
        return done

    def _pool(self, rows: Rows, number: int) -> tuple[Floats, Floats, Floats]:
        """Design, target and weight (float32) of the rows of pass ``number``.

        The chunks lie in a random order, another each time that all have had their turn, and a pass
        takes the next few together: rows that lie side by side in the source, perhaps alike, come
        into different batches.
        """
        count, first = rows.chunk_count, rows.chunk(0)
        numbers = first.design.shape[1] + first.target.shape[1]
        wanted = min(self.pass_rows, _POOL_NUMBERS // numbers)
        each = min(count, max(1, wanted * count // rows.row_count))
        places = [divmod(place, count) for place in range(number * each, (number + 1) * each)]
        orders = {
            turn: self.seed.generator(Stream.CHUNKS, turn).permutation(count) for turn, _ in places
        }
        chunks = [rows.chunk(int(orders[turn][at])) for turn, at in places]
        weights = [np.ones(len(c.target)) if c.weight is None else c.weight for c in chunks]
        parts = [c.design for c in chunks], [c.target for c in chunks], weights
        design, target, weight = (
            np.concatenate(part, dtype=np.float32, casting="same_kind") for part in parts
        )
        return design, target, weight

    def _batch(
        self, objective: Objective, done: _Pass, rows: Chunk, pull: Floats | None, m: AdamMemory
    ) -> None:
        """One step of Adam, its gradient a mean over the batch plus the penalty's share."""
        sums = objective.batch(done.iterate, rows)
        gradient = sums.gradient / sums.weight
        power = float(gradient @ gradient)
        done.noise += max(sums.gradient_squares / sums.weight - power, 0.0) / sums.weight
        done.power += power
        done.loss += sums.half_sse
        done.loss_squares += sums.loss_squares
        done.weight += sums.weight
        if pull is not None:
            gradient += pull * done.iterate
        done.steps += 1
        done.first = 0.9 * done.first + 0.1 * gradient
        done.second = 0.99 * done.second + 0.01 * gradient**2
        first, second = 1.0 - 0.9**done.steps, 1.0 - 0.99**done.steps
        move = m.length * (done.first / first) / (np.sqrt(done.second / second) + 1e-8)
        done.iterate = done.iterate - move.astype(np.float32)
        done.average += done.iterate
        done.batches += 1


def passes(count: int, rows: int) -> int:
    """``count`` passes (or steps), or up to 1000 where there are few rows.

    Passes over few rows have few steps and cost little, so that a plateau of the loss may be waited
    out.
    """
    return max(count, min(1000, _PLATEAU // max(rows, 1)))
