"""A formula with a parameter for each level, as the one in which all levels share theirs."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from halfsquare.loss import Floats
from halfsquare.models.formula.model import Formula
from halfsquare.models.formula.reader import level_names


@dataclass(frozen=True)
class Pooled:
    """``whole``, whose ``a[plant]`` is a parameter for each level, beside the formula where it is
    one.

    Examples
    --------
    >>> whole = Formula.read("y ~ a[plant]*exp(-k*x)", ["plant", "x", "y"])
    >>> pooled = Pooled(whole.with_levels({"plant": ["P", "Q"]}))
    >>> pooled.formula.names, pooled.members
    (('a[plant]', 'k'), ((0, 1), (2,)))
    """

    whole: Formula

    @cached_property
    def _of(self) -> dict[str, list[str]]:
        """The names of the whole formula for each of the pooled one, in its order."""
        levels, grouped = dict(self.whole.levels), self.whole.grouped
        found = {
            f"{stem}[{column}]": level_names(stem, column, levels[column])
            for stem, column in grouped.items()
        }
        names = Formula.read(self.whole.text, [*self.whole.columns, self.whole.target]).names
        return {name: found.get(name, [name]) for name in names}

    @cached_property
    def formula(self) -> Formula:
        """One parameter for all levels; held where all of them are, at their mean."""
        held = dict(self.whole.fixed)
        shared = Formula(self.whole.text, self.whole.columns, tuple(self._of))
        return shared.with_fixed(
            {
                name: float(np.mean([held[m] for m in members]))
                for name, members in self._of.items()
                if all(m in held for m in members)
            }
        )

    @cached_property
    def members(self) -> tuple[tuple[int, ...], ...]:
        """For each free parameter of :attr:`formula` the positions of the whole one's."""
        at = {name: j for j, name in enumerate(self.whole.names)}
        return tuple(tuple(at[m] for m in self._of[name] if m in at) for name in self.formula.names)

    @cached_property
    def columns(self) -> tuple[str | None, ...]:
        """For each free parameter of :attr:`formula` the column of its levels."""
        by = {f"{stem}[{column}]": column for stem, column in self.whole.grouped.items()}
        return tuple(by.get(name) for name in self.formula.names)

    def spread(self, pooled: Floats) -> Floats:
        """Parameters (p,) of the whole formula: every level has what they share."""
        values = np.empty(len(self.whole.names))
        for value, members in zip(pooled, self.members, strict=True):
            values[list(members)] = value
        return values

    def bounds(self, lower: Floats, upper: Floats) -> tuple[Floats, Floats]:
        """What holds for every level of bounds (p,) each; none where nothing does."""
        low = np.array([lower[list(m)].max() for m in self.members])
        high = np.array([upper[list(m)].min() for m in self.members])
        void = low >= high
        return np.where(void, -np.inf, low), np.where(void, np.inf, high)
