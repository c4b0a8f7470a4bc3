"""From the sums of raw columns to those of the standardized design, without another pass."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from halfsquare.data.encoder import ColumnEncoder, Encoder
from halfsquare.data.features import Number, Presence
from halfsquare.data.products import Products
from halfsquare.normal_sums import NormalSums


def design_sums(
    products: Products, encoder: Encoder, kept: Sequence[int], factor: float
) -> NormalSums | None:
    """The sums of [1 | Z | T] over the rows of ``products``; None where the design is no linear map
    of the raw columns.

    Parameters
    ----------
    kept : sequence of int
        Where the features of the encoder stand among the raw columns; the targets come first.
    factor : float
        By which weights are multiplied.
    """
    if not isinstance(encoder, ColumnEncoder) or encoder.target_transform is not None:
        return None
    c, k = len(products.centre), len(encoder.targets)
    centre, gaps = products.centre.copy(), set(products.gaps)
    centre[:k] = encoder.target_means
    for feature, column in zip(encoder.features, kept, strict=True):
        if type(feature) is Number:
            centre[column] = feature.means[0]
            gaps |= {column} if feature.indicator else set()
        elif type(feature) is Presence and not feature.text:
            gaps.add(column)
        else:
            return None
    lacking = tuple(sorted(gaps))
    # Each column of the design is (an entry of a, less a shift) over a scale.
    places, shifts, scales = [0], [0.0], [1.0]
    for feature, column in zip(encoder.features, kept, strict=True):
        pairs = list(zip(feature.means, feature.scales, strict=True))
        if type(feature) is Number:
            places.append(1 + column)
            shifts.append(0.0)
            scales.append(pairs.pop(0)[1])
        for share, scale in pairs:
            places.append(1 + c + lacking.index(column))
            shifts.append(share)
            scales.append(scale)
    places += range(1, 1 + k)
    shift = np.array([*shifts, *[0.0] * k])
    width = np.array([*scales, *encoder.target_scales])
    gram = products.about(centre, lacking)[np.ix_(places, places)]
    gram -= np.outer(shift, gram[0])
    gram -= np.outer(gram[:, 0], shift)
    gram *= factor / np.outer(width, width)
    return NormalSums(products.rows, products.weight * factor, np.asfortranarray(gram), len(gram))
