"""Shuffled mini-batches whose size is set by the measured noise of their gradient.

A mini-batch gradient is the full one plus noise of variance tr Σ / B, with Σ the covariance of the
rows' gradients, which is measured from the same rows. While the signal stands out of the noise,
small batches are the cheapest way down; when noise dominates the batch grows (the norm test of
Byrd, Chin, Nocedal & Wu 2012, "Sample size selection in optimization methods for machine
learning", eq. 3.3; the noise scale tr Σ / |g|² of McCandlish et al. 2018, eq. 2.9), in the end to
all rows. Each step is the exact minimum, on its batch, over the plane of gradient and last step: on
all rows this is the conjugate gradient method, so it ends at the least-squares answer itself.
"""

from __future__ import annotations

import math
import operator
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from halfsquare.data.rows import Chunk
from halfsquare.files.packing import packable
from halfsquare.loss import Floats
from halfsquare.solvers.base import Reason, Solver, State, Termination
from halfsquare.solvers.objective import BatchSums, Objective
from halfsquare.solvers.run import SEED_ZERO, Seed, Stream

Picked = list[tuple[int, npt.NDArray[np.intp]]]  # chunk and rows in it


@packable("growing_batches.memory")
@dataclass(frozen=True)
class BatchMemory:
    """How large the next batch is, and which rows it draws."""

    batch: int
    drawn: int  # rows drawn since the beginning: where in which shuffled pass the next batch begins
    since_growth: int = 0
    last_step: Floats | None = None
    first_norm: float | None = None
    best_norm: float = math.inf
    stalled: int = 0


