"""From what a pass brought to the figures of a report: numbers, words and picture of each."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from halfsquare.figures import charts_fit as draw_as
from halfsquare.figures.static_figure import Figure, draw, draw_both
from halfsquare.models.linear import Linear
from halfsquare.report.collect import COVERED, ERROR, MEASURED, SPREAD, TARGET, WEIGHT, Collected
from halfsquare.report.profiles import padded
from halfsquare.report.views import relevance
from halfsquare.results.fitted import FittedModel
from halfsquare.text import LOSS_NAMES, number

_GROUPS, _EFFECTS = 24, 15
Row = dict[str, Any]


def predicted(c: Collected, fitted: FittedModel, unit: str) -> Figure:
    """Target over output, with the 95 % band."""
    # Rows that are drawn one by one are all shown; of many, the axes leave out the outermost.
    shares = (0.0, 1.0) if c.points is not None else (0.001, 0.999)
    x = padded(*(c.by_output.quantile(share) for share in shares))
    y = padded(*(c.by_target.quantile(share) for share in shares))
    _, sums = c.by_output.groups(_GROUPS)
    reach = fitted.quantile(0.95)
    means = [
        {
            "x": float(s[WEIGHT] and (s[TARGET] + s[ERROR]) / s[WEIGHT]),
            "y": float(s[TARGET] / s[WEIGHT]),
        }
        for s in sums
    ]
    band = []
    for middle, s in zip(means, sums, strict=True):
        if s[MEASURED] > 0 and math.isfinite(reach):
            half = reach * s[SPREAD] / s[MEASURED]
            band.append({"x": middle["x"], "y": middle["x"] - half, "y2": middle["x"] + half})
    if band:  # on to both ends of the figure
        first, last = ({"y": b["y"] - b["x"], "y2": b["y2"] - b["x"]} for b in (band[0], band[-1]))
        ends = [
            {"x": end, "y": end + b["y"], "y2": end + b["y2"]}
            for end, b in zip(x, (first, last), strict=True)
        ]
        band = [ends[0], *(b for b in band if x[0] < b["x"] < x[1]), ends[1]]
    points = [] if c.points is None else [{"x": float(o), "y": float(t)} for o, t in c.points]
    cells = [] if points else c.grid.cells(56, x, y)
    top = max((math.log1p(cell["weight"]) for cell in cells), default=1.0)
    cells = [{**cell, "shade": math.log1p(cell["weight"]) / top} for cell in cells]
    inside = (
        ""
        if not c.measured
        else f" {c.covered / c.measured:.1%} of the targets lie inside their 95 % interval."
    )
    words = f"Target over output for {c.summary.rows:,} rows, R² {number(c.summary.r2, 4)}.{inside}"
    rows = tuple(
        (number(m["x"], 4), number(m["y"], 4), number(s[WEIGHT]))
        for m, s in zip(means, sums, strict=True)
    )
    how = "Grey: the rows" + (
        ", each a point." if points else "; the stronger, the more (logarithmic)."
    )
    caption = (
        f"{how} Dots: means of groups of rows. Dashed: output and target agree. "
        f"Shaded: the 95 % interval.{inside}"
        + _cut(max(c.by_output.outside(*x), c.by_target.outside(*y)), "rows or more lie")
    )
    svg = draw_both(
        lambda w: draw_as.predicted_chart(cells, points, band, means, x, y, unit, width=w),
        "predicted",
        words,
    )
    header = ("mean output", "mean target", "rows")
    return Figure("predicted", "Predicted against actual", caption, words, svg, header, rows)


def histogram_of(c: Collected, unit: str) -> Callable[[int], Any]:
    """The histogram of the errors, of any width."""
    reach = _reach(c)
    bars = int(min(56, max(8, 2 * math.sqrt(c.summary.rows))))
    edges, sums = c.by_error.even(bars, -reach, reach)
    rows = [
        {"left": float(a), "right": float(b), "weight": float(s[WEIGHT])}
        for a, b, s in zip(edges, edges[1:], sums, strict=False)
    ]
    return lambda width: draw_as.histogram_chart(rows, unit, (-reach, reach), width=width)


def _reach(c: Collected) -> float:
    return max(abs(c.by_error.quantile(0.002)), abs(c.by_error.quantile(0.998))) or 1.0


def error_histogram(c: Collected, unit: str) -> Figure:
    """How the errors are distributed."""
    shares = (0.05, 0.25, 0.5, 0.75, 0.95)
    table = tuple(
        (f"{q:.0%} of the errors are below", number(c.by_error.quantile(q), 4)) for q in shares
    )
    s = c.summary
    words = (
        f"{number(s.too_low)} outputs are too low and {number(s.too_high)} too high; half of "
        "the errors lie between "
        f"{table[1][1]} and {table[3][1]} {unit}, 90 % between {table[0][1]} and {table[4][1]}."
    )
    caption = words + _cut(c.by_error.outside(-_reach(c), _reach(c)), "errors lie")
    svg = draw_both(histogram_of(c, unit), "errors", words)
    return Figure(
        "errors", "How the errors are distributed", caption, words, svg, ("share", unit), table
    )


def _cut(count: float, what: str) -> str:
    """What the axes leave out."""
    return f" Beyond the axes: {number(count)} {what} outside." if count else ""


def coverage(c: Collected, fitted: FittedModel) -> list[list[str]]:
    """How many targets lie inside their 95 % interval, by fifths of the rows in the order of their
    outputs: right on average may be wrong for the lowest or the highest.
    """
    edges, sums = c.by_output.shares(5)
    reach = fitted.quantile(0.95)
    found = []
    for low, high, s in zip(edges, edges[1:], sums, strict=False):
        measured = float(s[MEASURED])
        if measured <= 0:
            continue
        share = float(s[COVERED]) / measured
        se = math.sqrt(max(share * (1.0 - share), 0.0) / measured)
        found.append(
            [
                f"{number(low, 4)} to {number(high, 4)}",
                number(measured),
                f"{share:.1%} ± {se:.1%}",
                number(2.0 * reach * float(s[SPREAD]) / measured, 4),
            ]
        )
    return found


def effects(fitted: FittedModel, unit: str) -> Figure | None:
    """Coefficients of a linear model on one scale; or the relevance of a network's inputs."""
    if isinstance(fitted.members[0].model, Linear):
        return _coefficients(fitted, unit)
    if not fitted.info.get("relevance"):
        return None
    found = relevance(fitted)
    total = sum(found.values()) or 1.0
    rows = [
        {"name": c, "share": r / total}
        for c, r in sorted(found.items(), key=lambda i: -i[1])[:_EFFECTS]
    ]
    first = ", ".join(f"{r['name']} {r['share']:.0%}" for r in rows[:3])
    words = f"The most relevant inputs: {first}."
    caption = f"{words} Share of the variation of the output's slopes, averaged over the members."
    drawn = draw_both(lambda w: draw_as.relevance_chart(rows, width=w), "effects", words)
    return Figure("effects", "Relevance of the inputs", caption, words, drawn)


