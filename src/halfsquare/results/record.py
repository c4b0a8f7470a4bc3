"""What is to be known of a fitted model besides its members; JSON and sentences are made of it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from math import nan, sqrt
from typing import Any

from halfsquare.data.weighting import Weighting
from halfsquare.loss import sse_factor
from halfsquare.results.intervals import Calibration
from halfsquare.results.smearing import Smearing
from halfsquare.results.stretches import Stretches
from halfsquare.solvers.base import Record
from halfsquare.sums import ErrorSummary, r_squared


@dataclass(frozen=True)
class Candidate:
    """A model that was tried: its MSE on rows it had not seen, in the squared unit of the target
    (of one target).

    ``difference`` is to the model it is compared with; negative: better. ``weight`` is that in the
    blend, where there is one.
    """

    model: str
    mse: float | None = None
    mse_se: float | None = None
    difference: float | None = None
    difference_se: float | None = None
    note: str = ""
    weight: float | None = None


@dataclass(frozen=True)
class BlendPart:
    """A part of a blend: its weight, its members, and the parameters of all of them."""

    model: str
    weight: float
    members: int
    parameters: int


@dataclass(frozen=True)
class Weighed:
    """By which column a model's rows were weighed.

    Attributes
    ----------
    column : str
    weighting : str
    factor : float
        The weights used were the column's times this; a row's noise variance is the model's over
        its weight used.
    """

    column: str
    weighting: Weighting
    factor: float


@dataclass(frozen=True)
class Training:
    """How a model was trained.

    Attributes
    ----------
    kind : str
        ``"linear"``, ``"network"``, ``"trees"``, ``"formula"`` or ``"blend"``.
    method : str
    warnings : tuple of str
    history : tuple of Record
        Of the first member's descent, in the convention asked for; for one target in its squared
        unit.
    relevance : dict of column to float, or None
        Of a network, of trees and of a blend, averaged over the members.
    candidates : tuple of Candidate
        What was tried before the model was chosen, which is ``chosen``.
    ensembles : tuple of Candidate
        Of trees: both ensembles with their weights.
    parts : tuple of BlendPart
        Of a blend.
    left_out_mse, left_out_mse_se : float or None
        Of trees and of a blend: on the rows that the weights were chosen on, which no part had
        seen.
    calibration : tuple of Calibration or None
        Of each target's interval, from errors on rows left out; empty where there is none.
    stretches : tuple of Stretches
        Where columns have no rows, and what that adds to the variance of an output.
    weighed : Weighed or None
        By which column rows were weighed, where that holds no counts.
    smearing : Smearing or None
        Of a transformed target: the scores by which means are taken.
    transforms : tuple of Candidate
        Of a transformed target: those that were tried.
    """

    kind: str
    method: str
    warnings: tuple[str, ...] = ()
    history: tuple[Record, ...] = ()
    relevance: dict[str, float] | None = None
    candidates: tuple[Candidate, ...] = ()
    chosen: str | None = None
    ensembles: tuple[Candidate, ...] = ()
    parts: tuple[BlendPart, ...] = ()
    left_out_mse: float | None = None
    left_out_mse_se: float | None = None
    calibration: tuple[Calibration | None, ...] = ()
    stretches: tuple[Stretches, ...] = ()
    weighed: Weighed | None = None
    smearing: Smearing | None = None
    transforms: tuple[Candidate, ...] = ()


@dataclass(frozen=True)
class SourceSummary:
    """Sums that a model was fitted to."""

    name: str
    rows: int
    digest: str


@dataclass(frozen=True)
class DataSummary:
    """What a model was fitted to, and the rows that were left out.

    Attributes
    ----------
    name : str
        Of the source.
    rows_read : int
        All of it, those left out included.
    sources : tuple of SourceSummary
        Where the model is one of sums.
    reading : dict
        JSON values of :func:`halfsquare.data.notes.how_it_was_read`; empty for sums.
    """

    name: str
    targets: tuple[str, ...]
    weights: str | None
    rows_read: int
    rows_missing_target: int
    rows_missing_feature: int
    rows_zero_weight: int
    sources: tuple[SourceSummary, ...] = ()
    reading: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Measurement:
    """Errors of the honest fit.

    Attributes
    ----------
    train : ErrorSummary
        On the rows it was made of.
    test : ErrorSummary or None
        On the rows that were set apart or given; None if there were none.
    test_source : str
    test_missing_target : int or None
        How many of the rows given lack a target.
    test_mse_limits : (float, float) or None
        95 % confidence limits of the MSE of ``test``; see :mod:`halfsquare.results.mean_error`.
    test_mse_method : str or None
        What they and the standard error take rows for.
    split : str or None
        How the rows set apart, or the folds, were chosen: see :mod:`halfsquare.data.splits`.
    line_rmse : float or None
        Of a linear model trained on the same rows, on those set apart; where the model is none.
    """

    train: ErrorSummary
    test: ErrorSummary | None = None
    test_source: str | None = None
    test_missing_target: int | None = None
    test_mse_limits: tuple[float, float] | None = None
    test_mse_method: str | None = None
    split: str | None = None
    line_rmse: float | None = None

    def as_dict(self) -> dict[str, Any]:
        """JSON values, under ``train`` and ``test``."""
        if self.test is None:
            return {"train": self.train.as_dict(), "test": None}
        test = self.test.as_dict()
        if self.test_missing_target is not None:
            test["missing_target"] = self.test_missing_target
        if self.test_mse_method is not None:
            test["mse_low"], test["mse_high"] = self.test_mse_limits or (None, None)
            test["mse_method"] = self.test_mse_method
        if self.line_rmse is not None:
            test["line_rmse"] = self.line_rmse
        more = {} if self.split is None else {"split": self.split}
        return {
            "train": self.train.as_dict(),
            "test": test,
            "test_source": self.test_source,
            **more,
        }


def error_of_sums(
    rows: int, weight: float, outputs: int, sse: float, sst: float, mean_error: float
) -> ErrorSummary:
    """What sums alone say of the errors, ``sst`` about the mean target; what needs the rows
    themselves is NaN: counts, and the standard error, for which fourth powers would be needed.
    """
    mse = sse_factor("mse", outputs, weight) * sse
    return ErrorSummary(
        rows=rows,
        weight=weight,
        sse=sse,
        half_sse=sse_factor("half_sse", outputs, weight) * sse,
        mse=mse,
        mse_se=nan,
        rmse=sqrt(mse),
        r2=r_squared(sse, sst),
        too_high=nan,
        too_low=nan,
        mean_error=mean_error,
    )


@dataclass(frozen=True)
class FitRecord:
    """How a model was made, from what, and how wrong it is.

    Attributes
    ----------
    data, measured : None until they are known
    options : dict
        Of the fit, as JSON values.
    refit : bool
        Whether the model was trained again on all rows after it was measured.
    """

    training: Training
    data: DataSummary | None = None
    measured: Measurement | None = None
    options: dict[str, Any] | None = None
    version: str | None = None
    refit: bool = False

    def named(self, name: str) -> FitRecord:
        """The same, its data under another name."""
        return replace(self, data=None if self.data is None else replace(self.data, name=name))
