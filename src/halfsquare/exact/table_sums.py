"""The exact sums of a table, which are merged and taken away without losing a digit."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from halfsquare.data.columns import Reading
from halfsquare.errors import DataError
from halfsquare.exact.gram import ExactGram
from halfsquare.exact.sums_file import read_sums, save_sums
from halfsquare.exact.sums_record import Ranges, SumsRecord
from halfsquare.exact.terms import ABSENT, SumColumn, require_few


@dataclass(frozen=True)
class TableSums(SumsRecord):
    """Exact sums that merge and are taken away; the attributes are those of
    :class:`~halfsquare.exact.sums_record.SumsRecord`.

    Examples
    --------
    >>> from halfsquare import fit_sums, sum_rows
    >>> north = sum_rows({"x": [0.0, 1.0], "y": [1.0, 3.0]}, "y", test_fraction=0)
    >>> south = sum_rows({"x": [2.0, 3.0], "y": [5.0, 8.0]}, "y", test_fraction=0)
    >>> [round(p.value, 12) for p in fit_sums(north.merge(south)).parameters]
    [0.8, 2.3]
    """

    def merge(self, other: TableSums) -> TableSums:
        """The sums over both; exact, so the order of merging does not matter.

        Raises
        ------
        DataError
            If targets, weights or columns differ, or a column holds different kinds of values.
        """
        ours, theirs = self._aligned(other)
        known = {s.digest: s.name for s in self.sources}
        doubts = [
            f"{s.name} and {known[s.digest]} hold the same sums: their rows are counted twice"
            for s in other.sources
            if s.digest in known
        ]
        return replace(
            ours,
            left_out={**other.left_out, **self.left_out},
            train=ours.train.merge(theirs.train),
            test=ours.test.merge(theirs.test),
            counts=self.counts.plus(other.counts),
            sources=tuple(
                sorted((*ours.sources, *theirs.sources), key=lambda s: (s.digest, s.name))
            ),
            doubts=(*self.doubts, *other.doubts, *doubts),
            reading=ours.reading.merge(theirs.reading, self.name, other.name),
        )

    def subtract(self, other: TableSums) -> TableSums:
        """The sums without the rows of ``other``, to the same bits as if these had never been in.

        Where ``other`` is not a table that was merged in, which of its rows were set apart here is
        not known: then no row is set apart any more.

        Raises
        ------
        DataError
            If these rows cannot have been in the sums.
        """
        ours, theirs = self._aligned(other)
        left, gone = list(ours.sources), []
        for source in other.sources:
            at = next((i for i, s in enumerate(left) if s.digest == source.digest), None)
            gone.append(None if at is None else left.pop(at))
        doubts = list(self.doubts)
        train, test, its_train, its_test = ours.train, ours.test, theirs.train, theirs.test
        if None in gone and (test.rows or its_test.rows):
            empty = ExactGram.zero(train.columns)
            train, test, its_train, its_test = ours.all, empty, theirs.all, empty
            doubts.append(
                f"{other.name} is not one of the tables that were merged, so which of its "
                "rows had been set apart is not "
                "known: the errors are those on the rows of the fit"
            )
        rest = replace(
            ours,
            train=self._rest(other, train, its_train),
            test=self._rest(other, test, its_test),
            counts=self.counts.plus(other.counts, -1),
            sources=tuple(left) if None not in gone else ours.sources,
            doubts=tuple(doubts),
        )
        return rest.without_what_is_gone()

    def without_what_is_gone(self) -> TableSums:
        """Levels that no row has any more are forgotten, and the kind of a column in which every
        value is missing.
        """
        everything, at = self.all, self.positions()

        def left(column: SumColumn) -> SumColumn:
            levels = tuple(
                v for v in column.levels if everything.limbs[:, 0, at[column.name, f"={v}"]].any()
            )
            gone = at.get((column.name, ABSENT))
            if gone is not None and np.array_equal(
                everything.limbs[:, 0, gone], everything.limbs[:, 0, 0]
            ):
                return SumColumn(column.name, "empty")
            return replace(column, levels=levels)

        return self.placed([left(column) for column in self.columns])

    def placed(self, columns: Sequence[SumColumn]) -> TableSums:
        """The same sums with these columns: terms that are new are 0 in every row, those that are
        not named are left out.
        """
        new = replace(self, columns=tuple(columns))
        at, k = new.positions(), len(self.targets)
        total = 1 + len(at) + k
        own = {key: i for key, i in self.positions().items() if key in at}
        kept = [0, *own.values(), *range(self.train.columns - k, self.train.columns)]
        to = [0, *(at[key] for key in own), *range(total - k, total)]
        return replace(
            new,
            train=self.train.taken(kept).placed(total, to),
            test=self.test.taken(kept).placed(total, to),
        )

    def digest(self) -> str:
        """A fingerprint of the sums, that does not depend on names of files."""
        described = [self.targets, self.weight, [(c.name, c.kind, c.levels) for c in self.columns]]
        found = hashlib.sha256(json.dumps(described).encode())
        for gram in (self.train, self.test):
            found.update(f"{gram.rows} {gram.low} {gram.limbs.shape}".encode())
            found.update(np.ascontiguousarray(gram.limbs, dtype="<i4").tobytes())
        return found.hexdigest()

    def save(self, path: Any) -> None:
        """Write a file of sums, whole or not at all; see :mod:`halfsquare.exact.sums_file`."""
        save_sums(self, path)

    def _aligned(self, other: TableSums) -> tuple[TableSums, TableSums]:
        """Both with the columns of both."""
        for what, a, b in (
            ("target", self.targets, other.targets),
            ("weights", self.weight, other.weight),
        ):
            if a != b:
                raise DataError(
                    f"{what}: {_shown(a)} in {self.name}, {_shown(b)} in {other.name}; they "
                    "must be the same"
                )
        theirs = {c.name: c for c in other.columns}
        for name in sorted({c.name for c in self.columns} ^ theirs.keys()):
            here, there = (self, other) if name not in theirs else (other, self)
            raise DataError(
                f"{there.name} has no column {name!r}, which {here.name} has: compute both "
                "with the same --features, or "
                f"leave it out with --exclude {name}"
            )
        columns = [c.merge(theirs[c.name], self.name, other.name) for c in self.columns]
        require_few(columns)
        bases = _common_bases(self.reading, other.reading)
        return self.placed(columns).less(bases), other.placed(columns).less(bases)

    def less(self, bases: Mapping[str, str]) -> TableSums:
        """The same sums of columns of whole numbers taken less other bases than they were."""
        found, at = self, self.positions()
        for name, base in bases.items():
            reading = self.reading.columns[name]
            more = int(reading.base or 0) - int(base)
            if not more or (name, "value") not in at:
                continue
            moved = at[name, "value"], {0: more, at[name, ABSENT]: -more}
            readings = {**found.reading.columns, name: replace(reading, base=base)}
            sources = tuple(
                replace(s, train=_moved(s.train, name, more), test=_moved(s.test, name, more))
                for s in found.sources
            )
            found = replace(
                found,
                train=found.train.plus(*moved),
                test=found.test.plus(*moved),
                sources=sources,
                reading=replace(found.reading, columns=readings),
            )
        return found

    def _rest(self, other: TableSums, ours: ExactGram, theirs: ExactGram) -> ExactGram:
        if theirs.rows > ours.rows:
            raise DataError(
                f"these rows were not in the sums: {other.name} has {theirs.rows:,} rows, "
                f"and there are {ours.rows:,}"
            )
        rest = ours.without(theirs)
        at = rest.impossible()
        if at is None:
            return rest
        names = [f"{c} {term}" for c, term in self._aligned(other)[0].positions()]
        raise DataError(
            f"these rows were not in the sums: without those of {other.name}, "
            f"{['the weight of all rows', *names, *self.targets][at]!r} would have a sum of "
            "squares that no rows have"
        )


def load_sums(path: str | Path) -> TableSums:
    """Read a file of sums.

    Raises
    ------
    ModelFileError
        If there is no such file, it is damaged, holds no sums, or is of another version.

    Examples
    --------
    >>> load_sums("no-such-file.sums")
    Traceback (most recent call last):
    ...
    halfsquare.errors.ModelFileError: there is no file of sums no-such-file.sums
    """
    return TableSums(**vars(read_sums(path)))


def _common_bases(ours: Reading, theirs: Reading) -> dict[str, str]:
    """The least base of each column that has one in either reading."""
    found = {}
    for name in ours.columns.keys() & theirs.columns.keys():
        given = {c.base for c in (ours.columns[name], theirs.columns[name])}
        if given != {""}:
            found[name] = min(given - {""}, key=int)
    return found


def _moved(ranges: Ranges, name: str, by: int) -> Ranges:
    if name not in ranges:
        return ranges
    low, high = ranges[name]
    return {**ranges, name: (low + float(by), high + float(by))}


def _shown(value: str | tuple[str, ...] | None) -> str:
    return (
        "none"
        if value is None
        else value
        if isinstance(value, str)
        else ", ".join(map(repr, value))
    )
