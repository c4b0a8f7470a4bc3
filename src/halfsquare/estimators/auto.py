"""The automatic choice behind scikit-learn's interface."""

from __future__ import annotations

from typing import Any, Literal

from sklearn.base import MultiOutputMixin

from halfsquare.data.weighting import Weighting
from halfsquare.estimators.base import TableRegressor
from halfsquare.fitting.auto import AutoFamily


class AutoRegressor(MultiOutputMixin, TableRegressor):  # type: ignore[misc]
    """A linear model, trees and networks, blended by their errors on rows that they had not seen.

    The choice is that of ``halfsquare fit --model auto``; see :mod:`halfsquare.fitting.auto`.

    Parameters
    ----------
    prefer : {"accurate", "simple"}
        The blend, or the simplest single model that is not significantly worse.
    weights : {"counts", "sigma", "precision"}
        What ``sample_weight`` holds; see :mod:`halfsquare.data.weighting`.
    time_limit : float, optional
        Seconds.
    random_state : int
    n_jobs : int, optional
        Threads; one a core if None.

    Attributes
    ----------
    fitted_ : halfsquare.FittedModel
    chosen_ : str
        ``"linear"``, ``"network"``, ``"trees"``, or what is blended, as ``"network + trees"``.
    tried_ : list of dict
        What was tried, with its MSE ± standard error on rows it had not seen.
    n_features_in_, feature_names_in_
        As in scikit-learn.

    Examples
    --------
    >>> import numpy as np
    >>> X = np.arange(10.0)[:, None]
    >>> AutoRegressor().fit(X, 2 * X[:, 0] + 1).predict([[20.0]]).round(6).tolist()
    [41.0]
    """

    def __init__(
        self,
        *,
        prefer: Literal["accurate", "simple"] = "accurate",
        weights: Weighting = "counts",
        time_limit: float | None = None,
        random_state: int = 0,
        n_jobs: int | None = None,
    ) -> None:
        self.prefer = prefer
        self.weights = weights
        self.time_limit = time_limit
        self.random_state = random_state
        self.n_jobs = n_jobs

    def _family(self) -> AutoFamily:
        return AutoFamily(self._options("auto", prefer=self.prefer))

    def _describe(self) -> None:
        info: dict[str, Any] = self.fitted_.info
        self.chosen_, self.tried_ = info["chosen"], info["tried"]
