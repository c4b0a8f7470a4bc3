"""``sum_rows``: the exact sums of a table, computed where its rows are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from os import PathLike
from typing import Any, Unpack

import numpy as np

from halfsquare.data.counted import of_counts
from halfsquare.data.deciding import whole
from halfsquare.data.late import require_no_late_values
from halfsquare.data.roles import choose_roles
from halfsquare.data.scan import Scanned, scan
from halfsquare.data.source import Source
from halfsquare.data.spec import DataSpec, RowOptions
from halfsquare.data.statistics import TableStatistics
from halfsquare.data.width import names_at_once
from halfsquare.errors import OptionError
from halfsquare.exact.gram import ExactGram
from halfsquare.exact.sums_record import Counts, SumSource
from halfsquare.exact.table_sums import TableSums
from halfsquare.exact.terms import require_narrow, sum_columns
from halfsquare.fitting.options import FitOptions
from halfsquare.loss import Floats
from halfsquare.parallel.threads import Local

# Rows are written out as terms a block of so many numbers at a time.
_BLOCK_NUMBERS = 1 << 20


def sum_rows(
    data: Any,
    target: str | Sequence[str],
    *,
    features: Sequence[str] | None = None,
    exclude: Sequence[str] = (),
    test_fraction: float = 0.2,
    seed: int = 0,
    threads: int | None = None,
    **reading: Unpack[RowOptions],
) -> TableSums:
    """The exact sums of a table, from which a linear model can be fitted without its rows.

    Parameters as those of :func:`halfsquare.fit`. Rows that are set apart are summed apart.

    Raises
    ------
    DataError
        What is wrong with the data, with file, column and row.
    OptionError
        What is wrong with an option.
    """
    FitOptions(model="linear", test_fraction=test_fraction, seed=seed, threads=threads)
    spec = DataSpec.of(data, **reading)
    if spec.weighting != "counts":
        raise OptionError(
            f"{spec.weighting} is not for sums, which count their rows: fit the rows themselves, "
            "or give whole weights"
        )
    targets = [target] if isinstance(target, str) else list(target)
    known = replace(spec, known=(*targets, *(features or ())))
    taken = {*targets, *exclude, *([spec.weights] if spec.weights else [])}
    named = features if features is not None else names_at_once(known)
    require_narrow(
        named, taken, str(spec.data) if isinstance(spec.data, (str, PathLike)) else "the table"
    )

    def passed(source: Source) -> Scanned:
        chosen = choose_roles(
            source, targets, weight=spec.weights, features=features, exclude=exclude
        )
        found = scan(source, chosen, test_fraction=test_fraction, seed=seed, progress=spec.progress)
        require_no_late_values(source, found)
        return found

    scanned = whole(known, passed)
    roles = scanned.roles
    columns = sum_columns(scanned)
    size = 1 + sum(len(c.terms) for c in columns) + len(targets)
    first, k = len(roles.scanned) - len(roles.features), len(targets)

    def summed(raw: Floats) -> ExactGram:
        gram, step = ExactGram.zero(size), max(256, _BLOCK_NUMBERS // size)
        for start in range(0, raw.shape[1], step):
            part = raw[:, start : start + step]
            block = np.zeros((size, part.shape[1]))
            block[0], block[size - k :], at = 1.0, part[:k], 1
            for column, values in zip(columns, part[first:], strict=True):
                column.write(
                    values, scanned.levels.get(column.name, ()), block[at : at + len(column.terms)]
                )
                at += len(column.terms)
            gram = gram.add(block, part[k] if roles.weight is not None else None)
        return gram

    parts = of_counts(scanned, test_fraction, seed, Local(threads))

    def of(index: int) -> tuple[ExactGram, ExactGram]:
        raw, cut = parts.table.read(index), parts.table.train_sizes[index]
        return summed(raw[:, :cut]), summed(raw[:, cut:])

    nothing = ExactGram.zero(size), ExactGram.zero(size)
    train, test = Local(threads).reduce(
        of, lambda a, b: (a[0].merge(b[0]), a[1].merge(b[1])), len(scanned.table.sizes), nothing
    )
    read = scanned.table.rows + scanned.missing_target + scanned.zero_weight
    counts = Counts(read, scanned.missing_target, scanned.zero_weight)
    weight_name = roles.weight.name if roles.weight else None
    found = TableSums(
        tuple(targets),
        weight_name,
        columns,
        roles.left_out,
        train,
        test,
        counts,
        (),
        (),
        roles.reading,
    )
    ranges = [_ranges(scanned, part) for part in (parts.train, parts.test)]
    name = scanned.source_name
    return replace(
        found,
        reading=roles.reading,
        sources=(
            SumSource(
                name, found.digest(), scanned.table.rows, ranges[0], ranges[1], test_fraction, seed
            ),
        ),
    )


def _ranges(scanned: Scanned, part: TableStatistics) -> dict[str, tuple[float, float]]:
    """Least and greatest values of numbers and times."""
    roles, numbers = scanned.roles, part.numbers
    first = len(roles.scanned) - len(roles.features)
    return {
        c.name: (float(numbers.minimum[j]), float(numbers.maximum[j]))
        for j, c in enumerate(roles.features, first)
        if c.kind != "text" and numbers.weight[j] > 0
    }
