"""A table as trees take it: a code for each value, from cuts between the values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from halfsquare.data.encoder import Encoder
from halfsquare.data.features import Category, Instant, Number
from halfsquare.data.rows import Rows
from halfsquare.loss import Floats
from halfsquare.models.tree_inputs import Input
from halfsquare.parallel.base import Execution
from halfsquare.solvers.lightgbm_input import CodedRows
from halfsquare.solvers.run import Seed, Stream

_MOST_CUTS = 253  # with a code below, one above and one for missing: what a byte can tell


_SAMPLED = 200_000  # rows that cuts are chosen from


def inputs_of(encoder: Encoder) -> tuple[Input, ...]:
    """What trees ask of an encoded row: numbers with their missing indicators, categories as a
    whole.
    """
    found: list[Input] = []
    for feature, (_, start, stop) in zip(encoder.features, encoder.groups, strict=True):
        names = feature.names
        if isinstance(feature, Category):
            found.append(Input(feature.column, "category", start, stop))
            continue
        marked = isinstance(feature, Number | Instant) and feature.indicator
        last = stop - 1 if marked else stop
        indicator = last if marked else -1
        found += [
            Input(names[j - start], "number", j, j + 1, indicator) for j in range(start, last)
        ]
    return tuple(found)


def cuts_of(values: Floats, weight: Floats | None, most: int = _MOST_CUTS) -> Floats:
    """Where numbers (n,) may be cut: between all neighbours, or of very many at quantiles of the
    weight; sorted.
    """
    known = ~np.isnan(values)
    w = np.ones(len(values)) if weight is None else weight
    distinct, place = np.unique(values[known], return_inverse=True)
    if len(distinct) < 2:
        return np.empty(0)
    low, high = distinct[:-1], distinct[1:]
    if len(low) > most:
        below = np.cumsum(np.bincount(place, weights=w[known]))
        at = np.unique(np.searchsorted(below, below[-1] * np.arange(1, most + 1) / (most + 1)))
        at = at[at < len(low)]
        low, high = low[at], high[at]
    middle = low + 0.5 * (high - low)
    return np.where(middle < high, middle, low)


@dataclass(frozen=True)
class Coded:
    """A table as trees take it; the target (n, k)."""

    inputs: tuple[Input, ...]
    cuts: tuple[Floats, ...]
    codes: Any
    target: Floats
    weight: Floats | None

    @classmethod
    def of(cls, rows: Rows, inputs: Sequence[Input], execution: Execution, seed: Seed) -> Coded:
        """The cuts from a sample of the rows, then the codes of all: a byte a value."""
        n = rows.row_count
        share = min(1.0, _SAMPLED / max(n, 1))

        def sample(index: int) -> tuple[Floats, Floats]:
            chunk = rows.chunk(index)
            some = np.ones(len(chunk.target), dtype=bool)
            if share < 1.0:
                some = seed.generator(Stream.CUTS, index).random(len(some)) < share
            values = np.array([each.values(chunk.design[some]) for each in inputs])
            w = np.ones(len(chunk.target)) if chunk.weight is None else chunk.weight
            return values.reshape(len(inputs), -1), w[some]

        parts = list(execution.map(sample, rows.chunk_count))
        values = np.concatenate([v for v, _ in parts], axis=1)
        w = np.concatenate([w for _, w in parts])
        cuts = tuple(
            np.empty(0) if each.kind == "category" else cuts_of(own, w)
            for each, own in zip(inputs, values, strict=True)
        )

        def code(index: int) -> tuple[Any, Floats, Floats | None]:
            chunk = rows.chunk(index)
            found = [i.codes(chunk.design, c) for i, c in zip(inputs, cuts, strict=True)]
            return (
                np.array(found, dtype=np.uint8).reshape(len(inputs), -1),
                chunk.target.copy(),
                chunk.weight,
            )

        coded = list(execution.map(code, rows.chunk_count))
        weights = [weight for _, _, weight in coded if weight is not None]
        return cls(
            tuple(inputs),
            cuts,
            np.concatenate([c for c, _, _ in coded], axis=1),
            np.concatenate([t for _, t, _ in coded]),
            np.concatenate(weights) if weights else None,
        )

    def rows(self, target: int) -> CodedRows:
        """The rows with one of the targets."""
        return CodedRows(self.codes, np.ascontiguousarray(self.target[:, target]), self.weight)

    @property
    def total(self) -> float:
        """Σw."""
        return float(len(self.target) if self.weight is None else self.weight.sum())

    @property
    def counts(self) -> list[int]:
        """How many codes each input has."""
        return [each.count(c) for each, c in zip(self.inputs, self.cuts, strict=True)]
