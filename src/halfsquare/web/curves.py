"""The points of a descent, few enough to be drawn however long it goes on."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

_MOST_POINTS = 300  # of one curve; beyond, every second is dropped


class Point(NamedTuple):
    """A step: ½ MSE with the penalty's share on the rows that are trained on, the norm of its
    gradient, and ½ MSE on rows that are not; None where that was not computed.
    """

    iteration: int
    loss: float
    norm: float
    held_out: float | None = None


@dataclass
class Curve:
    """The points of one descent; thinned evenly as they grow many.

    ``before`` is how many steps its member had taken when it began; ``phase`` is ``"measure"``
    while rows are set apart, ``"refit"`` on all of them.
    """

    number: int
    member: int
    before: int = 0
    phase: str = "measure"
    points: list[Point] = field(default_factory=list)
    every: int = 1

    def keeps(self, iteration: int) -> bool:
        """Whether a point of this step stays, until all are thinned."""
        return iteration % self.every == 0

    def add(self, point: Point) -> None:
        """One more point; the last always stands, whether it will be kept or not."""
        if self.points and not self.keeps(self.points[-1].iteration):
            self.points.pop()
        self.points.append(point)
        if len(self.points) > _MOST_POINTS:
            self.every *= 2
            kept = [p for p in self.points[:-1] if self.keeps(p.iteration)]
            self.points = [*kept, self.points[-1]]
