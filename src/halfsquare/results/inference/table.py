"""Models side by side: coefficients with standard errors below them, as text, HTML or LaTeX."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from halfsquare.errors import OptionError
from halfsquare.results.fitted import FittedModel
from halfsquare.results.inference.criteria import criteria
from halfsquare.results.inference.of_model import inference_of
from halfsquare.text import number, visible

FORMATS = ("text", "html", "latex")
_STARS = ((0.001, "***"), (0.01, "**"), (0.05, "*"))
_NOTE = "Standard errors in parentheses. * p < 0.05, ** p < 0.01, *** p < 0.001"


@dataclass(frozen=True)
class ModelTable:
    """Lines of cells: names first, then a cell for each model.

    Attributes
    ----------
    header : tuple of (name, left side)
    coefficients : tuple of (name, cells)
        A cell is (value with stars, standard error), empty where a model has no such coefficient.
    figures : tuple of (name, cells)
    """

    header: tuple[tuple[str, str], ...]
    coefficients: tuple[tuple[str, tuple[tuple[str, str], ...]], ...]
    figures: tuple[tuple[str, tuple[str, ...]], ...]

    def as_dict(self) -> dict[str, Any]:
        """JSON values."""
        return {
            "models": [{"name": n, "left_side": s} for n, s in self.header],
            "coefficients": [
                {"name": name, "cells": [list(c) for c in cells]}
                for name, cells in self.coefficients
            ],
            "figures": [{"name": name, "cells": list(cells)} for name, cells in self.figures],
            "note": _NOTE,
        }

    def render(self, form: str) -> str:
        """As ``"text"``, ``"html"`` (a table element) or ``"latex"`` (a tabular).

        Raises
        ------
        OptionError
            If the format is none of these.
        """
        if form not in FORMATS:
            raise OptionError(f"unknown format {form!r}; expected one of {', '.join(FORMATS)}")
        return {"text": self._text, "html": self._html, "latex": self._latex}[form]()

    def _lines(self) -> tuple[list[list[str]], list[list[str]], list[list[str]]]:
        top = [["", *(n for n, _ in self.header)], ["", *(s for _, s in self.header)]]
        middle = []
        for name, cells in self.coefficients:
            middle.append([name, *(value for value, _ in cells)])
            middle.append(["", *(f"({error})" if error else "" for _, error in cells)])
        bottom = [[name, *cells] for name, cells in self.figures]
        top, middle, bottom = (
            [[visible(cell) for cell in line] for line in lines] for lines in (top, middle, bottom)
        )
        return top, middle, bottom

    def _text(self) -> str:
        groups = self._lines()
        widths = [
            max(len(line[j]) for g in groups for line in g) for j in range(len(self.header) + 1)
        ]
        rule = "─" * (sum(widths) + 2 * len(widths) - 2)
        shown = []
        for group in groups:
            shown += [
                "  ".join(
                    c.ljust(w) if j == 0 else c.rjust(w)
                    for j, (c, w) in enumerate(zip(line, widths, strict=True))
                ).rstrip()
                for line in group
            ]
            shown.append(rule)
        return "\n".join([*shown, _NOTE])

    def _html(self) -> str:
        top, middle, bottom = self._lines()

        def row(line: Sequence[str], cell: str) -> str:
            first = f'<th scope="row">{escape(line[0])}</th>'
            return f"<tr>{first}{''.join(f'<{cell}>{escape(c)}</{cell}>' for c in line[1:])}</tr>"

        head = "\n".join(row(line, "th") for line in top)
        body = "\n".join(row(line, "td") for line in middle)
        foot = "\n".join(row(line, "td") for line in bottom)
        return (
            f"<table>\n<caption>{escape(_NOTE)}</caption>\n<thead>\n{head}\n</thead>\n"
            f"<tbody>\n{body}\n</tbody>\n<tfoot>\n{foot}\n</tfoot>\n</table>"
        )

    def _latex(self) -> str:
        top, middle, bottom = self._lines()

        def rows(lines: Sequence[Sequence[str]]) -> str:
            return "\n".join(" & ".join(map(_tex, line)) + r" \\" for line in lines)

        columns = "l" + "r" * len(self.header)
        note = f"\\multicolumn{{{len(columns)}}}{{l}}{{{_tex(_NOTE)}}} \\\\"
        return (
            f"\\begin{{tabular}}{{{columns}}}\n\\hline\n{rows(top)}\n\\hline\n{rows(middle)}\n"
            f"\\hline\n{rows(bottom)}\n\\hline\n{note}\n\\end{{tabular}}"
        )


_TEX = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_",
    "{": r"\{", "}": r"\}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}",
    "−": "$-$", "²": "$^2$", "<": "$<$", ">": "$>$", "–": "--",
}  # fmt: skip


def _tex(text: str) -> str:
    return "".join(_TEX.get(c, c) for c in text)


def model_table(models: Sequence[FittedModel], names: Sequence[str]) -> ModelTable:
    """Linear models side by side, in the order given; coefficients as they first appear.

    Raises
    ------
    OptionError
        If there is none, or one has no coefficients with errors.
    """
    if not models:
        raise OptionError("no models to put side by side")
    fits = [inference_of(m) for m in models]
    cells = [
        {
            p.name: (f"{number(p.value, 5)}{_stars(p.p)}", number(p.standard_error, 4))
            for p in m.parameters
        }
        for m in models
    ]
    every = list(dict.fromkeys(name for c in cells for name in c))
    if "intercept" in every:  # it says least, and stands last
        every = [*(n for n in every if n != "intercept"), "intercept"]
    header = []
    for name, model in zip(names, models, strict=True):
        function = model.members[0].model.target_function
        target = model.encoder.targets[0]
        header.append((name, target if function == "identity" else f"{function}({target})"))
    told = [criteria(f) for f in fits]
    figures = [
        ("errors", tuple(f.kind for f in fits)),
        ("rows", tuple(number(f.weight) for f in fits)),
        ("R²", tuple(number(c.r2, 4) for c in told)),
        ("adjusted R²", tuple(number(c.adjusted_r2, 4) for c in told)),
        ("residual standard deviation", tuple(number(f.variance**0.5, 4) for f in fits)),
        ("F", tuple("–" if c.f is None else number(c.f.statistic, 4) for c in told)),
        ("AIC", tuple(number(c.aic, 6) for c in told)),
    ]
    empty = ("", "")
    rows = tuple((n, tuple(c.get(n, empty) for c in cells)) for n in every)
    return ModelTable(tuple(header), rows, tuple(figures))


def _stars(p: float) -> str:
    return next((stars for limit, stars in _STARS if p < limit), "")
