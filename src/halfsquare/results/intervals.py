"""How far a new target may lie from an output: a calibration learnt from errors on rows left out.

A model states one noise σ² for all rows and Student's t for its shape. Where the errors on rows
left out contradict that, a calibration takes its place. With p(x) the variance that parameters and
spread give an output o(x),

    s²(x) = f² (σ² exp(η(x)) + p(x)),     end at probability q:  o(x) + s(x) · r_q

    η(x)   a sum of ramps: how the logarithm of the noise depends on the columns and the output
    f      makes the mean of the squared scores 1 where the shape is Student's t
    r_q    quantile q of the scores (t - o)/s of rows left out, the two ends apart

The quantile of n scores at q is the one at place (n + 1) q: a new row exchangeable with them lies
below it with probability q, whatever the distribution (Romano, Patterson & Candès 2019,
"Conformalized quantile regression", lemma 2; Barber et al. 2021, "Predictive inference with the
jackknife+").
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from halfsquare.errors import OptionError
from halfsquare.loss import Floats

OUTPUT = -1  # in place of a design column: the output itself


@dataclass(frozen=True)
class Ramps:
    """One column's part of η: linear between knots, constant beyond the first and the last.

    Attributes
    ----------
    column : int
        Of the design, or ``OUTPUT``.
    knots : (r + 1,)
        Rising, in standardized units.
    rises : (r,)
        By how much η rises from each knot to the next.
    """

    column: int
    knots: tuple[float, ...]
    rises: tuple[float, ...]

    def __call__(self, design: Floats, output: Floats) -> Floats:
        """This part of η (m,) at rows of a design (m, d) with the outputs (m,)."""
        values = output if self.column == OUTPUT else design[:, self.column]
        heights = np.concatenate([[0.0], np.cumsum(self.rises)])
        part: Floats = np.interp(values, self.knots, heights)
        return part


@dataclass(frozen=True)
class Calibration:
    """What errors on rows left out say of the interval of one target.

    Attributes
    ----------
    rows : int
        Rows it was learnt from.
    factor : float
        f.
    intercept : float
        Of η.
    ramps : tuple of Ramps
        None: the noise is the same for all rows.
    probabilities, scores : (m,)
        Quantiles r_q of the scores, rising; empty: Student's t.
    """

    rows: int
    factor: float
    intercept: float
    ramps: tuple[Ramps, ...]
    probabilities: tuple[float, ...]
    scores: tuple[float, ...]

    def __post_init__(self) -> None:
        if len(self.probabilities) != len(self.scores) or not 0.0 < self.factor < np.inf:
            raise ValueError("a calibration whose parts do not agree")
        for ramp in self.ramps:
            if len(ramp.knots) != len(ramp.rises) + 1 or np.any(np.diff(ramp.knots) <= 0):
                raise ValueError("a calibration with knots that do not rise")

    def log_scale(self, design: Floats, output: Floats) -> Floats:
        """η (m,)."""
        eta = np.full(len(output), self.intercept)
        for ramp in self.ramps:
            eta += ramp(design, output)
        return eta

    def variance(self, design: Floats, output: Floats, noise: float, others: Floats) -> Floats:
        """s² (m,) from σ² and p (m,)."""
        found: Floats = self.factor**2 * (noise * np.exp(self.log_scale(design, output)) + others)
        return found

    def noise(self, design: Floats, output: Floats, noise: float) -> Floats:
        """The variance (m,) of the noise alone."""
        return self.variance(design, output, noise, np.zeros(len(output)))

    def quantile(self, probability: float) -> float | None:
        """r_q; None where the shape is Student's t.

        Beyond the most extreme score it goes on as the normal distribution's does.
        """
        from scipy.special import ndtri

        if not len(self.scores):
            return None
        first, last = self.probabilities[0], self.probabilities[-1]
        if probability < first:
            return float(self.scores[0] * (ndtri(probability) / ndtri(first)))
        if probability > last:
            return float(self.scores[-1] * (ndtri(probability) / ndtri(last)))
        return float(np.interp(probability, self.probabilities, self.scores))


def require_calibration(found: tuple[Calibration | None, ...], columns: int, targets: int) -> None:
    """Refuse calibrations that are not of a model with so many design columns and targets.

    Raises
    ------
    ValueError
    """
    if found and len(found) != targets:
        raise ValueError(f"{len(found)} calibrations for {targets} targets")
    for one in found:
        for ramp in () if one is None else one.ramps:
            if not OUTPUT <= ramp.column < columns:
                raise ValueError(f"a calibration by column {ramp.column} of {columns}")


def require_level(level: float | None) -> None:
    """Refuse a level that is no probability.

    Raises
    ------
    OptionError
    """
    if level is not None and not 0.0 < level < 1.0:
        raise OptionError(
            f"the level of an interval is {level:g}; expected a number between 0 and 1, such "
            "as 0.95"
        )


def require_probability(probability: float) -> None:
    """Refuse a quantile's probability that is none.

    Raises
    ------
    OptionError
    """
    if not 0.0 < probability < 1.0:
        raise OptionError(
            f"the probability of a quantile is {probability:g}; expected a number between 0 "
            "and 1, such as 0.9"
        )


def ends_of(level: float) -> tuple[float, float]:
    """The probabilities at the two ends of an interval."""
    require_level(level)
    return (0.5 - 0.5 * level, 0.5 + 0.5 * level)
