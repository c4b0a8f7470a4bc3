"""Durations that are written as texts, such as 36:15:00, 1 days 06:00:00 or 3h 12m: numbers of
days.
"""

from __future__ import annotations

import re

from halfsquare.data.sql import quote_text

_PATTERN = r"\s*([+-]?)(?:(\d+) days?,? ?)?([+-]?)(\d+):([0-5]?\d)(?::([0-5]?\d(?:[.,]\d+)?))?\s*"
_DURATION = re.compile(_PATTERN, re.ASCII)
_NUMBER = r"(\d+(?:[.,]\d+)?)"
# With units, as 3h 12m or PT3H12M; each part may be missing.
_WORDED = (
    rf"\s*([+-]?)P?(?:{_NUMBER} ?d(?:ays?)?,?)? ?T?(?:{_NUMBER} ?h(?:ours?|rs?)?,?)? ?"
    rf"(?:{_NUMBER} ?m(?:in(?:ute)?s?)?,?)? ?(?:{_NUMBER} ?s(?:ec(?:ond)?s?)?)?\s*"
)
_IN_UNITS = re.compile(_WORDED, re.ASCII | re.IGNORECASE)
_SECONDS = (86400, 3600, 60, 1)


def is_duration(text: str) -> bool:
    """Whether it reads as one; a time of day does so too."""
    return _DURATION.fullmatch(text) is not None or _parts_in_units(text) > 1


def may_be_part(text: str) -> bool:
    """Whether it is one beside others with units: of 12m alone it is not known what it counts."""
    return _parts_in_units(text) == 1


def _parts_in_units(text: str) -> int:
    match = _IN_UNITS.fullmatch(text)
    return 0 if match is None else sum(part is not None for part in match.groups()[1:])


def no_time_of_day(text: str) -> bool:
    """Whether a duration can be none: it has units, days, a sign, or 24 hours and more.

    Examples
    --------
    >>> [no_time_of_day(t) for t in ("36:15:00", "1 days 06:00:00", "3h 12m", "23:59:59")]
    [True, True, True, False]
    """
    match = _DURATION.fullmatch(text)
    if match is None:
        return is_duration(text)
    return bool(match[1] or match[2] or match[3] or int(match[4]) >= 24)


def longest_sql(text: str) -> str:
    """SQL for the hours that the SQL ``text`` names beside its days."""
    return f"TRY_CAST({_part(text, 4)} AS DOUBLE)"


def duration_sql(text: str) -> str:
    """SQL for the days that are written as the SQL ``text``; NULL where it is no duration.

    A sign before the days is theirs, as in -1 days +23:00:00; without days, it is that of all.
    """
    days = f"coalesce(TRY_CAST({_part(text, 2)} AS DOUBLE), 0)"
    seconds = f"coalesce(TRY_CAST(replace({_part(text, 6)}, ',', '.') AS DOUBLE), 0)"
    hours = f"TRY_CAST({_part(text, 4)} AS DOUBLE)"
    minutes = f"TRY_CAST({_part(text, 5)} AS DOUBLE)"
    clock = f"({hours} * 3600 + {minutes} * 60 + {seconds}) / 86400"
    first = f"(CASE WHEN {_part(text, 1)} = '-' THEN -1 ELSE 1 END)"
    second = f"(CASE WHEN '-' IN ({_part(text, 3)}, CASE WHEN {_part(text, 2)} = '' THEN "
    second += f"{_part(text, 1)} ELSE '' END) THEN -1 ELSE 1 END)"
    return f"coalesce({first} * {days} + {second} * {clock}, {_in_units_sql(text)})"


def _in_units_sql(text: str) -> str:
    """SQL for the days of a text such as 3h 12m; NULL where it is none."""

    def part(group: int) -> str:
        found = f"regexp_extract({text}, {quote_text(f'^{_WORDED}$')}, {group}, 'i')"
        return found if group == 1 else f"TRY_CAST(replace({found}, ',', '.') AS DOUBLE)"

    seconds = [f"{s} * {part(2 + j)}" for j, s in enumerate(_SECONDS)]
    some = f"coalesce({', '.join(part(2 + j) for j in range(4))}) IS NOT NULL"
    total = " + ".join(f"coalesce({each}, 0)" for each in seconds)
    sign = f"(CASE WHEN {part(1)} = '-' THEN -1 ELSE 1 END)"
    return f"(CASE WHEN {some} THEN {sign} * ({total}) / 86400.0 END)"


def _part(text: str, group: int) -> str:
    return f"regexp_extract({text}, {quote_text(f'^{_PATTERN}$')}, {group})"
