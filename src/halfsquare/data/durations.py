"""Durations that are written as texts, such as 36:15:00 or 1 days 06:00:00: numbers of days."""

from __future__ import annotations

import re

from halfsquare.data.sql import quote_text

_PATTERN = r"\s*([+-]?)(?:(\d+) days?,? ?)?([+-]?)(\d+):([0-5]?\d)(?::([0-5]?\d(?:[.,]\d+)?))?\s*"
_DURATION = re.compile(_PATTERN, re.ASCII)


def is_duration(text: str) -> bool:
    """Whether it reads as one; a time of day does so too."""
    return _DURATION.fullmatch(text) is not None


def no_time_of_day(text: str) -> bool:
    """Whether a duration can be none: it has days, a sign, or 24 hours and more.

    Examples
    --------
    >>> [no_time_of_day(t) for t in ("36:15:00", "1 days 06:00:00", "-0:30", "23:59:59")]
    [True, True, True, False]
    """
    match = _DURATION.fullmatch(text)
    return match is not None and bool(match[1] or match[2] or match[3] or int(match[4]) >= 24)


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
    return f"({first} * {days} + {second} * {clock})"


def _part(text: str, group: int) -> str:
    return f"regexp_extract({text}, {quote_text(f'^{_PATTERN}$')}, {group})"
