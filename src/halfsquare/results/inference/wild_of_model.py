"""The wild cluster bootstrap of a fitted model, from the sums of its clusters that it keeps."""

from __future__ import annotations

from dataclasses import replace
from typing import cast

import numpy as np

from halfsquare.errors import OptionError
from halfsquare.models.linear import Linear
from halfsquare.results.fitted import FittedModel
from halfsquare.results.inference.cluster_sums import MOST_NUMBERS, ClusterSums
from halfsquare.results.inference.of_model import inference_of
from halfsquare.results.inference.wald import parse_hypothesis
from halfsquare.results.inference.wild import WildBootstrap, wild_cluster
from halfsquare.results.trained import LinearFacts


def wild_bootstrap(
    fitted: FittedModel,
    hypothesis: str,
    *,
    draws: int = 9999,
    weights: str = "rademacher",
    seed: int = 0,
) -> WildBootstrap:
    """Test a hypothesis on one coefficient of a model with errors ``cluster:COL``. Its ``t`` is the
    table's, with the small-sample factor of the model's standard error.

    Parameters
    ----------
    hypothesis : str
        ``x`` or ``x = 0.5``, as :func:`.wald.parse_hypothesis` reads it.
    draws, weights, seed
        As of :func:`.wild.wild_cluster`.

    Raises
    ------
    OptionError
        If the model keeps no sums of clusters, or the hypothesis is on more than one coefficient,
        or on the intercept.
    """
    fit = inference_of(fitted)
    sums = _sums_of(fitted)
    rows, values = parse_hypothesis(hypothesis, fit)
    named = np.flatnonzero(rows.any(axis=0))
    if len(rows) != 1 or len(named) != 1:
        raise OptionError(
            f"the wild bootstrap is of one coefficient, and {hypothesis!r} names "
            f"{', '.join(fit.names[j] for j in named)}"
        )
    at = int(named[0])
    first = 1 if fit.intercept else 0
    if at < first:
        raise OptionError("the wild bootstrap is of slopes; the intercept is none")
    null = float(values[0] / rows[0, at]) + 0.0  # no -0
    scale = fitted.encoder.scales[at - first] / fitted.encoder.target_scales[0]
    # In the units of the design, from the estimate: the products of its errors are known.
    found = wild_cluster(
        *sums.whole(),
        at,
        null=float((null - fit.values[at]) * scale),
        draws=draws,
        seed=seed,
        weights=weights,
    )
    # The table's t. The small-sample factor of its error is the same in every draw: p needs none.
    t = float((fit.values[at] - null) / np.sqrt(fit.covariance[at, at]))
    return replace(found, t=t, coefficient=fit.names[at], null=null)


def _sums_of(fitted: FittedModel) -> ClusterSums:
    facts = fitted.facts
    assert isinstance(facts, LinearFacts)
    if facts.cluster_sums is not None:
        return facts.cluster_sums
    kind = facts.errors or "classical"
    if facts.absorbed:
        why = (
            "its effects are absorbed, and turned errors have others: give the effects columns "
            "of their own, as C(x)"
        )
    elif not kind.startswith("cluster"):
        why = f"its errors are {kind}: fit it with --errors cluster:COL"
    elif "," in kind:
        why = "its clusters are of two columns: name one"
    else:
        names = len(cast(Linear, fitted.members[0].model).parameter_names)
        why = (
            f"sums of its clusters are kept up to {MOST_NUMBERS:,} numbers, and with {names} "
            "coefficients these are more. So many clusters need no bootstrap"
        )
    raise OptionError(f"this model keeps nothing for a wild cluster bootstrap: {why}")
