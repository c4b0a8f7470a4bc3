"""Descents side by side, each in a thread: whose state a callback sees, and how all are ended."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from threading import Event
from typing import Any, TypeVar

from halfsquare.parallel.threads import one_blas_thread
from halfsquare.solvers.base import State
from halfsquare.solvers.run import Callback

T = TypeVar("T")


def side_by_side(work: Callable[[int, Event], T], items: Sequence[int], at_once: int) -> list[T]:
    """``work(i, stop)`` for each item on ``at_once`` threads; Ctrl-C asks all to stop and returns
    what they have.
    """
    stop = Event()
    with one_blas_thread(), ThreadPoolExecutor(max(1, at_once)) as pool:
        waiting = [pool.submit(work, i, stop) for i in items]
        try:
            return [task.result() for task in waiting]
        except KeyboardInterrupt:
            stop.set()
            for task in waiting[1:]:
                task.cancel()
            return [task.result() for task in waiting if not task.cancelled()]
        except BaseException:
            stop.set()
            raise


def of_member(callback: Callback | None, member: int, stop: Event, ended: Event) -> Callback:
    """``callback`` told whose state it sees; an interruption of the ensemble ends the member's
    descent, and one by the callback sets ``ended``.
    """

    def relay(state: State[Any]) -> None:
        if stop.is_set():
            raise KeyboardInterrupt
        if callback is not None:
            try:
                callback(replace(state, notes={**state.notes, "member": float(member)}))
            except KeyboardInterrupt:
                ended.set()
                raise

    return relay
