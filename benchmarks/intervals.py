"""Do 95 % intervals cover every fifth of the rows? Noise that rises, jumps between groups, is
skewed, or is the same everywhere; beside one noise for all rows.

    python benchmarks/intervals.py [--model linear|network] [--rows 3000] [--repeats 10]
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from typing import Any

import numpy as np

from halfsquare import FittedModel, fit

KINDS = ("rises", "jumps", "skewed", "rises and skewed", "equal")
_NEW = 4000


def drawn(kind: str, n: int, random: np.random.Generator) -> tuple[dict[str, Any], Any]:
    """A table, and what its rows are sorted by."""
    x, group = random.uniform(0, 1, (n, 3)), random.integers(0, 3, n)
    by, rising = x[:, 0], 0.1 + 2 * x[:, 0]
    if kind == "rises":
        noise = rising * random.normal(size=n)
    elif kind == "jumps":
        noise, by = np.array([0.2, 1.0, 3.0])[group] * random.normal(size=n), group
    elif kind == "skewed":
        noise = random.exponential(size=n) - 1
    elif kind == "rises and skewed":
        noise = rising * (random.exponential(size=n) - 1)
    else:
        noise = random.normal(size=n)
    table = {f"x{j}": x[:, j] for j in range(3)} | {"g": np.array(list("abc"))[group]}
    return table | {"y": 2 * x[:, 0] + x[:, 1] + x[:, 2] + noise}, by


def fifths(fitted: FittedModel, table: dict[str, Any], by: Any) -> Any:
    """The share of targets inside their interval, by fifths."""
    _, low, high = fitted.interval(table)
    inside = (low <= table["y"]) & (table["y"] <= high)
    parts = np.array_split(np.argsort(by, kind="stable"), 5)
    return np.array([inside[part].mean() for part in parts])


def main() -> None:
    """Print the table."""
    asked = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    asked.add_argument("--model", default="linear")
    asked.add_argument("--rows", type=int, default=3000)
    asked.add_argument("--repeats", type=int, default=10)
    options = asked.parse_args()
    print(f"| {options.model}, {options.rows:,} rows | fifths | all | constant: fifths |")
    print("|---|---|---|---|")
    for kind in KINDS:
        found, constant = [], []
        for seed in range(options.repeats):
            random = np.random.default_rng(seed)
            table = drawn(kind, options.rows, random)[0]
            fitted = fit(table, "y", model=options.model, test_fraction=0, seed=seed)
            new = drawn(kind, _NEW, random)
            found.append(fifths(fitted, *new))
            training = replace(fitted.record.training, calibration=())
            plain = replace(fitted, record=replace(fitted.record, training=training))
            constant.append(fifths(plain, *new))
        ours, theirs = np.mean(found, axis=0) * 100, np.mean(constant, axis=0) * 100
        print(
            f"| {kind} | {' · '.join(f'{v:.1f}' for v in ours)} | {ours.mean():.1f} | "
            f"{' · '.join(f'{v:.1f}' for v in theirs)} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
