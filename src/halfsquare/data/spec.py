"""One record for "these rows": where they are, how they are read, and which column weighs them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from difflib import get_close_matches
from typing import Any, TypedDict, Unpack

from halfsquare.data.weighting import Weighting
from halfsquare.errors import OptionError

Progress = Callable[[int], None]


class ReadOptions(TypedDict, total=False):
    """What can be said of how rows are read; the fields of :class:`DataSpec` of the same names."""

    table: str | None
    sheet: str | None
    partitions: bool
    encoding: str | None
    delimiter: str | None
    header: bool | None
    skip: int | None
    comment: str | None
    missing: Sequence[str]
    decimal: str | None
    thousands: str | None
    dates: str | None
    number: Sequence[str]
    category: Sequence[str]
    text: Sequence[str]


class RowOptions(ReadOptions, total=False):
    """The same, with the weights and who is told of the progress."""

    weights: str | None
    sigma: str | None
    precision: str | None
    progress: Progress | None


_LISTS = ("missing", "number", "category", "text", "known")


@dataclass(frozen=True)
class DataSpec:
    """Rows: whatever ``fit``, ``evaluate``, ``predict``, ``explain`` and ``report`` are given.

    Attributes
    ----------
    data : path, SQL query, "-", array or frame
        See :func:`halfsquare.data.deciding.open_source`.
    weights : str or None
        Column of row weights >= 0: a row of weight w stands w times.
    sigma : str or None
        Column of measured standard deviations of the target, in its unit, instead of weights: rows
        count by 1/σ², and standard errors follow from σ alone.
    precision : str or None
        Column of inverse variances, up to a factor, instead of weights: n - p degrees of freedom.
        See :mod:`halfsquare.data.weighting`.
    progress : callable(int) or None
        Called with the rows read so far.
    table, sheet : str or None
        Of a database file; of a spreadsheet.
    partitions : bool
        Whether names of folders such as x=5 are values of columns.
    encoding : str or None
        Of text files, if not UTF-8: any that Python names.
    delimiter : str or None
        Of the fields of text files; found if left out, as are the next two.
    header : bool or None
        Whether they begin with a line of names; without, the columns are x1, x2, ….
    skip : int or None
        Lines (of a spreadsheet rows) before the header.
    comment : str or None
        What a line that is passed over begins with.
    missing : tuple of str
        Words for "no value", besides the usual ones of text files.
    decimal, thousands : str or None
        The marks in numbers that are written as text.
    dates : str or None
        How dates are written: dmy, mdy or ymd, or a format such as dd/mm/yyyy or %d/%m/%Y.
    number : tuple of str
        Columns of numbers; whatever is none in them is missing.
    category, text : tuple of str
        Columns to read as levels, or as text, whatever they look like.
    known : tuple of str
        Names that the columns are known to have; a header line is told by them.

    Examples
    --------
    >>> rows = DataSpec.of("houses.csv", weights="n", category=["zip"])
    >>> rows.category, DataSpec.of(rows).weights, DataSpec.of(rows, weights=None).weights
    (('zip',), 'n', None)
    """

    data: Any
    weights: str | None = None
    sigma: str | None = None
    precision: str | None = None
    progress: Progress | None = None
    table: str | None = None
    sheet: str | None = None
    partitions: bool = False
    encoding: str | None = None
    delimiter: str | None = None
    header: bool | None = None
    skip: int | None = None
    comment: str | None = None
    missing: tuple[str, ...] = ()
    decimal: str | None = None
    thousands: str | None = None
    dates: str | None = None
    number: tuple[str, ...] = ()
    category: tuple[str, ...] = ()
    text: tuple[str, ...] = ()
    known: tuple[str, ...] = ()

    @classmethod
    def of(cls, data: Any, **options: Unpack[RowOptions]) -> DataSpec:
        """Rows by themselves, or a record of them, with these options in place of its own."""
        require_known(options)
        listed: dict[str, Any] = {
            name: _listed(value) if name in _LISTS else value for name, value in options.items()
        }
        return replace(data if isinstance(data, DataSpec) else cls(data), **listed)

    def __post_init__(self) -> None:
        for name in ("weights", "sigma", "precision"):
            if not isinstance(value := getattr(self, name), str | None):
                raise OptionError(
                    f"{name} is {type(value).__name__}; expected the name of a column: values of "
                    "their own are one more column of the data"
                )
        given = [n for n in ("weights", "sigma", "precision") if getattr(self, n) is not None]
        if len(given) > 1:
            raise OptionError(
                f"{' and '.join(given)} are given together; a row has one weight: name one of them"
            )

    @property
    def weighting(self) -> Weighting:
        """What the column of weights says of its rows."""
        return "sigma" if self.sigma else "precision" if self.precision else "counts"

    @property
    def weight_column(self) -> str | None:
        """The column that weighs the rows, whatever it says of them."""
        return self.sigma or self.precision or self.weights

    @property
    def once(self) -> bool:
        """Whether the rows can be read once only: those of a pipe."""
        return isinstance(self.data, str) and self.data == "-"

    def told(self, rows: int) -> None:
        """Tell who wants to know how many rows have been read."""
        if self.progress is not None:
            self.progress(rows)


def _listed(value: Any) -> tuple[str, ...]:
    """Names given as a sequence, or one by itself."""
    return (value,) if isinstance(value, str) else tuple(value or ())


def require_known(options: Mapping[str, Any], others: Collection[str] = ()) -> None:
    """Refuse options that are none of :class:`DataSpec`; ``others`` are those of the caller, of
    which one may be meant.

    Raises
    ------
    OptionError
        Naming the nearest.
    """
    own = [each.name for each in fields(DataSpec) if each.name != "data"]
    for name in options:
        if name not in own:
            near = get_close_matches(name, [*others, *own], n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"expected one of {', '.join(own)}"
            raise OptionError(f"there is no option {name!r}; {hint}")
