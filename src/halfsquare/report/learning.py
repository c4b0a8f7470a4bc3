"""Learning curves: refits on nested parts of the rows, gathered in one pass.

Each row has a number that depends on nothing but its place, by which it is a test row (one in five,
at most some ten thousands are kept) or belongs to a part: half of the others to part 0, a quarter
to part 1, …. The sums of a part and of all smaller ones are those of a training set; so every
training set holds the next smaller.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, final

import numpy as np
import numpy.typing as npt

from halfsquare.data.rows import ArrayRows
from halfsquare.errors import HalfsquareError
from halfsquare.fitting.formula.train import train_formula
from halfsquare.loss import Floats
from halfsquare.models.formula.model import Formula
from halfsquare.models.linear import Linear
from halfsquare.parallel.threads import Local
from halfsquare.results.fitted import FittedModel
from halfsquare.solvers.run import Run
from halfsquare.sums import ErrorSums

_PARTS = 10
_STRIDE = 5
_MOST_COLUMNS = 600
_MOST_NUMBERS = 1 << 21  # of test rows that are kept


@dataclass(frozen=True)
class Point:
    """The errors on the test rows of a model fitted to some rows."""

    rows: int
    mse: float
    mse_se: float


class Learning(ABC):
    """A builder: rows are added, then :meth:`finish` fits and judges."""

    @abstractmethod
    def add(
        self, rows: npt.NDArray[np.intp], design: Floats, target: Floats, weight: Floats
    ) -> None:
        """Rows by number (m,), design of the encoder (m, d), target (m, k) in its unit, weight
        (m,).
        """

    @abstractmethod
    def finish(self) -> list[Point]:
        """A point for each training set, smallest first; none where there are too few rows."""


def reason_against(fitted: FittedModel) -> str | None:
    """Why there is no learning curve; None where there is one."""
    model = fitted.members[0].model
    if fitted.encoder.target_transform is not None:
        return "Left out: each point would be another fit with a transformed target."
    if not isinstance(model, Linear | Formula):
        return (
            f"Left out: each point would be another training of the whole {fitted.kind}, "
            "as long as the first."
        )
    if isinstance(model, Linear) and len(fitted.encoder.names) > _MOST_COLUMNS:
        return (
            f"Left out: {len(fitted.encoder.names):,} columns would take as long as the "
            "fit itself at each point."
        )
    return None


@final
class LinearLearning(Learning):
    """Of a linear model: its parts are sums, however many rows there are."""

    def __init__(self, fitted: FittedModel) -> None:
        self.fitted = fitted
        self.size = 1 + len(fitted.encoder.names) + len(fitted.encoder.targets)
        self.grams = np.zeros((_PARTS, self.size, self.size))
        self.rows = np.zeros(_PARTS, dtype=np.int64)
        self.weights = np.zeros(_PARTS)
        self.stride = _STRIDE
        self.tests: list[tuple[npt.NDArray[np.uint64], Floats, Floats]] = []

    def add(
        self, rows: npt.NDArray[np.intp], design: Floats, target: Floats, weight: Floats
    ) -> None:
        encoder = self.fitted.encoder
        scaled = (target - encoder.target_means) / encoder.target_scales
        block = np.hstack([np.ones((len(rows), 1)), design, scaled])
        chance = mixed(rows.astype(np.uint64))
        is_test = chance % np.uint64(_STRIDE) == 0
        kept = chance % np.uint64(self.stride) == 0
        self.tests.append((chance[kept], block[kept], weight[kept]))
        self._thin()
        part = np.minimum(-np.log2(np.maximum(share_of(chance), 2.0**-60)), _PARTS - 1).astype(
            np.intp
        )
        for p in range(_PARTS):
            mine = ~is_test & (part == p) & (weight > 0)
            if mine.any():
                own = block[mine] * np.sqrt(weight[mine])[:, None]
                self.grams[p] += own.T @ own
                self.rows[p] += int(mine.sum())
                self.weights[p] += float(weight[mine].sum())

    def finish(self) -> list[Point]:
        if not self.tests:
            return []
        test = np.vstack([block for _, block, _ in self.tests])
        weight = np.concatenate([w for _, _, w in self.tests])
        if not np.count_nonzero(weight) >= 2:
            return []
        k = len(self.fitted.encoder.targets)
        points: list[Point] = []
        for p in reversed(range(_PARTS)):
            rows = int(self.rows[p:].sum())
            if rows < max(10, 2 * (self.size - k)) or (points and rows < 1.3 * points[-1].rows):
                continue
            b = self._solved(self.grams[p:].sum(axis=0), float(self.weights[p:].sum()), k)
            scales = self.fitted.encoder.target_scales
            outputs, targets = (
                test[:, : self.size - k] @ b * scales,
                test[:, self.size - k :] * scales,
            )
            judged = ErrorSums.zero(k).add(targets, outputs, weight).finish()
            points.append(Point(rows, judged.mse, judged.mse_se))
        return points

    def _solved(self, gram: Floats, weight: float, k: int) -> Floats:
        split = self.size - k
        penalty = np.full(split, float(self.fitted.info.get("facts", {}).get("l2") or 0.0) * weight)
        penalty[0] = 0.0
        left: Any = gram[:split, :split] + np.diag(penalty)
        # Columns that do not vary in a small part: of all answers the one of smallest norm.
        return np.asarray(np.linalg.lstsq(left, gram[:split, split:], rcond=1e-11)[0])

    def _thin(self) -> None:
        """Keep every other test row when there are too many: still one in so many, all over the
        table.
        """
        while sum(block.size for _, block, _ in self.tests) > _MOST_NUMBERS:
            self.stride *= 2
            kept = [chance % np.uint64(self.stride) == 0 for chance, _, _ in self.tests]
            self.tests = [(c[m], b[m], w[m]) for m, (c, b, w) in zip(kept, self.tests, strict=True)]


def mixed(x: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """Whole numbers scattered over 64 bits: the finalizer of SplitMix64, Steele, Lea & Flood
    (2014), figure 17.
    """
    z = x + np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(z ^ (z >> np.uint64(31)))


def share_of(chance: npt.NDArray[np.uint64]) -> Floats:
    """From 0 to 1, independent of the remainders of ``chance``."""
    return np.asarray((mixed(chance) >> np.uint64(11)).astype(np.float64) * 2.0**-53)


_MOST_ROWS = 20_000
_MOST_POINTS = 6


@final
class FormulaLearning(Learning):
    """Of a formula: a sample of some ten thousand rows is kept, one in so many, all over the
    table.
    """

    def __init__(self, fitted: FittedModel) -> None:
        self.fitted = fitted
        model = fitted.members[0].model
        assert isinstance(model, Formula)
        self.formula = model
        self.stride = 1
        self.kept: list[tuple[npt.NDArray[np.uint64], Floats, Floats, Floats]] = []

    def add(
        self, rows: npt.NDArray[np.intp], design: Floats, target: Floats, weight: Floats
    ) -> None:
        self.kept.append((mixed(rows.astype(np.uint64)), design, target, weight))
        self._thin()

    def finish(self) -> list[Point]:
        if not self.kept:
            return []
        chance, design, target, weight = (
            np.concatenate(part) for part in zip(*self.kept, strict=True)
        )
        order = np.argsort(share_of(chance), kind="stable")
        is_test = mixed(chance + np.uint64(1))[order] % np.uint64(5) == 0
        test, train = order[is_test], order[~is_test]
        points: list[Point] = []
        size = len(train)
        while (
            size >= max(10, 3 * len(self.formula.names))
            and len(test) >= 2
            and len(points) < _MOST_POINTS
        ):
            at = np.sort(train[:size])
            point = self._point(
                ArrayRows(design[at], target[at], weight[at]),
                design[test],
                target[test],
                weight[test],
            )
            points += [point] if point else []
            size //= 2
        return points[::-1]

    def _point(
        self, rows: ArrayRows, design: Floats, target: Floats, weight: Floats
    ) -> Point | None:
        start = dict(
            zip(self.formula.names, map(float, self.fitted.members[0].parameters), strict=True)
        )
        try:
            found = train_formula(rows, self.formula, Run(Local(1)), start=start)
            outputs = self.formula.restore_target(self.formula.outputs(found.parameters, design))
            judged = ErrorSums.zero().add(target, outputs, weight).finish()
        except (
            HalfsquareError
        ):  # a part of the rows may not determine the formula: then there is no point
            return None
        return Point(rows.row_count, judged.mse, judged.mse_se)

    def _thin(self) -> None:
        """Keep one row in ``stride``, and every other one of them when there are too many."""
        while True:
            masks = [chance % np.uint64(self.stride) == 0 for chance, *_ in self.kept]
            self.kept = [
                (c[m], d[m], t[m], w[m]) for m, (c, d, t, w) in zip(masks, self.kept, strict=True)
            ]
            if sum(len(chance) for chance, *_ in self.kept) <= _MOST_ROWS:
                return
            self.stride *= 2
