"""What the texts of a table are: numbers, dates or levels. The whole column decides.

A column of texts is looked at more closely where some of its first values, or none, read as numbers
or dates: then all its values are counted by their shapes, in one pass for all such columns.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from halfsquare.data.columns import NO_NUMBER, ColumnReading
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
    of_digits,
)
from halfsquare.data.findings import Asked, Finding, Odd, TextColumn
from halfsquare.data.number_format import NumberDecision, Shape, decide_numbers, is_numeric, unit_in
from halfsquare.data.sql import Kind, is_one_of
from halfsquare.errors import DataError, NotFiniteError

SHARE = 0.9  # of the values of a column that have to be numbers (or dates) for it to be one of them
_SUSPECT = 0.5  # of the first values
_SAMPLE_ROWS, _MOST_SHAPES, _MOST_WORDS = 2048, 5000, 1000
Run = Callable[[str], list[tuple[Any, ...]]]


def suspects(run: Run, relation: str, columns: Sequence[TextColumn], asked_for: Asked) -> set[str]:
    """Which columns of texts may hold numbers or dates, after their first values."""
    found = {c.name for c in columns if c.name in asked_for.number}
    if not columns:
        return found
    listed = ", ".join(c.sql for c in columns)
    rows = run(f"SELECT {listed} FROM {relation} LIMIT {_SAMPLE_ROWS}")
    words = {w.strip().lower() for w in asked_for.words} | NO_NUMBER
    for j, column in enumerate(columns):
        values = [str(row[j]) for row in rows if row[j] is not None]
        values = [v for v in values if v.strip().lower() not in words]
        if sum(map(reads_as_value, values)) >= _SUSPECT * len(values) and rows:
            found.add(column.name)
    return found


def reads_as_value(text: str) -> bool:
    """Whether a text reads as a number, a date, or true or false."""
    return (
        (len(text) < 60 and (text.strip().lower() in ("true", "false")))
        or is_numeric(text)
        or is_date(text)
    )


def profile(
    run: Run, relation: str, columns: Sequence[TextColumn], asked_for: Asked
) -> dict[str, Finding]:
    """The findings on columns of texts, from all their rows; none for those that are texts."""
    if not columns:
        return {}
    found: dict[str, Finding] = {}
    for column, shapes, total in _shapes(run, relation, columns):
        words = {w.strip().lower() for w in asked_for.words} | {""}
        kept = [s for s in shapes if s.example.strip().lower() not in words]
        own = total - sum(s.count for s in shapes) + sum(s.count for s in kept)
        one = _finding(run, relation, column, kept, own, asked_for)
        if one is not None:
            found[column.name] = one
    return found


def _shapes(
    run: Run, relation: str, columns: Sequence[TextColumn]
) -> list[tuple[TextColumn, list[Shape], int]]:
    """The shapes of the values of each column, and how many values there are."""
    listed = ", ".join(f"{c.sql} AS c{j}" for j, c in enumerate(columns))
    names = ", ".join(f"c{j}" for j in range(len(columns)))
    rows = run(
        f"WITH t AS (SELECT row_number() OVER () AS i, {listed} FROM {relation}), "
        f"long AS (FROM t UNPIVOT (v FOR c IN ({names}))), "
        "g AS (SELECT c, left(regexp_replace(v, '[0-9]', '9', 'g'), 60) AS s, "
        "regexp_matches(v, '^[^1-9]*0') AS z, count(*) AS n, min(i) AS i, arg_min(v, i) AS v "
        "FROM long GROUP BY ALL) "
        "SELECT c, s, z, n, i, v, (sum(n) OVER (PARTITION BY c))::BIGINT FROM g "
        f"QUALIFY row_number() OVER (PARTITION BY c ORDER BY n DESC, i) <= {_MOST_SHAPES}"
    )
    found = []
    for j, column in enumerate(columns):
        own = sorted((r for r in rows if r[0] == f"c{j}"), key=lambda r: (-r[3], r[4]))
        shapes = [Shape(str(s), bool(z), int(n), int(i), str(v)) for _, s, z, n, i, v, _ in own]
        found.append((column, shapes, int(own[0][6]) if own else 0))
    return found


def _finding(
    run: Run, relation: str, column: TextColumn, shapes: list[Shape], total: int, said: Asked
) -> Finding | None:
    forced = column.name in said.number
    if not shapes:
        return Finding(ColumnReading("number", missing=said.missing, lenient=forced))
    if {s.example.strip().lower() for s in shapes} <= {"true", "false"}:
        return Finding(ColumnReading("boolean", missing=said.missing))
    counted = [s for s in shapes if s.example.strip().lower() not in NO_NUMBER]
    known = total - sum(s.count for s in shapes) + sum(s.count for s in counted)
    if of_digits(said.dates) and not forced:
        dates = _dates(run, relation, column, counted, known, said)
        if dates is not None:
            return dates
    numbers = _decided(column, counted, said) if counted else None
    if forced or numbers is None or numbers.count >= SHARE * known:
        return _numbers(run, relation, column, shapes, said, forced)
    dates = _dates(run, relation, column, counted, known, said)
    return dates or _several_units(counted, known)


def _decided(column: TextColumn, shapes: Sequence[Shape], said: Asked) -> NumberDecision:
    return decide_numbers(
        shapes, said.decimal, said.thousands, points=column.points, mark=column.mark
    )


def _several_units(shapes: Sequence[Shape], known: int) -> Finding | None:
    """A column of numbers that have more than one unit: 1.5 kg, 900 g."""
    units: dict[str, int] = {}
    for shape in shapes:
        unit = unit_in(shape.example)
        if unit is not None:
            units[unit] = units.get(unit, 0) + shape.count
    if len(units) < 2 or sum(units.values()) < SHARE * known:
        return None
    named = sorted(units, key=lambda unit: -units[unit])
    shown = ", ".join(repr(unit) if unit else "none" for unit in named[:4])
    return Finding(
        ColumnReading("text"),
        doubt=f"its numbers have different units ({shown}); it is read as text: bring them to one",
    )


def _numbers(
    run: Run, relation: str, column: TextColumn, shapes: list[Shape], said: Asked, forced: bool
) -> Finding:
    counted = [s for s in shapes if s.example.strip().lower() not in NO_NUMBER]
    decision = _decided(column, counted or shapes, said)
    form = decision.format
    reading = ColumnReading(
        "number", "VARCHAR", form.decimal, form.thousands, form.unit, (), said.missing, forced
    )
    odd = _odd(run, relation, column, reading, said.words)
    doubt = ""
    if decision.other is not None:
        example = next(s.example for s in counted if form.decimal in s.example
                       or (form.thousands and form.thousands in s.example))  # fmt: skip
        other = decision.other
        ways = {
            f.thousands: "a whole number" if f.thousands else "a fraction" for f in (form, other)
        }
        doubt = (
            f"{example} is read as {ways[form.thousands]}, and could be {ways[other.thousands]}: "
            f"--decimal '{other.decimal}'"
            + (f" --thousands '{other.thousands}'" if other.thousands else "")
            + " reads it so"
        )
    elif form.unit and (bare := [s for s in counted if unit_in(s.example) == ""]):
        doubt = (
            f"{sum(s.count for s in bare):,} of its numbers, such as {bare[0].example} in row "
            f"{bare[0].row}, have no unit, the others {form.unit!r}"
        )
    elif any(s.zero and re.match(r"\d\d", s.example) for s in counted):
        example = next(s.example for s in counted if s.zero and re.match(r"\d\d", s.example))
        doubt = (
            f"{example} has leading zeros and is read as a number; a code is a category: "
            f"--category {column.name}"
        )
    marks = form.marks_in(s.example for s in counted)
    return Finding(_with_words(reading, odd, column.name), odd, doubt, marks=marks)


def _with_words(reading: ColumnReading, odd: Sequence[Odd], name: str) -> ColumnReading:
    from dataclasses import replace

    if len(odd) > _MOST_WORDS and not reading.lenient:
        raise DataError(
            f"column {name!r} holds numbers and more than {_MOST_WORDS} different texts, such as "
            f"{odd[0].text!r} in row {odd[0].row}: --number {name} takes texts for missing values, "
            f"--category {name} takes all for levels"
        )
    for one in odd:
        if one.text.strip().lower().lstrip("+-") in ("inf", "infinity") and not reading.lenient:
            raise NotFiniteError(
                f"row {one.row}, column {name!r}: found {one.text}, expected a finite number. "
                "Correct it, or leave it empty if it is not known"
            )
    words = dict.fromkeys((*reading.missing, *(o.text.strip() for o in odd)))
    return replace(reading, missing=() if reading.lenient else tuple(w for w in words if w))


def _odd(
    run: Run, relation: str, column: TextColumn, reading: ColumnReading, words: Sequence[str]
) -> tuple[Odd, ...]:
    """What is no value in that reading, with the row of the first."""
    none = is_one_of("trim(v)", ("", *words))
    rows = run(
        f"SELECT v, count(*), min(i) FROM (SELECT row_number() OVER () AS i, {column.sql} AS v "
        f"FROM {relation}) WHERE v IS NOT NULL AND NOT {none} "
        f"AND ({reading.parsed('v')}) IS NULL GROUP BY v ORDER BY 2 DESC, 3 LIMIT {_MOST_WORDS + 1}"
    )
    return tuple(Odd(str(v), int(n), int(i)) for v, n, i in rows)


def _dates(
    run: Run, relation: str, column: TextColumn, shapes: list[Shape], known: int, said: Asked
) -> Finding | None:
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
    odd = _odd(run, relation, column, reading, said.words)
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
    return Finding(_with_words(reading, odd, column.name), odd, doubt, (float(low), float(high)))


def _require_one_order(
    run: Run,
    relation: str,
    column: TextColumn,
    candidates: Sequence[tuple[str, ...]],
    known: int,
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


def late_texts(levels: Mapping[str, Sequence[str]], weights: Mapping[str, Any]) -> list[str]:
    """Columns that were read as texts and whose values are numbers or dates all the same."""
    found = []
    for name, texts in levels.items():
        counts = weights[name]
        values = [(t, float(counts[j])) for j, t in enumerate(texts[: len(counts)])]
        total = sum(n for t, n in values if t.strip().lower() not in NO_NUMBER)
        if total and sum(n for t, n in values if reads_as_value(t)) >= SHARE * total:
            found.append(name)
    return found
