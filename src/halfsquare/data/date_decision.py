"""Which format the dates of a column have, decided from all its values."""

from __future__ import annotations

import re
from collections.abc import Sequence

from halfsquare.data.columns import ColumnReading
from halfsquare.data.date_format import (
    ISO,
    ISO_PATTERN,
    ORDERS,
    asked,
    date_sql,
    formats_of,
    in_words,
    is_clock,
    is_date,
    zones_in,
)
from halfsquare.data.findings import SHARE, Asked, Finding, TextColumn
from halfsquare.data.odd_cells import odd_cells, with_words
from halfsquare.data.shapes import Run, Shape
from halfsquare.data.sql import Kind
from halfsquare.errors import DataError


def decide_dates(
    run: Run, relation: str, column: TextColumn, shapes: list[Shape], known: int, said: Asked
) -> Finding | None:
    """The dates of a column of texts; None where too few values are dates of one format.

    ``known``: how many values are there, without those that stand for none.

    Raises
    ------
    DataError
        If dates of two orders take turns.
    """
    order, form = asked(said.dates) if said.dates else ("", "")
    candidates: dict[tuple[str, ...], str] = {}
    if form:
        candidates[(form,)] = ""
    else:
        iso = sum(s.count for s in shapes if re.fullmatch(ISO_PATTERN, s.example.strip()))
        if iso >= SHARE * known and not order:
            candidates[(ISO,)] = ""
        # Points divide day-first dates; with slashes the month first is as common.
        orders = ("dmy", "mdy", "ymd") if "." in shapes[0].text else ORDERS
        for one in (order,) if order else orders:
            fits = _formats(shapes, one)
            if fits:
                candidates.setdefault(fits, one)
    if not candidates:
        return None
    scores = []
    for formats, one in candidates.items():
        value = date_sql("v", formats)
        count, low, high, days = run(
            f"SELECT count(d), min(d), max(d), count(DISTINCT d) FROM (SELECT {value} AS d FROM "
            f"(SELECT {column.sql} AS v FROM {relation}))"
        )[0]
        scores.append((int(count), formats, one, low, high))
        del days
    most = max(s[0] for s in scores)
    if most < SHARE * known or not most:
        _require_one_order(run, relation, column, [s[1] for s in scores], known)
        return None
    best = [s for s in scores if s[0] == most]
    count, formats, one, low, high = best[0]
    kind: Kind = "time" if is_clock(formats) else "timestamp"
    reading = ColumnReading(kind, "VARCHAR", dates=formats, missing=said.missing)
    odd = odd_cells(run, relation, column, reading, said.words)
    for text in odd:
        if not text.means_none and is_date(text.text):
            raise DataError(
                f"column {column.name!r}, row {text.row}: found {text.text!r}, and the dates of "
                f"the other rows are {' or '.join(map(in_words, formats))}. Correct it, say how "
                f"dates are written (--dates), or read the column as it is (--text {column.name})"
            )
    doubt = ""
    if len(best) > 1 and kind == "timestamp" and ISO not in formats:
        other = best[1]
        doubt = (
            f"{shapes[0].example} is read as {in_words(formats[0])}, and could be "
            f"{in_words(other[1][0])}: --dates {other[2]} reads it so"
        )
    elif kind == "time":
        doubt = f"its times are those of a day; --number {column.name} takes them for durations"
    elif zones := zones_in(formats):
        doubt = (
            f"its times are those of the clock in {' and '.join(zones)}; they are not converted: "
            "offsets such as -05:00 are"
        )
    return Finding(with_words(reading, odd, column.name), odd, doubt, (float(low), float(high)))


def _require_one_order(
    run: Run, relation: str, column: TextColumn, candidates: Sequence[tuple[str, ...]], known: int
) -> None:
    """Refuse a column of dates whose days and months take turns: each alone fits too few."""
    if len(candidates) < 2:
        return
    values = [date_sql("v", formats) for formats in candidates]
    rows = (
        f"(SELECT row_number() OVER () AS i, {column.sql} AS v FROM {relation}) "
        f"WHERE coalesce({', '.join(values)}) IS NOT NULL"
    )
    if int(run(f"SELECT count(*) FROM {rows}")[0][0]) < SHARE * known:
        return
    firsts = []
    for k, value in enumerate(values):
        others = " AND ".join(f"{v} IS NULL" for j, v in enumerate(values) if j != k)
        firsts += run(
            f"SELECT i, v, {k} FROM {rows} AND {value} IS NOT NULL AND {others} ORDER BY i LIMIT 1"
        )
    if len(firsts) < 2:
        return
    told = " and ".join(
        f"{text!r} in row {row} is {in_words(candidates[k][0])}" for row, text, k in firsts[:2]
    )
    raise DataError(
        f"column {column.name!r} has dates of two orders: {told}. Write them alike, or read the "
        f"column as it is (--text {column.name})"
    )


def _formats(shapes: Sequence[Shape], order: str) -> tuple[str, ...]:
    """The formats of all shapes that are dates, the longest first."""
    found: set[str] = set()
    # May is a whole name and a short one: the other months say which.
    for shape in sorted(shapes, key=lambda s: "may" in s.text.lower()):
        form = formats_of(shape.text, order)
        if form and not ("may" in shape.text.lower() and form.replace("%b", "%B") in found):
            found.add(form)
    return tuple(sorted(found, key=lambda f: (-len(f), f)))
