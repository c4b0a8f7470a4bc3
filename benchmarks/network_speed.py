"""One Levenberg-Marquardt iteration against the bare BLAS product of its JᵀJ, and the time to a
training error.

    python benchmarks/network_speed.py --data DIR

The second part measures how long scikit-learn's MLPRegressor(lbfgs) takes, then how long each of
our two ways takes until its training error is as low. All ratios are taken within one run, on one
thread of BLAS.
"""

from __future__ import annotations

import argparse
import time
import warnings
from pathlib import Path

import numpy as np
from _datasets import splits
from scipy.linalg.blas import dsyrk

from halfsquare.data.rows import ArrayRows
from halfsquare.models.network import Network
from halfsquare.parallel.threads import Local, one_blas_thread
from halfsquare.solvers.adam import Adam
from halfsquare.solvers.base import State
from halfsquare.solvers.evidence import Evidence
from halfsquare.solvers.loop import descend
from halfsquare.solvers.objective import Objective
from halfsquare.solvers.run import Run


def iteration_ratio(
    design: np.ndarray, target: np.ndarray, hidden: tuple[int, ...], repeats: int = 5
) -> float:
    """Median time of an iteration over the median time of dsyrk on a matrix of the Jacobian's
    shape.
    """
    network = Network(design.shape[1], hidden)
    objective = Objective(network, ArrayRows(design, target), Local(1))
    method = Evidence(network.groups())
    state = method.begin(objective, network.initial_parameters(0))
    jacobian = np.random.default_rng(0).normal(size=(network.parameter_count, len(design)))
    bare: list[float] = []
    ours: list[float] = []
    while len(ours) < repeats and state.stopped is None:
        begun = time.perf_counter()
        dsyrk(1.0, jacobian.T, trans=1)
        middle = time.perf_counter()
        state = method.step(objective, state)
        if state.notes["accepted"]:  # a refused step forms no Jacobian: it would flatter the ratio
            bare.append(middle - begun)
            ours.append(time.perf_counter() - middle)
    if len(ours) < repeats:
        raise SystemExit(
            f"only {len(ours)} steps were accepted ({state.stopped}); expected {repeats}"
        )
    return float(np.median(ours) / np.median(bare))


def seconds_to(error: float, design: np.ndarray, target: np.ndarray, way: str) -> float:
    """Seconds until the RMSE on the training rows is at most ``error``; infinite if it never is."""
    rows = ArrayRows(design, target)
    reached = [np.inf]
    begun = time.perf_counter()

    def watch(state: State) -> None:
        outputs = objective.model.outputs(state.parameters, design)
        if np.sqrt(np.mean((outputs - target) ** 2)) <= error:
            reached[0] = time.perf_counter() - begun
            raise KeyboardInterrupt  # the loop's own way of ending with what it has

    if way == "levenberg-marquardt":
        objective = Objective(Network(design.shape[1], (16, 16)), rows, Local(1))
        method: Evidence | Adam = Evidence(objective.model.groups())
    else:
        objective = Objective(Network(design.shape[1], (128,) * 3, 1, "silu"), rows, Local(1))
        method = Adam(Objective(objective.model, ArrayRows(design[:1000], target[:1000]), Local(1)))
    start = objective.model.initial_parameters(0)
    descend(method, objective, start, Run(callback=watch), iterations=200)
    return float(reached[0])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    options = parser.parse_args()
    from sklearn.neural_network import MLPRegressor

    for name in ("kin40k", "pol"):
        split = next(splits(options.data, f"uci/{name}", 1))
        scale = np.where(split.design.std(axis=0) > 0, split.design.std(axis=0), 1.0)
        design = (split.design - split.design.mean(axis=0)) / scale
        target = ((split.target - split.target.mean()) / split.target.std())[:, None]
        with one_blas_thread(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for hidden in ((16, 16), (24, 24)):
                ratio = iteration_ratio(design, target, hidden)
                print(
                    f"{name} {hidden}: an iteration takes {ratio:.2f} x bare dsyrk (aim 1.5)",
                    flush=True,
                )
            begun = time.perf_counter()
            peer = MLPRegressor(solver="lbfgs", random_state=0).fit(design, target[:, 0])
            seconds = time.perf_counter() - begun
            error = float(np.sqrt(np.mean((peer.predict(design) - target[:, 0]) ** 2)))
            for way in ("levenberg-marquardt", "minibatch"):
                ours = seconds_to(error, design, target, way)
                print(
                    f"{name} training RMSE {error:.4f}: {way} {seconds / ours:.1f} x sooner "
                    "than lbfgs (aim 5)",
                    flush=True,
                )


if __name__ == "__main__":
    main()
