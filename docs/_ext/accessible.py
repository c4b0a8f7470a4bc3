"""What the theme leaves out for people who do not see the page, or use no mouse: the level of the
captions in the navigation, names of its sides, and a way to reach what scrolls by itself.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

_INSTEAD = (
    ('<p class="caption" role="heading">', '<p class="caption" role="heading" aria-level="2">'),
    ("<pre>", '<pre tabindex="0">'),
    ('<div class="table-wrapper', '<div tabindex="0" class="table-wrapper'),
    ('<aside class="sidebar-drawer">', '<aside class="sidebar-drawer" aria-label="All pages">'),
    ('<aside class="toc-drawer', '<aside aria-label="On this page" class="toc-drawer'),
    ('<th class="head"><p></p></th>', '<td class="head"></td>'),
    ('<div id="search-results">', '<h1>Search</h1>\n<div id="search-results">'),
    ('<div class="math-block"', '<div tabindex="0" class="math-block"'),
)


def _finished(app: Any, problem: Exception | None) -> None:
    if problem is not None or app.builder.format != "html":
        return
    for page in Path(app.outdir).rglob("*.html"):
        before = after = page.read_text(encoding="utf-8")
        for found, better in _INSTEAD:
            after = after.replace(found, better)
        if after != before:
            page.write_text(after, encoding="utf-8")


def setup(app: Any) -> dict[str, bool]:
    """Mend the pages when all are written."""
    app.connect("build-finished", _finished)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
