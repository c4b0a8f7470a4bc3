"""The squared error of each row, and the standard error of their mean where rows depend on each
other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from halfsquare.data.passes import record_batches
from halfsquare.data.reading import open_for
from halfsquare.data.spec import DataSpec
from halfsquare.errors import OptionError
from halfsquare.loss import Floats, error
from halfsquare.results.ensemble import Ensemble
from halfsquare.results.mean_error import MeanError, by_cluster
from halfsquare.results.mean_error import in_time as by_time
from halfsquare.results.weighed_rows import weighed_rows


def losses_of(
    models: Sequence[Ensemble], data: Any, cluster_by: str | None
) -> tuple[list[Floats], Floats | None, Any]:
    """The MSE of each row (n,) by each model, its weight, and its value of ``cluster_by``.

    Raises
    ------
    OptionError
        If the rows can be read once only, or there is no such column.
    """
    spec = replace(DataSpec.of(data), progress=None)
    if spec.once:
        raise OptionError(
            "rows of a pipe can be read once, and this needs several passes: write them to a file"
        )
    kept, weights, losses = [], [], []
    for model in models:
        own = []
        source = open_for(model.encoder, spec)
        for batch in weighed_rows(source, model, spec):
            assert batch.target is not None
            keep = ~np.isnan(batch.target).any(axis=1)
            output = model.outputs_of(batch.design[keep])[0]
            own.append(row_loss(batch.target[keep], output))
            if model is models[0]:
                kept.append(keep)
                weights += [] if batch.weight is None else [batch.weight[keep]]
        losses.append(np.concatenate(own))
    weight = np.concatenate(weights) if weights else None
    if cluster_by is None:
        return losses, weight, None
    return losses, weight, _values_of(models[0], spec, cluster_by)[np.concatenate(kept)]


def _values_of(fitted: Ensemble, spec: DataSpec, name: str) -> Any:
    """A column of the source, whatever it holds, as whole numbers that tell its values apart."""
    import pyarrow as pa

    source = open_for(fitted.encoder, spec)
    column = next((c for c in source.columns if c.name == name), None)
    if column is None:
        raise OptionError(f"{source.name} has no column {name!r} to tell clusters apart by")
    batches = record_batches(source, [replace(column, kind="text")])
    codes = pa.chunked_array([batch.column(0) for batch in batches]).combine_chunks()
    return codes.dictionary_encode("encode").indices.to_numpy(zero_copy_only=False)


def row_loss(target: Floats, output: Floats) -> Floats:
    """The MSE of each row (m,), over its targets, from targets and outputs (m, k)."""
    return loss_of_errors(error(target, output))


def loss_of_errors(e: Floats) -> Floats:
    """The same from errors o - t (m, k)."""
    squares = e * e
    losses: Floats = squares[:, 0] if squares.shape[1] == 1 else squares.mean(axis=1)
    return losses


def mean_error(
    losses: Floats, weight: Floats | None, clusters: Any, cluster_by: str | None
) -> MeanError:
    """The mean of the rows' losses with a standard error that allows for clusters, or for time."""
    if cluster_by is None:
        return by_time(losses, weight)
    return by_cluster(losses, weight, clusters, cluster_by)
