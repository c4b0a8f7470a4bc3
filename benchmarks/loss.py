"""Loss value and gradient against memory itself and torch: 10 million float64, CPU.

    python benchmarks/loss.py

The reference reads output and target once and writes the gradient once (`numpy.subtract` into an
array that is there), as `value_and_gradient(…, out=gradient)` does; without `out` the system has to
find a new array each time, and the reference is the same subtraction into a new one. Ratios are
medians of interleaved runs, of wall-clock seconds and of CPU seconds.
"""

from __future__ import annotations

import statistics
import time

import numpy as np
import torch

from halfsquare import SquaredError

ROWS, ROUNDS = 10_000_000, 15


def main() -> None:
    rng = np.random.default_rng(0)
    target, output = rng.normal(size=ROWS), rng.normal(size=ROWS)
    weight = rng.random(ROWS)
    gradient = np.empty(ROWS)
    tensor_t, tensor_o = torch.from_numpy(target), torch.from_numpy(output).requires_grad_(True)
    mse = torch.nn.MSELoss()

    def torch_both() -> float:
        tensor_o.grad = None
        value = mse(tensor_o, tensor_t)
        value.backward()
        return float(value.detach())

    half, mean = SquaredError("half_sse"), SquaredError("mse")
    work = {
        "one read of o and t, one write": lambda: np.subtract(output, target, out=gradient)[0],
        "the same into a new array": lambda: np.subtract(output, target)[0],
        "halfsquare ½SSE, value and gradient": lambda: half.value_and_gradient(
            target, output, out=gradient
        )[0],
        "halfsquare ½SSE, into a new array": lambda: half.value_and_gradient(target, output)[0],
        "halfsquare MSE, value and gradient": lambda: mean.value_and_gradient(
            target, output, out=gradient
        )[0],
        "halfsquare ½SSE, weighted": lambda: half.value_and_gradient(
            target, output, weight, out=gradient
        )[0],
        "halfsquare MSE, weighted": lambda: mean.value_and_gradient(
            target, output, weight, out=gradient
        )[0],
        "torch MSELoss, forward and backward": torch_both,
    }
    took: dict[str, list[tuple[float, float]]] = {name: [] for name in work}
    answers = {}
    for _ in range(ROUNDS):
        for name, one in work.items():
            began, cpu = time.perf_counter(), time.process_time()
            answers[name] = one()
            took[name].append((time.perf_counter() - began, time.process_time() - cpu))
    middle = {
        name: [statistics.median(t) for t in zip(*ts, strict=True)] for name, ts in took.items()
    }
    base = middle["one read of o and t, one write"]
    print(
        f"### Loss, {ROWS:,} float64\n\n| what | time ÷ one read, one write | CPU ÷ it | ms | "
        "value |\n|---|---:|---:|---:|---:|"
    )
    for name, (seconds, cpu) in middle.items():
        value = f"{answers[name]:.10g}" if "halfsquare" in name or "torch" in name else ""
        print(
            f"| {name} | {seconds / base[0]:.2f} | {cpu / base[1]:.2f} | {seconds * 1e3:.1f} | "
            f"{value} |"
        )


if __name__ == "__main__":
    main()
