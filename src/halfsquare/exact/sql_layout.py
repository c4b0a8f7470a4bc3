"""What a SQL statement that sums rows is asked for, and which column of its result is which sum.

The description travels in the result itself, so that nothing has to be said twice: written as the
query of a web address it holds neither quotes nor backslashes, which the databases escape in
different ways.
"""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import parse_qsl, urlencode

from halfsquare.errors import DataError, OptionError

MARK = "halfsquare-sums-1?"
LEVELS = "halfsquare-levels"
# A statement of PostgreSQL returns up to 1,664 columns.
MAX_NUMBERS, _PAIRS = 100, 1000

Pair = tuple[str, str]


@dataclass(frozen=True)
class SqlLayout:
    """The columns of a table that are summed, and the names of their sums.

    In the statement a number or target is x1, x2, …, targets last; less its mean it is v1, v2, …
    (0 where it is missing), and m1, m2, … is 1 where it is missing. A category is c1, c2, …

    Attributes
    ----------
    source : str
        What messages call the table.
    targets, numbers, categories : tuple of str
    not_null : tuple of str
        Numbers that are never missing: no sums are asked for that tell what is where they are.
    weight : str or None

    Examples
    --------
    >>> layout = SqlLayout("houses", ("price",), ("area", "rooms"), ("town",), ("rooms",))
    >>> layout.terms
    ('v1', 'm1', 'v2', 'v3')
    >>> layout.blocks[0][:4]
    (('v1', 'v1'), ('v1', 'v2'), ('v1', 'v3'), ('m1', 'v2'))
    >>> SqlLayout.read(layout.told) == layout
    True
    """

    source: str
    targets: tuple[str, ...]
    numbers: tuple[str, ...]
    categories: tuple[str, ...] = ()
    not_null: tuple[str, ...] = ()
    weight: str | None = None

    def __post_init__(self) -> None:
        if not self.targets:
            raise OptionError("no target: name the column to predict (--target)")
        if not self.numbers + self.categories:
            raise OptionError(
                "no columns to sum: a database is not asked what it has, so name them (--features)"
            )
        named = [*self.targets, *self.numbers, *self.categories, *filter(None, [self.weight])]
        twice = next((name for name in named if named.count(name) > 1), None)
        if twice is not None:
            raise OptionError(f"column {twice!r} is named twice")
        for name in named:
            if not name or "\0" in name:
                raise OptionError(f"{name!r} cannot be the name of a column")
        for name in self.not_null:
            if name not in self.numbers:
                raise OptionError(f"--not-null names {name!r}, which is no number among --features")
        if len(self.values) > MAX_NUMBERS:
            raise OptionError(
                f"{len(self.values)} numbers and targets; a statement sums up to {MAX_NUMBERS}. "
                "Leave some out, or sum the rows themselves"
            )

    @property
    def values(self) -> tuple[str, ...]:
        """Numbers and targets; the first is x1."""
        return self.numbers + self.targets

    @property
    def flags(self) -> tuple[int, ...]:
        """Which numbers may be missing, counted from 1."""
        return tuple(i for i, name in enumerate(self.numbers, 1) if name not in self.not_null)

    @property
    def terms(self) -> tuple[str, ...]:
        """What is multiplied with each other: numbers and their flags, then targets."""
        found: list[str] = []
        for i, _ in enumerate(self.values, 1):
            found += [f"v{i}", f"m{i}"] if i in self.flags else [f"v{i}"]
        return tuple(found)

    @property
    def pairs(self) -> tuple[Pair, ...]:
        """The products that are summed: not those that are 0 in every row, or a flag's square."""
        terms = self.terms
        return tuple(
            (a, b)
            for i, a in enumerate(terms)
            for b in terms[i:]
            if not a.startswith("m") or a != b
            if {a[0], b[0]} != {"v", "m"} or a[1:] != b[1:]
        )

    @property
    def blocks(self) -> tuple[tuple[Pair, ...], ...]:
        """The pairs in parts that fit into a row of a result."""
        pairs = self.pairs
        return tuple(pairs[i : i + _PAIRS] for i in range(0, len(pairs), _PAIRS))

    @property
    def told(self) -> str:
        """The description that stands in the result."""
        said = [("table", self.source)]
        for key in ("targets", "numbers", "categories", "not_null"):
            said += [(key, name) for name in getattr(self, key)]
        return MARK + urlencode(said + ([("weight", self.weight)] if self.weight else []))

    @classmethod
    def read(cls, told: str) -> SqlLayout:
        """The layout that :attr:`told` described.

        Raises
        ------
        DataError
            If this is no such description.
        """
        found: dict[str, list[str]] = {}
        try:
            if not told.startswith(MARK):
                raise ValueError
            for key, value in parse_qsl(
                told.removeprefix(MARK), strict_parsing=True, keep_blank_values=True
            ):
                found.setdefault(key, []).append(value)
            (source,), weight = found.pop("table"), found.pop("weight", [None])
            if set(found) - {"targets", "numbers", "categories", "not_null"} or len(weight) > 1:
                raise ValueError
            lists = {key: tuple(value) for key, value in found.items()}
            return cls(source, **{"targets": (), "numbers": (), **lists}, weight=weight[0])
        except (ValueError, KeyError, OptionError):
            raise DataError(
                f"{told[:60]!r} does not describe sums as this version of halfsquare asks for "
                "them: write the statement anew with halfsquare sums --sql"
            ) from None
