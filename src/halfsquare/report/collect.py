"""All that a report draws, gathered in one pass over the rows; memory does not grow with them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from halfsquare.data.reading import open_for
from halfsquare.data.source import Source
from halfsquare.data.spec import DataSpec
from halfsquare.errors import DataError
from halfsquare.explain.pulls import require_finite_errors, usable
from halfsquare.loss import Floats, error
from halfsquare.models.linear import Linear
from halfsquare.report.bins import Bins, Grid
from halfsquare.report.learning import Learning, LinearLearning, Point, reason_against
from halfsquare.report.sample import Sample
from halfsquare.report.views import View, important, row_values, views
from halfsquare.results.fitted import FittedModel
from halfsquare.results.influence import Top
from halfsquare.results.intervals import ends_of
from halfsquare.results.weighed_rows import weighed_rows
from halfsquare.sums import ErrorSummary, ErrorSums

FEATURES = 6
MOST_POINTS = 800  # rows that are drawn one by one; beyond that, a grid
WORST = 10
SAMPLED = 400  # rows of the sample
_FAR = 1_000_000  # rows; beyond, to look one up takes too long
_SPREAD_ROWS = 1024  # of a batch, whose interval is computed where that costs p² a row

# What is summed in each bin, in this order.
WEIGHT, ERROR, SQUARE, HIGH, LOW, TARGET, SPREAD, MEASURED, COVERED = range(9)
_SUMS = 9


@dataclass(frozen=True)
class WorstRow:
    """A row of great error; ``row`` from 1."""

    row: int
    target: float
    output: float
    error: float
    values: dict[str, str]


@dataclass(frozen=True)
class Collected:
    """What one pass brought, for one of the targets.

    Attributes
    ----------
    source : str
    missing : int
        Rows left out: no target, or (of a formula) a value missing.
    summary : ErrorSummary
        Over all targets.
    by_output, by_error : Bins
        Sums (see the names in this module) by output and by error.
    by_target : Bins
        Weights alone.
    by_feature : list of (View, Bins or (levels, sums) array)
    grid : Grid
        Weights by output and target.
    points : (m, 2) or None
        Output and target of every row, where they are few.
    covered, measured : float
        Weight of the targets inside their 95 % interval, and of those looked at.
    learning : list of Point
    sample : Sample
        Some of the rows, for figures that draw rows one by one or ask the model anew.
    """

    source: str
    missing: int
    summary: ErrorSummary
    by_output: Bins
    by_error: Bins
    by_target: Bins
    by_feature: list[tuple[View, Bins | Floats]]
    grid: Grid
    points: Floats | None
    worst: list[WorstRow]
    covered: float
    measured: float
    learning: list[Point]
    sample: Sample


def collect(fitted: FittedModel, data: Any, *, output: int = 0) -> Collected:
    """Pass over ``data`` (rows, or a DataSpec of them) once, for the target number ``output``.

    Raises
    ------
    DataError
        If a column is missing or mistyped, or no row has a target.
    """
    spec = DataSpec.of(data)
    source = open_for(fitted.encoder, spec)
    pass_ = _Pass(fitted, output, source.name)
    for batch in weighed_rows(source, fitted, spec):
        rows, design, target, weight = usable(batch)
        pass_.missing += len(batch.design) - len(rows)
        if len(rows):
            pass_.add(rows, design, target, weight)
        spec.told(batch.first_row + len(batch.design))
    if not pass_.sums.weight > 0:
        raise DataError(
            f"no row of {source.name} has both a target and a positive weight: there is "
            "nothing to report"
        )
    return replace(found := pass_.finish(), worst=_as_they_stand(found.worst, spec, source))


def _as_they_stand(worst: list[WorstRow], spec: DataSpec, source: Source) -> list[WorstRow]:
    """The rows with the values of the table itself, identifiers among them; those of the design
    where the rows can be read once only, or are too far down.
    """
    if spec.once or max((w.row for w in worst), default=0) > _FAR:
        return worst
    found = []
    for one in worst:
        values = {name: text for name, text in source.row(one.row).items() if text is not None}
        found.append(replace(one, values=values) if values else one)
    return found


class _Pass:
    """The running sums of a pass."""

    def __init__(self, fitted: FittedModel, output: int, name: str) -> None:
        self.fitted, self.output, self.name = fitted, output, name
        self.sums, self.missing = ErrorSums.zero(len(fitted.encoder.targets)), 0
        self.by_output, self.by_error, self.by_target = Bins(_SUMS), Bins(_SUMS), Bins(1)
        self.features: list[tuple[View, Bins | Floats]] = [
            (v, np.zeros((len(v.levels), _SUMS)) if v.levels else Bins(_SUMS))
            for v in important(fitted, FEATURES)
        ]
        self.grid, self.covered, self.measured = Grid(), 0.0, 0.0
        self.points: list[Floats] = [np.empty((0, 2))]
        self.quantile = fitted.quantile(0.95)
        self.top = Top.zero(1, WORST)
        self.kept: dict[int, tuple[Floats, float, float]] = {}
        self.learning = _learning(fitted)
        self.sample = Sample.zero(SAMPLED, len(fitted.encoder.names), len(fitted.encoder.targets))
        self.is_linear = isinstance(fitted.members[0].model, Linear)

    def add(
        self, rows: npt.NDArray[np.intp], design: Floats, target: Floats, weight: Floats
    ) -> None:
        outputs, low, high = self._outputs(design)
        # Half the width, in what is one standard deviation of Student's t.
        std = (high - low) / (2.0 * self.quantile)
        require_finite_errors(error(target, outputs), rows, self.name)
        o, t = outputs[:, self.output], target[:, self.output]
        e = error(t, o)
        self.sums = self.sums.add(target, outputs, weight)
        measured = weight * ~np.isnan(std)
        known = np.nan_to_num(std)
        self.measured += float(measured.sum())
        inside = measured * ((t >= low) & (t <= high))
        self.covered += float(inside.sum())
        columns = np.vstack(
            [
                weight,
                weight * e,
                weight * e * e,
                weight * (e > 0),
                weight * (e < 0),
                weight * t,
                measured * known,
                measured,
                inside,
            ]
        )
        self.by_output.add(o, columns)
        self.by_error.add(e, columns)
        self.by_target.add(t, weight[None, :])
        self.grid.add(o, t, weight)
        for view, sums in self.features:
            values = view.values(design)
            if isinstance(sums, Bins):
                sums.add(values, columns)
            else:
                for j, column in enumerate(columns):
                    sums[:, j] += np.bincount(
                        values.astype(np.intp), weights=column, minlength=len(sums)
                    )
        if sum(map(len, self.points)) <= MOST_POINTS:
            self.points.append(np.column_stack([o, t])[: MOST_POINTS + 1])
        self.sample = self.sample.add(rows, design, target, outputs, weight)
        self._keep_worst(rows, design, t, o, e * (weight > 0))
        if self.learning is not None:
            self.learning.add(rows, design, target, weight)

    def _outputs(self, design: Floats) -> tuple[Floats, Floats, Floats]:
        """Outputs (m, k) and the ends (m,) of the 95 % interval of a new target, NaN where they
        were not computed.
        """
        if self.is_linear or len(design) <= _SPREAD_ROWS:
            outputs, ends = self.fitted.quantiles_of(design, ends_of(0.95))
            return outputs, ends[0, :, self.output], ends[1, :, self.output]
        outputs, _ = self.fitted.outputs_of(design)
        found = np.full((2, len(design)), np.nan)
        some = np.linspace(0, len(design) - 1, _SPREAD_ROWS).astype(np.intp)
        ends = self.fitted.quantiles_of(design[some], ends_of(0.95))[1]
        found[:, some] = ends[:, :, self.output]
        return outputs, found[0], found[1]

    def _keep_worst(
        self, rows: npt.NDArray[np.intp], design: Floats, t: Floats, o: Floats, e: Floats
    ) -> None:
        self.top = self.top.add(rows, e[:, None], [t])
        place = {int(r): i for i, r in enumerate(rows)}
        kept = {}
        for row, _, _ in self.top.of(0):
            i = place.get(row)
            kept[row] = (
                self.kept[row] if i is None else (design[i].copy(), float(t[i]), float(o[i]))
            )
        self.kept = kept

    def finish(self) -> Collected:
        every = views(self.fitted.encoder)
        worst = [
            WorstRow(row, t, o, o - t, row_values(every, design))
            for row, (design, t, o) in self.kept.items()
        ]
        points = np.vstack(self.points)
        return Collected(
            source=self.name,
            missing=self.missing,
            summary=self.sums.finish(),
            by_output=self.by_output,
            by_error=self.by_error,
            by_target=self.by_target,
            by_feature=self.features,
            grid=self.grid,
            points=points if len(points) <= MOST_POINTS else None,
            worst=worst,
            covered=self.covered,
            measured=self.measured,
            learning=self.learning.finish() if self.learning is not None else [],
            sample=self.sample,
        )


def _learning(fitted: FittedModel) -> Learning | None:
    if reason_against(fitted):
        return None
    if isinstance(fitted.members[0].model, Linear):
        return LinearLearning(fitted)
    from halfsquare.report.learning import FormulaLearning

    return FormulaLearning(fitted)
