"""What the figures of a training run and of a prediction are filled with: signals and rows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from halfsquare.explain.parts import Parts
from halfsquare.figures.charts_run import (
    SHOWN_PARTS,
    descent_chart,
    errors_chart,
    parts_chart,
    weights_chart,
)
from halfsquare.figures.live import Compiled
from halfsquare.figures.marks import Rows
from halfsquare.web.templates import amount
from halfsquare.web.watching import Look, Way, Weight

descent_spec = Compiled(descent_chart)
weights_spec = Compiled(weights_chart)
errors_spec = Compiled(errors_chart)
parts_spec = Compiled(parts_chart)

_MOST_POINTS = 1600  # in one figure


def drawn(look: Look | None, ways: Sequence[Way]) -> dict[str, Any]:
    """Signals and rows of all three figures."""
    weights = look.weights if look is not None else ()
    points = _way_rows(ways)
    reach = _power(max((abs(w.value) for w in weights), default=1.0))
    values = (
        np.concatenate([look.targets, look.outputs])
        if look is not None and len(look.targets)
        else np.zeros(1)
    )
    low, high = float(values.min()), float(values.max())
    room = 0.04 * (high - low) or 1.0
    signals = {
        "last": max(10, *(p["i"] for p in points)) if points else 10,
        "loss_span": _decades([p["loss"] for p in points]),
        "norm_span": _decades([p["norm"] for p in points]),
        "reach": reach,
        "span": [low - room, high + room],
    }
    data = {
        "lines": points,
        "here": points[-1:],
        "weights": _weight_rows(weights, reach),
        "rows": [] if look is None else _error_rows(look),
    }
    return {"signals": signals, "data": data}


def _way_rows(ways: Sequence[Way]) -> Rows:
    count = sum(len(way.points) for way in ways)
    every = max(1, math.ceil(count / _MOST_POINTS))
    found: Rows = []
    for way in ways:
        kept = way.points[:-1:every] + way.points[-1:]
        line = {"line": way.number, "here": way.member == ways[-1].member}
        # Nothing has no place on a logarithmic axis: an exact fit is drawn at the rounding of the
        # first loss.
        least = 1e-16 * max(way.points[0][1], 1e-290)
        found += [
            {**line, "i": way.before + i, "loss": max(loss, least), "norm": max(norm, least)}
            for i, loss, norm in kept
        ]
    return found


def _weight_rows(weights: Sequence[Weight], reach: float) -> Rows:
    """The longest arrow is a sixth of the axis, however small the step: it shows where to, not how
    far.
    """
    longest = max((abs(w.step) for w in weights), default=0.0)
    rows: Rows = []
    for w in weights:
        share = w.step / longest if longest else 0.0
        side = 0 if abs(share) < 0.02 else int(math.copysign(1, share))
        rows.append(
            {
                "name": w.name,
                "value": w.value,
                "zero": 0,
                "tip": w.value + share * reach / 3,
                "side": side,
            }
        )
    return rows


def _error_rows(look: Look) -> Rows:
    return [
        {"t": float(t), "o": float(o), "side": (o > t) - (o < t)}
        for t, o in zip(look.targets.tolist(), look.outputs.tolist(), strict=True)
    ]


def _decades(values: Sequence[float]) -> list[float]:
    """Whole powers of ten around positive values, so that the axis seldom moves."""
    fine = [v for v in values if v > 0]
    if not fine:
        return [1e-3, 1.0]
    low, high = math.floor(math.log10(min(fine))), math.ceil(2 * math.log10(1.05 * max(fine))) / 2
    return [10.0 ** max(low, -300), 10.0 ** max(high, low + 1)]


def _power(value: float) -> float:
    """The next of 1, 2, 5, 10, … with room for an arrow."""
    wanted = 1.35 * (value or 1.0)
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
