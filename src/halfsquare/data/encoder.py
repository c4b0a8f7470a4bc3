"""The encoder: raw rows → standardized design matrix, decided once from the statistics of a
scan.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import fsum
from typing import Any, Literal

import numpy as np

from halfsquare.data.features import (
    Category,
    Feature,
    Instant,
    Number,
    Plain,
    Presence,
    feature_from_dict,
)
from halfsquare.data.roles import Roles
from halfsquare.data.rows import Chunk, Rows
from halfsquare.data.scan import MAX_LEVELS, Scanned
from halfsquare.data.statistics import NumberStatistics, TableStatistics
from halfsquare.data.times import PARTS, SEASON, TIME_OF_DAY, TREND, WEEKDAY
from halfsquare.files.records import from_json
from halfsquare.loss import Floats
from halfsquare.sums import Moments, varies

MAX_KEPT_LEVELS = 100
_ID_NAMES = ("id", "row", "rowid", "row_id", "index", "unnamed: 0", "uuid", "key")
_CACHED_ROWS = 2048


@dataclass(frozen=True)
class Encoder:
    """Decisions on every column, applied identically whenever rows are encoded.

    Attributes
    ----------
    features : tuple of Feature
    targets : tuple of str
    target_means, target_scales : (k,)
        Targets are standardized by these during training.
    left_out : dict of column to reason
    """

    features: tuple[Feature, ...]
    targets: tuple[str, ...]
    target_means: Floats
    target_scales: Floats
    left_out: dict[str, str]

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the design columns."""
        return tuple(name for feature in self.features for name in feature.names)

    @property
    def groups(self) -> tuple[tuple[str, int, int], ...]:
        """For each feature: its source column and the range of its design columns."""
        found, start = [], 0
        for feature in self.features:
            stop = start + len(feature.names)
            found.append((feature.column, start, stop))
            start = stop
        return tuple(found)

    @property
    def means(self) -> Floats:
        """Of the design columns before they are standardized, (d,)."""
        return np.array([m for f in self.features for m in f.means])

    @property
    def scales(self) -> Floats:
        """Standard deviations of the design columns before they are standardized, (d,)."""
        return np.array([s for f in self.features for s in f.scales])

    def encode(self, raw: Floats, out: Floats) -> None:
        """Write the standardized design (d, m) of raw feature rows (features, m), in order."""
        mean, inverse = self.means[:, None], (1.0 / self.scales)[:, None]
        plain = all(type(f) is Number and not f.indicator for f in self.features)
        # A few thousand rows at a time, so that the passes over them find them in the cache.
        for start in range(0, raw.shape[1], _CACHED_ROWS):
            part, to = raw[:, start : start + _CACHED_ROWS], out[:, start : start + _CACHED_ROWS]
            if plain:
                np.subtract(part, mean, out=to)
                if np.isnan(np.add.reduce(to, axis=None)):
                    to[np.isnan(to)] = 0.0
            else:
                for (_, first, stop), feature, values in zip(
                    self.groups, self.features, part, strict=True
                ):
                    feature.write(values, to[first:stop])
                to -= mean
            to *= inverse

    def as_dict(self) -> dict[str, Any]:
        """JSON values; read by :meth:`from_dict`."""
        return {
            "features": [f.as_dict() for f in self.features],
            "targets": list(self.targets),
            "target_means": self.target_means.tolist(),
            "target_scales": self.target_scales.tolist(),
            "left_out": self.left_out,
        }

    @classmethod
    def from_dict(cls, saved: dict[str, Any]) -> Encoder:
        """The encoder that :meth:`as_dict` described.

        Raises
        ------
        ValueError
            If a value is missing or of another type.
        """
        return cls(
            tuple(feature_from_dict(f) for f in from_json(list[dict[str, Any]], saved["features"])),
            from_json(tuple[str, ...], saved["targets"], "targets"),
            from_json(Floats, saved["target_means"], "target_means"),
            from_json(Floats, saved["target_scales"], "target_scales"),
            from_json(dict[str, str], saved["left_out"], "left_out"),
        )


@dataclass(frozen=True)
class Recoding:
    """From the level codes of a scan to those of an encoder made from it: feature index → table."""

    tables: dict[int, Floats]

    def apply(self, raw: Floats) -> Floats:
        """Raw feature rows with the encoder's codes; copied only where there are any."""
        if not self.tables:
            return raw
        recoded = raw.copy()
        for j, table in self.tables.items():
            recoded[j] = table[(raw[j] + 2).astype(np.intp)]
        return recoded


