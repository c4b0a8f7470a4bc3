"""What a fitted model can be asked for, beyond predictions: it shows, judges and explains itself.

All but the tables is done by packages that are built on top of this one. They are looked up by name
when they are asked for: so no import runs back, and none is loaded by who only predicts.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from halfsquare.results.comparison import Comparison
    from halfsquare.results.ensemble import Ensemble
    from halfsquare.results.evaluate import Evaluation


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

    def compare(self, other: Ensemble, data: Any, **options: Any) -> Comparison:
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

    def _repr_html_(self) -> str:
        shown: str = _of("report.notebook").as_html(self)
        return shown


def _of(module: str) -> Any:
    return import_module(f"halfsquare.{module}")


def _rows(data: Any, options: dict[str, Any]) -> tuple[Any]:
    return (_of("data.spec").DataSpec.of(data, **options),)
