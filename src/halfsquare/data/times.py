"""Dates and times as numbers a model can use: a trend, the time of day, the weekday, the season."""

from __future__ import annotations

import numpy as np

from halfsquare.loss import Floats

_DAY = 86400.0
_YEAR = 365.2425
WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")

TREND = ("day",)
TIME_OF_DAY = ("time of day sin 1", "time of day cos 1", "time of day sin 2", "time of day cos 2")
WEEKDAY = WEEKDAYS[1:]  # the reference is Monday
SEASON = ("season sin 1", "season cos 1", "season sin 2", "season cos 2")
PARTS = (*TREND, *TIME_OF_DAY, *WEEKDAY, *SEASON)


def time_parts(seconds: Floats, out: Floats) -> None:
    """Write the parts of times given in seconds since 1970 (m,) to ``out`` (len(PARTS), m).

    Time of day and season turn on circles, two harmonics each, so that 23:59 is near 0:00. Missing
    times (NaN) give NaN in every part.
    """
    days = np.floor(seconds / _DAY)
    out[0] = seconds / _DAY
    day_angle = 2 * np.pi * (seconds / _DAY - days)
    year_angle = 2 * np.pi * ((out[0] / _YEAR) % 1.0)
    for first, angle in ((1, day_angle), (11, year_angle)):
        out[first], out[first + 1] = np.sin(angle), np.cos(angle)
        out[first + 2], out[first + 3] = np.sin(2 * angle), np.cos(2 * angle)
    weekday = (days + 3) % 7  # 1970-01-01 was a Thursday
    for j in range(1, 7):
        out[4 + j] = np.where(np.isnan(weekday), np.nan, weekday == j)
