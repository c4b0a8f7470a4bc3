"""What a column is worth that has no value in a row, and always had one in training.

The output is that of a row with the mean in its place. What the value would have done to it is not
known: over the values that training had, the mean square of that change is added to the variance of
the output. A number stands at three places of its distribution, those of Gauss and Hermite; a
category at each of its levels, by their shares.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt

from halfsquare.data.encoder import Encoder
from halfsquare.data.features import Category, Feature
from halfsquare.loss import Floats

# Of the normal distribution with mean 0 and variance 1: ∫ f = (f(-√3) + 4 f(0) + f(√3)) / 6.
_AWAY, _SHARE = 3.0**0.5, 1.0 / 6.0


def worth_of_missing(
    encoder: Encoder,
    outputs: Callable[[Floats], Floats],
    design: Floats,
    absent: npt.NDArray[np.bool_],
) -> Floats:
    """The variance (m, k) that missing values give outputs (m, k) of encoded rows (m, d);
    ``absent`` (features, m) says which they are.
    """
    found = np.zeros_like(outputs(design))
    at = {column: slice(start, stop) for column, start, stop in encoder.groups}
    for feature, gone in zip(encoder.features, absent, strict=True):
        rows = np.flatnonzero(gone)
        if not len(rows) or feature.column not in at:
            continue
        given = outputs(design[rows])
        for share, values in _places(feature):
            moved = design[rows].copy()
            own = moved[:, at[feature.column]]
            own[:, ~np.isnan(values)] = values[~np.isnan(values)]
            found[rows] += share * (outputs(moved) - given) ** 2
    return found


def _places(feature: Feature) -> Iterator[tuple[float, Floats]]:
    """Standardized values of the design columns of a feature with their shares; NaN: unmoved."""
    means, scales = np.array(feature.means), np.array(feature.scales)
    if isinstance(feature, Category):
        # None of the columns is 1: the reference level.
        levels = np.vstack([np.zeros(len(means)), np.eye(len(means))])
        for share, level in zip([max(1.0 - means.sum(), 0.0), *means], levels, strict=True):
            yield float(share), (level - means) / scales
        return
    for j in range(len(means)):
        for away in (-_AWAY, _AWAY):
            values = np.full(len(means), np.nan)
            values[j] = away
            yield _SHARE, values
