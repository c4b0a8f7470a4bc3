"""Memory does not grow with the rows; threads merge what they sum themselves, in the tree that all
sums have.
"""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from halfsquare.data.buffers import Buffers
from halfsquare.data.integrity import has_checksums
from halfsquare.parallel.threads import Local
from halfsquare.parallel.tree import Tree


def test_checking_pages_keeps_none_of_them(tmp_path: Path) -> None:
    """32 MB of a file in row groups of 2 MB."""
    path = tmp_path / "many.parquet"
    values = np.random.default_rng(0).normal(size=(8, 1 << 19))
    columns = {f"x{j}": values[j] for j in range(8)}
    pq.write_table(pa.table(columns), path, row_group_size=1 << 15, write_page_checksum=True)
    code = (
        "import sys, pyarrow as pa\n"
        "from halfsquare.data.integrity import require_whole_pages\n"
        "from halfsquare.data.integrity import Unchanged\n"
        "require_whole_pages(Unchanged.of([sys.argv[1]]), sys.argv[2:])\n"
        "print(pa.default_memory_pool().max_memory())"
    )
    run = [sys.executable, "-c", code, str(path), *columns]
    done = subprocess.run(run, check=True, capture_output=True, text=True, timeout=60)
    assert 0 < int(done.stdout) < path.stat().st_size / 1.5


@pytest.mark.parametrize("checksums", [False, True])
@pytest.mark.parametrize("version", ["1.0", "2.0"])
@pytest.mark.parametrize("dictionary", [False, True])
def test_pages_without_checksums_are_not_read_beforehand(
    tmp_path: Path, checksums: bool, version: str, dictionary: bool
) -> None:
    path = tmp_path / "pages.parquet"
    table = pa.table({"x": [1.0, 2.0, 3.0, 3.0] * 500, "t": ["a", "b", None, "d"] * 500})
    pq.write_table(
        table,
        path,
        row_group_size=300,
        write_page_checksum=checksums,
        data_page_version=version,
        use_dictionary=dictionary,
    )
    with pq.ParquetFile(path) as opened:
        assert has_checksums(str(path), opened.metadata) is checksums


def test_pages_of_another_writer_have_no_checksums_or_are_looked_at(tmp_path: Path) -> None:
    path = tmp_path / "pages.parquet"
    duckdb.sql(f"COPY (SELECT range * 0.1 AS x, 'a' AS t FROM range(5000)) TO '{path}'")
    with pq.ParquetFile(path) as opened:
        assert not has_checksums(str(path), opened.metadata)
        first = opened.metadata.row_group(0).column(0)
        at = first.dictionary_page_offset or first.data_page_offset
    damaged = bytearray(path.read_bytes())
    damaged[at] ^= 0x40  # a header of no known kind
    path.write_bytes(damaged)
    with pq.ParquetFile(path) as opened:
        assert has_checksums(str(path), opened.metadata)


def test_memory_is_used_again_and_never_while_somebody_has_it() -> None:
    buffers, kept, seen = Buffers(), [], set()
    for turn in range(200):
        array = buffers.empty(3, 100)
        array[...] = turn
        seen.add(array.ctypes.data)
        if turn % 10 == 0:
            kept.append((turn, array[1:, 5:].T))
    assert len(seen) <= len(kept) + 2
    assert all((view == turn).all() for turn, view in kept)


def test_threads_take_memory_from_one_place() -> None:
    buffers = Buffers()

    def work(index: int) -> bool:
        mine = [buffers.empty(64, 1 + index % 7) for _ in range(3)]
        for number, array in enumerate(mine):
            array[...] = 10 * index + number
        return all(bool((a == 10 * index + i).all()) for i, a in enumerate(mine))

    assert all(Local(4).map(work, 500))


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("count", [0, 1, 2, 7, 8, 61, 256])
def test_stretches_of_any_length_give_the_tree_of_all(threads: int, count: int) -> None:
    tree: Tree[str] = Tree(lambda a, b: f"({a}{b})")
    for index in range(count):
        tree.push(f"{index} ")
    merged = Local(threads).reduce(lambda i: f"{i} ", lambda a, b: f"({a}{b})", count, "")
    assert merged == tree.total("")


def test_threads_merge_beside_each_other() -> None:
    """Of many parts most are merged by the threads that made them, not by the one that waits for
    them.
    """
    where: list[int] = []

    def merge(a: int, b: int) -> int:
        where.append(threading.get_ident())
        return a + b

    assert Local(2).reduce(lambda i: i, merge, 256, 0) == 255 * 128
    assert len(where) == 255 and where.count(threading.get_ident()) < 64
