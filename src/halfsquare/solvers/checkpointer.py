"""Checkpoints of a fit: the latest state of every descent, so that a fit that was killed goes on
where it stood.

A state carries all that the next step needs, and what lies between two descents (folds, starts,
judgement) follows from data and seed. So a fit is continued by beginning it anew, with every
descent going on from its entry there: the steps that follow, and the model, have the same
bits as if nothing had happened.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any, final

import numpy as np

from halfsquare.errors import CheckpointError, OutputError
from halfsquare.files.atomic import clear_parts
from halfsquare.files.checkpoint import Checkpoint, Entry
from halfsquare.files.packing import Packed
from halfsquare.loss import Floats
from halfsquare.solvers.base import State

if TYPE_CHECKING:
    from halfsquare.solvers.base import Record

# A checkpoint is written at most so often that writing takes this share of the time.
_SHARE = 0.05
_LOG = logging.getLogger("halfsquare")


@final
class CheckpointStore:
    """What all descents of a fit have come to, and the file that it is written to now and then.

    The one thing here that changes; descents offer their states from several threads.

    Parameters
    ----------
    path : path
    checkpoint : Checkpoint
        What is known at the beginning.
    seconds : float
        From one writing to the next, at least.

    Raises
    ------
    OutputError
        If the file cannot be written. Later that is a warning, and the fit goes on.
    """

    def __init__(self, path: str | Path, checkpoint: Checkpoint, seconds: float = 10.0) -> None:
        self.path = Path(path)
        self._identity, self._entries, self._seconds = (
            checkpoint.identity,
            dict(checkpoint.entries),
            seconds,
        )
        self._lock, self._writing, self._failed = Lock(), Lock(), False
        clear_parts(path)
        replace(checkpoint, finished=False).write(path)
        self._saved = self.entries
        self._due = time.monotonic() + seconds

    @property
    def entries(self) -> Mapping[str, Entry]:
        """The entries as they are now."""
        with self._lock:
            return dict(self._entries)

    @property
    def held(self) -> str:
        """What the file holds, in words: of the last time that it could be written."""
        found = self._saved.values()
        steps, over = sum(e.steps for e in found), sum(e.over for e in found)
        descents = f"{len(found)} descent{'s' if len(found) != 1 else ''}"
        return f"{self.path} holds {steps:,} steps of {descents}, {over} at their end"

    def put(self, name: str, entry: Entry) -> None:
        """Enter how far a descent has come, and write the file if it is time."""
        with self._lock:
            self._entries[name] = entry
        if time.monotonic() >= self._due and self._writing.acquire(blocking=False):
            try:
                if time.monotonic() >= self._due:  # nobody was quicker
                    self._write()
            finally:
                self._writing.release()

    def close(self, finished: bool) -> bool:
        """Write the file for the last time; whether the fit came to its end, with no descent cut
        short.
        """
        finished = finished and all(entry.over for entry in self.entries.values())
        with self._writing:
            self._write(finished)
        return finished

    def _write(self, finished: bool = False) -> None:
        began, entries = time.monotonic(), self.entries
        try:
            Checkpoint(self._identity, entries, finished).write(self.path)
            self._failed, self._saved = False, entries
        except (OutputError, MemoryError) as problem:
            if not self._failed:
                _LOG.warning(
                    "the checkpoint could not be written, and the fit goes on without: %s", problem
                )
            self._failed = True
        now = time.monotonic()
        self._due = now + max(self._seconds, (now - began) / _SHARE)


@final
@dataclass(frozen=True)
class Slot:
    """The place of one descent in the store; without a store nothing is kept.

    Attributes
    ----------
    start : str
        Digest of what the descent begins from: an entry that began elsewhere is another descent's.
    shape : tuple of int
        Of its parameters.
    """

    store: CheckpointStore | None
    name: str
    start: str
    shape: tuple[int, ...]

    def last(self) -> tuple[State[Any], list[Record]] | None:
        """State and history as far as this descent has come before; None if it has not begun.

        Raises
        ------
        CheckpointError
            If the entry holds something else.
        """
        entry = None if self.store is None else self.store.entries.get(self.name)
        if entry is None or entry.start != self.start:
            return None
        try:
            state, history = entry.pack().value()
            if not isinstance(state, State) or not isinstance(history, list):
                raise ValueError("no state of a descent")
            if np.shape(state.parameters) != self.shape:
                raise ValueError(
                    f"parameters of shape {np.shape(state.parameters)}; expected {self.shape}"
                )
        except (ValueError, TypeError) as problem:
            raise CheckpointError(
                f"the checkpoint is damaged at {self.name!r}: {problem}"
            ) from None
        return state, history

    def keep(self, state: State[Any], history: list[Record]) -> None:
        """Enter the state just reached; ``history`` is only added to from here on."""
        if self.store is not None:
            packed = partial(_packed, state, history, len(history))
            self.store.put(
                self.name, Entry(self.start, state.iteration, state.stopped is not None, packed)
            )


@final
@dataclass(frozen=True)
class Checkpointer:
    """Where descents find their slots; the names of a fit, of its parts and of their descents make
    a path.
    """

    store: CheckpointStore | None = None
    name: str = ""

    def at(self, name: str) -> Checkpointer:
        """The checkpointer of a part."""
        return replace(self, name=f"{self.name}/{name}" if self.name else name)

    def slot(self, start: Floats | State[Any]) -> Slot:
        """The slot of the descent that bears this checkpointer's name and begins from ``start``."""
        shape = (start.parameters if isinstance(start, State) else start).shape
        return Slot(
            self.store, self.name, "" if self.store is None else Packed.of(start).digest(), shape
        )


NO_CHECKPOINTS = Checkpointer()


def _packed(state: State[Any], history: list[Any], length: int) -> Packed:
    return Packed.of((state, history[:length]))
