"""A cluster gives the model file of one machine, to the last bit, whatever becomes of its
workers.
"""

from __future__ import annotations

import gc
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.request import urlopen

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from inference_cases import table as terms_frame

from halfsquare import FittedModel, fit
from halfsquare.cluster import cluster as cluster_module
from halfsquare.cluster import connect as connecting
from halfsquare.cluster import tasks
from halfsquare.cluster.cluster import Cluster
from halfsquare.cluster.connect import connect
from halfsquare.cluster.partitions import dealt, moves, partitions_each
from halfsquare.cluster.scheduler import Scheduler
from halfsquare.data import cut
from halfsquare.errors import ClusterError, DataError, LimitError, NotFiniteError, OptionError
from halfsquare.fitting import train_network as network_trainer
from halfsquare.fitting.network import NetworkFamily
from halfsquare.parallel.threads import Local

pa = pytest.importorskip("pyarrow")
psutil = pytest.importorskip("psutil")
pytest.importorskip("distributed")


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with connect("local:2") as reached:
        yield reached


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Files of different lengths, with missing values, weights, dates, and levels that turn up
    late.
    """
    from pyarrow import csv, parquet

    folder = tmp_path_factory.mktemp("files")
    rng = np.random.default_rng(0)
    for number, rows in enumerate((800, 10, 1100, 0, 700)):
        x, z = rng.normal(size=rows), rng.uniform(1, 3, size=rows)
        level = rng.choice(
            ["late", "b", "ü"][: 2 + number % 2] if number > 1 else ["b", "ü"], size=rows
        )
        y = 3 + np.sin(2 * x) + z**2 + (level == "b") + 0.1 * rng.normal(size=rows)
        table = pa.table(
            {
                "x": pa.array(x, mask=rng.random(rows) < 0.05),
                "z": z,
                "day": pa.array(rng.integers(0, 600, rows).astype("datetime64[D]")),
                "level": level,
                "y": pa.array(np.where(rng.random(rows) < 0.03, np.nan, y), from_pandas=True),
                "w": np.where(rng.random(rows) < 0.02, 0.0, rng.uniform(0.1, 3, rows)),
            }
        )
        parquet.write_table(table, folder / f"part{number}.parquet", row_group_size=400)
        if rows:
            csv.write_csv(table, folder / f"part{number}.csv")
    return folder


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small chunks and small networks; what the driver decides, workers are told."""
    monkeypatch.setattr(cut, "CHUNK_ROWS", 256)
    monkeypatch.setattr(
        network_trainer, "EvidenceTrainer", partial(network_trainer.EvidenceTrainer, iterations=4)
    )
    monkeypatch.setattr(
        NetworkFamily,
        "train",
        lambda self, rows, run: self.of_members(rows, self.trained(rows, run, (3,), 2)),
    )


def processes() -> list[int]:
    """The workers that run."""
    found = []
    for child in psutil.Process().children(recursive=True):
        with suppress(psutil.Error):  # it ended meanwhile
            found += [child.pid] if "spawn_main" in " ".join(child.cmdline()) else []
    return found


def saved(fitted: FittedModel, path: Path) -> bytes:
    fitted.save(path)
    return path.read_bytes()


ALONE: dict[str, tuple[bytes, int]] = {}


def alone(folder: Path, name: str, tmp_path: Path) -> tuple[bytes, int]:
    """The model file that one machine writes, made once for all tests, and how many steps that
    takes.
    """
    if name not in ALONE:
        (pattern, options), steps = FITS[name], list[int]()
        here = fit(folder / pattern, **options, callback=lambda s: steps.append(s.iteration))
        ALONE[name] = saved(here, tmp_path / "alone.hsq"), len(steps)
    return ALONE[name]


