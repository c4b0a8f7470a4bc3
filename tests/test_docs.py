"""What the documentation shows is run, and prints what it says."""

from __future__ import annotations

import contextlib
import doctest
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import dask
import pytest
import typer.main
from test_readme import same

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
BIN = Path(sys.executable).parent
WALKED = ["start.md", "answer.md", *sorted(f"guides/{p.name}" for p in DOCS.glob("guides/*.md"))]
FLAGS = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS
Command = Callable[..., Any]


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """What the pages offer for download, and ``train.csv``."""
    for file in (DOCS / "data").iterdir():
        if file.is_file():
            shutil.copy(file, tmp_path)
    rows = [line.rsplit(",", 1)[0] for line in (tmp_path / "penguins.csv").read_text().split("\n")]
    (tmp_path / "train.csv").write_text("\n".join(rows))
    return tmp_path


def blocks(page: str) -> list[tuple[str, str]]:
    """Language and text of each code block of a page, in their order."""
    text = (DOCS / page).read_text(encoding="utf-8")
    return re.findall(r"^```([\w{}-]*)[^\n]*\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("page", WALKED)
def test_a_page_shows_what_is_printed(page: str, files: Path, command: Command) -> None:
    names: dict[str, Any] = {}
    shown = 0
    for language, text in blocks(page):
        if language == "pycon":
            run_session(text, page, names)
        elif language == "" and text.startswith("$ "):
            for line, expected in commands(text):
                check(line, expected, files, command)
        else:
            continue
        shown += 1
    assert shown or page == "guides/cluster.md"


def run_session(text: str, page: str, names: dict[str, Any]) -> None:
    """A Python session, on the names that earlier ones of the page left."""
    test = doctest.DocTestParser().get_doctest(text, names, page, page, 0)
    runner, told = doctest.DocTestRunner(optionflags=FLAGS, verbose=False), []
    runner.run(test, out=told.append, clear_globs=False)
    names.update(test.globs)
    assert test.examples and runner.failures == 0, "".join(told)


def commands(text: str) -> list[tuple[str, list[str]]]:
    """Each line after a prompt, with the lines shown below it."""
    found: list[tuple[str, list[str]]] = []
    for line in text.rstrip().split("\n"):
        if line.startswith("$ "):
            found.append((line.removeprefix("$ "), []))
        else:
            found[-1][1].append(line)
    return found


def check(line: str, expected: list[str], files: Path, command: Command) -> None:
    printed = output_of(line, files, command).splitlines()
    for wanted in expected:
        start, dots, _ = wanted.partition("…")
        fits = any(p.startswith(start) if dots else same(wanted, p) for p in printed)
        assert not wanted.strip() or fits, f"{line} does not print {wanted!r}:\n" + "\n".join(
            printed
        )


def output_of(line: str, files: Path, command: Command) -> str:
    """What a line of the shell prints; without a pipe it runs in this process: quicker."""
    if line.startswith("halfsquare ") and "|" not in line:
        ran = command(*shlex.split(line)[1:])
        assert ran.code == 0, ran.err
        return str(ran.out)
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", line],
        cwd=files,
        capture_output=True,
        text=True,
        env={**os.environ, "PATH": f"{BIN}:/usr/bin:/bin"},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_wrong_number_would_be_noticed(files: Path, command: Command) -> None:
    with pytest.raises(AssertionError, match="does not print"):
        check("halfsquare explain --target 3 --output 2.3", ["  SSE 0.64 -1.6 2"], files, command)
    with pytest.raises(AssertionError):
        run_session(">>> 1 + 1\n3\n", "page", {})


LINES = re.findall(r"^\| .* \| `([^`]+)` \|$", (DOCS / "coming-from.md").read_text(), re.MULTILINE)


def test_every_line_of_the_tables_runs(files: Path, command: Command) -> None:
    assert len(LINES) > 40
    names: dict[str, Any] = {}
    exec(BEFORE, names)
    for line in LINES:
        if line.startswith("halfsquare "):
            ran = command(*shlex.split(line)[1:])
            assert ran.code == 0, f"{line}: {ran.err}"
        else:
            names["_"] = eval(compile(line, line, "eval"), names)
            assert names["_"] is not None or "save" in line


BEFORE = """
import pandas
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from halfsquare import *

import os
frame = pandas.read_csv("penguins.csv").dropna()
frame = frame[["bill_length_mm", "bill_depth_mm", "flipper_length_mm", "body_mass_g"]]
X, y = frame.iloc[:, :3].to_numpy(), frame.iloc[:, 3].to_numpy()
line = fit(frame, "body_mass_g", model="linear")
formula = "temperature ~ room + a*exp(-k*minutes)"
tea = fit("cooling.csv", formula=formula, test_fraction=0)
"""


#: What stands before the Python of a page that shows no output, and what takes the place of a text.
PROGRAMS: dict[str, tuple[str, dict[str, str]]] = {
    "audit.md": (
        """
from halfsquare import SquaredError

loss, gradient = SquaredError("mse").value, SquaredError("mse").gradient
""",
        {},
    ),
    "cluster.md": (
        """
import pathlib, pyarrow as pa, pyarrow.parquet
from halfsquare import fit

pathlib.Path("rows").mkdir()
rows = {"x": [float(i) for i in range(40)], "y": [3.0 * i + i % 3 for i in range(40)]}
pyarrow.parquet.write_table(pa.table(rows), "rows/1.parquet")
""",
        {"tcp://HOST:PORT": "local:1"},
    ),
    "formula.md": (
        """
import numpy as np, pandas

x = np.linspace(1, 20, 12)
frame = pandas.DataFrame({"x": x, "y": 5 * (1 - np.exp(-0.3 * x)) + 0.01 * np.sin(9 * x)})
""",
        {},
    ),
    "terms.md": (
        """
import numpy as np, pandas

random = np.random.default_rng(1)
houses = pandas.DataFrame({
    "area": random.uniform(50, 200, 90).round(),
    "district": random.choice(["north", "south"], 90),
    "street": np.arange(90) // 6,
})
houses["price"] = (900 * houses.area * random.lognormal(0, 0.1, 90)).round()
houses.to_csv("houses.csv", index=False)
""",
        {},
    ),
    "estimators.md": ("", {}),
    # Spark and Ray are stood in for by what they do with a function and the parts of a table.
    "warehouse.md": (
        """
from types import SimpleNamespace

import dask, numpy as np, pandas

random = np.random.default_rng(1)
table = pandas.DataFrame({"area": random.uniform(50, 200, 90), "town": ["a", "b", "c"] * 30})
table["price"] = 3.0 * table.area + random.normal(size=90)
partitions = [table[:40], table[40:]]
rows = [[SimpleNamespace(asDict=r.to_dict) for _, r in part.iterrows()] for part in partitions]
spread = lambda work: SimpleNamespace(collect=lambda: [s for part in rows for s in work(part)])
houses = SimpleNamespace(
    rdd=SimpleNamespace(mapPartitions=spread), to_delayed=lambda: partitions
)
ray = SimpleNamespace(get=list, remote=lambda work: SimpleNamespace(remote=work))
""",
        {},
    ),
}


def programs(page: str) -> list[str]:
    return [text for language, text in blocks(page) if language == "python"]


def test_every_page_with_python_is_run() -> None:
    with_python = {
        str(path.relative_to(DOCS)) for path in DOCS.rglob("*.md")
        if "_build" not in path.parts and programs(str(path.relative_to(DOCS)))
    }  # fmt: skip
    assert with_python == set(PROGRAMS)


@pytest.mark.parametrize("page", PROGRAMS)
def test_the_python_of_a_page_runs(
    page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    before, instead = PROGRAMS[page]
    names: dict[str, Any] = {"__name__": page}
    exec(before, names)
    # A cluster of another test may still be the default while it closes.
    with dask.config.set(scheduler="threads"):
        for text in programs(page):
            for shown, given in instead.items():
                assert shown in text
                text = text.replace(shown, given)
            exec(compile(text, page, "exec"), names)
    if page == "audit.md":
        names["test_loss"]()
        sys.modules.pop("losses", None)  # another test has a file of this name


def test_every_command_shown_anywhere_is_one() -> None:
    """Names of commands and options, in all pages, also where the line itself cannot run here."""
    from halfsquare.cli.main import app

    group = typer.main.get_command(app)
    assert isinstance(group, click.Group) or hasattr(group, "commands")
    seen = 0
    for page in [*DOCS.rglob("*.md"), ROOT / "README.md"]:
        for line in re.findall(
            r"^(?: {4}|\$ )?(halfsquare \w[^\n]*)$", page.read_text(), re.MULTILINE
        ):
            with contextlib.suppress(ValueError):
                words = shlex.split(line, comments=True)
                words = words[: words.index("|")] if "|" in words else words
                known = {
                    o for p in group.commands[words[1]].params for o in (*p.opts, *p.secondary_opts)
                }
                used = {w.split("=")[0] for w in words[2:] if w.startswith("--")}
                assert used <= known, f"{page.name}: {line}: {used - known}"
                seen += 1
    assert seen > 60
