"""Linear least squares against its peers: a CSV and a Parquet file, arrays in memory, growing
files.

    python benchmarks/linear.py [--part csv|parquet|using|growth|memory] [--rows 2000000] [--quick]

Ratios are medians of interleaved runs, each in a process of its own. The answer column is the first
coefficient, so that it can be seen that all solve the same problem; of `using` a model the MSE, or
the number of rows.
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


def fitted_model(path: str):
    """A line fitted to the first rows, which is all the same to its use."""
    from halfsquare import fit

    warm()
    some = f"SELECT * FROM '{path}' LIMIT 100000"
    return fit(some, "y", model="linear", test_fraction=0)


def halfsquare_evaluate(path: str) -> Work:
    from halfsquare.results.evaluate import evaluate

    model = fitted_model(path)
    return lambda: evaluate(model, path).summary.mse


def halfsquare_predict(path: str) -> Work:
    from halfsquare.results.predict import predicted_batches, write_batches

    model, out = fitted_model(path), str(Path(path).with_name("predicted.parquet"))
    return lambda: float(write_batches(predicted_batches(model, path), out))


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
    "halfsquare evaluate": halfsquare_evaluate,
    "halfsquare predict to Parquet": halfsquare_predict,
    "pandas + scikit-learn": pandas_sklearn,
    "Polars + scikit-learn": polars_sklearn,
    "X.T @ X": product,
    "halfsquare LinearRegressor": halfsquare_arrays,
    "scikit-learn LinearRegression": sklearn_arrays,
}
FILES = [n for n in CANDIDATES if "scan" in n or " fit" in n or " + " in n]
USING = [n for n in CANDIDATES if "scan" in n or "evaluate" in n or "predict" in n]
MEMORY = [n for n in CANDIDATES if n not in FILES + USING]
PARTS = ("csv", "parquet", "using", "growth", "memory")


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
    parser.add_argument("--part", choices=PARTS, action="append", help="all if left out")
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
    rounds, parts = 1 if options.quick else 3, options.part or PARTS
    with tempfile.TemporaryDirectory() as folder:
        if {"csv", "parquet", "using"} & set(parts):
            csv = write(Path(folder), options.rows)
            for part in [p for p in ("csv", "parquet", "using") if p in parts]:
                of_files(csv if part == "csv" else csv.with_suffix(".parquet"), part, rounds)
        if "growth" in parts:
            growth(Path(folder), options.rows, rounds)
    if "memory" in parts:
        found = measure(__file__, MEMORY, [], rounds=rounds, repeats=3)
        print(table("1,000,000 × 100 in memory", found, "X.T @ X"))


def of_files(path: Path, part: str, rounds: int) -> None:
    names = USING if part == "using" else FILES
    found = measure(__file__, names, ["--path", str(path)], rounds=rounds, repeats=4)
    megabytes, rows = path.stat().st_size / 1e6, int(path.stem)
    title = f"{rows:,} × 20, {path.suffix[1:].upper()} of {megabytes:.0f} MB"
    print(table(title, found, "DuckDB scan"), flush=True)


def growth(folder: Path, most: int, rounds: int) -> None:
    print(
        "### Growth, Parquet\n\n| rows | time ÷ DuckDB scan | CPU ÷ DuckDB scan | µs a row | "
        "faults a row | peak MB |\n|---:|---:|---:|---:|---:|---:|"
    )
    for factor in (1, 4, 20):
        rows = most // 4 * factor
        path = write(folder, rows)
        path.unlink()
        path = path.with_suffix(".parquet")
        names = ["DuckDB scan", "halfsquare fit, test and refit"]
        base, one = measure(__file__, names, ["--path", str(path)], rounds=rounds).values()
        cpu = (one.user + one.system) / (base.user + base.system)
        print(
            f"| {rows:,} | {one.seconds / base.seconds:.2f} | {cpu:.2f} | "
            f"{one.seconds / rows * 1e6:.2f} | {one.faults / rows:.3f} | {one.megabytes:.0f} |",
            flush=True,
        )
        path.unlink()
    print()


if __name__ == "__main__":
    main()
