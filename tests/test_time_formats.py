"""Quarters, weeks, months, durations and zones that are written as texts: dates and numbers with a
kept reading, or said.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from functools import partial
from pathlib import Path
from zoneinfo import ZoneInfo

import pandas as pd
import pytest

from halfsquare import FittedModel, load
from halfsquare import fit as fit_any
from halfsquare.errors import DataError

fit = partial(fit_any, model="linear", test_fraction=0)
DAYS = [date(2015, 1, 5) + timedelta(weeks=i) for i in range(60)]
MONTHS = [date(2016 + i // 12, 1 + i % 12, 1) for i in range(60)]
QUARTERS = [date(2006 + i // 4, 1 + 3 * (i % 4), 1) for i in range(60)]


def quarter(day: date) -> int:
    return (day.month + 2) // 3


def written(texts: list[str], values: list[float], path: Path) -> Path:
    rows = "".join(f'"{text}",{value!r}\n' for text, value in zip(texts, values, strict=True))
    path.write_text(f"x,y\n{rows}", encoding="utf-8")
    return path


def said(fitted: FittedModel) -> str:
    return "\n".join(fitted.info["reading"]["suspicious"])


def slope(fitted: FittedModel, name: str = "x") -> float:
    return {p.name: p.value for p in fitted.parameters}[name]


@pytest.mark.parametrize(
    ("days", "spelling"),
    [
        (QUARTERS, lambda d: f"{d.year}Q{quarter(d)}"),
        (QUARTERS, lambda d: f"Q{quarter(d)} {d.year}"),
        (QUARTERS, lambda d: f"{d.year}-Q{quarter(d)}"),
        (QUARTERS, lambda d: f"{d.year} q{quarter(d)}"),
        (QUARTERS[1::4], lambda d: f"{d.year}Q{quarter(d)}"),  # Q2 alone looks like a unit
        (DAYS, lambda d: "{}-W{:02d}".format(*d.isocalendar()[:2])),
        (DAYS, lambda d: "{}W{:02d}".format(*d.isocalendar()[:2])),
        (DAYS, lambda d: "{}-W{:02d}-{}".format(*d.isocalendar())),
        (MONTHS, lambda d: f"{d:%Y-%m}"),
        (MONTHS, lambda d: f"{d:%b %Y}"),
        (MONTHS, lambda d: f"{d:%B %Y}"),
        (MONTHS, lambda d: f"{d:%Y/%m}"),
        (MONTHS, lambda d: f"{d:%YM%m}"),
        (MONTHS, lambda d: f"{d:%m/%Y}"),
        (DAYS, lambda d: f"{d} 00:00 UTC"),
    ],
)
def test_periods_are_their_first_day(days: list[date], spelling: object, tmp_path: Path) -> None:
    texts = [spelling(d) for d in days]  # type: ignore[operator]
    y = [0.5 * (d - date(1970, 1, 1)).days for d in days]
    for data in (written(texts, y, tmp_path / "t.csv"), pd.DataFrame({"x": texts, "y": y})):
        fitted = fit(data, "y")
        (column,) = (c for c in fitted.info["reading"]["columns"] if c["name"] == "x")
        assert (column["from"], column["to"]) == (str(days[0]), str(days[-1]))
        assert slope(fitted, "x day") == pytest.approx(0.5)
    fitted.save(tmp_path / "m.hsq")
    new = pd.DataFrame({"x": texts[-1:]})
    assert load(tmp_path / "m.hsq").predict(new) == pytest.approx(y[-1:])
    with pytest.raises(DataError, match="expected"):
        load(tmp_path / "m.hsq").predict(pd.DataFrame({"x": ["the day after"]}))


LENGTHS = [timedelta(hours=5 * i, minutes=7 * i % 60) for i in range(40)]


def clock(length: timedelta) -> str:
    minutes = int(length.total_seconds()) // 60
    return f"{minutes // 60}:{minutes % 60:02d}:00"


@pytest.mark.parametrize("spelling", [clock, str, lambda t: str(pd.Timedelta(t))])
def test_durations_are_days_by_every_door(spelling: object, tmp_path: Path) -> None:
    y = [4.0 * (t / timedelta(days=1)) for t in LENGTHS]
    texts = [spelling(t) for t in LENGTHS]  # type: ignore[operator]
    as_text = fit(written(texts, y, tmp_path / "t.csv"), "y")
    assert slope(as_text) == pytest.approx(4.0)
    assert slope(fit(pd.DataFrame({"x": LENGTHS, "y": y}), "y")) == pytest.approx(4.0)
    assert "x: durations, read as numbers of days" in said(as_text)
    as_text.save(tmp_path / "m.hsq")
    kept = load(tmp_path / "m.hsq")
    assert kept.predict(pd.DataFrame({"x": ["36:00:00", "0:30", "-12:00:00"]})) == pytest.approx(
        [6.0, 4.0 / 48, -2.0], abs=1e-9
    )
    with pytest.raises(DataError, match="durations such as 36:15:00"):
        kept.predict(pd.DataFrame({"x": ["soon"]}))


def test_durations_of_less_than_a_day_are_times_of_day_and_the_option_is_said(
    tmp_path: Path,
) -> None:
    texts = [f"{i % 20}:{(7 * i) % 60:02d}:00" for i in range(40)]
    y = [(i % 20) / 24 + ((7 * i) % 60) / 1440 for i in range(40)]
    path = written(texts, y, tmp_path / "t.csv")
    assert "--number x takes them for durations" in said(fit(path, "y"))
    assert slope(fit(path, "y", number=["x"])) == pytest.approx(1.0)


def test_times_in_named_zones_are_moments_and_short_names_are_those_of_the_clock(
    tmp_path: Path,
) -> None:
    berlin = ZoneInfo("Europe/Berlin")
    when = [datetime(d.year, d.month, d.day, 12, tzinfo=berlin) for d in DAYS]
    y = [t.timestamp() / 86400 for t in when]
    named = [f"{t:%Y-%m-%d %H:%M} Europe/Berlin" for t in when]
    fitted = fit(written(named, y, tmp_path / "t.csv"), "y")
    assert slope(fitted, "x day") == pytest.approx(1.0)
    (column,) = (c for c in fitted.info["reading"]["columns"] if c["name"] == "x")
    assert column["from"] == f"{when[0].astimezone(UTC):%Y-%m-%dT%H:%M:%S}"
    short = [f"{t:%Y-%m-%d %H:%M} {'CEST' if 3 < t.month < 11 else 'CET'}" for t in when]
    fitted = fit(written(short, y, tmp_path / "s.csv"), "y")
    assert "those of the clock in CEST and CET; they are not converted" in said(fitted)
    (column,) = (c for c in fitted.info["reading"]["columns"] if c["name"] == "x")
    assert column["from"] == f"{when[0]:%Y-%m-%dT%H:%M:%S}"


@pytest.mark.parametrize("spelling", ["{}. März {}", "{} H1 {}", "P{}Y of {}", "FY {} {}"])
def test_dates_that_are_not_read_are_said(spelling: str, tmp_path: Path) -> None:
    texts = [spelling.format(1 + i % 3, 2000 + i % 3) for i in range(60)]
    fitted = fit(written(texts, [float(i % 7) for i in range(60)], tmp_path / "t.csv"), "y")
    assert "x: its texts look like dates of a kind that is not read, such as" in said(fitted)
    plain = written([f"room {i % 3}" for i in range(60)], [float(i % 7) for i in range(60)],
                    tmp_path / "p.csv")  # fmt: skip
    assert "look like dates" not in said(fit(plain, "y"))


def test_a_standard_date_that_is_none_late_in_the_rows_is_found(tmp_path: Path) -> None:
    """First values that are all standard dates are believed until a row says otherwise."""
    days = [date(2000, 1, 1) + timedelta(hours=i // 1) for i in range(6000)]
    texts = [f"{d} 10:00:00" for d in days]
    y = [float((d - date(1970, 1, 1)).days) for d in days]
    texts[5500] = "unknown"
    fitted = fit(written(texts, y, tmp_path / "t.csv"), "y")
    assert "'unknown' (row 5501)" in said(fitted)
    assert slope(fitted, "x day") == pytest.approx(1.0)
    texts[5500] = "01/02/2003 10:00:00"
    for data in (written(texts, y, tmp_path / "t.csv"), pd.DataFrame({"x": texts, "y": y})):
        assert "yyyy-mm-dd hh:mm:ss or mm/dd/yyyy hh:mm:ss" in said(fit(data, "y"))
    texts[5500] = "2023-02-30 10:00:00"  # a day that is none
    for data in (written(texts, y, tmp_path / "t.csv"), pd.DataFrame({"x": texts, "y": y})):
        with pytest.raises(DataError, match="row 5501: found '2023-02-30 10:00:00'"):
            fit(data, "y")
