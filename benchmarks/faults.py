"""Faults by the thousand: ``python benchmarks/faults.py --cases 40`` injects them, counts, and
writes docs/faults.md.

The cases are those of tests/faults. ``--cases`` is their number for each fault; damaged files are
twice as many, hostile tables five times.
"""

from __future__ import annotations

import argparse
import json
import resource
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
from fuzzing import fuzzed  # noqa: E402
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
from loading import visit  # noqa: E402
from surroundings import MODELS, SETTINGS, STREAMS, odd_stream, same_bytes  # noqa: E402

MEMORY = 4 << 30  # address space of a process that loads changed files; libraries reserve 2.3 GB
PART = 5_000  # cases in one process: the libraries' reservations grow
FUZZED = {
    "model": "model files with changed bytes",
    "sums": "files of sums with changed bytes",
    "checkpoint": "checkpoints with changed bytes",
    "model, edited": "model files with an edited value, their digest made anew",
    "sums, edited": "files of sums with an edited value, their digest made anew",
    "checkpoint, edited": "checkpoints with an edited value, their digest made anew",
    "upload": "uploads with changed bytes",
    "formula": "formulas of random pieces",
}
PAGE = "requests to the page among slow and vanishing ones"
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


def streamed(
    commands: Commands, folder: Path, cases: int, random: np.random.Generator
) -> Iterator[tuple[str, str]]:
    for name in STREAMS:
        for arguments, out in (*WRITERS.values(), (REPORT, "r.html")):
            found = odd_stream(folder, arguments, out, name)
            yield "streams closed, full, of ASCII or without a reader", found


def settled(
    commands: Commands, folder: Path, cases: int, random: np.random.Generator
) -> Iterator[tuple[str, str]]:
    write_table(folder / "small.csv", 300)
    for model in MODELS:
        for setting in SETTINGS:
            yield "other cores and numbers of threads", same_bytes(folder, model, setting)


def fuzzing(cases: int) -> Iterator[tuple[str, Counter[str]]]:
    """Files of our own, uploads and formulas, in processes that have little memory."""
    sizes = [min(PART, cases - done) for done in range(0, cases, PART)]
    with ProcessPoolExecutor(2, mp_context=get_context("spawn"), max_tasks_per_child=1) as pool:
        for kind, fault in FUZZED.items():
            parts = [pool.submit(fuzz, kind, part, size) for part, size in enumerate(sizes)]
            yield fault, sum((part.result() for part in parts), Counter[str]())


def fuzz(kind: str, seed: int, count: int) -> Counter[str]:
    """One part of the cases of a kind."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    with tempfile.TemporaryDirectory() as folder:
        return fuzzed(kind, Path(folder), seed, count)


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
        "| fault | cases | right | read as another | clear errors | failures |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    for fault, found in tally.items():
        fine = ("right", "another", "error")
        failures = sum(count for what, count in found.items() if what not in fine)
        lines.append(
            f"| {fault} | {found.total():,} | {found['right']:,} | {found['another']:,} | "
            f"{found['error']:,} | "
            f"{failures:,} |"
        )
    return lines


PARTS: dict[str, Callable[..., Iterator[tuple[str, str]]]] = {
    "killed": killed, "full": full, "read": read, "tabled": tabled, "streams": streamed,
    "settings": settled,
}  # fmt: skip


def injected(part: str, cases: int, seed: int) -> Tally:
    """What came of the faults of a part."""
    tally: Tally = {}
    with tempfile.TemporaryDirectory() as made, Commands() as commands:
        folder = Path(made)
        prepared(commands, folder)
        for fault, found in PARTS[part](commands, folder, cases, np.random.default_rng(seed)):
            tally.setdefault(fault, Counter())[found] += 1
            if found not in ("right", "error"):
                print(f"{fault}: {found}", file=sys.stderr)
    return tally


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=40)
    parser.add_argument(
        "--fuzz", type=int, default=100_000, help="files, uploads and formulas of each kind"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "faults.md")
    every = (*PARTS, "fuzz", "page")
    parser.add_argument("--parts", nargs="+", choices=every, default=every)
    parser.add_argument(
        "--tally", type=Path, help="a JSON file that keeps the counts of parts from run to run"
    )
    given_ = parser.parse_args()
    tally: Tally = {}
    if given_.tally and given_.tally.exists():
        kept = json.loads(given_.tally.read_text(encoding="utf-8"))
        tally = {fault: Counter(found) for fault, found in kept.items()}
    for part in given_.parts:
        if part in PARTS:
            tally |= injected(part, given_.cases, given_.seed)
        elif part == "fuzz":
            tally |= dict(fuzzing(given_.fuzz))
        else:
            tally[PAGE], memory = visited()
            tally[PAGE]["memory"] = memory
        if given_.tally:
            given_.tally.write_text(json.dumps(tally, indent=1), encoding="utf-8")
    order = list(tally)
    for fault in (*FUZZED.values(), PAGE):  # last, whenever they were run
        if fault in order:
            order.append(order.pop(order.index(fault)))
    tally = {fault: tally[fault] for fault in order}
    visits = tally.get(PAGE, Counter())
    vanished, cut, memory = (visits.pop(what, 0) for what in ("vanished", "cut off", "memory"))
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
