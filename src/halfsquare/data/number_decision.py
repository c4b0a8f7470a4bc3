"""Which format the numbers of a column have, decided from the shapes of all its values."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from halfsquare.data.columns import ColumnReading
from halfsquare.data.number_format import NUMBER, NumberFormat
from halfsquare.data.shapes import Shape

# Decimal and thousands mark, the simplest first.
_MARKS = (
    (".", ""), (",", ""), (".", ","), (",", "."), (".", " "), (",", " "), (".", "'"), (",", "'"),
    (".", "_"),
)  # fmt: skip


_LOOKED_AT = 60  # values of a column


def mark_in(columns: Iterable[Sequence[str]]) -> str:
    """The decimal mark of a table: that of columns whose numbers leave no doubt, such as 52,8 and
    0,125; "" where there are none, or they do not agree.

    Examples
    --------
    >>> mark_in([["223.975", "261.716"], ["52,8 m2", "106,4 m2"]]), mark_in([["1.250"], ["3"]])
    (',', '')
    """
    found = {m for values in columns if (m := _mark_of(values[:_LOOKED_AT]))}
    return found.pop() if len(found) == 1 else ""


def _mark_of(values: Sequence[str]) -> str:
    """The decimal mark that a column shows."""
    found: set[str] = set()
    for value in values:
        if "," not in value and "." not in value:
            continue
        match = NUMBER.fullmatch(value)
        if match is None:
            return ""
        body = re.split("[eE]", match["body"])[0]
        last = max(body.rfind(","), body.rfind("."))
        mark, before, after = body[last], body[:last], body[last + 1 :]
        if body.count(mark) > 1:
            continue  # groups, or a date
        groups = len(after) == 3 and before.isdigit() and len(before) < 4 and before[0] != "0"
        if not groups:
            found.add(mark)
    return found.pop() if len(found) == 1 else ""


def thousands_in(text: str | None, known: ColumnReading) -> str:
    """The thousands mark of a number whose decimal mark is known and whose column had none so far;
    "" where it is no number, or has none that is one.

    Examples
    --------
    >>> point = ColumnReading("number")
    >>> thousands_in("1,033.5", point), thousands_in("0,125", point), thousands_in("1.5", point)
    (',', '', '')
    """
    if (
        known.kind != "number"
        or known.duration
        or known.thousands
        or not text
        or re.match("[^1-9]*0", text)
    ):
        return ""
    for mark in (",", ".", " ", "'"):
        own = NumberFormat(known.decimal, mark, known.unit)
        if mark != known.decimal and own.matches(text) and not known.numbers.matches(text):
            return mark
    return ""


@dataclass(frozen=True)
class NumberDecision:
    """The format of a column, how many values it fits, and what else they might be.

    Attributes
    ----------
    other : NumberFormat or None
        A format that fits them as well and gives other numbers.
    """

    format: NumberFormat
    count: int
    other: NumberFormat | None = None


def decide_numbers(
    shapes: Sequence[Shape],
    decimal: str | None = None,
    thousands: str | None = None,
    *,
    points: bool = False,
    mark: str = "",
) -> NumberDecision:
    """The format that fits most values; of several, the simplest, see :func:`_by_groups`.

    ``mark``: the decimal mark of the table's other columns, where that is known. ``points``:
    whether a decimal comma is believed only where half of the values have a comma.
    """
    unit = _unit(shapes)
    formats = [
        NumberFormat(d, t, unit)
        for d, t in _MARKS
        if decimal in (None, d) and thousands in (None, t) and d != thousands
    ]
    commas = sum(s.count for s in shapes if "," in s.text)
    if points and decimal is None and commas < 0.5 * sum(s.count for s in shapes):
        formats = [f for f in formats if f.decimal != ","]
    if not formats:
        mark = decimal or ("," if thousands == "." else ".")
        formats = [NumberFormat(mark, thousands or "", unit)]
    counts = [sum(s.count for s in shapes if f.matches(s.example)) for f in formats]
    most = max(counts)
    best = [f for f, count in zip(formats, counts, strict=True) if count == most]
    chosen, other = best[0], None
    for rival in best[1:]:
        if rival.thousands == chosen.decimal and not chosen.thousands:
            if mark and mark != chosen.decimal:  # a table has one decimal mark
                chosen = rival
            else:
                chosen, other = _by_groups(shapes, chosen, rival)
            break
    return NumberDecision(chosen, most, other)


def _by_groups(
    shapes: Sequence[Shape], decimal: NumberFormat, groups: NumberFormat
) -> tuple[NumberFormat, NumberFormat | None]:
    """Whether 1.033 is a thousand and thirty-three.

    Every value with the mark has groups of three digits after it, or ``groups`` would not fit all.
    A leading zero speaks for a decimal mark; whole numbers of three digits, and none longer without
    the mark, for groups; without whole numbers a comma is taken for groups, a point for decimals.
    Returns the format chosen, and the other where it is possible too.
    """
    mark = decimal.decimal
    bodies = [(s, m["body"]) for s in shapes if (m := NUMBER.fullmatch(s.text))]
    marked = [s for s, body in bodies if mark in body]
    whole = [len(body) for _, body in bodies if mark not in body and body.isdigit()]
    if not marked:
        return decimal, None
    if any(s.zero for s in marked) or (whole and max(whole) > 3):
        return decimal, None
    grouped = max(whole) == 3 if whole else mark == ","
    return (groups, decimal) if grouped else (decimal, groups)


def _unit(shapes: Sequence[Shape]) -> str:
    """The unit that most numbers have, if any: 15A among numbers is a code."""
    found: dict[str, int] = {}
    numbers = 0
    for shape in shapes:
        match = NUMBER.fullmatch(shape.example)
        numbers += shape.count if match else 0
        for name in ("before", "after"):
            if match and match[name]:
                unit = match[name]
                # 1 day is of the unit of 2 days.
                unit = f"{unit}s" if f"{unit}s" in found else unit
                if unit.removesuffix("s") in found and unit.endswith("s"):
                    found[unit] = found.pop(unit.removesuffix("s"))
                found[unit] = found.get(unit, 0) + shape.count
    best = max(found, key=lambda unit: found[unit], default="")
    return best if best and found[best] >= 0.5 * numbers else ""
