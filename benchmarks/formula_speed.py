"""A formula on a million rows: time as a ratio to lmfit and scipy's curve_fit in the same run, and
memory.

    python benchmarks/formula_speed.py [--rows 1000000]

All start from the same point and must give the same answer. Memory is the growth of the process
while fitting, measured in processes of their own: for n rows and for 4 n.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from halfsquare.data.rows import ArrayRows
from halfsquare.fitting.formula.train import train_formula
from halfsquare.models.formula.model import Formula

PROBLEMS = {
    "exponential decay": ("y ~ b1*exp(-b2*x) + b3", [5.0, 1.3, 0.7], [3.0, 0.6, 0.0]),
    "two Gaussian peaks": (
        "y ~ b1*exp(-(x-b2)**2/b3**2) + b4*exp(-(x-b5)**2/b6**2)",
        [3.0, 1.5, 0.5, 2.0, 3.2, 0.7],
        [2.0, 1.3, 0.7, 1.5, 3.4, 0.9],
    ),
}


def decay(x: Any, b1: float, b2: float, b3: float) -> Any:
    return b1 * np.exp(-b2 * x) + b3


def peaks(x: Any, b1: float, b2: float, b3: float, b4: float, b5: float, b6: float) -> Any:
    return b1 * np.exp(-((x - b2) ** 2) / b3**2) + b4 * np.exp(-((x - b5) ** 2) / b6**2)


FUNCTIONS: dict[str, Callable[..., Any]] = {"exponential decay": decay, "two Gaussian peaks": peaks}


def data(name: str, rows: int) -> tuple[Formula, np.ndarray, np.ndarray]:
    text, truth, _ = PROBLEMS[name]
    random = np.random.default_rng(1)
    formula = Formula.read(text, ["x", "y"])
    x = random.uniform(0.0, 5.0, (rows, 1))
    y = formula.outputs(np.array(truth), x) + 0.1 * random.normal(size=(rows, 1))
    return formula, x, y


def timed(work: Callable[[], Any], repeats: int = 3) -> tuple[float, Any]:
    """The shortest of a few times, and the result."""
    times = []
    for _ in range(repeats):
        begin = time.perf_counter()
        result = work()
        times.append(time.perf_counter() - begin)
    return min(times), result


def compare(name: str, rows: int) -> None:
    import lmfit
    from scipy.optimize import curve_fit

    formula, x, y = data(name, rows)
    start, function = PROBLEMS[name][2], FUNCTIONS[name]
    flat_x, flat_y = x[:, 0].copy(), y[:, 0].copy()
    table = ArrayRows(x, y)
    train_formula(
        ArrayRows(x[:1000], y[:1000]), formula, start=start
    )  # derivatives are compiled once
    ours = timed(lambda: train_formula(table, formula, start=start), 5)
    found = timed(lambda: train_formula(table, formula), 1)
    scipys = timed(lambda: curve_fit(function, flat_x, flat_y, start))
    model = lmfit.Model(function)
    given = model.make_params(**dict(zip(formula.names, start, strict=True)))
    lmfits = timed(lambda: model.fit(flat_y, given, x=flat_x))
    trained = ours[1]
    errors = np.sqrt(np.diag(trained.covariance))
    gap_scipy = np.max(np.abs(scipys[1][0] - trained.parameters) / errors)
    gap_lmfit = np.max(
        np.abs([lmfits[1].best_values[n] for n in formula.names] - trained.parameters) / errors
    )
    gap_found = np.max(np.abs(found[1].parameters - trained.parameters) / errors)
    print(f"{name}, {rows:,} rows: {trained.termination}")
    print(
        f"  lmfit / halfsquare           {lmfits[0] / ours[0]:6.1f} x   answers "
        f"{gap_lmfit:.1e} standard errors apart"
    )
    print(
        f"  scipy curve_fit / halfsquare {scipys[0] / ours[0]:6.1f} x   answers "
        f"{gap_scipy:.1e} standard errors apart"
    )
    print(
        f"  no start / start             {found[0] / ours[0]:6.1f} x   answers "
        f"{gap_found:.1e} standard errors apart"
    )
    print(
        f"  memory while fitting: {growth(name, rows):.0f} MB; for four times the rows "
        f"{growth(name, 4 * rows):.0f} MB"
    )


def growth(name: str, rows: int) -> float:
    """Megabytes by which a process of its own grows while it fits."""
    done = subprocess.run(
        [sys.executable, __file__, "--memory", name, "--rows", str(rows)],
        capture_output=True,
        text=True,
        check=True,
    )
    return float(json.loads(done.stdout))


def memory(name: str, rows: int) -> None:
    """Print the megabytes between before the fit and its peak (Linux: the peak is set back in
    between).
    """
    formula, x, y = data(name, rows)
    train_formula(ArrayRows(x[:1000], y[:1000]), formula, start=PROBLEMS[name][2])
    Path("/proc/self/clear_refs").write_text("5")
    before = peak()
    train_formula(ArrayRows(x, y), formula, start=PROBLEMS[name][2])
    print((peak() - before) / 1024)


def peak() -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--memory", choices=PROBLEMS, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.memory:
        memory(arguments.memory, arguments.rows)
        return
    warnings.simplefilter("ignore")
    for name in PROBLEMS:
        compare(name, arguments.rows)


if __name__ == "__main__":
    main()
