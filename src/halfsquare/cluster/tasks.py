"""What runs on the workers of a cluster: each function is the task of a future.

Nothing here may need the driver: what is lost with a worker, Dask has made anew by another, from
what was sent and from the files.
"""

from __future__ import annotations

import pickle
import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import wraps
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from halfsquare.cluster.held import HeldTable, Plan
from halfsquare.cluster.packing import unpacked
from halfsquare.errors import ClusterError, HalfsquareError
from halfsquare.parallel.threads import Local
from halfsquare.parallel.tree import Node, Tree

Span = tuple[int, int]


def _named(task: Callable[..., Any]) -> Callable[..., Any]:
    """An error that is none of ours says which worker had it."""

    @wraps(task)
    def run(*arguments: Any, **more: Any) -> Any:
        try:
            return task(*arguments, **more)
        except HalfsquareError:
            raise
        except Exception as problem:
            raise ClusterError(
                f"worker {_worker().address} failed: {type(problem).__name__}: {problem}"
            ) from None

    return run


@_named
def load(plan: Plan, span: Span, expected: Mapping[str, str]) -> HeldTable:
    """A partition: the chunks of a span, read here and kept.

    Raises
    ------
    ClusterError
        If this worker cannot take part; one that has joined is asked here for the first time.
    """
    why = examine(expected, plan.source.files)
    if why:
        raise ClusterError(f"worker {_worker().address} {why}")
    table = HeldTable(plan, span)
    table.load(*span)
    return table


@_named
def statistics(partition: HeldTable) -> bytes:
    """What is known of the columns in a partition, and the levels in whose codes its texts are."""
    assert partition.held is not None
    _, stretch = partition.find(partition.held[0])
    return _sealed((stretch.statistics.nodes, stretch.levels))


@_named
def rebuilt(
    body: bytes, names: Sequence[str], enclosed: Sequence[Any], partition: HeldTable | None
) -> Any:
    """What many pieces of work refer to, such as encoded rows: made once for each partition."""
    return unpacked(
        body, dict(zip(names, enclosed, strict=True)), partition, Local(_worker().state.nthreads)
    )


def same(body: bytes) -> bytes:
    """Bytes that many tasks need."""
    return body


@_named
def summed(
    body: bytes,
    span: Span,
    enclosed: Sequence[Any],
    partition: HeldTable | None,
    *,
    names: Sequence[str],
    at_once: int,
    sealed: bool,
) -> Any:
    """The work on a span of chunks; ``at_once`` of its like may run on this worker."""
    execution = Local(max(1, _worker().state.nthreads // at_once))
    held = dict(zip(names, enclosed, strict=True))
    work = unpacked(body, held, partition, execution)
    found = work(*span, execution)
    return _sealed(found) if sealed else found


@_named
def merged(lists: Sequence[list[Node[Any]]], merge: bytes, *, sealed: bool) -> Any:
    """The nodes of neighbouring spans, merged as far as the tree of all chunks has nodes there."""
    tree: Tree[Any] = Tree(pickle.loads(merge), lists[0][0].start)
    for node in (node for nodes in lists for node in nodes):
        tree.push_node(node)
    return _sealed(tree.nodes) if sealed else tree.nodes


def _sealed(found: Any) -> bytes:
    # As bytes, so that they can be counted.
    return pickle.dumps(found, protocol=pickle.HIGHEST_PROTOCOL)


def _worker() -> Any:
    from distributed import get_worker

    return get_worker()


@dataclass(frozen=True)
class Mapped:
    """``work`` over a span of chunks: its results in order."""

    work: Callable[[int], Any]

    def __call__(self, start: int, stop: int, execution: Local) -> list[Any]:
        return list(execution.map(lambda i: self.work(start + i), stop - start))


@dataclass(frozen=True)
class Reduced:
    """``work`` over a span of chunks, merged as far as the tree of all chunks has nodes there."""

    work: Callable[[int], Any]
    merge: Callable[[Any, Any], Any]

    def __call__(self, start: int, stop: int, execution: Local) -> list[Node[Any]]:
        tree = Tree(self.merge, start)
        for part in execution.map(lambda i: self.work(start + i), stop - start):
            tree.push(part)
        return tree.nodes


def versions() -> dict[str, str]:
    """What has to be the same everywhere for sums to have the same bits."""
    found = {"python": ".".join(platform.python_version_tuple()[:2])}
    for package in ("halfsquare", "numpy", "scipy", "duckdb"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "none"
    return found


def examine(expected: Mapping[str, str], files: Mapping[str, int]) -> str:
    """Why this worker cannot take part, in words; empty if it can. Files are given with their
    sizes.
    """
    differ = [
        f"{name} {there}, here {expected[name]}"
        for name, there in versions().items()
        if there != expected[name]
    ]
    if differ:
        return f"has other versions: {'; '.join(differ)}. Install the same on all"
    for path, size in files.items():
        try:
            there = Path(path).stat().st_size
        except OSError as problem:
            return (
                f"cannot read {path}: {problem.strerror}. Every worker reads the files by "
                "the path given to fit"
            )
        if there != size:
            return f"has another {path}: {there:,} bytes, here {size:,}"
    return ""
