"""How benchmarks measure: every candidate in a process of its own, several times in turn, as
ratios.

A candidate is a function of no arguments that does the work once and returns a number to compare
answers by. Time is that of the work, without imports and input; memory is the peak of the process.
"""

from __future__ import annotations

import json
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

Work = Callable[[], float]


@dataclass(frozen=True)
class Measured:
    seconds: float  # median
    megabytes: float  # greatest peak
    answer: float


def run_one(prepare: Callable[[], Work], repeats: int) -> None:
    """In the candidate's own process: prepare, work ``repeats`` times, print what it took."""
    work = prepare()
    seconds, answer = [], float("nan")
    for _ in range(repeats):
        began = time.perf_counter()
        answer = work()
        seconds.append(time.perf_counter() - began)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"seconds": seconds, "megabytes": peak, "answer": answer}))


def measure(
    script: str,
    names: Sequence[str],
    arguments: Sequence[str],
    *,
    rounds: int = 3,
    repeats: int = 1,
) -> dict[str, Measured]:
    """Run ``script --one NAME …`` for each candidate, in turn, ``rounds`` times."""
    found: dict[str, list[dict]] = {name: [] for name in names}
    for _ in range(rounds):
        for name in names:
            command = [sys.executable, script, "--one", name, "--repeats", str(repeats), *arguments]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                print(
                    f"{name} failed: "
                    f"{done.stderr.strip().splitlines()[-1] if done.stderr else done.returncode}",
                    file=sys.stderr,
                )
                continue
            found[name].append(json.loads(done.stdout.strip().splitlines()[-1]))
    return {
        name: Measured(
            statistics.median(s for r in runs for s in r["seconds"]),
            max(r["megabytes"] for r in runs),
            runs[-1]["answer"],
        )
        for name, runs in found.items()
        if runs
    }


def table(title: str, measured: dict[str, Measured], reference: str) -> str:
    """A Markdown table of ratios to ``reference``."""
    base = measured[reference].seconds
    lines = [
        f"### {title}",
        "",
        f"| what | time ÷ {reference} | seconds | peak MB | answer |",
        "|---|---:|---:|---:|---:|",
    ]
    lines += [
        f"| {name} | {m.seconds / base:.2f} | {m.seconds:.3f} | {m.megabytes:.0f} | "
        f"{m.answer:.10g} |"
        for name, m in measured.items()
    ]
    return "\n".join(lines) + "\n"
