"""Expressions compiled to a list of NumPy calls: one row of output for each expression, a block of
rows at a time.

Every distinct subexpression is one instruction, whatever number of expressions share it. Those that
hold parameters alone are computed once, as numbers; those that hold a column are computed for a few
thousand rows at a time in buffers that stay in the cache. No text is evaluated at any point.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from halfsquare.loss import Floats
from halfsquare.models.formula.operations import OPERATIONS, Ufunc

# Rows computed at once: so many that the cost of a NumPy call, and of handing the interpreter from
# one thread to another after it, is small; so few that the buffers of a usual formula stay in the
# cache.
BLOCK_ROWS = 16384


@dataclass(frozen=True)
class Step:
    """One call. Operands and the result are places in the table of values."""

    operation: str
    operands: tuple[int, ...]
    place: int


@dataclass(frozen=True)
class Program:
    """r expressions of p parameters and d columns.

    Attributes
    ----------
    sources : tuple of (str, float)
        Where the first values come from: ("number", value), ("parameter", i) or ("column", j).
    scalar_steps, array_steps : tuple of Step
        Calls on numbers, done once; calls on columns, done for every block.
    results : tuple of int
        The place of each expression's value.
    buffers : tuple of int
        For each array step the buffer it writes to, or -1 - row where it writes to a row of the
        result.
    """

    sources: tuple[tuple[str, float], ...]
    scalar_steps: tuple[Step, ...]
    array_steps: tuple[Step, ...]
    results: tuple[int, ...]
    buffers: tuple[int, ...]

    def run(self, parameters: Floats, design: Floats, out: Sequence[Floats]) -> None:
        """Write expression r to ``out[r]`` (n,), for the rows of ``design`` (n, d)."""
        bound = self.bind(parameters)
        spare = bound.spare(len(design))
        for start in range(0, len(design), BLOCK_ROWS):
            rows = slice(start, start + BLOCK_ROWS)
            bound.write(design[rows], [row[rows] for row in out], spare)

    def bind(self, parameters: Floats) -> Bound:
        """The program with these parameters: what rows do not change is computed now."""
        calls = tuple(
            (OPERATIONS[step.operation], step.operands, into, step.place)
            for step, into in zip(self.array_steps, self.buffers, strict=True)
        )
        columns = tuple(
            (place, int(j)) for place, (kind, j) in enumerate(self.sources) if kind == "column"
        )
        return Bound(
            tuple(self.scalars(parameters)),
            columns,
            calls,
            self.results,
            max((b + 1 for b in self.buffers if b >= 0), default=0),
        )

    def scalars(self, parameters: Sequence[Any] | Floats) -> list[Any]:
        """The table of values, filled as far as parameters alone decide it."""
        values: list[Any] = [None] * (
            len(self.sources) + len(self.scalar_steps) + len(self.array_steps)
        )
        for place, (kind, value) in enumerate(self.sources):
            values[place] = (
                np.float64(value)
                if kind == "number"
                else parameters[int(value)]
                if kind == "parameter"
                else None
            )
        with np.errstate(all="ignore"):
            for step in self.scalar_steps:
                values[step.place] = OPERATIONS[step.operation](*(values[i] for i in step.operands))
        return values


@dataclass(frozen=True)
class Bound:
    """A program with its parameters put in; used by many threads at once."""

    values: tuple[Any, ...]
    columns: tuple[tuple[int, int], ...]
    calls: tuple[tuple[Ufunc, tuple[int, ...], int, int], ...]  # operation, operands, buffer, place
    results: tuple[int, ...]
    buffers: int

    def spare(self, rows: int) -> Floats:
        """Buffers for :meth:`write`, for blocks of a table of that many rows."""
        return np.empty((self.buffers, min(BLOCK_ROWS, rows)))

    def write(self, design: Floats, out: Sequence[Floats], spare: Floats) -> None:
        """Write expression r to ``out[r]`` (m,) for a block of at most ``BLOCK_ROWS`` rows (m,
        d).
        """
        values = list(self.values)
        for place, column in self.columns:
            values[place] = np.ascontiguousarray(design[:, column])
        spare = spare[:, : len(design)]
        with np.errstate(all="ignore"):
            for operation, operands, buffer, place in self.calls:
                into = spare[buffer] if buffer >= 0 else out[-1 - buffer]
                operation(*[values[i] for i in operands], out=into)
                values[place] = into
        for row, place in zip(out, self.results, strict=True):
            if values[place] is not row:
                row[...] = values[place]
