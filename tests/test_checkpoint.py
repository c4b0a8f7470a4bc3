"""A fit that is killed and continued gives the model that it would have given; any other checkpoint
is refused.
"""

from __future__ import annotations

import logging
import multiprocessing
import re
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import Ran
from hypothesis import given
from hypothesis import strategies as st

from halfsquare import fit, load
from halfsquare.data.rows import ArrayRows
from halfsquare.errors import CheckpointError, HalfsquareError, OptionError, OutputError
from halfsquare.files.checkpoint import CHECKPOINT_FILE, Checkpoint
from halfsquare.fitting.train_network import train_network
from halfsquare.solvers.base import Solver, State
from halfsquare.solvers.checkpointer import Checkpointer, CheckpointStore
from halfsquare.solvers.loop import descend
from halfsquare.solvers.run import Run
from halfsquare.solvers.steepest_descent import SteepestDescent

Table = dict[str, Any]


def waves(n: int) -> Table:
    rng = np.random.default_rng(n)
    x = rng.uniform(-2, 2, size=(n, 2))
    return {
        "a": x[:, 0],
        "b": x[:, 1],
        "y": np.sin(2 * x[:, 0]) + x[:, 0] * x[:, 1] + rng.normal(0, 0.1, n),
    }


def collinear() -> Table:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(2000, 6))
    x[:, 1] = x[:, 0] + 0.3 * x[:, 1]
    return {f"x{i}": x[:, i] for i in range(6)} | {"y": x @ np.arange(6.0) + rng.normal(size=2000)}


def decay() -> Table:
    rng = np.random.default_rng(1)
    x = rng.uniform(0, 5, 200)
    return {"x": x, "y": 3 * np.exp(-0.7 * x) + 1 + rng.normal(0, 0.1, 200)}


def many(data: Table, times: int) -> Table:
    return {name: np.tile(values, times) for name, values in data.items()}


FAR = {"b1": 30.0, "b2": 6.0, "b3": -20.0}  # some tens of steps away
FITS: dict[str, tuple[Table, dict[str, Any]]] = {
    "gradient": (collinear(), {"target": "y", "method": "gradient"}),
    "linear by mini-batches": (
        collinear(),
        {"target": "y", "model": "linear", "method": "minibatch"},
    ),
    "formula": (decay(), {"formula": "y ~ b1*exp(-b2*x)^2 + b3", "start": FAR}),
    "formula of many rows": (many(decay(), 400), {"formula": "y ~ b1*exp(-b2*x) + b3"}),
    "auto": (waves(120), {"target": "y"}),
}


class Killed(BaseException):
    """What a fit that is watched does not expect."""


class Watcher:
    """Counts the steps of a fit, and ends it after so many."""

    def __init__(self, most: int | None = None) -> None:
        self.steps, self.most = 0, most

    def __call__(self, state: State[None]) -> None:
        if not state.parameters.size:  # of trees, which are not kept: a round is no step
            return
        self.steps += 1
        if self.most is not None and self.steps > self.most:
            raise Killed


