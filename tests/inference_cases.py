"""Linear fits for the tests of inference, made of a pandas frame, and the same fits by
statsmodels.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from terms_tables import design_of

from halfsquare.loss import Floats
from halfsquare.models.terms.design import TermsDesign
from halfsquare.parallel.threads import Local
from halfsquare.results.inference.covariance import Bread, Covariance, covariance
from halfsquare.results.inference.errors import ErrorsOption
from halfsquare.results.inference.linear import LinearInference
from halfsquare.results.inference.scores import ScoredRows

CHUNK = 64


def table(seed: int = 0, n: int = 300) -> pd.DataFrame:
    """x, z, v; groups g (3) and h (2); firm (12) and year (7); the noise grows with x and goes
    by firm.
    """
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "x": rng.uniform(0.5, 4.0, n),
            "z": rng.normal(10.0, 2.0, n),
            "v": rng.normal(size=n),
            "g": rng.choice(list("abc"), n),
            "h": rng.choice(["no", "yes"], n, p=[0.3, 0.7]),
            "firm": rng.integers(0, 12, n),
            "year": rng.integers(2001, 2008, n),
        }
    )
    noise = rng.normal(size=n) * (0.3 + frame.x) + rng.normal(size=12)[frame.firm]
    frame["y"] = 3 + 2 * frame.x - 0.4 * frame.z + (frame.g == "b") * (1 + frame.v) + noise
    return frame


class Fit:
    """X, its inverse, coefficients and everything that inference is made from."""

    def __init__(
        self,
        formula: str,
        frame: pd.DataFrame,
        weight: Floats | None = None,
        threads: int = 1,
    ) -> None:
        self.design: TermsDesign
        self.design, columns = design_of(formula, frame, weight=weight)
        self.frame, self.weight, self.execution = frame, weight, Local(threads)
        self.x = self.design.write(columns, len(frame)).T
        self.columns = columns
        self.y = frame["y"].to_numpy(dtype=float)
        root = np.ones(len(self.y)) if weight is None else np.sqrt(weight)
        self.triangle = np.linalg.qr(np.column_stack([self.x, self.y]) * root[:, None], mode="r")
        r = self.triangle[:-1, :-1]
        self.b = np.linalg.solve(r, self.triangle[:-1, -1])
        half = np.linalg.inv(r)
        self.n = float(len(self.y) if weight is None else weight.sum())
        self.bread = Bread(half @ half.T, self.n, len(self.b), float(self.triangle[-1, -1] ** 2))

    @property
    def count(self) -> int:
        return -(-len(self.y) // CHUNK)

    def rows(self, *clusters: str) -> Any:
        codes = [
            np.unique(self.frame[c], return_inverse=True)[1].astype(np.int64) for c in clusters
        ]

        def of(index: int) -> ScoredRows:
            at = slice(index * CHUNK, (index + 1) * CHUNK)
            weight = None if self.weight is None else self.weight[at]
            error = self.x[at] @ self.b - self.y[at]
            return ScoredRows(self.x[at], error, weight, tuple(c[at] for c in codes))

        return of

    def covariance(self, errors: str) -> Covariance:
        option = ErrorsOption.read(errors)
        return covariance(
            option, self.bread, self.rows(*option.columns), self.count, self.execution
        )

    def inference(self, errors: str = "classical") -> LinearInference:
        found = self.covariance(errors)
        return LinearInference(
            self.design.names,
            self.b,
            found.matrix,
            found.freedom,
            self.triangle,
            self.n,
            self.design.spans,
            self.design.has_intercept,
            kind=found.kind,
            correction=found.correction,
        )
