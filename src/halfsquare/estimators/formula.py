"""The scikit-learn estimator of formulas."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from halfsquare.data.weighting import Weighting
from halfsquare.errors import FitError, FormulaError, OptionError
from halfsquare.estimators.base import TableRegressor
from halfsquare.estimators.table import Given
from halfsquare.fitting.formula.family import FormulaFamily
from halfsquare.models.formula.model import Formula
from halfsquare.models.formula.tokens import read_tokens


class FormulaRegressor(TableRegressor):
    """Nonlinear least squares for a formula, with standard errors.

    Parameters
    ----------
    formula : str
        Such as ``"y ~ b1*(1 - exp(-b2*x))"``. Columns are the names of a frame's columns; those of
        an array are ``x1, x2, …``, and ``x`` where there is one. What stands for y does not matter.
    start : mapping of name to number, or sequence of numbers, optional
        Where to begin; searched for where it is left out.
    bounds : mapping of name to (low, high), optional
        None for no bound on that side.
    fixed : mapping of name to number, optional
        Parameters that are held.
    weights : {"counts", "sigma", "precision"}
        What ``sample_weight`` holds: how many times a row stands, its measured standard deviation,
        or its inverse variance up to a factor; see :mod:`halfsquare.data.weighting`.
    random_state : int
        Of the search for a start.
    n_jobs : int, optional
        Threads; one for each core if None. The result does not depend on it.

    Attributes
    ----------
    fitted_ : halfsquare.FittedModel
    parameters_ : dict of str to float
    standard_errors_ : dict of str to float
        0 for a fixed parameter, infinite for one the data do not determine, NaN where no degrees of
        freedom are left.
    table_ : list of dict
        Value, standard error, t, p and 95 % limits of each parameter.
    covariance_ : (p, p) or None
    sigma_ : float
        Residual standard deviation √(SSE / degrees of freedom), on the scale of the left side.
    n_iter_ : int
    reason_ : str
        Why the descent ended.
    warnings_ : tuple of str
    n_features_in_, feature_names_in_
        As in scikit-learn.

    Rows that lack a value in a column of the formula are left out; their outputs are NaN.

    Examples
    --------
    >>> import numpy as np
    >>> x = np.linspace(0.5, 5.0, 10)
    >>> y = 3.0 * (1.0 - np.exp(-0.8 * x))
    >>> model = FormulaRegressor("y ~ b1*(1 - exp(-b2*x))").fit(x[:, None], y)
    >>> {name: round(value, 6) for name, value in model.parameters_.items()}
    {'b1': 3.0, 'b2': 0.8}
    """

    _single, _shift = True, False

    def __init__(
        self,
        formula: str = "y ~ a + b*x1",
        *,
        start: Any = None,
        bounds: Mapping[str, tuple[float | None, float | None]] | None = None,
        fixed: Mapping[str, float] | None = None,
        weights: Weighting = "counts",
        random_state: int = 0,
        n_jobs: int | None = None,
    ) -> None:
        self.formula = formula
        self.start = start
        self.bounds = bounds
        self.fixed = fixed
        self.weights = weights
        self.random_state = random_state
        self.n_jobs = n_jobs

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.regressor_tags.poor_score = True  # a formula need not use the columns that matter
        return tags

    def _given(self, X: Any, y: Any, sample_weight: npt.ArrayLike | None) -> Given:
        """With the target called as the left side of the formula is."""
        rows = super()._given(X, y, sample_weight)
        self._names = rows.features
        table, left = self._with_x(rows.table), _left(self.formula)
        if left in table.column_names and left not in rows.targets:
            raise FormulaError(
                f"the left side {left!r} of {self.formula!r} is a column of X; it stands for y"
            )
        known = [n for n in table.column_names if n not in (*rows.targets, rows.weight)]
        formula = Formula.read(self.formula, [*known, *([left] if left else [])])
        for name in formula.names:
            if re.fullmatch(r"x[0-9]*", name):
                raise OptionError(
                    f"{self.formula!r} names {name!r}, but X has the columns "
                    f"{', '.join(rows.features)}"
                )
        if table.num_rows < len(formula.names):
            raise FitError(
                f"n_samples={table.num_rows} for {len(formula.names)} parameters; a fit needs at "
                "least as many"
            )
        called = [formula.target if n in rows.targets else n for n in table.column_names]
        return replace(rows, table=table.rename_columns(called), targets=(formula.target,))

    def _table(self, X: Any) -> Any:
        return self._with_x(super()._table(X))

    def _with_x(self, table: Any) -> Any:
        """The only column of X is called x as well."""
        if len(self._names) > 1 or "x" in table.column_names:
            return table
        return table.append_column("x", table.column(0))

    def _family(self) -> FormulaFamily:
        return FormulaFamily(
            self._options(
                "formula",
                formula=self.formula,
                start=self.start,
                bounds=self.bounds,
                fix=self.fixed,
            )
        )

    def _describe(self) -> None:
        trained, parameters = self.fitted_.members[0], self.fitted_.parameters
        self.table_ = [vars(p) for p in parameters]
        self.parameters_ = {p.name: p.value for p in parameters}
        self.standard_errors_ = {p.name: p.standard_error for p in parameters}
        self.covariance_, self.sigma_ = trained.covariance, float(np.sqrt(trained.noise[0]))
        self.n_iter_ = max(int(trained.facts.iterations), 1)
        self.reason_ = str(trained.termination)


def _left(formula: str) -> str | None:
    """The name on the left side."""
    names = [token.text for token in read_tokens(formula).left if token.kind == "name"]
    return names[-1] if names else None
