"""The report in a real browser: at a desk and on a phone, in light and dark, with nothing blocked
and no barrier.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from driving import Page, appear, resize
from test_page import barriers

from halfsquare import fit
from halfsquare.data.features import Category, Plain
from halfsquare.data.reading import absent_values
from halfsquare.figures.theme import DARK, LIGHT
from halfsquare.report.html import write_report
from halfsquare.report.portable import portable


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    random = np.random.default_rng(0)
    n = 2000
    data: dict[str, Any] = {
        "floor_area": random.normal(100.0, 30.0, n),
        "age": random.exponential(20.0, n),
        "district": np.array(["north", "south", "a district with a long name"])[
            random.integers(0, 3, n)
        ],
    }
    data["price"] = (
        3.0 * data["floor_area"]
        - data["age"]
        + 20.0 * (data["district"] == "south")
        + random.normal(0, 9, n)
    )
    fitted = fit(data, "price", model="linear", method="minibatch")
    return write_report(fitted, data, tmp_path_factory.mktemp("report") / "report.html")


@pytest.mark.parametrize("width", [390, 1440])
def test_nothing_is_blocked_and_nothing_is_in_the_way(
    report: Path, start_browser: Callable[..., Any], width: int
) -> None:
    with start_browser(width, 900) as driver:
        page = Page(driver, report.as_uri())
        driver.get(page.url)
        for dark, theme in ((False, LIGHT), (True, DARK)):
            appear(driver, dark)
            colours = (
                "const s = getComputedStyle(arguments[0] ? "
                "document.querySelector(arguments[0]) : document.body);"
            )
            bar = "#predictions ~ section svg [fill='var(--low)']"
            assert page.run(colours + "return s.backgroundColor", None) == _rgb(theme.paper)
            assert page.run(colours + "return s.fill", bar) == _rgb(theme.low)
            assert barriers(page) == []
        assert page.run("return document.documentElement.scrollWidth") <= width
        assert page.complaints() == []
        assert page.requested() == []


def test_the_keyboard_reaches_the_content_and_the_numbers(
    report: Path, start_browser: Callable[..., Any]
) -> None:
    from selenium.webdriver import Keys

    with start_browser() as driver:
        driver.get(report.as_uri())
        page = Page(driver, report.as_uri())
        page.find("body").send_keys(Keys.TAB)
        assert driver.switch_to.active_element.text == "To the content"
        driver.switch_to.active_element.send_keys(Keys.ENTER)
        assert driver.current_url.endswith("#main")
        summary = page.find("details summary")
        summary.send_keys(Keys.ENTER)
        assert page.find("details").get_attribute("open") is not None
        assert page.find("details table").is_displayed()


def messy(n: int = 160) -> dict[str, Any]:
    """Numbers and texts with and without missing values, and times."""
    random = np.random.default_rng(3)
    x, z, kind = random.normal(size=n), random.exponential(1, n), random.choice(["a", "b", "c"], n)
    hours = random.integers(0, 400 * 24, n).astype("timedelta64[h]")
    y = 20 + 2 * np.tanh(x) + z + (kind == "b") + random.normal(0, 0.1 + 0.3 * (x > 0), n)
    gaps = np.array([None if i % 7 == 0 else value for i, value in enumerate(kind)], dtype=object)
    return {
        "x": x,
        "z": np.where(np.arange(n) % 9 == 0, np.nan, z),
        "whole": kind.astype(object),
        "gaps": gaps,
        "when": (np.datetime64("2023-01-01T00:00") + hours).astype("datetime64[us]"),
        "y": y,
    }


MODELS: dict[str, dict[str, Any]] = {
    "linear": {"model": "linear"},
    "by level": {"model": "linear", "interval_by": "whole"},
    "log": {"model": "linear", "target_transform": "log"},
    "collinear": {"model": "linear", "features": ["x", "twice"]},
    "formula": {"formula": "log(y) ~ a + b*tanh(c*x)", "start": {"a": 3, "b": 0.1, "c": 1}},
    "trees": {"model": "trees", "features": ["x", "z", "gaps"]},
    "network": {"model": "network", "features": ["x", "whole"]},
}


@pytest.fixture(scope="module")
def whatif(
    tmp_path_factory: pytest.TempPathFactory, start_browser: Callable[..., Any]
) -> Iterator[Page]:
    data = messy()
    fitted = fit(data, "y", model="linear")
    path = tmp_path_factory.mktemp("whatif") / "report <b>.html"
    write_report(fitted, data, path, interactive=True)
    assert path.stat().st_size < 1_000_000
    with start_browser() as driver:
        page = Page(driver, path.as_uri())
        driver.get(page.url)
        yield page


@pytest.mark.parametrize("name", MODELS)
def test_the_page_predicts_what_predict_does(whatif: Page, name: str) -> None:
    data, options = messy(), MODELS[name]
    if name == "collinear":
        data["twice"] = 2.0 * data["x"]
    fitted = fit(data, None if "formula" in options else "y", **options)
    random, encoder = np.random.default_rng(8), fitted.encoder
    raw = np.empty((len(encoder.features), 40))
    for row, feature in zip(raw, encoder.features, strict=True):
        if isinstance(feature, Category):  # a missing and an unseen level among them
            row[:] = random.integers(-2, len(feature.levels), 40)
            continue
        low, high = feature.minimum, feature.maximum
        row[:] = random.uniform(low - 0.3 * (high - low), high + 0.3 * (high - low), 40)
        if not isinstance(feature, Plain):
            row[random.choice(40, 8, replace=False)] = np.nan
    design = np.empty((len(encoder.names), 40))
    encoder.encode(raw.copy(), design)
    outputs, (low, high) = fitted.quantiles_of(
        np.ascontiguousarray(design.T), (0.025, 0.975), absent=absent_values(encoder.features, raw)
    )
    rows = [[None if v != v else v for v in row] for row in raw.T.tolist()]
    found = whatif.run(
        "const predict = halfsquarePredictor(arguments[0]);"
        "return arguments[1].map((row) => predict(row.map((v) => v === null ? NaN : v)))"
        ".map((p) => [p.output, ...p.ends].map(String))",
        portable(fitted),
        rows,
    )
    computed = [[float(v.replace("Infinity", "inf")) for v in row] for row in found]
    expected = np.column_stack([outputs[:, 0], low[:, 0], high[:, 0]])
    assert np.isfinite(expected[:, 0]).all() and len(set(expected[:, 0])) > 20
    assert np.isinf(expected[:, 1]).any() == (name == "collinear")
    np.testing.assert_allclose(computed, expected, rtol=1e-9, atol=1e-9)


def test_sliders_move_the_row_and_say_where_training_ended(whatif: Page) -> None:
    from selenium.webdriver import Keys

    whatif.driver.get(whatif.url)
    data = messy()
    fitted = fit(data, "y", model="linear")
    before, interval = whatif.text("#whatif-output"), whatif.text("#whatif-interval")
    place = [f.column for f in fitted.encoder.features].index("x")
    slider = whatif.find(f"#whatif-field-{place}-slider")
    slider.send_keys(Keys.END)
    number = whatif.find(f"#whatif-field-{place}")
    assert float(number.get_property("value")) == pytest.approx(float(np.max(data["x"])))
    assert whatif.text("#whatif-output") != before
    assert whatif.text("#whatif-outside") == ""
    number.clear()
    number.send_keys("99")
    assert whatif.text("#whatif-outside") == "Outside the training range: x."
    number.clear()  # missing, as it never was in training
    assert whatif.text("#whatif-interval") != interval
    level = whatif.find("select")
    shown = whatif.text("#whatif-output")
    level.send_keys(Keys.ARROW_DOWN)
    assert whatif.text("#whatif-output") != shown
    assert whatif.complaints() == [] and whatif.requested() == []


@pytest.mark.parametrize("width", [390, 1440])
def test_the_sliders_are_no_barrier_and_only_their_scripts_run(whatif: Page, width: int) -> None:
    resize(whatif.driver, width, 900)
    whatif.driver.get(whatif.url)
    for dark in (False, True):
        appear(whatif.driver, dark)
        assert barriers(whatif) == []
    appear(whatif.driver, False)
    assert whatif.run("return document.documentElement.scrollWidth") <= width
    whatif.run(
        "const s = document.createElement('script'); s.textContent = 'window.ran = 1'; "
        "document.body.append(s);"
    )
    assert whatif.run("return window.ran") is None
    assert all("Content Security Policy" in line for line in whatif.wait_for_complaints(1))
    whatif.requested()


def _rgb(colour: str) -> str:
    return f"rgb({', '.join(str(int(colour[i : i + 2], 16)) for i in (1, 3, 5))})"
