"""What a cluster costs and where it ends: rates measured on one core here, and a plan for many rows
on many workers.

python benchmarks/cluster.py [--rows 1000000] [--plan-rows 1e9] [--workers 100] [--cores 8]
                             [--gigabits 10]

Measured: reading (rows/s), sums (rows/s), merging (bytes/s), a round of empty orders to local:2,
and what a worker's sums weigh. The plan divides the work by workers × cores and adds what the
driver does alone: it receives the sums of every worker through its own network card, and merges
them.
"""

from __future__ import annotations

import argparse
import operator
import pickle
import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from halfsquare.cluster.connect import connect
from halfsquare.cluster.parts import PartedSource
from halfsquare.cluster.shared import _counted
from halfsquare.cluster.shares import Shares
from halfsquare.data.cut import Cut
from halfsquare.data.deciding import open_source
from halfsquare.data.encoded_rows import EncodedRows, encoded_rows
from halfsquare.data.roles import choose_roles
from halfsquare.data.rows import CHUNK_ROWS
from halfsquare.data.scan import scan
from halfsquare.models.network import Network
from halfsquare.parallel.threads import Local
from halfsquare.parallel.tree import Tree
from halfsquare.solvers.normal_system import linear_sums
from halfsquare.solvers.objective import Objective
from halfsquare.sums import NormalSums

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
        count = partial(_counted, parted, cut, 0, len(parted.parts), Local(1))
        found[f"{suffix}: count"] = there / seconds(count)
        found[f"{suffix}: read and keep"] = there / seconds(
            lambda s=source, r=roles: scan(s, r, test_fraction=0.2)
        )
    return found


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


def rounds() -> float:
    """Seconds from an order to two idle workers to both answers."""
    with connect("local:2") as cluster:
        cluster.reduce(float, operator.add, 64, 0.0)
        return seconds(lambda: cluster.reduce(float, operator.add, 64, 0.0), 50, time.perf_counter)


def received(options: argparse.Namespace) -> int:
    """How many merged sums the workers hand in, for chunks of the usual size."""
    count = -(-int(options.plan_rows) // CHUNK_ROWS)
    dealt = Shares().spans(count, {f"worker {i}": options.cores for i in range(options.workers)})
    found = 0
    for start, stop in (span for spans in dealt.values() for span in spans):
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
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder), options.rows)
        read = reading(Path(folder), options.rows)
        rates, made = sums(rows_of(Path(folder)))
    latency = rounds()
    print(f"one core, {COLUMNS} columns")
    for name, rate in {**read, **rates}.items():
        print(f"  {name:44} {rate:14,.0f} rows/s")
    print(f"  {'a round of empty orders':44} {latency * 1e3:14.1f} ms")
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
        "orders and answers": latency
        * options.workers
        / 2,  # the driver's part of each is done one after the other
    }
    print(f"  {name}: a round, {nodes} sums of {size / 1e3:,.0f} kB")
    for part, took in parts.items():
        print(f"    {part:42} {took:10.3f} s")
    most = max(parts, key=lambda part: parts[part])
    whole = sum(parts.values())
    print(f"    {'together':42} {whole:10.3f} s   limited by {most} ({parts[most] / whole:.0%})")


if __name__ == "__main__":
    main()
