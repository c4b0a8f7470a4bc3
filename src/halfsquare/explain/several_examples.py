"""Several examples, explained: each alone, and what they come to together."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from halfsquare.errors import DataError
from halfsquare.explain.one_example import ExampleExplanation, explain_example
from halfsquare.loss import Convention, SquaredError
from halfsquare.sums import ErrorSummary, ErrorSums


@dataclass(frozen=True)
class ExamplesExplanation:
    """Several examples: each alone, and what they come to together.

    Attributes
    ----------
    examples : tuple of ExampleExplanation
        Each as if it were the only one.
    gradients : tuple of float
        ∂L/∂o of each example in the loss of all of them, under ``convention``.
    summary : ErrorSummary
        SSE, MSE with its standard error, how many are too high and too low.
    """

    convention: Convention
    examples: tuple[ExampleExplanation, ...]
    gradients: tuple[float, ...]
    summary: ErrorSummary

    @property
    def mean_gradient(self) -> float:
        """Σ w (o-t) / Σw: the gradient of half_mse with respect to a shift of all outputs."""
        return self.summary.mean_error

    def as_dict(self, *, with_derivation: bool = True) -> dict[str, Any]:
        """The explanation under its JSON names."""
        return {
            **self.summary.as_dict(),
            "convention": self.convention,
            "mean_gradient": self.mean_gradient,
            "gradients": list(self.gradients),
            "examples": [
                example.as_dict(with_derivation=with_derivation) for example in self.examples
            ],
        }


def explain_examples(
    examples: Iterable[tuple[float, float] | tuple[float, float, float]],
    convention: Convention = "half_sse",
) -> ExamplesExplanation:
    """Explain several examples, given as (target, output) or (target, output, weight).

    Raises
    ------
    DataError, NotFiniteError, OptionError
        As :func:`explain_example`; also if there is no example.

    Examples
    --------
    >>> together = explain_examples([(3.0, 2.0), (1.0, 1.5)])
    >>> together.summary.sse, together.summary.mse, together.mean_gradient, together.gradients
    (1.25, 0.625, -0.25, (-1.0, 0.5))
    """
    given = [tuple(example) for example in examples]
    for i, example in enumerate(given, 1):
        if len(example) not in (2, 3):
            raise DataError(
                f"example {i} has {len(example)} numbers; expected target and output, or "
                "these and a weight"
            )
    each = tuple(
        explain_example(e[0], e[1], e[2] if len(e) > 2 else 1.0, convention) for e in given
    )
    t, o, w = (
        np.array([getattr(e, name) for e in each]) for name in ("target", "output", "weight")
    )
    summary = ErrorSums.zero().add(t, o, w).finish()
    gradients = tuple(SquaredError(convention).gradient(t, o, w).tolist())
    return ExamplesExplanation(convention, each, gradients, summary)
