"""The sums that a database has computed, read from the rows of its result and checked."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite, log10, sqrt

import numpy as np

from halfsquare.errors import DataError
from halfsquare.exact.sql_layout import SqlLayout
from halfsquare.loss import Floats

_NULLS = ("", "NULL", "null", "\\N")
_FULL_DIGITS, _ALL_DIGITS = 15, 17  # that float64 always keeps, that it needs
_FRACTION = r"-?(\d*)\.(\d*)(?:[eE][-+]?\d+)?"
_MANY = 10  # numbers that are not whole
_SAME = 1e-9  # relative, of sums over the same rows
_CONSTANT = 1e-14  # relative to squares: below it a column is its mean, or another column

Line = Mapping[str, str]


@dataclass(frozen=True)
class Group:
    """Over the rows of a level, or of a pair of levels.

    Attributes
    ----------
    weight : float
    values, flags : (n,)
        Of numbers and targets, about the means, and of where they are missing.
    """

    weight: float
    values: Floats
    flags: Floats


@dataclass(frozen=True)
class RoundedSums:
    """Sums over the n numbers and targets of a table, about means; one set of means for all.

    Attributes
    ----------
    layout : SqlLayout
    rows, read, missing_target, zero_weight : int
    weight : float
    means, low, high, there : (n,)
        ``there``: the weight of the rows where a number is not missing.
    values, flags : (n,)
    value_value, flag_flag, flag_value : (n, n)
        The flags stand first.
    groups : dict of keys to Group
        A key for each category: "=level", "-" for missing, "*" for all of too many, "" where it is
        not grouped by.
    distinct : tuple of int
        How many levels each category has.
    digits : int
        To which the numbers of the result seem to be written.
    """

    layout: SqlLayout
    rows: int
    read: int
    missing_target: int
    zero_weight: int
    weight: float
    means: Floats
    low: Floats
    high: Floats
    there: Floats
    values: Floats
    flags: Floats
    value_value: Floats
    flag_flag: Floats
    flag_value: Floats
    groups: Mapping[tuple[str, ...], Group]
    distinct: tuple[int, ...]
    digits: int

    @classmethod
    def of(cls, layout: SqlLayout, products: Sequence[Line], levels: Sequence[Line]) -> RoundedSums:
        """Read the rows of a result.

        Raises
        ------
        DataError
            If rows are missing or do not belong together, or the table holds what cannot be summed.
        KeyError
            If a column is missing.
        """
        products = sorted(products, key=lambda line: _number(line, "block"))
        first, n, k = products[0], len(layout.values), len(layout.categories)
        _require_sound(layout, first)
        if [_number(p, "block") for p in products] != list(range(len(layout.blocks))):
            raise DataError(
                f"{len(products)} rows of products, and its statement gives "
                f"{len(layout.blocks)}: export the result whole, once"
            )
        weight = _number(first, "w")
        for line in products:
            _require_same(weight, _number(line, "w"))
        means, values, flags = (_vector(first, name, n) for name in ("a", "sv", "sm"))
        none = np.zeros((n, n))
        found = cls(
            layout,
            round(_number(first, "n_rows")),
            round(_number(first, "n_read")),
            round(_number(first, "n_missing_target")),
            round(_number(first, "n_zero_weight")) if layout.weight else 0,
            weight,
            means,
            _vector(first, "lo", n),
            _vector(first, "hi", n),
            weight - flags,
            values,
            flags,
            none.copy(),
            np.diag(flags),
            none.copy(),
            _groups(levels, means, k),
            tuple(round(_number(first, f"d{j}")) for j in range(1, k + 1)),
            _digits_shown(products),
        )
        found._read_products(products)
        for j in range(k):
            _require_same(weight, sum(group.weight for group in found.groups_of(j).values()))
        return found

    def groups_of(self, category: int) -> dict[str, Group]:
        """Those by the levels of one category alone."""
        return {
            keys[category]: group
            for keys, group in self.groups.items()
            if keys[category] and not any(keys[:category] + keys[category + 1 :])
        }

    def _read_products(self, products: Sequence[Line]) -> None:
        found: list[tuple[str, str, float, Floats]] = []
        for line, block in zip(products, self.layout.blocks, strict=True):
            off: Floats = _vector(line, "a", len(self.means)) - self.means
            found += [(a, b, _number(line, f"p{i}"), off) for i, (a, b) in enumerate(block)]
        # Means that the database has computed again may differ in their last digits: v about the
        # first means is v + δ (1 - m) of those about others. Flags first: the others need them.
        for a, b, value, delta in sorted(found, key=lambda f: (f[0][0] + f[1][0]).count("v")):
            i, j = int(a[1:]) - 1, int(b[1:]) - 1
            if a[0] == b[0] == "m":
                self.flag_flag[i, j] = self.flag_flag[j, i] = value
            elif a[0] == b[0]:
                both = self.weight - self.flags[i] - self.flags[j] + self.flag_flag[i, j]
                more = delta[i] * (self.values[j] - self.flag_value[i, j])
                more += delta[j] * (self.values[i] - self.flag_value[j, i])
                more -= delta[i] * delta[j] * both
                self.value_value[i, j] = self.value_value[j, i] = value + more
            else:
                i, j = (i, j) if a[0] == "m" else (j, i)
                self.flag_value[i, j] = value + delta[j] * (self.flags[i] - self.flag_flag[i, j])


def _groups(levels: Sequence[Line], means: Floats, k: int) -> dict[tuple[str, ...], Group]:
    found: dict[tuple[str, ...], Group] = {}
    for line in levels:
        keys = tuple("" if line[f"k{j}"] in _NULLS else line[f"k{j}"] for j in range(1, k + 1))
        weight = _number(line, "w")
        moved, values, flags = (_vector(line, name, len(means)) for name in ("a", "sv", "sm"))
        if keys in found or not 1 <= len(list(filter(None, keys))) <= 2:
            raise DataError(f"the levels {keys} stand twice, or are none: export the result once")
        found[keys] = Group(weight, values + (moved - means) * (weight - flags), flags)
    return found


def _require_sound(layout: SqlLayout, line: Line) -> None:
    """Refuse what the rows themselves would be refused for."""
    if layout.weight and (bad := round(_number(line, "n_bad_weight"))):
        raise DataError(
            f"{bad:,} rows of {layout.source} have a weight that is missing, negative or infinite "
            f"(column {layout.weight!r}); expected numbers >= 0"
        )
    for i, name in enumerate(layout.values, 1):
        low, high = _number(line, f"lo{i}"), _number(line, f"hi{i}")
        if np.isinf(low) or np.isinf(high):
            raise DataError(
                f"column {name!r} of {layout.source} holds infinite values; make them NULL or "
                "leave these rows out (SELECT … WHERE)"
            )
        gone = _number(line, f"sm{i}") if i <= len(layout.numbers) else 0.0
        if name in layout.not_null and gone:
            raise DataError(
                f"column {name!r} of {layout.source} has missing values, and --not-null said that "
                "it has none: write the statement without it"
            )
        for told in (f"a{i}", f"sv{i}"):
            if not isfinite(_number(line, told)):
                raise DataError(
                    f"sums of column {name!r} of {layout.source} are beyond float64; state it in a "
                    "larger unit"
                )


def _require_same(one: float, other: float) -> None:
    if not abs(one - other) <= _SAME * abs(one):
        raise DataError(
            f"its rows are sums of different rows (weights {one:,.9g} and {other:,.9g}): the table "
            "changed while the statement ran. Run it again, or on a copy"
        )


def _vector(line: Line, name: str, n: int) -> Floats:
    """The numbers name1 … nameN; flags are those of the numbers, 0 of the targets."""
    own = [f"{name}{i}" for i in range(1, n + 1)]
    return np.array([0.0 if name == "sm" and c not in line else _number(line, c) for c in own])


def _number(line: Line, column: str) -> float:
    """A number of the result; NaN where it is NULL."""
    text = line[column].strip()
    if text in _NULLS:
        return float("nan")
    try:
        return float(text)
    except ValueError:
        raise DataError(f"column {column!r}: found {text[:40]!r}, expected a number") from None


def _digits_shown(lines: Sequence[Line]) -> int:
    """To how many digits a file was written, where most numbers that are not whole have that many:
    a few short ones may be what they are.
    """
    texts = (re.fullmatch(_FRACTION, t.strip()) for line in lines for t in line.values())
    digits = [len((found[1] + found[2]).lstrip("0")) for found in texts if found]
    most = max(digits, default=_ALL_DIGITS)
    alike = sum(most - 1 <= d for d in digits)
    return most if len(digits) >= _MANY and alike > 0.6 * len(digits) else _ALL_DIGITS


def digits_kept(gram: Floats, terms: Sequence[int], rows: int, shown: int) -> int:
    """About how many digits of coefficients survive that sums were rounded.

    The relative error of n roundings grows as √n, and the condition number of the correlation
    matrix multiplies it (Higham 2002, *Accuracy and Stability of Numerical Algorithms*, section
    20.4: that of the normal equations).

    Parameters
    ----------
    gram : (q, q)
        Sums of products about means; the constant 1 is the first column.
    terms : list of int
        Columns that a model tells apart.
    rows : int
    shown : int
        To how many digits the sums are written.
    """
    at = np.array(terms, dtype=np.intp)
    centred = gram[np.ix_(at, at)] - np.outer(gram[0, at], gram[0, at]) / gram[0, 0]
    squares = np.diag(gram)[at]
    varies = np.diag(centred) > _CONSTANT * squares
    scale = np.sqrt(np.diag(centred)[varies])
    if not len(scale):
        return _FULL_DIGITS
    values = np.linalg.eigvalsh(centred[np.ix_(varies, varies)] / np.outer(scale, scale))
    rounding = max(np.finfo(float).eps * sqrt(rows), 10.0**-shown)
    least = max(float(values[0]), np.finfo(float).eps)
    return int(np.clip(np.floor(-log10(rounding * float(values[-1]) / least)), 0, _FULL_DIGITS))
