"""What exact sums of a table are: the Gram matrices, and what their columns mean."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass

from halfsquare.data.columns import NO_READING, Reading
from halfsquare.exact.gram import ExactGram
from halfsquare.exact.terms import SumColumn

Ranges = Mapping[str, tuple[float, float]]


@dataclass(frozen=True)
class SumSource:
    """One table that is in the sums.

    Attributes
    ----------
    name : str
    digest : str
        Of its sums: the same rows give the same digest, whatever the file is called.
    rows : int
    train, test : dict of column to (least, greatest)
        Of numbers and times, in the rows for training and in those set apart.
    test_fraction : float
    seed : int
    """

    name: str
    digest: str
    rows: int
    train: Ranges
    test: Ranges
    test_fraction: float
    seed: int


@dataclass(frozen=True)
class Counts:
    """Rows read, and rows left out."""

    read: int
    missing_target: int
    zero_weight: int

    def plus(self, other: Counts, sign: int = 1) -> Counts:
        """Those of both tables; ``sign`` -1 takes them away."""
        ours, theirs = asdict(self).values(), asdict(other).values()
        return Counts(*(max(0, a + sign * b) for a, b in zip(ours, theirs, strict=True)))


@dataclass(frozen=True)
class SumsRecord:
    """Exact sums of [1 | terms of the columns | targets] over the rows of one or more tables.

    Attributes
    ----------
    targets : tuple of str
    weight : str or None
        The column of weights.
    columns : tuple of SumColumn
    left_out : dict of column to reason
    train, test : ExactGram
        Over the rows for training, and over those set apart.
    counts : Counts
    sources : tuple of SumSource
        In the order of their digests.
    doubts : tuple of str
        What merging and taking away had to warn of.
    reading : Reading
        How the values of the columns were written.
    """

    targets: tuple[str, ...]
    weight: str | None
    columns: tuple[SumColumn, ...]
    left_out: Mapping[str, str]
    train: ExactGram
    test: ExactGram
    counts: Counts
    sources: tuple[SumSource, ...]
    doubts: tuple[str, ...] = ()
    reading: Reading = NO_READING

    @property
    def name(self) -> str:
        """What messages call it."""
        names = sorted(s.name for s in self.sources)
        return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")

    @property
    def rows(self) -> int:
        """For training and set apart."""
        return self.train.rows + self.test.rows

    @property
    def all(self) -> ExactGram:
        """Over all rows."""
        return self.train.merge(self.test)

    def positions(self) -> dict[tuple[str, str], int]:
        """Where each (column, term) stands in the Gram matrices; 0 is the constant 1, the targets
        come last.
        """
        every = [(c.name, term) for c in self.columns for term in c.terms]
        return {key: i for i, key in enumerate(every, 1)}
