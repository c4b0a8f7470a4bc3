"""What exactness costs: exact sums beside the rounded product X.T @ X, one thread, and a fit from
sums beside a fit of rows.

    python benchmarks/exact_sums.py

Ratios are medians of interleaved runs. Whole numbers are one slice, decimals three, full float64
four.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import numpy as np
from threadpoolctl import threadpool_limits

from halfsquare import LinearRegressor
from halfsquare.exact.gram import ExactGram
from halfsquare.exact.least_squares import train_exactly
from halfsquare.exact.normal_equations import ExactSystem

ROWS, COLUMNS, ROUNDS = 500_000, 20, 5


def medians(work: dict[str, Callable[[], object]]) -> dict[str, float]:
    seconds: dict[str, list[float]] = {name: [] for name in work}
    for _ in range(ROUNDS):
        for name, one in work.items():
            began = time.perf_counter()
            one()
            seconds[name].append(time.perf_counter() - began)
    return {name: statistics.median(taken) for name, taken in seconds.items()}


def summing() -> None:
    rng = np.random.default_rng(0)
    normal = rng.normal(size=(ROWS, COLUMNS))
    tables = {
        "float64 of full digits": normal,
        "two decimals": (normal * 100).round(2),
        "whole numbers below 1000": rng.integers(-1000, 1000, (ROWS, COLUMNS)).astype(float),
    }
    weight = rng.random(ROWS) + 0.5
    print(f"### Exact sums, {ROWS:,} × {COLUMNS}, one thread\n")
    print("| columns | time ÷ `X.T @ X` | rows/s | weighted ÷ `X.T @ X` |\n|---|---:|---:|---:|")
    for name, x in tables.items():
        block, zero = np.ascontiguousarray(x.T), ExactGram.zero(COLUMNS)
        taken = medians(
            {
                "rounded": lambda x=x: x.T @ x,
                "exact": lambda b=block, z=zero: z.add(b),
                "weighted": lambda b=block, z=zero: z.add(b, weight),
            }
        )
        base = taken["rounded"]
        print(
            f"| {name} | {taken['exact'] / base:.1f} | {ROWS / taken['exact']:,.0f} | "
            f"{taken['weighted'] / base:.1f} |"
        )


def solving() -> None:
    rng = np.random.default_rng(1)
    print(
        "\n### The solution from exact sums, beside one `LinearRegressor.fit` to "
        f"{ROWS // 5:,} rows\n"
    )
    print("| columns | kind | time ÷ fit | seconds |\n|---:|---|---:|---:|")
    for columns in (20, 100, 200):
        for kind in ("well conditioned", "one column determined by others"):
            x = rng.normal(size=(ROWS // 5, columns))
            if kind != "well conditioned":
                x[:, -1] = x[:, 0] - x[:, 1]
            t = x @ rng.normal(size=columns) + rng.normal(size=len(x))
            gram = ExactGram.zero(columns + 2).add(np.vstack([np.ones(len(x)), x.T, t]))
            names = [f"x{j}" for j in range(columns)]
            taken = medians(
                {
                    "fit": lambda x=x, t=t: LinearRegressor(n_jobs=1).fit(x, t),
                    "exact": lambda g=gram, n=names: train_exactly(
                        ExactSystem.of_gram(g, 1), n, ["y"]
                    ),
                }
            )
            print(
                f"| {columns} | {kind} | {taken['exact'] / taken['fit']:.2f} | "
                f"{taken['exact']:.3f} |"
            )


if __name__ == "__main__":
    with threadpool_limits(1):
        summing()
        solving()
