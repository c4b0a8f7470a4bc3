"""Train the linear model from exact sums, without the rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from halfsquare.descent.exact_squares import solve_exactly
from halfsquare.descent.exact_system import ExactSystem
from halfsquare.models.linear import Linear
from halfsquare.trainers.base import Trained
from halfsquare.trainers.linear import LinearOptions, linear_warnings


def train_exactly(
    exact: ExactSystem, names: Sequence[str], targets: Sequence[str], *, l2: float | Literal["auto"] = 0.0
) -> Trained:
    """Train on the exact sums of [1 | design | targets]; what :func:`halfsquare.trainers.linear.train_linear` returns.

    Examples
    --------
    >>> from halfsquare.exact.gram import ExactGram
    >>> gram = ExactGram.zero(3).add(np.array([[1.0, 1.0, 1.0], [1.0, 2.0, 4.0], [1.0, 2.0, 3.0]]))
    >>> train_exactly(ExactSystem.of_gram(gram, 1), ["x"], ["y"]).parameters.tolist()
    [0.5, 0.6428571428571429]

    Raises
    ------
    OptionError
        If ``l2`` is no penalty.
    FitError
        If no row has weight, or a number is beyond float64.
    """
    options = LinearOptions(l2=l2)
    system = exact.rounded()
    solution, sse = solve_exactly(exact, system, options.l2)
    freedom = system.weight - solution.effective_parameters
    known = freedom > 1e-9
    noise = sse / freedom if known else np.full(len(targets), np.nan)
    facts: dict[str, Any] = {
        "l2": solution.l2,
        "rank": solution.rank,
        "path": solution.path,
        "reciprocal_condition": solution.reciprocal_condition,
        "degrees_of_freedom": freedom,
    }
    return Trained(
        Linear(tuple(names), tuple(targets)),
        solution.coefficients.reshape(-1),
        np.kron(solution.inverse, np.diag(noise)) if known else None,
        noise,
        solution.effective_parameters,
        reason=f"solved from exact sums ({solution.path})",
        warnings=linear_warnings(solution, names, system),
        facts=facts,
    )
