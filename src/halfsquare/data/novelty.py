"""What of some rows a model has not seen in training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from halfsquare.data.features import Category, Feature, Instant, Levels, Moment, Number, Plain
from halfsquare.data.levels import MISSING
from halfsquare.loss import Floats
from halfsquare.text import counted


@dataclass
class Novelty:
    """What of some rows the model has not seen in training: counts by column.

    Attributes
    ----------
    unseen, outside, missing : dict of column to number of rows
        Levels that were not there; numbers below the least or above the greatest, dates before the
        first or after the last; no value where there always was one.
    without_output : dict of column to number of rows
        No value where a formula needs one: its output is NaN.
    unweighed : str
        The column of the fit that says how noisy a row is, where these rows have none.
    remarks : list of str
        How the rows were read, where that is not plain.
    """

    unseen: dict[str, int] = field(default_factory=dict)
    outside: dict[str, int] = field(default_factory=dict)
    missing: dict[str, int] = field(default_factory=dict)
    without_output: dict[str, int] = field(default_factory=dict)
    unweighed: str = ""
    remarks: list[str] = field(default_factory=list)

    def add(self, features: Sequence[Feature], raw: Floats) -> None:
        """Count raw feature rows (features, m)."""
        for feature, values in zip(features, raw, strict=True):
            if isinstance(feature, Category):
                self._count(self.unseen, feature.column, values < MISSING)
            elif isinstance(feature, Number) or (
                isinstance(feature, Instant) and None not in (feature.minimum, feature.maximum)
            ):
                beyond = (values < feature.minimum) | (values > feature.maximum)
                self._count(self.outside, feature.column, beyond)
            if _always_there(feature):
                self._count(self.missing, feature.column, _gone(feature, values))
            if isinstance(feature, Plain | Moment | Levels):
                self._count(self.without_output, feature.column, _gone(feature, values))

    @staticmethod
    def _count(counts: dict[str, int], column: str, rows: Any) -> None:
        found = int(np.count_nonzero(rows))
        if found:
            counts[column] = counts.get(column, 0) + found

    @property
    def sentences(self) -> list[str]:
        """In words, a column a line."""
        said = list(self.remarks)
        said += [
            f"{c}: {counted(n, 'rows')} of a level that was not in training"
            for c, n in self.unseen.items()
        ]
        said += [
            f"{c}: {counted(n, 'rows')} outside the range of training"
            for c, n in self.outside.items()
        ]
        said += [
            f"{c}: {counted(n, 'rows')} without a value, which none lacked in training: the mean "
            "stands in for it, and intervals are wider by what it is worth"
            for c, n in self.missing.items()
        ]
        said += [
            f"{c}: {counted(n, 'rows')} without a value, which the formula needs: there is no "
            "output for them (nan)"
            for c, n in self.without_output.items()
        ]
        if self.unweighed:
            said.append(
                f"{self.unweighed}: these rows have no such column, so that intervals are those of "
                "a row of mean weight in training"
            )
        return said

    def as_dict(self) -> dict[str, Any]:
        """JSON values."""
        found: dict[str, Any] = {
            "unseen": self.unseen,
            "outside": self.outside,
            "missing": self.missing,
        }
        found |= {"unweighed": self.unweighed} if self.unweighed else {}
        found |= {"without_output": self.without_output} if self.without_output else {}
        return found | ({"remarks": self.remarks} if self.remarks else {})


def _always_there(feature: Feature) -> bool:
    """Whether no value was missing in training, and the model has no place for one that is."""
    if isinstance(feature, Category):
        return not feature.missing
    return isinstance(feature, Number | Instant) and not feature.indicator


def _gone(feature: Feature, values: Floats) -> npt.NDArray[np.bool_]:
    """Where raw values (m,) are missing."""
    coded = isinstance(feature, Category | Levels)
    return np.asarray((values == MISSING) | np.isnan(values) if coded else np.isnan(values))


def absent_values(features: Sequence[Feature], raw: Floats) -> npt.NDArray[np.bool_] | None:
    """Where the mean stands for a value of raw feature rows (features, m): for what training always
    had, and for levels that it did not have; None for nowhere.
    """
    found = np.zeros(raw.shape, dtype=bool)
    for j, feature in enumerate(features):
        if _always_there(feature):
            found[j] = _gone(feature, raw[j])
        if isinstance(feature, Category) and not feature.other:
            found[j] |= raw[j] < MISSING
    return found if found.any() else None
