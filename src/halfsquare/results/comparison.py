"""The difference of the errors of two models, and what it says; who was fitted to which rows."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from math import isfinite
from pathlib import Path
from typing import Any, Literal

import numpy as np

from halfsquare.errors import OptionError
from halfsquare.results.ensemble import Ensemble
from halfsquare.sums import ErrorSummary

Verdict = Literal["A is better", "B is better", "cannot tell"]


@dataclass(frozen=True)
class Comparison:
    """The difference of two MSE, A minus B, in the squared unit of the target.

    Attributes
    ----------
    difference, standard_error : float
        Negative: A errs less.
    z : float
        The difference in standard errors.
    p : float
        Two-sided probability of a difference as large if there were none (normal approximation;
        of clusters and time Student's t).
    verdict : str
        ``"A is better"``, ``"B is better"``, or ``"cannot tell"`` where p > 0.05.
    paired : bool
    rows_a, rows_b : int
    mse_a, mse_b : float
    method : str
        What the standard error takes rows for.
    fitted_to : tuple of str
        Which of ``"A"`` and ``"B"`` was fitted to a source of this name: on rows of the fit the
        larger model looks better than it is, and p says nothing of new rows …
    left_out : tuple of str
        … but of those whose errors are of fits without the row itself, see
        :mod:`halfsquare.results.without_row`.
    """

    difference: float
    standard_error: float
    z: float
    p: float
    verdict: Verdict
    paired: bool
    rows_a: int
    rows_b: int
    mse_a: float
    mse_b: float
    method: str = "independent rows"
    fitted_to: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """JSON values; a number that is not finite as None."""
        return {
            k: None if isinstance(v, float) and not isfinite(v) else v
            for k, v in asdict(self).items()
        }


def of_the_fit(model: Ensemble, name: str) -> bool:
    """Whether a source of that name is the one of the fit, as far as a name tells."""
    if model.record.data is None:
        return False
    known = model.record.data.name
    try:
        return known == name or Path(known).samefile(name)
    except (OSError, ValueError):  # no files, as a query or an address
        return False


def rows_of(model: Ensemble) -> int | None:
    """How many rows were read for its fit."""
    return None if model.record.data is None else model.record.data.rows_read


def as_many(model: Ensemble, name: str, rows: int) -> bool:
    """Queries and frames share a name, so that the number of rows has to agree as well."""
    return not name.startswith("the ") or rows_of(model) == rows


def require_same_target(a: Ensemble, b: Ensemble) -> None:
    """Refuse to compare models of different targets."""
    if a.encoder.targets != b.encoder.targets:
        raise OptionError(
            f"model A predicts {', '.join(a.encoder.targets)} and model B "
            f"{', '.join(b.encoder.targets)}; "
            "only models of the same target can be compared"
        )


def judgement_of(
    difference: float,
    standard_error: float,
    paired: bool,
    a: ErrorSummary,
    b: ErrorSummary,
    freedom: float = 1e9,
) -> Comparison:
    """The verdict on a difference with its standard error; ``freedom`` of Student's t, from 1e9 on
    that of the normal distribution.
    """
    from scipy.special import ndtr, stdtr

    if standard_error > 0:
        z = difference / standard_error
    else:  # no spread at all: equal to the last bit, or different by a constant, or one row
        z = (
            0.0
            if difference == 0 or standard_error != standard_error
            else float(np.copysign(np.inf, difference))
        )
    p = float(2.0 * (ndtr(-abs(z)) if freedom >= 1e9 else stdtr(freedom, -abs(z))))
    verdict: Verdict = (
        "cannot tell" if p > 0.05 else ("A is better" if difference < 0 else "B is better")
    )
    return Comparison(
        difference, standard_error, z, p, verdict, paired, a.rows, b.rows, a.mse, b.mse
    )
