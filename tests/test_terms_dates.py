"""Dates in linear models of terms: pandas' parts of dates and statsmodels as oracles."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from halfsquare import fit, load
from halfsquare.errors import DataError, FormulaError
from halfsquare.models.terms.dates import OF_DATES, OF_TIMES, part
from halfsquare.results.inference.effects import effects_of

smf = pytest.importorskip("statsmodels.formula.api")


@pytest.fixture(scope="module")
def dated() -> pd.DataFrame:
    """Moments of 900 days from 1969 on, with their parts as columns of pandas."""
    random = np.random.default_rng(0)
    n = 300
    when = pd.to_datetime("1969-01-15") + pd.to_timedelta(random.integers(0, 900, n), unit="D")
    when += pd.to_timedelta(random.integers(0, 86400, n), unit="s")
    frame = pd.DataFrame({"when": when, "x": random.normal(size=n)})
    of = frame.when.dt
    frame["y"] = frame.x + 2 * (of.month == 3) + 0.1 * of.year + random.normal(size=n)
    frame["days"] = (frame.when - pd.Timestamp("1970-01-01")) / pd.Timedelta(days=1)
    frame["hours"] = frame.days * 24
    frame["weekday"] = of.isocalendar().day.astype(float)
    frame["yday"] = of.day_of_year
    for name in ("year", "quarter", "month", "day", "hour", "minute"):
        frame[name] = getattr(of, name)
    return frame


@pytest.mark.parametrize("name", [*OF_DATES, *OF_TIMES])
def test_parts_of_dates(dated: pd.DataFrame, name: str) -> None:
    seconds = dated.days.to_numpy() * 86400.0
    np.testing.assert_allclose(part(name, np.round(seconds)), dated[name], rtol=1e-12)
    assert np.isnan(part(name, np.array([np.nan]))).all()


@pytest.mark.parametrize("door", ["frame", "csv"])
@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ("y ~ x + C(month(when)) + year(when)", "y ~ x + C(month) + year"),
        ("y ~ when + x:C(weekday(when), sum)", "y ~ days + x:C(weekday, Sum)"),
        ("y ~ poly(when, 2) + I(hour(when) > 12)", "y ~ days + I(days**2) + I(1*(hour > 12))"),
        ("y ~ .", "y ~ days + x"),
    ],
)
def test_models_of_dates(
    dated: pd.DataFrame, door: str, ours: str, theirs: str, tmp_path: Path
) -> None:
    data: Any = dated[["when", "x", "y"]]
    if door == "csv":
        data.to_csv(tmp_path / "t.csv", index=False)
        data = tmp_path / "t.csv"
    fit(data, formula=ours, model="linear", test_fraction=0).save(tmp_path / "m.hsq")
    model, known = load(tmp_path / "m.hsq"), smf.ols(theirs, dated).fit()
    np.testing.assert_allclose(model.predict(data), known.fittedvalues, rtol=1e-9, atol=1e-9)
    assert effects_of(model).criteria.r2 == pytest.approx(known.rsquared, rel=1e-9)


def test_the_coefficient_of_a_date_is_per_day(dated: pd.DataFrame) -> None:
    model = fit(dated, formula="y ~ when + x", model="linear", test_fraction=0)
    known = smf.ols("y ~ days + x", dated).fit()
    ours = {p.name: (p.value, p.standard_error) for p in model.parameters}
    assert ours["when"] == pytest.approx((known.params["days"], known.bse["days"]), rel=1e-9)
    # Effects are of numbers and levels; a date is held at its mean.
    grouped = dated.assign(g=np.where(dated.x > 0, "a", "b"))
    effects = effects_of(fit(grouped, formula="y ~ when + g", model="linear", test_fraction=0))
    assert [a.name for a in effects.average] == ["g=b"]
    held = smf.ols("y ~ days + C(g)", grouped).fit()
    mean = held.predict(pd.DataFrame({"days": [dated.days.mean()], "g": ["a"]}))[0]
    assert effects.marginal[0].means[0].value == pytest.approx(mean, rel=1e-9)


def test_times_of_day_are_hours() -> None:
    minutes = np.arange(0, 1440, 17)
    clock = [f"{m // 60:02d}:{m % 60:02d}" for m in minutes]
    table = {"at": clock, "y": 3.0 + 0.5 * minutes / 60}
    model = fit(table, formula="y ~ at", model="linear", test_fraction=0)
    assert [p.value for p in model.parameters] == pytest.approx([3.0, 0.5], rel=1e-10)


@pytest.mark.parametrize(
    ("formula", "message"),
    [
        ("y ~ C(when)", r"character 7: 'when' holds dates: write C\(month\(when\)\)"),
        ("y ~ year(x)", r"character 10: year takes dates, and column 'x' is a number"),
        ("y ~ year(x + 1)", r"character 5: year takes a column of dates"),
        ("y ~ month()", r"character 5: month takes a column of dates"),
        ("y ~ log(month)", r"'month' is no column"),
    ],
)
def test_what_is_no_part_of_a_date(dated: pd.DataFrame, formula: str, message: str) -> None:
    with pytest.raises(FormulaError, match=message):
        fit(dated[["when", "x", "y"]], formula=formula, model="linear")


def test_a_month_that_the_fit_did_not_have(dated: pd.DataFrame) -> None:
    early = dated[dated.month < 12]
    model = fit(early, formula="y ~ C(month(when))", model="linear", test_fraction=0)
    with pytest.raises(DataError, match="was no level when the model was fitted"):
        model.predict(dated[["when"]])
