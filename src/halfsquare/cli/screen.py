"""Standard output as a person sees it: how wide it is, bold where that can be seen, and no control
character of a file's ever sent to the terminal.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Sequence

from halfsquare.report.layout import grid
from halfsquare.text import visible


def width() -> int | None:
    """The columns of the terminal; None in a pipe, where nothing is folded."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def say(text: str = "", *, bold: bool = False) -> None:
    """Print text of which parts may come from a file: escape sequences are shown, never sent."""
    safe = visible(text)
    if bold and sys.stdout.isatty() and not os.environ.get("NO_COLOR"):
        safe = f"\x1b[1m{safe}\x1b[0m"
    print(safe)


def table(
    rows: Sequence[Sequence[str]], *, header: Sequence[str] | None = None, left: int = 1
) -> str:
    """:func:`halfsquare.report.layout.grid`, as wide as the terminal is."""
    return grid(rows, header=header, left=left, width=width())
