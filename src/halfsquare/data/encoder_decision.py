"""How a table is encoded, decided once from the statistics of a scan."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from halfsquare.data.buffers import Buffers
from halfsquare.data.choosing import category, instant, number, one, still
from halfsquare.data.encoder import ColumnEncoder, Encoder
from halfsquare.data.features import Feature, Levels, Plain
from halfsquare.data.roles import Roles
from halfsquare.data.scan import Scanned
from halfsquare.data.statistics import TableStatistics
from halfsquare.loss import Floats
from halfsquare.moments import Moments


@dataclass(frozen=True)
class Recoding:
    """From the level codes of a scan to those of an encoder made from it: feature index → table."""

    tables: dict[int, Floats]

    def apply(self, raw: Floats, buffers: Buffers) -> Floats:
        """Raw feature rows with the encoder's codes; copied only where there are any."""
        if not self.tables:
            return raw
        recoded = buffers.empty(*raw.shape)
        recoded[...] = raw
        for j, table in self.tables.items():
            recoded[j] = table[(raw[j] + 2).astype(np.intp)]
        return recoded


def make_encoder(
    roles: Roles,
    levels: Mapping[str, Sequence[str]],
    statistics: TableStatistics,
    whole: TableStatistics,
) -> tuple[Encoder, Recoding, list[int]]:
    """Decide how each column is encoded, from its statistics over all rows (``whole``) and over
    those that are trained on; see :mod:`halfsquare.data.choosing`.

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
            made, table = category(
                column.name,
                levels[column.name],
                statistics.levels[j],
                whole.levels[j],
                asked=column.name in roles.categories,
            )
            tables[len(features)] = table
        elif column.kind in ("timestamp", "time"):
            both = [(one(s.numbers, j), s.time_parts[j]) for s in (statistics, whole)]
            made = instant(column.name, column.kind, *both)
        else:
            both_numbers = one(statistics.numbers, j), n, one(whole.numbers, j)
            made = number(column.name, *both_numbers, column.base)
        if isinstance(made, str):
            tables.pop(len(features), None)
            left_out[column.name] = made
        else:
            features.append(made)
            kept.append(j)
    numbers = statistics.numbers
    targets = Moments(n, numbers.mean[:k], numbers.variance[:k])
    scales = np.where([still(one(numbers, j)) for j in range(k)], 1.0, targets.scale)
    encoder = ColumnEncoder(
        tuple(features),
        tuple(t.name for t in roles.targets),
        numbers.mean[:k].copy(),
        scales,
        left_out,
        reading=roles.reading.of([*(f.column for f in features), *(t.name for t in roles.targets)]),
    )
    return encoder, Recoding(tables), kept


def plain_encoder(scanned: Scanned) -> Encoder:
    """Every feature and target as it is, in the order of the roles: for formulas, in the user's
    units.
    """
    roles, numbers = scanned.roles, scanned.train.merge(scanned.test).numbers
    first, k = len(roles.scanned) - len(roles.features), len(roles.targets)
    features = tuple(
        Levels(c.name, (0.0,), (1.0,), tuple(scanned.levels[c.name]))
        if c.kind == "text"
        else Plain(c.name, (0.0,), (1.0,), float(numbers.minimum[j]), float(numbers.maximum[j]))
        for j, c in enumerate(roles.features, first)
    )
    return ColumnEncoder(
        features,
        tuple(t.name for t in roles.targets),
        np.zeros(k),
        np.ones(k),
        dict(roles.left_out),
        reading=roles.reading,
    )
