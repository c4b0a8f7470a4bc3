"""``halfsquare audit`` as a person runs it: exit codes, the table, JSON, and no traceback."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

LOSSES = """
import numpy as np

def good(target, output):
    if np.shape(target) != np.shape(output):
        raise ValueError("shapes")
    return np.mean((np.asarray(output, float) - np.asarray(target, float)) ** 2)

def slope(target, output):
    return 2 * (output - target) / output.size

def doubled(target, output):
    return 4 * (output - target) / output.size

def chatty(target, output):
    print("called")
    return good(target, output)

def raising(target, output):
    raise RuntimeError("\\x1b[31mnot today")

def scaled(target, output, delta):
    return delta * good(target, output)

def step(batch):
    inputs, target = batch
    return inputs.T @ (inputs.sum(1) - target)

def batch():
    return np.eye(9), np.arange(9.0)

class Loss:
    def __call__(self, y_true, y_pred):
        return good(y_true, y_pred)

constant = 3
"""


@pytest.fixture
def losses(tmp_path: Path) -> Path:
    (tmp_path / "losses.py").write_text(LOSSES)
    (tmp_path / "broken.py").write_text("import sys\nsys.exit(4)\n")
    (tmp_path / "needs.py").write_text("import no_such_package\n")
    return tmp_path


def test_a_good_loss_passes(losses: Path, command: Any) -> None:
    ran = command("audit", "losses.py:good", "--gradient", "slope", "--convention", "mse")
    assert ran.code == 0, ran.out + ran.err
    assert "MSE: the mean over rows and outputs" in ran.out
    assert "Passed:" in ran.out and "FAIL" not in ran.out


def test_a_wrong_gradient_fails_with_figures(losses: Path, command: Any) -> None:
    ran = command("audit", "losses.py:good", "--gradient", "losses.py:doubled", "--json")
    assert ran.code == 1
    found = {f["check"]: f for f in ran.json["findings"]}
    assert ran.json["convention"] == "mse" and ran.json["passed"] is False
    assert found["gradient"]["figures"]["factor"] == pytest.approx(2.0)
    assert found["gradient"]["example"] and "2 (o−t) / (n·k)" in found["gradient"]["mend"]


def test_what_the_loss_prints_does_not_mix_with_the_answer(losses: Path, command: Any) -> None:
    ran = command("audit", "losses:chatty", "--json")
    assert ran.code == 0 and ran.json["passed"]
    assert "called" in ran.err


def test_an_exception_of_the_loss_is_a_finding(losses: Path, command: Any) -> None:
    ran = command("audit", "losses.py:raising")
    assert ran.code == 1
    assert "RuntimeError" in ran.out and "\x1b" not in ran.out
    assert "Traceback" not in ran.out + ran.err


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (["losses.py"], 2, "MODULE:FUNCTION"),
        (["nothing.py:good"], 2, "there is no file nothing.py"),
        (["nothing:good"], 2, "there is no module"),
        (["losses.py:better"], 2, "it has Loss, batch, chatty"),
        (["losses.py:constant"], 2, "int"),
        (["losses.py:scaled"], 2, "--argument delta=VALUE"),
        (["losses.py:scaled", "--argument", "delta"], 2, "NAME=VALUE"),
        (["broken.py:good"], 1, "SystemExit: 4"),
        (["needs.py:good"], 1, "no_such_package"),
        (["losses.py:good", "--target", "truth"], 2, "no argument 'truth'"),
    ],
)
def test_wrong_usage_is_told(
    losses: Path, command: Any, arguments: list[str], code: int, told: str
) -> None:
    ran = command("audit", *arguments)
    assert ran.code == code
    assert told in ran.err and "Traceback" not in ran.err


def test_further_arguments_steps_and_classes(losses: Path, command: Any) -> None:
    assert command("audit", "losses.py:scaled", "--argument", "delta=0.5").code == 0
    assert command("audit", "losses.py:Loss", "--strict").code == 0
    ran = command("audit", "losses.py:step", "--batch", "batch")
    assert ran.code == 0 and "one batch of 9 rows" in ran.out
    assert command("audit", "losses.py:good", "--convention", "sse").code == 1


def test_strict_fails_on_what_is_silent(losses: Path, command: Any) -> None:
    (losses / "plain.py").write_text("plain = lambda t, o: ((t - o) ** 2).mean()\n")
    assert command("audit", "plain.py:plain").code == 0
    ran = command("audit", "plain.py:plain", "--strict")
    assert ran.code == 1 and "broadcast to n × n" in ran.out


def test_a_numpy_loss_loads_no_other_library(losses: Path) -> None:
    code = (
        "import sys; from halfsquare.audit.importing import load_name; from halfsquare "
        "import audit_loss\n"
        "assert audit_loss(load_name('losses.py', 'good')).passed\n"
        "print([m for m in ('torch', 'jax', 'tensorflow', 'keras', 'sklearn') if m in sys.modules])"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code], cwd=losses, capture_output=True, text=True, check=True
    )
    assert json.loads(ran.stdout.replace("'", '"')) == []
