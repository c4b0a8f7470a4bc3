"""Intervals on sets with published splits: how many targets they cover, overall and in the worst
fifth of the prediction, and their interval score beside that of peers (Gneiting & Raftery 2007,
"Strictly proper scoring rules, prediction, and estimation", eq. 43; smaller is better).

    python benchmarks/interval_sets.py --data DIR [--sets uci/autompg …] [--model auto]
        [--peers constant mapie-cqr …] [--splits 3] [--quick] [--gaps]

``--gaps`` leaves the middle third of a column's range out of the fit, column by column, and judges
by it. ``--quick`` takes at most 1,000 rows of a fit and one split.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from _datasets import Split, names, splits
from _interval_peers import PEERS, Ends

from halfsquare import fit

LEVEL = 0.95
_MOST_ROWS, _MOST_GAPS = 1000, 4


@dataclass(frozen=True)
class Judged:
    """Of the intervals of one split.

    Attributes
    ----------
    covered, worst : float
        The share of targets inside; in the fifth of the middle of the interval where it is least.
    score : float
        The mean interval score.
    """

    covered: float
    worst: float
    score: float

    @classmethod
    def of(cls, ends: Ends, target: Any) -> Judged:
        """Of the two ends (n,) and the targets (n,)."""
        low, high = ends
        inside = (low <= target) & (target <= high)
        order = np.argsort(low + high, kind="stable")
        worst = min(inside[part].mean() for part in np.array_split(order, 5))
        beyond = np.maximum(low - target, 0.0) + np.maximum(target - high, 0.0)
        return cls(
            float(inside.mean()),
            float(worst),
            float(np.mean(high - low + 2.0 / (1.0 - LEVEL) * beyond)),
        )


def ours(model: str) -> Any:
    """Our own intervals as those of a peer."""

    def ends(x: Any, t: Any, new: Any, level: float, seed: int) -> Ends:
        table = {f"x{j}": x[:, j] for j in range(x.shape[1])}
        fitted = fit({**table, "y": t}, "y", model=model, test_fraction=0, seed=seed)
        _, low, high = fitted.interval({f"x{j}": new[:, j] for j in range(new.shape[1])}, level)
        return low, high

    return ends


def gaps(one: Split) -> Iterator[Split]:
    """The middle third of the range of a column left out, of the columns with most values."""
    x = np.vstack([one.design, one.test_design])
    t = np.concatenate([one.target, one.test_target])
    many = sorted(range(x.shape[1]), key=lambda j: (-len(np.unique(x[:, j])), j))[:_MOST_GAPS]
    for j in many:
        low, high = np.quantile(x[:, j], [1 / 3, 2 / 3])
        out = (x[:, j] > low) & (x[:, j] <= high)
        if 20 <= out.sum() <= len(t) - 40:
            yield Split(f"{one.name}, x{j}", j, x[~out], t[~out], x[out], t[out])


def thinned(one: Split, most: int) -> Split:
    """With so many rows of the fit at most."""
    kept = np.random.default_rng(0).permutation(len(one.target))[:most]
    return replace(one, design=one.design[kept], target=one.target[kept])


def main() -> None:
    """Print a table of sets by methods, and geometric means."""
    asked = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    asked.add_argument("--data", type=Path, required=True)
    asked.add_argument("--sets", nargs="+")
    asked.add_argument("--model", nargs="+", default=["auto"])
    asked.add_argument("--peers", nargs="*", default=list(PEERS), choices=list(PEERS))
    asked.add_argument("--splits", type=int, default=3)
    asked.add_argument("--quick", action="store_true")
    asked.add_argument("--gaps", action="store_true")
    options = asked.parse_args()
    methods = {model: ours(model) for model in options.model}
    methods |= {name: PEERS[name] for name in options.peers}
    scores: dict[str, list[float]] = {name: [] for name in methods}
    print("| set | method | covered | worst fifth | interval score |")
    print("|---|---|---|---|---|")
    for name in options.sets or names(options.data):
        each = splits(options.data, name, 1 if options.quick or options.gaps else options.splits)
        parts = [g for s in each for g in (gaps(s) if options.gaps else [s])]
        if options.quick:
            parts = [thinned(part, _MOST_ROWS) for part in parts]
        for method, ends in methods.items():
            judged = [
                Judged.of(ends(p.design, p.target, p.test_design, LEVEL, p.number), p.test_target)
                for p in parts
            ]
            score = float(np.exp(np.mean([np.log(j.score) for j in judged])))
            scores[method].append(score)
            covered = [j.covered for j in judged]
            least = f" (least {min(covered):.1%})" if options.gaps else ""
            print(
                f"| {name} | {method} | {np.mean(covered):.1%}{least} | "
                f"{np.mean([j.worst for j in judged]):.1%} | {score:.4g} |",
                flush=True,
            )
    first = next(iter(methods))
    print(f"\n| method | interval score over that of {first}, geometric mean |\n|---|---|")
    for method, each_score in scores.items():
        ratio = np.exp(np.mean(np.log(each_score) - np.log(scores[first])))
        print(f"| {method} | {ratio:.3f} |")


if __name__ == "__main__":
    main()
