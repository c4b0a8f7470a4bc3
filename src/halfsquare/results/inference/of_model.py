"""What a fitted linear model says beyond its coefficients: the record that tests are read off."""

from __future__ import annotations

from typing import cast

import numpy as np
from scipy.linalg import solve_triangular

from halfsquare.errors import OptionError
from halfsquare.loss import Floats
from halfsquare.models.linear import Linear
from halfsquare.models.terms.encoder import TermsEncoder
from halfsquare.results.fitted import FittedModel
from halfsquare.results.inference.linear import LinearInference, Span, triangle_in_units
from halfsquare.results.trained import InferenceFacts, LinearFacts


def inference_of(fitted: FittedModel, output: int = 0, *, as_read: bool = False) -> LinearInference:
    """The coefficients of one target with their covariance, in the units of the columns.

    ``as_read``: of columns less what was taken off whole numbers beyond 2⁵³, as the design has
    them.

    Raises
    ------
    OptionError
        If the model is not linear, has a penalty, or leaves no degrees of freedom.
    """
    if fitted.encoder.target_transform is not None:
        raise OptionError(
            "tests and effects are of the target as it is; of another scale, write it as the left "
            "side of a formula, as in log(y) ~ x"
        )
    member = fitted.members[0]
    model, facts = member.model, fitted.facts
    if not isinstance(model, Linear) or not isinstance(facts, LinearFacts):
        raise OptionError(
            f"a {fitted.kind} model has no terms to test; tests and effects are of linear models"
        )
    if facts.l2:
        raise OptionError("this model has a penalty: tests and effects are of least squares alone")
    if member.covariance is None or not (facts.degrees_of_freedom or 0.0) > 0:
        raise OptionError("the rows of the fit leave no degrees of freedom: nothing can be tested")
    names = model.names[: len(model.names) - model.held]
    if facts.rank < len(names):
        raise OptionError(
            "some columns of this model are determined by others, so its coefficients are no "
            "estimates of their own; fit it with a formula, which leaves such columns out"
        )
    k = len(model.targets)
    encoder, unit = fitted.encoder, float(fitted.encoder.target_scales[output])
    d = len(names)
    told = member.told
    assert told is not None
    with np.errstate(all="ignore"):
        means = encoder.means if as_read else encoder.user_means
        back = _back(means[:d], encoder.scales[:d], unit)
        covariance = back @ told[output::k, output::k][: d + 1, : d + 1] @ back.T
        values = back @ model.matrix(member.parameters)[: d + 1, output]
        values[0] += encoder.target_means[output]
        triangle = _triangle(fitted, facts, model, output)
    if not (np.isfinite(covariance).all() and np.isfinite(triangle).all()):
        raise OptionError(
            "the coefficients of this model, in the units of its columns, leave the range of "
            "float64: scale the columns and fit again"
        )
    first = 0 if model.intercept else 1
    freedom = float(facts.degrees_of_freedom or 0.0)
    tested = freedom if facts.test_degrees_of_freedom is None else facts.test_degrees_of_freedom
    rank = d + model.intercept
    weighed = fitted.record.training.weighed
    return LinearInference(
        ("intercept", *names)[first:],
        values[first:],
        covariance[first:, first:],
        np.inf if facts.noise_known and facts.errors is None else tested,
        triangle,
        freedom + rank + float(facts.absorbed_degrees_of_freedom),
        _spans(fitted, model),
        model.intercept,
        float(facts.absorbed_degrees_of_freedom),
        facts.errors or "classical",
        facts.errors_correction or "n - p",
        facts.errors_facts or {},
        0.0 if weighed is None else np.nan if facts.log_weight is None else facts.log_weight,
        weighed.factor if weighed is not None and facts.noise_known else None,
    )


def _back(means: Floats, scales: Floats, unit: float) -> Floats:
    """From coefficients of standardized columns and target to those of the columns, (p, p)."""
    back = np.diag(np.concatenate([[1.0], 1.0 / scales]))
    back[0, 1:] = -means / scales
    return cast(Floats, back * unit)


def _spans(fitted: FittedModel, model: Linear) -> tuple[Span, ...]:
    shift = 1 if model.intercept else 0
    stop = len(model.names) - model.held
    spans = [(name, a + shift, b + shift) for name, a, b in fitted.encoder.groups if b <= stop]
    return tuple([("intercept", 0, 1), *spans] if model.intercept else spans)


def _triangle(fitted: FittedModel, facts: LinearFacts, model: Linear, output: int) -> Floats:
    """R of [X | t] in the units of the columns."""
    encoder, member = fitted.encoder, fitted.members[0]
    if member.triangle is not None:
        p = len(member.triangle) - 1 - model.held
        at = np.array([*range(0 if model.intercept else 1, p), len(member.triangle) - 1])
        standard = member.triangle[np.ix_(at, at)]
        target = facts.shift, 1.0
    else:
        # From the inverse: (AᵀWA)⁻¹ = HHᵀ with H upper, so that R = H⁻¹; then R b, and √SSE.
        assert member.covariance is not None
        k, noise = len(model.targets), float(member.noise[output])
        inverse = member.covariance[output::k, output::k] / noise
        half = np.linalg.cholesky(inverse[::-1, ::-1])[::-1, ::-1]
        r = solve_triangular(half, np.eye(len(half)))
        p = len(r)
        standard = np.zeros((p + 1, p + 1))
        standard[:p, :p] = r
        standard[:p, p] = r @ model.matrix(member.parameters)[:, output]
        if facts.noise_known and (k > 1 or facts.chi2 is None):
            raise OptionError(
                "with sigma, tests and effects are of a model of one target: fit each by itself"
            )
        known = facts.chi2 if facts.noise_known else facts.degrees_of_freedom
        standard[p, p] = np.sqrt(noise * float(known or 0.0))
        target = float(encoder.target_means[output]), float(encoder.target_scales[output])
    d = len(model.names) - model.held
    means = np.append(encoder.user_means[:d], target[0])
    scales = np.append(encoder.scales[:d], target[1])
    return triangle_in_units(standard, means, scales, model.intercept)


def terms_of(fitted: FittedModel) -> TermsEncoder:
    """The encoder of a model of terms.

    Raises
    ------
    OptionError
        If the model was fitted without a formula.
    """
    if not isinstance(fitted.encoder, TermsEncoder):
        raise OptionError(
            "marginal means and effects are of a model of terms: fit it with --model linear and "
            "--formula"
        )
    return fitted.encoder


def told_of(fitted: FittedModel) -> InferenceFacts | None:
    """What effects are read off besides the coefficients."""
    facts = fitted.facts
    return facts.inference if isinstance(facts, LinearFacts) else None
