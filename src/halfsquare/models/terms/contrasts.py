"""Codings of a category: for L levels a matrix (L, L-1) whose columns, with a constant, span them.

treatment   an indicator of each level but the base (R's contr.treatment)
SAS         the same, with the last level as the base
sum         each level against the mean of all; the last is minus the others (contr.sum)
helmert     each level against the mean of those before it (contr.helmert)
diff        each level against the one before it (MASS's contr.sdif)
poly        orthonormal polynomials over equally spaced levels, or over scores (contr.poly)
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import numpy as np

from halfsquare.loss import Floats

CODINGS = ("treatment", "SAS", "sum", "helmert", "diff", "poly")
_LETTERS = {"treatment": "T.", "SAS": "T.", "sum": "S.", "helmert": "H.", "diff": "D.", "poly": ""}
_POWERS = (".L", ".Q", ".C")


def contrast_matrix(
    coding: str, count: int, base: int = 0, scores: Sequence[float] | None = None
) -> Floats:
    """The matrix (L, L-1) of a coding of L = ``count`` levels; ``base`` is for treatment.

    Examples
    --------
    >>> contrast_matrix("sum", 3)
    array([[ 1.,  0.],
           [ 0.,  1.],
           [-1., -1.]])
    """
    if coding in ("treatment", "SAS"):
        return np.delete(np.eye(count), count - 1 if coding == "SAS" else base, axis=1)
    if coding == "sum":
        return np.vstack([np.eye(count - 1), -np.ones((1, count - 1))])
    if coding == "helmert":
        matrix = np.zeros((count, count - 1))
        for j in range(count - 1):
            matrix[: j + 1, j], matrix[j + 1, j] = -1.0, j + 1.0
        return matrix
    if coding == "diff":
        return np.array(
            [[(j + 1.0) / count - (i <= j) for j in range(count - 1)] for i in range(count)]
        )
    return orthonormal_powers(
        np.arange(count, dtype=float) if scores is None else np.asarray(scores, dtype=float)
    )


def orthonormal_powers(scores: Floats) -> Floats:
    """Orthonormal polynomials of degree 1 … L-1 at L points, leading coefficients positive."""
    centred = scores - scores.mean()
    powers = np.vander(centred / np.abs(centred).max(), len(scores), increasing=True)
    q, r = np.linalg.qr(powers)
    return cast(Floats, (q * np.sign(np.diag(r)))[:, 1:])


def contrast_names(coding: str, levels: Sequence[str], base: int = 0) -> list[str]:
    """What stands in brackets behind the factor, for each column of :func:`contrast_matrix`.

    Examples
    --------
    >>> contrast_names("treatment", ["a", "b", "c"]), contrast_names("poly", ["a", "b", "c"])
    (['T.b', 'T.c'], ['.L', '.Q'])
    """
    count = len(levels)
    if coding == "poly":
        return [_POWERS[j] if j < 3 else f"^{j + 1}" for j in range(count - 1)]
    left_out = {"treatment": base, "SAS": count - 1, "sum": count - 1}.get(coding, 0)
    return [_LETTERS[coding] + level for i, level in enumerate(levels) if i != left_out]
