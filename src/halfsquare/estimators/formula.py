"""The scikit-learn estimator of formulas."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.utils.validation import check_is_fitted

from halfsquare.data.rows import ArrayRows
from halfsquare.data.weighting import Weighting
from halfsquare.errors import FitError, FormulaError, OptionError
from halfsquare.estimators.rows import design_of, training_rows
from halfsquare.fitting.formula.train import train_formula
from halfsquare.loss import Floats
from halfsquare.models.formula.model import Formula
from halfsquare.models.formula.parser import read_tokens
from halfsquare.parallel.threads import Local
from halfsquare.results.coefficients import Parameter, constrained, student
from halfsquare.results.predictive import member_variance
from halfsquare.results.trained import FormulaFacts, Trained
from halfsquare.solvers.run import Run, Seed


class FormulaRegressor(RegressorMixin, BaseEstimator):  # type: ignore[misc]
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
    parameters_ : dict of str to float
    standard_errors_ : dict of str to float
        0 for a fixed parameter, infinite for one the data do not determine, NaN where no degrees of
        freedom are left.
    covariance_ : (p, p) or None
    sigma_ : float
        Residual standard deviation √(SSE / degrees of freedom), on the scale of the left side.
    n_iter_ : int
    reason_ : str
        Why the descent ended.
    warnings_ : list of str
    n_features_in_, feature_names_in_
        As in scikit-learn.

    Examples
    --------
    >>> import numpy as np
    >>> x = np.linspace(0.5, 5.0, 10)
    >>> y = 3.0 * (1.0 - np.exp(-0.8 * x))
    >>> model = FormulaRegressor("y ~ b1*(1 - exp(-b2*x))").fit(x[:, None], y)
    >>> {name: round(value, 6) for name, value in model.parameters_.items()}
    {'b1': 3.0, 'b2': 0.8}
    """

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

    def fit(self, X: Any, y: Any, sample_weight: npt.ArrayLike | None = None) -> FormulaRegressor:
        """Fit to X (n, d) and y (n,); ``sample_weight`` (n,) >= 0, a row of weight w stands w
        times.

        Raises
        ------
        FormulaError, OptionError, FitError
            (ValueErrors) As :func:`halfsquare.fitting.formula.train.train_formula`.
        """
        given = training_rows(self, X, y, sample_weight, single=True, shift=False)
        X, weight = given.x, given.weight
        model, self._columns = self._read()
        if len(X) < len(model.names):
            raise FitError(
                f"n_samples={len(X)} for {len(model.names)} parameters; a fit needs at least "
                "as many"
            )
        trained = train_formula(
            ArrayRows(np.ascontiguousarray(X[:, self._columns]), given.t, weight),
            model,
            Run(Local(self.n_jobs), seed=Seed(int(self.random_state or 0))),
            start=self.start,
            bounds=self.bounds,
            fixed=self.fixed,
        )
        trained = given.trained(trained)
        assert isinstance(trained.model, Formula)
        model = trained.model  # written with a shift, where the columns lie too far from 0
        self._trained, self._model = trained, model
        known = trained.facts.noise_known  # then there is no noise to estimate
        degrees = np.inf if known else trained.facts.degrees_of_freedom or 0.0
        self.table_ = [vars(row) for row in _coefficients(trained, degrees)]
        self.parameters_ = dict(zip(model.names, map(float, trained.parameters), strict=True))
        self.standard_errors_ = {str(row["name"]): row["standard_error"] for row in self.table_}
        self.covariance_, self.sigma_ = trained.covariance, float(np.sqrt(trained.noise[0]))
        self.n_iter_ = max(int(trained.facts.iterations), 1)
        self.reason_, self.warnings_ = str(trained.termination), trained.warnings
        return self

    def predict(self, X: Any, return_std: bool = False) -> Any:
        """Outputs (n,) in the unit of y, for X (n, d).

        With ``return_std`` also the standard deviation (n,) of a new value about it, noise and
        parameters together, on the scale of the left side.
        """
        check_is_fitted(self)
        X = design_of(self, X)
        design = np.ascontiguousarray(X[:, self._columns])
        if not return_std:
            return self._model.restore_target(
                self._model.outputs(self._trained.parameters, design)
            )[:, 0]
        outputs, variance = member_variance(self._trained, design)
        known = self.covariance_ is not None  # else no rows are left to tell the noise
        std: Floats = np.sqrt(variance[:, 0]) if known else np.full(len(design), np.nan)
        return self._model.restore_target(outputs)[:, 0], std

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.regressor_tags.poor_score = True  # a formula need not use the columns that matter
        return tags

    def _read(self) -> tuple[Formula, list[int]]:
        """The formula over the columns of X, and where these are."""
        names = list(getattr(self, "feature_names_in_", [])) or [
            f"x{j + 1}" for j in range(self.n_features_in_)
        ]
        known = dict(zip(names, range(len(names)), strict=True))
        if len(names) == 1:
            known.setdefault("x", 0)
        left = [token.text for token in read_tokens(self.formula).left if token.kind == "name"][-1:]
        if left and left[0] in known:
            raise FormulaError(
                f"the left side {left[0]!r} of {self.formula!r} is a column of X; it stands for y"
            )
        formula = Formula.read(self.formula, [*known, *left])
        for name in formula.names:
            if re.fullmatch(r"x[0-9]*", name):
                raise OptionError(
                    f"{self.formula!r} names {name!r}, but X has the columns {', '.join(names)}"
                )
        return formula, [known[name] for name in formula.columns]


def _coefficients(trained: Trained[FormulaFacts], degrees: float) -> list[Parameter]:
    """The table of a fitted formula: infinite errors where the data determine nothing."""
    names, facts = trained.model.parameter_names, trained.facts
    errors = np.full(len(names), np.nan)
    if trained.covariance is not None:
        errors = np.sqrt(np.maximum(np.diag(trained.covariance), 0.0))
    errors[[name in facts.undetermined for name in names]] = np.inf
    rows = student(names, trained.parameters, errors, degrees)
    return [constrained(row, facts.fixed, facts.on_bound) for row in rows]
