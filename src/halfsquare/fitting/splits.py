"""The parts of a fit: which rows are set apart, which belong together, and the folds of
cross-validation; see :mod:`halfsquare.data.splits`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from halfsquare.data.recut import numbers_in_source, recut
from halfsquare.data.roles import Roles
from halfsquare.data.scan import Scanned
from halfsquare.data.source import Source
from halfsquare.data.splits import (
    NEITHER,
    TEST,
    TRAIN,
    Parts,
    Split,
    Units,
    folds_of,
    latest,
    some_groups,
)
from halfsquare.errors import OptionError
from halfsquare.fitting.equal_rows import equal_rows
from halfsquare.fitting.options import FitOptions, Request
from halfsquare.fitting.robust import with_beside
from halfsquare.parallel.base import Execution
from halfsquare.parallel.threads import Local

_STREAM = 11  # of the seed: which groups are set apart, and the folds of cross-validation


def split_of(options: FitOptions) -> Split:
    """The split asked for; at random, if none is."""
    return Split.read(options.split or "random")


def request_for(options: FitOptions, request: Request) -> Request:
    """What is asked of the table: the groups are no feature, unless they are named as one."""
    split = split_of(options)
    if split.kind != "group" or options.formula is not None:
        return request
    assert split.column is not None
    if split.column in (*(request.features or ()), *request.exclude, *request.targets):
        return request
    return replace(request, exclude=(*request.exclude, split.column))


def roles_for(options: FitOptions, roles: Roles, request: Request, source: Source) -> Roles:
    """The roles, with the column of the split read beside the features.

    Raises
    ------
    DataError
        If there is no such column.
    OptionError
        If it cannot be split by.
    """
    split = split_of(options)
    if split.column is None:
        return roles
    roles = with_beside(roles, source, [split.column], f"{split.kind} split")
    kind = source.column(split.column, role="split column").kind
    if split.kind == "time" and kind not in ("number", "timestamp", "time"):
        raise OptionError(
            f"column {split.column!r} holds {kind}; a split by time is by dates or numbers. Where "
            "the rows stand in the order of time, --split rows sets the last ones apart"
        )
    if split.column in roles.left_out and split.column not in request.exclude:
        told = {split.column: "groups of rows, and no feature; --features names it as one"}
        return replace(roles, left_out={**roles.left_out, **told})
    return roles


def scanned_fraction(options: FitOptions) -> float:
    """The share of the rows that is to be drawn at random while they are read."""
    random = split_of(options).kind == "random" and options.folds is None
    return options.test_fraction if random else 0.0


def with_parts(scanned: Scanned, options: FitOptions, execution: Execution) -> Scanned:
    """The scan with the rows set apart that the options ask for, and what belongs together.

    Raises
    ------
    OptionError
        If the rows cannot be split so.
    """
    split, seed = split_of(options), options.seed
    if not isinstance(execution, Local):
        return scanned  # what is not random was refused, and equal rows are not looked for
    fraction = options.test_fraction if options.folds is None else 0.0
    if split.kind == "random":
        units = equal_rows(scanned, execution)
        if units is None:
            return scanned
        scanned = replace(scanned, units=units)
        return _kept_together(scanned, units, options, execution) if fraction else scanned
    units = _units(scanned, split, seed)
    if not fraction:
        return replace(scanned, units=units)
    if split.kind == "group":
        chosen = some_groups(units.of_row, fraction, _random(seed))
    else:
        chosen = latest(units.of_row.astype(np.float64), fraction)
    return recut(scanned, np.where(chosen, TEST, TRAIN).astype(np.int8), seed, execution, units)


def _random(seed: int) -> np.random.Generator:
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(_STREAM,)))


def _kept_together(
    scanned: Scanned, units: Units, options: FitOptions, execution: Execution
) -> Scanned:
    """Equal rows where the first of them was drawn to."""
    test = _in_test(scanned)
    order = np.argsort(numbers_in_source(scanned, options.seed))
    _, first, unit = np.unique(units.of_row[order], return_index=True, return_inverse=True)
    wanted = np.empty(len(test), dtype=bool)
    wanted[order] = test[order][first][unit]
    if (wanted == test).all():
        return scanned
    if wanted.all() or not wanted.any():
        wanted = some_groups(units.of_row, options.test_fraction, _random(options.seed))
    parts = np.where(wanted, TEST, TRAIN).astype(np.int8)
    return recut(scanned, parts, options.seed, execution, units)


def _in_test(scanned: Scanned) -> npt.NDArray[np.bool_]:
    """Which rows of the table are set apart."""
    table = scanned.table
    return np.concatenate(
        [
            np.arange(size) >= train
            for size, train in zip(table.sizes, table.train_sizes, strict=True)
        ]
    )


def _units(scanned: Scanned, split: Split, seed: int) -> Units:
    """The groups of the rows, or their places in time, in the order of the table."""
    if split.kind == "rows":
        return Units(numbers_in_source(scanned, seed), in_order=True)
    roles, table = scanned.roles, scanned.table
    names = [c.name for c in roles.beside]
    at = roles.beside_at.start + names.index(str(split.column))
    values = np.concatenate([table.read(i)[at] for i in range(len(table.sizes))])
    _, unit = np.unique(values, return_inverse=True)
    return Units(np.asarray(unit, dtype=np.intp), in_order=split.in_order)


def cross_validated(
    scanned: Scanned, options: FitOptions, execution: Execution
) -> Iterator[Scanned]:
    """For each fold the scan with its rows set apart; of rows in time each stretch but the first,
    with the rows before it alone to train on.

    Raises
    ------
    OptionError
        If there are fewer rows, or units of them, than folds.
    """
    count, n = options.folds, scanned.table.rows
    assert count is not None
    units = scanned.units
    in_order = units is not None and units.in_order
    stretches = count + 1 if in_order else count
    fold = folds_of(n, stretches, _random(options.seed), units)
    there = len(np.unique(fold))
    if there < stretches:
        what = "times" if in_order else "groups" if units is not None else "rows"
        raise OptionError(
            f"{count} folds need at least {stretches} {what} of about the same size, and these "
            f"make {there}: ask for fewer folds"
        )
    for f in range(stretches - count, stretches):
        parts: Parts = np.where(fold == f, TEST, TRAIN).astype(np.int8)
        if in_order:
            parts[fold > f] = NEITHER
        yield recut(scanned, parts, options.seed, execution, units)
