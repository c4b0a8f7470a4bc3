"""The Breusch–Pagan test: does the variance of the errors go with the columns of the model?"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from halfsquare.loss import Floats
from halfsquare.parallel.base import Execution
from halfsquare.results.inference.covariance import Bread
from halfsquare.results.inference.scores import ScoredRows
from halfsquare.results.trained import HeteroscedasticityTest


def breusch_pagan(
    bread: Bread, rows: Callable[[int], ScoredRows], count: int, execution: Execution
) -> HeteroscedasticityTest | None:
    """Koenker's n R² of the squared errors on the columns of a model with a constant, and its χ²
    p-value, from one pass; None where the squares do not vary.

    Breusch & Pagan (1979), in the form of Koenker (1981, "A note on studentizing a test for
    heteroscedasticity"), as lmtest's ``bptest`` and statsmodels print it. Squared errors are taken
    about their mean, SSE/n, so that no digits cancel.
    """
    mean = bread.sse / bread.weight

    def of(index: int) -> tuple[Floats, float]:
        part = rows(index)
        u = part.error**2 - mean
        w = np.ones(len(u)) if part.weight is None else part.weight
        return part.a.T @ (w * u), float(w @ (u * u))

    zero: tuple[Floats, float] = (np.zeros(len(bread.inverse)), 0.0)
    pull, total = execution.reduce(of, lambda a, b: (a[0] + b[0], a[1] + b[1]), count, zero)
    freedom = bread.rank - 1.0
    if not total > 0 or freedom < 1:
        return None
    from scipy.special import chdtrc

    statistic = bread.weight * float(pull @ bread.inverse @ pull) / total
    return HeteroscedasticityTest(statistic, freedom, float(chdtrc(freedom, statistic)))