def make_encoder(
    roles: Roles, levels: Mapping[str, Sequence[str]], statistics: TableStatistics
) -> tuple[Encoder, Recoding, list[int]]:
    """Decide how each column is encoded, from its statistics over the training rows.

    ``levels`` are those of each text column, in the order of their codes. Returns the encoder, the
    recoding of these codes, and the positions of the kept features among the scanned columns.
    """
    n = statistics.weight
    first = len(roles.scanned) - len(roles.features)
    k = len(roles.targets)
    features: list[Feature] = []
    left_out = dict(roles.left_out)
    tables: dict[int, Floats] = {}
    kept: list[int] = []
    for j, column in enumerate(roles.features, first):
        made: Feature | str
        if column.kind == "text":
            made, table = _category(column.name, levels[column.name], statistics.levels[j])
            tables[len(features)] = table
        elif column.kind in ("timestamp", "time"):
            made = _instant(
                column.name, column.kind, _one(statistics.numbers, j), statistics.time_parts[j]
            )
        else:
            made = _number(column.name, _one(statistics.numbers, j), n)
        if isinstance(made, str):
            tables.pop(len(features), None)
            left_out[column.name] = made
        else:
            features.append(made)
            kept.append(j)
    numbers = statistics.numbers
    still = [_still(_one(numbers, j)) for j in range(k)]
    targets = Moments(max(n, np.finfo(float).tiny), numbers.mean[:k], numbers.m2[:k])
    scales = np.where(still, 1.0, targets.scale)
    encoder = Encoder(
        tuple(features),
        tuple(t.name for t in roles.targets),
        numbers.mean[:k].copy(),
        scales,
        left_out,
    )
    return encoder, Recoding(tables), kept


def plain_encoder(scanned: Scanned) -> Encoder:
    """Every feature and target as it is, in the order of the roles: for formulas, in the user's
    units.
    """
    roles, numbers = scanned.roles, scanned.train.merge(scanned.test).numbers
    first, k = len(roles.scanned) - len(roles.features), len(roles.targets)
    features = tuple(
        Plain(c.name, (0.0,), (1.0,), float(numbers.minimum[j]), float(numbers.maximum[j]))
        for j, c in enumerate(roles.features, first)
    )
    return Encoder(
        features,
        tuple(t.name for t in roles.targets),
        np.zeros(k),
        np.ones(k),
        dict(roles.left_out),
    )


def _one(numbers: NumberStatistics, j: int) -> NumberStatistics:
    return NumberStatistics(*(getattr(numbers, f)[j] for f in numbers.__dataclass_fields__))


def _still(s: NumberStatistics) -> bool:
    """Whether the values do not vary: not at all, or by less than their own rounding."""
    return bool(s.minimum >= s.maximum or not varies(s.m2, s.weight, s.mean))


def _number(name: str, s: NumberStatistics, n: float) -> Feature | str:
    missing = float(s.missing) / n if n else 0.0
    if not s.weight > 0:
        return "it has no values"
    if _still(s):
        return (
            Presence(name, (missing,), (_binary_scale(missing),), False)
            if missing
            else f"constant: {float(s.mean):g}"
        )
    if (
        name.strip().lower() in _ID_NAMES
        and not missing
        and float(s.maximum - s.minimum) == n - 1
        and n > 2
    ):
        return "an identifier: it counts the rows"
    # The spread of the column as it will stand in the design: with the mean where it is missing.
    scale = float(np.sqrt(s.m2 / n))
    means = (float(s.mean), missing) if missing else (float(s.mean),)
    scales = (scale, _binary_scale(missing)) if missing else (scale,)
    return Number(name, means, scales, float(s.minimum), float(s.maximum), bool(missing))


def _binary_scale(share: float) -> float:
    return float(np.sqrt(share * (1.0 - share)))


