"""One row of a fitted model: its error in words, its interval, what moves the output, what it asks
of the weights.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from halfsquare.data.reading import ReadBatch, open_for, read_encoded
from halfsquare.data.source import Source
from halfsquare.data.spec import DataSpec
from halfsquare.errors import DataError, OptionError
from halfsquare.explain.changes import Change, changes
from halfsquare.explain.levers import levers
from halfsquare.explain.parts import Parts, parts_of
from halfsquare.loss import Direction, direction
from halfsquare.results.fitted import FittedModel
from halfsquare.results.influence import InfluenceSums
from halfsquare.results.intervals import ends_of
from halfsquare.results.weighed_rows import of_noise

_SHOWN = 6


@dataclass(frozen=True)
class Asked:
    """What a row asks of a parameter: its part of the gradient of ½SSE, and where descent on it
    alone would go.
    """

    name: str
    value: float
    pull: float
    direction: Direction


@dataclass(frozen=True)
class RowExplanation:
    """A row's output, split by column, its error, and what follows from it.

    Attributes
    ----------
    row : int
        From 1.
    target_name : str
        The output that is explained, where there are several.
    values : dict of column to value in the data
    output, low, high : float
        In the unit of the target; the true value lies between low and high with 95 % probability.
    baseline : float or None
        The output of the average row; None for a formula, which knows of no average.
    contributions : dict of column to float
        ``output = baseline + Σ contributions + gap``; see :mod:`halfsquare.explain.parts`.
    method : str
        How the contributions were found, in words.
    gap : float
        What rounding and the quadrature leave.
    changes : tuple of Change
        How the output moves with each column, by its exact derivative here.
    target, error : float or None
        The target and o - t, if the target is known.
    weight : float
    asks : tuple of Asked
        Of every parameter, if the target is known; see :mod:`halfsquare.explain.levers`.
    leverage, cooks_distance : float or None
        Of a linear model.
    """

    row: int
    target_name: str
    values: dict[str, str | None]
    output: float
    low: float
    high: float
    baseline: float | None
    contributions: dict[str, float]
    method: str
    gap: float
    changes: tuple[Change, ...]
    target: float | None
    error: float | None
    weight: float
    asks: tuple[Asked, ...]
    leverage: float | None
    cooks_distance: float | None

    @property
    def direction(self) -> Direction | None:
        """What descent would do to this output."""
        return None if self.error is None else direction(self.error)

    def as_dict(self) -> dict[str, Any]:
        """JSON values."""
        told = dict(vars(self))
        told["changes"] = [vars(c) for c in self.changes]
        told["asks"] = [vars(a) for a in self.asks]
        return {**told, "direction": self.direction}

    def sentences(self, unit: str) -> str:
        """The explanation in words."""
        where = "on average" if "tree" in self.method else "for the average row"
        average = "" if self.baseline is None else f"; {where} it says {self.baseline:.4g}"
        said = [f"Row {self.row}: the model says {unit} = {self.output:.4g}{average}."]
        ranked = sorted(self.contributions.items(), key=lambda c: -abs(c[1]))
        for column, part in ranked[:_SHOWN]:
            verb = "raises" if part > 0 else "lowers"
            said.append(f"  {column} = {self.values.get(column)} {verb} it by {abs(part):.4g}")
        rest = sum(part for _, part in ranked[_SHOWN:])
        if len(ranked) > _SHOWN:
            verb = "raise" if rest > 0 else "lower"
            more = len(ranked) - _SHOWN
            which = f"other {more} columns together {verb}" if more > 1 else f"last column {verb}s"
            said.append(f"  the {which} it by {abs(rest):.4g}")
        if self.low == self.low:
            said.append(
                f"With 95 % probability the true value lies between {self.low:.4g} and "
                f"{self.high:.4g}."
            )
        if self.error is not None and self.target is not None:
            said.append(self._error_sentence())
        return "\n".join(said)

    def _error_sentence(self) -> str:
        assert self.error is not None and self.target is not None
        if self.error == 0:
            return f"The truth was {self.target:.4g}: the output is right, and descent leaves it."
        side, sign, verb = (
            ("too low", "negative", "raises")
            if self.error < 0
            else ("too high", "positive", "lowers")
        )
        inside = (
            ""
            if self.low != self.low
            else ", inside"
            if self.low <= self.target <= self.high
            else ", outside"
        )
        where = f"{inside} its interval" if inside else ""
        return (
            f"The truth was {self.target:.4g}{where}: the output is {side}, by "
            f"{abs(self.error):.4g}. The gradient of "
            f"½(t − o)² is o − t = {self.error:.4g}, {sign}: descent {verb} this output."
        )


def explain_row(
    fitted: FittedModel, data: Any, row: int = 1, *, target: str | None = None
) -> RowExplanation:
    """Explain row ``row`` (from 1) of ``data`` (or of a DataSpec); ``target`` says for which
    output, the first by default.

    Raises
    ------
    OptionError
        If the model has no such target, or the row is not counted from 1.
    DataError
        If there is no such row, or it lacks a value that a formula needs.

    Examples
    --------
    >>> from halfsquare import fit
    >>> rows = {"x": [0.0, 1.0, 2.0, 3.0], "y": [0.0, 2.0, 1.0, 3.0]}
    >>> row = explain_row(fit(rows, "y", model="linear", test_fraction=0), rows, 2)
    >>> parts = {c: round(part, 6) for c, part in row.contributions.items()}
    >>> round(row.error, 6), row.direction, parts
    (-0.9, 'raise', {'x': -0.4})
    """
    names = fitted.encoder.targets
    if target is not None and target not in names:
        raise OptionError(f"the model predicts {', '.join(names)}; there is no target {target!r}")
    if row < 1:
        raise OptionError(f"row is {row}; rows are counted from 1")
    j = names.index(target) if target is not None else 0
    spec = DataSpec.of(data)
    source = open_for(fitted.encoder, spec)
    known = set(names) <= {c.name for c in source.columns}
    batch, at = _find(fitted, source, row, known, spec)
    design = batch.design[at : at + 1]
    own_weight = of_noise(fitted, spec, batch.weight)
    own_weight = None if own_weight is None else own_weight[at : at + 1]
    outputs, (low, high) = fitted.quantiles_of(design, ends_of(0.95), weight=own_weight)
    if not np.isfinite(outputs).all():
        raise DataError(
            f"{source.name}, row {row}: the model has no finite output there; is a value missing?"
        )
    targets = (
        None
        if batch.target is None or np.isnan(batch.target[at]).any()
        else batch.target[at : at + 1]
    )
    weight = 1.0 if batch.weight is None else float(batch.weight[at])
    output, offset = float(outputs[0, j]), float(fitted.encoder.target_offsets[j])
    parts = parts_of(fitted, design[0], j) or Parts(None, {}, "", 0.0)
    asks, leverage, distance = _asked(fitted, design, targets, weight, j)
    own = None if targets is None else float(targets[0, j])
    # Whole numbers of a text file are read as float64: they are shown as they stand there.
    values = {
        name: text[:-2] if text and text.endswith(".0") else text
        for name, text in source.row(row).items()
    }
    return RowExplanation(
        row=row,
        target_name=names[j],
        values=values,
        output=output + offset,
        low=float(low[0, j]) + offset,
        high=float(high[0, j]) + offset,
        baseline=None if parts.baseline is None else parts.baseline + offset,
        contributions=parts.contributions,
        method=parts.method,
        gap=parts.gap,
        changes=changes(fitted, design[0], j),
        target=None if own is None else own + offset,
        error=None if own is None else output - own,
        weight=weight,
        asks=asks,
        leverage=leverage,
        cooks_distance=distance,
    )


def _find(
    fitted: FittedModel, source: Source, row: int, known: bool, spec: DataSpec
) -> tuple[ReadBatch, int]:
    column, weighting = spec.weight_column, spec.weighting
    for batch in read_encoded(
        source, fitted.encoder, with_target=known, weight=column, weighting=weighting
    ):
        at = row - 1 - batch.first_row
        if at < len(batch.design):
            return batch, at
    raise DataError(f"{source.name} has no row {row}")


def _asked(
    fitted: FittedModel, design: Any, targets: Any, weight: float, j: int
) -> tuple[tuple[Asked, ...], float | None, float | None]:
    """What the row asks of each parameter of output ``j``, and its influence on a linear model."""
    influence = InfluenceSums.of(fitted, 0)
    if targets is None:
        return (), None, None
    at, w = levers(fitted), np.array([weight])
    errors = at.errors(design, targets)
    pulls = weight * at.pulls(design, errors)[0]
    asks = tuple(
        Asked(name, float(value), float(pull), direction(float(pull)))
        for name, value, pull, own in zip(at.names, at.values, pulls, at.targets, strict=True)
        if own in (None, j)
    )
    if influence is None:
        return asks, None, None
    h, distance = influence.measure(design, errors, w)
    return asks, float(h[0]), float(distance[0])
