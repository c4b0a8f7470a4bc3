"""The bytes of a model do not depend on how many cores there are, nor on what the environment says
of threads.

Kernels of BLAS for other processors round otherwise: there the digits that the data determine are
the same, and the bytes are not promised.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from halfsquare import load

if not hasattr(os, "sched_setaffinity"):
    pytest.skip("cores are chosen as Linux does it", allow_module_level=True)

CORES = sorted(os.sched_getaffinity(0))
FIT = """
import os, signal, sys
cores, out, kind, kept, steps = sys.argv[1:]
os.sched_setaffinity(0, {int(core) for core in cores.split(",")})
import numpy as np
from halfsquare import fit
random = np.random.default_rng(0)
x = random.uniform(-2, 2, (40, 2))
y = np.sin(2 * x[:, 0]) + x[:, 0] * x[:, 1] + random.normal(0, 0.1, 40)
seen = []
def callback(state):
    seen.append(state)
    if len(seen) == int(steps):
        os.kill(os.getpid(), signal.SIGKILL)
checkpoint = {"checkpoint": kept, "checkpoint_every": 0.0} if kept else {}
data = {"a": x[:, 0], "b": x[:, 1], "y": y}
fit(data, "y", model=kind, callback=callback, refit=False, **checkpoint).save(out)
"""


def fitted(
    path: Path, cores: list[int], kind: str = "network", kept: str = "", steps: int = 0, **env: str
) -> bytes:
    """The model file of a fit on these cores, which is killed after so many steps, if any."""
    arguments = [",".join(map(str, cores)), str(path), kind, kept, str(steps)]
    ended = subprocess.run(
        [sys.executable, "-c", FIT, *arguments], env={**os.environ, **env}, timeout=300
    )
    assert ended.returncode == (-signal.SIGKILL if steps else 0)
    return b"" if steps else path.read_bytes()


@pytest.mark.skipif(len(CORES) < 2, reason="needs two cores")
def test_a_network_has_the_same_bytes_on_one_core_and_on_two(tmp_path: Path) -> None:
    """Whatever the environment says of threads; and begun on two, killed, and resumed on one."""
    whole = fitted(tmp_path / "m", CORES[:2])
    assert fitted(tmp_path / "m", CORES[:1]) == whole
    assert fitted(tmp_path / "m", CORES[:2], OMP_NUM_THREADS="1") == whole
    kept = str(tmp_path / "kept")
    fitted(tmp_path / "m", CORES[:2], kept=kept, steps=30)
    assert fitted(tmp_path / "m", CORES[:1], kept=kept) == whole


def test_kernels_for_another_processor_round_otherwise_and_not_more(tmp_path: Path) -> None:
    for name, env in {"here": {}, "there": {"OPENBLAS_CORETYPE": "Prescott"}}.items():
        fitted(tmp_path / name, CORES, "linear", **env)
    here, there = (load(tmp_path / name).members[0].parameters for name in ("here", "there"))
    np.testing.assert_allclose(there, here, rtol=1e-12)
