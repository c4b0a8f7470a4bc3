"""Which rows are set apart, and which rows belong together wherever some are left out.

A test part is a fair test if it differs from the rows of the fit as new rows will. Rows drawn at
random are, where rows are independent; rows of a group, or neighbours in time, tell of each other,
and the error on them is too small by what they share with the rows of the fit. So whole groups, or
the latest rows, are set apart where that is what the model is for (Roberts et al. 2017,
"Cross-validation strategies for data with temporal, spatial, hierarchical, or phylogenetic
structure").
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from halfsquare.errors import OptionError
from halfsquare.loss import Floats

Kind = Literal["random", "rows", "time", "group"]
Parts = npt.NDArray[np.int8]  # of each row
TRAIN, TEST, NEITHER = 0, 1, 2


@dataclass(frozen=True)
class Split:
    """How the rows that measure a model are chosen.

    Attributes
    ----------
    kind : {"random", "rows", "time", "group"}
        Drawn at random; the last ones; the latest by a column; whole groups of a column's values.
    column : str or None

    Examples
    --------
    >>> Split.read("time:sold_on")
    Split(kind='time', column='sold_on')
    >>> str(Split.read("rows"))
    'rows'
    """

    kind: Kind = "random"
    column: str | None = None

    @classmethod
    def read(cls, text: str) -> Split:
        """``random``, ``rows``, ``time:COL`` or ``group:COL``.

        Raises
        ------
        OptionError
        """
        kind, colon, column = str(text).partition(":")
        if kind in ("random", "rows") and not colon:
            return cls("rows" if kind == "rows" else "random")
        if kind in ("time", "group") and column.strip():
            return cls("time" if kind == "time" else "group", column.strip())
        raise OptionError(
            f"unknown split {text!r}; expected random, rows (the last ones), time:COL (the latest) "
            "or group:COL (whole groups)"
        )

    def __str__(self) -> str:
        return self.kind if self.column is None else f"{self.kind}:{self.column}"

    @property
    def in_order(self) -> bool:
        """Whether rows stand in an order, and the later ones are set apart."""
        return self.kind in ("rows", "time")

    @property
    def told(self) -> str:
        """Which rows are set apart, in words."""
        words = {
            "random": "drawn at random",
            "rows": "the last rows",
            "time": f"the latest by {self.column}",
            "group": f"whole groups of {self.column}",
        }
        return words[self.kind]


@dataclass(frozen=True)
class Units:
    """Rows that are left out together.

    Attributes
    ----------
    of_row : (n,) int
        The unit of each row.
    in_order : bool
        Whether units follow each other in time: what is left out are stretches, so that the
        neighbours of a row that is left out are too.
    """

    of_row: npt.NDArray[np.intp]
    in_order: bool = False

    def at(self, rows: Any) -> Units:
        """Those of some rows."""
        return Units(self.of_row[rows], self.in_order)


def folds_of(
    rows: int, count: int, random: np.random.Generator, units: Units | None = None
) -> npt.NDArray[np.intp]:
    """The fold (n,) of each of ``rows`` rows, of about the same size; units stay whole.

    Rows of their own are dealt at random; units one after the other, in a random order, to the
    smallest fold; and what stands in an order is cut into stretches.

    Examples
    --------
    >>> units = Units(np.array([0, 0, 0, 1, 2, 2]))
    >>> fold = folds_of(6, 2, np.random.default_rng(0), units)
    >>> bool(fold[0] == fold[1] == fold[2]), bool(fold[4] == fold[5])
    (True, True)
    """
    if units is None:
        return np.asarray(random.permutation(rows) % count)
    _, unit, sizes = np.unique(units.of_row, return_inverse=True, return_counts=True)
    if units.in_order:
        # A unit belongs where its middle lies.
        middle = np.cumsum(sizes) - 0.5 * sizes
        fold = np.minimum((middle * count / rows).astype(np.intp), count - 1)
    else:
        fold = dealt(sizes, np.full(count, rows / count), random)
    return np.asarray(fold[unit])


def dealt(
    sizes: npt.NDArray[np.intp], room: Floats, random: np.random.Generator
) -> npt.NDArray[np.intp]:
    """The part (u,) of each unit of ``sizes`` (u,), in a random order to that with the most room
    left of ``room`` (parts,).
    """
    left = room.astype(np.float64).copy()
    part = np.empty(len(sizes), dtype=np.intp)
    for unit in random.permutation(len(sizes)).tolist():
        part[unit] = int(np.argmax(left))
        left[part[unit]] -= sizes[unit]
    return part


def latest(times: Floats, fraction: float) -> npt.NDArray[np.bool_]:
    """Which rows (n,) are later than the others, as near to that share as rows of one time allow.

    Raises
    ------
    OptionError
        If all have the same time.
    """
    distinct, sizes = np.unique(times, return_counts=True)
    if len(distinct) < 2:
        raise OptionError("all rows have the same time: none is later than the others")
    after = np.cumsum(sizes[::-1])[::-1][1:]  # rows from each time on, but the first
    at = int(np.argmin(np.abs(after - fraction * len(times)))) + 1
    return np.asarray(times >= distinct[at])


def some_groups(
    units: npt.NDArray[np.intp], fraction: float, random: np.random.Generator
) -> npt.NDArray[np.bool_]:
    """Which rows (n,) are of the groups set apart: drawn one after the other, as long as that
    brings their share nearer to the one wanted; at least one group, and not all.

    Raises
    ------
    OptionError
        If there is one group alone.
    """
    _, unit, sizes = np.unique(units, return_inverse=True, return_counts=True)
    if len(sizes) < 2:
        raise OptionError("all rows are of one group: none can be set apart from the others")
    wanted = fraction * len(units)
    chosen, taken = np.zeros(len(sizes), dtype=bool), 0
    for group in random.permutation(len(sizes)).tolist():
        if abs(taken + sizes[group] - wanted) < abs(taken - wanted):
            chosen[group] = True
            taken += int(sizes[group])
    if not chosen.any():
        chosen[int(np.argmin(sizes))] = True
    if chosen.all():
        chosen[int(np.argmin(sizes))] = False
    return np.asarray(chosen[unit])
