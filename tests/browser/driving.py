"""Driving a browser: a window with what it noticed, its size and its appearance."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass
class Page:
    """A browser window and what it noticed."""

    driver: Any
    url: str

    @property
    def base(self) -> str:
        """The address without its token."""
        return self.url.split("/?")[0]

    def open(self, path: str) -> None:
        """Go to a page and wait until its figures are drawn."""
        self.driver.get(self.base + path)
        self.wait(
            "return window.halfsquare && halfsquare.views.size === "
            "document.querySelectorAll('[data-spec]').length"
        )

    def wait(self, script: str, seconds: float = 20.0) -> Any:
        """Wait until the script returns something true; return that."""
        from selenium.webdriver.support.ui import WebDriverWait

        return WebDriverWait(self.driver, seconds).until(lambda d: d.execute_script(script), script)

    def run(self, script: str, *arguments: Any) -> Any:
        """Run a script in the page."""
        return self.driver.execute_script(script, *arguments)

    def find(self, selector: str) -> Any:
        """The element of this CSS selector."""
        return self.driver.find_element("css selector", selector)

    def text(self, selector: str) -> str:
        """Its text."""
        return str(self.find(selector).text)

    def complaints(self) -> list[str]:
        """What the console says: errors, warnings, breaches of the content policy."""
        return [f"{entry['level']}: {entry['message']}" for entry in self.driver.get_log("browser")]

    def wait_for_complaints(self, count: int) -> list[str]:
        """What the console says, once it has said so many things; they are then forgotten."""
        found: list[str] = []
        for _ in range(50):
            found += self.complaints()
            if len(found) >= count:
                break
            time.sleep(0.1)
        return found

    def requested(self) -> list[str]:
        """Every address that was asked for over the network since the last time."""
        found = []
        for entry in self.driver.get_log("performance"):
            message = json.loads(entry["message"])["message"]
            if message["method"] == "Network.requestWillBeSent":
                found.append(message["params"]["request"]["url"])
        return [url for url in found if url.startswith(("http", "ws", "ftp"))]


def resize(driver: Any, width: int, height: int) -> None:
    """Give the window this size, in CSS pixels."""
    metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)


def appear(driver: Any, dark: bool) -> None:
    """Prefer the light or the dark appearance."""
    feature = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [feature]})


def read(page: Page, selector: str) -> str:
    """The text there now: what the page replaces at any moment cannot be held and asked later."""
    return str(
        page.wait(
            "return document.querySelector(arguments[0])?.innerText".replace(
                "arguments[0]", json.dumps(selector)
            )
        )
    )


def downloaded(path: Path) -> Path:
    """The file, once it has arrived."""
    for _ in range(1200):
        if path.is_file() and path.stat().st_size:
            return path
        time.sleep(0.05)
    raise AssertionError(f"{path.name} did not arrive")
