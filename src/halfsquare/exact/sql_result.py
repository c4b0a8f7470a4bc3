"""What the statement of :mod:`halfsquare.exact.sql_statement` returns, as exact sums of a table.

The database has rounded its sums about the means to float64. From there on nothing is rounded: with
x = v + a (1 - m), where v is a number less its mean a, 0 where it is missing, and m is 1 there,
every sum of products of x is a combination of those of v, m and 1, formed in whole numbers.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from math import floor, log10
from pathlib import Path

import numpy as np

from halfsquare.data.columns import level_of
from halfsquare.data.whole_numbers import EXACT
from halfsquare.errors import DataError
from halfsquare.exact.design import Combination, combined
from halfsquare.exact.gram import ExactGram
from halfsquare.exact.integer_solver import Wholes
from halfsquare.exact.sql_layout import LEVELS, SqlLayout
from halfsquare.exact.sql_sums import Group, RoundedSums, digits_kept
from halfsquare.exact.sums_record import Counts, SumSource
from halfsquare.exact.table_sums import TableSums
from halfsquare.exact.terms import ABSENT, MAX_LEVELS, SumColumn, require_few
from halfsquare.loss import Floats

_FULL_DIGITS = 15
_MISSING = "-"

Line = Mapping[str, str]


def sums_from_sql(path: str | Path) -> TableSums:
    """The sums of a table from the result of its statement, a CSV file.

    Raises
    ------
    DataError
        If it is no such result, or tells of what cannot be fitted: infinite values, negative
        weights.
    """
    lines = _lines(path)
    products = [line for line in lines if line["part"] != LEVELS]
    if not products:
        raise DataError(
            f"{path} holds no sums: is it empty, or has no row a target and a positive weight?"
        )
    layout = SqlLayout.read(products[0]["part"])
    if any(line["part"] != products[0]["part"] for line in products):
        raise DataError(f"{path} holds the results of different statements: keep them apart")
    try:
        found = RoundedSums.of(layout, products, [x for x in lines if x["part"] == LEVELS])
        return _table_sums(found)
    except KeyError as problem:
        raise DataError(
            f"{path} lacks the column {problem.args[0]!r} of its statement: export it whole"
        ) from None
    except DataError as problem:
        raise DataError(f"{path}: {problem}") from None


def _lines(path: str | Path) -> list[Line]:
    """The rows of a CSV file, the names of its columns in small letters."""
    csv.field_size_limit(1 << 30)
    try:
        with Path(path).open(newline="", encoding="utf-8-sig") as file:
            header, *rows = [row for row in csv.reader(file) if row] or [[]]
    except OSError as problem:
        raise DataError(f"cannot read {path}: {problem.strerror}") from None
    except (UnicodeDecodeError, csv.Error) as problem:
        raise DataError(f"{path} is no CSV file in UTF-8: {problem}") from None
    header = [name.strip().lower() for name in header]
    if "part" not in header:
        raise DataError(
            f"{path} is no result of a statement of halfsquare sums --sql: expected a CSV file "
            f"with the columns part, block, …, found {', '.join(header[:5]) or 'nothing'}"
        )
    for number, row in enumerate(rows, 1):
        if len(row) != len(header):
            raise DataError(
                f"{path}, row {number}: {len(row)} fields, and the header names {len(header)}"
            )
    return [dict(zip(header, row, strict=True)) for row in rows]


def _table_sums(found: RoundedSums) -> TableSums:
    layout = found.layout
    levels = [_levels(found.groups_of(j)) for j in range(len(layout.categories))]
    columns = (
        *(
            SumColumn(name, "number" if found.there[i] > 0 else "empty")
            for i, name in enumerate(layout.numbers)
        ),
        *(
            _category(name, own, found.distinct[j])
            for j, (name, own) in enumerate(zip(layout.categories, levels, strict=True))
        ),
    )
    require_few(columns)
    rows = _Places(columns, found)
    shifted = rows.gram()
    numbers, exponent = _wholes(shifted)
    for j in range(1, len(numbers)):
        _make_possible(numbers, j, rows.absent.get(j))
    gram = ExactGram.of_integers(found.rows, *combined(numbers, exponent, rows.combinations()))
    digits = digits_kept(shifted, rows.told_apart, found.rows, found.digits)
    merged, told = _merged(found)
    digits = min(digits, merged)
    rounded = (
        f"{layout.source} was summed by SQL, which rounds: about {digits} digits of the "
        "coefficients are those that its rows have"
    )
    sums = TableSums(
        layout.targets,
        layout.weight,
        columns,
        {},
        gram,
        ExactGram.zero(gram.columns),
        Counts(found.read, found.missing_target, found.zero_weight),
        (),
        (rounded, *told),
    )
    ranges = {
        name: (float(found.low[i]), float(found.high[i]))
        for i, name in enumerate(layout.numbers)
        if found.there[i] > 0
    }
    source = SumSource(layout.source, sums.digest(), found.rows, ranges, {}, 0.0, 0)
    return replace(sums, sources=(source,))


def _merged(found: RoundedSums) -> tuple[int, list[str]]:
    """How many digits are left of columns beyond 2⁵³, if they are whole numbers: as float64 they
    are rounded to multiples of 2, 4, …; and what is to be told of those that lose some.
    """
    least, said = _FULL_DIGITS, []
    for i, name in enumerate(found.layout.values):
        low, high = float(found.low[i]), float(found.high[i])
        most = max(-low, high)
        if not most > EXACT:
            continue
        step, spread = float(np.spacing(most)), high - low
        digits = max(0, floor(log10(spread / step))) if spread > step else 0
        if digits < _FULL_DIGITS:
            least = min(least, digits)
            said.append(
                f"{name}: its values, from {int(low)} to {int(high)}, are beyond 2^53, where SQL "
                f"has rounded whole numbers to multiples of {step:g}: if they are quantities, "
                "write the statement for a query that subtracts what they have in common ("
                f"SELECT …, {name} - {int(low)} AS {name}, …); if they are codes, with --category"
            )
    return least, said


def _levels(groups: Mapping[str, Group]) -> tuple[str, ...]:
    return tuple(sorted(level_of(k[1:]) for k in groups if k.startswith("=")))


def _category(name: str, levels: Sequence[str], distinct: int) -> SumColumn:
    if distinct > MAX_LEVELS:
        return SumColumn(name, "crowded")
    return (
        SumColumn(name, "text", tuple(dict.fromkeys(levels)))
        if levels
        else SumColumn(name, "empty")
    )


class _Places:
    """Where each sum stands in the Gram matrix of [1 | terms of the columns | targets]."""

    def __init__(self, columns: Sequence[SumColumn], found: RoundedSums) -> None:
        self.columns, self.found = columns, found
        every = [(c.name, term) for c in columns for term in c.terms]
        self.at = {key: i for i, key in enumerate(every, 1)}
        self.size = 1 + len(every) + len(found.layout.targets)
        # Of the numbers and targets, counted from 0: the places of their values and flags.
        self.value: dict[int, int] = {}
        self.flag: dict[int, int] = {}
        n = len(found.layout.numbers)
        for i, name in enumerate(found.layout.numbers):
            self.flag[i] = self.at[name, ABSENT]
            if (name, "value") in self.at:
                self.value[i] = self.at[name, "value"]
        for j in range(len(found.layout.targets)):
            self.value[n + j] = 1 + len(every) + j
        self.absent = {self.value[i]: f for i, f in self.flag.items() if i in self.value}

    @property
    def told_apart(self) -> list[int]:
        """The terms that a model tells apart: of a category all levels but one."""
        first = {self.at[c.name, f"={c.levels[0]}"] for c in self.columns if c.levels}
        return [i for i in self.at.values() if i not in first]

    def gram(self) -> Floats:
        """The sums with numbers and targets about their means, 0 where they are missing."""
        found, gram = self.found, np.zeros((self.size, self.size))
        gram[0, 0] = found.weight
        v, m = (np.array(list(p.values()), dtype=np.intp) for p in (self.value, self.flag))
        of_v, of_m = (np.array(list(p), dtype=np.intp) for p in (self.value, self.flag))
        gram[0, v], gram[0, m] = found.values[of_v], found.flags[of_m]
        gram[np.ix_(v, v)] = found.value_value[np.ix_(of_v, of_v)]
        gram[np.ix_(m, m)] = found.flag_flag[np.ix_(of_m, of_m)]
        gram[np.ix_(m, v)] = found.flag_value[np.ix_(of_m, of_v)]
        gram[np.ix_(v, m)] = gram[np.ix_(m, v)].T
        for keys, group in found.groups.items():
            places = [self._level(j, key) for j, key in enumerate(keys) if key]
            if None in places:
                continue  # a column that is left out
            if len(places) == 1:
                gram[0, places[0]] += group.weight
                gram[places[0], places[0]] += group.weight
                gram[places[0], v] += group.values[of_v]
                gram[places[0], m] += group.flags[of_m]
            else:
                gram[places[0], places[1]] += group.weight
        upper = np.triu(gram)
        lower = np.triu(gram.T)
        # Each sum was written on one side of the diagonal, or the same on both.
        upper = np.where(upper != 0, upper, lower)
        return np.asarray(upper + np.triu(upper, 1).T)

    def _level(self, category: int, key: str) -> int | None:
        name = self.found.layout.categories[category]
        return self.at.get((name, ABSENT if key == _MISSING else f"={level_of(key[1:])}"))

    def combinations(self) -> list[Combination]:
        """Each term about 0 as a combination of those about the means."""
        made: list[Combination] = [{i: Fraction(1)} for i in range(self.size)]
        for i, place in self.value.items():
            mean = Fraction(float(self.found.means[i]))
            if mean:
                made[place][0] = mean
                if i in self.flag:
                    made[place][self.flag[i]] = -mean
        return made


def _wholes(gram: Floats) -> tuple[Wholes, int]:
    """Whole numbers and an exponent: the matrix is numbers · 2^exponent."""
    ratios = [[x.as_integer_ratio() for x in row] for row in gram.tolist()]
    bits = max(bottom.bit_length() - 1 for row in ratios for _, bottom in row)
    whole = [[top << (bits + 1 - bottom.bit_length()) for top, bottom in row] for row in ratios]
    return np.array(whole, dtype=object).reshape(gram.shape), -bits


def _make_possible(numbers: Wholes, j: int, absent: int | None) -> None:
    """Of a column that does not vary rounding may leave less of squares than rows can have."""
    there = numbers[0, 0] - (numbers[0, absent] if absent is not None else 0)
    if there > 0:
        numbers[j, j] = max(numbers[j, j], -(-(numbers[0, j] ** 2) // there))
