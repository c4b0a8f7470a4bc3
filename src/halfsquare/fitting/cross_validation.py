"""Cross-validation: every row is measured once, by a model that has not seen it.

Each fold is set apart in turn and the whole fit, with every choice in it, is made on the others.
What is measured is a model of so many rows less; the one that is returned has all of them. The
standard error is that of the mean over the rows' losses; that folds share most of their rows of the
fit is not in it (Bengio & Grandvalet 2004, "No unbiased estimator of the variance of K-fold
cross-validation").
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from halfsquare.data.encoded_rows import EncodedRows
from halfsquare.data.scan import Scanned
from halfsquare.fitting.family import Family
from halfsquare.fitting.measure import RowErrors, of_folds
from halfsquare.fitting.options import FitOptions
from halfsquare.fitting.splits import cross_validated, split_of
from halfsquare.results.error_sums import errors_of_rows
from halfsquare.results.fitted import FittedModel
from halfsquare.results.record import Measurement
from halfsquare.solvers.run import Run
from halfsquare.sums import ErrorSums


@dataclass(frozen=True)
class FoldErrors:
    """What was measured, fold by fold, and the model of the last one with its rows."""

    sums: Sequence[ErrorSums]
    errors: Sequence[RowErrors]
    last: FittedModel
    rows: EncodedRows

    def measurement(
        self,
        fitted: FittedModel,
        family: Family,
        rows: EncodedRows | None,
        run: Run,
        options: FitOptions,
    ) -> Measurement:
        """Of all folds together, beside the errors of the model that is returned on its own
        ``rows``; None where that is the model of the last fold.
        """
        own = self.rows if rows is None else family.measured(fitted, rows)
        train = errors_of_rows(fitted, own, run.execution).sums.finish()
        return of_folds(train, self.sums, self.errors, split_of(options))


def cross_validate(
    family: Family,
    scanned: Scanned,
    options: FitOptions,
    run: Run,
    ended: Callable[[FittedModel], bool],
) -> FoldErrors:
    """Fit and measure each fold; the folds that are left when ``ended`` says so are left out.

    Raises
    ------
    OptionError
        If the rows make fewer folds.
    """
    sums, errors = [], []
    count = options.folds or 0
    for number, part in enumerate(cross_validated(scanned, options, run.execution)):
        rows = family.rows(part, "train", run.execution)
        last = family.train(rows, run.share(1.0 / (count - number)).at(f"fold {number}"))
        rows = family.measured(last, rows)
        out = rows.of("test")
        found = errors_of_rows(last, out, run.execution, keep=True)
        sums.append(found.sums)
        errors.append(RowErrors.of(found, out, options.seed))
        if ended(last):
            break
    return FoldErrors(sums, errors, last, rows)
