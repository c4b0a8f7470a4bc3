"""Which column is what: targets, weight, features, and those left out before a row is read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from halfsquare.data.messages import missing_column
from halfsquare.data.source import Source, SourceColumn
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
    weighting : str
        What the weight column says of its rows.
    """

    targets: tuple[SourceColumn, ...]
    features: tuple[SourceColumn, ...]
    weight: SourceColumn | None
    left_out: dict[str, str]
    complete: bool = False
    weighting: Weighting = "counts"

    @property
    def scanned(self) -> tuple[SourceColumn, ...]:
        """Targets, then the weight if there is one, then the features: the order of raw chunks."""
        return (*self.targets, *((self.weight,) if self.weight else ()), *self.features)

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
    kept = tuple(c for c in wanted if c.name not in left_out)
    return Roles(chosen, kept, weights, left_out, weighting=weighting)


def _numeric(source: Source, name: str, role: str) -> SourceColumn:
    column = source.column(name, role=role)
    if column.kind in ("number", "boolean"):
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
