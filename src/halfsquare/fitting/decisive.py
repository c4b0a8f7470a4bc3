"""Rows that decide a linear fit: without one of them all coefficients would be others.

    D = w (o-t)² h / (p s² (1-h)²) > 1

is the bound of Cook & Weisberg (1982), *Residuals and Influence in Regression*, section 3.5: the
coefficients move to the edge of their own 50 % confidence region. Of most tables with many rows the
ranges of the columns and the measured errors show that there is no such row; of the others the rows
are passed over once more, and only those are looked at whose length allows it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from halfsquare.data.counts import Counts
from halfsquare.data.encoded_rows import EncodedRows
from halfsquare.data.encoder import ColumnEncoder, Encoder
from halfsquare.data.features import Category, Number, Presence
from halfsquare.data.levels import LevelCoder, raw_columns
from halfsquare.data.passes import record_batches
from halfsquare.data.recut import numbers_in_source
from halfsquare.data.source import Source
from halfsquare.loss import Floats
from halfsquare.models.linear import Linear
from halfsquare.parallel.base import Execution
from halfsquare.results.fitted import FittedModel
from halfsquare.results.influence import InfluenceSums
from halfsquare.results.record import Measurement
from halfsquare.results.trained import LinearFacts
from halfsquare.text import plain

_MOST, _MOST_NAMES = 3, 2
_DISTANCE = 1.0


@dataclass(frozen=True)
class DecisiveRow:
    """A row by its number in the source, from 1.

    Attributes
    ----------
    identifiers : dict of column to text
        What the row is called.
    """

    row: int
    leverage: float
    cooks_distance: float
    identifiers: dict[str, str]

    @property
    def sentence(self) -> str:
        """In words."""
        named = ", ".join(f"{name}: {value}" for name, value in self.identifiers.items())
        return (
            f"Row {self.row}{f' ({named})' if named else ''} decides the fit: without it the "
            f"coefficients would be others (leverage {self.leverage:.3f} of at most 1, "
            f"Cook's distance {plain(self.cooks_distance)})."
        )


Found = tuple[float, float, int, int]  # Cook's distance, leverage, chunk, place in it


def decisive_rows(
    fitted: FittedModel,
    rows: EncodedRows,
    measured: Measurement,
    source: Source,
    seed: int,
    execution: Execution,
) -> list[DecisiveRow]:
    """The rows of the fit without which a linear model would be another, hardest first; empty for
    other models, and where no degrees of freedom are left.

    ``measured``: the errors on these rows, of this model or of one fitted to a part of them.
    """
    sums, member = InfluenceSums.of(fitted, 0), fitted.members[0]
    model = member.model
    if sums is None or not isinstance(model, Linear) or model.target_function != "identity":
        return []
    # With a penalty a row's leverage is not what takes it out, least of all in a wide table.
    penalized = isinstance(member.facts, LinearFacts) and member.facts.l2
    if fitted.encoder.target_transform is not None or penalized:
        return []
    greatest = float(np.linalg.eigvalsh(sums.inverse)[-1])
    square, longest = _bounds(sums, model.matrix(member.parameters), rows)
    square = min(square, _largest_error(measured, rows) / float(sums.variance.min()))
    if not _able(square, longest * greatest, sums.parameters):
        return []
    indicators = _indicators(rows.encoder)
    parameters, scales = member.parameters, fitted.encoder.target_scales

    def of(index: int) -> list[Found]:
        if not rows.chunk_size(index):
            return []
        chunk = rows.chunk(index)
        design = chunk.design
        weight = np.ones(len(design)) if chunk.weight is None else chunk.weight
        lengths = 1.0 + np.einsum("ij,ij->j", design.T, design.T)  # as the columns lie in memory
        most = weight * lengths * greatest
        at = np.flatnonzero(_able(square, most, sums.parameters))
        if not len(at):
            return []
        errors = (model.outputs(parameters, design[at]) - chunk.target[at]) * scales
        h, distance = sums.measure(design[at], errors, weight[at])
        # A level or a gap that few rows have is known from these alone, whatever they hold.
        distance[indicators[np.argmax(np.abs(design[at]), axis=1)]] = 0.0
        found = [
            (float(distance[i]), float(h[i]), index, int(at[i]))
            for i in np.flatnonzero(np.isfinite(distance) & (distance > _DISTANCE))
        ]
        return _hardest(found, [])

    none: list[Found] = []
    return [
        _told(source, rows, _row_number(source, rows, index, place, seed), distance, h)
        for distance, h, index, place in execution.reduce(of, _hardest, rows.chunk_count, none)
    ]


def _hardest(a: list[Found], b: list[Found]) -> list[Found]:
    return sorted([*a, *b], key=lambda f: (-f[0], f[2], f[3]))[:_MOST]


def _able(square: Any, leverage: Any, parameters: float) -> Any:
    """Whether D could be above its bound with a leverage of at most that, which is at most 1."""
    most = np.minimum(leverage, 1.0 - 1e-12)
    return square * most > _DISTANCE * parameters * (1.0 - most) ** 2


def _bounds(sums: InfluenceSums, coefficients: Floats, rows: EncodedRows) -> tuple[float, float]:
    """What w (o-t)²/s² and w |a|² are at most in any row, after the ranges of the columns."""
    encoder = rows.encoder
    farthest = _farthest(encoder)
    if farthest is None:
        return np.inf, np.inf
    roles, k = rows.scanned.roles, len(encoder.targets)
    numbers = rows.scanned.statistics_of(rows.part).numbers
    ends = np.abs([numbers.minimum[:k], numbers.maximum[:k]] - encoder.target_means)
    slopes = np.abs(coefficients) * encoder.target_scales
    errors = ends.max(axis=0) + slopes[0] + farthest @ slopes[1:]
    weight = 1.0 if roles.weight is None else float(numbers.maximum[k]) * rows.weight_factor
    square = float(np.mean(errors**2 / sums.variance))
    return weight * square, weight * (1.0 + float(farthest @ farthest))


def _largest_error(measured: Measurement, rows: EncodedRows) -> float:
    """What the mean square of a row's errors is at most: no term of a sum of squares is more than
    the sum. Twice that, as a refit on all rows has other errors; infinite for weighted rows.
    """
    if rows.weighted:
        return np.inf
    largest = 0.0
    for found in (measured.train, measured.test):
        if found is None:
            continue
        if found.mse_se is None or not np.isfinite(found.mse_se):
            return np.inf
        n = float(found.rows)
        # of q: Σ q² = n mean² + n (n-1) se²
        largest = max(largest, float(np.sqrt(n * found.mse**2 + n * (n - 1) * found.mse_se**2)))
    return 2.0 * largest


def _farthest(encoder: Encoder) -> Floats | None:
    """How far the columns of the design are from 0 at most, (d,); None where that is not known."""
    if not isinstance(encoder, ColumnEncoder):
        return None
    found: list[float] = []
    for feature in encoder.features:
        pairs = list(zip(feature.means, feature.scales, strict=True))
        if isinstance(feature, Number):
            mean, scale = pairs.pop(0)
            found.append(max(feature.maximum - mean, mean - feature.minimum) / scale)
        elif not isinstance(feature, Category | Presence):
            return None
        found += [max(share, 1.0 - share) / scale for share, scale in pairs]
    return np.array(found)


def _indicators(encoder: Encoder) -> Any:
    """Which columns of the design say no more than whether something is so, (d,)."""
    if not isinstance(encoder, ColumnEncoder):
        return np.zeros(len(encoder.names), dtype=bool)
    found: list[bool] = []
    for feature in encoder.features:
        every = isinstance(feature, Category | Presence)
        found += [every or name.endswith(" is missing") for name in feature.names]
    return np.array(found, dtype=bool)


def _row_number(source: Source, rows: EncodedRows, index: int, place: int, seed: int) -> int:
    """The number in the source, from 1, of a row of a chunk of the rows that count."""
    table, roles = rows.scanned.table, rows.scanned.roles
    among = int(numbers_in_source(rows.scanned, seed)[sum(table.sizes[:index]) + place])
    left_out = rows.scanned.missing_target + rows.scanned.zero_weight + rows.scanned.missing_feature
    if not left_out:
        return among + 1
    seen = kept = 0
    coders = {c.name: LevelCoder() for c in roles.needed if c.kind == "text"}
    for batch in record_batches(source, roles.needed):
        counts, _ = Counts.of(raw_columns(batch, roles.needed, coders), roles)
        if kept + int(counts.sum()) > among:
            return seen + int(np.flatnonzero(counts)[among - kept]) + 1
        seen, kept = seen + len(counts), kept + int(counts.sum())
    raise AssertionError("a row of the fit is one of the source")


def _told(
    source: Source, rows: EncodedRows, number: int, distance: float, leverage: float
) -> DecisiveRow:
    reasons = rows.encoder.left_out
    names = [n for n, why in reasons.items() if why.startswith(("an identifier", "a first column"))]
    texts = source.row(number)
    # Whole numbers of a text file are read as float64: they are told as they stand there.
    named = {n: str(texts[n]).removesuffix(".0")[:60] for n in names[:_MOST_NAMES] if texts.get(n)}
    return DecisiveRow(number, leverage, distance, named)
