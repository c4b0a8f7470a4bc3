"""The learning curve of a formula: it is fitted again, from where it stands, to nested parts of a sample of the rows."""

from __future__ import annotations

from typing import final

import numpy as np
import numpy.typing as npt

from halfsquare.data.rows import ArrayRows
from halfsquare.errors import HalfsquareError
from halfsquare.execution.local import Local
from halfsquare.fitted import FittedModel
from halfsquare.loss import Floats
from halfsquare.models.formula import Formula
from halfsquare.report.learning import Learning, Point, mixed, share_of
from halfsquare.sums import ErrorSums
from halfsquare.trainers.formula import train_formula

_MOST_ROWS = 20_000
_MOST_POINTS = 6


@final
class FormulaLearning(Learning):
    """Of a formula: a sample of some ten thousand rows is kept, one in so many, all over the table."""

    def __init__(self, fitted: FittedModel) -> None:
        self.fitted = fitted
        model = fitted.members[0].model
        assert isinstance(model, Formula)
        self.formula = model
        self.stride = 1
        self.kept: list[tuple[npt.NDArray[np.uint64], Floats, Floats, Floats]] = []

    def add(self, rows: npt.NDArray[np.intp], design: Floats, target: Floats, weight: Floats) -> None:
        self.kept.append((mixed(rows.astype(np.uint64)), design, target, weight))
        self._thin()

    def finish(self) -> list[Point]:
        if not self.kept:
            return []
        chance, design, target, weight = (np.concatenate(part) for part in zip(*self.kept, strict=True))
        order = np.argsort(share_of(chance), kind="stable")
        is_test = mixed(chance + np.uint64(1))[order] % np.uint64(5) == 0
        test, train = order[is_test], order[~is_test]
        points: list[Point] = []
        size = len(train)
        while size >= max(10, 3 * len(self.formula.names)) and len(test) >= 2 and len(points) < _MOST_POINTS:
            at = np.sort(train[:size])
            point = self._point(ArrayRows(design[at], target[at], weight[at]), design[test], target[test], weight[test])
            points += [point] if point else []
            size //= 2
        return points[::-1]

    def _point(self, rows: ArrayRows, design: Floats, target: Floats, weight: Floats) -> Point | None:
        start = dict(zip(self.formula.names, map(float, self.fitted.members[0].parameters), strict=True))
        try:
            found = train_formula(rows, self.formula, start=start, execution=Local(1))
            outputs = self.formula.restore_target(self.formula.outputs(found.parameters, design))
            judged = ErrorSums.zero().add(target, outputs, weight).finish()
        except HalfsquareError:  # a part of the rows may not determine the formula: then there is no point
            return None
        return Point(rows.row_count, judged.mse, judged.mse_se)

    def _thin(self) -> None:
        """Keep one row in ``stride``, and every other one of them when there are too many."""
        while True:
            masks = [chance % np.uint64(self.stride) == 0 for chance, *_ in self.kept]
            self.kept = [(c[m], d[m], t[m], w[m]) for m, (c, d, t, w) in zip(masks, self.kept, strict=True)]
            if sum(len(chance) for chance, *_ in self.kept) <= _MOST_ROWS:
                return
            self.stride *= 2
