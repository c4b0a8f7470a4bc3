"""What the tests of formulas share: an exponential decay with noise, and a short way to fit it."""

from __future__ import annotations

import numpy as np

from halfsquare.data.rows import ArrayRows
from halfsquare.fitting.formula.train import train_formula
from halfsquare.loss import Floats
from halfsquare.models.formula.model import Formula
from halfsquare.parallel.threads import Local
from halfsquare.results.trained import Trained
from halfsquare.solvers.run import Run

DECAY = "y ~ b1*exp(-b2*x) + b3"


def decay(x: Floats, b1: float, b2: float, b3: float) -> Floats:
    return b1 * np.exp(-b2 * x) + b3


def noisy(n: int, seed: int = 0, noise: float = 0.1) -> tuple[Floats, Floats]:
    random = np.random.default_rng(seed)
    x = random.uniform(0.0, 5.0, (n, 1))
    return x, decay(x, 5.0, 1.3, 0.7) + noise * random.normal(size=(n, 1))


def formula(text: str, *columns: str) -> Formula:
    return Formula.read(text, [*(columns or ("x",)), "y"])


def fit(
    text: str, x: Floats, y: Floats, weight: Floats | None = None, **options: object
) -> Trained:
    options.setdefault("run", Run(Local(1)))
    return train_formula(ArrayRows(x, y, weight), formula(text), **options)  # type: ignore[arg-type]


def errors_of(trained: Trained) -> Floats:
    assert trained.covariance is not None
    return np.sqrt(np.diag(trained.covariance))
