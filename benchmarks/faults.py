"""Faults by the thousand: ``python benchmarks/faults.py --cases 40`` injects them, counts, and
writes docs/faults.md.

The cases are those of tests/faults. ``--cases`` is their number for each fault; damaged files are
twice as many, hostile tables five times.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests" / "faults"))

from forking import Commands  # noqa: E402
from hostile import outcome, planned_outcome, tables  # noqa: E402
from hypothesis import HealthCheck, given, seed, settings  # noqa: E402
from injecting import (  # noqa: E402
    PREDICT,
    REPORT,
    TEXTS,
    WRITERS,
    damaged_parquet,
    hostile_text,
    interrupted,
    kills,
    little_memory,
    out_of_space,
    prepared,
    write_table,
)  # fmt: skip
from loading import load_mutated, visit  # noqa: E402

MEMORY = 3 << 30  # address space of a process that loads changed model files
BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"
Tally = dict[str, Counter[str]]


def killed(
    commands: Commands, folder: Path, cases: int, random: np.random.Generator
) -> Iterator[tuple[str, str]]:
    for name, (arguments, out) in {**WRITERS, "report": (REPORT, "r.html")}.items():
        began = time.monotonic()
        assert commands(*arguments, folder=folder).code == 0
        seconds = 1.2 * (time.monotonic() - began)
        for kill in kills(random, seconds, cases // 2 if name == "report" else cases):
            yield f"`{name}` killed", interrupted(commands, folder, arguments, out, kill)


def full(
    commands: Commands, folder: Path, cases: int, random: np.random.Generator
) -> Iterator[tuple[str, str]]:
    for name, (arguments, out) in WRITERS.items():
        top = 4_000 if name == "fit --out" else 100_000
        for size in random.integers(0, top, cases):
            yield f"no room for `{name}`", out_of_space(commands, folder, arguments, out, int(size))


def read(
    commands: Commands, folder: Path, cases: int, random: np.random.Generator
) -> Iterator[tuple[str, str]]:
    write_table(folder / "whole.parquet")
    for _ in range(2 * cases):
        yield "Parquet damaged, its pages with checksums", damaged_parquet(commands, folder, random)
    for content in TEXTS.values():
        yield "text files of the worst kind", hostile_text(commands, folder, content)
    for megabytes in random.integers(50, 3000, cases):
        yield "`ulimit -v` from 50 to 3,000 MB", little_memory(folder, int(megabytes), (*PREDICT,))


def tabled(
    commands: Commands, folder: Path, cases: int, random: np.random.Generator
) -> Iterator[tuple[str, str]]:
    found: list[str] = []

    @seed(int(random.integers(1 << 30)))
    @settings(
        max_examples=5 * cases,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(tables())
    def each(table: tuple[list[str], list[list[str]], str]) -> None:
        with tempfile.TemporaryDirectory() as made:
            found.append(outcome(table, commands, Path(made)))

    each()
    for one in found:
        yield "hostile tables", one
    for i in range(cases):
        with tempfile.TemporaryDirectory() as made:
            yield "odd names and scales, against NumPy", planned_outcome(i, commands, Path(made))


def loaded(folder: Path, models: int) -> Counter[str]:
    """Changed model files, split over two processes that have little memory."""
    from halfsquare import fit

    random = np.random.default_rng(0)
    data = {
        "a": random.normal(size=200),
        "b": random.choice(["x", "y"], 200),
        "y": random.normal(size=200),
    }
    for name, options in {
        "linear": {"model": "linear"},
        "network": {"model": "network", "time_limit": 2.0},
    }.items():
        fit(data, "y", **options).save(folder / f"{name}.hsq")
    contents = [(folder / f"{name}.hsq").read_bytes() for name in ("linear", "network")]
    total = Counter[str]()
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        parts = [
            pool.submit(load_mutated, contents, folder, i, models // 2, MEMORY) for i in range(2)
        ]
        for part in parts:
            total += part.result()
    return total


def visited(seconds: float = 60.0) -> tuple[Counter[str], int]:
    """The page with 50 visitors at once, and the memory that it has at the end, in MB."""
    import psutil

    code = "from halfsquare.web.serve import serve; serve()"
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True
    ) as server:
        assert server.stdout is not None
        url = server.stdout.readline().split()[-1]
        found = visit(url, 50, seconds)
        found += visit(url, 1, 1.0)  # it is alive
        memory = psutil.Process(server.pid).memory_info().rss >> 20
        server.terminate()
        server.wait(30)
    return found, memory


def table(tally: Tally) -> list[str]:
    lines = [
        "| fault | cases | right answers | clear errors | failures |",
        "|---|---:|---:|---:|---:|",
    ]
    for fault, found in tally.items():
        failures = sum(count for what, count in found.items() if what not in ("right", "error"))
        lines.append(
            f"| {fault} | {found.total():,} | {found['right']:,} | {found['error']:,} | "
            f"{failures:,} |"
        )
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=40)
    parser.add_argument(
        "--models", type=int, default=100_000, help="model files with changed bytes"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "faults.md")
    given_ = parser.parse_args()
    tally: Tally = {}
    parts: list[Callable[..., Iterator[tuple[str, str]]]] = [killed, full, read, tabled]
    with tempfile.TemporaryDirectory() as made, Commands() as commands:
        folder = Path(made)
        prepared(commands, folder)
        for part in parts:
            for fault, found in part(
                commands, folder, given_.cases, np.random.default_rng(given_.seed)
            ):
                tally.setdefault(fault, Counter())[found] += 1
                if found not in ("right", "error"):
                    print(f"{fault}: {found}", file=sys.stderr)
        (folder / "models").mkdir()
        tally["model files with changed bytes"] = loaded(folder / "models", given_.models)
    visits, memory = visited()
    vanished, cut = visits.pop("vanished", 0), visits.pop("cut off", 0)
    tally["requests to the page among slow and vanishing ones"] = visits
    lines = table(tally)
    lines += [
        "",
        f"At the page, {cut} visitors who sent a byte a second were cut off and {vanished:,} "
        "who vanished were",
    ]
    lines += [f"forgotten; the server had {memory} MB at the end."]
    print("\n".join(lines))
    text = given_.out.read_text(encoding="utf-8")
    before, after = text.split(BEGIN)[0], text.split(END)[1]
    given_.out.write_text("\n".join([before + BEGIN, *lines, END]) + after, encoding="utf-8")


if __name__ == "__main__":
    main()
