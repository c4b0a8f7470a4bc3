"""Plain text that lines up: tables for a terminal of any width, for a pipe, for a notebook."""

from __future__ import annotations

import textwrap
import unicodedata
from collections.abc import Sequence


def grid(
    rows: Sequence[Sequence[str]],
    *,
    header: Sequence[str] | None = None,
    left: int = 1,
    width: int | None = None,
) -> str:
    """Columns that line up: the first ``left`` to the left, the others to the right.

    Where the lines would be longer than ``width``, each row becomes a paragraph: its first cell,
    and beneath it every other with the name of its column.

    Examples
    --------
    >>> print(grid([["a", "1"], ["bb", "20"]], header=["", "n"]))
           n
      a    1
      bb  20
    """
    every = [list(r) for r in ([header] if header else []) + list(rows)]
    if not every:
        return ""
    widths = [max(cells(r[j]) for r in every) for j in range(len(every[0]))]
    if width is not None and sum(widths) + 2 * len(widths) > width and len(widths) > 1:
        return _paragraphs(rows, header, width)
    return "\n".join(
        "  "
        + "  ".join(
            (c + " " * (w - cells(c))) if j < left else (" " * (w - cells(c)) + c)
            for j, (c, w) in enumerate(zip(r, widths, strict=True))
        ).rstrip()
        for r in every
    )


def _paragraphs(rows: Sequence[Sequence[str]], header: Sequence[str] | None, width: int) -> str:
    lines: list[str] = []
    for row in rows:
        lines += folded(row[0], width, indent=2)
        for name, cell in zip((header or [""] * len(row))[1:], row[1:], strict=True):
            if cell:
                lines += folded(f"{name} {cell}".strip(), width, indent=4)
    return "\n".join(lines)


def folded(text: str, width: int | None, *, indent: int = 0) -> list[str]:
    """The text in lines of at most ``width`` characters; as it is where there is no limit."""
    space = " " * indent
    if width is None:
        return [space + text]
    return textwrap.wrap(
        text, max(width, 20), initial_indent=space, subsequent_indent=space + "  "
    ) or [""]


def cells(text: str) -> int:
    """How many columns of a terminal the text takes."""
    return sum(
        0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1
        for c in text
    )
