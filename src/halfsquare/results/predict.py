"""Predictions as a stream of Arrow batches, written as CSV or Parquet: memory stays flat."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from halfsquare.data.arrow import array_of
from halfsquare.data.novelty import Novelty
from halfsquare.data.spec import DataSpec
from halfsquare.errors import OptionError
from halfsquare.files.atomic import atomic_write, note
from halfsquare.parallel.threads import one_blas_thread
from halfsquare.results.fitted import FittedModel
from halfsquare.results.inference.band import mean_band
from halfsquare.results.intervals import ends_of

_GROUP_ROWS = 1 << 17


def predicted_batches(
    fitted: FittedModel,
    data: Any,
    *,
    interval: float | Sequence[float] | None = None,
    quantile: Sequence[float] = (),
    of: str = "target",
    keep: Sequence[str] = (),
    novelty: Novelty | None = None,
) -> Iterator[Any]:
    """Arrow record batches of columns ``prediction`` (``low``, ``high``), in the order of the rows.

    Of several levels the bounds are ``low_0.5``, ``high_0.5``, …; a quantile is ``quantile_0.9``.
    With ``of="mean"`` the bounds of one level are the confidence band of the mean output. With
    several targets each column's name ends in ``_TARGET``. Columns of the rows named in ``keep``
    come first, as they stand there; ``novelty`` counts what training has not seen.
    """
    import pyarrow as pa

    targets = fitted.encoder.targets
    ends = _ends(interval, quantile)
    suffixes = [""] if len(targets) == 1 else [f"_{t}" for t in targets]
    spec = DataSpec.of(data)
    for batch in fitted.batches(spec, with_std=bool(ends), keep=keep, novelty=novelty):
        if of == "mean" and isinstance(interval, float):
            outputs, low, high = mean_band(fitted, batch.design, interval)
            found = np.stack([low, high])
        elif ends:
            outputs, found = fitted.quantiles_of(
                batch.design, list(ends.values()), weight=batch.weight, absent=batch.absent
            )
        else:
            outputs, found = fitted.outputs_of(batch.design)[0], np.empty((0, 0, len(targets)))
        outputs, found = fitted.whole(outputs), fitted.whole(found)
        columns: dict[str, Any] = {}
        if batch.kept is not None:
            columns = dict(zip(keep, batch.kept.columns, strict=True))
        for j, suffix in enumerate(suffixes):
            columns[f"prediction{suffix}"] = array_of(outputs[:, j])
            for name, end in zip(ends, found, strict=True):
                columns[f"{name}{suffix}"] = array_of(end[:, j])
        spec.told(batch.first_row + len(outputs))
        yield pa.RecordBatch.from_arrays(list(columns.values()), names=list(columns))


def _ends(interval: float | Sequence[float] | None, quantiles: Sequence[float]) -> dict[str, float]:
    """The probability of each column beside the prediction, by its name."""
    levels = [interval] if isinstance(interval, (int, float)) else list(interval or ())
    ends: dict[str, float] = {}
    for level in levels:
        mark = f"_{level:g}" if len(levels) > 1 else ""
        ends[f"low{mark}"], ends[f"high{mark}"] = ends_of(level)
    return ends | {f"quantile_{q:g}": q for q in quantiles}


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
        return _write(_noted(batches), sys.stdout.buffer, ".csv")
    if suffix not in (".csv", ".parquet", ".pq"):
        raise OptionError(f"{out} ends in {suffix or 'nothing'}; expected .csv or .parquet")
    with atomic_write(out) as file:
        return _write(batches, file, suffix)


def _noted(batches: Iterator[Any]) -> Iterator[Any]:
    for batch in batches:
        note("a part of the predictions, to standard output,")
        yield batch


def _write(batches: Iterator[Any], file: Any, suffix: str) -> int:
    import pyarrow as pa

    writer, rows = None, 0
    try:
        with one_blas_thread():  # once for all batches
            for group in _grouped(batches, 1 if suffix == ".csv" else _GROUP_ROWS):
                table = pa.Table.from_batches(group)
                if writer is None:
                    writer = _writer(file, suffix, table.schema)
                writer.write_table(table)
                rows += table.num_rows
    finally:
        if writer is not None:
            writer.close()
    return rows


def _grouped(batches: Iterator[Any], rows: int) -> Iterator[list[Any]]:
    """Batches of so many rows together: they are a row group of a Parquet file."""
    group: list[Any] = []
    for batch in batches:
        group.append(batch)
        if sum(b.num_rows for b in group) >= rows:
            yield group
            group = []
    if group:
        yield group


def _writer(file: Any, suffix: str, schema: Any) -> Any:
    if suffix == ".csv":
        import pyarrow.csv

        return pyarrow.csv.CSVWriter(file, schema)
    import pyarrow.parquet

    # Predictions are hardly ever the same: a dictionary of them would be made in vain.
    repeated = [f.name for f in schema if str(f.type) != "double"]
    return pyarrow.parquet.ParquetWriter(file, schema, use_dictionary=repeated or False)
