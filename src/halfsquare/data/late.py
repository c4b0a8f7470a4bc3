"""What a pass over all rows shows that the first of them did not."""

from __future__ import annotations

from halfsquare.data.bases import base_of
from halfsquare.data.deciding import Reread
from halfsquare.data.levels import MAX_LEVELS
from halfsquare.data.profile import late_texts
from halfsquare.data.scan import Scanned
from halfsquare.data.source import Source
from halfsquare.data.whole_numbers import EXACT


def require_no_late_values(source: Source, scanned: Scanned) -> None:
    """See that columns that were read as texts are texts throughout, and that features and targets
    of whole numbers are not rounded to each other.

    Raises
    ------
    Reread
        Naming columns to be decided again, from all rows.
    """
    both = scanned.train.merge(scanned.test)
    weights = {
        column.name: both.levels[j][2:]
        for j, column in enumerate(scanned.roles.scanned)
        if column.kind == "text"
    }
    plain = {
        name: levels
        for name, levels in scanned.levels.items()
        if name not in scanned.roles.categories and name in source.unsettled
    }
    found = late_texts(plain, weights)
    # Of a column of very many texts not all are kept: all of it has to be looked at.
    found += [n for n, own in plain.items() if len(own) >= MAX_LEVELS and n not in found]
    numbers, roles = both.numbers, scanned.roles
    for j, column in enumerate(roles.scanned):
        if column not in roles.targets and column not in roles.features:
            continue
        far = max(-float(numbers.minimum[j]), float(numbers.maximum[j])) >= EXACT
        if column.kind == "number" and far and not source.column(column.name).base:
            found += [column.name] if base_of(source, column) else []
    if found:
        raise Reread(found)
