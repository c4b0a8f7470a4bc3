"""Which rows of a source count, and why others are left out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from halfsquare.data.levels import MISSING
from halfsquare.data.roles import Roles
from halfsquare.loss import Floats


@dataclass(frozen=True)
class Counts:
    """How many rows were seen, how many of them count, and why others were left out."""

    rows: int = 0
    kept: int = 0
    missing_target: int = 0
    zero_weight: int = 0
    missing_feature: int = 0

    @classmethod
    def of(
        cls, raw: Sequence[Floats] | Floats, roles: Roles
    ) -> tuple[npt.NDArray[np.bool_], Counts]:
        """Which raw rows (columns, m) count; the columns are those of ``roles.needed``, or more in
        their order.
        """
        k = len(roles.targets)
        keep: npt.NDArray[np.bool_] = ~np.isnan(raw[0])
        for target in raw[1:k]:
            keep &= ~np.isnan(target)
        missing_target, zero_weight, missing_feature = int((~keep).sum()), 0, 0
        if roles.weight is not None:
            zero_weight = int((keep & (raw[k] == 0)).sum())
            keep &= raw[k] > 0
        columns = roles.beside if not roles.complete else (*roles.beside, *roles.features)
        if columns:
            # A missing number is NaN, a missing text has the code -1.
            first, whole = roles.beside_at.start, np.ones(len(keep), dtype=np.bool_)
            for column, values in zip(columns, raw[first:], strict=False):
                whole &= values != MISSING if column.kind == "text" else ~np.isnan(values)
            missing_feature = int((keep & ~whole).sum())
            keep &= whole
        return keep, cls(len(keep), int(keep.sum()), missing_target, zero_weight, missing_feature)

    def __add__(self, other: Counts) -> Counts:
        return Counts(
            *(getattr(self, name) + getattr(other, name) for name in self.__dataclass_fields__)
        )