LINEAR = {"target": "y", "model": "linear"}
# That errors of neighbours or of levels go together is looked for on one machine alone: it is said
# beforehand that rows drawn at random are meant.
RANDOM = {"split": "random"}
NETWORK = {"target": "y", "model": "network", "method": "levenberg-marquardt", **RANDOM}
FITS: dict[str, tuple[str, dict[str, Any]]] = {
    "linear": ("part*.parquet", {**LINEAR, "exclude": ["w"]}),
    "linear, weighted, CSV": ("part*.csv", {**LINEAR, "weights": "w"}),
    "linear, one file": ("part2.parquet", LINEAR),
    "linear, one CSV, QR": ("part2.csv", {**LINEAR, "l2": "auto", "test_fraction": 0}),
    "steepest descent": (
        "part*.csv",
        {**LINEAR, "method": "gradient", "features": ["x", "z"], **RANDOM},
    ),
    "formula": ("part*.parquet", {"formula": "y ~ a + b*z**p"}),
    "formula, weighted": (
        "part*.csv",
        {"formula": "log(y) ~ a + b*z**p + c*x", "weights": "w", "start": {"p": 1.0}},
    ),
    "network": ("part*.csv", NETWORK),
    "network, weighted": ("part*.parquet", {**NETWORK, "weights": "w", "refit": False}),
}


@pytest.mark.parametrize("name", FITS)
def test_the_model_file_has_the_same_bytes(
    name: str, folder: Path, tmp_path: Path, cluster: Cluster
) -> None:
    pattern, options = FITS[name]
    there = fit(folder / pattern, **options, cluster=cluster)
    assert saved(there, tmp_path / "there.hsq") == alone(folder, name, tmp_path)[0]


def test_a_worker_killed_in_the_middle_changes_nothing(
    folder: Path, tmp_path: Path, cluster: Cluster, capfd: pytest.CaptureFixture[str]
) -> None:
    """Each time a member has taken two steps a worker is killed, without a chance to say
    goodbye.
    """
    killed = []

    def watch(state: Any) -> None:
        if state.iteration == 2 and len(killed) < 2:
            killed.append(processes()[-1])
            os.kill(killed[-1], signal.SIGKILL)

    there = fit(folder / "part*.csv", **NETWORK, cluster=cluster, callback=watch)
    assert len(killed) == 2
    assert capfd.readouterr() == ("", ""), "what Dask says of it is no news to the user"
    assert saved(there, tmp_path / "there.hsq") == alone(folder, "network", tmp_path)[0]


def test_all_workers_killed_at_once_change_nothing(
    folder: Path, tmp_path: Path, cluster: Cluster
) -> None:
    """Nobody is left who has the rows: those who come after them read them anew."""
    killed: list[int] = []

    def watch(state: Any) -> None:
        if state.iteration == 2 and not killed:
            killed.extend(processes())
            for pid in killed:
                os.kill(pid, signal.SIGKILL)

    there = fit(folder / "part*.csv", **NETWORK, cluster=cluster, callback=watch)
    assert len(killed) == 2
    assert saved(there, tmp_path / "there.hsq") == alone(folder, "network", tmp_path)[0]


