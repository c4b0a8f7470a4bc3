"""Columns of numbers that count time from a fixed day, as computers and spreadsheets do."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from halfsquare.data.source_column import SourceColumn
from halfsquare.data.sql import quote_name

_NAMED = re.compile(
    r"(?:^|[^a-z])(?:ts|time|date|datum|day|stamp|timestamp|epoch|unix|fecha|datetime|when|"
    r"created|updated|modified)(?:$|[^a-z])|(?:time|date|stamp)$|(?:_at|At)$",
    re.IGNORECASE,
)
_FIRST, _LAST = 946_684_800, 4_102_444_800  # 2000 and 2100, in seconds since 1970
_PER_SECOND = {"seconds": 1, "milliseconds": 10**3, "microseconds": 10**6, "nanoseconds": 10**9}
_SHEET_FIRST, _SHEET_LAST = 20_000, 73_051  # 1954 and 2100, in days of a spreadsheet
_DAY_ZERO = datetime(1899, 12, 30, tzinfo=UTC)


def instants_in_numbers(column: SourceColumn, low: float, high: float) -> list[str]:
    """What is to be said of a column that is called like a time and whose numbers, from ``low`` to
    ``high``, are those of one; nothing of any other.
    """
    if column.kind != "number" or not _NAMED.search(column.name):
        return []
    base, name = int(column.base or 0), quote_name(column.name)
    low, high = low + base, high + base
    for unit, per in _PER_SECOND.items():
        if _FIRST * per <= low <= high <= _LAST * per:
            first, last = (datetime.fromtimestamp(v / per, UTC) for v in (low, high))
            made = f"make_timestamp_ns({name}::BIGINT)"
            if per < 10**9:
                made = f"make_timestamp(({name} * {10**6 // per})::BIGINT)"
            return [_said(column.name, f"{unit} since 1970", first, last, made)]
    if _SHEET_FIRST <= low <= high <= _SHEET_LAST:
        first, last = (_DAY_ZERO + timedelta(days=v) for v in (low, high))
        made = f"DATE '1899-12-30' + {name}::INT"
        return [_said(column.name, "a spreadsheet's days", first, last, made)]
    return []


def _said(name: str, what: str, first: datetime, last: datetime, made: str) -> str:
    quoted = quote_name(name)
    return (
        f"{name}: its numbers could be {what}, from {first.date()} to {last.date()}, and are taken "
        f"for numbers; a query takes them for dates: SELECT {made} AS {quoted}, "
        f"* EXCLUDE ({quoted}) FROM …"
    )
