"""What a model says of a row of its own fit that it had not seen.

Of one least-squares fit the error without the row itself needs no other fit: e / (1 - h), h the
leverage (Allen 1974, "The relationship between variable selection and data augmentation and a
method for prediction"); of a formula that holds to first order.
"""

from __future__ import annotations

import numpy as np

from halfsquare.loss import Floats, error
from halfsquare.parallel.threads import one_blas_thread
from halfsquare.results.ensemble import Ensemble

_MOST_LEVERAGE = 0.999


def knows_leverage(fitted: Ensemble) -> bool:
    """Whether the model is one least-squares fit to all rows of its table."""
    (first, *others), record = fitted.members, fitted.record
    plain = first.model.target_function == "identity" and fitted.encoder.target_transform is None
    counts = record.training.weighed is None
    whole = record.refit or record.measured is None or record.measured.test is None
    known = first.covariance is not None and bool(np.all(first.noise > 0))
    return not others and plain and counts and whole and known


def outputs_without_row(fitted: Ensemble, design: Floats, target: Floats) -> Floats:
    """Outputs (m, k) of encoded rows (m, d) with targets (m, k), each by a fit without that row;
    of a row of weight w, without one of the w that it stands for.
    """
    with one_blas_thread():
        outputs = fitted.outputs_of(design)[0]
        variance = fitted.predictive(design)[1]
    leverage = np.clip((variance - fitted.noise) / fitted.noise, 0.0, _MOST_LEVERAGE)
    without: Floats = outputs + leverage / (1.0 - leverage) * error(target, outputs)
    return without
