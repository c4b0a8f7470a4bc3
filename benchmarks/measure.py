"""How benchmarks measure: every candidate in a process of its own, several times in turn, as
ratios.

A candidate is a function of no arguments that does the work once and returns a number to compare
answers by. Time is that of the work, without imports and input; memory is the peak of the process.
CPU seconds, of the user's code and of the system, and page faults hold roughly on a busy machine,
too.
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
    seconds: float  # this and the next three: medians
    user: float
    system: float
    faults: float
    megabytes: float  # greatest peak
    answer: float


def run_one(prepare: Callable[[], Work], repeats: int) -> None:
    """In the candidate's own process: prepare, work ``repeats`` times, print what it took."""
    work = prepare()
    took, answer = [], float("nan")
    for _ in range(repeats):
        began = _spent()
        answer = work()
        took.append([after - before for before, after in zip(began, _spent(), strict=True)])
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"took": took, "megabytes": peak, "answer": answer}))


def _spent() -> tuple[float, float, float, float]:
    """Seconds, those of the user's code and of the system, and page faults, so far."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return time.perf_counter(), used.ru_utime, used.ru_stime, used.ru_minflt


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
            *(statistics.median(t[i] for r in runs for t in r["took"]) for i in range(4)),
            max(r["megabytes"] for r in runs),
            runs[-1]["answer"],
        )
        for name, runs in found.items()
        if runs
    }


def table(title: str, measured: dict[str, Measured], reference: str) -> str:
    """A Markdown table of ratios to ``reference``."""
    base = measured[reference]
    lines = [
        f"### {title}",
        "",
        f"| what | time ÷ {reference} | CPU ÷ {reference} | seconds | user | system | faults | "
        "peak MB | answer |",
        "|---|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    lines += [
        f"| {name} | {m.seconds / base.seconds:.2f} | "
        f"{(m.user + m.system) / (base.user + base.system):.2f} | {m.seconds:.3f} | {m.user:.2f} | "
        f"{m.system:.2f} | {m.faults:,.0f} | {m.megabytes:.0f} | {m.answer:.10g} |"
        for name, m in measured.items()
    ]
    return "\n".join(lines) + "\n"
