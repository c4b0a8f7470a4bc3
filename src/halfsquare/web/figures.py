"""What the figures of a training run and of a prediction are filled with: signals and rows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from halfsquare.explain.parts import Parts
from halfsquare.figures.charts_run import (
    SHOWN_PARTS,
    compared_chart,
    descent_chart,
    effect_chart,
    errors_chart,
    parts_chart,
    weights_chart,
)
from halfsquare.figures.charts_surface import surface_chart, with_contours
from halfsquare.figures.live import Compiled
from halfsquare.figures.marks import Rows
from halfsquare.loss import Floats
from halfsquare.web.curves import Curve
from halfsquare.web.snapshot import Snapshot, Weight
from halfsquare.web.surface import Surface
from halfsquare.web.templates import amount

descent_spec = Compiled(descent_chart)
compared_spec = Compiled(compared_chart)
effect_spec = Compiled(effect_chart)
weights_spec = Compiled(weights_chart)
errors_spec = Compiled(errors_chart)
parts_spec = Compiled(parts_chart)
surface_spec = Compiled(surface_chart, with_contours)

_MOST_POINTS = 1600  # in one figure


def drawn(snapshot: Snapshot | None, curves: Sequence[Curve]) -> dict[str, Any]:
    """Signals and rows of the figures of a run."""
    weights = snapshot.weights if snapshot is not None else ()
    points = _curve_rows(curves)
    here = [p for p in points if p["here"]]
    values = (
        np.concatenate([snapshot.targets, snapshot.outputs])
        if snapshot is not None and len(snapshot.targets)
        else np.zeros(1)
    )
    low, high = float(values.min()), float(values.max())
    margin = 0.04 * (high - low) or 1.0
    signals = {
        "last": max(10, *(p["i"] for p in points)) if points else 10,
        "loss_span": _decades([p[y] for p in points for y in ("loss", "held") if p[y]]),
        "reach": _power(max((max(abs(w.value), abs(w.before)) for w in weights), default=1.0)),
        "span": [low - margin, high + margin],
    }
    data = {
        "lines": points,
        "here": here[-1:],
        "names": _line_names(here),
        "weights": _weight_rows(weights),
        "rows": [] if snapshot is None else _error_rows(snapshot),
    }
    return {"signals": signals, "data": data}


def compared(runs: Sequence[tuple[str, Sequence[Curve]]]) -> dict[str, Any]:
    """Signals and rows of the figure that overlays runs; of each its followed descents."""
    lines: Rows = []
    tips: Rows = []
    for place, (name, curves) in enumerate(runs):
        points = [p for p in _curve_rows(curves) if p["here"] and p["phase"] == "measure"]
        lines += [{**p, "line": f"{place}-{p['line']}", "dash": place % 4} for p in points]
        tips += [{**p, "name": name} for p in points[-1:]]
    signals = {
        "last": max(10, *(p["i"] for p in lines)) if lines else 10,
        "loss_span": _decades([p["loss"] for p in lines]),
    }
    return {"signals": signals, "data": {"lines": lines, "tips": tips}}


def _curve_rows(curves: Sequence[Curve]) -> Rows:
    count = sum(len(curve.points) for curve in curves)
    every = max(1, math.ceil(count / _MOST_POINTS))
    found: Rows = []
    for curve in curves:
        inner = curve.points[1:-1]  # both ends always: the greatest fall is at the first step
        kept = [*curve.points[:1], *inner[::every], *curve.points[1:][-1:]]
        line = {
            "line": curve.number,
            "here": curve.member == curves[-1].member,
            "phase": curve.phase,
        }
        # Nothing has no place on a logarithmic axis: an exact fit is drawn at the rounding of the
        # first loss.
        least = 1e-16 * max(curve.points[0][1], 1e-290)
        found += [
            {
                **line,
                "key": f"{curve.number}:{i}",
                "i": curve.before + i,
                "loss": max(loss, least),
                "held": None if held is None else max(held, least),
            }
            for i, loss, _, held in kept
        ]
    return found


def _line_names(here: Rows) -> Rows:
    """What stands at the ends of the followed lines; the upper one above, the lower one below."""
    training = here[-1:]
    held_out = [p for p in here if p["held"] is not None][-1:]
    ends = [(p["i"], p[y], name) for rows, y, name in (
        (training, "loss", "training"), (held_out, "held", "held out")
    ) for p in rows]  # fmt: skip
    top = max((y for _, y, _ in ends), default=0.0)
    return [{"i": i, "loss": y, "name": name, "above": y == top} for i, y, name in ends]


def _weight_rows(weights: Sequence[Weight]) -> Rows:
    """An arrow goes from where the weight stood to where it stands: as long as the step."""
    return [
        {
            "name": w.name,
            "value": w.value,
            "before": w.before,
            "zero": 0,
            "side": (w.step > 0) - (w.step < 0),
        }
        for w in weights
    ]


def _error_rows(snapshot: Snapshot) -> Rows:
    return [
        {"t": float(t), "o": float(o), "side": (o > t) - (o < t)}
        for t, o in zip(snapshot.targets.tolist(), snapshot.outputs.tolist(), strict=True)
    ]


def _decades(values: Sequence[float]) -> list[float]:
    """Half powers of ten around positive values, so that the axis seldom moves."""
    fine = [v for v in values if v > 0]
    if not fine:
        return [1e-3, 1.0]
    low = math.floor(2 * math.log10(0.9 * min(fine))) / 2
    high = math.ceil(2 * math.log10(1.05 * max(fine))) / 2
    return [10.0 ** max(low, -300), 10.0 ** min(max(high, low + 0.5), 308)]


def _power(value: float) -> float:
    """The next of 1, 2, 5, 10, … with room for an arrow."""
    wanted = min(1.35 * (value or 1.0), 1e308)
    power = 10.0 ** math.floor(math.log10(wanted))
    return next(power * step for step in (1.0, 2.0, 5.0, 10.0) if power * step >= wanted)


def parts_drawn(parts: Parts) -> dict[str, Any]:
    """Signals and rows of the figure of the parts: the largest, and the rest together."""
    ranked = sorted(parts.contributions.items(), key=lambda c: -abs(c[1]))
    shown = ranked[:SHOWN_PARTS]
    if len(ranked) > SHOWN_PARTS:
        shown = ranked[: SHOWN_PARTS - 1]
        shown.append(
            (f"{len(ranked) - len(shown)} others", sum(part for _, part in ranked[len(shown) :]))
        )
    rows: Rows = [
        {
            "name": name,
            "part": part,
            "zero": 0,
            "side": -1 if part < 0 else 1,
            "written": ("+" if part > 0 else "") + amount(part),
        }
        for name, part in shown
    ]
    signals = {"part_wide": _with_room(shown, 0.16), "part_narrow": _with_room(shown, 0.36)}
    return {"signals": signals, "data": {"parts": rows}}


def _with_room(shown: Sequence[tuple[str, float]], share: float) -> list[float]:
    """The ends of the axis, with this share of it on each side of a bar for the number beside
    it.
    """
    low, high = min([0.0, *(p for _, p in shown)]), max([0.0, *(p for _, p in shown)])
    sides = (low < 0) + (high > 0)
    room = share * ((high - low) or 1.0) / (1.0 - share * sides)
    return [low - room * (low < 0), high + room * (high > 0)] if sides else [-1.0, 1.0]


def effect_drawn(
    column: str, x: Floats, outputs: Floats, lows: Floats, highs: Floats
) -> dict[str, Any]:
    """Signals and rows of the figure of one column; the last value is where the row stands."""
    rows: Rows = [
        {
            "x": float(a),
            "y": float(o),
            "low": float(low) if math.isfinite(low) else float(o),
            "high": float(high) if math.isfinite(high) else float(o),
        }
        for a, o, low, high in zip(x, outputs, lows, highs, strict=True)
        if math.isfinite(o)
    ]
    data = {"effect": rows[:-1], "row": rows[-1:]}
    return {"signals": {"effect_name": f"The output over {column}"}, "data": data}


def surface_drawn(surface: Surface, a: int, b: int) -> dict[str, Any]:
    """Signals and rows of the figure of the loss over two weights."""
    over, names = surface.over(a, b), dict(surface.choices)
    signals = {
        "a_span": _cells(over.a),
        "b_span": _cells(over.b),
        "a_name": names.get(a, ""),
        "b_name": names.get(b, ""),
        "levels": over.levels.tolist(),
        "grid_size": len(over.a),
    }
    rows: Rows = [
        {"line": s.line, "i": s.iteration, "a": float(s.parameters[a]), "b": float(s.parameters[b])}
        for s in surface.steps
    ]
    # Row by row from the top of the figure, where the second weight is largest.
    grid = {"width": len(over.a), "height": len(over.b), "values": over.loss[::-1].ravel().tolist()}
    return {"signals": signals, "data": {"grid": [grid], "path": rows}}


def _cells(values: Floats) -> list[float]:
    """The ends of an axis on which each of these values is the middle of a cell."""
    half = 0.5 * float(values[1] - values[0])
    return [float(values[0]) - half, float(values[-1]) + half]
