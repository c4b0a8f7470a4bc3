"""Where sums over chunks are computed: what solvers know of it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from typing import ClassVar, TypeVar

T = TypeVar("T")


class Execution(ABC):
    """A place that works on chunks side by side.

    What comes out has the same bits in every place.
    """

    # : Whether single rows can be drawn at random, as mini-batches are: not where every draw is a
    # message.
    serves_batches: ClassVar[bool] = True

    @property
    @abstractmethod
    def workers(self) -> int:
        """How many chunks are worked on at once."""

    @abstractmethod
    def map(self, work: Callable[[int], T], count: int) -> Iterator[T]:
        """``work(0) … work(count-1)``, yielded in this order."""

    @abstractmethod
    def reduce(
        self, work: Callable[[int], T], merge: Callable[[T, T], T], count: int, zero: T
    ) -> T:
        """``work`` over the chunks, merged as :class:`halfsquare.parallel.tree.Tree` says; ``zero``
        for none.
        """

    @abstractmethod
    def concurrent(self, count: int) -> tuple[int, Execution]:
        """How many of ``count`` descents to run side by side, each in a thread here, and where each
        sums.
        """
