"""The documentation as a site: built without a warning, read without a network, live."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from driving import Page, appear
from test_page import barriers

from halfsquare.figures.save import static_text

DOCS = Path(__file__).parents[2] / "docs"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built as ``make docs`` builds it, but elsewhere."""
    pytest.importorskip("sphinx", reason="the site needs the extra 'docs'")
    folder = tmp_path_factory.mktemp("site")
    built = subprocess.run(
        [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-d", folder / "doctrees",
         DOCS, folder / "html"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert built.returncode == 0, built.stderr
    return folder / "html"


def test_the_site_asks_no_network(site: Path) -> None:
    for page in site.rglob("*.html"):
        text = page.read_text(encoding="utf-8")
        fetched = re.findall(r"<(?:script|img|iframe|link)\b[^>]*(?:src|href)=\"(https?:)?//", text)
        assert not fetched, page
    for style in site.rglob("*.css"):
        assert not re.findall(r"(?:@import|url\()\s*[\"']?(?:https?:)?//", style.read_text()), style


def test_links_lead_somewhere(site: Path) -> None:
    count = 0
    for page in site.rglob("*.html"):
        text = page.read_text(encoding="utf-8")
        for link in re.findall(r"(?:href|src)=\"([^\"#:]+)(?:#[^\"]*)?\"", text):
            count += 1
            assert (page.parent / link.split("?")[0]).exists(), (page.name, link)
    assert count > 500


def test_the_answer_has_its_figures(site: Path) -> None:
    text = (site / "answer.html").read_text(encoding="utf-8")
    assert len(re.findall(r'data-spec="figure-\d+-spec"', text)) == 6
    assert text.count("<math") >= 6 and 'id="themes"' in text
    assert "vega.js" in text and "vega.js" not in (site / "start.html").read_text()
    assert (site / "_static" / "vega.js").stat().st_size > 500_000


def test_figures_are_drawn_and_follow_the_reader(
    site: Path, start_browser: Callable[..., Any]
) -> None:
    with start_browser() as driver:
        page = Page(driver, (site / "?").as_uri())
        driver.get((site / "answer.html").as_uri())
        page.wait("return window.halfsquare && halfsquare.views.size === 6")
        svg = "document.querySelector('#figure-0 svg')"
        assert "too low by 0.8" in page.run(f"return {svg}.textContent")
        page.run("halfsquare.set(halfsquare.views.get('figure-0'), {output: 3.5})")
        page.wait(f"return {svg}.textContent.includes('too high by 0.5')")
        ink = "return halfsquare.views.get('figure-0').signal('ink')"
        before = page.run(ink)
        page.run("document.body.dataset.theme = 'dark'")
        page.wait(f"{ink} !== {before!r}")
        assert page.complaints() == [] and page.requested() == []


def test_axe_finds_no_barrier_on_any_page(site: Path, start_browser: Callable[..., Any]) -> None:
    """Every page in the light, and in the dark those with code, figures and tables."""
    pages = [p for p in sorted(site.rglob("*.html")) if "_static" not in p.parts]
    dark = [site / name for name in ("answer.html", "start.html", "coming-from.html")]
    found = {}
    with start_browser() as driver:
        for theme, some in (("light", pages), ("dark", dark)):
            appear(driver, theme == "dark")
            for path in some:
                driver.get(path.as_uri())
                page = Page(driver, path.as_uri())
                page.wait(
                    "return document.readyState === 'complete' && document.body.children.length "
                    "&& (!window.halfsquare?.views || "
                    "halfsquare.views.size === document.querySelectorAll('[data-spec]').length)"
                )
                found[f"{path.relative_to(site)} {theme}"] = barriers(page)
    assert len(found) > 25
    assert found == {name: [] for name in found}


def test_the_rules_of_figures_are_those_of_the_page(site: Path) -> None:
    own = (DOCS / "_static" / "site.css").read_text()
    shared = static_text("figure.css")
    assert (site / "_static" / "figure.css").read_text() == shared
    rules = re.findall(r"^([^{@/]+) \{ ([^}]*) \}", shared, re.MULTILINE)
    assert len(rules) > 10
    assert [name for name, body in rules if f"{name} {{ {body} }}" in own] == []
