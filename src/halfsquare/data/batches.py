"""Arrow batches: from a row on, and the first odd number in them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from halfsquare.data.arrow import floats_of


def rows_after(row: int, batches: Iterator[Any]) -> Iterator[Any]:
    """The rows after the first ``row`` of them."""
    for batch in batches:
        if row < batch.num_rows:
            yield batch.slice(row) if row else batch
        row = max(0, row - batch.num_rows)


def first_infinite(values: Any) -> int:
    """The first infinity among them, which stands for a text that could not be read; -1 if there is
    none.
    """
    infinite = np.isinf(floats_of(values))
    return int(np.argmax(infinite)) if infinite.any() else -1


def first_fraction(values: Any) -> int | None:
    """The first number that is no whole one, where all those have at most three decimals: their
    points may be thousands marks. -1 where one has more, which settles it; None for whole numbers.
    """
    numbers = floats_of(values)
    at = np.flatnonzero(numbers != np.floor(numbers))
    at = at[np.isfinite(numbers[at])]
    if not len(at):
        return None
    thousandths = numbers[at] * 1000.0
    short = np.abs(thousandths - np.round(thousandths)) <= 1e-9 * np.abs(thousandths)
    return int(at[0]) if short.all() else -1
