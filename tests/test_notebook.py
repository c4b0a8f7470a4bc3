"""A fitted model shows, judges and explains itself: the methods of FittedModel."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from halfsquare import FittedModel, fit
from halfsquare.errors import OptionError
from halfsquare.results.compare import compare
from halfsquare.results.evaluate import evaluate


@pytest.fixture(scope="module")
def data() -> dict[str, Any]:
    rng = np.random.default_rng(2)
    n = 200
    x, town = rng.normal(size=n), rng.choice(["Ulm", "<b>Bonn"], n)
    return {"x": x, "town": town, "y": 3 * x + (town == "Ulm") + 0.1 * rng.normal(size=n)}


@pytest.fixture(scope="module")
def fitted(data: dict[str, Any]) -> FittedModel:
    return fit(data, "y", model="linear", method="gradient")


def test_the_methods_are_the_functions(fitted: FittedModel, data: dict[str, Any]) -> None:
    worse = fit(data, "y", model="linear", features=["town"])
    assert fitted.evaluate(data) == evaluate(fitted, data)
    assert fitted.compare(worse, data) == compare(fitted, worse, data)
    assert fitted.compare(worse, data).verdict == "A is better"
    assert fitted.explain(data).rows == 200
    assert fitted.explain(data, row=3).row == 3


def test_the_summary_is_text_that_shows_as_it_is(fitted: FittedModel) -> None:
    told = fitted.summary()
    assert repr(told) == told and "std. error" in told and "MSE ± standard error" in told


def test_tables_of_every_kind(fitted: FittedModel) -> None:
    arrow = fitted.parameters_frame()
    assert arrow.column("name").to_pylist() == [p.name for p in fitted.parameters]
    assert arrow.column("value").to_pylist() == [p.value for p in fitted.parameters]
    frame = fitted.parameters_frame("pandas")
    assert list(frame.columns) == ["name", "value", "standard_error", "t", "p", "low", "high"]
    assert fitted.parameters_frame("polars").height == len(frame)
    history = fitted.history_frame()
    assert history.num_rows == len(fitted.info["history"]) and "loss" in history.column_names
    with pytest.raises(OptionError, match="arrow, pandas or polars"):
        fitted.parameters_frame("r")  # type: ignore[arg-type]


def test_a_notebook_shows_it_and_no_markup_of_the_table(fitted: FittedModel) -> None:
    shown = fitted._repr_html_()
    assert "Typical error ±" in shown and "<table>" in shown and "<b>Bonn" not in shown


def test_plots(fitted: FittedModel, data: dict[str, Any], tmp_path: Path) -> None:
    pytest.importorskip("altair", reason="figures need the extra 'page'")
    from halfsquare.figures.save import save_chart

    for what, rows in (("history", None), ("errors", data), ("x", None), ("town", None)):
        svg = save_chart(fitted.plot(what, rows), tmp_path / f"{what}.svg").read_text()
        assert svg.startswith("<svg")
    line = fitted.plot("x").to_dict()
    drawn = (
        next(rows for rows in line["datasets"].values() if "low" in rows[0])
        if ("datasets" in line)
        else line["layer"][0]["data"]["values"]
    )
    b = {p.name: p.value for p in fitted.parameters}
    slope = (drawn[-1]["y"] - drawn[0]["y"]) / (drawn[-1]["x"] - drawn[0]["x"])
    assert slope == pytest.approx(b["x"], rel=1e-9)
    for what, message in (("nothing", "one of .history."), ("errors", "give them as data")):
        with pytest.raises(OptionError, match=message):
            fitted.plot(what)
    with pytest.raises(OptionError, match="found at once"):
        fit(data, "y", model="linear").plot("history")


def test_a_report_by_method(fitted: FittedModel, data: dict[str, Any], tmp_path: Path) -> None:
    pytest.importorskip("altair", reason="figures need the extra 'page'")
    page = fitted.report(data, tmp_path / "r.html").read_text()
    assert "How it was read" in page and "by fifths" in page
