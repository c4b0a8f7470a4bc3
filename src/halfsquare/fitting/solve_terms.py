"""The coefficients of a linear model of terms, from R of [design | target]."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from halfsquare.data.encoded_rows import EncodedRows
from halfsquare.errors import FitError
from halfsquare.loss import Floats
from halfsquare.models.linear import Linear
from halfsquare.models.terms.encoder import TermsEncoder
from halfsquare.parallel.base import Execution
from halfsquare.results.trained import LinearFacts, Trained
from halfsquare.solvers.base import Reason, Termination
from halfsquare.solvers.triangular_least_squares import Triangle, triangle_of


def solved(
    rows: EncodedRows, encoder: TermsEncoder, model: Linear, execution: Execution
) -> tuple[Trained[LinearFacts], TermsEncoder]:
    """The trained model, and the encoder without the columns that those before them determine.

    Raises
    ------
    FitError
        If the target's function or the squares of the columns are not finite.
    """
    first = 1 if model.intercept else 0
    shift = _shift(rows, model) if model.intercept else 0.0
    triangle = triangle_of(rows, model, execution, intercept=model.intercept, shift=shift)
    if not np.isfinite(triangle.r).all():
        raise FitError(
            f"{model.target_function}({model.targets[0]}) is not finite in some rows: "
            "leave these out, or take another function"
            if model.target_function != "identity"
            else "the squares of the columns overflow float64"
        )
    gone = triangle.dependent()
    if gone:
        triangle = triangle.of_columns([j for j in range(len(triangle.r) - 1) if j not in gone])
        encoder = encoder.without([j - first for j in gone])
        model = replace(model, names=encoder.names)
    return _trained(triangle, model, shift, encoder), encoder


def _shift(rows: EncodedRows, model: Linear) -> float:
    """A number near the mean of the transformed target: only rounding depends on it."""
    mean = float(rows.scanned.train.numbers.mean[0])
    shift = float(model.transform_target(np.array([mean]))[0])
    return shift if np.isfinite(shift) else 0.0


def _trained(
    triangle: Triangle, model: Linear, shift: float, encoder: TermsEncoder
) -> Trained[LinearFacts]:
    b = triangle.coefficients
    inverse = triangle.inverse
    if model.intercept:
        b[0] += shift
    else:
        b, inverse = np.concatenate([[0.0], b]), np.pad(inverse, ((1, 0), (1, 0)))
    rank = len(triangle.r) - 1
    freedom = triangle.weight - rank
    noise = np.array([triangle.sse / freedom if freedom > 1e-9 else np.nan])
    facts = LinearFacts(
        l2=0.0,
        rank=rank,
        path="qr",
        reciprocal_condition=triangle.reciprocal_condition,
        degrees_of_freedom=freedom,
        shift=shift,
    )
    warnings = []
    if encoder.aliased:
        shown = ", ".join(map(repr, encoder.aliased[:10]))
        more = f" and {len(encoder.aliased) - 10} more" if len(encoder.aliased) > 10 else ""
        verb = "is" if len(encoder.aliased) == 1 else "are"
        warnings.append(
            f"{shown}{more} {verb} determined by the columns before: no coefficient is given"
        )
    return Trained(
        model,
        b,
        inverse * noise[0] if freedom > 1e-9 else None,
        noise,
        float(rank),
        Termination(Reason.SOLVED, "qr"),
        facts,
        tuple(warnings),
        triangle=_square(triangle.r, model),
    )


def _square(r: Floats, model: Linear) -> Floats:
    """R with a place for the intercept, whether there is one or not."""
    return r if model.intercept else np.pad(r, ((1, 0), (1, 0)))
