"""From merged sums to what a fit needs: the encoder, and the exact sums of the design it would
write.

Every design column is a linear combination of terms, so its sums are combinations of theirs, formed
in whole numbers.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from halfsquare.data.encoder import Encoder
from halfsquare.data.encoder_decision import make_encoder
from halfsquare.data.features import Category, Feature, Instant, Number, Presence
from halfsquare.data.roles import Roles
from halfsquare.data.source_column import SourceColumn
from halfsquare.data.statistics import NumberStatistics, TableStatistics
from halfsquare.data.times import PARTS
from halfsquare.exact.gram import ExactGram, nearest
from halfsquare.exact.integer_solver import Wholes
from halfsquare.exact.table_sums import TableSums
from halfsquare.exact.terms import ABSENT, MAX_LEVELS, SumColumn

Combination = dict[int, Fraction]
_NONE = (float("inf"), -float("inf"))


@dataclass(frozen=True)
class _Sums:
    """Counts, sums and squares of the terms, read from a Gram matrix."""

    numbers: Wholes
    exponent: int

    def weight(self, i: int = 0) -> float:
        """Σw over the rows where an indicator is 1."""
        return nearest(int(self.numbers[0, i]), self.exponent)

    def moments(self, i: int, missing: int | None) -> tuple[float, float, float, float]:
        """Weight, mean and variance of a term over the rows where it is there, and the missing
        weight.
        """
        gone = int(self.numbers[0, missing]) if missing is not None else 0
        there, total, square = (
            int(self.numbers[0, 0]) - gone,
            int(self.numbers[0, i]),
            int(self.numbers[i, i]),
        )
        if there <= 0:
            return 0.0, 0.0, 0.0, nearest(gone, self.exponent)
        spread = there * square - total * total
        variance = float(Fraction(spread, there * there))
        return nearest(there, self.exponent), total / there, variance, nearest(gone, self.exponent)


def encoder_of(
    sums: TableSums, gram: ExactGram, ranges: Sequence[Mapping[str, tuple[float, float]]]
) -> Encoder:
    """The encoder that a fit to these rows makes; ``ranges`` are least and greatest values, one a
    part of the rows.
    """
    whole = [r for s in sums.sources for r in (s.train, s.test)]
    features = [c for c in sums.columns if c.kind != "crowded"]
    # A column that has no values is left out as a text without values is.
    read = sums.reading.columns
    columns = [
        SourceColumn(
            c.name,
            "text" if c.kind == "empty" else c.kind,  # type: ignore[arg-type]
            "",
            base=read[c.name].base if c.name in read else "",
        )
        for c in features
    ]
    targets = tuple(SourceColumn(t, "number", "DOUBLE") for t in sums.targets)
    crowded = {
        c.name: f"more than {MAX_LEVELS} different texts"
        for c in sums.columns
        if c.kind == "crowded"
    }
    roles = Roles(targets, tuple(columns), None, {**sums.left_out, **crowded}, False, sums.reading)
    codes = {c.name: c.levels for c in features}
    own = _statistics(sums, features, gram, ranges)
    every = _statistics(sums, features, sums.all, whole)
    return make_encoder(roles, codes, own, every)[0]


def _statistics(
    sums: TableSums,
    features: Sequence[SumColumn],
    gram: ExactGram,
    ranges: Sequence[Mapping[str, tuple[float, float]]],
) -> TableStatistics:
    """What a scan would have learnt of these rows."""
    at, reading = sums.positions(), _Sums(*gram.integers())
    k, total = len(sums.targets), gram.columns
    # Of a target the least and greatest value are not kept: whether it varies is all that is asked.
    lines = [
        (*m, 0.0, float(m[2] > 0)) for m in (reading.moments(total - k + j, None) for j in range(k))
    ]
    times, levels = {}, {}
    for j, column in enumerate(features, k):
        gone = at[column.name, ABSENT]
        low, high = (
            f(r.get(column.name, _NONE)[i] for r in ranges) for i, f in ((0, min), (1, max))
        )
        lines.append((*reading.moments(at.get((column.name, "value"), gone), gone), low, high))
        if column.kind in ("timestamp", "time"):
            times[j] = _stacked(
                [(*reading.moments(at.get((column.name, p), 0), gone), 0.0, 1.0) for p in PARTS]
            )
        elif column.kind in ("text", "empty"):
            weights = [reading.weight(at[column.name, f"={v}"]) for v in column.levels]
            levels[j] = np.array([0.0, reading.weight(gone), *weights])
    return TableStatistics(gram.rows, reading.weight(), _stacked(lines), times, levels)


def _stacked(lines: Sequence[Sequence[float]]) -> NumberStatistics:
    return NumberStatistics(*np.array(lines, dtype=np.float64).reshape(-1, 6).T)


def design_sums(encoder: Encoder, sums: TableSums, gram: ExactGram) -> tuple[Wholes, int]:
    """The sums of [1 | standardized design | targets less their means] as whole numbers and their
    exponent.
    """
    at, columns = sums.positions(), {c.name: c for c in sums.columns}
    rows: list[Combination] = [{0: Fraction(1)}]
    scales = iter(1.0 / encoder.scales)
    for feature in encoder.features:
        column = columns[feature.column]
        place = {term: at[column.name, term] for term in column.terms}
        for made, mean in zip(_raw_columns(feature, column, place), feature.means, strict=True):
            scale = Fraction(float(next(scales)))
            made[0] = made.get(0, Fraction(0)) - Fraction(mean)
            rows.append({i: scale * value for i, value in made.items() if value})
    k = len(encoder.targets)
    rows += [
        {gram.columns - k + j: Fraction(1), 0: -Fraction(float(mean))}
        for j, mean in enumerate(encoder.target_means)
    ]
    return combined(*gram.integers(), rows)


def _raw_columns(
    feature: Feature, column: SumColumn, at: Mapping[str, int]
) -> Iterator[Combination]:
    """The design columns as :meth:`Feature.write` makes them, before they are standardized, as
    combinations of terms.
    """
    gone, one = at[ABSENT], Fraction(1)
    if isinstance(feature, Presence):
        yield {gone: one}
    elif isinstance(feature, Number):
        yield {at["value"]: one, gone: Fraction(feature.means[0])}
        if feature.indicator:
            yield {gone: one}
    elif isinstance(feature, Instant):
        for part, mean in zip(feature.parts, feature.means, strict=False):
            yield {at[part]: one, gone: Fraction(mean)}
        if feature.indicator:
            yield {gone: one}
    else:
        assert isinstance(feature, Category)
        yield from _level_columns(feature, column, at)


def _level_columns(
    feature: Category, column: SumColumn, at: Mapping[str, int]
) -> Iterator[Combination]:
    """Of a category: its levels, the others, the missing; what it does not know stands for the
    average row.
    """
    gone, one = at[ABSENT], Fraction(1)
    beyond = [at[f"={v}"] for v in column.levels if v not in feature.levels]
    average: list[int] = ([] if feature.other else beyond) + ([] if feature.missing else [gone])
    own = [{at[f"={level}"]: one} if f"={level}" in at else {} for level in feature.levels[1:]]
    own += [dict.fromkeys(beyond, one)] if feature.other else []
    own += [{gone: one}] if feature.missing else []
    for made, mean in zip(own, feature.means, strict=True):
        yield {**made, **dict.fromkeys(average, Fraction(mean))}


def combined(numbers: Wholes, exponent: int, rows: Sequence[Combination]) -> tuple[Wholes, int]:
    """M N Mᵀ with the combinations as the rows of M, in whole numbers."""
    bits = max(value.denominator.bit_length() - 1 for row in rows for value in row.values())
    whole = [
        {
            i: value.numerator << (bits + 1 - value.denominator.bit_length())
            for i, value in row.items()
        }
        for row in rows
    ]
    half = np.array([sum(c * numbers[i] for i, c in row.items()) for row in whole], dtype=object)
    both = np.array([sum(c * half[:, i] for i, c in row.items()) for row in whole], dtype=object)
    return both.T, exponent - 2 * bits
