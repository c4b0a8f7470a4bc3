"""Memory does not grow with the rows; threads merge what they sum themselves, in the tree that all
sums have.
"""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

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
