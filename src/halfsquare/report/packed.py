"""Arrays as text inside a page: base64 of their numbers, in as few bytes as they need."""

from __future__ import annotations

import base64
from typing import Any

import numpy as np

from halfsquare.loss import Floats


def packed(values: Any, kind: str = "f8") -> dict[str, str]:
    """Numbers (n,) as text, least significant byte first.

    Parameters
    ----------
    kind : {"f8", "f6", "u1", "u2", "u4", "i1"}
        float64; float64 rounded to its upper 48 bits, 7e-12 of each number; whole numbers.

    Examples
    --------
    >>> packed([1.0, -2.0], "i1")
    {'kind': 'i1', 'text': 'Af4='}
    """
    if kind != "f6":
        raw = np.ascontiguousarray(values).astype(f"<{kind}").tobytes()
    else:
        whole = np.ascontiguousarray(values, dtype="<f8").view("<u8")
        rounded = (whole + np.uint64(0x8000)).view(np.uint8).reshape(-1, 8)
        raw = rounded[:, 2:].tobytes()
    return {"kind": kind, "text": base64.b64encode(raw).decode()}


def lower_triangle(covariance: Floats) -> Floats | None:
    """L (p (p+1)/2,), row by row, with L Lᵀ the covariance (p, p); None where it has none."""
    try:
        root = np.linalg.cholesky(covariance)
    except np.linalg.LinAlgError:
        return None
    return np.asarray(root[np.tril_indices(len(root))])


def square_root(covariance: Floats) -> Floats:
    """R (p, p) with R Rᵀ the covariance, which may be singular."""
    values, vectors = np.linalg.eigh(covariance)
    return np.asarray(vectors * np.sqrt(np.maximum(values, 0.0)))
