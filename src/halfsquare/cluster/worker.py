"""What runs on the workers of a cluster: work on some stretches of chunks, with what earlier work
has left there.

Nothing here may need the driver: what is lost with a worker, another makes anew from what is sent
and from the files.
"""

from __future__ import annotations

import pickle
import platform
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from threading import Lock
from typing import Any

from halfsquare.cluster.payload import Enclosed, Payload, unpacked
from halfsquare.cluster.shares import Span
from halfsquare.errors import HalfsquareError
from halfsquare.parallel.threads import Local
from halfsquare.parallel.tree import Node, Tree

_SESSIONS = 4  # fits that a worker remembers at once: the longest unused is forgotten first
_HELD_BYTES = 256 << 20  # of payloads of one fit


@dataclass(frozen=True)
class Order:
    """What a worker is asked to do: ``work(start, stop, execution)`` for each span."""

    session: str
    work: Payload
    enclosed: Enclosed
    spans: tuple[Span, ...]


@dataclass(frozen=True)
class Reply:
    """What came of it: one value for each span; or names of what is not held here; or why it
    failed.
    """

    values: tuple[Any, ...] = ()
    missing: tuple[str, ...] = ()
    error: HalfsquareError | None = None
    broken: str = ""


@dataclass
class _Session:
    """What one fit has left on this worker, the longest unused first."""

    held: OrderedDict[str, tuple[Any, int]] = field(default_factory=OrderedDict)
    lock: Lock = field(default_factory=Lock)

    def take(self, order: Order, execution: Local) -> tuple[dict[str, Any], tuple[str, ...]]:
        """All that the work refers to, by name; and the names of what is neither held nor sent."""
        with self.lock:
            missing = tuple(
                n for n in order.work.names if n not in self.held and n not in order.enclosed
            )
            found: dict[str, Any] = {}
            for name in () if missing else order.work.names:
                if name not in self.held:
                    payload = order.enclosed[name]
                    self.held[name] = unpacked(payload, found, execution), len(payload.body)
                self.held.move_to_end(name)
                found[name] = self.held[name][0]
            while sum(size for _, size in self.held.values()) > _HELD_BYTES and len(
                self.held
            ) > len(found):
                self.held.popitem(last=False)
            return found, missing


_sessions: OrderedDict[str, _Session] = OrderedDict()
_sessions_lock = Lock()


def carry_out(order: bytes) -> bytes:
    """Do what an :class:`Order` asks; the answer is a :class:`Reply`. Both are pickled, so that
    their bytes can be counted.
    """
    try:
        reply = _carried_out(pickle.loads(order))
    except HalfsquareError as problem:
        reply = Reply(error=problem)
    except Exception as problem:
        reply = Reply(broken=f"{type(problem).__name__}: {problem}")
    return pickle.dumps(reply, protocol=pickle.HIGHEST_PROTOCOL)


def _carried_out(order: Order) -> Reply:
    execution = Local(_threads())
    with _sessions_lock:
        session = _sessions.setdefault(order.session, _Session())
        _sessions.move_to_end(order.session)
        while len(_sessions) > _SESSIONS:
            _sessions.popitem(last=False)
    held, missing = session.take(order, execution)
    if missing:
        return Reply(missing=missing)
    work: Callable[[int, int, Local], Any] = unpacked(order.work, held, execution)
    return Reply(tuple(work(start, stop, execution) for start, stop in order.spans))


def forget(session: str) -> None:
    """Let go of all that a fit has left here."""
    _sessions.pop(session, None)


def _threads() -> int:
    from distributed import get_worker

    return int(get_worker().state.nthreads)


@dataclass(frozen=True)
class Mapped:
    """``work`` over a stretch of chunks: its results in order."""

    work: Callable[[int], Any]

    def __call__(self, start: int, stop: int, execution: Local) -> list[Any]:
        return list(execution.map(lambda i: self.work(start + i), stop - start))


@dataclass(frozen=True)
class Reduced:
    """``work`` over a stretch of chunks, merged as far as the tree of all chunks has nodes
    there.
    """

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
