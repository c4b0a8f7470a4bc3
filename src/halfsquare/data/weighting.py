"""What a column of weights says of its rows: counts, measured deviations, or relative precisions.

=========== ===================================== ==================== =======================
weighting   a row of value v                      weight               degrees of freedom
=========== ===================================== ==================== =======================
counts      stands v times                        v                    Σv - p
sigma       was measured with standard deviation  1/v²                 the noise is known
            v, in the target's unit
precision   has a variance of σ²/v, σ unknown     v                    n - p
=========== ===================================== ==================== =======================

Weights that are not counts are brought to a sum of n, the number of rows, before anything is
computed of them: so Σw - p is n - p everywhere, and their unit does not matter.
"""

from __future__ import annotations

from typing import Literal

import numpy as np

from halfsquare.errors import DataError
from halfsquare.loss import Floats

Weighting = Literal["counts", "sigma", "precision"]
_EXPECTED: dict[Weighting, str] = {
    "counts": "a number >= 0",
    "sigma": "a standard deviation > 0",
    "precision": "a number >= 0",
}
_WORDS: dict[Weighting, str] = {"counts": "weight", "sigma": "sigma", "precision": "precision"}


def as_weights(
    values: Floats, weighting: Weighting, first_row: int, source: str, column: str
) -> Floats:
    """The weights (m,) that the values of a column stand for; ``first_row`` counts from 0.

    Raises
    ------
    DataError
        If a value is missing, negative, or a standard deviation that is 0; its row is named.
    """
    bad = ~(values > 0) if weighting == "sigma" else ~(values >= 0)
    if bad.any():
        at = int(np.argmax(bad))
        found = "no value" if np.isnan(values[at]) else f"{values[at]:g}"
        raise DataError(
            f"{source}, row {first_row + at + 1}, {_WORDS[weighting]} column {column!r}: found "
            f"{found}, expected {_EXPECTED[weighting]}"
        )
    with np.errstate(over="ignore", divide="ignore"):
        weights = 1.0 / (values * values) if weighting == "sigma" else values
    lost = ~np.isfinite(weights) & np.isfinite(values)  # infinite values are refused elsewhere
    if lost.any():
        at = int(np.argmax(lost))
        raise DataError(
            f"{source}, row {first_row + at + 1}, {_WORDS[weighting]} column {column!r}: the "
            f"square of {values[at]:g} is lost in float64; state it in another unit"
        )
    return weights


def counts_warning(
    column: str, rows: int, total: float, *, whole: bool, relative: bool = False
) -> str | None:
    """What is to be said of weights taken as counts that look like something else; None if not.

    ``total`` is their sum over ``rows`` rows, ``whole`` whether all are whole numbers, ``relative``
    whether they were brought to a sum of ``rows`` because of that.
    """
    if whole:
        return None
    taken = "are taken as counts: the errors and intervals are those of so many rows"
    if relative:
        taken = (
            "are taken relative to their mean: what is chosen and stated is that of as many rows"
        )
    return (
        f"the weights in {column!r} are no whole numbers and sum to {total:g} over {rows:,} rows, "
        f"and {taken}. If they are measured standard deviations, say --sigma {column}; if inverse "
        f"variances up to a factor, say --precision {column}"
    )
