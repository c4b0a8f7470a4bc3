"""How each column of a table is encoded.

Which columns are used, which levels are kept and what is an identifier is decided from all rows,
without a look at the target, so that the model that is measured and the one that is returned have
the same columns. Means and scales are those of the rows that are trained on.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import fsum

import numpy as np

from halfsquare.data.features import Category, Feature, Instant, Number, Presence
from halfsquare.data.levels import MAX_LEVELS
from halfsquare.data.statistics import NumberStatistics
from halfsquare.data.times import PARTS, SEASON, TIME_OF_DAY, TREND, WEEKDAY
from halfsquare.loss import Floats
from halfsquare.moments import varies

MAX_KEPT_LEVELS = 100
_ID_NAMES = ("id", "row", "rowid", "row_id", "index", "unnamed: 0", "uuid", "key")


def still(s: NumberStatistics) -> bool:
    """Whether the values do not vary: not at all, or by less than their own rounding."""
    return bool(s.minimum >= s.maximum or not varies(s.variance, s.mean))


def number(
    name: str, s: NumberStatistics, n: float, whole: NumberStatistics, base: str = ""
) -> Feature | str:
    """A number, or why it is left out; ``s`` over the ``n`` rows of a part, ``whole`` over all, of
    the values less ``base``.
    """
    if not whole.weight > 0:
        return "it has no values"
    missing = float(s.missing) / n if n else 0.0
    if still(whole):
        return (
            Presence(name, (missing,), (_binary_scale(missing),), False)
            if whole.missing > 0
            else f"constant: {float(base or 0) + float(whole.mean):g}"
        )
    if (
        name.strip().lower() in _ID_NAMES
        and not whole.missing > 0
        and float(whole.maximum - whole.minimum) == whole.weight - 1
        and whole.weight > 2
    ):
        return "an identifier: it counts the rows"
    # The spread of the column as it will stand in the design: with the mean where it is missing.
    scale = float(np.sqrt(s.variance * (s.weight / n))) if n and not still(s) else 1.0
    indicator = bool(whole.missing > 0)
    means = (float(s.mean), missing) if indicator else (float(s.mean),)
    scales = (scale, _binary_scale(missing)) if indicator else (scale,)
    low, high = (float(s.minimum), float(s.maximum)) if s.weight > 0 else (0.0, 0.0)
    return Number(name, means, scales, low, high, indicator, base)


def _binary_scale(share: float) -> float:
    """Of an indicator; one that is the same in all rows is left as it is."""
    return float(np.sqrt(share * (1.0 - share))) or 1.0


def category(
    name: str, levels: Sequence[str], weights: Floats, whole: Floats, *, asked: bool = False
) -> tuple[Feature | str, Floats]:
    """The category (or why it is left out), and the table from the scan's codes (shifted by 2) to
    its own; ``weights`` in a part of the rows, ``whole`` in all, ``asked``: whether the user said
    that it is one.
    """
    unseen, missing, counts = float(whole[0]), float(whole[1]), whole[2:]
    n = fsum(whole)  # the same whatever the order in which levels turned up
    present = [c for c in range(len(counts)) if counts[c] > 0]
    table = np.full(len(levels) + 2, float(MAX_KEPT_LEVELS + len(levels)))
    table[:2] = -2.0, -1.0
    if not present:
        return "it has no values", table
    if len(present) >= MAX_LEVELS:
        return f"more than {MAX_LEVELS:,} different texts", table
    if len(present) > max(10, 0.5 * n) and not asked:
        return f"an identifier: {len(present):,} different texts in {n:,.0f} rows", table
    # Levels by weight, then by text, so that the order does not depend on that of the rows.
    order = sorted(present, key=lambda c: (-counts[c], levels[c]))
    fewest = min(10.0, max(2.0, n // 100))
    kept = [c for c in order[:MAX_KEPT_LEVELS] if counts[c] >= fewest]
    if not kept and not asked and len(present) > 1:
        # One level against all others would be an accident of the alphabet.
        return f"its {len(present):,} different texts are rare: none counts {fewest:g} rows", table
    kept = kept or order[:MAX_KEPT_LEVELS]
    # Summed rather than left over: of weights that are no whole numbers, rounding would be left.
    chosen = set(kept)
    others = [c for c in present if c not in chosen]
    rare = fsum([unseen, *(counts[c] for c in others)])
    for position, code in enumerate(kept):
        table[code + 2] = float(position)
    part = np.zeros(len(whole))
    part[: len(weights)] = weights
    total = fsum(part) or 1.0
    if len(kept) == 1 and not rare:
        if missing:
            share = float(part[1]) / total
            return Presence(name, (share,), (_binary_scale(share),), True), table
        return f"constant: {levels[kept[0]]}", table
    shares = [float(part[c + 2]) / total for c in kept[1:]]
    shares += [fsum([part[0], *(part[c + 2] for c in others)]) / total] if rare else []
    shares += [float(part[1]) / total] if missing else []
    scales = tuple(_binary_scale(s) for s in shares)
    names = tuple(levels[c] for c in kept)
    return Category(name, tuple(shares), scales, names, bool(rare), bool(missing)), table


def instant(
    name: str,
    kind: str,
    s: tuple[NumberStatistics, NumberStatistics],
    whole: tuple[NumberStatistics, NumberStatistics],
) -> Feature | str:
    """A date or time, or why it is left out; the statistics are of the seconds and of the parts of
    times, in a part of the rows and in all.
    """
    seconds, parts = whole
    if not seconds.weight > 0:
        return "it has no values"
    every = float(seconds.weight + seconds.missing)
    n = float(s[0].weight + s[0].missing) or 1.0
    share = float(s[0].missing) / n
    span_days = float(seconds.maximum - seconds.minimum) / 86400.0
    wanted: list[str] = list(TIME_OF_DAY) if kind == "time" else [*TREND, *TIME_OF_DAY]
    if kind == "timestamp":
        wanted += WEEKDAY if span_days >= 7 else []
        wanted += SEASON if span_days >= 300 else []
    kept = [
        p
        for p in wanted
        if not still(one(parts, i := PARTS.index(p)))
        and parts.variance[i] * (parts.weight[i] / every) > 1e-9
    ]
    indicator = bool(seconds.missing > 0)
    if not kept:
        if indicator:
            return Presence(name, (share,), (_binary_scale(share),), False)
        return "constant"
    at = [PARTS.index(p) for p in kept]
    means = [float(s[1].mean[i]) for i in at] + ([share] if indicator else [])
    share_known = s[1].weight / n
    scales = [
        1.0 if still(one(s[1], i)) else float(np.sqrt(s[1].variance[i] * share_known[i]))
        for i in at
    ]
    scales += [_binary_scale(share)] if indicator else []
    known = bool(s[0].weight > 0)
    ends = (float(s[0].minimum), float(s[0].maximum)) if known else (None, None)
    return Instant(name, tuple(means), tuple(scales), tuple(kept), indicator, *ends)


def one(numbers: NumberStatistics, j: int) -> NumberStatistics:
    """Those of column ``j``."""
    return NumberStatistics(*(getattr(numbers, f)[j] for f in numbers.__dataclass_fields__))
