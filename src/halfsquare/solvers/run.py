"""What travels with a fit, made once and passed down: see :class:`Run`."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from enum import IntEnum
from typing import Any

import numpy as np

from halfsquare.parallel.base import Execution
from halfsquare.parallel.threads import Local
from halfsquare.solvers.base import State
from halfsquare.solvers.checkpointer import NO_CHECKPOINTS, Checkpointer

Callback = Callable[[State[Any]], None]


class Stream(IntEnum):
    """What is drawn at random, each from a stream of its own; numbers stay, or models change."""

    FOLDS = 0  # which rows a member of an ensemble leaves out
    MEMBER = 1  # of an ensemble: its streams are spawned from this one and its number
    START = 2  # parameters to begin from
    LEFT_OUT = 3  # rows to judge by where there are no folds
    SHUFFLE = 4  # of the rows of a pass
    CHUNKS = 5  # their order in a pass
    LINEAR_FOLDS = 6  # folds in which the linear model is judged
    SAMPLE = 7  # of the rows, to start a formula from
    SEARCH = 8  # points that a search for a start begins from
    CUTS = 9  # rows that the cuts of trees are chosen from
    TREES = 10  # rows and inputs that each tree is grown from


@dataclass(frozen=True)
class Seed:
    """The root of a tree of independent random streams, as :class:`numpy.random.SeedSequence`
    spawns them.

    A stream is named by its path from the root, so that it does not depend on what else was drawn,
    nor on the order in which threads draw; and no path of one seed is a path of another.

    Examples
    --------
    >>> second = np.random.SeedSequence(7).spawn(2)[1]
    >>> bool(Seed(7).child(1).generator().random() == np.random.default_rng(second).random())
    True
    """

    number: int = 0
    path: tuple[int, ...] = ()

    def child(self, *path: int) -> Seed:
        """The seed of a part."""
        return replace(self, path=(*self.path, *path))

    def generator(self, *path: int) -> np.random.Generator:
        """The stream of the child at ``path``."""
        sequence = np.random.SeedSequence(self.number, spawn_key=(*self.path, *map(int, path)))
        return np.random.default_rng(sequence)


SEED_ZERO = Seed()


@dataclass(frozen=True)
class Run:
    """What travels with a fit.

    Attributes
    ----------
    execution : Execution
        Where sums are computed.
    deadline : float or None
        A reading of ``time.monotonic()`` after which no step is begun.
    callback : callable or None
        Called with every state, its objective beside it (progress, the live page); of an ensemble
        from several threads. A KeyboardInterrupt that it raises ends the descent.
    checkpointer : Checkpointer
        Where states are kept.
    seed : Seed
        Of all that is drawn at random.
    """

    execution: Execution = field(default_factory=Local)
    deadline: float | None = None
    callback: Callback | None = None
    checkpointer: Checkpointer = NO_CHECKPOINTS
    seed: Seed = SEED_ZERO

    @property
    def late(self) -> bool:
        """Whether the deadline has passed."""
        return self.deadline is not None and time.monotonic() >= self.deadline

    def at(self, *names: str) -> Run:
        """This run with its states kept under the name of a part."""
        checkpointer = self.checkpointer
        for name in names:
            checkpointer = checkpointer.at(name)
        return replace(self, checkpointer=checkpointer)

    def share(self, share: float) -> Run:
        """This run with that share of the time that is left."""
        if self.deadline is None:
            return self
        now = time.monotonic()
        return replace(self, deadline=now + share * (self.deadline - now))