def _coefficients(fitted: FittedModel, unit: str) -> Figure | None:
    k = len(fitted.encoder.targets)
    parameters = fitted.parameters[k::k]
    rows = [
        {"name": p.name, "value": p.value * s, "low": p.low * s, "high": p.high * s, "t": abs(p.t)}
        for p, s in zip(parameters, fitted.encoder.scales, strict=True)
        if all(map(math.isfinite, (p.value, p.low, p.high)))
    ]
    rows = sorted(rows, key=lambda r: -r["t"])[:_EFFECTS]
    if not rows:
        return None
    first = ", ".join(f"{r['name']} {number(r['value'], 3)}" for r in rows[:3])
    words = f"The surest effects: {first} {unit} for one standard deviation."
    which = f"The {len(rows)} surest of {len(parameters)}" if len(parameters) > len(rows) else "All"
    caption = (
        f"{which}, by |t|. Each coefficient times the standard deviation of its "
        "column, so that they compare; lines are 95 % intervals."
    )
    drawn = draw_both(lambda w: draw_as.effects_chart(rows, unit, width=w), "effects", words)
    return Figure("effects", "Coefficients", caption, words, drawn)


def learning(c: Collected, unit: str) -> Figure | None:
    """Would more data help?"""
    if len(c.learning) < 2:
        return None
    rows = [
        {"rows": p.rows, "mse": p.mse, "least": p.mse - p.mse_se, "most": p.mse + p.mse_se}
        for p in c.learning
    ]
    before, last = c.learning[-2:]
    gain = (before.mse - last.mse) / before.mse if before.mse else 0.0
    verdict = (
        f"The last doubling of the rows lowered the test MSE by {gain:.1%}: more rows would help."
        if gain > 0.02
        else f"The last doubling of the rows changed the test MSE by {-gain:+.1%}: more rows "
        "of this kind would help little."
    )
    words = (
        f"Test MSE from {number(c.learning[0].mse, 4)} with {c.learning[0].rows:,} rows "
        f"to {number(last.mse, 4)} with {last.rows:,}. {verdict}"
    )
    caption = (
        f"{verdict} Each point is a refit on nested parts of the rows, judged on the "
        "same rows that none of them saw; shaded: ± one standard error."
    )
    drawn = draw_both(lambda w: draw_as.learning_chart(rows, unit, width=w), "learning", words)
    table = tuple((f"{p.rows:,}", number(p.mse, 5), number(p.mse_se, 3)) for p in c.learning)
    return Figure(
        "learning",
        "Would more data help?",
        caption,
        words,
        drawn,
        ("training rows", "test MSE", "± std. error"),
        table,
    )