@pytest.mark.parametrize("name", FITS)
def test_what_was_stopped_goes_on_to_the_same_bits(name: str, tmp_path: Path) -> None:
    data, options = FITS[name]
    whole = Watcher()
    fit(data, **options, callback=whole).save(tmp_path / "whole")
    random, steps, stops = np.random.default_rng(0), 0, 0
    while True:
        watcher = Watcher(int(random.integers(1, max(whole.steps // 4, 2))))
        try:
            fitted = fit(
                data,
                **options,
                checkpoint=tmp_path / "c",
                checkpoint_every=0,
                callback=watcher,
                threads=1 + stops % 2,
            )
            break
        except Killed:
            stops += 1
        finally:
            steps += watcher.steps
    fitted.save(tmp_path / "stopped")
    assert (tmp_path / "stopped").read_bytes() == (tmp_path / "whole").read_bytes()
    assert stops > 1
    # It was continued each time: begun anew, the steps would have been many times as many, or
    # without end.
    assert steps <= whole.steps


def test_members_of_both_kinds_go_on_to_the_same_bits(tmp_path: Path) -> None:
    x = np.random.default_rng(0).uniform(-2, 2, (80, 2))
    rows, small = ArrayRows(x, np.sin(x[:, :1]) * x[:, 1:]), {"hidden": (3,), "members": 4}
    for method in ("minibatch", "levenberg-marquardt"):
        whole = train_network(rows, method=method, **small)
        store, random, done = (
            CheckpointStore(tmp_path / method, Checkpoint({}, {}), 0.0),
            np.random.default_rng(1),
            None,
        )
        while done is None:
            try:
                watcher = Watcher(int(random.integers(50, 500)))
                run = Run(callback=watcher, checkpointer=Checkpointer(store))
                done = train_network(rows, run, method=method, **small)
            except Killed:
                store.close(False)
                store = CheckpointStore(tmp_path / method, Checkpoint.read(tmp_path / method), 0.0)
        for a, b in zip(done, whole, strict=True):
            assert a.history == b.history
            np.testing.assert_array_equal(a.parameters, b.parameters)
            np.testing.assert_array_equal(a.noise, b.noise)


def test_a_fit_that_is_over_is_not_taken_up_again(tmp_path: Path) -> None:
    data, options = FITS["gradient"]
    first = fit(data, **options, checkpoint=tmp_path / "c")
    watcher = Watcher()
    again = fit(data, **options, resume=tmp_path / "c", callback=watcher)
    assert watcher.steps == 0
    assert again.info == first.info


def test_a_checkpoint_does_not_change_the_model(tmp_path: Path) -> None:
    data, options = FITS["gradient"]
    fit(data, **options).save(tmp_path / "without")
    fit(data, **options, checkpoint=tmp_path / "c", checkpoint_every=0).save(tmp_path / "with")
    assert (tmp_path / "without").read_bytes() == (tmp_path / "with").read_bytes()


def test_a_time_limit_can_be_lifted_afterwards(tmp_path: Path) -> None:
    data, options = FITS["gradient"]
    options = {**options, "test_fraction": 0}
    fit(data, **options).save(tmp_path / "whole")
    short = fit(data, **options, checkpoint=tmp_path / "c", time_limit=1e-9)
    assert short.info["reason"] == "stopped: the time limit"
    assert not Checkpoint.read(tmp_path / "c").finished
    fit(data, **options, resume=tmp_path / "c").save(tmp_path / "resumed")
    assert Checkpoint.read(tmp_path / "c").finished
    assert (tmp_path / "resumed").read_bytes() == (tmp_path / "whole").read_bytes()


# --- killed ---------------------------------------------------------------------------------------
# -------------------

KILLED = {
    "network": (8, waves(60), {"target": "y", "model": "network", "test_fraction": 0}),
    "mini-batches": (4, many(collinear(), 100), FITS["linear by mini-batches"][1]),
    "formula": (4, many(decay(), 1000), FITS["formula"][1]),
}


def job(data: Table, options: dict[str, Any], out: Path) -> None:
    fit(data, **options).save(out)


def started(work: Callable[..., None], *arguments: Any) -> BaseProcess:
    """A process of its own, whose imports another has done: it is at its work at once."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(
        [__name__, "halfsquare.fitting.fit", "halfsquare.fitting.network", "duckdb", "pyarrow"]
    )
    process = context.Process(target=work, args=arguments)
    process.start()
    return process


def steps_in(checkpoint: Path) -> int:
    """How far a fit had come when it last wrote its checkpoint; 0 if it never did."""
    return (
        sum(e.steps for e in Checkpoint.read(checkpoint).entries.values())
        if checkpoint.exists()
        else 0
    )


def written(checkpoint: Path) -> int:
    return checkpoint.stat().st_mtime_ns if checkpoint.exists() else 0


def kill(process: BaseProcess) -> bool:
    """Whether it was still there to be killed."""
    process.kill()
    process.join()
    assert process.exitcode in (0, -9)
    return process.exitcode == -9


@pytest.mark.parametrize("name", KILLED)
def test_a_model_is_the_same_however_often_its_fit_was_killed(name: str, tmp_path: Path) -> None:
    kills, data, options = KILLED[name]
    started(int, 0).join()  # the imports
    began = time.monotonic()
    whole = started(job, data, options, tmp_path / "whole")
    whole.join()
    seconds = time.monotonic() - began
    assert whole.exitcode == 0
    checkpoint, random, killed = tmp_path / "c", np.random.default_rng(kills), 0
    options = {**options, "checkpoint": checkpoint, "checkpoint_every": 0.0}
    while killed < kills:
        before = written(checkpoint)
        process = started(job, data, options, tmp_path / "out")
        if killed % 4 == 3:  # surely in the middle of its work
            while process.is_alive() and not (
                written(checkpoint) > before and steps_in(checkpoint)
            ):
                time.sleep(0.001)
        else:
            process.join(random.uniform(0, seconds / 4))
        if kill(process):
            killed += 1
        else:
            assert (tmp_path / "out").read_bytes() == (tmp_path / "whole").read_bytes()
            checkpoint.unlink()
    assert steps_in(checkpoint)
    last = started(job, data, options, tmp_path / "out")
    last.join()
    assert (tmp_path / "out").read_bytes() == (tmp_path / "whole").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "c",
        "out",
        "whole",
    ]  # what kills left is gone


# --- refused --------------------------------------------------------------------------------------
# -------------------


def stopped(tmp_path: Path, **more: Any) -> tuple[Path, Table, dict[str, Any]]:
    """The checkpoint of a fit that was stopped in its middle."""
    data, options = FITS["gradient"]
    path = tmp_path / "c"
    with pytest.raises(Killed):
        fit(data, **{**options, **more}, checkpoint=path, checkpoint_every=0, callback=Watcher(20))
    return path, data, options


def without_last(data: Table) -> Table:
    return {k: v[:-1] for k, v in data.items()}


def other_value(data: Table) -> Table:
    return {**data, "y": np.append(data["y"][:-1], 0.5)}


OTHERS: dict[str, tuple[Callable[[Table], Table], dict[str, Any], str]] = {
    "seed": (dict, {"seed": 1}, "another fit: seed: the checkpoint has 0, this fit 1. Continue"),
    "method": (
        dict,
        {"method": "minibatch"},
        'method: the checkpoint has "gradient", this fit "minibatch"',
    ),
    "many": (dict, {"seed": 1, "loss": "sse", "l2": 0.5, "refit": False}, "; and 1 more"),
    "features": (
        dict,
        {"features": ["x0"]},
        r'features: the checkpoint has none, this fit \["x0"\]',
    ),
    "fewer rows": (without_last, {}, "the data have changed: 2,000 rows then, 1,999 now"),
    "another value": (
        other_value,
        {},
        "the data have changed: as many rows and columns, but other values",
    ),
    "another name": (
        lambda d: {("z" if k == "x3" else k): v for k, v in d.items()},
        {},
        r"columns have changed: x3 \(number\) is gone, z \(number\) is new",
    ),
}


@pytest.mark.parametrize("name", OTHERS)
@pytest.mark.parametrize("way", ["resume", "checkpoint"])
def test_a_checkpoint_of_another_fit_is_refused(name: str, way: str, tmp_path: Path) -> None:
    path, data, options = stopped(tmp_path)
    before = path.read_bytes()
    change, more, words = OTHERS[name]
    with pytest.raises(CheckpointError, match=words):
        fit(change(data), **{**options, **more, way: path})
    assert path.read_bytes() == before


def test_the_same_fit_is_not_refused(tmp_path: Path) -> None:
    path, data, options = stopped(tmp_path)
    assert fit(dict(data), **options, threads=1, time_limit=1e6, resume=path, checkpoint=path).info[
        "converged"
    ]


def test_another_version_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, data, options = stopped(tmp_path)
    monkeypatch.setattr("halfsquare.fitting.resume.version", lambda name: "9.9")
    with pytest.raises(
        CheckpointError, match=r'numpy: the checkpoint has "[0-9.]+", this fit "9.9"'
    ):
        fit(data, **options, resume=path)


def test_a_finished_checkpoint_is_replaced_unless_it_is_to_be_resumed(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    data, options = FITS["gradient"]
    fit(data, **options, checkpoint=tmp_path / "c")
    with pytest.raises(CheckpointError, match="seed"):
        fit(data, **options, seed=1, resume=tmp_path / "c")
    with caplog.at_level(logging.INFO, "halfsquare"):
        fit(data, **options, seed=1, checkpoint=tmp_path / "c")
        fit(other_value(data), **options, seed=1, checkpoint=tmp_path / "c")
    assert sum("was finished; it is replaced" in message for message in caplog.messages) == 2


def test_what_is_no_checkpoint_is_left_alone(tmp_path: Path) -> None:
    data, options = FITS["gradient"]
    model = tmp_path / "m.hsq"
    fit(data, **options).save(model)
    (tmp_path / "text").write_text("my notes")
    for path, words in (
        (model, "not a checkpoint"),
        (tmp_path / "text", "no checkpoint"),
        (tmp_path, "folder"),
    ):
        before = path.read_bytes() if path.is_file() else None
        with pytest.raises(HalfsquareError, match=words):
            fit(data, **options, checkpoint=path)
        assert before is None or path.read_bytes() == before
    with pytest.raises(CheckpointError, match="there is no checkpoint"):
        fit(data, **options, resume=tmp_path / "none")
    with pytest.raises(OutputError, match="there is no folder"):
        fit(data, **options, checkpoint=tmp_path / "none" / "c")
    with pytest.raises(OptionError, match="two files"):
        fit(data, **options, checkpoint=tmp_path / "c", resume=tmp_path / "d")
    with pytest.raises(OptionError, match="every"):
        fit(data, **options, checkpoint=tmp_path / "c", checkpoint_every=-1.0)
    assert not (tmp_path / "c").exists()


def test_a_later_format_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, data, options = stopped(tmp_path)
    earlier = replace(CHECKPOINT_FILE, version=CHECKPOINT_FILE.version - 1)
    monkeypatch.setattr("halfsquare.files.checkpoint.CHECKPOINT_FILE", earlier)
    with pytest.raises(CheckpointError, match="is a checkpoint of format 2; this version reads"):
        fit(data, **options, resume=path)


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return stopped(tmp_path_factory.mktemp("kept"))[0].read_bytes()


@given(where=st.floats(0, 1, exclude_max=True), byte=st.integers(1, 255), cut=st.booleans())
def test_a_damaged_file_is_refused(
    kept: bytes, tmp_path_factory: pytest.TempPathFactory, where: float, byte: int, cut: bool
) -> None:
    at = int(where * len(kept))
    path = tmp_path_factory.getbasetemp() / "damaged"
    path.write_bytes(kept[:at] if cut else kept[:at] + bytes([kept[at] ^ byte]) + kept[at + 1 :])
    with pytest.raises(CheckpointError):
        Checkpoint.read(path)
    path.write_bytes(kept)
    assert Checkpoint.read(path).entries


def test_a_state_of_another_start_is_not_taken(tmp_path: Path) -> None:
    """A part that was cut short by a clock may hand on another start to the next: that one begins
    anew.
    """

    class Half(Solver[Any, None]):
        def begin(self, objective: Any, parameters: Any) -> State[None]:
            return State(parameters, 1.0, 1.0, memory=None)

        def step(self, objective: Any, state: State[None]) -> State[None]:
            return State(0.5 * state.parameters, 1.0, 1.0, state.iteration + 1, memory=None)

    store = CheckpointStore(tmp_path / "c", Checkpoint({}, {}), 0.0)
    run, none = Run(checkpointer=Checkpointer(store)).at("a"), Any
    one, _ = descend(Half(), none, np.ones(2), run, iterations=3)
    assert descend(Half(), none, np.ones(2), run, iterations=9)[0].iteration == one.iteration == 3
    assert descend(Half(), none, np.full(2, 8.0), run, iterations=3)[0].parameters.tolist() == [
        1,
        1,
    ]
    assert descend(Half(), none, np.ones(2), run.at("b"), iterations=3)[0].parameters[0] == 0.125
    assert list(store.entries) == ["a", "a/b"]


def test_an_entry_that_is_no_state_is_refused(tmp_path: Path) -> None:
    from halfsquare.files.checkpoint import Entry
    from halfsquare.files.packing import Packed

    start = np.ones(2)
    slot = Checkpointer(None).at("a").slot(start)
    digest = Packed.of(start).digest()
    assert slot.last() is None
    long, right = (State(p, 1.0, 1.0, memory=None) for p in (np.ones(3), start))
    for wrong in ([1, 2], (long, []), (right, 1)):
        entry = Entry(digest, 1, False, partial(Packed.of, wrong))
        store = CheckpointStore(tmp_path / "c", Checkpoint({}, {"a": entry}), 0.0)
        with pytest.raises(CheckpointError, match="damaged at 'a'"):
            descend(SteepestDescent(), Any, start, Run(checkpointer=Checkpointer(store, "a")))
    Checkpoint({"options": [1]}, {}).write(tmp_path / "c")
    with pytest.raises(CheckpointError, match="is damaged"):
        Checkpoint.read(tmp_path / "c")


# --- a full disk, and the command line
# -------------------------------------------------------------------------------


def on_a_full_disk(data: Table, options: dict[str, Any], out: Path, heard: Path) -> None:
    logging.basicConfig(filename=heard, level=logging.WARNING, format="%(message)s")
    resource.setrlimit(
        resource.RLIMIT_FSIZE, (4096, resource.RLIM_INFINITY)
    )  # the first ones have room
    fitted = fit(data, **options)
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    fitted.save(out)


def test_a_full_disk_is_a_warning(tmp_path: Path) -> None:
    data, options = FITS["gradient"]
    more = {**options, "checkpoint": tmp_path / "c", "checkpoint_every": 0.0}
    process = started(on_a_full_disk, data, more, tmp_path / "out", tmp_path / "heard")
    process.join()
    assert process.exitcode == 0
    assert (tmp_path / "heard").read_text().count(
        "could not be written, and the fit goes on without"
    ) == 1
    assert Checkpoint.read(tmp_path / "c").entries["measured"].steps < 20  # the old one stands
    fit(data, **options).save(tmp_path / "whole")
    assert (tmp_path / "out").read_bytes() == (tmp_path / "whole").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["c", "heard", "out", "whole"]


@pytest.fixture
def table(tmp_path: Path) -> Path:
    data = collinear()
    np.savetxt(
        tmp_path / "t.csv",
        np.column_stack(list(data.values())),
        delimiter=",",
        header=",".join(data),
        comments="",
    )
    return tmp_path / "t.csv"


def test_the_command_line(command: Callable[..., Ran], table: Path) -> None:
    options = ["fit", "t.csv", "-t", "y", "--method", "gradient", "--out", "m.hsq"]
    short = command(*options, "--checkpoint", "c", "--time-limit", "1e-9")
    assert short.code == 0
    assert "checkpoint in c, every 10 s" in short.err
    assert re.search(r"c holds 0 steps of 1 descent, 0 at their end; --resume c goes on", short.err)
    resumed = command(*options, "--resume", "c")
    assert resumed.code == 0
    assert "resumed: c holds 0 steps of 1 descent, 0 at their end" in resumed.err
    assert "goes on from there" not in resumed.err
    again = command(*options, "--resume", "c", "--checkpoint", "c", "--checkpoint-every", "1")
    assert "steps of 2 descents, 2 at their end" in again.err
    other = command(*options, "--resume", "c", "--seed", "5")
    assert (other.code, "seed: the checkpoint has 0, this fit 5" in other.err) == (1, True)
    assert command(*options, "--resume", "none").code == 1
    assert command(*options, "--resume", "c", "--checkpoint", "d").code == 2
    assert command(*options, "--checkpoint", "c", "--checkpoint-every", "-1").code == 2


def test_ctrl_c_keeps_the_best_so_far_and_the_way_on(tmp_path: Path, table: Path) -> None:
    options = [
        "fit",
        "t.csv",
        "-t",
        "y",
        "--method",
        "gradient",
        "--checkpoint",
        "c",
        "--checkpoint-every",
        "0",
    ]
    # The descent waits after ten steps for the signal, so that it comes in the middle.
    wait = (
        "import pathlib, time, halfsquare.cli.progress as p\n"
        "p.Work.step = lambda _, s: s.iteration < 10 or "
        "(pathlib.Path('here').touch(), time.sleep(60))\n"
        "from halfsquare.cli.main import main; main()"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", wait, *options, "--out", "m.hsq"],
        cwd=tmp_path,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    while not (tmp_path / "here").exists():
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, told = process.communicate()
    assert process.returncode == 0
    assert re.search(
        r"c holds [\d,]+ steps of \d descents?, \d at their end; --resume c goes on", told
    )
    assert steps_in(tmp_path / "c") == 10
    first = load(tmp_path / "m.hsq")
    assert (first.info["reason"], first.info["refit"]) == ("stopped: interrupted", False)
    fit(table, "y", method="gradient").save(tmp_path / "whole")
    fit(table, "y", method="gradient", resume=tmp_path / "c").save(tmp_path / "resumed")
    assert (tmp_path / "resumed").read_bytes() == (tmp_path / "whole").read_bytes()


def test_least_squares_has_nothing_to_keep(command: Callable[..., Ran], table: Path) -> None:
    ran = command("fit", "t.csv", "-t", "y", "--model", "linear", "--checkpoint", "c")
    assert ran.code == 0
    assert "solved directly, with no descent: nothing was kept in c" in ran.err
