"""One pass over a source: raw chunks for later passes, and the statistics the encoder is made
from.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from halfsquare.data.counts import Counts
from halfsquare.data.cut import Cut
from halfsquare.data.hashes import Hashes
from halfsquare.data.passes import record_batches
from halfsquare.data.ranges import require_range
from halfsquare.data.roles import Roles
from halfsquare.data.source import Source
from halfsquare.data.spec import Progress
from halfsquare.data.splits import Units
from halfsquare.data.statistics import Pair, TableStatistics, statistics_of
from halfsquare.data.stretch import Stretch
from halfsquare.data.table import Table
from halfsquare.errors import DataError
from halfsquare.parallel.tree import Tree


@dataclass(frozen=True)
class Scanned:
    """What a pass brought.

    Attributes
    ----------
    table : Table
        Rows of columns in the order of ``roles.scanned``; text as codes into ``levels``.
    train, test : TableStatistics
    levels : dict of column name to list of str
    missing_target, missing_feature, zero_weight : int
        Rows left out; those that lack a feature only where ``roles.complete`` says so.
    units : Units or None
        Which rows are left out together, in the order of the table; None: each by itself.
    orders : tuple of (m,) int, or None
        Of a table that was cut anew: where the rows of each chunk stood among those of the source's
        stretch.
    rows_whole : bool
        Whether rows that count more than once were set apart as a whole: each is one cluster.
    hashes : tuple of (m,) uint64, or None
        Of some features of the rows of each chunk of the source, where there are not too many.
    """

    source_name: str
    roles: Roles
    table: Table
    train: TableStatistics
    test: TableStatistics
    levels: dict[str, list[str]]
    missing_target: int
    zero_weight: int
    missing_feature: int = 0
    units: Units | None = None
    orders: tuple[npt.NDArray[np.intp], ...] | None = None
    rows_whole: bool = False
    hashes: tuple[Hashes, ...] | None = None

    def statistics_of(self, part: str) -> TableStatistics:
        """Of the rows of a part: ``"train"``, ``"test"`` or ``"all"``."""
        if part == "all":
            return self.train.merge(self.test)
        return self.train if part == "train" else self.test


def scan(
    source: Source,
    roles: Roles,
    *,
    test_fraction: float = 0.0,
    seed: int = 0,
    products: bool = False,
    progress: Progress | None = None,
) -> Scanned:
    """Read every row once.

    Rows whose target is missing are left out and counted. A share ``test_fraction`` of the rest is
    set apart, evenly over the table and chosen by ``seed``: of the first r rows, round(r ·
    test_fraction), whatever the size of the table. ``products`` of columns are summed where
    linear least squares is going to ask for them, and all features are numbers.

    Raises
    ------
    NotFiniteError
        If a number is infinite: file, column and row are named.
    DataError
        If no row has a target, or a weight is missing or negative.
    """
    cut = Cut.of(source.name, roles, test_fraction, seed, products=products)
    stretch = Stretch(cut, progress=progress, source_rows=source.row_count, hashes=[])
    stretch.read(record_batches(source, stretch.columns, cut.chunk_rows))
    found = scanned(cut, stretch.table, stretch.statistics, stretch.levels, stretch.counts)
    return found if stretch.hashes is None else replace(found, hashes=tuple(stretch.hashes))


def scanned(
    cut: Cut, table: Table, nodes: Tree[Pair], levels: dict[str, list[str]], counts: Counts
) -> Scanned:
    """What passes over all rows of a source come to.

    Raises
    ------
    DataError
        If no row counts; says why. If squares of numbers do not fit in float64.
    """
    if not counts.kept:
        raise DataError(_nothing(cut, counts))
    none = statistics_of(np.empty((len(cut.roles.scanned), 0)), cut.roles, table.buffers)
    train, test = nodes.total((none, none))
    require_range(train.merge(test), cut.roles, cut.name)
    left_out = counts.missing_target, counts.zero_weight, counts.missing_feature
    return Scanned(cut.name, cut.roles, table, train, test, levels, *left_out)


def _nothing(cut: Cut, counts: Counts) -> str:
    names = ", ".join(repr(t.name) for t in cut.roles.targets)
    if not counts.rows:
        return f"{cut.name} has a header but no rows"
    if counts.missing_target == counts.rows:
        return f"all {counts.rows} values of the target {names} in {cut.name} are missing"
    if counts.missing_feature:
        return f"no row of {cut.name} has both a target and a value in every column of the formula"
    return f"no row of {cut.name} has both a target and a positive weight"
