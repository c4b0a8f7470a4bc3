"""``halfsquare fit``: from a file to a fitted, saved, honestly measured model."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import typer

from halfsquare.cli import fit_options as own
from halfsquare.cli.options import (
    Data,
    Everything,
    Exclude,
    Features,
    Force,
    Json,
    Loss,
    Penalty,
    Precision,
    Sigma,
    Weights,
    columns_of,
    listed,
    numbers,
    penalty,
    ranges,
    require_model_name,
    signs,
)
from halfsquare.cli.progress import working
from halfsquare.cli.reading import reads
from halfsquare.cli.shown import show

if TYPE_CHECKING:
    from halfsquare.cluster.cluster import Cluster
    from halfsquare.data.integrity import Unchanged


@reads(first=True)
def fit(
    data: Data,
    target: own.Target = None,
    out: own.Out = None,
    model: own.Family = own.ModelName.auto,
    method: own.Descent = None,
    loss: own.Convention = Loss.half_sse,
    formula: own.Formula = None,
    start: own.Start = None,
    bounds: own.Bounds = None,
    fix: own.Fix = None,
    profile: own.Profile = False,
    sigma_x: own.SigmaX = None,
    monotone: own.Monotone = None,
    prefer: own.Prefer = own.Preference.accurate,
    errors: own.Errors = None,
    target_transform: own.TargetTransform = own.Transform.none,
    predicts: own.Predicts = own.Predicted.median,
    interval_by: own.IntervalBy = None,
    absorb: own.Absorb = None,
    l2: Penalty = "0",
    weights: Weights = None,
    sigma: Sigma = None,
    precision: Precision = None,
    features: Features = None,
    exclude: Exclude = None,
    test: own.TestRows = None,
    test_fraction: own.TestFraction = None,
    split: own.Split = None,
    folds: own.Folds = None,
    refit: own.Refit = True,
    time_limit: own.TimeLimit = None,
    checkpoint: own.Checkpoint = None,
    resume: own.Resume = None,
    checkpoint_every: own.CheckpointEvery = 10.0,
    seed: own.Seed = 0,
    threads: own.Threads = None,
    cluster: own.Cluster = None,
    report: own.Report = None,
    every: Everything = False,
    quiet: own.Quiet = False,
    force: Force = False,
    options: Any = None,
    json: Json = False,
) -> None:
    """Fit a model to DATA, measure it on rows set apart, refit it on all rows, and say how good it
    is.

    [dim]halfsquare fit houses.csv --target price --out houses.hsq[/dim]
    """
    from halfsquare.data.paths import require_other_files
    from halfsquare.data.spec import DataSpec
    from halfsquare.files.atomic import require_writable
    from halfsquare.fitting.fit import fit as fit_model

    require_other_files(
        [("--out", out), ("--report", report), ("--checkpoint", checkpoint or resume)],
        [data, *([test] if test else [])],
    )
    require_writable(out)
    require_model_name(out, force=force)
    files = _require_report(report, data) if report else None
    with (
        working(time_limit, quiet=quiet or json) as work,
        _reached(cluster, method, data, split, folds) as reached,
    ):
        rows = DataSpec.of(
            data, weights=weights, sigma=sigma, precision=precision, progress=work.read, **options
        )
        fitted = fit_model(
            rows,
            target,
            model=model.value,
            method=method.value if method else None,
            loss=loss.value,
            l2=penalty(l2),
            formula=formula,
            start=numbers("--start", start),
            bounds=ranges("--bounds", bounds),
            fix=numbers("--fix", fix),
            profile=profile,
            sigma_x=columns_of("--sigma-x", sigma_x),
            monotone=signs("--monotone", monotone),
            prefer=prefer.value,
            errors=errors,
            target_transform=target_transform.value,
            predicts=predicts.value,
            interval_by=interval_by,
            absorb=listed(absorb),
            features=listed(features) if features else None,
            exclude=listed(exclude),
            test=test,
            test_fraction=test_fraction,
            split=split,
            folds=folds,
            refit=refit,
            seed=seed,
            threads=threads,
            cluster=reached,
            time_limit=time_limit,
            checkpoint=checkpoint,
            resume=resume,
            checkpoint_every=checkpoint_every,
            callback=work.step,
        )
    if out:
        fitted.save(out)
    if report:
        from halfsquare.report.html import write_report

        if files is not None:
            files.require(data)  # the page reads the rows again: they must be those of the fit
        write_report(fitted, replace(rows, progress=None), report)
    traffic = reached.traffic if reached else None
    show(fitted, out, report, traffic, json=json, every=every, quiet=quiet)


def _reached(
    cluster: str | None,
    method: own.Method | None,
    data: str,
    split: str | None = None,
    folds: int | None = None,
) -> AbstractContextManager[Cluster | None]:
    """The cluster at that address, if one is wanted; what it cannot do is refused before it is
    reached.
    """
    if cluster is None:
        return nullcontext()
    from halfsquare.cluster.connect import connect
    from halfsquare.fitting.execution import require_for_cluster

    require_for_cluster(method.value if method else None, data, split, folds)
    return connect(cluster)


def _require_report(report: str, data: str) -> Unchanged | None:
    """Refuse, before any work is done, a report that could not be written; the files as they are
    now.
    """
    from halfsquare.data.paths import is_sql, locate
    from halfsquare.files.atomic import require_writable
    from halfsquare.report.html import require_extra

    if data == "-":
        raise typer.BadParameter(
            "the report reads the rows again, and standard input can be read once: give a file"
        )
    require_writable(report)
    require_extra()
    return None if is_sql(data) else locate(data).files