def test_a_worker_that_stands_still_for_a_while_changes_nothing(
    folder: Path, tmp_path: Path, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It goes on when three looks at who is still there have found it without an answer."""
    stopped: list[int] = []
    looks: list[int] = []
    look = Scheduler._look

    def watch(state: Any) -> None:
        if state.iteration == 2 and not stopped:
            stopped.append(processes()[0])
            os.kill(stopped[0], signal.SIGSTOP)

    def looked(scheduler: Scheduler) -> bool:
        if stopped:
            looks.append(stopped[0])
        if len(looks) == 3:
            os.kill(stopped[0], signal.SIGCONT)
        return look(scheduler)

    monkeypatch.setattr(Scheduler, "_look", looked)
    try:
        there = fit(folder / "part*.csv", **NETWORK, cluster=cluster, callback=watch)
    finally:
        for process in stopped:
            os.kill(process, signal.SIGCONT)
    assert len(looks) >= 3
    assert saved(there, tmp_path / "there.hsq") == alone(folder, "network", tmp_path)[0]


def test_a_checkpoint_goes_from_a_machine_to_a_cluster(
    folder: Path, tmp_path: Path, cluster: Cluster
) -> None:
    class Killed(Exception):
        pass

    def watch(state: Any) -> None:
        if state.iteration == 3:
            raise Killed

    steps: list[float] = []
    kept = {"checkpoint": tmp_path / "kept", "checkpoint_every": 0.0}
    with pytest.raises(Killed):
        fit(folder / "part*.csv", **NETWORK, **kept, callback=watch, threads=1)
    there = fit(
        folder / "part*.csv",
        **NETWORK,
        **kept,
        cluster=cluster,
        callback=lambda s: steps.append(s.iteration),
    )
    here, whole = alone(folder, "network", tmp_path)
    assert 0 < len(steps) <= whole - 3, "it began anew"
    assert saved(there, tmp_path / "there.hsq") == here


def test_a_scheduler_that_is_gone() -> None:
    """Its workers leave with it; the driver says so instead of waiting for ever."""
    with (
        pytest.raises(ClusterError, match="the scheduler does not answer any more"),
        connect("local:1") as lost,
    ):
        lost.client.cluster.close()
        lost.reduce(float, max, 4, 0.0)


def test_a_scheduler_that_leaves_in_the_middle(tmp_path: Path) -> None:
    begun = tmp_path / "begun"

    def work(index: int) -> None:
        begun.touch()
        while True:
            time.sleep(0.05)

    def leave(cluster: Any) -> None:
        while not begun.exists():
            time.sleep(0.01)
        cluster.close()

    with (
        pytest.raises(ClusterError, match="the scheduler does not answer any more"),
        connect("local:1") as lost,
    ):
        Thread(target=leave, args=(lost.client.cluster,)).start()
        lost.reduce(work, lambda a, b: a, 4, None)


def test_who_has_no_certificate_of_this_run_is_not_let_in(cluster: Cluster) -> None:
    """Neither without one, nor with one of another run; what listens besides tells nothing."""
    import distributed

    address = cluster.client.scheduler.address
    assert address.startswith("tls://127.0.0.1:")
    for other, security in (
        (address.replace("tls:", "tcp:"), None),
        (address, distributed.Security.temporary()),
    ):
        with pytest.raises(OSError):
            distributed.Client(other, timeout=5, security=security, set_as_default=False)
    listening = {
        found.laddr
        for pid in [os.getpid(), *processes()]
        for found in psutil.Process(pid).net_connections()
        if found.status == "LISTEN"
    }
    assert {place.ip for place in listening} == {"127.0.0.1"}
    for place in listening:
        for page in ("", "health", "info/main/workers.html", "json/counts.json", "metrics"):
            with pytest.raises(OSError):  # which an HTTPError is
                urlopen(f"http://{place.ip}:{place.port}/{page}", timeout=20)
    for pid in processes():
        assert "PRIVATE KEY" not in " ".join(psutil.Process(pid).cmdline())
        assert not any("PRIVATE KEY" in v for v in psutil.Process(pid).environ().values())


def test_too_few_open_files_are_told_before_anything_is_started() -> None:
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (70, before[1]))
    try:
        with pytest.raises(LimitError, match=r"70 files .* 2 processes of a cluster need 80"):
            connect("local:2").__enter__()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_a_worker_killed_by_its_own_work(tmp_path: Path, cluster: Cluster) -> None:
    once, before = tmp_path / "once", cluster.traffic.workers_lost

    def work(index: int) -> float:
        if index == 37 and not once.exists():
            once.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return 0.1 * index

    def add(a: float, b: float) -> float:
        return a + b

    total = cluster.reduce(work, add, 100, 0.0)
    assert cluster.workers and once.exists() and cluster.traffic.workers_lost > before
    assert total == Local(1).reduce(work, add, 100, 0.0)


def test_workers_that_die_again_and_again_are_an_error(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    scheduler = cluster.client.cluster.scheduler
    assert scheduler.allowed_failures == 7, "of eight in a row"
    monkeypatch.setattr(scheduler, "allowed_failures", 1)
    with pytest.raises(
        ClusterError, match=r"2 workers in a row were lost at the same work.*enough memory"
    ):
        cluster.reduce(lambda i: os.kill(os.getpid(), signal.SIGKILL), max, 4, None)


def test_a_worker_that_joins_takes_part(folder: Path, tmp_path: Path, cluster: Cluster) -> None:
    """It is given partitions that others had, in the middle of a fit."""
    cluster.client.wait_for_workers(2, timeout=60)
    held: list[set[str]] = []
    scaled: list[int] = []

    def watch(state: Any) -> None:
        *_, table = cluster._tables.values()  # that of this fit
        who = cluster.client.who_has(table.futures)
        held.append({worker for workers in who.values() for worker in workers})
        if not scaled:
            scaled.append(3)
            cluster.client.cluster.scale(3)
            cluster.client.wait_for_workers(3, timeout=60)

    there = fit(folder / "part*.csv", **NETWORK, cluster=cluster, callback=watch)
    cluster.client.cluster.scale(2)
    assert len(held[0]) == 2 and max(map(len, held)) == 3
    assert saved(there, tmp_path / "there.hsq") == alone(folder, "network", tmp_path)[0]


def test_what_a_fit_has_left_is_forgotten(folder: Path, cluster: Cluster) -> None:
    fit(folder / "part*.parquet", **LINEAR, cluster=cluster)
    gc.collect()
    assert not cluster._tables, "the table lives on here"
    until = time.monotonic() + 30
    while any(cluster.client.has_what().values()) and time.monotonic() < until:
        time.sleep(0.05)
    assert not any(cluster.client.has_what().values())


def test_an_interrupted_fit_keeps_the_best_so_far(folder: Path, cluster: Cluster) -> None:
    def watch(state: Any) -> None:
        if state.iteration == 3:
            raise KeyboardInterrupt

    fitted = fit(folder / "part*.csv", **NETWORK, cluster=cluster, callback=watch)
    assert fitted.info["reason"] == "stopped: interrupted"
    assert not fitted.info["refit"]
    assert np.isfinite(fitted.test["rmse"])


# --- errors ---------------------------------------------------------------------------------------
# -------------------


@pytest.mark.parametrize("value", ["inf", "-inf"])
def test_a_bad_value_is_told_as_on_one_machine(
    value: str, tmp_path: Path, cluster: Cluster
) -> None:
    for number in range(3):
        rows = [f"{i},{2 * i}" for i in range(700)]
        if number == 1:
            rows[444] = f"{value},3"
        (tmp_path / f"{number}.csv").write_text("x,y\n" + "\n".join(rows) + "\n")
    told = []
    for where in (None, cluster):
        with pytest.raises(NotFiniteError) as problem:
            fit(tmp_path / "*.csv", "y", model="linear", cluster=where)
        told.append(str(problem.value))
    assert told[0] == told[1]
    assert "row 1145, column 'x': found " in told[0]


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("x,y,w\n1,2,0\n2,3,0\n", "has both a target and a positive weight"),
        ("x,y,w\n1,2,1\n2,3,-1\n", "row 2, weight"),
    ],
)
def test_bad_rows_are_told_as_on_one_machine(
    text: str, match: str, tmp_path: Path, cluster: Cluster
) -> None:
    (tmp_path / "bad.csv").write_text(text)
    for where in (None, cluster):
        with pytest.raises(DataError, match=match):
            fit(tmp_path / "bad.csv", "y", weights="w", model="linear", cluster=where)


def test_a_file_that_workers_cannot_see(folder: Path, cluster: Cluster) -> None:
    """A path through this process's own open files leads nowhere in another process."""
    with (folder / "part2.csv").open() as file:
        os.dup2(file.fileno(), 900)
        try:
            with pytest.raises(
                ClusterError, match=r"worker tls://.* cannot read /proc/self/fd/900: No such file"
            ):
                fit("/proc/self/fd/900", **LINEAR, cluster=cluster)
        finally:
            os.close(900)


def test_a_file_that_is_another_there(cluster: Cluster, folder: Path) -> None:
    path = str(folder / "part2.csv")
    with pytest.raises(ClusterError, match=r"has another .*: .* bytes, here 7"):
        cluster.require({path: 7})
    cluster.require({})


def test_other_versions_on_the_workers(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    here = {**tasks.versions(), "numpy": "0.1"}
    monkeypatch.setattr(tasks, "versions", lambda: here)
    with pytest.raises(
        ClusterError, match=r"worker tls://.* has other versions: numpy .*, here 0\.1"
    ):
        cluster.require({})
    monkeypatch.undo()
    cluster.require({})


def test_what_goes_wrong_inside_a_worker_is_told_with_its_name(cluster: Cluster) -> None:
    with pytest.raises(ClusterError, match=r"worker tls://.* failed: ZeroDivisionError: "):
        cluster.reduce(lambda i: 1 / (i - 3), max, 8, 0.0)


@pytest.mark.parametrize("address", ["here", "local:0", "local:", "tcp://host", "http://host:80"])
def test_an_address_that_is_none(address: str) -> None:
    with pytest.raises(OptionError, match="expected tcp://HOST:PORT, or local:N"), connect(address):
        pass


def test_no_scheduler() -> None:
    with (
        pytest.raises(ClusterError, match=r"no scheduler answers at tcp://127\.0\.0\.1:9"),
        connect("tcp://127.0.0.1:9"),
    ):
        pass


@pytest.mark.parametrize(
    ("data", "options", "match"),
    [
        ("part*.csv", {"method": "minibatch"}, "mini-batches are not for a cluster"),
        ({"x": [1.0], "y": [2.0]}, {}, "a dict in memory"),
        ("-", {}, "standard input"),
        ("SELECT * FROM 'part2.csv'", {}, "the query is none"),
    ],
)
def test_what_a_cluster_does_not_do(
    data: Any,
    options: dict[str, Any],
    match: str,
    folder: Path,
    cluster: Cluster,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(folder)
    with pytest.raises((OptionError, DataError), match=match):
        fit(data, "y", **options, cluster=cluster)


# --- what is sent ---------------------------------------------------------------------------------
# -------------------


def test_bytes_do_not_grow_with_the_rows(cluster: Cluster) -> None:
    received = []
    for count in (600, 6400):
        before = cluster.traffic.bytes_received
        cluster.reduce(lambda i: np.full(1000, float(i)), np.add, count, np.zeros(1000))
        received.append(cluster.traffic.bytes_received - before)
    assert received[1] < 2 * received[0]


def test_a_tree_of_futures_has_the_bits_of_one_process(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As with so many workers that the driver cannot merge all by itself."""
    monkeypatch.setattr(cluster_module, "_FAN_IN", 2)

    def work(index: int) -> float:
        return float(np.random.default_rng(index).normal())

    def add(a: float, b: float) -> float:
        return a + b

    for count in (1, 3, 37, 300):
        found = cluster.reduce(work, add, count, 0.0)
        assert found == Local(1).reduce(work, add, count, 0.0)
    assert found != sum(map(work, range(300))), "in another order the bits differ"
    with pytest.raises(ClusterError, match=r"KeyError: 5$"):  # of several the first
        cluster.reduce(lambda i: {0: 1.0}[i * (i > 4)], add, 300, 0.0)


def test_what_is_large_is_sent_once(cluster: Cluster) -> None:
    """An array is kept by the workers; other work of many bytes goes to one, which hands it on."""
    array, text = np.arange(200_000.0), "x" * 100_000

    def work(index: int) -> float:
        return float(array[index]) + len(text)

    def add(a: float, b: float) -> float:
        return a + b

    sent = []
    for _ in range(2):
        before = cluster.traffic.bytes_sent
        assert cluster.reduce(work, add, 40, 0.0) == Local(1).reduce(work, add, 40, 0.0)
        sent.append(cluster.traffic.bytes_sent - before)
    assert array.nbytes < sent[0] < 1.2 * array.nbytes
    assert len(text) < sent[1] < 1.2 * len(text)


@given(
    st.integers(1, 5000),
    st.dictionaries(st.sampled_from("abcdef"), st.integers(1, 8), min_size=1),
    st.integers(1, 4),
)
def test_every_chunk_is_in_one_partition(count: int, threads: dict[str, int], each: int) -> None:
    spans, owners = dealt(count, threads, each)
    assert [i for a, b in spans for i in range(a, b)] == list(range(count))
    assert all(a < b for a, b in spans) and len(spans) == len(owners) <= each * len(threads)
    assert set(owners) <= threads.keys()


def test_partitions_are_as_long_as_workers_have_threads() -> None:
    spans, owners = dealt(4000, {"a": 1, "b": 3}, 2)
    rows = {w: sum(b - a for (a, b), o in zip(spans, owners, strict=True) if o == w) for w in "ab"}
    assert owners == ["a", "a", "b", "b"] and 2.8 < rows["b"] / rows["a"] < 3.3
    assert partitions_each(1, 2) == 1, "a single CSV is read once by each worker"
    assert [partitions_each(1000, w) for w in (2, 16, 64, 100)] == [2, 2, 1, 1]


@given(
    st.lists(st.sampled_from(["a", "b", "c"]), min_size=1, max_size=40),
    st.lists(st.sampled_from(["x", "y"]), unique=True),
)
def test_newcomers_are_given_no_more_than_others_keep(
    holders: list[str], joined: list[str]
) -> None:
    moved = moves(holders, joined)
    after = [moved.get(i, holder) for i, holder in enumerate(holders)]
    assert set(moved.values()) <= set(joined)
    for worker in joined:
        assert max(map(after.count, after)) - after.count(worker) < 2
        assert after.count(worker) <= max(map(holders.count, holders))


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """A scheduler with two workers, as somebody else has started them."""
    import distributed

    with distributed.LocalCluster(
        n_workers=2, processes=False, protocol="tcp", dashboard_address="127.0.0.1:0"
    ) as started:
        yield started.scheduler_address


def test_the_command_line(
    folder: Path, address: str, command: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = (
        "fit",
        folder / "part*.parquet",
        "--target",
        "y",
        "--model",
        "linear",
        "--cluster",
        address,
    )
    ran = command(*arguments, "--json")
    assert ran.code == 0, ran.err
    told = ran.json["cluster"]
    assert (
        told["workers"] >= 2
        and told["rounds"] >= 4
        and told["bytes_sent"]
        and told["bytes_received"]
    )
    assert ran.err == ""
    assert "\nCluster: " in command(*arguments).out
    monkeypatch.setattr(connecting, "_REACH_SECONDS", 1)  # nobody listens there, ever
    refused = command(*arguments[:-1], "tcp://127.0.0.1:9")
    assert (refused.code, refused.out) == (1, "")
    assert (
        refused.err.startswith("halfsquare: no scheduler answers at tcp://127.0.0.1:9")
        and refused.err.count("\n") == 1
    )


def test_a_model_of_terms_has_the_bits_of_one_process(cluster: Cluster, tmp_path: Path) -> None:
    frame = terms_frame(3, 3000)
    frame["firm"] = "firm " + frame.firm.astype(str)
    frame.to_csv(tmp_path / "h.csv", index=False)
    options = {
        "formula": "y ~ x*g + poly(z, 2) + C(year)",
        "model": "linear",
        "errors": "cluster:firm,year",
    }
    here = fit(str(tmp_path / "h.csv"), **options)
    there = fit(str(tmp_path / "h.csv"), cluster=cluster, **options)
    for name in ("parameters", "covariance", "robust", "triangle"):
        np.testing.assert_array_equal(
            getattr(here.members[0], name), getattr(there.members[0], name)
        )
    assert here.info["inference"] == there.info["inference"]


def test_a_cluster_reads_what_is_written_strangely_as_one_machine_does(
    cluster: Cluster, tmp_path: Path
) -> None:
    """Euros, dates of an order, thousands that turn up late; and rows are those of the table."""
    for part in range(2):
        rows = [
            f"{1000 + i % 500},50 €;{1 + i % 28:02}.{1 + i % 12:02}.2023;{700 + i % 300};{i % 13}"
            for i in range(9000 * part, 9000 * (part + 1))
        ]
        rows += ["1000,50 €;01.02.2023;1.033;7"] * (40 * part)
        lines = ["price;day;count;y", *rows]
        (tmp_path / f"p{part}.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    here = fit(tmp_path / "p*.csv", "y", model="linear")
    there = fit(tmp_path / "p*.csv", "y", model="linear", cluster=cluster)
    assert here.encoder.reading.columns["count"].thousands == "."
    assert there.encoder.as_dict() == here.encoder.as_dict()
    assert [p.as_dict() for p in there.parameters] == [p.as_dict() for p in here.parameters]
    with (tmp_path / "p1.csv").open("a", encoding="utf-8") as file:
        file.write("1000,50 €;01.02.2023;5;many\n")
    said = []
    for place in (None, cluster):
        with pytest.raises(DataError) as problem:
            fit(tmp_path / "p*.csv", "y", model="linear", cluster=place)
        said.append(str(problem.value))
    assert said[0] == said[1]
    assert "row 18041" in said[1]


def test_what_one_machine_reads_from_a_copy_is_refused_by_its_reason(
    cluster: Cluster, tmp_path: Path
) -> None:
    table = "prix payé,y\n" + "".join(f"{i},{2 * i}\n" for i in range(50))
    (tmp_path / "e.csv").write_bytes(table.encode("cp1252"))
    with pytest.raises(OptionError, match="read from a copy on this machine: it is packed, not in"):
        fit(tmp_path / "e.csv", "y", model="linear", encoding="cp1252", cluster=cluster)
