"""What a person would call the values of a feature: read back from its standardized design
columns.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np

from halfsquare.data.encoder import Encoder
from halfsquare.data.features import Category, Feature, Instant, Presence
from halfsquare.loss import Floats
from halfsquare.models.linear import Linear
from halfsquare.models.terms.encoder import TermsEncoder, plain_terms
from halfsquare.results.fitted import FittedModel

_YEAR = 365.2425


@dataclass(frozen=True)
class View:
    """A feature as one number, or as one of some levels.

    Attributes
    ----------
    title : str
    levels : tuple of str
        Empty for a number.
    """

    feature: Feature
    start: int
    stop: int
    title: str
    levels: tuple[str, ...] = ()

    def values(self, design: Floats) -> Floats:
        """The number, or the place of the level in ``levels``, of each row of a standardized
        design, (m,).
        """
        scales, means = np.array(self.feature.scales), np.array(self.feature.means)
        own = design[:, self.start : self.stop] * scales + means
        # What the way there and back leaves of a zero is no number of the table.
        own[np.abs(own) < 1e-12 * (np.abs(means) + scales)] = 0.0
        if isinstance(self.feature, Category):
            on = own > 0.5
            return np.asarray(np.where(on.any(axis=1), on.argmax(axis=1) + 1, 0), dtype=np.float64)
        if isinstance(self.feature, Presence):
            return np.asarray(own[:, 0] > 0.5, dtype=np.float64)
        return np.asarray(
            1970.0 + own[:, 0] / _YEAR if isinstance(self.feature, Instant) else own[:, 0]
        )

    def shown(self, value: float) -> str:
        """One value as text."""
        if self.levels:
            return self.levels[int(value)]
        if isinstance(self.feature, Instant):
            return str(
                date(1970, 1, 1) + timedelta(days=math.floor((value - 1970.0) * _YEAR + 1e-6))
            )
        return f"{value:.6g}"


def view_of(feature: Feature, start: int, stop: int) -> View | None:
    """How to show a feature; None for a time without a date."""
    if isinstance(feature, Category):
        extra = [name[len(feature.column) + 1 :] for name in feature.names]
        return View(feature, start, stop, feature.column, (feature.levels[0], *extra))
    if isinstance(feature, Presence):
        return View(feature, start, stop, feature.column, ("there", "missing"))
    if isinstance(feature, Instant):
        return (
            View(feature, start, stop, f"{feature.column} (year)")
            if feature.parts[0] == "day"
            else None
        )
    return View(feature, start, stop, feature.column)


def views(encoder: Encoder) -> list[View]:
    """Of every feature that can be shown."""
    if isinstance(encoder, TermsEncoder):
        return [View(f, a, b, f.column) for f, a, b in plain_terms(encoder)]
    found = (
        view_of(f, a, b) for f, (_, a, b) in zip(encoder.features, encoder.groups, strict=True)
    )
    return [v for v in found if v is not None]


def important(fitted: FittedModel, count: int) -> list[View]:
    """The features that matter most to the output, first the one that matters most."""
    every = views(fitted.encoder)
    weights = relevance(fitted)
    return sorted(every, key=lambda v: -weights.get(v.feature.column, 0.0))[:count]


def relevance(fitted: FittedModel) -> dict[str, float]:
    """By column: for a network the relevance of its training; for a linear model how much the SSE,
    in units of the
    noise, would grow without the column (the Wald statistic b_gᵀ C_gg⁻¹ b_g of its coefficients).
    """
    if fitted.info.get("relevance"):
        return {str(c): float(r) for c, r in fitted.info["relevance"].items()}
    member, k = fitted.members[0], len(fitted.encoder.targets)
    if not isinstance(member.model, Linear):
        return dict.fromkeys((c for c, _, _ in fitted.encoder.groups), 1.0)
    found = {}
    for column, a, b in fitted.encoder.groups:
        at = slice(k * (1 + a), k * (1 + b))
        slopes = member.parameters[at]
        known = member.covariance is not None and bool(np.any(member.noise > 0))
        inverse = (
            np.linalg.pinv(member.covariance[at, at])
            if known and member.covariance is not None
            else np.eye(len(slopes))
        )
        found[column] = float(slopes @ inverse @ slopes)
    return found


def row_values(every: list[View], design: Floats) -> dict[str, str]:
    """One row (d,) of the design as a person would write it."""
    return {v.feature.column: v.shown(float(v.values(design[None, :])[0])) for v in every}
