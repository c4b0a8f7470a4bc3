"""Do intervals and p values hold what they say? Simulations of a line with normal noise, each told
as a share with its standard error.

    python benchmarks/nominal.py [--repeats 200] [--rows 10 30 300]
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any

import numpy as np

from halfsquare import FittedModel, fit
from halfsquare.results.compare import compare
from halfsquare.results.evaluate import evaluate

_NEW = 200
_SLOPES = np.array([1.0, -2.0])
Share = tuple[str, int, float]  # of what, of how many rows, the nominal share


def line(n: int, random: np.random.Generator, sd: float = 1.0) -> dict[str, Any]:
    """n rows of y = 1 + a - 2b + noise."""
    a, b = random.normal(size=(2, n))
    return {"a": a, "b": b, "y": 1.0 + a - 2.0 * b + sd * random.normal(size=n)}


def parameters_and_rows(n: int, seed: int) -> Iterator[tuple[Share, float]]:
    """Of a line fitted to n rows: the share of its coefficients, and of new targets, inside their
    95 % interval.
    """
    random = np.random.default_rng([seed, n])
    fitted = fit(line(n, random), "y", model="linear", test_fraction=0)
    inside = [
        p.low <= true <= p.high for p, true in zip(fitted.parameters[1:], _SLOPES, strict=True)
    ]
    yield ("coefficient", n, 0.95), float(np.mean(inside))
    new = line(_NEW, random)
    _, low, high = fitted.interval(new)
    yield ("new target", n, 0.95), float(np.mean((low <= new["y"]) & (new["y"] <= high)))


@cache
def line_fitted() -> FittedModel:
    """A line fitted to 200 rows: the limits are of its MSE, whatever it is."""
    return fit(line(200, np.random.default_rng(1)), "y", model="linear", test_fraction=0)


@cache
def alike() -> tuple[FittedModel, FittedModel]:
    """Two models of which each knows one of two columns that matter as much."""
    random = np.random.default_rng(2)
    a, b = random.normal(size=(2, 20_000))
    many = {"a": a, "b": b, "y": a + b + random.normal(size=20_000)}
    one, other = (fit(many, "y", model="linear", features=[c], test_fraction=0) for c in "ab")
    return one, other


def mean_square(n: int, seed: int) -> Iterator[tuple[Share, float]]:
    """Whether the limits of an MSE on n rows hold the true one, and whether ± 1.96 standard errors
    do.
    """
    random, fitted = np.random.default_rng([seed, n, 1]), line_fitted()
    found = evaluate(fitted, line(n, random))
    off = np.array([p.value for p in fitted.parameters]) - np.array([1.0, *_SLOPES])
    true = 1.0 + float(
        off @ off
    )  # noise, and the errors of coefficients of standard normal columns
    yield ("MSE, limits", n, 0.95), float(found.mse_low <= true <= found.mse_high)
    reach = 1.96 * found.summary.mse_se
    yield ("MSE ± 1.96 se", n, 0.95), float(abs(found.summary.mse - true) <= reach)


def difference(n: int, seed: int) -> Iterator[tuple[Share, float]]:
    """Whether two models that err alike are told apart on n rows, by chance in 5 %."""
    random = np.random.default_rng([seed, n, 2])
    a, b = random.normal(size=(2, n))
    new = {"a": a, "b": b, "y": a + b + random.normal(size=n)}
    yield ("compare, p < 0.05", n, 0.05), float(compare(*alike(), new).p < 0.05)


def shares(rows: Sequence[int], repeats: int) -> dict[Share, tuple[float, float]]:
    """Each share with its standard error over the repeats."""
    found: dict[Share, list[float]] = {}
    for seed in range(repeats):
        for n in rows:
            for simulate in (parameters_and_rows, mean_square, difference):
                if simulate is difference and n < 30:
                    continue
                for what, share in simulate(n, seed):
                    found.setdefault(what, []).append(share)
    return {
        what: (float(np.mean(each)), float(np.std(each, ddof=1) / np.sqrt(len(each))))
        for what, each in found.items()
    }


def main() -> None:
    """Print the table."""
    asked = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    asked.add_argument("--repeats", type=int, default=200)
    asked.add_argument("--rows", type=int, nargs="+", default=[10, 30, 300])
    options = asked.parse_args()
    found = shares(options.rows, options.repeats)
    print("| of | rows | nominal | measured ± standard error |")
    print("|---|---|---|---|")
    for (what, n, nominal), (share, error) in sorted(found.items()):
        print(f"| {what} | {n} | {nominal:.0%} | {share:.1%} ± {error:.1%} |")


if __name__ == "__main__":
    main()
