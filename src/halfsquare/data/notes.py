"""How a table was read, told: for each column its reading, and first what is suspicious."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np

from halfsquare.data.bases import merged_numbers
from halfsquare.data.columns import ColumnReading
from halfsquare.data.date_format import in_words
from halfsquare.data.findings import Finding
from halfsquare.data.instants import instants_in_numbers
from halfsquare.data.scan import Scanned
from halfsquare.data.source import Source
from halfsquare.data.source_column import SourceColumn
from halfsquare.data.sql import quote_text
from halfsquare.data.statistics import NumberStatistics
from halfsquare.data.totals import first_row, is_total, total_among, totals_beside
from halfsquare.data.whole_numbers import EXACT

_SHOWN = 5
_MOST_LEVELS = 1000
# Numbers that stand for "no value" in many tables, where they lie far outside.
_SENTINELS = {float(s * v) for v in (99, 999, 9999, 99999, 999999) for s in (1, -1)} | {-1.0}
_FINE = 1e-10
_DATED = {"%Y%m%d": (19_000_101, 21_001_231), "%Y%m": (190_001, 210_012)}  # from, to
_DECISIVE = 0.5  # of a column's spread, that one row makes alone


def how_it_was_read(source: Source, scanned: Scanned) -> dict[str, Any]:
    """JSON values: ``suspicious`` (sentences), ``columns``, ``file``."""
    roles = scanned.roles
    both = scanned.train.merge(scanned.test)
    numbers = both.numbers
    columns, suspicious = [], [*(f"{text}." for text in (*source.remarks, *source.met))]
    for j, column in enumerate(roles.scanned):
        finding = source.findings.get(column.name)
        reading = source.reading.columns.get(column.name)
        one: dict[str, Any] = {
            "name": column.name,
            "read_as": _read_as(source, column, finding, reading),
        }
        if column.kind == "text":
            levels = both.levels.get(j)
            suspicious += _spelled_alike(column.name, scanned.levels.get(column.name, ()))
            suspicious += total_among(source, column, scanned.levels.get(column.name, ()), levels)
            one["missing"] = float(levels[1]) if levels is not None else 0.0
        else:
            one["missing"] = float(numbers.missing[j])
            if numbers.weight[j] > 0:
                low, high = float(numbers.minimum[j]), float(numbers.maximum[j])
                one["from"], one["to"] = (_shown(column, v) for v in (low, high))
        if reading and reading.unit and not finding:
            one["unit"] = reading.unit
        if finding is not None:
            one["odd"] = [vars(o) for o in finding.odd[:_SHOWN]]
            suspicious += _of_finding(column.name, finding)
            if finding.reading.dates and "from" in one:
                suspicious.append(
                    f"{column.name}: {finding.reading.told}, from {one['from']} to {one['to']}."
                )
        elif column.name in source.mixed and column.kind == "text":
            suspicious.append(
                f"{column.name}: some of its texts are numbers or dates, and too few for a column "
                f"of them; it is read as text (--number {column.name} takes the rest for missing)."
            )
        columns.append(one)
    suspicious += totals_beside(source, roles.scanned, scanned.table.rows)
    suspicious += _standing_apart(source, scanned, numbers)
    return {"suspicious": suspicious, "columns": columns, "file": dict(source.reading.file)}


def _read_as(
    source: Source, column: SourceColumn, finding: Finding | None, reading: ColumnReading | None
) -> str:
    if finding is not None:
        return finding.told
    if column.base:
        return f"number (less {column.base})"
    bare = source.table is not None and column.name in source.table.bare
    if reading is None or (bare and column.kind == "number"):  # whole numbers hold no mark
        return column.kind
    return reading.told


def _spelled_alike(name: str, levels: Sequence[str]) -> list[str]:
    """Levels that differ in large letters and spaces alone."""
    found: dict[str, list[str]] = {}
    for level in levels if len(levels) <= _MOST_LEVELS else ():
        found.setdefault(" ".join(level.split()).casefold(), []).append(level)
    several = [own for own in found.values() if len(own) > 1]
    if not several:
        return []
    shown = "; ".join(", ".join(map(repr, own[:4])) for own in several[:3])
    return [f"{name}: levels that differ in large letters or spaces alone are apart: {shown}."]


def _of_finding(name: str, finding: Any) -> list[str]:
    said = []
    reading = finding.reading
    if finding.odd:
        count = sum(o.count for o in finding.odd)
        shown = ", ".join(f"{o.text!r} (row {o.row})" for o in finding.odd[:3])
        more = " …" if len(finding.odd) > 3 else ""
        what = "no number" if reading.kind == "number" else "no date"
        said.append(
            f"{name}: {count:,} value{'s' if count > 1 else ''} that {'are' if count > 1 else 'is'}"
            f" {what}, read as missing: {shown}{more}."
        )
        repeated = next((o for o in finding.odd if o.text.strip() == name), None)
        if repeated is not None:
            said.append(f"Row {repeated.row} repeats the header.")
        total = next((o for o in finding.odd if is_total(o.text)), None)
        if total is not None:
            said.append(f"Row {total.row} looks like a total of the others ({total.text!r}).")
    if finding.marks is not None and not finding.marks.plain:
        said.append(f"{name}: {finding.told}.")
    if reading.duration:
        said.append(f"{name}: durations, read as numbers of days.")
    if finding.doubt:
        said.append(f"{name}: {finding.doubt}.")
    return said


def _shown(column: SourceColumn, value: float) -> Any:
    if column.kind == "time" and 0 <= value < 86400:
        seconds = timedelta(seconds=value)
        clock = (datetime.min + seconds).time()
        return clock.isoformat("minutes" if value % 60 == 0 else "auto")
    if column.base:
        return int(column.base) + int(value) if value.is_integer() else float(column.base) + value
    if column.kind != "timestamp":
        return value
    try:
        when = datetime.fromtimestamp(value, UTC)
    except (OverflowError, OSError, ValueError):
        return value
    return when.date().isoformat() if value % 86400 == 0 else when.isoformat()[:19]


def _standing_apart(source: Source, scanned: Scanned, numbers: NumberStatistics) -> list[str]:
    """Rows that are not like the others: a value for "no value", one row that decides a column."""
    said, roles = [], scanned.roles
    for j, column in enumerate(roles.scanned):
        weight, variance = float(numbers.weight[j]), float(numbers.variance[j])
        if column.kind != "number" or column.lag is not None or not weight > 0:
            continue
        low, high = float(numbers.minimum[j]), float(numbers.maximum[j])
        mean = float(numbers.mean[j])
        merged = merged_numbers(source, column) if max(-low, high) >= EXACT else None
        if merged is not None:
            codes = (
                "" if column in roles.targets else f"codes are read by --category {column.name}, "
            )
            said.append(
                f"{column.name}: {merged[0]:,} different whole numbers near {mean:g} are "
                f"{merged[1]:,} in float64; {codes}from quantities subtract what they have in "
                "common."
            )
        if column.base:
            then = (
                "errors and figures are of the differences, predictions have it back."
                if column in roles.targets
                else f"codes are read by --category {column.name}."
            )
            said.append(
                f"{column.name}: whole numbers that float64 would merge, taken less {column.base}; "
                f"{then}"
            )
        if column in roles.targets and low == high and weight > 1:
            said.append(
                f"{column.name}: every row has the target {_shown(column, low):g}; a constant can "
                "be fitted, and nothing can be learned of it (R² is not defined)."
            )
        if not variance > 0 or weight < 8 or column is roles.weight:
            continue
        if merged is None and min(abs(low), abs(high)) >= EXACT and variance < (_FINE * mean) ** 2:
            said.append(
                f"{column.name}: its numbers, near {mean:g}, differ in digits that float64 does "
                "not hold; subtract what they have in common."
            )
        for form, (first, last) in _DATED.items():
            if low >= first and high <= last and _all_dates(source, column, form):
                written = in_words(form)
                said.append(
                    f"{column.name}: its numbers from {low:.0f} to {high:.0f} read as dates, "
                    f"{written}, and are taken for numbers: --dates {written} reads them so."
                )
        said += instants_in_numbers(column, low, high)
        far = max((low, high), key=lambda v: abs(v - mean))
        if far in _SENTINELS:
            said += _sentinel(source, scanned, j, far, low if far == high else high)
        elif (far - mean) ** 2 / weight > _DECISIVE * variance:
            row = _row_of(source, column, far)
            said.append(
                f"{column.name}: row {row} ({far:g}) stands apart from all others and decides "
                "most of what this column says."
            )
    return said


def _all_dates(source: Source, column: SourceColumn, form: str) -> bool:
    """Whether every number is a date of that form."""
    parsed = f"try_strptime({column.digits.stored}, {quote_text(form)})"
    (count,) = source.run(
        f"SELECT count(*) FILTER ({parsed} IS NULL) FROM {source.relation} "
        f"WHERE {column.stored} IS NOT NULL"
    )[0]
    return int(count) == 0


def _sentinel(source: Source, scanned: Scanned, j: int, value: float, other: float) -> list[str]:
    """A number such as -999 that lies further from its neighbour than all the rest spreads."""
    column = scanned.roles.scanned[j]
    count, near = _beside(source, scanned, j, value, above=value < other)
    if near is None or abs(value - float(near)) <= abs(float(near) - other):
        return []
    return [
        f"{column.name}: {value:g} stands {int(count):,} time{'s' if count > 1 else ''} far from "
        f"all other values (from {min(near, other):g} to {max(near, other):g}); if it means no "
        f"value: --missing {value:g}."
    ]


def _beside(
    source: Source, scanned: Scanned, j: int, value: float, *, above: bool
) -> tuple[int, float | None]:
    """How often a value stands in a column, and its neighbour above or below."""
    if not scanned.table.here:
        own = scanned.roles.scanned[j].number
        beside = f"min(v) FILTER (v > {value!r})" if above else f"max(v) FILTER (v < {value!r})"
        ((count, near),) = source.run(
            f"SELECT count(*) FILTER (v = {value!r}), {beside} "
            f"FROM (SELECT {own} AS v FROM {source.relation})"
        )
        return int(count), near
    count, near = 0, np.inf
    for index in range(len(scanned.table.sizes)):
        values = scanned.table.read(index)[j]
        count += int(np.count_nonzero(values == value))
        others = values[values > value] if above else -values[values < value]
        near = min(near, float(others.min(initial=np.inf)))
    return count, None if near == np.inf else near if above else -near


def _row_of(source: Source, column: SourceColumn, value: float) -> int:
    return first_row(source, f"{column.number} = {value!r}")
