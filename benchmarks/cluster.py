"""What a cluster costs and where it ends: rates measured on one core here, and a plan for many rows
on many workers.

python benchmarks/cluster.py [--rows 1000000] [--plan-rows 1e9] [--workers 100] [--cores 8]
                             [--gigabits 10]

Measured: reading (rows/s), sums (rows/s), merging (bytes/s), what sums weigh, and a round
without work on as many simulated workers as the plan has: real workers of Dask, many to a process,
so that what the driver and its scheduler do for a round (seconds of their process) is that of so
many machines. The plan divides the work by workers × cores and adds what the driver does alone.

With --local it measures a linear fit and a network on local:1 and local:8 instead: seconds, shares
of the workers and the driver in the time of all processors, rounds and bytes.
"""

from __future__ import annotations

import argparse
import operator
import pickle
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from halfsquare import fit
from halfsquare.cluster.cluster import _FAN_IN as FAN_IN
from halfsquare.cluster.cluster import Cluster
from halfsquare.cluster.connect import connect
from halfsquare.cluster.partitions import dealt, partitions_each
from halfsquare.cluster.parts import PartedSource
from halfsquare.cluster.shared import counted
from halfsquare.data.cut import Cut
from halfsquare.data.deciding import open_source
from halfsquare.data.encoded_rows import EncodedRows, encoded_rows
from halfsquare.data.roles import choose_roles
from halfsquare.data.rows import CHUNK_ROWS
from halfsquare.data.scan import scan
from halfsquare.models.network import Network
from halfsquare.normal_sums import NormalSums
from halfsquare.parallel.threads import Local
from halfsquare.parallel.tree import Tree
from halfsquare.solvers.normal_system import linear_sums
from halfsquare.solvers.objective import Objective

COLUMNS = 20


def seconds(
    work: Callable[[], Any], repeats: int = 3, clock: Callable[[], float] = time.process_time
) -> float:
    """The median time of a piece of work: of a core, of all threads together, whoever else uses the
    machine.
    """
    found = []
    for _ in range(repeats):
        began = clock()
        work()
        found.append(clock() - began)
    return statistics.median(found)


def write(folder: Path, rows: int) -> None:
    import duckdb

    columns = ", ".join(f"random() AS x{j}" for j in range(COLUMNS))
    connection = duckdb.connect()
    connection.execute(
        f"CREATE TABLE t AS SELECT *, x0 + x1 * x2 + random() AS y FROM (SELECT {columns} "
        f"FROM range({rows}))"
    )
    connection.execute(f"COPY t TO '{folder / 'table.parquet'}'")
    connection.execute(f"COPY (FROM t LIMIT {rows // 4}) TO '{folder / 'table.csv'}'")
    few = f"(FROM t LIMIT {rows // 100})"
    connection.execute(f"COPY {few} TO '{folder / 'few.parquet'}' (ROW_GROUP_SIZE 2048)")


