"""The baseline of a model that is no line: the error of a line on the same rows."""

from __future__ import annotations

from typing import Any

from halfsquare.data.encoded_rows import EncodedRows
from halfsquare.errors import FitError
from halfsquare.fitting.train_linear import LinearOptions, train_linear
from halfsquare.results.error_sums import errors_of_rows
from halfsquare.results.fitted import FittedModel
from halfsquare.results.record import FitRecord, Training
from halfsquare.results.trained import LinearFacts, Trained
from halfsquare.solvers.run import Run

CURVED = ("network", "trees", "blend")


def line_rmse(fitted: FittedModel, rows: EncodedRows, run: Run) -> float | None:
    """The RMSE on the rows set apart of a linear model trained on ``rows``; None where the fitted
    model is itself a line or a formula, nothing was set apart, or no line can be fitted.
    """
    held_out = rows.of("test")
    if fitted.kind not in CURVED or not held_out.row_count:
        return None
    try:
        line = _line_in(fitted, rows) or _trained_line(rows, run)
    except FitError:
        return None
    model = FittedModel(rows.encoder, (line,), FitRecord(Training("linear", "least-squares")))
    return errors_of_rows(model, held_out, run.execution).sums.finish().rmse


def _line_in(fitted: FittedModel, rows: EncodedRows) -> Trained[Any] | None:
    """The line that is part of a blend, if it is the one of least squares on these columns."""
    if fitted.encoder is not rows.encoder:
        return None
    lines = [m for m in fitted.members if isinstance(m.facts, LinearFacts) and m.facts.l2 == 0]
    return lines[0] if lines else None


def _trained_line(rows: EncodedRows, run: Run) -> Trained[LinearFacts]:
    encoder = rows.encoder
    return train_linear(rows, encoder.names, encoder.targets, LinearOptions(), run.at("line"))
