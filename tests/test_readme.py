"""The README's commands are run, and what it shows of their output is what they print."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from halfsquare import load

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
BIN = Path(sys.executable).parent


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the demo has run, and the reader's own file lies."""
    folder = tmp_path_factory.mktemp("readme")
    run("halfsquare demo --out demo-output", folder)
    minutes = np.arange(0, 60, 3.0)
    temperature = (
        20 + 60 * np.exp(-0.05 * minutes) + np.random.default_rng(0).normal(0, 0.2, len(minutes))
    )
    rows = "\n".join(f"{m},{t:.3f}" for m, t in zip(minutes, temperature, strict=True))
    (folder / "cooling.csv").write_text(f"minutes,temperature\n{rows}\n")
    return folder


def run(command: str, folder: Path) -> str:
    # The reader's shell: pipes are part of what is shown.
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", command],
        cwd=folder,
        capture_output=True,
        text=True,
        env={"PATH": f"{BIN}:/usr/bin:/bin", "HOME": str(folder)},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def output_of(line: str, folder: Path, command: Callable[..., Any]) -> str:
    """What a line of the shell prints; without a pipe it runs in this process: quicker."""
    if line.startswith("halfsquare ") and "|" not in line:
        ran = command(*shlex.split(line)[1:])
        assert ran.code == 0, ran.err
        return str(ran.out)
    return run(line, folder)


def sessions() -> list[tuple[str, list[str]]]:
    """Each command shown after a prompt, with the lines shown below it."""
    found = []
    for block in re.findall(r"```\n(\$ .*?)```", README, re.DOTALL):
        command, *shown = block.rstrip().split("\n")
        found.append((command.removeprefix("$ "), shown))
    return found


NUMBER = re.compile(r"-?\d[\d,]*\.?\d*(?:e[+-]\d+)?")


def same(line: str, other: str) -> bool:
    """Equal but for the last digits of full-precision numbers, which another BLAS may round
    otherwise.
    """
    if NUMBER.sub("#", line.rstrip()) != NUMBER.sub("#", other.rstrip()):
        return False
    pairs = zip(NUMBER.findall(line), NUMBER.findall(other), strict=True)
    return all(
        a == b or np.isclose(float(a.replace(",", "")), float(b.replace(",", "")), rtol=1e-9)
        for a, b in pairs
    )


def test_the_demo_fits_and_leaves_its_files(folder: Path) -> None:
    made = folder / "demo-output"
    for name in ("flights.csv", "flights.hsq", "predictions.csv", "report.html"):
        assert (made / name).stat().st_size > 1000
    test = load(made / "flights.hsq").info["test"]
    assert test["r2"] > 0.8 and test["rows"] > 60_000


def test_the_quick_start_prints_what_the_readme_shows(
    folder: Path, command: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    assert len(sessions()) >= 5
    for session, shown in sessions():
        printed = output_of(session, folder, command).splitlines()
        for line in shown:
            assert line.strip() == "…" or any(same(line, p) for p in printed), (
                f"{session} does not print {line!r}"
            )


def test_a_changed_number_would_be_noticed(folder: Path) -> None:
    command, shown = next(s for s in sessions() if "explain" in s[0])
    printed = run(command.replace("2.2", "2.3"), folder).splitlines()
    assert not all(any(same(line, p) for p in printed) for line in shown)


def test_links_lead_somewhere() -> None:
    for link in re.findall(r"\]\(([^)]+)\)", README):
        assert (ROOT / link).is_file(), link
