"""Rows for a model that is already fitted: columns matched by name, in the order of the file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from halfsquare.data.buffers import Buffers
from halfsquare.data.deciding import open_as
from halfsquare.data.encoder import Encoder
from halfsquare.data.features import (
    Category,
    Feature,
    Instant,
    Levels,
    Moment,
    Number,
    Plain,
    Presence,
)
from halfsquare.data.levels import LevelCoder, batch_columns
from halfsquare.data.novelty import Novelty, absent_values
from halfsquare.data.passes import record_batches
from halfsquare.data.ranges import require_finite
from halfsquare.data.source import Source, lagged_column
from halfsquare.data.source_column import SourceColumn
from halfsquare.data.spec import DataSpec
from halfsquare.data.weighting import Weighting, as_weights
from halfsquare.errors import DataError
from halfsquare.loss import Floats


@dataclass(frozen=True)
class ReadBatch:
    """Some rows as a fitted model needs them.

    Attributes
    ----------
    first_row : int
        Number of the first of them in the source, from 0.
    design : (m, d)
        Standardized.
    target : (m, k) or None
        In the user's unit, NaN where missing; None if it was not asked for.
    weight : (m,) or None
    kept : Arrow record batch or None
        The columns that are carried along, as they stand in the source.
    absent : (features, m) or None
        Where values are missing that none was in training; None where there are none, or where
        nobody asked.
    """

    first_row: int
    design: Floats
    target: Floats | None
    weight: Floats | None
    kept: Any = None
    absent: npt.NDArray[np.bool_] | None = None


def open_for(encoder: Encoder, data: Any) -> Source:
    """Open rows (or a :class:`DataSpec` of them) for an encoder: its category columns are read as
    text, whatever they look like.
    """
    if isinstance(data, Source):
        return data
    rows = DataSpec.of(data)
    if isinstance(rows.data, np.ndarray) and rows.data.ndim == 2 and not rows.data.dtype.names:
        rows = replace(rows, data=_named(encoder, rows.data))
    levels = {f.column: getattr(f, "levels", ()) for f in encoder.features if _is_text(f)}
    return open_as(rows, encoder.reading, levels)


def read_encoded(
    source: Source,
    encoder: Encoder,
    *,
    with_target: bool = False,
    weight: str | None = None,
    weighting: Weighting = "counts",
    keep: Sequence[str] = (),
    batch_rows: int = 16384,
    novelty: Novelty | None = None,
    with_absent: bool = False,
) -> Iterator[ReadBatch]:
    """The rows of a source, encoded as in training; other columns are passed over.

    Raises
    ------
    DataError
        If a column is missing or holds another kind of value than in training; it is named.
    NotFiniteError
        If a value is infinite; its row is named.
    """
    columns = [_feature_column(source, f) for f in encoder.features]
    k = len(encoder.targets) if with_target else 0
    extra = [_number_column(source, t, "target column") for t in encoder.targets[:k]]
    extra += [_number_column(source, weight, "weight column")] if weight else []
    coders = {
        f.column: LevelCoder(list(getattr(f, "levels", ())), frozen=True)
        for f in encoder.features
        if _is_text(f)
    }
    scanned = [*extra, *columns] or [replace(source.columns[0], kind="text")]
    coders |= {scanned[0].name: LevelCoder()} if not extra and not columns else {}
    kept = [replace(source.column(name), kind="text", words=()) for name in keep]
    carried = [replace(c, name=f"kept {c.name}", value=c.stored) for c in kept]
    seen, buffers = 0, Buffers()
    for batch in record_batches(source, [*scanned, *carried], batch_rows):
        raw = buffers.empty(len(scanned), batch.num_rows)
        batch_columns(batch, scanned, coders, raw)
        for column, values in zip(scanned, raw, strict=True):
            require_finite(values, seen, source.name, column.name)
        out = buffers.empty(len(encoder.names), raw.shape[1])
        features = raw[len(extra) : len(extra) + len(columns)]
        if novelty is not None and columns:
            novelty.add(encoder.features, features)
        _require_known(encoder, features, batch, len(extra), seen, source.name)
        encoder.encode(features, out)
        weights = raw[k] if weight else None
        if weights is not None:
            weights = as_weights(weights, weighting, seen, source.name, weight or "")
        own = batch.select(range(len(scanned), len(scanned) + len(carried))) if carried else None
        absent = absent_values(encoder.features, features) if with_absent else None
        yield ReadBatch(seen, out.T, raw[:k].T if with_target else None, weights, own, absent)
        seen += raw.shape[1]
    if novelty is not None:
        novelty.remarks = [*source.remarks, *source.met]


def encoded_array(
    encoder: Encoder, x: Floats, names: Sequence[str], batch_rows: int = 16384
) -> Iterator[Floats] | None:
    """The design (m, d) of rows of an array (n, columns) of numbers, as :func:`read_encoded` makes
    it of a table, at no cost for opening one; None where a column is no number to the model.

    Raises
    ------
    NotFiniteError
        If a value is infinite; its row is named.
    """
    plain = all(
        isinstance(f, Number | Plain) or (isinstance(f, Presence) and not f.text)
        for f in encoder.features
    )
    at = {name: j for j, name in enumerate(names)}
    if not plain or encoder.reading.given or not all(f.column in at for f in encoder.features):
        return None
    if any(f.offset for f in encoder.features):
        return None  # float64 may have rounded what the model can tell apart
    columns = [at[f.column] for f in encoder.features]

    def encoded() -> Iterator[Floats]:
        for first in range(0, max(len(x), 1), batch_rows):
            raw = np.ascontiguousarray(x[first : first + batch_rows, columns].T, dtype=np.float64)
            for feature, values in zip(encoder.features, raw, strict=True):
                require_finite(values, first, "the data", feature.column)
            out = np.empty((len(encoder.names), raw.shape[1]))
            encoder.encode(raw, out)
            yield out.T

    return encoded()


def _require_known(
    encoder: Encoder, features: Floats, batch: Any, first: int, seen: int, source: str
) -> None:
    """Refuse a level that the model has no coefficient for, naming it and its row."""
    found = encoder.unseen(features)
    if found is None:
        return
    feature, row = encoder.features[found[0]], found[1]
    value = batch.column(first + found[0])[row].as_py()
    known = list(getattr(feature, "levels", ()))[:12]
    hint = f"; the levels are {', '.join(map(repr, known))}" if known else ""
    raise DataError(
        f"{source}, row {seen + row + 1}, column {feature.column!r}: found {value!r}, which was "
        f"no level when the model was fitted{hint}. Fit again with such rows, or leave them out"
    )


def _named(encoder: Encoder, data: Any) -> Any:
    """A plain array is matched by position: it has the features' columns, or those of the whole
    table.
    """
    features = [f.column for f in encoder.features]
    wanted = [f"x{j + 1}" for j in range(data.shape[1])]
    if set(features) <= set(wanted):
        return data
    if data.shape[1] == len(features):
        return {name: data[:, j] for j, name in enumerate(features)}
    raise DataError(
        f"the array has {data.shape[1]} columns; expected the {len(features)} of the model: "
        f"{', '.join(features)}"
    )


def _is_text(feature: Feature) -> bool:
    return isinstance(feature, Category | Levels) or (
        isinstance(feature, Presence) and feature.text
    )


def _feature_column(source: Source, feature: Feature) -> SourceColumn:
    if isinstance(feature, Plain) and feature.lag is not None:
        _number_column(source, feature.lag.of, "column")
        return lagged_column(source, feature.column, feature.lag)
    column = source.column(feature.column)
    if _is_text(feature):
        return replace(column, kind="text")
    if isinstance(feature, Instant | Moment):
        if column.kind in ("timestamp", "time") or _empty(source, column):
            return column if column.kind != "text" else replace(column, kind="number")
        raise DataError(
            f"column {column.name!r} of {source.name} has the type {column.type}; the model "
            "needs a date or time"
        )
    if isinstance(feature, Presence) and column.kind in ("timestamp", "time"):
        return column  # what it says does not matter, only whether it is there
    return _number_column(source, feature.column, "column")


def _number_column(source: Source, name: str, role: str) -> SourceColumn:
    column = source.column(name, role=role)
    if column.kind in ("number", "boolean"):
        return column
    if column.kind == "text":
        found = source.not_a_number(name)
        if found is None:
            return replace(column, kind="number")
        raise DataError(
            f"{role} {name!r} of {source.name} is text: found {found[1]!r} in row "
            f"{found[0]}, expected numbers as in training"
        )
    raise DataError(
        f"{role} {name!r} of {source.name} has the type {column.type}; expected numbers as "
        "in training"
    )


def _empty(source: Source, column: SourceColumn) -> bool:
    return column.kind == "text" and source.not_a_number(column.name) is None