@dataclass(frozen=True)
class GrowingBatches(Solver[Objective, BatchMemory]):
    """Descent by shuffled mini-batches that grow.

    Parameters
    ----------
    first_batch : int
        Rows in the first batch.
    noise_share : float
        θ²: the batch grows while the variance of its gradient is more than this share of |g|².
    tolerance : float
        Converged when, on all rows, the gradient's norm has fallen to this share of the first.
    seed : Seed
        Of the shuffling.
    """

    first_batch: int = 256
    noise_share: float = 0.5
    tolerance: float = 1e-10
    seed: Seed = SEED_ZERO

    def begin(self, objective: Objective, parameters: Floats) -> State[BatchMemory]:
        n = objective.rows.row_count
        return State(
            parameters, math.inf, math.inf, memory=BatchMemory(min(self.first_batch, n), 0)
        )

    def step(self, objective: Objective, state: State[BatchMemory]) -> State[BatchMemory]:
        if state.memory.batch >= objective.rows.row_count:
            return self._full_step(objective, state)
        m = state.memory
        n, whole = objective.rows.row_count, objective.weight
        picked = self._draw(objective, m)
        sums = objective.execution.reduce(
            lambda i: objective.batch(state.parameters, _rows(objective, picked[i])),
            BatchSums.merge,
            len(picked),
            BatchSums(0.0, 0.0, 0.0, np.zeros_like(state.parameters), 0.0),
        )
        # Means over the batch; the penalty, a sum over all rows, is shared out evenly.
        share = 1.0 / sums.weight
        pull = 0.0 if objective.penalty is None else objective.penalty * state.parameters / whole
        gradient = sums.gradient * share + pull
        norm2 = float(gradient @ gradient)
        spread = max(
            sums.gradient_squares * share - float(sums.gradient @ sums.gradient) * share * share,
            0.0,
        )
        noise = spread / m.batch
        curvature = share * objective.execution.reduce(
            lambda i: objective.batch_curvature(
                state.parameters, gradient, _rows(objective, picked[i])
            ),
            operator.add,
            len(picked),
            0.0,
        )
        if objective.penalty is not None:
            curvature += float(gradient @ (objective.penalty * gradient)) / whole
        length = norm2 / curvature if curvature > 0 else 0.0
        batch, since = m.batch, m.since_growth + m.batch
        # A size is kept for one pass at most: then what small batches can do is done, and however
        # slowly the signal dies away the sizes form a geometric series that ends at all rows.
        if noise > self.noise_share * norm2 or since >= n or length == 0.0:
            wanted = spread / (self.noise_share * norm2) if norm2 > 0 else float(n)
            batch, since = int(min(max(2.0 * batch, wanted), 4.0 * batch)), 0
        batch = n if batch > n // 2 else batch
        notes = {"batch": float(m.batch), "signal": max(norm2 - noise, 0.0), "noise": noise}
        memory = BatchMemory(batch, m.drawn + m.batch, since)
        loss = sums.half_sse * share * whole + objective.penalty_value(state.parameters)
        return State(
            state.parameters - length * gradient,
            loss,
            math.sqrt(norm2) * whole,
            state.iteration + 1,
            notes=notes,
            memory=memory,
        )

    def _full_step(self, objective: Objective, state: State[BatchMemory]) -> State[BatchMemory]:
        """A conjugate-gradient step on all rows: the minimum over span{gradient, last step}.

        Hestenes & Stiefel (1952); that the plane's minimum is the same step: Nocedal & Wright
        (2006), theorem 5.2.
        """
        m = state.memory
        n = objective.rows.row_count
        loss, gradient = objective.loss_and_gradient(state.parameters)
        norm = float(np.linalg.norm(gradient))
        first = norm if m.first_norm is None else m.first_norm
        best, stalled = (norm, 0) if norm < m.best_norm else (m.best_norm, m.stalled + 1)
        notes = {"batch": float(n), "signal": (norm / objective.weight) ** 2, "noise": 0.0}
        # The first full gradient may already be small: what counts is the loss it could still take
        # off.
        floor = 1e-13 * math.sqrt(2.0 * max(loss, 0.0) * objective.weight)
        if norm <= max(self.tolerance * first, floor) or stalled > 100:
            done = norm <= max(1e-6 * first, floor)
            stopped = Termination(Reason.GRADIENT_ROUNDING if done else Reason.NO_PROGRESS)
            return replace(
                state,
                loss=loss,
                gradient_norm=norm,
                iteration=state.iteration + 1,
                stopped=stopped,
                notes=notes,
            )
        last = m.last_step
        plane = gradient[:, None] if last is None else np.column_stack([gradient, last])
        curved = np.column_stack([objective.curvature_times(state.parameters, v) for v in plane.T])
        # Columns of very different length: solve for unit ones.
        unit = np.linalg.norm(plane, axis=0)
        small = plane.T @ curved / np.outer(unit, unit)
        step = -plane @ (np.linalg.lstsq(small, plane.T @ gradient / unit, rcond=1e-15)[0] / unit)
        memory = replace(
            m, drawn=m.drawn + n, last_step=step, first_norm=first, best_norm=best, stalled=stalled
        )
        return State(
            state.parameters + step, loss, norm, state.iteration + 1, notes=notes, memory=memory
        )

    def _draw(self, objective: Objective, m: BatchMemory) -> Picked:
        """The next ``batch`` rows of the shuffled passes; the seed and the count drawn say
        which.
        """
        n, rows = objective.rows.row_count, objective.rows
        picked: Picked = []
        position, wanted = m.drawn, m.batch
        while wanted > 0:
            epoch, offset = divmod(position, n)
            chunks = self.seed.generator(Stream.CHUNKS, epoch).permutation(rows.chunk_count)
            for index in chunks:
                size = rows.chunk_size(int(index))
                if offset >= size:
                    offset -= size
                    continue
                shuffled = self.seed.generator(Stream.SHUFFLE, epoch, int(index))
                order = shuffled.permutation(size)
                taken = order[offset : offset + wanted]
                picked.append((int(index), np.sort(taken)))
                wanted, position, offset = wanted - len(taken), position + len(taken), 0
                if wanted <= 0:
                    break
        return picked


def _rows(objective: Objective, picked: tuple[int, npt.NDArray[np.intp]]) -> Chunk:
    """The rows of a chunk that were picked."""
    index, order = picked
    chunk = objective.rows.chunk(index)
    weight = None if chunk.weight is None else chunk.weight[order]
    return Chunk(chunk.design[order], chunk.target[order], weight)
