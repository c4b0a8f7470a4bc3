"""Read the rows, train on a part, measure on the rest, train again on all: for every family."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from halfsquare.data.deciding import whole
from halfsquare.data.encoded_rows import EncodedRows
from halfsquare.data.late import require_no_late_values
from halfsquare.data.notes import how_it_was_read
from halfsquare.data.roles import Roles
from halfsquare.data.scan import Scanned
from halfsquare.data.source import Source
from halfsquare.data.spec import DataSpec
from halfsquare.errors import FitError, OptionError
from halfsquare.fitting.beside import line_rmse
from halfsquare.fitting.by_level import levels_asked
from halfsquare.fitting.cross_validation import cross_validate
from halfsquare.fitting.decisive import DecisiveRow, decisive_rows
from halfsquare.fitting.doubts import doubts
from halfsquare.fitting.execution import execution_at, require_for_cluster, scan_at
from halfsquare.fitting.family import Family
from halfsquare.fitting.limits import Interruption, TimeLimit
from halfsquare.fitting.measure import measured
from halfsquare.fitting.options import Request, options_as_json
from halfsquare.fitting.resume import Resuming, checkpointer_of
from halfsquare.fitting.splits import (
    counted_parts,
    request_for,
    roles_for,
    scanned_fraction,
    with_parts,
)
from halfsquare.fitting.weighed import weighed_by
from halfsquare.parallel.base import Execution
from halfsquare.parallel.threads import Local, one_blas_thread
from halfsquare.results.fitted import FittedModel
from halfsquare.results.record import DataSummary, FitRecord
from halfsquare.solvers.run import Callback, Run, Seed

if TYPE_CHECKING:
    from halfsquare.cluster.cluster import Cluster


_NO_REFIT = (
    "the rows set apart have targets that the transform does not take: the model measured is "
    "returned, and was not fitted to all rows"
)


# Shares of a time limit: what the fit may take that is measured, and what the refit on all rows
# needs to begin.
_FIT_MOST, _REFIT_LEAST = 0.55, 0.25


@one_blas_thread()
def fit_family(
    family: Family,
    spec: DataSpec,
    request: Request,
    *,
    test: Any = None,
    cluster: str | Cluster | None = None,
    resuming: Resuming | None = None,
    callback: Callback | None = None,
) -> FittedModel:
    """Fit a family of models by its options, and measure it; parameters and errors as of
    :func:`fit`.
    """
    options = family.options
    limit, interruption = TimeLimit(options.time_limit), Interruption()
    if cluster is not None:
        require_for_cluster(options.method, spec.data, options.split, options.folds)
    with execution_at(cluster, options.threads) as execution:
        source, scanned = whole(
            replace(spec, known=tuple(request.names)),
            lambda source: _scanned(execution, source, family, request, spec),
        )
        in_folds = options.folds is not None
        again = (options.refit and bool(scanned.test.rows)) or in_folds
        parts = counted_parts(scanned, options, execution)
        with checkpointer_of(resuming, scanned, execution) as checkpointer:
            run = Run(
                execution,
                limit.at(_FIT_MOST if again else 1.0),
                interruption.noticed(callback),
                checkpointer,
                Seed(options.seed),
            )
            if in_folds:
                by_fold = cross_validate(family, scanned, options, run, interruption.ended)
                fitted, row_errors, of_fit = by_fold.last, by_fold.errors, by_fold.rows
            else:
                rows = _rows_of(family, parts, execution, source.name)
                fitted, of_fit = family.train(rows, run.at("measured")), rows
                own = family.measured(fitted, rows)
                measurement, row_errors = measured(fitted, own, execution, spec, test, options)
                measurement = replace(measurement, line_rmse=line_rmse(fitted, rows, run))
            # In less than half the time that the fit had, a refit would be another model than the
            # one measured.
            again = again and not interruption.ended(fitted)
            again = again and (in_folds or limit.leaves(_REFIT_LEAST))
            every = family.rows(scanned, "all", execution) if again else None
            if every is not None:
                run = replace(run, deadline=limit.at(1.0)).at("refit")
                # After folds every choice is made anew.
                refitted = (
                    family.train(every, run) if in_folds else family.again(fitted, every, run)
                )
                # A refit that was cut short is not the model that was measured: that one is kept.
                again = refitted is not fitted and not interruption.ended(refitted)
                if refitted is fitted:
                    fitted = _warned(fitted, [_NO_REFIT])
                fitted, of_fit = (refitted, every) if again else (fitted, of_fit)
            if in_folds:
                seen = every if again else None
                measurement = by_fold.measurement(fitted, family, seen, run, options)
            of_fit = family.measured(fitted, of_fit)
            decisive = decisive_rows(fitted, of_fit, measurement, source, options.seed, execution)
    if measurement.split is not None and options.split is None:
        here = row_errors if isinstance(execution, Local) else []
        fitted = _warned(fitted, doubts(scanned, source, spec, options.seed, here))
    record = FitRecord(
        fitted.record.training,
        _data_summary(source, scanned, scanned.roles, decisive),
        measurement,
        options_as_json(options),
        version("halfsquare"),
        again,
    )
    members = tuple(member.bare() for member in fitted.members)
    return replace(fitted, members=members, record=record)


def _rows_of(family: Family, scanned: Scanned, execution: Execution, name: str) -> EncodedRows:
    """The rows to train on; refused where they have not what the options ask for."""
    rows = family.rows(scanned, "train", execution)
    if not rows.row_count:
        raise FitError(
            f"{name} leaves no row to train on: every row with a target is in the test part"
        )
    if family.options.interval_by is not None:
        levels_asked(rows.encoder, family.options.interval_by)
        if weighed_by(rows) is not None:
            raise OptionError(
                "weights that are no counts say what the noise of a row is, and intervals are not "
                "calibrated beside them: leave interval_by (--by) out"
            )
    return rows


def _warned(fitted: FittedModel, said: Sequence[str]) -> FittedModel:
    """The model with more warnings."""
    return fitted.with_training(warnings=(*fitted.record.training.warnings, *said))


def scanned_rows(family: Family, spec: DataSpec, request: Request) -> EncodedRows:
    """All rows as a family encodes them, read on this machine."""
    execution = Local(family.options.threads)
    _, scanned = whole(
        replace(spec, known=tuple(request.names)),
        lambda source: _scanned(execution, source, family, request, spec),
    )
    return family.rows(scanned, "all", execution)


def _scanned(
    execution: Execution, source: Source, family: Family, request: Request, spec: DataSpec
) -> tuple[Source, Scanned]:
    options = family.options
    roles = family.roles(source, request_for(options, request))
    roles = roles_for(options, roles, request, source)
    fraction = scanned_fraction(options)
    scanned = scan_at(
        execution,
        source,
        roles,
        fraction,
        options.seed,
        spec.progress,
        products=family.sums_products,
    )
    require_no_late_values(source, scanned)
    return source, with_parts(scanned, options, execution)


def _data_summary(
    source: Source, scanned: Scanned, roles: Roles, decisive: Sequence[DecisiveRow]
) -> DataSummary:
    reading = how_it_was_read(source, scanned)
    reading["suspicious"] += [row.sentence for row in decisive]
    reading["decisive_rows"] = [vars(row) for row in decisive]
    left_out = scanned.missing_target + scanned.missing_feature + scanned.zero_weight
    return DataSummary(
        scanned.source_name,
        tuple(t.name for t in roles.targets),
        roles.weight.name if roles.weight else None,
        scanned.table.rows + left_out,
        scanned.missing_target,
        scanned.missing_feature,
        scanned.zero_weight,
        reading=reading,
    )
