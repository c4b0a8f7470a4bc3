"""A real browser for the page: Debian's Chromium, headless. Without one these tests fail; they are
never skipped.
"""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from driving import Page, appear, resize

HOW = "install Chromium and its driver (Debian: apt-get install chromium chromium-driver)"
ARGUMENTS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--no-default-browser-check",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-default-apps",
    "--disable-extensions",
    "--hide-scrollbars",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.timeout(180))


@pytest.fixture(scope="session")
def server() -> Iterator[str]:
    from halfsquare.web.serve import PageServer

    running = PageServer()
    thread = threading.Thread(target=running.run, daemon=True)
    thread.start()
    yield running.url
    running.stop()
    thread.join(10)


@pytest.fixture(scope="session")
def start_browser(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Any]:
    """Start a browser of a certain size and appearance, as a context manager that gives its
    driver.
    """
    browser = (
        shutil.which("chromium")
        or shutil.which("chromium-browser")
        or shutil.which("google-chrome")
    )
    driver = shutil.which("chromedriver")
    if browser is None or driver is None:
        pytest.fail(f"no browser to test the page with: {HOW}", pytrace=False)
    try:
        from selenium import webdriver
    except ModuleNotFoundError:
        pytest.fail(
            "the browser tests need selenium: pip install 'halfsquare[test]'", pytrace=False
        )

    @contextmanager
    def start(width: int = 1440, height: int = 1000, dark: bool = False) -> Iterator[Any]:
        options = webdriver.ChromeOptions()
        options.binary_location = browser
        for argument in (*ARGUMENTS, f"--user-data-dir={tmp_path_factory.mktemp('profile')}"):
            options.add_argument(argument)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
        window = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
        try:
            resize(window, width, height)
            appear(window, dark)
            yield window
        finally:
            window.quit()

    return start


@pytest.fixture(scope="module")
def page(server: str, start_browser: Callable[..., Any]) -> Iterator[Page]:
    with start_browser() as driver:
        driver.get(server)
        yield Page(driver, server)