def descent(fitted: FittedModel) -> list[Figure]:
    """What the descent said of each step; none where the answer was found in one."""
    history = fitted.info.get("history") or []
    if len(history) < 3:
        return []
    loss = LOSS_NAMES.get(str(fitted.info.get("options", {}).get("loss")), "loss")
    # In mini-batches the noise is that of the gradient; otherwise that of the targets, on their
    # standardized scale.
    noise = (
        "variance of the gradient's noise"
        if "batch" in history[-1]
        else "noise of the targets, variance"
    )
    shown = (
        ("loss", f"{loss} (log)", True),
        ("gradient_norm", "norm of the gradient (log)", True),
        ("batch", "rows in a batch (log)", True),
        ("noise", f"{noise} (log)", True),
        ("effective_parameters", "effective parameters", False),
        ("damping", "damping (log)", True),
    )
    kept = [history[i] for i in np.unique(np.linspace(0, len(history) - 1, 200).astype(int))]
    found = []
    for key, title, log in shown:
        rows = [
            {"iteration": h["iteration"], "value": h[key]}
            for h in kept
            if _drawable(h.get(key), log)
        ]
        if len(rows) < 2:
            continue
        words = (
            f"{title.replace(' (log)', '')}: {number(rows[0]['value'], 4)} at step "
            f"{rows[0]['iteration']:.0f}, {number(rows[-1]['value'], 4)} at step "
            f"{rows[-1]['iteration']:.0f}."
        )
        chart = draw_as.descent_chart(rows, title, log=log)
        found.append(
            Figure(
                f"descent-{key}",
                (name := title.replace(" (log)", ""))[0].upper() + name[1:],
                "",
                words,
                draw(chart, f"descent-{key}", words),
            )
        )
    return found


def _drawable(value: Any, log: bool) -> bool:
    return isinstance(value, int | float) and math.isfinite(value) and (value > 0 or not log)
