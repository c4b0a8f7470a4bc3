"""Linear least squares against its peers: a CSV and a Parquet file, arrays in memory, growing
files.

    python benchmarks/linear.py [--rows 2000000] [--quick]

Ratios are medians of interleaved runs, each in a process of its own. The answer column is the first
coefficient, so that it can be seen that all solve the same problem.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from measure import Work, measure, run_one, table

COLUMNS = [f"x{i}" for i in range(20)]


def scan(path: str) -> Work:
    import duckdb

    sums = ", ".join(f"sum({c})" for c in [*COLUMNS, "y"])
    return lambda: float(duckdb.connect().execute(f"SELECT {sums} FROM '{path}'").fetchall()[0][0])


def warm() -> None:
    """Have everything imported that a fit needs."""
    from halfsquare import fit

    fit({"x": [0.0, 1.0, 2.0, 3.0], "y": [0.0, 1.0, 2.0, 4.0]}, "y", model="linear")


def halfsquare_fit(path: str) -> Work:
    from halfsquare import fit

    warm()

    return lambda: fit(path, "y", model="linear", test_fraction=0).parameters[1].value


def halfsquare_default(path: str) -> Work:
    from halfsquare import fit

    warm()

    return lambda: fit(path, "y", model="linear").parameters[1].value


def pandas_sklearn(path: str) -> Work:
    import pandas as pd
    from sklearn.linear_model import LinearRegression

    def work() -> float:
        frame = pd.read_csv(path) if path.endswith(".csv") else pd.read_parquet(path)
        return float(LinearRegression().fit(frame[COLUMNS], frame["y"]).coef_[0])

    return work


def polars_sklearn(path: str) -> Work:
    import polars as pl
    from sklearn.linear_model import LinearRegression

    def work() -> float:
        frame = pl.read_csv(path) if path.endswith(".csv") else pl.read_parquet(path)
        return float(
            LinearRegression().fit(frame[COLUMNS].to_numpy(), frame["y"].to_numpy()).coef_[0]
        )

    return work


def arrays():
    import numpy as np

    rng = np.random.default_rng(0)
    x = rng.normal(size=(1_000_000, 100))
    return x, x @ np.arange(1.0, 101.0) + rng.normal(size=len(x))


def product(_: str) -> Work:
    x, _y = arrays()
    return lambda: float((x.T @ x)[0, 1])


def halfsquare_arrays(_: str) -> Work:
    from halfsquare import LinearRegressor

    x, y = arrays()
    return lambda: float(LinearRegressor().fit(x, y).coef_[0])


def sklearn_arrays(_: str) -> Work:
    from sklearn.linear_model import LinearRegression

    x, y = arrays()
    return lambda: float(LinearRegression().fit(x, y).coef_[0])


CANDIDATES: dict[str, Callable[[str], Work]] = {
    "DuckDB scan": scan,
    "halfsquare fit": halfsquare_fit,
    "halfsquare fit, test and refit": halfsquare_default,
    "pandas + scikit-learn": pandas_sklearn,
    "Polars + scikit-learn": polars_sklearn,
    "X.T @ X": product,
    "halfsquare LinearRegressor": halfsquare_arrays,
    "scikit-learn LinearRegression": sklearn_arrays,
}
FILES = list(CANDIDATES)[:5]
MEMORY = list(CANDIDATES)[5:]


def write(folder: Path, rows: int) -> Path:
    """Write the files in a process of its own: a peak of memory is handed down to the candidates
    otherwise.
    """
    subprocess.run(
        [sys.executable, __file__, "--write", str(folder), "--rows", str(rows)], check=True
    )
    return folder / f"{rows}.csv"


def write_here(folder: Path, rows: int) -> None:
    import duckdb

    connection = duckdb.connect()
    connection.execute("SELECT setseed(0.5)")
    columns = ", ".join(f"round(random() * 10 - 5, 5) AS {c}" for c in COLUMNS)
    total = " + ".join(f"{i + 1} * {c}" for i, c in enumerate(COLUMNS))
    path = folder / f"{rows}.csv"
    query = (
        f"SELECT *, round({total} + random(), 5) AS y FROM (SELECT {columns} FROM range({rows}))"
    )
    connection.execute(f"COPY ({query}) TO '{path}'")
    connection.execute(f"COPY (FROM '{path}') TO '{path.with_suffix('.parquet')}'")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=2_000_000)
    parser.add_argument("--quick", action="store_true", help="one round instead of three")
    parser.add_argument("--write", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--one", help=argparse.SUPPRESS)
    parser.add_argument("--path", default="", help=argparse.SUPPRESS)
    parser.add_argument("--repeats", type=int, default=1, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.write:
        write_here(options.write, options.rows)
        return
    if options.one:
        run_one(lambda: CANDIDATES[options.one](options.path), options.repeats)
        return
    rounds = 1 if options.quick else 3
    with tempfile.TemporaryDirectory() as folder:
        csv = write(Path(folder), options.rows)
        for path in (csv, csv.with_suffix(".parquet")):
            found = measure(__file__, FILES, ["--path", str(path)], rounds=rounds, repeats=4)
            megabytes = path.stat().st_size / 1e6
            print(
                table(
                    f"{options.rows:,} × 20, {path.suffix[1:].upper()} of {megabytes:.0f} MB",
                    found,
                    "DuckDB scan",
                )
            )
        print("### Growth\n\n| rows | seconds | µs a row | peak MB |\n|---:|---:|---:|---:|")
        for factor in (1, 3, 10):
            rows = options.rows // 4 * factor
            path = write(Path(folder), rows)
            one = measure(__file__, ["halfsquare fit"], ["--path", str(path)], rounds=rounds)[
                "halfsquare fit"
            ]
            print(
                f"| {rows:,} | {one.seconds:.2f} | {one.seconds / rows * 1e6:.2f} | "
                f"{one.megabytes:.0f} |",
                flush=True,
            )
            path.unlink()
    print()
    print(
        table(
            "1,000,000 × 100 in memory",
            measure(__file__, MEMORY, [], rounds=rounds, repeats=3),
            "X.T @ X",
        )
    )


if __name__ == "__main__":
    main()
