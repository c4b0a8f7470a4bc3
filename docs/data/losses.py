"""Two losses to audit: one is right, one only looks so."""

import numpy as np


def half_sse(target, output):
    """½ Σ (o − t)²."""
    return 0.5 * np.sum((output - target) ** 2)


def half_sse_gradient(target, output):
    """o − t."""
    return output - target


def mean_of_columns(target, output):
    """Divided by the rows, but not by the outputs."""
    return np.sum((output - target) ** 2) / len(target)
