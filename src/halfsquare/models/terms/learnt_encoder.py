"""The encoder of a formula of terms, learnt from a scan."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from halfsquare.data.features import Feature, Levels, Moment, Plain
from halfsquare.data.scan import Scanned
from halfsquare.loss import Floats
from halfsquare.models.terms.dates import KINDS as DATES
from halfsquare.models.terms.design import TermsDesign, make_design, needed_columns
from halfsquare.models.terms.encoder import TermsEncoder
from halfsquare.models.terms.expand import Expanded
from halfsquare.models.terms.raw import RawTerms, raw_terms, text_levels
from halfsquare.moments import Moments
from halfsquare.parallel.base import Execution


def make_terms_encoder(
    expanded: Expanded, scanned: Scanned, *, whole: bool, execution: Execution
) -> tuple[TermsEncoder, RawTerms]:
    """The encoder of a formula, learnt from a scan, and the raw chunks of the columns it needs.

    ``whole`` says whether all rows are for training, or those that are not set apart.

    Raises
    ------
    DataError
        If a column does not have what its factor needs, or arithmetic on it is not finite.
    """
    kinds: Mapping[str, str] = {c.name: c.kind for c in scanned.roles.features}
    needed = needed_columns(expanded, kinds)
    raw = raw_terms(scanned, list(needed), whole=whole)
    count = len(scanned.table.sizes)
    texts = {name: text_levels(scanned, name) for name, kind in needed.items() if kind == "text"}
    design = make_design(expanded, needed, texts, raw.chunk, count, execution)
    raw = raw_terms(scanned, design.columns, whole=whole)
    kept = tuple(range(1 if design.has_intercept else 0, len(design.names)))
    means, scales = _moments(design, raw, count, execution)
    k = len(scanned.roles.targets)
    features = _features(design, scanned, raw)
    lags = [f.lag for f in features if isinstance(f, Plain) and f.lag is not None]
    encoder = TermsEncoder(
        features,
        tuple(t.name for t in scanned.roles.targets),
        np.zeros(k),
        np.ones(k),
        dict(scanned.roles.left_out),
        expanded.text,
        design,
        kept,
        means[list(kept)],
        scales[list(kept)],
        reading=scanned.roles.reading.of(
            [
                *design.columns,
                *(c.name for c in (*scanned.roles.targets, *scanned.roles.beside)),
                *(name for lag in lags for name in (lag.of, *lag.by)),
            ]
        ),
    )
    return encoder, raw


def _moments(
    design: TermsDesign, raw: RawTerms, count: int, execution: Execution
) -> tuple[Floats, Floats]:
    """Means and scales of the columns over the training rows; means are 0 without an intercept."""
    d = len(design.names)

    def of(index: int) -> Moments:
        rows = raw.chunk(index).training()
        columns = design.write(rows.columns, rows.train)
        design.require_numbers(rows.columns, columns)
        return Moments.of(columns.T, rows.weight)

    moments = execution.reduce(of, Moments.merge, count, Moments.zero(d))
    variance, means = moments.variance, moments.mean
    if not design.has_intercept:
        variance, means = variance + means**2, np.zeros(d)
    # What does not vary but for rounding is left to be found dependent on the intercept.
    still = variance <= (8 * np.finfo(float).eps * np.abs(moments.mean)) ** 2
    return means, np.where(still, 1.0, np.sqrt(variance))


def _features(design: TermsDesign, scanned: Scanned, raw: RawTerms) -> tuple[Feature, ...]:
    numbers = scanned.train.merge(scanned.test).numbers
    found: list[Feature] = []
    for name, position in zip(raw.names, raw.positions, strict=True):
        if design.kinds[name] == "text":
            found.append(Levels(name, (0.0,), (1.0,), design.texts[name]))
        else:
            low, high = float(numbers.minimum[position]), float(numbers.maximum[position])
            if design.kinds[name] in DATES:
                found.append(Moment(name, (0.0,), (1.0,), low, high))
                continue
            column = scanned.roles.scanned[position]
            lag = None if column.lag is None else column.lag.names
            found.append(Plain(name, (0.0,), (1.0,), low, high, column.base, lag))
    return tuple(found)
