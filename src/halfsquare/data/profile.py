"""What the texts of a table are: numbers, dates or levels. The whole column decides.

A column of texts is looked at more closely where some of its first values, or none, read as numbers
or dates: then all its values are counted by their shapes, in one pass for all such columns.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from halfsquare.data.columns import NO_NUMBER, ColumnReading
from halfsquare.data.date_decision import decide_dates
from halfsquare.data.date_format import ISO, ISO_PATTERN, is_date, is_period, of_digits
from halfsquare.data.durations import is_duration, longest_sql, may_be_part, no_time_of_day
from halfsquare.data.findings import SHARE, Asked, Finding, TextColumn
from halfsquare.data.number_decision import NumberDecision, decide_numbers
from halfsquare.data.number_format import is_numeric, unit_in
from halfsquare.data.odd_cells import odd_cells, with_words
from halfsquare.data.shapes import Run, Shape, shapes_of
from halfsquare.data.sql import quote_name, quote_text

_SAMPLE_ROWS = 2048
_SUSPECT = 0.5  # of the first values
_YEAR = re.compile(r"(?<!\d)(?:1[89]|20)\d\d(?!\d)|^P(?:\d+[YMWD]|T\d)")
_ISO = re.compile(ISO_PATTERN)
_SEASON = re.compile(r"\s*\d{4}[/-]\d{2}\s*", re.ASCII)


def first_values(
    run: Run, relation: str, columns: Sequence[TextColumn]
) -> dict[str, Sequence[str | None]]:
    """The first values of some columns of texts."""
    if not columns:
        return {}
    listed = ", ".join(c.sql for c in columns)
    rows = run(f"SELECT {listed} FROM {relation} LIMIT {_SAMPLE_ROWS}")
    return {
        c.name: [None if row[j] is None else str(row[j]) for row in rows]
        for j, c in enumerate(columns)
    }


def suspects(firsts: Mapping[str, Sequence[str | None]], asked_for: Asked) -> set[str]:
    """Which columns of texts may hold numbers or dates, after their first values."""
    found = set(firsts) & set(asked_for.number)
    if any(firsts.values()):
        for name, values in firsts.items():
            there = _there(values, asked_for)
            if sum(map(reads_as_value, there)) >= _SUSPECT * len(there):
                found.add(name)
    return found


def plain_dates(firsts: Mapping[str, Sequence[str | None]], asked_for: Asked) -> dict[str, Finding]:
    """Columns whose first values are all dates or times as the standard has them.

    They need no counting of shapes: a later value that is none of them is an error of the pass that
    reads it, and then all their values are looked at.
    """
    found = {}
    for name, values in firsts.items():
        there = _there(values, asked_for)
        if there and not asked_for.dates and all(map(_ISO.fullmatch, there)):
            reading = ColumnReading("timestamp", dates=(ISO,), missing=asked_for.missing)
            found[name] = Finding(reading)
    return found


def unread_dates(firsts: Mapping[str, Sequence[str | None]], asked_for: Asked) -> list[str]:
    """What is told of texts that look like dates of a kind that is not read."""
    said = []
    for name, values in firsts.items():
        there = _there(values, asked_for)
        odd = [v for v in there if _YEAR.search(v) and not reads_as_value(v)]
        if there and len(odd) >= SHARE * len(there):
            said.append(
                f"{name}: its texts look like dates of a kind that is not read, such as "
                f"{odd[0][:40]!r}; they are taken for levels. Write them as yyyy-mm-dd to have "
                "dates"
            )
    return said


def _there(values: Sequence[str | None], asked_for: Asked) -> list[str]:
    """Those that are no words for "no value"."""
    words = {w.strip().lower() for w in asked_for.words} | NO_NUMBER
    return [v for v in values if v is not None and v.strip().lower() not in words]


def reads_as_value(text: str) -> bool:
    """Whether a text reads as a number, a date, or true or false."""
    return (
        (len(text) < 60 and (text.strip().lower() in ("true", "false")))
        or is_numeric(text)
        or is_date(text)
        or is_duration(text)
    )


def profile(
    run: Run, relation: str, columns: Sequence[TextColumn], asked_for: Asked
) -> dict[str, Finding]:
    """The findings on columns of texts, from all their rows; none for those that are texts."""
    if not columns:
        return {}
    found: dict[str, Finding] = {}
    for column, shapes, total in shapes_of(run, relation, columns):
        words = {w.strip().lower() for w in asked_for.words} | {""}
        kept = [s for s in shapes if s.example.strip().lower() not in words]
        own = total - sum(s.count for s in shapes) + sum(s.count for s in kept)
        one = _finding(run, relation, column, kept, own, asked_for)
        if one is not None:
            found[column.name] = one
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
        dates = decide_dates(run, relation, column, counted, known, said)
        if dates is not None:
            return dates
    seasons = None if forced or said.dates else _seasons(run, relation, column, counted)
    if seasons is not None:
        return seasons
    spans = _durations(run, relation, column, counted, known, said)
    if spans is not None:
        return spans
    if sum(s.count for s in counted if is_period(s.text)) >= SHARE * known and not forced:
        return decide_dates(run, relation, column, counted, known, said)
    numbers = _decided(column, counted, said) if counted else None
    if forced or numbers is None or numbers.count >= SHARE * known:
        return _numbers(run, relation, column, shapes, said, forced)
    dates = decide_dates(run, relation, column, counted, known, said)
    return dates or _several_units(counted, known)


def _durations(
    run: Run, relation: str, column: TextColumn, shapes: list[Shape], known: int, said: Asked
) -> Finding | None:
    """A column of durations: what can be a time of day throughout is one, unless numbers are asked
    for.
    """
    own = [s for s in shapes if is_duration(s.example)]
    if any(":" not in s.example for s in own):
        own += [s for s in shapes if may_be_part(s.example)]
    forced = column.name in said.number
    if not own or sum(s.count for s in own) < SHARE * known:
        return None
    if not forced and not any(no_time_of_day(s.example) for s in own):
        ((most,),) = run(f"SELECT max({longest_sql(column.sql)}) FROM {relation}")
        if most is None or most < 24:
            return None
    reading = ColumnReading("number", unit="days", missing=said.missing, duration=True)
    odd = odd_cells(run, relation, column, reading, said.words)
    short = next((s.example for s in own if s.example.count(":") == 1), None)
    doubt = f"{short} is read as hours and minutes" if short else ""
    reading = replace(with_words(reading, odd, column.name), lenient=forced)
    return Finding(reading, odd, doubt)


def _seasons(
    run: Run, relation: str, column: TextColumn, shapes: Sequence[Shape]
) -> Finding | None:
    """A column of seasons such as 2001/02: each year with the next one."""
    if not shapes or not all(_SEASON.fullmatch(s.example) for s in shapes):
        return None
    year, then = (f"TRY_CAST({part} AS INTEGER)" for part in ("left(v, 4)", "right(v, 2)"))
    ((other, several),) = run(
        f"SELECT count(*) FILTER (({year} + 1) % 100 IS DISTINCT FROM {then}), "
        f"count(DISTINCT {year}) > 1 FROM (SELECT trim({column.sql}) AS v FROM {relation}) "
        f"WHERE regexp_full_match(v, {quote_text(_SEASON.pattern)})"
    )
    if other or not several:
        return None
    name = quote_name(column.name)
    return Finding(
        ColumnReading("text"),
        doubt=f"its texts are seasons, such as {shapes[0].example.strip()}, and are read as "
        f"levels; a query takes the first years for numbers: SELECT left({name}, 4)::INT AS "
        f"{name}, * EXCLUDE ({name}) FROM …",
    )


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
    odd = odd_cells(run, relation, column, reading, said.words)
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
    return Finding(with_words(reading, odd, column.name), odd, doubt, marks=marks)


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
