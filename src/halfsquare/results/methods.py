"""What a fitted model can be asked for, beyond predictions: it shows, judges and explains itself.

All but the tables is done by packages that are built on top of this one. They are looked up by name
when they are asked for: so no import runs back, and none is loaded by who only predicts.
"""

from __future__ import annotations

from html import escape
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from halfsquare.errors import OptionError

if TYPE_CHECKING:
    from halfsquare.results.compare import Comparison
    from halfsquare.results.evaluate import Evaluation
    from halfsquare.results.fitted import FittedModel

Frame = Literal["arrow", "pandas", "polars"]
_SHOWN = 12  # parameters in a notebook


class Text(str):
    """A text that is shown as it is, also at the end of a notebook's cell."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


class Methods:
    """The methods of :class:`halfsquare.FittedModel` that other packages carry out."""

    def summary(self) -> Text:
        """Everything that is known of the fit, as text; what ``halfsquare info`` prints.

        Examples
        --------
        >>> from halfsquare import fit
        >>> fitted = fit({"x": [1, 2, 3, 4], "y": [2, 4, 7, 8]}, "y", test_fraction=0)
        >>> fitted.summary().splitlines()[0]
        'Linear model of y, from 1 column of the data'
        """
        return Text(_of("report.summary").summary(self))

    def evaluate(self, data: Any, **options: Any) -> Evaluation:
        """Errors on every row of ``data`` that has a target.

        Options and errors: see :func:`halfsquare.results.evaluate.evaluate`.
        """
        found: Evaluation = _of("results.evaluate").evaluate(self, *_rows(data, options))
        return found

    def compare(self, other: FittedModel, data: Any, **options: Any) -> Comparison:
        """Whether this model errs less than another, by the paired difference of their squared
        errors on ``data``.

        Options and errors: see :func:`halfsquare.results.compare.compare`.
        """
        found: Comparison = _of("results.compare").compare(self, other, *_rows(data, options))
        return found

    def explain(self, data: Any, row: int | None = None, **options: Any) -> Any:
        """Which rows of ``data`` pull which parameter, or what one row says of its output.

        Parameters
        ----------
        row : int, optional
            From 1: then that row alone, a :class:`~halfsquare.explain.row.RowExplanation`;
            otherwise a :class:`~halfsquare.explain.pulls.Pulls`.
        """
        if row is not None:
            return _of("explain.row").explain_row(self, data, row, **options)
        return _of("explain.pulls").explain_pulls(self, data, **options)

    def report(
        self, data: Any, path: str | Path, *, interactive: bool = False, **options: Any
    ) -> Path:
        """Write the report on the rows of ``data``: a page that stands alone; ``interactive``: with
        sliders that predict in the page itself.

        Raises
        ------
        OptionError
            If the extra ``page`` is not installed, or the page cannot predict as this model does
            in less than 1 MB.
        OutputError
            If the file cannot be written.
        """
        rows = _of("data.spec").DataSpec.of(data, **options)
        written: Path = _of("report.html").write_report(self, rows, path, interactive=interactive)
        return written

    def plot(self, what: str = "history", data: Any = None) -> Any:
        """A figure, as an Altair chart.

        Parameters
        ----------
        what : str
            ``"history"``: the loss over the steps; ``"errors"``: how the errors on ``data`` are
            distributed; ``"residuals"``, ``"normal"``, ``"scale"``, ``"influence"``: the
            diagnostics of a linear fit on ``data``; otherwise a column: with ``data`` the mean
            output over its rows as that column alone varies (partial dependence), without them the
            output with all other columns at their mean; with the band of new targets.

        Raises
        ------
        OptionError
            If there is nothing to draw, and why.
        """
        return _of("report.plots").plot(self, what, data)

    def parameters_frame(self, kind: Frame = "arrow") -> Any:
        """The parameters with their standard errors, t, p and 95 % limits, a row each.

        Parameters
        ----------
        kind : {"arrow", "pandas", "polars"}
        """
        parameters: Any = getattr(self, "parameters")  # noqa: B009 - of the class that mixes this in
        return _frame([vars(p) for p in parameters], kind)

    def history_frame(self, kind: Frame = "arrow") -> Any:
        """The history of the descent, a row for each step that was kept; empty where the answer was
        found at once.

        Parameters
        ----------
        kind : {"arrow", "pandas", "polars"}
        """
        info: Any = getattr(self, "info")  # noqa: B009
        return _frame(list(info.get("history") or []), kind)

    def _repr_html_(self) -> str:
        shown = _of("text").visible
        first = _of("report.first_screen").first_screen(self)
        said = "".join(
            f"<div>{escape(shown(line)) or '&nbsp;'}</div>" for line in first.split("\n")
        )
        kind: Any = getattr(self, "kind")  # noqa: B009
        if kind == "network":
            return said
        parameters: Any = getattr(self, "parameters")  # noqa: B009
        number = _of("text").number
        rows = "".join(
            f"<tr><th scope='row'>{escape(shown(p.name))}</th><td>{number(p.value, 6)}</td>"
            f"<td>{number(p.standard_error, 4)}</td><td>{number(p.t, 4)}</td></tr>"
            for p in parameters[:_SHOWN]
        )
        more = len(parameters) - _SHOWN
        below = f"<div>… and {more:,} more</div>" if more > 0 else ""
        head = "<tr><th></th><th>value</th><th>std. error</th><th>t</th></tr>"
        return f"{said}<table><thead>{head}</thead><tbody>{rows}</tbody></table>{below}"


def _of(module: str) -> Any:
    return import_module(f"halfsquare.{module}")


def _rows(data: Any, options: dict[str, Any]) -> tuple[Any]:
    return (_of("data.spec").DataSpec.of(data, **options),)


def _frame(rows: list[dict[str, Any]], kind: str) -> Any:
    import pyarrow

    names = dict.fromkeys(name for row in rows for name in row)
    table = pyarrow.table({name: [row.get(name) for row in rows] for name in names})
    if kind == "arrow":
        return table
    if kind == "pandas":
        return table.to_pandas()
    if kind == "polars":
        return import_module("polars").from_arrow(table)
    raise OptionError(f"the kind of table is {kind!r}; expected arrow, pandas or polars")
