"""``fit``: from a table to a fitted, honestly measured model.

The rows are read once. A part is set apart; the model is trained on the rest and measured on both;
then it is trained again on all rows, and that is the model returned.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

from halfsquare.data.deciding import whole
from halfsquare.data.encoded_rows import EncodedRows
from halfsquare.data.late import require_no_late_values
from halfsquare.data.notes import how_it_was_read
from halfsquare.data.roles import Roles
from halfsquare.data.scan import Scanned, scan
from halfsquare.data.source import Source
from halfsquare.data.spec import DataSpec, Progress, RowOptions
from halfsquare.data.splits import Split
from halfsquare.errors import FitError, OptionError
from halfsquare.fitting.beside import line_rmse
from halfsquare.fitting.cross_validation import cross_validate
from halfsquare.fitting.decisive import DecisiveRow, decisive_rows
from halfsquare.fitting.doubts import doubts
from halfsquare.fitting.family import Family
from halfsquare.fitting.measure import measured
from halfsquare.fitting.options import FitOptions, Request, options_as_json, sign_of
from halfsquare.fitting.resume import Resuming, checkpointer_of
from halfsquare.fitting.splits import (
    counted_parts,
    request_for,
    roles_for,
    scanned_fraction,
    with_parts,
)
from halfsquare.loss import Convention
from halfsquare.parallel.base import Execution
from halfsquare.parallel.threads import Local, one_blas_thread
from halfsquare.results.fitted import FittedModel
from halfsquare.results.record import DataSummary, FitRecord, interrupted
from halfsquare.solvers.base import State
from halfsquare.solvers.run import Callback, Run, Seed

if TYPE_CHECKING:
    from halfsquare.cluster.cluster import Cluster


@contextmanager
def execution_at(cluster: str | Cluster | None, threads: int | None) -> Iterator[Execution]:
    """This machine, a cluster that is given, or one that is reached by its address and left
    afterwards.

    Raises
    ------
    ClusterError
        If it cannot be reached.
    """
    if cluster is None:
        yield Local(threads)
    elif isinstance(cluster, str):
        from halfsquare.cluster.connect import connect

        with connect(cluster) as reached:
            yield reached
    else:
        yield cluster


def require_for_cluster(
    method: str | None, data: Any, split: str | None = None, folds: int | None = None
) -> None:
    """Refuse what a cluster cannot do, before it is reached.

    Raises
    ------
    OptionError
    """
    from halfsquare.cluster.parts import require_files

    if method == "minibatch":
        raise OptionError(
            "mini-batches are not for a cluster: every one of very many small steps would "
            "wait for the network. "
            "Leave the method out: second-order descent needs some tens of rounds"
        )
    if folds is not None or Split.read(split or "random").kind != "random":
        asked = f"--folds {folds}" if folds is not None else f"--split {split}"
        raise OptionError(
            f"{asked} is not for a cluster: there rows are set apart at random while they are "
            "read. Leave it out, or fit on one machine"
        )
    require_files(data)


def scan_at(
    execution: Execution,
    source: Source,
    roles: Roles,
    test_fraction: float,
    seed: int,
    progress: Progress | None,
) -> Scanned:
    """Read the rows where they are going to be summed; see :func:`halfsquare.data.scan.scan`."""
    if isinstance(execution, Local):
        return scan(source, roles, test_fraction=test_fraction, seed=seed, progress=progress)
    from halfsquare.cluster.cluster import Cluster
    from halfsquare.cluster.shared import scan_shared

    assert isinstance(execution, Cluster)
    return scan_shared(
        execution, source, roles, test_fraction=test_fraction, seed=seed, progress=progress
    )


_NO_REFIT = (
    "the rows set apart have targets that the transform does not take: the model measured is "
    "returned, and was not fitted to all rows"
)
# Shares of a time limit: what the fit may take that is measured, and what the refit on all rows
# needs to begin.
_FIT_MOST, _REFIT_LEAST = 0.55, 0.25


def fit(
    data: Any,
    target: str | Sequence[str] | None = None,
    *,
    model: str = "auto",
    method: str | None = None,
    loss: Convention = "half_sse",
    l2: Any = 0.0,
    formula: str | None = None,
    start: Mapping[str, float] | None = None,
    bounds: Mapping[str, tuple[float | None, float | None]] | None = None,
    fix: Mapping[str, float] | None = None,
    profile: bool = False,
    monotone: Mapping[str, int | str] | None = None,
    prefer: str = "accurate",
    errors: str | None = None,
    target_transform: str = "none",
    predicts: str = "median",
    absorb: str | Sequence[str] = (),
    features: Sequence[str] | None = None,
    exclude: Sequence[str] = (),
    test: Any = None,
    test_fraction: float = 0.2,
    split: str | None = None,
    folds: int | None = None,
    refit: bool = True,
    seed: int = 0,
    threads: int | None = None,
    cluster: str | Cluster | None = None,
    time_limit: float | None = None,
    checkpoint: str | Path | None = None,
    resume: str | Path | None = None,
    checkpoint_every: float = 10.0,
    callback: Callback | None = None,
    **reading: Unpack[RowOptions],
) -> FittedModel:
    """Fit a regression model by descending the squared error, and measure it on rows set apart.

    Parameters
    ----------
    data : path, glob, SQL query, array or frame
        See :func:`halfsquare.data.deciding.open_source`. Columns of an array are named x1, x2, ….
    target : str or sequence of str
        The column, or columns, to predict; a formula names it itself.
    model : {"auto", "linear", "network", "trees", "formula"}
        The family of models. ``"auto"`` blends a linear model, networks and trees, see
        :mod:`halfsquare.fitting.auto`; ``"formula"`` is implied by a formula, ``"trees"`` by
        monotone inputs, and ``"linear"`` by a method or a penalty of the linear model.
    method : str, optional
        How to descend. Linear: ``"least-squares"`` (the default), ``"gradient"`` or
        ``"minibatch"``; network and formula: ``"levenberg-marquardt"``.
    loss : {"half_sse", "sse", "mse", "half_mse"}
        The convention in which the history states the loss. The parameters do not depend on it.
    l2 : float >= 0 or "auto"
        Penalty per row on standardized columns; see
        :class:`halfsquare.fitting.linear.LinearOptions`.
    formula : str, optional
        Such as ``"y ~ b1*(1 - exp(-b2*x))"``; names that are no columns are parameters. With
        ``model="linear"`` a formula of terms, such as ``"log(y) ~ a*b + poly(x, 2)"``: see
        :mod:`halfsquare.models.terms.expand`. See also
        :func:`halfsquare.models.formula.parser.parse_formula`.
    start, bounds, fix : mappings by parameter name, optional
        Of a formula: where to begin (searched for if left out), (low, high), and values that are
        held.
    profile : bool
        Of a formula: add profile-likelihood intervals to ``info["facts"]["profile"]``.
    monotone : mapping of column name to 1 or -1, optional
        Of trees: numbers with which the output must not fall (1 or "+"), or not rise
        (-1 or "-").
    prefer : {"accurate", "simple"}
        Of ``"auto"``: the blend of least error, or the simplest single model that is not
        significantly worse.
    errors : str, optional
        Standard errors of a linear model or a formula: ``"classical"`` (the default), ``"hc0"`` …
        ``"hc3"``,
        ``"cluster:COL"``, ``"cluster:COL,COL2"`` or ``"newey-west:LAGS"``; see
        :mod:`halfsquare.results.inference.covariance`.
    target_transform : {"none", "log", "sqrt", "yeo-johnson", "auto"}
        Of the models linear, network and trees: what is fitted in place of the target; ``"auto"``
        takes what is best on rows left out, in the target's own unit. Outputs are means of the
        target, see :mod:`halfsquare.results.smearing`.
    predicts : {"median", "mean"}
        Of a formula with a function on its left side, as ``log(y) ~ …``: whether outputs are what
        was fitted, carried back, which is near the median of the target; or its mean, by smearing.
    absorb : str or sequence of str
        Columns whose levels have effects that are taken out of a linear model of terms without
        columns of their own; no rows are set apart then. See :mod:`halfsquare.fitting.absorbed`.
    features, exclude : sequences of str
        Columns to use (default: all others), to leave out.
    test : like ``data``, optional
        Rows to measure on, instead of a part of ``data``.
    test_fraction : float, [0, 1)
        Share of the rows set apart; 0 measures on the rows of the fit alone.
    split : str, optional
        Which rows are set apart, and left out wherever some are: ``"random"`` (the default; said
        outright, it also says that rows are independent), ``"rows"`` (the last ones),
        ``"time:COL"`` (the latest), ``"group:COL"`` (whole groups); see
        :mod:`halfsquare.data.splits`. Rows that are equal in all features stay together.
    folds : int, optional
        Measure by cross-validation in so many folds instead, of rows in time on later rows alone;
        see :mod:`halfsquare.fitting.cross_validation`.
    refit : bool
        Whether to train again on all rows after measuring.
    seed : int
        Of the choice of test rows and of everything random.
    threads : int, optional
        Default: one for each core. The result does not depend on it.
    cluster : str or Cluster, optional
        Read the files and sum on the workers of a Dask cluster: ``"tcp://HOST:PORT"``, or
        ``"local:N"`` for N processes here; or what :func:`halfsquare.cluster.connect.connect`
        gives. The result is the same.
    time_limit : float, optional
        Seconds from here to the end of the last descent, the reading of the data included. With
        less than a quarter of them left after measuring there is no refit: the model measured is
        returned.
    checkpoint : path, optional
        Keep in this file where the descents stand, so that a fit that was killed can be continued;
        it is continued if the file is there already. The model is the same to the last bit, however
        often that happens.
    resume : path, optional
        The same, but the file must be there.
    checkpoint_every : float, >= 0
        Seconds from one writing of the file to the next.
    callback : callable(State), optional
        Called with every state of an iterative descent. A KeyboardInterrupt that it raises ends the
        fit with the best so far: measured, and not trained again.
    **reading
        How the rows are read, and ``weights``, ``progress``: the fields of
        :class:`halfsquare.data.spec.DataSpec`, which ``data`` may be as well.

    Returns
    -------
    FittedModel

    Raises
    ------
    DataError
        What is wrong with the data, with file, column and row.
    OptionError
        What is wrong with an option.
    FitError
        If the rows allow no fit.
    CheckpointError
        If the checkpoint is damaged, or of a fit with other data or options: the difference is
        named.
    ClusterError
        What is wrong with the cluster.

    Examples
    --------
    >>> rows = {"x": [0.0, 1.0, 2.0, 3.0, 4.0], "y": [1.0, 3.0, 5.0, 7.0, 9.0]}
    >>> fitted = fit(rows, "y", test_fraction=0)
    >>> [round(p.value, 6) for p in fitted.parameters]
    [1.0, 2.0]
    """
    options = FitOptions(
        model=_implied(model, formula, method, l2, monotone, errors),
        method=method,
        loss=loss,
        l2=l2,
        formula=formula,
        start=start,
        bounds=bounds,
        fix=fix,
        profile=profile,
        monotone={name: sign_of(name, sign) for name, sign in (monotone or {}).items()} or None,
        prefer=prefer,
        errors=errors,
        target_transform=target_transform,
        predicts=predicts,
        absorb=tuple(_listed(absorb)),
        # Effects of levels that only rows set apart have could not be known.
        test_fraction=0.0 if test is not None or absorb else test_fraction,
        split=split,
        folds=folds,
        refit=refit,
        seed=seed,
        threads=threads,
        time_limit=time_limit,
    )
    if folds is not None and test is not None:
        raise OptionError("folds measure the model, and so do test rows: give one of them")
    spec = DataSpec.of(data, **reading)
    request = Request(_listed(target), spec.weight_column, spec.weighting, features, exclude)
    family = _family(options)
    family.check()
    resuming = Resuming.of(checkpoint, resume, checkpoint_every, options, request)
    return fit_family(
        family, spec, request, test=test, cluster=cluster, resuming=resuming, callback=callback
    )


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
    limit, interruption = _TimeLimit(options.time_limit), _Interruption()
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
    if row_errors and options.split is None:
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
    """The rows to train on."""
    rows = family.rows(scanned, "train", execution)
    if not rows.row_count:
        raise FitError(
            f"{name} leaves no row to train on: every row with a target is in the test part"
        )
    return rows


def _warned(fitted: FittedModel, said: Sequence[str]) -> FittedModel:
    """The model with more warnings."""
    training = fitted.record.training
    training = replace(training, warnings=(*training.warnings, *said))
    return replace(fitted, record=replace(fitted.record, training=training))


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
    scanned = scan_at(execution, source, roles, fraction, options.seed, spec.progress)
    require_no_late_values(source, scanned)
    return source, with_parts(scanned, options, execution)


@dataclass(frozen=True)
class _TimeLimit:
    """Seconds for the whole fit, from when it began."""

    seconds: float | None
    began: float = field(default_factory=time.monotonic)

    def at(self, share: float) -> float | None:
        """The deadline of what may take that share of them."""
        return None if self.seconds is None else self.began + share * self.seconds

    def leaves(self, share: float) -> bool:
        """Whether that share of them is still to come."""
        deadline = self.at(1.0 - share)
        return deadline is None or time.monotonic() <= deadline


class _Interruption:
    """Whether Ctrl-C or the callback has ended the fit: then no further descent is to
    begin.
    """

    def __init__(self) -> None:
        self.happened = False

    def noticed(self, callback: Callback | None) -> Callback | None:
        """``callback``, with its KeyboardInterrupt remembered."""
        if callback is None:
            return None
        told = callback

        def tell(state: State[Any]) -> None:
            try:
                told(state)
            except KeyboardInterrupt:
                self.happened = True
                raise

        return tell

    def ended(self, fitted: FittedModel) -> bool:
        """Whether the fit was ended by the time this model was done."""
        return self.happened or interrupted(fitted.members)


def _implied(
    model: str,
    formula: str | None,
    method: str | None,
    l2: Any,
    monotone: Any = None,
    errors: str | None = None,
) -> str:
    """The family that other options leave no doubt about."""
    if model != "auto":
        return model
    if formula is not None:
        return "formula"
    if monotone:
        return "trees"
    linear = method in ("least-squares", "gradient", "minibatch") or l2 != 0 or errors is not None
    return "linear" if linear else "auto"


def _listed(target: str | Sequence[str] | None) -> list[str]:
    if target is None:
        return []
    names = [target] if isinstance(target, str) else target
    if not isinstance(names, (list, tuple)) or not all(isinstance(n, str) for n in names):
        raise OptionError(
            f"the target is {type(target).__name__}; expected the name of a column, or several: "
            "values of their own are one more column of the data"
        )
    return list(names)


def _family(options: FitOptions) -> Family:
    """The family of models; each is imported when it is used."""
    if options.target_transform != "none":
        from halfsquare.fitting.transformed import TransformedFamily

        return TransformedFamily(options, _family(replace(options, target_transform="none")))
    if options.model == "formula":
        from halfsquare.fitting.formula.train import FormulaFamily

        return FormulaFamily(options)
    if options.model == "network":
        from halfsquare.fitting.network import NetworkFamily

        return NetworkFamily(options)
    if options.model == "trees":
        from halfsquare.fitting.trees import TreesFamily

        return TreesFamily(options)
    if options.model == "auto":
        from halfsquare.fitting.auto import AutoFamily

        return AutoFamily(options)
    if options.formula is not None:
        from halfsquare.fitting.terms import TermsFamily

        return TermsFamily(options)
    from halfsquare.fitting.linear import LinearFamily

    return LinearFamily(options)


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
