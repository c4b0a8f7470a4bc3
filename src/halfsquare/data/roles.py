"""Which column is what: targets, weight, features, and those left out before a row is read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from halfsquare.data.columns import NO_READING, Reading
from halfsquare.data.messages import missing_column
from halfsquare.data.source import Source
from halfsquare.data.source_column import SourceColumn
from halfsquare.data.weighting import Weighting
from halfsquare.errors import DataError, OptionError


@dataclass(frozen=True)
class Roles:
    """The role of each column of a source.

    Attributes
    ----------
    targets, features : tuple of SourceColumn
    weight : SourceColumn or None
    left_out : dict of column name to reason
    complete : bool
        Whether a row that lacks a feature is left out (a formula cannot do without its columns).
    reading : Reading
    categories : tuple of str
        Columns that are categories by their type or by request.
    beside : tuple of SourceColumn
        Columns that are read along and are no features: clusters of rows, absorbed effects. A row
        that lacks one is left out.
    weighting : str
        What the weight column says of its rows.
    """

    targets: tuple[SourceColumn, ...]
    features: tuple[SourceColumn, ...]
    weight: SourceColumn | None
    left_out: dict[str, str]
    complete: bool = False
    reading: Reading = NO_READING
    categories: tuple[str, ...] = ()
    beside: tuple[SourceColumn, ...] = ()
    weighting: Weighting = "counts"

    @property
    def scanned(self) -> tuple[SourceColumn, ...]:
        """Targets, then the weight if there is one, then what is read beside the features, then
        these: the order of raw chunks.
        """
        weight = (self.weight,) if self.weight else ()
        return (*self.targets, *weight, *self.beside, *self.features)

    @property
    def beside_at(self) -> slice:
        """Where the columns read beside the features stand among the scanned ones."""
        first = len(self.targets) + (self.weight is not None)
        return slice(first, first + len(self.beside))

    @property
    def needed(self) -> tuple[SourceColumn, ...]:
        """Those of them that decide whether a row counts, in the same order."""
        return (
            self.scanned
            if self.complete
            else self.scanned[: len(self.scanned) - len(self.features)]
        )


def choose_roles(
    source: Source,
    targets: Sequence[str],
    *,
    weight: str | None = None,
    weighting: Weighting = "counts",
    features: Sequence[str] | None = None,
    exclude: Sequence[str] = (),
) -> Roles:
    """Sort the columns of a source by role; features are all others unless they are named.

    Raises
    ------
    DataError
        If a named column is not there, or target or weight hold no numbers (the first value that is
        none is named).
    OptionError
        If a column is given two roles.
    """
    # Differences from a first value are for features and targets: a weight is what it is.
    source = source.without_bases([weight] if weight else [])
    if not targets:
        raise OptionError(f"no target: say which column of {source.name} to predict")
    chosen = tuple(_numeric(source, t, "target column") for t in targets)
    weights = _numeric(source, weight, "weight column") if weight else None
    used = [*targets, *([weight] if weight else [])]
    for name in used:
        if used.count(name) > 1 or name in (features or ()) or name in exclude:
            raise OptionError(
                f"column {name!r} is given two roles; it can be target, weight, feature or excluded"
            )
    names = [c.name for c in source.columns]
    for name in [*(features or ()), *exclude]:
        if name not in names:
            raise missing_column(name, names, source.name, "column")
    wanted = [
        c for c in source.columns if c.name not in used and (features is None or c.name in features)
    ]
    left_out = {c.name: "excluded" for c in wanted if c.name in exclude}
    left_out |= {
        c.name: f"its type {c.type} is neither number, text nor time"
        for c in wanted
        if c.kind == "unsupported"
    }
    for j, c in enumerate(source.columns):
        index = c.name in source.unnamed or c.name.startswith(_INDEX_NAMES)
        if features is None and j == 0 and index and c.name not in used:
            left_out[c.name] = "a first column without a name: the index of the rows"
    kept = tuple(c for c in wanted if c.name not in left_out)
    return Roles(
        chosen,
        kept,
        weights,
        left_out,
        reading=source.reading,
        categories=source.categories,
        weighting=weighting,
    )


_INDEX_NAMES = ("Unnamed: 0", "__index_level_0__", "...1")


def _numeric(source: Source, name: str, role: str) -> SourceColumn:
    column = source.column(name, role=role)
    lenient = [n for n, c in source.reading.columns.items() if c.lenient]
    if column.kind in ("number", "boolean"):
        odd = source.findings[name].odd if name in source.findings else ()
        for cell in odd:
            if not cell.means_none and name not in lenient:
                raise DataError(
                    f"{role} {name!r} of {source.name} is text: found {cell.text!r} in row "
                    f"{cell.row}, expected numbers. Correct it, or take it for no value: "
                    f"--missing {cell.text!r}"
                )
        return column
    if column.kind == "text":
        found = source.not_a_number(name)
        if found is None and not source.row(1):
            raise DataError(f"{source.name} has a header but no rows")
        if found is None:
            raise DataError(f"{role} {name!r} of {source.name} has no values; expected numbers")
        row, text = found
        raise DataError(
            f"{role} {name!r} of {source.name} is text: found {text!r} in row {row}, "
            "expected numbers"
        )
    raise DataError(
        f"{role} {name!r} of {source.name} has the type {column.type}; expected numbers"
    )
