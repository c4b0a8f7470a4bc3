"""Boosted trees behind scikit-learn's interface."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from sklearn.base import MultiOutputMixin
from sklearn.utils.validation import check_is_fitted

from halfsquare.data.weighting import Weighting
from halfsquare.errors import OptionError
from halfsquare.estimators.base import TableRegressor
from halfsquare.fitting.family import Family
from halfsquare.fitting.options import sign_of
from halfsquare.fitting.tree_relevance import column_contributions
from halfsquare.fitting.trees import TreesFamily
from halfsquare.loss import Floats


class TreesRegressor(MultiOutputMixin, TableRegressor):  # type: ignore[misc]
    """Boosted trees with nothing to tune, each member stopped by rows it had not seen.

    A missing value is as good as a number, and a category is split as a whole. See
    :mod:`halfsquare.fitting.trees`.

    Parameters
    ----------
    monotone : mapping of column name or number to 1 or -1 (or "+", "-"), or sequence of d of 1, -1,
        0, optional
        Columns with which the output must not fall (1), or not rise (-1).
    members : int, optional
        Of the two ensembles together; by default 10, or 6 where rows are many.
    rounds : int, optional
        Trees of a member, at most.
    target_transform : {"none", "log", "sqrt", "yeo-johnson", "auto"}
        What is fitted in place of y; outputs are means of y. See :func:`halfsquare.fit`.
    weights : {"counts", "sigma", "precision"}
        What ``sample_weight`` holds; see :mod:`halfsquare.data.weighting`.
    time_limit : float, optional
        Seconds after which no round is begun.
    random_state : int
        Fixes folds and trees; the result does not depend on the number of threads.
    n_jobs : int, optional
        Threads; one a core if None.

    Attributes
    ----------
    fitted_ : halfsquare.FittedModel
    members_ : list of Trained
        With their shares.
    ensembles_ : dict of str to float
        The weight of each ensemble.
    left_out_mse_, left_out_mse_se_ : float
        MSE on rows that the members had not seen, and its standard error, in the squared unit of y
        (of several columns of y, over their variances; of what is fitted, where y is transformed).
    relevance_ : (d,)
        The share of each column in what moves the output.
    n_iter_ : int
        Trees of the largest member.
    n_features_in_, feature_names_in_
        As in scikit-learn.

    Examples
    --------
    >>> X = np.arange(60.0)[:, None]
    >>> model = TreesRegressor(members=4).fit(X, np.where(X[:, 0] < 30, 1.0, 5.0))
    >>> model.predict([[3.0], [50.0]]).round(1).tolist()
    [1.2, 4.8]
    """

    _fewest = 2

    def __init__(
        self,
        *,
        monotone: Mapping[Any, int | str] | Sequence[int | str] | None = None,
        members: int | None = None,
        rounds: int | None = None,
        target_transform: str = "none",
        weights: Weighting = "counts",
        time_limit: float | None = None,
        random_state: int = 0,
        n_jobs: int | None = None,
    ) -> None:
        self.monotone = monotone
        self.members = members
        self.rounds = rounds
        self.target_transform = target_transform
        self.weights = weights
        self.time_limit = time_limit
        self.random_state = random_state
        self.n_jobs = n_jobs

    def contributions(self, X: Any) -> tuple[Any, Any]:
        """What adds up to the outputs: a constant (k,), and of each column of X (n, k, d).

        See :meth:`halfsquare.models.trees.Trees.contributions`; for y of one dimension a float and
        (n, d).
        """
        check_is_fitted(self)
        encoder = self.fitted_.encoder
        if encoder.target_transform is not None:
            raise OptionError("the mean of a transformed target is no sum of contributions")
        designs = self._designs(X)
        found = [column_contributions(self.fitted_.members, encoder, d) for d in designs]
        parts = np.concatenate([part for _, part in found])
        added: Floats = np.zeros((*parts.shape[:2], len(self._names)))
        places = {name: j for j, name in enumerate(self._names)}
        added[:, :, [places[column] for column, _, _ in encoder.groups]] = parts
        constant = found[0][0]
        return (float(constant[0]), added[:, 0]) if self._flat else (constant, added)

    def _family(self) -> Family:
        options = self._options("trees", monotone=self._signs(list(self._names)))
        return self._of_transform(TreesFamily(options, self.members, self.rounds))

    def _describe(self) -> None:
        training = self.fitted_.record.training
        self.members_ = list(self.fitted_.members)
        self.ensembles_ = {e.model: e.weight for e in training.ensembles if e.weight}
        nan = float("nan")
        mse, se = training.left_out_mse, training.left_out_mse_se
        self.left_out_mse_ = nan if mse is None else mse
        self.left_out_mse_se_ = nan if se is None else se
        self.relevance_ = self._by_column(training.relevance)
        self.n_iter_ = max(1, *(max(m.facts.trees) for m in self.members_))

    def _signs(self, names: Sequence[str]) -> dict[str, int]:
        if self.monotone is None:
            return {}
        if isinstance(self.monotone, Mapping):
            pairs = list(self.monotone.items())
        else:
            if len(self.monotone) != len(names):
                raise OptionError(
                    f"monotone has {len(self.monotone)} signs; expected one for each of the "
                    f"{len(names)} columns"
                )
            pairs = list(enumerate(self.monotone))
        found = {}
        for key, sign in pairs:
            whole = isinstance(key, int | np.integer)
            if whole and not -len(names) <= key < len(names):
                raise OptionError(f"monotone names column {key}; there are {len(names)}")
            found[names[key] if whole else str(key)] = sign_of(key, sign)
        return {name: sign for name, sign in found.items() if sign}
