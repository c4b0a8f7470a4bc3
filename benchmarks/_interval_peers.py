"""Peers that state intervals, each as a function from rows of a fit to ends for new rows.

Defaults of the libraries where they have any: boosted trees of 300 rounds or the library's own,
nothing tuned. What is calibrated on rows of its own takes a fifth of those of the fit.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

Ends = tuple[Any, Any]
Peer = Callable[[Any, Any, Any, float, int], Ends]  # design, target, new design, level, seed


def constant(x: Any, t: Any, new: Any, level: float, seed: int) -> Ends:
    """A band of one width about scikit-learn's boosted trees, by ten folds (jackknife+-like)."""
    from sklearn.ensemble import HistGradientBoostingRegressor
    from sklearn.model_selection import cross_val_predict

    model = HistGradientBoostingRegressor(random_state=seed)
    errors = np.abs(cross_val_predict(model, x, t, cv=10) - t)
    at = min(np.ceil(level * (len(t) + 1)) / len(t), 1.0)
    output, reach = model.fit(x, t).predict(new), np.quantile(errors, at, method="higher")
    return output - reach, output + reach


def quantile_boosting(x: Any, t: Any, new: Any, level: float, seed: int) -> Ends:
    """scikit-learn's quantile boosting, both ends by themselves."""
    from sklearn.ensemble import HistGradientBoostingRegressor

    ends = [
        HistGradientBoostingRegressor(loss="quantile", quantile=q, random_state=seed)
        .fit(x, t)
        .predict(new)
        for q in (0.5 - level / 2, 0.5 + level / 2)
    ]
    return np.minimum(*ends), np.maximum(*ends)


def mapie_cross(x: Any, t: Any, new: Any, level: float, seed: int) -> Ends:
    """MAPIE's CV+ about boosted trees."""
    from mapie.regression import CrossConformalRegressor
    from sklearn.ensemble import HistGradientBoostingRegressor

    model = CrossConformalRegressor(
        HistGradientBoostingRegressor(random_state=seed),
        confidence_level=level,
        cv=10,
        random_state=seed,
    )
    _, ends = model.fit_conformalize(x, t).predict_interval(new)
    return ends[:, 0, 0], ends[:, 1, 0]


def mapie_cqr(x: Any, t: Any, new: Any, level: float, seed: int) -> Ends:
    """MAPIE's conformalized quantile regression about quantile boosting."""
    from mapie.regression import ConformalizedQuantileRegressor
    from sklearn.ensemble import HistGradientBoostingRegressor

    order = np.random.default_rng(seed).permutation(len(t))
    own, aside = order[len(t) // 5 :], order[: len(t) // 5]
    model = ConformalizedQuantileRegressor(
        HistGradientBoostingRegressor(loss="quantile", quantile=0.5, random_state=seed),
        confidence_level=level,
    )
    model.fit(x[own], t[own]).conformalize(x[aside], t[aside])
    _, ends = model.predict_interval(new)
    return ends[:, 0, 0], ends[:, 1, 0]


def catboost(x: Any, t: Any, new: Any, level: float, seed: int) -> Ends:
    """CatBoost's own uncertainty: mean and variance by likelihood, an ensemble of ten from one."""
    from catboost import CatBoostRegressor
    from scipy.stats import norm

    model = CatBoostRegressor(
        loss_function="RMSEWithUncertainty",
        posterior_sampling=True,
        random_seed=seed,
        verbose=False,
        thread_count=1,
        allow_writing_files=False,
    )
    model.fit(x, t)
    found = model.virtual_ensembles_predict(
        new, prediction_type="TotalUncertainty", virtual_ensembles_count=10
    )
    reach = norm.ppf(0.5 + level / 2) * np.sqrt(np.maximum(found[:, 1] + found[:, 2], 0.0))
    return found[:, 0] - reach, found[:, 0] + reach


def ngboost(x: Any, t: Any, new: Any, level: float, seed: int) -> Ends:
    """NGBoost's normal distribution."""
    from ngboost import NGBRegressor

    model = NGBRegressor(verbose=False, random_state=seed, n_estimators=300).fit(x, t)
    found = model.pred_dist(new)
    return found.ppf(0.5 - level / 2), found.ppf(0.5 + level / 2)


PEERS: dict[str, Peer] = {
    "constant": constant,
    "quantile": quantile_boosting,
    "mapie-cross": mapie_cross,
    "mapie-cqr": mapie_cqr,
    "catboost": catboost,
    "ngboost": ngboost,
}
