"""A command in odd surroundings: standard streams that cannot be used, other cores and threads;
``"right"``, ``"error"``, or what is wrong.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from forking import Ended
from injecting import COMMAND

#: What a shell does to the streams, what the environment says, and whether a command fails by it.
STREAMS: dict[str, tuple[str, dict[str, str], bool]] = {
    "standard output closed": (">&-", {}, True),
    "standard output full": (">/dev/full", {}, True),
    "standard output of ASCII": ("", {"PYTHONIOENCODING": "ascii"}, False),
    "standard error closed": ("2>&-", {}, False),
    "standard error full": ("2>/dev/full", {}, False),
    "standard input closed": ("<&-", {}, False),
    "all closed": ("<&- >&- 2>&-", {}, True),
    "standard output into a pipe that nobody reads": ("| true", {}, False),
}
#: Where a fit runs, and what is said to it of threads.
SETTINGS: dict[str, tuple[str, dict[str, str], tuple[str, ...]]] = {
    "one core": ("taskset -c {first}", {}, ()),
    "OMP_NUM_THREADS=1": ("", {"OMP_NUM_THREADS": "1"}, ()),
    "OMP_NUM_THREADS=4": ("", {"OMP_NUM_THREADS": "4"}, ()),
    "OPENBLAS_NUM_THREADS=1 on one core": (
        "taskset -c {first}",
        {"OPENBLAS_NUM_THREADS": "1"},
        (),
    ),
    "--threads 1": ("", {}, ("--threads", "1")),
    "--threads 5": ("", {}, ("--threads", "5")),
}
MODELS = {
    "linear": ("--model", "linear"),
    "gradient": ("--model", "linear", "--method", "gradient"),
    "network": ("--model", "network"),
    "trees": ("--model", "trees"),
    "formula": ("--formula", "y ~ b0 + b1*a + exp(b2*b)"),
    "terms": ("--model", "linear", "--formula", "y ~ a*b + poly(c, 2)"),
    "auto": ("--model", "auto"),
}


def through_shell(
    folder: Path, arguments: tuple[str, ...], before: str = "", after: str = "", **env: str
) -> Ended:
    """A command as ``sh`` runs it, with something before and behind it."""
    done = subprocess.run(
        ["sh", "-c", f'{before} "$@" {after}', "sh", *COMMAND, *arguments],
        cwd=folder,
        capture_output=True,
        env={**os.environ, **env},
        timeout=300,
    )
    texts = (text.decode(errors="replace") for text in (done.stdout, done.stderr))
    return Ended(done.returncode, *texts)


def odd_stream(folder: Path, arguments: tuple[str, ...], out: str, name: str) -> str:
    """What a command writes is there whatever the streams are, and the exit code is true."""
    after, env, fails = STREAMS[name]
    assert through_shell(folder, arguments).code == 0
    whole = (folder / out).read_bytes()
    (folder / out).unlink()
    ended = through_shell(folder, arguments, "", after, **env)
    for words in ("Traceback", "internal error", "Exception ignored"):
        if words in ended.out + ended.err:
            return f"{name}: {words}"
    if not (folder / out).exists() or (folder / out).read_bytes() != whole:
        return f"{name}: {out} is not what it is"
    # Of reports and predictions nothing is said on standard output: nothing can fail there.
    expected = (0, 1) if fails else (0,)
    if ended.code not in expected:
        return f"{name}: ended with {ended.code}: {ended.err}"
    if ended.code and "2>" not in after and "could not be used" not in ended.err:
        return f"{name}: {ended.err}"
    return "error" if ended.code else "right"


def same_bytes(folder: Path, model: str, setting: str) -> str:
    """The model file of a fit is the same, byte for byte, wherever it runs."""
    before, env, more = SETTINGS[setting]
    first = min(os.sched_getaffinity(0))
    arguments = ("fit", "small.csv", "--target", "y", *MODELS[model], "--out")
    if not (folder / f"{model}.hsq").exists():
        assert through_shell(folder, (*arguments, f"{model}.hsq")).code == 0
    ended = through_shell(
        folder, (*arguments, "other.hsq", *more), before.format(first=first), **env
    )
    if ended.code:
        return f"{model}, {setting}: {ended.err}"
    same = (folder / "other.hsq").read_bytes() == (folder / f"{model}.hsq").read_bytes()
    return "right" if same else f"{model}, {setting}: other bytes"
