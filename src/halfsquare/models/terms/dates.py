"""Dates and times in terms: their parts, and what a date is as a number.

Raw columns hold seconds: since 1970-01-01 of dates, since midnight of times of day. In arithmetic a
date is the days since 1970-01-01, as R's ``as.numeric(date)``, and a time of day its hours.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from halfsquare.loss import Floats
from halfsquare.models.terms.syntax import Binary, Call, Listed, Name, Node, Sign
from halfsquare.models.terms.tokens import refuse

_DAY, _HOUR = 86400.0, 3600.0
KINDS = ("timestamp", "time")
#: What a bare column is, by its kind.
_AS_NUMBER = {"timestamp": "days", "time": "hours"}
OF_DATES = ("days", "year", "quarter", "month", "day", "yday", "weekday")
OF_TIMES = ("hours", "hour", "minute")
PARTS = (*OF_DATES, *OF_TIMES)


def with_parts(node: Node, text: str, kinds: Mapping[str, str]) -> Node:
    """The node with every date in it as the number it stands for.

    Raises
    ------
    FormulaError
        With a caret at a part of what is no date.
    """
    if isinstance(node, Name):
        number = _AS_NUMBER.get(kinds.get(node.name, ""))
        return node if number is None else Call(node.at, number, (node,), ())
    if isinstance(node, Call) and node.function in PARTS:
        _check_part(node, text, kinds)
        return node
    if isinstance(node, Call):
        arguments = tuple(with_parts(a, text, kinds) for a in node.arguments)
        return replace(node, arguments=arguments)
    if isinstance(node, Binary):
        left, right = (with_parts(side, text, kinds) for side in (node.left, node.right))
        return replace(node, left=left, right=right)
    if isinstance(node, Sign):
        return replace(node, operand=with_parts(node.operand, text, kinds))
    if isinstance(node, Listed):
        return replace(node, items=tuple(with_parts(i, text, kinds) for i in node.items))
    return node


def _check_part(node: Call, text: str, kinds: Mapping[str, str]) -> None:
    given = node.arguments[0] if len(node.arguments) == 1 and not node.named else None
    if not isinstance(given, Name):
        refuse(text, node.at, f"{node.function} takes a column of dates: {node.function}(date)")
    kind = kinds.get(given.name)
    if kind is not None and kind not in KINDS:
        refuse(
            text,
            given.at,
            f"{node.function} takes dates, and column {given.name!r} is a {kind}; if it holds "
            "dates written in a form of their own, say it (--dates)",
        )
    if kind == "time" and node.function not in OF_TIMES:
        refuse(text, given.at, f"{given.name!r} is a time of day: it has no {node.function}")


def part(function: str, seconds: Floats) -> Floats:
    """A part of times (m,) in seconds; NaN where there is none.

    ``weekday`` counts from 1, Monday, to 7 (ISO 8601), ``yday`` from 1, 1 January; ``days`` and
    ``hours`` go on within the day.

    Examples
    --------
    >>> at = np.array([1706715000.0])  # 2024-01-31 15:30, a Wednesday
    >>> [float(part(name, at)[0]) for name in ("year", "month", "day", "weekday", "hour", "hours")]
    [2024.0, 1.0, 31.0, 3.0, 15.0, 474087.5]
    """
    if function == "days":
        return seconds / _DAY
    if function == "hours":
        return seconds / _HOUR
    gone = np.isnan(seconds)
    days = np.floor(np.where(gone, 0.0, seconds) / _DAY)
    within = np.where(gone, 0.0, seconds) - days * _DAY
    date = days.astype(np.int64).astype("datetime64[D]")
    found = _of_date(function, date, within)
    return np.where(gone, np.nan, found)


def _of_date(function: str, date: npt.NDArray[np.datetime64], within: Floats) -> Floats:
    year, month = date.astype("datetime64[Y]"), date.astype("datetime64[M]")
    months = (month - year.astype("datetime64[M]")).astype(np.int64)
    whole: Callable[[], Any] = {
        "year": lambda: year.astype(np.int64) + 1970,
        "quarter": lambda: months // 3 + 1,
        "month": lambda: months + 1,
        "day": lambda: (date - month.astype("datetime64[D]")).astype(np.int64) + 1,
        "yday": lambda: (date - year.astype("datetime64[D]")).astype(np.int64) + 1,
        "weekday": lambda: (date.astype(np.int64) + 3) % 7 + 1,  # 1970-01-01 was a Thursday
        "hour": lambda: np.floor(within / _HOUR),
        "minute": lambda: np.floor(within % _HOUR / 60.0),
    }[function]
    return np.asarray(whole(), dtype=np.float64)
