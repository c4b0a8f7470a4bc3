"""p-values of several tests at once."""

from __future__ import annotations

import numpy as np

from halfsquare.errors import OptionError
from halfsquare.loss import Floats

ADJUSTMENTS = ("holm", "bh", "bonferroni", "none")


def adjusted(p: Floats, method: str) -> Floats:
    """p-values (m,) adjusted for their number; NaN stays NaN and does not count.

    ``"holm"`` holds the chance of any false rejection (Holm 1979), ``"bh"`` the expected share of
    false ones among the rejections (Benjamini & Hochberg 1995), ``"bonferroni"`` is m p.

    Examples
    --------
    >>> adjusted(np.array([0.01, 0.04, 0.03]), "holm")
    array([0.03, 0.06, 0.06])
    >>> adjusted(np.array([0.01, 0.04, 0.03]), "bh")
    array([0.03, 0.04, 0.04])
    """
    if method not in ADJUSTMENTS:
        raise OptionError(
            f"unknown adjustment {method!r}; expected one of {', '.join(ADJUSTMENTS)}"
        )
    known = np.flatnonzero(~np.isnan(p))
    found = np.array(p, dtype=np.float64)
    m = len(known)
    if method == "none" or m == 0:
        return found
    order = known[np.argsort(p[known], kind="stable")]
    rising = np.asarray(p[order], dtype=np.float64)
    if method == "holm":
        rising = np.maximum.accumulate((m - np.arange(m)) * rising)
    elif method == "bh":
        rising = np.minimum.accumulate((m / np.arange(1, m + 1) * rising)[::-1])[::-1]
    else:
        rising = m * rising
    found[order] = np.minimum(rising, 1.0)
    return found