def reading(folder: Path, rows: int) -> dict[str, float]:
    """Rows a second of one core: counting the rows of Parquet and CSV, and reading and keeping
    them.
    """
    found = {}
    for suffix, there in (("parquet", rows), ("csv", rows // 4)):
        source = open_source(folder / f"table.{suffix}")
        source._connection.execute("SET threads=1")
        roles = choose_roles(source, ["y"])
        parted, cut = PartedSource.of(source), Cut.of(source.name, roles, 0.2, 0)
        count = partial(count_all, parted, cut)
        found[f"{suffix}: count"] = there / seconds(count)
        found[f"{suffix}: read and keep"] = there / seconds(
            lambda s=source, r=roles: scan(s, r, test_fraction=0.2)
        )
    return found


def count_all(parted: PartedSource, cut: Cut) -> None:
    for index in range(len(parted.parts)):
        counted(parted, cut, index)


def rows_of(folder: Path) -> EncodedRows:
    source = open_source(folder / "table.parquet")
    return encoded_rows(scan(source, choose_roles(source, ["y"]), test_fraction=0.2), "train")


def sums(rows: EncodedRows) -> tuple[dict[str, float], dict[str, NormalSums]]:
    """Rows a second of one core, and the sums themselves: they are what a worker sends."""
    network = Network(COLUMNS, (16, 16), 1)
    start = network.initial_parameters(np.random.default_rng(0))
    objective = Objective(network, rows, Local(1))
    works: dict[str, Callable[[], Any]] = {
        "linear: Gram matrix": lambda: linear_sums(rows, Local(1)),
        f"network, {network.parameter_count} parameters: JᵀJ": lambda: objective.normal_sums(start),
        "network: loss alone": lambda: objective.half_sse(start),
    }
    rates = {
        name: rows.row_count / seconds(work, 1 if "JᵀJ" in name else 3)
        for name, work in works.items()
    }
    return rates, {name: work() for name, work in works.items() if "alone" not in name}


SIMULATED = """
import asyncio, logging, sys
import dask
from distributed import Worker
logging.disable(logging.CRITICAL)
dask.config.set({"distributed.worker.profile.enabled": False})
async def main():
    workers = [
        Worker(sys.argv[1], nthreads=1, memory_limit=0, dashboard=False, heartbeat_interval="10s")
        for _ in range(int(sys.argv[2]))
    ]
    await asyncio.gather(*workers)
    await asyncio.Event().wait()
asyncio.run(main())
"""


def rounds(workers: int) -> tuple[float, float]:
    """Seconds of the driver's and scheduler's process for a round without work, and seconds that
    pass.
    """
    import distributed

    hosts: list[subprocess.Popen[bytes]] = []
    with (
        distributed.LocalCluster(
            n_workers=0, dashboard_address=None, host="127.0.0.1", silence_logs=50
        ) as started,
        distributed.Client(started, set_as_default=False) as client,
    ):
        for count in (workers // 2, workers - workers // 2):
            given = [started.scheduler_address, str(count)]
            hosts.append(
                subprocess.Popen([sys.executable, "-W", "ignore", "-c", SIMULATED, *given])
            )
        try:
            client.wait_for_workers(workers, timeout=120)
            cluster = Cluster(client)
            once = partial(cluster.reduce, float, operator.add, 64 * workers, 0.0)
            once()
            found = []
            for _ in range(9):
                began, own = time.perf_counter(), time.process_time()
                once()
                found.append((time.process_time() - own, time.perf_counter() - began))
            return tuple(map(statistics.median, zip(*found, strict=True)))  # type: ignore[return-value]
        finally:
            for host in hosts:
                host.kill()


def beside(folder: Path) -> None:
    """A linear fit and a network on one worker and on eight."""
    import psutil

    network = {"model": "network", "method": "levenberg-marquardt", "refit": False}
    jobs: list[tuple[str, str, dict[str, Any]]] = [
        ("linear", "table", {"model": "linear"}),
        ("network, a hundredth of the rows,", "few", network),
    ]
    for name, table, options in jobs:
        for workers in (1, 8):
            with connect(f"local:{workers}") as cluster:
                cluster.reduce(float, operator.add, 64, 0.0)
                rounds, sent = cluster.traffic.rounds, cluster.traffic.bytes_sent
                children = [
                    c
                    for c in psutil.Process().children(recursive=True)
                    if "spawn_main" in " ".join(c.cmdline())
                ]
                before = [sum(c.cpu_times()[:2]) for c in children]
                began, own = time.perf_counter(), time.process_time()
                fit(folder / f"{table}.parquet", "y", cluster=cluster, **options)
                took, driver = time.perf_counter() - began, time.process_time() - own
                theirs = sum(sum(c.cpu_times()[:2]) for c in children) - sum(before)
                traffic = cluster.traffic
                print(
                    f"  {name} on {workers} workers: {took:.2f} s; of the processors' time "
                    f"{theirs / (theirs + driver):.0%} workers, {driver / (theirs + driver):.0%} "
                    f"driver; {traffic.rounds - rounds} rounds, "
                    f"{(traffic.bytes_sent - sent) / 1e3:,.0f} kB sent, "
                    f"{traffic.bytes_received / 1e3:,.0f} kB received"
                )


def received(options: argparse.Namespace) -> int:
    """How many merged sums the driver is handed, for chunks of the usual size: those of the last
    sixteen tasks of the tree.
    """
    count = -(-int(options.plan_rows) // CHUNK_ROWS)
    threads = {f"worker {i}": options.cores for i in range(options.workers)}
    spans, _ = dealt(count, threads, partitions_each(count, options.workers))
    while len(spans) > FAN_IN:
        groups = [spans[i : i + FAN_IN] for i in range(0, len(spans), FAN_IN)]
        spans = [(group[0][0], group[-1][1]) for group in groups]
    found = 0
    for start, stop in spans:
        tree = Tree(lambda a, b: a, start)
        for _ in range(start, stop):
            tree.push(None)
        found += len(tree.nodes)
    return found


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--plan-rows", type=float, default=1e9)
    parser.add_argument("--workers", type=int, default=100)
    parser.add_argument("--cores", type=int, default=8)
    parser.add_argument("--gigabits", type=float, default=10.0)
    parser.add_argument("--local", action="store_true")
    options = parser.parse_args()
    if options.local:
        with tempfile.TemporaryDirectory() as folder:
            write(Path(folder), options.rows)
            beside(Path(folder))
        return
    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder), options.rows)
        read = reading(Path(folder), options.rows)
        rates, made = sums(rows_of(Path(folder)))
    latency, passed = rounds(options.workers)
    print(f"one core, {COLUMNS} columns")
    for name, rate in {**read, **rates}.items():
        print(f"  {name:44} {rate:14,.0f} rows/s")
    print(
        f"a round without work on {options.workers} simulated workers: {latency:.3f} s of the "
        f"driver and scheduler, {passed:.3f} s until the answer"
    )
    print(
        f"\n{options.plan_rows:,.0f} rows on {options.workers} workers of {options.cores} "
        f"cores, {options.gigabits:g} Gbit/s"
    )
    cores = options.workers * options.cores
    passes = options.plan_rows / cores
    for name in ("parquet: count", "parquet: read and keep"):
        print(f"  {name:44} {passes / read[name]:10.2f} s   each core reads its part")
    for name, one in made.items():
        plan(name, passes / rates[name], one, latency, options)


def plan(
    name: str, work: float, one: NormalSums, latency: float, options: argparse.Namespace
) -> None:
    """One round, part by part, and what most of it is."""
    size = len(pickle.dumps(one, protocol=pickle.HIGHEST_PROTOCOL))
    merging = seconds(lambda: one.merge(one), 5)
    nodes = received(options)
    parts = {
        "the workers' sums": work,
        "the network of the driver": nodes * size * 8 / (options.gigabits * 1e9),
        "unpacking and merging on the driver": nodes
        * (merging + seconds(lambda: pickle.loads(pickle.dumps(one)), 5)),
        "orders and answers": latency,
    }
    print(f"  {name}: a round, {nodes} sums of {size / 1e3:,.0f} kB")
    for part, took in parts.items():
        print(f"    {part:42} {took:10.3f} s")
    most = max(parts, key=lambda part: parts[part])
    whole = sum(parts.values())
    print(f"    {'together':42} {whole:10.3f} s   limited by {most} ({parts[most] / whole:.0%})")


if __name__ == "__main__":
    main()
