"""Leverage and Cook's distance of the rows of a linear model.

    h = w aᵀ (AᵀWA)⁻¹ a                     how much a row's own target moves its own output
    D = w (o-t)² h / (p s² (1-h)²)          how far all outputs move without the row, over p s²

Hoaglin & Welsch (1978), "The hat matrix in regression and ANOVA"; Cook (1977), "Detection of
influential observation in linear regression", eq. 5. (AᵀWA)⁻¹ is that of the rows of the fit (with
a penalty, of AᵀWA + penalty); for other rows h is the leverage they would have. With several
targets D is the mean over them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from halfsquare.loss import Floats
from halfsquare.models.linear import Linear
from halfsquare.results.fitted import FittedModel


@dataclass(frozen=True)
class Top:
    """For each of q streams the ``kept`` rows of greatest |value|, hardest first; of equals the
    first row.

    Attributes
    ----------
    rows, values, beside : (q, up to kept)
        Row number, its value, and a number kept beside it.
    """

    kept: int
    rows: npt.NDArray[np.intp]
    values: Floats
    beside: Floats

    @classmethod
    def zero(cls, count: int, kept: int) -> Top:
        return cls(
            kept, np.zeros((count, 0), dtype=np.intp), np.zeros((count, 0)), np.zeros((count, 0))
        )

    def add(self, rows: npt.NDArray[np.intp], values: Floats, beside: Sequence[Floats]) -> Top:
        """With rows (m,) of values (m, q) added; ``beside`` has for each stream the numbers (m,)
        kept beside.
        """
        if not self.kept or not len(rows):
            return self
        size = np.abs(values.T)
        if len(rows) > self.kept:
            first = np.sort(np.argpartition(-size, self.kept - 1, axis=1)[:, : self.kept], axis=1)
        else:
            first = np.broadcast_to(np.arange(len(rows)), size.shape)
        next_to = np.array([b[at] for b, at in zip(beside, first, strict=True)]).reshape(
            first.shape
        )
        all_rows = np.hstack([self.rows, rows[first]])
        all_values = np.hstack([self.values, np.take_along_axis(values.T, first, axis=1)])
        all_beside = np.hstack([self.beside, next_to])
        order = np.argsort(-np.abs(all_values), axis=1, kind="stable")[:, : self.kept]
        taken = (np.take_along_axis(a, order, axis=1) for a in (all_rows, all_values, all_beside))
        return Top(self.kept, *taken)

    def of(self, stream: int) -> list[tuple[int, float, float]]:
        """Row, value and what is beside it, of a stream; rows whose value is 0 left out."""
        found = zip(self.rows[stream], self.values[stream], self.beside[stream], strict=True)
        return [(int(r), float(v), float(b)) for r, v, b in found if v]


@dataclass(frozen=True)
class Influence:
    """How much single rows matter.

    Attributes
    ----------
    leverage_sum : float
        Over the rows of the fit this is p, the (effective) parameters.
    mean_leverage : float
    high_leverage : int
        Rows with more than twice the leverage of an average row of the fit.
    leverage, cooks_distance : tuple of dict
        The rows with the most: ``row``, ``leverage`` and ``cooks_distance``.
    """

    leverage_sum: float
    mean_leverage: float
    high_leverage: int
    leverage: tuple[dict[str, float], ...]
    cooks_distance: tuple[dict[str, float], ...]

    def as_dict(self) -> dict[str, Any]:
        """JSON values."""
        return {
            **vars(self),
            "leverage": list(self.leverage),
            "cooks_distance": list(self.cooks_distance),
        }


@dataclass(frozen=True)
class InfluenceSums:
    """Running sums of leverages, and the rows with the most."""

    inverse: Floats  # (1+d, 1+d) of AᵀWA, for the design of the encoder
    variance: Floats  # (k,) s² in the unit of the target
    parameters: float
    limit: float  # twice the mean leverage of the fit
    top: Top
    total: float = 0.0
    rows: int = 0
    high: int = 0

    @classmethod
    def of(cls, fitted: FittedModel, kept: int) -> InfluenceSums | None:
        """None where there is no leverage: another model, or one whose noise the data do not
        tell.
        """
        member, k = fitted.members[0], len(fitted.encoder.targets)
        if not isinstance(member.model, Linear) or member.covariance is None or member.model.held:
            return None
        j = int(np.argmax(member.noise))
        if not (np.all(member.noise > 0) and np.isfinite(member.noise).all()):
            return None
        p = float(fitted.info.get("effective_parameters") or 0.0) or float(
            len(member.parameters) // k
        )
        freedom = float(fitted.info.get("facts", {}).get("degrees_of_freedom") or np.nan)
        inverse = member.covariance[j::k, j::k] / member.noise[j]
        return cls(
            inverse,
            member.noise * fitted.encoder.target_scales**2,
            p,
            2.0 * p / (freedom + p),
            Top.zero(2, kept),
        )

    def measure(self, design: Floats, errors: Floats, weight: Floats) -> tuple[Floats, Floats]:
        """Leverage and Cook's distance (m,) of rows; infinite D where h is 1, as leaving the row
        out leaves no fit.
        """
        a = np.hstack([np.ones((len(design), 1)), design])
        h = weight * np.einsum("ni,ni->n", a @ self.inverse, a)
        misfit = weight * np.mean(errors**2 / self.variance, axis=1)
        left = np.where(h < 1.0 - 1e-12, 1.0 - h, np.nan)
        return h, np.nan_to_num(misfit * h / (self.parameters * left**2), nan=np.inf)

    def add(
        self, rows: npt.NDArray[np.intp], design: Floats, errors: Floats, weight: Floats
    ) -> InfluenceSums:
        h, distance = self.measure(design, errors, weight)
        return replace(
            self,
            top=self.top.add(rows, np.column_stack([h, distance]), [distance, h]),
            total=self.total + float(h.sum()),
            rows=self.rows + int(np.count_nonzero(weight)),
            high=self.high + int((h > self.limit).sum()),
        )


def influence_of(sums: InfluenceSums | None) -> Influence | None:
    """The finished sums."""
    if sums is None or not sums.rows:
        return None
    lever = tuple({"row": r, "leverage": h, "cooks_distance": d} for r, h, d in sums.top.of(0))
    cook = tuple({"row": r, "leverage": h, "cooks_distance": d} for r, d, h in sums.top.of(1))
    return Influence(sums.total, sums.total / sums.rows, sums.high, lever, cook)
