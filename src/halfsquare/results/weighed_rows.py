"""Rows to measure on, with the weights that count there."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from halfsquare.data.reading import ReadBatch, open_for, read_encoded
from halfsquare.data.source import Source
from halfsquare.data.spec import DataSpec
from halfsquare.loss import Floats
from halfsquare.results.ensemble import Ensemble


def weighed_rows(
    source: Source, fitted: Ensemble, spec: DataSpec, *, batch_rows: int = 16384
) -> Iterator[ReadBatch]:
    """The rows of a source with targets, and the weights that a record of them asks for."""
    return read_encoded(
        source,
        fitted.encoder,
        with_target=True,
        weight=spec.weight_column,
        weighting=spec.weighting,
        batch_rows=batch_rows,
    )


def with_own_weights(fitted: Ensemble, spec: DataSpec) -> DataSpec:
    """The rows with the weights asked for; else weighed as those of the fit were, where these rows
    have the column too.
    """
    data, weighed = fitted.record.data, fitted.record.training.weighed
    own = None if data is None else data.weights
    if spec.weight_column is not None or own is None or spec.once:
        return spec
    if own not in {c.name for c in open_for(fitted.encoder, spec).columns}:
        return spec
    weighting = "counts" if weighed is None else weighed.weighting
    if weighting == "counts":
        return replace(spec, weights=own)
    return replace(spec, sigma=own) if weighting == "sigma" else replace(spec, precision=own)


def of_noise(fitted: Ensemble, spec: DataSpec, weight: Floats | None) -> Floats | None:
    """The weights (m,) of rows if they say how noisy these are, as those of the fit did."""
    weighed = fitted.record.training.weighed
    return weight if weighed is not None and weighed.weighting == spec.weighting else None
