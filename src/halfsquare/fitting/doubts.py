"""Whether rows drawn at random were a fair test: what speaks against it, and what settles it.

Three signs that rows tell of each other, so that an error on rows drawn from among those of the fit
is too small for new ones: a column of dates; errors of neighbouring rows that go together; errors
of the levels of a column that do.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from halfsquare.data.recut import numbers_in_source
from halfsquare.data.scan import Scanned, scan
from halfsquare.data.source import Source
from halfsquare.data.source_column import SourceColumn
from halfsquare.data.spec import DataSpec
from halfsquare.errors import HalfsquareError
from halfsquare.fitting.measure import MOST_LOOKED_AT, RowErrors
from halfsquare.loss import Floats

_FEWEST_ROWS = 30
_SURE = 1e-4  # the chance of a false word, over all columns
_WORTH_SAYING = 0.1  # correlations below do not change an error much
_MOST_COLUMNS = 20
_FEWEST_A_LEVEL = 3.0  # rows on average; with fewer a level is no group
_DATES = ("timestamp",)


@dataclass(frozen=True)
class Looked:
    """What is known of the rows, in the order of the source.

    Attributes
    ----------
    error : (n,)
        Averaged over the targets; NaN where it is not known.
    first : (m,) int
        The rows whose errors are known, but of equal ones the first alone: copies err alike.
    numbers : (n,) int
        Of the rows of the table.
    """

    error: Floats
    first: npt.NDArray[np.intp]
    numbers: npt.NDArray[np.intp]

    @property
    def errors(self) -> Floats:
        """Of these rows (m,)."""
        return self.error[self.first]

    @classmethod
    def of(cls, scanned: Scanned, seed: int, errors: Sequence[RowErrors]) -> Looked:
        """From the errors of some of the rows."""
        numbers = numbers_in_source(scanned, seed)
        every = np.full(len(numbers), np.nan)
        for one in errors:
            every[one.numbers] = one.error.mean(axis=1)
        first = np.arange(len(numbers), dtype=np.intp)
        if scanned.units is not None:
            unit = np.empty_like(first)
            unit[numbers] = scanned.units.of_row
            first = np.sort(np.unique(unit, return_index=True)[1])
        return cls(every, first[~np.isnan(every[first])], numbers)

    def column(self, scanned: Scanned, position: int) -> Floats:
        """A column (n,) of the table, in the order of the source."""
        table = scanned.table
        values = np.concatenate([table.read(i)[position] for i in range(len(table.sizes))])
        found = np.empty_like(values)
        found[self.numbers] = values
        return found


def doubts(
    scanned: Scanned, source: Source, spec: DataSpec, seed: int, errors: Sequence[RowErrors]
) -> list[str]:
    """What is to be said of rows that were set apart at random.

    Parameters
    ----------
    scanned : Scanned
        The rows as they were drawn.
    errors : sequence of RowErrors
        On the rows of the fit, and on those set apart; none where the rows are not here, as on a
        cluster: then dates alone are told.
    """
    said = [_of_dates(source, scanned)]
    if errors and scanned.table.rows <= MOST_LOOKED_AT:
        looked = Looked.of(scanned, seed, errors)
        if len(looked.first) >= _FEWEST_ROWS:
            said += [_of_neighbours(scanned, looked), _of_groups(scanned, source, spec, looked)]
    return [one for one in said if one]


def _of_dates(source: Source, scanned: Scanned) -> str:
    targets = [t.name for t in scanned.roles.targets]
    dates = [c.name for c in source.columns if c.kind in _DATES and c.name not in targets]
    if not dates:
        return ""
    return (
        f"column {dates[0]!r} holds dates, and the test rows were drawn at random among them: "
        f"--split time:{dates[0]} measures on the latest, --split random says that time does not "
        "matter"
    )


def lag_correlation(errors: Floats) -> tuple[float, float]:
    """The correlation of errors (n,) with those one row before, and its standard error where there
    is none, 1/√n; 2 (1 - r) is Durbin & Watson's statistic.

    Examples
    --------
    >>> r, se = lag_correlation(np.array([1.0, -1.0] * 50))
    >>> round(r, 2), round(float(se), 2)
    (-0.99, 0.1)
    """
    e = errors - errors.mean()
    squares = float(e @ e)
    r = float(e[1:] @ e[:-1]) / squares if squares > 0 else 0.0
    return r, 1.0 / np.sqrt(len(e))


def _of_neighbours(scanned: Scanned, looked: Looked) -> str:
    from scipy.special import ndtri

    r, se = lag_correlation(looked.errors)
    if r < max(_WORTH_SAYING, -float(ndtri(_SURE)) * se) or _sorted(scanned, looked):
        return ""
    return (
        f"errors of neighbouring rows go together (correlation {r:.2f} ± {se:.2f}), as in time; "
        "test rows were drawn among them: --split rows measures on the last ones, "
        "--split time:COL on the latest, --split random says that the order means nothing"
    )


def _sorted(scanned: Scanned, looked: Looked) -> bool:
    """Whether the rows were sorted by a target: then neighbours err alike, and nothing follows."""
    for j in range(len(scanned.roles.targets)):
        steps = np.diff(looked.column(scanned, j)[looked.first])
        if (steps >= 0).all() or (steps <= 0).all():
            return True
    return False


def _of_groups(scanned: Scanned, source: Source, spec: DataSpec, looked: Looked) -> str:
    """The column whose levels explain most of the errors."""
    found = []
    columns = _texts(scanned, looked) + _others(scanned, source, spec)
    for name, codes in columns:
        share, chance = intraclass(looked.errors, codes[looked.first])
        if share >= _WORTH_SAYING and chance * len(columns) < _SURE:
            found.append((share, name))
    if not found:
        return ""
    share, name = max(found)
    return (
        f"rows of one {name!r} err alike (intra-class correlation {share:.2f}), and the test rows "
        f"were drawn from all: --split group:{name} measures on whole groups that were not seen, "
        "--split random says that new rows are of the same ones"
    )


def intraclass(errors: Floats, codes: Floats) -> tuple[float, float]:
    """The share of the variance of errors (n,) that lies between the levels of ``codes`` (n,), and
    the chance of one as large if there were none (F of a one-way analysis of variance; Fisher
    1925, *Statistical Methods for Research Workers*, section 38).

    Examples
    --------
    >>> share, chance = intraclass(np.array([1.0, 1.1, -1.0, -1.1]), np.array([0.0, 0.0, 1.0, 1.0]))
    >>> round(share, 3), chance < 0.01
    (0.998, True)
    """
    from scipy.special import fdtrc

    known = codes >= 0
    e = errors[known]
    _, level, sizes = np.unique(codes[known], return_inverse=True, return_counts=True)
    n, count = len(e), len(sizes)
    if count < 2 or n <= count or (n < _FEWEST_A_LEVEL * count and n > 4):
        return 0.0, 1.0
    means = np.bincount(level, e) / sizes
    between = float(sizes @ (means - e.mean()) ** 2) / (count - 1)
    within = float(((e - means[level]) ** 2).sum()) / (n - count)
    typical = (n - float(sizes @ sizes) / n) / (count - 1)
    whole = between + (typical - 1.0) * within
    if not whole > 0:
        return 0.0, 1.0
    chance = float(fdtrc(count - 1, n - count, between / within)) if within > 0 else 0.0
    return (between - within) / whole, chance


Column = tuple[str, Floats]


def _texts(scanned: Scanned, looked: Looked) -> list[Column]:
    """The columns of texts, as codes in the order of the source."""
    roles = scanned.roles
    at = [j for j, c in enumerate(roles.scanned) if c.kind == "text"][:_MOST_COLUMNS]
    return [(roles.scanned[j].name, looked.column(scanned, j)) for j in at]


def _others(scanned: Scanned, source: Source, spec: DataSpec) -> list[Column]:
    """Columns that are no features, of texts or whole numbers, from another look at the source."""
    roles = scanned.roles
    here = {c.name for c in roles.scanned}
    wanted: list[SourceColumn] = [
        c for c in source.columns if c.name not in here and c.kind in ("text", "number")
    ][:_MOST_COLUMNS]
    if not wanted or spec.once or roles.complete:
        return []
    try:
        again = scan(source, replace(roles, features=tuple(wanted), beside=roles.beside))
    except HalfsquareError:
        return []  # what is wrong with a column that is not used is nobody's trouble
    if again.table.rows != scanned.table.rows:
        return []
    first = len(again.roles.scanned) - len(wanted)
    raw = np.concatenate([again.table.read(i)[first:] for i in range(len(again.table.sizes))], 1)
    return [
        (column.name, values)
        for column, values in zip(wanted, raw, strict=True)
        if column.kind == "text" or bool((values == np.floor(values)).all())
    ]
