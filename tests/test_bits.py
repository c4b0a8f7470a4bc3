"""The same bits whatever the number of threads; between kinds of processors the same digits.

Each fit runs in a process of its own, because BLAS chooses threads and kernels when it is loaded.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from typing import Any

import numpy as np
import pytest

PROGRAM = """
import json, sys
import numpy as np
from halfsquare import fit

random = np.random.default_rng(0)
x = random.normal(size=(60, 2))
y = np.sin(x[:, 0]) + 0.5 * x[:, 1] + 0.1 * random.normal(size=60)
data = {f"x{j}": x[:, j] for j in range(2)} | {"y": y}
told = {}
for kind in sys.argv[2].split(","):
    given = {"formula": "y ~ a*sin(b*x0) + c*x1"} if kind == "formula" else {"model": kind}
    target = None if kind == "formula" else "y"
    fitted = fit(data, target, threads=int(sys.argv[1]) or None, **given)
    outputs, std = fitted.predict(data, return_std=True)
    values = [v for p in fitted.parameters for v in (p.value, p.standard_error)]
    told[kind] = [v.hex() for v in (*outputs.tolist(), *std.tolist(), *map(float, values))]
print(json.dumps(told))
"""


def ran(threads: int, kinds: str, *before: str, **environment: str) -> dict[str, Any]:
    told = subprocess.run(
        [*before, sys.executable, "-c", PROGRAM, str(threads), kinds],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    found: dict[str, Any] = json.loads(told.stdout)
    return found


def test_outputs_and_their_deviations_have_the_same_bits_for_any_number_of_threads() -> None:
    kinds = "linear,network,formula"
    one = ran(1, kinds, OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1")
    two = ran(2, kinds, OMP_NUM_THREADS="2", OPENBLAS_NUM_THREADS="2")
    assert one == two
    taskset = shutil.which("taskset")
    if taskset is not None:
        assert ran(0, "linear,formula", taskset, "-c", "0") == {
            kind: one[kind] for kind in ("linear", "formula")
        }


def test_linear_fits_agree_to_twelve_digits_between_kernels() -> None:
    found = [
        np.array([float.fromhex(v) for v in ran(1, "linear", **own)["linear"]])
        for own in ({"OPENBLAS_CORETYPE": "Prescott"}, {})  # the plainest of x86, and this one's
    ]
    assert found[0] == pytest.approx(found[1], rel=1e-12, abs=1e-13)
