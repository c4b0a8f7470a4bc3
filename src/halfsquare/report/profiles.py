"""Where a model errs: mean error and the shares too low and too high, over groups of rows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from halfsquare.figures import charts_fit as draw_as
from halfsquare.figures.static_figure import Figure, draw, draw_both
from halfsquare.loss import Floats
from halfsquare.report.bins import Bins
from halfsquare.report.collect import ERROR, HIGH, LOW, SQUARE, WEIGHT, Collected
from halfsquare.report.views import View
from halfsquare.text import number

_GROUPS, _FEATURE_GROUPS, _LEVELS = 24, 12, 12
Row = dict[str, Any]


def by_output(c: Collected, unit: str) -> Figure:
    """Errors over groups of rows of like output."""
    title, x_title = f"Errors by predicted {unit}", f"output: {unit}"
    return _profile("by-output", title, x_title, c.by_output, unit, _GROUPS, wide=True)


def by_feature(c: Collected, unit: str) -> list[Figure]:
    """Errors over each of the features that matter most."""
    found = []
    for i, (view, sums) in enumerate(c.by_feature):
        if not isinstance(sums, Bins):
            found.append(_levels(f"feature-{i}", view, sums, unit))
        elif len(sums.table):
            found.append(
                _profile(
                    f"feature-{i}", view.title, view.title, sums, unit, _FEATURE_GROUPS, wide=False
                )
            )
    return found


def _profile(
    name: str, title: str, x_title: str, bins: Bins, unit: str, count: int, *, wide: bool
) -> Figure:
    edges, sums = bins.groups(count)
    domain = padded(bins.quantile(0.002), bins.quantile(0.998))
    rows = [
        {
            **_group(s),
            "left": max(float(a), domain[0]),
            "right": min(float(b), domain[1]),
            "from": float(a),
            "to": float(b),
            "mid": _middle(a, b, domain),
        }
        for a, b, s in zip(edges, edges[1:], sums, strict=False)
    ]
    words = _words(x_title, rows, unit)

    def chart(width: int) -> Any:
        return draw_as.error_chart(rows, x_title, width=width, domain=domain)

    svg = draw_both(chart, name, words) if wide else draw(chart(draw_as.HALF - 50), name, words)
    table = tuple((f"{number(r['from'], 4)} to {number(r['to'], 4)}", *_cells(r)) for r in rows)
    out = bins.outside(*domain)
    caption = f"{words} Beyond the axis: {number(out)} rows." if out else words
    return Figure(name, title, caption, words, svg, ("from, to", *_HEADER), table)


def _levels(name: str, view: View, sums: Floats, unit: str) -> Figure:
    order = [j for j in np.argsort(-sums[:, WEIGHT], kind="stable") if sums[j, WEIGHT] > 0]
    rows = [{**_group(sums[j]), "level": view.levels[j]} for j in order[:_LEVELS]]
    if len(order) > _LEVELS:
        rows.append(
            {**_group(sums[order[_LEVELS:]].sum(axis=0)), "level": f"{len(order) - _LEVELS} others"}
        )
    words = _words(view.title, rows, unit)
    chart = draw_as.level_chart(rows, width=draw_as.HALF)
    table = tuple((str(r["level"]), *_cells(r)) for r in rows)
    return Figure(name, view.title, "", words, draw(chart, name, words), ("level", *_HEADER), table)


_HEADER = ("rows", "mean error", "± std. error", "RMSE", "too low", "too high")


def _group(s: Floats) -> Row:
    w = float(s[WEIGHT])
    mean, square = float(s[ERROR]) / w, float(s[SQUARE]) / w
    se = math.sqrt(max(square - mean * mean, 0.0) / max(w - 1.0, 1.0))
    low, high = float(s[LOW]) / w, float(s[HIGH]) / w
    return {
        "rows": w,
        "error": mean,
        "se": se,
        "least": mean - 2 * se,
        "most": mean + 2 * se,
        "rmse": math.sqrt(square),
        "low": low,
        "high": high,
        "top": low + high,
    }


def _cells(r: Row) -> tuple[str, ...]:
    return (
        number(r["rows"]),
        number(r["error"], 3),
        number(r["se"], 2),
        number(r["rmse"], 4),
        f"{r['low']:.1%}",
        f"{r['high']:.1%}",
    )


def _words(title: str, rows: Sequence[Row], unit: str) -> str:
    worst = max(rows, key=lambda r: abs(r["error"]))
    if abs(worst["error"]) <= 1e-9 * max(r["rmse"] for r in rows):
        return (
            f"The mean error by {title} is zero in each of {len(rows)} groups: least "
            "squares makes it so."
        )
    surest = max(rows, key=lambda r: abs(r["error"]) / r["se"] if r["se"] > 0 else 0.0)
    z = surest["error"] / surest["se"] if surest["se"] > 0 else 0.0
    said = f"Mean error by {title} in {len(rows)} groups: at most {_lean(worst, unit)}. "
    if abs(z) <= 2.0:
        return said + "Each lies within two standard errors of zero."
    which = "It" if surest is worst else f"The surest, {_lean(surest, unit)},"
    return said + f"{which} lies {abs(z):.1f} standard errors from zero."


def _lean(row: Row, unit: str) -> str:
    """How far a group leans to one side, and where it is."""
    side = "too low" if row["error"] < 0 else "too high"
    where = f"at {row['level']}" if "level" in row else f"about {number(row['mid'], 4)}"
    return f"{number(abs(row['error']), 3)} {unit} {side}, {where}"


def padded(low: float, high: float) -> tuple[float, float]:
    """A range a little wider on both sides."""
    extra = 0.03 * (high - low) or 0.05 * abs(high) or 1.0
    return (low - extra, high + extra)


def _middle(a: float, b: float, domain: tuple[float, float]) -> float:
    return 0.5 * (max(float(a), domain[0]) + min(float(b), domain[1]))
