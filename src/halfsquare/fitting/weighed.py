"""What weights that are no counts change of a fitted model: the noise, and what is said of it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from halfsquare.data.encoded_rows import DesignRows
from halfsquare.data.rows import Rows
from halfsquare.data.weighting import Weighting, counts_warning
from halfsquare.loss import Floats
from halfsquare.results.record import Weighed
from halfsquare.results.trained import Trained


def weight_warnings(rows: DesignRows) -> list[str]:
    """Warnings of weights that are taken as counts and are none."""
    if rows.weighed is None or rows.weighed[1] != "counts":
        return []
    said = counts_warning(
        rows.weighed[0],
        rows.row_count,
        rows.total_weight,
        whole=rows.whole_weights,
        relative=rows.relative,
    )
    return [said] if said else []


def weighed_by(rows: DesignRows) -> Weighed | None:
    """The record for these rows; None where they have no weights or these are counts."""
    if rows.weighed is None or rows.weighed[1] == "counts":
        return None
    return Weighed(*rows.weighed, rows.weight_factor)


def log_weight_of(rows: Rows, weighed: tuple[str, Weighting] | None) -> float | None:
    """Σ log w of rows whose weights are no counts; None where these are, or do not sum to the
    number of rows of positive weight.
    """
    if weighed is None or weighed[1] == "counts":
        return None
    count, total, logs = 0, 0.0, 0.0
    for index in range(rows.chunk_count):
        weight = rows.chunk(index).weight
        if weight is None:
            return None
        own = weight[weight > 0]
        count, total = count + len(own), total + float(own.sum())
        logs += float(np.log(own).sum())
    return logs if abs(total - count) <= 1e-9 * count else None


def with_known_noise(trained: Trained[Any], known: Floats) -> Trained[Any]:
    """The model with the noise that was measured in place of the one that its errors show.

    ``known`` (k,) is the variance of a row of weight 1 in the model's units: with w = f/σ² the
    weights used, that is f. χ² = Σ (o-t)²/σ² is
    compared with n - p degrees of freedom, and its p is the probability of one as large: small
    where the errors are larger than σ says, near 1 where they are smaller.
    """
    from scipy.special import chdtrc

    freedom = trained.facts.degrees_of_freedom
    facts = replace(trained.facts, noise_known=True)
    if freedom is not None and freedom > 0 and np.isfinite(trained.noise).all():
        chi2 = float(np.sum(freedom * trained.noise / known))
        facts = replace(facts, chi2=chi2, chi2_p=float(chdtrc(freedom * len(known), chi2)))
    covariance = trained.covariance
    if covariance is not None:
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = np.where(trained.noise > 0, known / trained.noise, np.nan)
        k = len(known)
        size = len(covariance)
        if size % k == 0 and k > 1:
            root = np.sqrt(np.tile(ratio, size // k))
            covariance = covariance * np.outer(root, root)
        else:
            covariance = covariance * float(ratio[0])
    # A root is there for one output alone.
    root = None if trained.root is None else trained.root * np.sqrt(known / trained.noise)[0]
    return replace(trained, covariance=covariance, noise=known, facts=facts, root=root)
