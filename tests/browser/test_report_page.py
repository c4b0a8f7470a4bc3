"""The report in a real browser: at a desk and on a phone, in light and dark, with nothing blocked
and no barrier.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from driving import Page, appear
from test_page import barriers

from halfsquare import fit
from halfsquare.figures.theme import DARK, LIGHT
from halfsquare.report.html import write_report


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


def _rgb(colour: str) -> str:
    return f"rgb({', '.join(str(int(colour[i : i + 2], 16)) for i in (1, 3, 5))})"
