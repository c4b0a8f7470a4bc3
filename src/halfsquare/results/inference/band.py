"""The confidence band of the mean output: where the model itself may lie, without the noise of a
new target.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from halfsquare.errors import OptionError
from halfsquare.loss import Floats
from halfsquare.models.linear import Linear
from halfsquare.parallel.threads import one_blas_thread
from halfsquare.results.fitted import FittedModel
from halfsquare.results.predictive import member_variance
from halfsquare.results.trained import Trained


def mean_band(fitted: FittedModel, design: Floats, level: float) -> tuple[Floats, Floats, Floats]:
    """Outputs (m, k) of encoded rows, and the limits that hold their mean with confidence
    ``level``.

    With a function on the left side, as log(y), the limits are taken there and brought back, so
    that they are those of the median of y rather than of its mean.

    Raises
    ------
    OptionError
        If the model does not know how sure it is of its parameters.
    """
    from scipy.special import stdtrit

    if fitted.encoder.target_transform is not None or fitted.record.training.smearing is not None:
        raise OptionError(
            "the outputs are means by smearing, and a band is of what was fitted: for the band of "
            "the median write a formula for log(y), and leave its means out"
        )
    if any(member.told is None for member in fitted.members):
        raise OptionError(
            "the errors of this model's parameters are not known, so there is no band of the mean"
        )
    facts = fitted.facts
    freedom = facts.degrees_of_freedom or np.inf
    if facts.test_degrees_of_freedom is not None:
        freedom = facts.test_degrees_of_freedom
    reach = float(stdtrit(min(freedom, 1e9), 0.5 + level / 2.0))
    with one_blas_thread():
        outputs, variances = [], []
        for member in fitted.members:
            o, variance = _of_mean(member, design)
            outputs.append(o)
            variances.append(variance)
        stacked = np.stack(outputs)
        mean = stacked.mean(axis=0)
        std = np.sqrt(np.mean(variances, axis=0) + stacked.var(axis=0))
    scales, means = fitted.encoder.target_scales, fitted.encoder.target_means
    model = fitted.members[0].model
    low, high = mean - reach * std, mean + reach * std
    low, mean, high = (model.restore_target(v * scales + means) for v in (low, mean, high))
    return mean, low, high


def _of_mean(member: Trained[Any], design: Floats) -> tuple[Floats, Floats]:
    """Outputs and the variance (m, k) of what is expected there."""
    if not isinstance(member.model, Linear):
        o, variance = member_variance(member, design)
        return o, np.maximum(variance - member.noise, 0.0)
    covariance = member.told
    assert covariance is not None
    o = member.model.outputs(member.parameters, design)
    k = o.shape[1]
    a = np.hstack([np.ones((len(design), 1)), design])
    spread = [np.einsum("ni,ni->n", a @ covariance[j::k, j::k], a) for j in range(k)]
    return o, np.maximum(np.column_stack(spread), 0.0)
