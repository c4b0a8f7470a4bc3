"""A line beside a model that is none: the error it makes on the same rows."""

from __future__ import annotations

from halfsquare.data.encoded_rows import EncodedRows
from halfsquare.errors import FitError
from halfsquare.fitting.train_linear import LinearOptions, train_linear
from halfsquare.results.error_sums import errors_of_rows
from halfsquare.results.fitted import FittedModel
from halfsquare.results.record import FitRecord, Training
from halfsquare.solvers.run import Run

CURVED = ("network", "trees", "blend")


def line_rmse(fitted: FittedModel, rows: EncodedRows, run: Run) -> float | None:
    """The RMSE on the rows set apart of a linear model trained on ``rows``; None where the fitted
    model is itself a line or a formula, nothing was set apart, or no line can be fitted.
    """
    held_out = rows.of("test")
    if fitted.kind not in CURVED or not held_out.row_count:
        return None
    encoder = rows.encoder
    try:
        line = train_linear(rows, encoder.names, encoder.targets, LinearOptions(), run.at("line"))
    except FitError:
        return None
    model = FittedModel(encoder, (line,), FitRecord(Training("linear", "least-squares")))
    return errors_of_rows(model, held_out, run.execution).sums.finish().rmse
