"""Predictions as a stream of Arrow batches, written as CSV or Parquet: memory stays flat."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from halfsquare.data.spec import DataSpec
from halfsquare.errors import OptionError
from halfsquare.files.atomic import atomic_write
from halfsquare.results.fitted import FittedModel


def predicted_batches(
    fitted: FittedModel,
    data: Any,
    *,
    interval: float | None = None,
) -> Iterator[Any]:
    """Arrow record batches of columns ``prediction`` (``low``, ``high``), in the order of the rows.

    With several targets each column's name ends in ``_TARGET``.
    """
    import pyarrow as pa

    targets = fitted.encoder.targets
    suffixes = [""] if len(targets) == 1 else [f"_{t}" for t in targets]
    spec = DataSpec.of(data)
    for batch in fitted.batches(spec, with_std=interval is not None):
        if interval is None:
            outputs, low, high = fitted.outputs_of(batch.design)[0], None, None
        else:
            outputs, low, high = fitted.bounds_of(batch.design, interval, weight=batch.weight)
        columns = {}
        for j, suffix in enumerate(suffixes):
            columns[f"prediction{suffix}"] = np.ascontiguousarray(outputs[:, j])
            if low is not None and high is not None:
                columns[f"low{suffix}"] = np.ascontiguousarray(low[:, j])
                columns[f"high{suffix}"] = np.ascontiguousarray(high[:, j])
        spec.told(batch.first_row + len(outputs))
        yield pa.RecordBatch.from_pydict(columns)


def write_batches(batches: Iterator[Any], out: str) -> int:
    """Write the batches to a CSV or Parquet file (by its name), or as CSV to standard output
    (``-``).

    Returns the number of rows.

    Raises
    ------
    OptionError
        If the file's name ends in neither .csv nor .parquet.
    OutputError
        If it cannot be written; a file that was there stays.
    """
    suffix = Path(out).suffix.lower()
    if out == "-":
        return _write(batches, sys.stdout.buffer, ".csv")
    if suffix not in (".csv", ".parquet", ".pq"):
        raise OptionError(f"{out} ends in {suffix or 'nothing'}; expected .csv or .parquet")
    with atomic_write(out) as file:
        return _write(batches, file, suffix)


def _write(batches: Iterator[Any], file: Any, suffix: str) -> int:
    import pyarrow.csv
    import pyarrow.parquet

    writer, rows = None, 0
    try:
        for batch in batches:
            if writer is None:
                make = pyarrow.csv.CSVWriter if suffix == ".csv" else pyarrow.parquet.ParquetWriter
                writer = make(file, batch.schema)
            writer.write_batch(batch)
            rows += batch.num_rows
    finally:
        if writer is not None:
            writer.close()
    return rows
