"""One row of a linear model: what each column adds to the output, and which way the error pushes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from halfsquare.data.reading import open_for, read_encoded
from halfsquare.errors import DataError, OptionError
from halfsquare.fitted import FittedModel
from halfsquare.loss import Direction, direction
from halfsquare.models.linear import Linear


@dataclass(frozen=True)
class RowExplanation:
    """A row's output, split by column, and its error.

    Attributes
    ----------
    row : int
        From 1.
    values : dict of column to value in the data
    output : float
        In the unit of the target; ``baseline`` plus all ``contributions``.
    baseline : float
        The output of the average row.
    contributions : dict of column to float
        What the column adds to the average row's output, in the unit of the target.
    target, error : float or None
        The target and o - t, if the target is known.
    """

    row: int
    values: dict[str, str | None]
    output: float
    baseline: float
    contributions: dict[str, float]
    target: float | None
    error: float | None

    @property
    def direction(self) -> Direction | None:
        """What descent would do to this output."""
        return None if self.error is None else direction(self.error)

    def sentences(self, unit: str) -> str:
        """The explanation in words."""
        said = [
            f"Row {self.row}: the model says {unit} = {self.output:.4g}; for the average row it says {self.baseline:.4g}."
        ]
        ranked = sorted(self.contributions.items(), key=lambda c: -abs(c[1]))
        for column, part in ranked[:6]:
            verb = "raises" if part > 0 else "lowers"
            said.append(f"  {column} = {self.values.get(column)} {verb} it by {abs(part):.4g}")
        rest = sum(part for _, part in ranked[6:])
        if len(ranked) > 6:
            said.append(
                f"  the other {len(ranked) - 6} columns together {'raise' if rest > 0 else 'lower'} it by {abs(rest):.4g}"
            )
        if self.error is not None and self.target is not None:
            side = {"raise": "too low", "lower": "too high", "stay": "right"}[str(self.direction)]
            sign = {"raise": "negative", "lower": "positive", "stay": "zero"}[str(self.direction)]
            said.append(
                f"The truth was {self.target:.4g}: the output is {side}, by {abs(self.error):.4g}. The gradient of ½(t − o)² is "
                f"o − t = {self.error:.4g}, {sign}: descent {'leaves' if self.direction == 'stay' else str(self.direction) + 's'} this output."
            )
        return "\n".join(said)


def explain_row(fitted: FittedModel, data: Any, row: int = 1) -> RowExplanation:
    """Explain row ``row`` (from 1) of ``data`` for a linear model of one target.

    The parts add up: output = baseline + Σ contributions, exact up to rounding.

    Raises
    ------
    OptionError
        If the model is not linear, or has several targets.
    DataError
        If there is no such row.
    """
    model = fitted.members[0].model
    if not isinstance(model, Linear) or len(fitted.encoder.targets) != 1:
        raise OptionError("only a linear model of one target can be split by column")
    if row < 1:
        raise OptionError(f"row is {row}; rows are counted from 1")
    source = open_for(fitted.encoder, data)
    target_name = fitted.encoder.targets[0]
    known = any(c.name == target_name for c in source.columns)
    for batch in read_encoded(source, fitted.encoder, with_target=known):
        at = row - 1 - batch.first_row
        if at < len(batch.design):
            break
    else:
        raise DataError(f"{source.name} has no row {row}")
    design = batch.design[at]
    slopes = model.matrix(fitted.members[0].parameters)[1:, 0] * fitted.encoder.target_scales[0]
    parts = {column: float(design[a:b] @ slopes[a:b]) for column, a, b in fitted.encoder.groups}
    outputs, _ = fitted.outputs_of(np.vstack([design, np.zeros_like(design)]))
    target = None if batch.target is None or np.isnan(batch.target[at, 0]) else float(batch.target[at, 0])
    error = None if target is None else float(outputs[0, 0]) - target
    # Whole numbers of a text file are read as float64: they are shown as they stand there.
    values = {name: text[:-2] if text and text.endswith(".0") else text for name, text in source.row(row).items()}
    return RowExplanation(row, values, float(outputs[0, 0]), float(outputs[1, 0]), parts, target, error)
