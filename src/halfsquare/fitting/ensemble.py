"""What members trained apart come to together: which to keep, where to stop, how much noise is
left.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from halfsquare.fitting.judgement import Judgement
from halfsquare.fitting.member import MemberFit
from halfsquare.results.trained import NetworkFacts, Trained
from halfsquare.sums import MeanSums


def better(pilots: list[MemberFit], methods: list[str]) -> tuple[list[MemberFit], list[str]]:
    """Of members trained by different methods, those not clearly worse on the rows they left out;
    and their methods.
    """
    losses = {fit.trainer.name: fit.stops[0].held_out for fit in pilots}
    if len(pilots) < 2 or any(held is None for held in losses.values()):
        return pilots, methods
    means = {
        name: MeanSums.of((held.error**2).mean(axis=1), held.weight)
        for name, held in losses.items()
        if held is not None
    }
    ordered = sorted(means, key=lambda name: means[name].mean)
    best, other = (means[name] for name in ordered)
    if not other.mean - best.mean > np.hypot(best.standard_error, other.standard_error):
        return pilots, methods
    return [fit for fit in pilots if fit.trainer.name == ordered[0]], ordered[:1]


def stopping_point(fits: list[MemberFit], row_count: int) -> tuple[int, Judgement | None]:
    """Which of their stopping points is best for the average of all, by the rows left out; how good
    it is there.
    """
    judged = {}
    for at in range(max(len(fit.stops) for fit in fits)):
        held = [fit.stops[min(at, len(fit.stops) - 1)].held_out for fit in fits]
        judgement = Judgement.of([errors for errors in held if errors is not None], row_count)
        if judgement is not None:
            judged[at] = judgement
    if not judged:  # nothing was left out: what the evidence says is the best there is
        return max(len(fit.stops) for fit in fits) - 1, None
    at = min(judged, key=lambda at: float(judged[at].ensemble.sum()))
    return at, judged[at]


def with_noise(
    ensemble: list[Trained[NetworkFacts]], judgement: Judgement | None
) -> list[Trained[NetworkFacts]]:
    """The members with the noise, and if need be the covariance, that make the ensemble's variance
    right.
    """
    if judgement is None:
        return ensemble
    mse = np.maximum(judgement.ensemble, 0.1 * judgement.single) + judgement.between / len(ensemble)
    noise = np.maximum(mse - judgement.between - judgement.parameters, 0.5 * mse)
    # Where spread and parameters alone explain more than there is, the parameters are surer than
    # they claim.
    room = float(
        np.mean((mse - noise - judgement.between) / np.maximum(judgement.parameters, 1e-300))
    )
    share = min(max(room, 0.0), 1.0)
    held_out, left_out = judgement.held_out(len(ensemble)), judgement.by_row
    return [
        replace(
            m,
            noise=noise,
            covariance=None if m.covariance is None else share * m.covariance,
            held_out=held_out,
            left_out=left_out,
            facts=replace(
                m.facts,
                held_out_mse=float(judgement.single.mean()),
                held_out_ensemble_mse=float(mse.mean()),
                held_out_rows=judgement.rows,
                covariance_share=share,
            ),
        )
        for m in ensemble
    ]
