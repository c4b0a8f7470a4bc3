"""One set of colours for figures, report and page: calm, one meaning each, light and dark.

Blue is *too low*, orange is *too high*, everywhere and only there: a pair that people with any
colour vision tell apart, and always with words beside it. Everything else is ink on paper. Each
text colour stands at least 4.5 : 1 against its paper (WCAG 2.2, 1.4.3).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Literal

FONT = (
    "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', 'Noto Sans', 'DejaVu "
    "Sans', sans-serif"
)


@dataclass(frozen=True)
class Theme:
    """The colours of one appearance, each named by its meaning.

    Attributes
    ----------
    paper, panel : str
        Behind everything, and behind a figure.
    ink, muted, line : str
        Text, quieter text, hairlines.
    low, high : str
        Output too low, output too high.
    low_wash, high_wash : str
        The same as a background.
    """

    name: Literal["light", "dark"]
    paper: str
    panel: str
    ink: str
    muted: str
    line: str
    low: str
    high: str
    low_wash: str
    high_wash: str

    def colours(self) -> dict[str, str]:
        """Colour by meaning."""
        return {key: value for key, value in asdict(self).items() if key != "name"}

    def css(self) -> str:
        """The colours as CSS custom properties: ``--ink: …;``."""
        return " ".join(
            f"--{key.replace('_', '-')}: {value};" for key, value in self.colours().items()
        )


LIGHT = Theme(
    name="light",
    paper="#f6f5f1",
    panel="#fffefb",
    ink="#1d2530",
    muted="#5a6472",
    line="#dcdad2",
    low="#1b64a5",
    high="#b0500a",
    low_wash="#e9f1f8",
    high_wash="#fbeee2",
)

DARK = Theme(
    name="dark",
    paper="#12161c",
    panel="#191f27",
    ink="#e9ecf1",
    muted="#a0abb9",
    line="#323b47",
    low="#79b8f3",
    high="#f3a561",
    low_wash="#18242f",
    high_wash="#2b221b",
)
