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
jackknife+"). Where the levels of a category were asked for, each has an f and quantiles r_q of its
own rows, so that the promise holds within each of them (Vovk 2012, "Conditional validity of
inductive conformal predictors", section 4).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from halfsquare.errors import OptionError
from halfsquare.loss import Floats

_SCORES = 400  # as many are kept
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
class LevelScores:
    """What the rows of one level say: how many, their f, and quantiles of their scores.

    Attributes
    ----------
    level : str
    rows : int
    factor : float
        f; NaN where the level has too few rows, and that of all rows holds.
    probabilities, scores : (m,)
        Quantiles r_q, rising; empty where the level has too few rows.
    """

    level: str
    rows: int
    factor: float
    probabilities: tuple[float, ...]
    scores: tuple[float, ...]

    @property
    def known(self) -> bool:
        """Whether the level has rows enough to be judged by itself."""
        return len(self.scores) > 0


@dataclass(frozen=True)
class ByLevel:
    """Calibrations within the levels of a category.

    Attributes
    ----------
    column : str
    start, stop : int
        Its design columns, one for each level but the first.
    levels : tuple of LevelScores
    """

    column: str
    start: int
    stop: int
    levels: tuple[LevelScores, ...]

    def level_of(self, design: Floats) -> npt.NDArray[np.intp]:
        """The number of the level (m,) at rows of a design (m, d); -1 for none that is known."""
        own = design[:, self.start : self.stop]
        # Standardized, a level's own column is above 0 and all others are below; the average row,
        # which stands for a level that is not known, is 0 in all.
        above, below = own > 0, own < 0
        found = np.where(above.any(axis=1), np.argmax(above, axis=1) + 1, 0)
        return np.where(above.any(axis=1) | below.all(axis=1), found, -1).astype(np.intp)

    def examples(self, columns: int) -> Floats:
        """Rows of a design (1 + levels, columns): of a level that is not known, and of each."""
        found = np.zeros((1 + len(self.levels), columns))
        own = found[:, self.start : self.stop]
        own[1:] = -1.0
        own[2:][np.eye(len(self.levels) - 1, dtype=bool)] = 1.0
        return found


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
    by : ByLevel or None
        What is known within levels, where that was asked for.
    """

    rows: int
    factor: float
    intercept: float
    ramps: tuple[Ramps, ...]
    probabilities: tuple[float, ...]
    scores: tuple[float, ...]
    by: ByLevel | None = None

    def __post_init__(self) -> None:
        levels = self.by.levels if self.by else ()
        each: list[Calibration | LevelScores] = [self, *(one for one in levels if one.known)]
        for one in each:
            if len(one.probabilities) != len(one.scores) or not 0.0 < one.factor < np.inf:
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
        factor = self._of_rows(design, self.factor, lambda level: level.factor)
        found: Floats = factor**2 * (noise * np.exp(self.log_scale(design, output)) + others)
        return found

    def noise(self, design: Floats, output: Floats, noise: float) -> Floats:
        """The variance (m,) of the noise alone."""
        return self.variance(design, output, noise, np.zeros(len(output)))

    def quantile(self, design: Floats, probability: float, student: float) -> Floats:
        """r_q (m,) at rows of a design (m, d); ``student`` where the shape is Student's t.

        Beyond the most extreme score it goes on as the normal distribution's does.
        """
        whole = _quantile(self, probability) if len(self.scores) else student
        return self._of_rows(design, whole, lambda level: _quantile(level, probability))

    def _of_rows(
        self, design: Floats, whole: float, of_level: Callable[[LevelScores], float]
    ) -> Floats:
        """A number (m,) of the rows' levels, or of all rows."""
        if self.by is None:
            return np.full(len(design), whole)
        values = [of_level(level) if level.known else whole for level in self.by.levels]
        found: Floats = np.array([*values, whole])[self.by.level_of(design)]  # -1: the last
        return found


def _quantile(known: Calibration | LevelScores, probability: float) -> float:
    from scipy.special import ndtri

    first, last = known.probabilities[0], known.probabilities[-1]
    if probability < first:
        return float(known.scores[0] * (ndtri(probability) / ndtri(first)))
    if probability > last:
        return float(known.scores[-1] * (ndtri(probability) / ndtri(last)))
    return float(np.interp(probability, known.probabilities, known.scores))


def quantiles_of_scores(scores: Floats) -> tuple[Floats, Floats]:
    """Where the scores stand among one more: probabilities i / (n + 1) and scores, thinned."""
    values = np.sort(scores)
    at = np.arange(1.0, len(values) + 1.0) / (len(values) + 1.0)
    if len(values) <= _SCORES:
        return at, values
    # Evenly in normal quantiles: as close at the ends as in the middle.
    from scipy.special import ndtr, ndtri

    wanted = ndtr(np.linspace(ndtri(at[0]), ndtri(at[-1]), _SCORES))
    return wanted, np.interp(wanted, at, values)


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
        by = None if one is None else one.by
        if by is not None and not 0 <= by.start < by.stop <= columns:
            raise ValueError(f"a calibration by columns {by.start} to {by.stop} of {columns}")
        if by is not None and len(by.levels) != by.stop - by.start + 1:
            raise ValueError(f"a calibration by {len(by.levels)} levels of {by.stop - by.start}")


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