def _category(name: str, levels: Sequence[str], weights: Floats) -> tuple[Feature | str, Floats]:
    """The category, and the table from the scan's codes (shifted by 2) to its own."""
    unseen, missing, counts = float(weights[0]), float(weights[1]), weights[2:]
    n = fsum(weights)  # the same whatever the order in which levels turned up
    present = [c for c in range(len(counts)) if counts[c] > 0]
    table = np.full(len(levels) + 2, float(MAX_KEPT_LEVELS + len(levels)))
    table[:2] = -2.0, -1.0
    if not present:
        return "it has no values", table
    if len(present) >= MAX_LEVELS:
        return f"more than {MAX_LEVELS:,} different texts", table
    if len(present) > max(10, 0.5 * n):
        return f"an identifier: {len(present):,} different texts in {n:,.0f} rows", table
    # Levels by weight, then by text, so that the order does not depend on that of the rows.
    order = sorted(present, key=lambda c: (-counts[c], levels[c]))
    fewest = min(10.0, max(2.0, n // 100))
    kept = [c for c in order[:MAX_KEPT_LEVELS] if counts[c] >= fewest] or order[:1]
    # Summed rather than left over: of weights that are no whole numbers, rounding would be left.
    chosen = set(kept)
    rare = fsum([unseen, *(counts[c] for c in present if c not in chosen)])
    for position, code in enumerate(kept):
        table[code + 2] = float(position)
    if len(kept) == 1 and not rare:
        if missing:
            share = missing / n
            return Presence(name, (share,), (_binary_scale(share),), True), table
        return f"constant: {levels[kept[0]]}", table
    shares = [float(counts[c]) / n for c in kept[1:]]
    shares += [rare / n] if rare else []
    shares += [missing / n] if missing else []
    scales = tuple(_binary_scale(s) for s in shares)
    names = tuple(levels[c] for c in kept)
    return Category(name, tuple(shares), scales, names, bool(rare), bool(missing)), table


def _instant(name: str, kind: str, s: NumberStatistics, parts: NumberStatistics) -> Feature | str:
    if not s.weight > 0:
        return "it has no values"
    n = float(s.weight + s.missing)
    share = float(s.missing) / n
    span_days = float(s.maximum - s.minimum) / 86400.0
    wanted: list[str] = list(TIME_OF_DAY) if kind == "time" else [*TREND, *TIME_OF_DAY]
    if kind == "timestamp":
        wanted += WEEKDAY if span_days >= 7 else []
        wanted += SEASON if span_days >= 300 else []
    kept = [
        p
        for p in wanted
        if not _still(_one(parts, PARTS.index(p))) and parts.m2[PARTS.index(p)] > 1e-9 * n
    ]
    if not kept:
        return Presence(name, (share,), (_binary_scale(share),), False) if share else "constant"
    at = [PARTS.index(p) for p in kept]
    means = [float(parts.mean[i]) for i in at] + ([share] if share else [])
    scales = [float(np.sqrt(parts.m2[i] / n)) for i in at] + (
        [_binary_scale(share)] if share else []
    )
    return Instant(name, tuple(means), tuple(scales), tuple(kept), bool(share))


Part = Literal["train", "test", "all"]


@dataclass(frozen=True)
class EncodedRows(Rows):
    """One part of a scanned table, design and targets standardized by the encoder."""

    scanned: Scanned
    encoder: Encoder
    recoding: Recoding
    kept: tuple[int, ...]
    part: Part

    @property
    def row_count(self) -> int:
        table = self.scanned.table
        return {
            "train": table.train_rows,
            "test": table.rows - table.train_rows,
            "all": table.rows,
        }[self.part]

    @property
    def weighted(self) -> bool:
        return self.scanned.roles.weight is not None

    @property
    def chunk_count(self) -> int:
        return len(self.scanned.table.sizes)

    def chunk_size(self, index: int) -> int:
        table = self.scanned.table
        train, size = table.train_sizes[index], table.sizes[index]
        return {"train": train, "test": size - train, "all": size}[self.part]

    @property
    def offsets(self) -> Floats | None:
        return self.encoder.means / self.encoder.scales

    @property
    def weight_factor(self) -> float:
        """By what the weights are multiplied: those that are no counts so that those of the rows of
        this part sum to their number.
        """
        if self.scanned.roles.weighting == "counts":
            return 1.0
        statistics = self.scanned.statistics_of(self.part)
        return statistics.rows / statistics.weight if statistics.weight > 0 else 1.0

    def of(self, part: Part) -> EncodedRows:
        """Another part of the same table, with the same encoder."""
        return EncodedRows(self.scanned, self.encoder, self.recoding, self.kept, part)

    def chunk(self, index: int) -> Chunk:
        table, k = self.scanned.table, len(self.encoder.targets)
        raw, cut = table.read(index), table.train_sizes[index]
        if self.part != "all":
            raw = raw[:, :cut] if self.part == "train" else raw[:, cut:]
        d, m = len(self.encoder.names), raw.shape[1]
        # One block [1 | design | target], transposed: the sums of linear least squares take it as
        # it is.
        block = np.empty((1 + d + k, m))
        block[0] = 1.0
        first = len(self.scanned.roles.scanned) - len(self.scanned.roles.features)
        whole = len(self.kept) == len(self.scanned.roles.features)
        features = raw[first:] if whole else raw[list(self.kept)]
        self.encoder.encode(self.recoding.apply(features), block[1 : 1 + d])
        np.subtract(raw[:k], self.encoder.target_means[:, None], out=block[1 + d :])
        block[1 + d :] /= self.encoder.target_scales[:, None]
        weight = raw[k] if self.scanned.roles.weight is not None else None
        if weight is not None and self.weight_factor != 1.0:
            weight = weight * self.weight_factor
        return Chunk(block[1 : 1 + d].T, block[1 + d :].T, weight, block)


def plain_rows(scanned: Scanned, part: Part) -> EncodedRows:
    """The rows of ``part`` as they are, in the user's units."""
    kept = tuple(
        range(len(scanned.roles.scanned) - len(scanned.roles.features), len(scanned.roles.scanned))
    )
    return EncodedRows(scanned, plain_encoder(scanned), Recoding({}), kept, part)


def encoded_rows(scanned: Scanned, part: Part) -> EncodedRows:
    """The rows of ``part``, with an encoder made from the statistics of that part alone."""
    statistics = scanned.train.merge(scanned.test) if part == "all" else getattr(scanned, part)
    encoder, recoding, kept = make_encoder(scanned.roles, scanned.levels, statistics)
    return EncodedRows(scanned, encoder, recoding, tuple(kept), part)
