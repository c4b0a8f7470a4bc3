"""What tests and effects of a linear model of terms are read off besides its covariance."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from halfsquare.data.encoded_rows import EncodedRows
from halfsquare.fitting.robust import bread_of, scoring_of
from halfsquare.models.terms.encoder import TermsEncoder
from halfsquare.models.terms.raw import raw_terms
from halfsquare.parallel.base import Execution
from halfsquare.results.inference.errors import ErrorsOption
from halfsquare.results.inference.heteroscedasticity import breusch_pagan
from halfsquare.results.inference.margins import average_effects
from halfsquare.results.trained import AverageEffects, InferenceFacts, LinearFacts, Trained

# Average effects are kept in the model file as long as they are few.
_MOST_EFFECTS = 200_000
#: A test that rejects below this is told.
_UNEQUAL = 0.01


def told_of_terms(
    trained: Trained[LinearFacts],
    rows: EncodedRows,
    encoder: TermsEncoder,
    errors: ErrorsOption,
    seed: int,
    execution: Execution,
) -> tuple[InferenceFacts, list[str]]:
    """What tests and effects are read off besides the covariance, and what is to be said."""
    told = InferenceFacts(errors=str(errors), aliased=encoder.aliased)
    if trained.covariance is None or trained.facts.l2 or trained.triangle is None:
        return told, []
    warnings = []
    if encoder.design.has_intercept and len(encoder.names):
        scoring = scoring_of(trained, rows, ErrorsOption(), seed, execution)
        test = breusch_pagan(bread_of(trained), scoring, rows.chunk_count, execution)
        told = replace(told, breusch_pagan=test)
        if test is not None and test.p < _UNEQUAL and errors.kind == "classical":
            warnings.append(
                f"the variance of the errors is not the same everywhere (Breusch–Pagan p "
                f"{'< 1e-16' if test.p < 1e-16 else f'= {test.p:.2g}'}): classical standard "
                "errors may be wrong; errors hc3 are right either way"
            )
    return with_averages(told, rows, encoder, execution), warnings


def with_averages(
    told: InferenceFacts, rows: EncodedRows, encoder: TermsEncoder, execution: Execution
) -> InferenceFacts:
    """Means of the numbers, and the average effects as functions of the coefficients."""
    design, scanned = encoder.design, rows.scanned
    raw = raw_terms(scanned, design.columns, whole=rows.part == "all")
    statistics = scanned.train.merge(scanned.test) if rows.part == "all" else scanned.train
    numbers = statistics.numbers
    at = dict(zip(raw.names, raw.positions, strict=True))
    plain = [c for c in design.columns if design.kinds[c] == "number"]
    held = [c for c in design.columns if design.kinds[c] != "text"]
    means = {c: float(numbers.mean[at[c]]) for c in held}
    spreads = {c: float(np.sqrt(numbers.variance[at[c]])) for c in plain}
    told = replace(told, means=means, standard_deviations=spreads)
    levels = sum(max(1, len(design.levels_of(c)) - 1) for c in design.columns)
    if levels * len(design.names) <= _MOST_EFFECTS:
        effects = average_effects(design, spreads, raw.chunk, rows.chunk_count, execution)
        rows_of = tuple(map(tuple, effects.rows.tolist()))
        told = replace(told, average_effects=AverageEffects(tuple(effects.names), rows_of))
    return told
