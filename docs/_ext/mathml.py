"""Formulas as MathML, which browsers draw themselves: no script, no font, no network.

The translation from TeX is the one that comes with docutils.
"""

from __future__ import annotations

from typing import Any

from docutils import nodes
from docutils.utils.math.latex2mathml import tex2mathml


def inline(self: Any, node: nodes.Element) -> None:
    """A formula in a line."""
    self.body.append(tex2mathml(node.astext()))
    raise nodes.SkipNode


def block(self: Any, node: nodes.Element) -> None:
    """A formula of its own."""
    written = tex2mathml(node.astext(), as_block=True)
    self.body.append(f'<div class="math-block">{written}</div>')
    raise nodes.SkipNode


def setup(app: Any) -> dict[str, bool]:
    """Name the renderer, for ``html_math_renderer``."""
    app.add_html_math_renderer("mathml", (inline, None), (block, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
