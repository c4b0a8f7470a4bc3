"""The engine that draws: Vega in the JavaScript of the installed vl-convert."""

from __future__ import annotations

from typing import Any

from halfsquare.process import TO_DRAW, require_address_space


def engine() -> Any:
    """The module ``vl_convert``.

    Raises
    ------
    LimitError
        If the process may not have the address space in which it runs: it would crash.
    """
    require_address_space(TO_DRAW, "drawing a figure")
    import vl_convert

    return vl_convert
