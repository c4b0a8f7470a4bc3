"""What is promised of a line with normal noise holds in simulations; benchmarks/nominal.py has more
of them, of more sizes.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from scipy.stats import binomtest

REPEATS = 50


@pytest.fixture(scope="module")
def nominal() -> Iterator[ModuleType]:
    folder = str(Path(__file__).parents[1] / "benchmarks")
    sys.path.insert(0, folder)
    try:
        import nominal  # type: ignore[import-not-found]

        yield nominal
    finally:
        sys.path.remove(folder)


def chance(inside: float, promised: float) -> float:
    """By what chance a share as far off would be seen in so many simulations."""
    return float(binomtest(round(inside * REPEATS), REPEATS, promised).pvalue)


def test_shares_are_within_simulation_error_of_nominal(nominal: ModuleType) -> None:
    found: dict[str, list[float]] = {}
    for seed in range(REPEATS):
        for simulate in (nominal.parameters_and_rows, nominal.mean_square):
            for (what, _, _), share in simulate(20, seed):
                found.setdefault(what, []).append(share)
    mean = {what: float(np.mean(each)) for what, each in found.items()}
    # 200 new rows and two coefficients a simulation: less sure than so many draws, more than one.
    assert abs(mean["new target"] - 0.95) < 0.025
    assert chance(mean["coefficient"], 0.95) > 0.01
    assert chance(mean["MSE, limits"], 0.95) > 0.01
    # What the limits are for: ± 1.96 standard errors miss too often.
    assert mean["MSE ± 1.96 se"] < mean["MSE, limits"]


def test_two_models_that_err_alike_are_seldom_told_apart(nominal: ModuleType) -> None:
    apart = [share for seed in range(REPEATS) for _, share in nominal.difference(60, seed)]
    assert chance(float(np.mean(apart)), 0.05) > 0.01
