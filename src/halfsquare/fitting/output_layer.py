"""The output layer of a trained network, solved on its rows: given the hidden layers, it is a
linear model.

With a the signals into the output layer, o = Vᵀa + c is linear in V and c, so the Gauss-Newton
matrix of that layer is the exact curvature, and one pass of sums gives the weights, their penalty
by the evidence and their covariance σ² (AᵀWA + λ)⁻¹: what a network of any size can say of the
uncertainty of its outputs. It grows away from the rows (Kristiadi, Hein & Hennig 2020, "Being
Bayesian, even just a bit, fixes overconfidence in ReLU networks", section 3; Daxberger et al. 2021,
"Laplace redux", section 2).
"""

from __future__ import annotations

import numpy as np

from halfsquare.data.rows import ArrayRows, Chunk, Rows
from halfsquare.loss import Floats
from halfsquare.models.network import Network
from halfsquare.solvers.base import State
from halfsquare.solvers.evidence import Evidence, EvidenceMemory
from halfsquare.solvers.levenberg_marquardt import LevenbergMarquardt
from halfsquare.solvers.loop import descend
from halfsquare.solvers.objective import Objective
from halfsquare.solvers.run import Run

# The first step is the answer under the first penalty; the others settle penalty and noise.
_STEPS = 6
# Signals kept in memory, 64 MB; of rows that are more than that every second, third, … is enough
# for one layer.
_MOST_NUMBERS = 1 << 23


def solve_output_layer(
    network: Network, parameters: Floats, rows: Rows, noise: float, run: Run
) -> State[EvidenceMemory]:
    """The state of :class:`Evidence` at the output layer's best parameters (q,), the last q of the
    network's (p,).

    ``noise`` is what σ² is taken for at first, in the squared unit of the target. The run's
    execution and deadline count; nobody is told, and nothing is kept.
    """
    last = network.layers[-1]
    layer = Network(last.fan_in, (), last.fan_out)
    objective = Objective(layer, _signals(network, parameters, rows), run.execution)
    start = parameters[last.start :]
    # One penalty for all weights, one for the biases. A linear model needs no damping.
    solver = Evidence(
        layer.groups([0] * last.fan_in),
        first_noise=noise,
        first_precision=1.0 / max(float(np.mean(start**2)), 1e-12),
        inner=LevenbergMarquardt(scaling="identity", damping=1e-9),
    )
    return descend(solver, objective, start, Run(run.execution, run.deadline), iterations=_STEPS)[0]


def _signals(network: Network, parameters: Floats, rows: Rows) -> ArrayRows:
    """The rows as the output layer sees them: their design is the signals of the last hidden
    layer.
    """
    every = -(-rows.row_count * network.layers[-1].fan_in // _MOST_NUMBERS)
    parts = [
        _layer_chunk(network, parameters, rows.chunk(index), every)
        for index in range(rows.chunk_count)
    ]
    weights = [part.weight for part in parts if part.weight is not None]
    return ArrayRows(
        np.concatenate([part.design for part in parts]),
        np.concatenate([part.target for part in parts]),
        np.concatenate(weights) if weights else None,
    )


def _layer_chunk(network: Network, parameters: Floats, chunk: Chunk, every: int) -> Chunk:
    """Signals and targets of every so many rows: copies, since a view would keep the whole chunk in
    memory.
    """
    weight = None if chunk.weight is None else chunk.weight[::every].copy()
    signals = network.hidden_signals(parameters, chunk.design[::every])
    return Chunk(signals, chunk.target[::every].copy(), weight)
