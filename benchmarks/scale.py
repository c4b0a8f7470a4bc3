"""Growing files, and one thread against two.

    python benchmarks/scale.py [--rows 1000000 3000000 10000000] [--rounds 3]
                               [--only linear network threads]

Growth: default fits of Parquet files of 20 columns, 1.7 GB at ten million rows, each in a process
of its own, beside a DuckDB scan that sums the same columns; the files are deleted afterwards. Peak
memory is the process's resident high-water mark. Threads: one and two threads of one process in
turn on the same sums, and two processes of one thread at the same time, which is what the machine
has to give.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

COLUMNS = [f"x{i}" for i in range(20)]


def write_here(path: Path, rows: int) -> None:
    """Uniform columns; a target of a line, a wave and a kink, with noise of standard deviation
    0.25.
    """
    import duckdb

    connection = duckdb.connect()
    connection.execute("SET threads=1")
    connection.execute("SELECT setseed(0.5)")
    columns = ", ".join(f"random() * 4 - 2 AS {c}" for c in COLUMNS)
    line = " + ".join(f"{(i + 1) / 20} * {c}" for i, c in enumerate(COLUMNS))
    noise = "0.5 * (random() + random() + random() - 1.5)"
    query = (
        f"SELECT *, {line} + sin(2 * x0) * x1 + abs(x2) + {noise} AS y FROM (SELECT "
        f"{columns} FROM range({rows}))"
    )
    connection.execute(f"COPY ({query}) TO '{path}'")


def one(name: str, path: str) -> None:
    """In a process of its own: do it, and print seconds, peak and answer."""
    if name == "DuckDB scan":
        import duckdb

        sums = ", ".join(f"sum({c})" for c in [*COLUMNS, "y"])
        began = time.perf_counter()
        answer = float(duckdb.connect().execute(f"SELECT {sums} FROM '{path}'").fetchall()[0][0])
    else:
        from halfsquare import fit

        fit(
            {"x": [0.0, 1.0, 2.0, 3.0], "y": [0.0, 1.0, 2.0, 4.0]}, "y", model="linear"
        )  # everything is imported
        began = time.perf_counter()
        test = fit(path, "y", model=name).test
        answer = float(test["rmse"]) if test else float("nan")
    seconds = time.perf_counter() - began
    status = Path("/proc/self/status").read_text(encoding="ascii")
    peak = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM:"))
    print(json.dumps({"seconds": seconds, "megabytes": peak / 1024, "answer": answer}))


def run(*arguments: str) -> dict[str, float]:
    done = subprocess.run(
        [sys.executable, __file__, *arguments], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(f"{' '.join(arguments)} failed: {done.stderr.strip()}")
    return dict(json.loads(done.stdout.splitlines()[-1])) if done.stdout else {}


def growth(model: str, sizes: list[int], rounds: int) -> None:
    """Medians of ``rounds`` fits and scans in turn."""
    print(
        f"### {model}\n\n| rows | time ÷ DuckDB scan | seconds | µs a row | peak MB | test RMSE |"
    )
    print("|---:|---:|---:|---:|---:|---:|")
    with tempfile.TemporaryDirectory() as folder:
        for rows in sizes:
            path = Path(folder) / "rows.parquet"
            run("--write", str(path), "--rows", str(rows))
            pairs = [
                (run("--one", "DuckDB scan", str(path)), run("--one", model, str(path)))
                for _ in range(rounds)
            ]
            path.unlink()
            ratio = statistics.median(fit["seconds"] / scan["seconds"] for scan, fit in pairs)
            seconds = statistics.median(fit["seconds"] for _, fit in pairs)
            peak = max(fit["megabytes"] for _, fit in pairs)
            rmse = pairs[-1][1]["answer"]
            a_row = seconds / rows * 1e6
            print(
                f"| {rows:,} | {ratio:.1f} | {seconds:.2f} | {a_row:.2f} | {peak:.0f} | "
                f"{rmse:.4f} |",
                flush=True,
            )
    print()


def sums(name: str) -> Callable[[int], object]:
    """What a thread count is given to: one pass of sums over rows that lie in memory."""
    import numpy as np

    from halfsquare.data.rows import ShiftedRows
    from halfsquare.models.network import Network
    from halfsquare.parallel.threads import Local
    from halfsquare.solvers.normal_system import linear_sums
    from halfsquare.solvers.objective import Objective

    random = np.random.default_rng(0)
    n, d = {
        "Gram, 20 columns": (4_000_000, 20),
        "Gram, 100 columns": (500_000, 100),
        "Jacobian": (131_072, 20),
    }[name]
    rows = ShiftedRows.of(random.normal(size=(n, d)), random.normal(size=(n, 1)), None)
    if name != "Jacobian":
        return lambda threads: linear_sums(rows, Local(threads))
    network = Network(d, (16, 16))
    start = network.initial_parameters(0)
    return lambda threads: Objective(network, rows, Local(threads)).normal_sums(start)


def answer_lines(name: str) -> None:
    """For every thread count on a line of standard input: the seconds that the sums took."""
    work = sums(name)
    work(2)
    print("ready", flush=True)
    for line in sys.stdin:
        began = time.perf_counter()
        work(int(line))
        print(time.perf_counter() - began, flush=True)


class Process:
    """Sums in a process of its own, asked for by thread count."""

    def __init__(self, name: str) -> None:
        command = [sys.executable, __file__, "--sums", name]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def ask(self, threads: int) -> None:
        assert self.process.stdin
        print(threads, file=self.process.stdin, flush=True)

    def answer(self) -> float:
        assert self.process.stdout
        line = self.process.stdout.readline().strip()
        return 0.0 if line == "ready" else float(line)

    def close(self) -> None:
        assert self.process.stdin
        self.process.stdin.close()
        self.process.wait()


def threads(rounds: int) -> None:
    """How much faster two threads are than one, and two processes."""
    print(
        "### Two threads\n\n| sums | 2 threads ÷ 1 thread | 2 processes ÷ 1 | of what the "
        "machine gives |"
    )
    print("|---|---:|---:|---:|")
    for name in ("Gram, 20 columns", "Gram, 100 columns", "Jacobian"):
        first, second = Process(name), Process(name)
        first.answer(), second.answer()
        found, most = [], []
        for _ in range(rounds):
            took = []
            for count in (1, 2, 1):
                first.ask(count)
                took.append(first.answer())
            first.ask(1), second.ask(1)
            both = max(first.answer(), second.answer())
            alone = min(took[0], took[2])
            found.append(alone / took[1])
            most.append(2 * alone / both)
        first.close(), second.close()
        gain, ceiling = statistics.median(found), statistics.median(most)
        print(f"| {name} | {gain:.2f} | {ceiling:.2f} | {gain / ceiling:.0%} |", flush=True)
    print()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, nargs="+", default=[1_000_000, 3_000_000, 10_000_000])
    parser.add_argument("--only", nargs="+", default=["linear", "network", "threads"])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--write", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--one", nargs=2, help=argparse.SUPPRESS)
    parser.add_argument("--sums", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.write:
        write_here(options.write, options.rows[0])
    elif options.one:
        one(*options.one)
    elif options.sums:
        answer_lines(options.sums)
    else:
        for what in options.only:
            if what == "threads":
                threads(5 * options.rounds)
            else:
                growth(what, options.rows, 1 if what == "network" else options.rounds)


if __name__ == "__main__":
    main()
