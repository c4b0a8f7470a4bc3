"""``halfsquare fit``: from a file to a fitted, saved, honestly measured model."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from enum import StrEnum
from shlex import quote
from typing import TYPE_CHECKING, Annotated, Any

import typer

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
    dump,
    listed,
    numbers,
    penalty,
    ranges,
    require_model_name,
    signs,
)
from halfsquare.cli.progress import working
from halfsquare.cli.reading import reads

if TYPE_CHECKING:
    from halfsquare.cluster.cluster import Cluster, Traffic
    from halfsquare.data.integrity import Unchanged


class ModelName(StrEnum):
    """The families of models."""

    auto = "auto"
    linear = "linear"
    network = "network"
    trees = "trees"
    formula = "formula"


class Preference(StrEnum):
    """What the automatic choice looks for."""

    accurate = "accurate"
    simple = "simple"


class Transform(StrEnum):
    """What is fitted in place of the target."""

    none = "none"
    log = "log"
    sqrt = "sqrt"
    yeo_johnson = "yeo-johnson"
    auto = "auto"


class Predicted(StrEnum):
    """What is predicted where a function of the target was fitted."""

    median = "median"
    mean = "mean"


class Method(StrEnum):
    """How a model descends."""

    least_squares = "least-squares"
    gradient = "gradient"
    minibatch = "minibatch"
    levenberg_marquardt = "levenberg-marquardt"


@reads(first=True)
def fit(
    data: Data,
    target: Annotated[
        list[str] | None,
        typer.Option(
            "--target",
            "-t",
            metavar="COL",
            help="Column to predict; repeat for several. A formula names it.",
        ),
    ] = None,
    out: Annotated[
        str | None, typer.Option("--out", "-o", metavar="FILE.hsq", help="Write the model here.")
    ] = None,
    model: Annotated[ModelName, typer.Option(help="Family of models.")] = ModelName.auto,
    method: Annotated[
        Method | None, typer.Option(help="How to descend; least-squares if left out.")
    ] = None,
    loss: Annotated[
        Loss,
        Penalty,
        typer.Option(
            help="Convention in which the descent states the loss; the answer is the same."
        ),
    ] = Loss.half_sse,
    formula: Annotated[
        str | None,
        typer.Option(
            metavar="TEXT",
            help="Fit this, such as 'y ~ b1*(1 - exp(-b2*x))'; with --model linear terms, such as "
            "'log(y) ~ a*b + poly(x, 2)'.",
        ),
    ] = None,
    start: Annotated[
        list[str] | None,
        typer.Option(
            metavar="b1=500,b2=1e-4",
            help="Where a formula's parameters start; searched for if left out.",
        ),
    ] = None,
    bounds: Annotated[
        list[str] | None,
        typer.Option(metavar="b2=0:,b3=1:2", help="Bounds of a formula's parameters, low:high."),
    ] = None,
    fix: Annotated[
        list[str] | None,
        typer.Option(metavar="b3=1", help="Parameters of a formula that are held."),
    ] = None,
    profile: Annotated[
        bool,
        typer.Option("--profile", help="Profile-likelihood intervals of a formula's parameters."),
    ] = False,
    monotone: Annotated[
        list[str] | None,
        typer.Option(
            metavar="area=+,age=-",
            help="Of trees: numbers with which the output must not fall (+), or not rise (-).",
        ),
    ] = None,
    prefer: Annotated[
        Preference,
        typer.Option(
            help="Of the automatic choice: the blend of least error, or the simplest single "
            "model that is not significantly worse."
        ),
    ] = Preference.accurate,
    errors: Annotated[
        str | None,
        typer.Option(
            metavar="hc3|cluster:COL",
            help="Standard errors of a linear model or a formula: classical, hc0 … hc3, "
            "cluster:COL[,COL2], newey-west:LAGS.",
        ),
    ] = None,
    target_transform: Annotated[
        Transform,
        typer.Option(
            help="Fit this of the target; auto takes what is best on rows left out. Outputs are "
            "means of the target."
        ),
    ] = Transform.none,
    predicts: Annotated[
        Predicted,
        typer.Option(
            help="Of a formula for log(y) and the like: medians of y, or means (smearing)."
        ),
    ] = Predicted.median,
    absorb: Annotated[
        list[str] | None,
        typer.Option(
            "--absorb",
            metavar="COLS",
            help="Columns whose levels have effects, taken out of a linear model of terms.",
        ),
    ] = None,
    l2: Penalty = "0",
    weights: Weights = None,
    sigma: Sigma = None,
    precision: Precision = None,
    features: Features = None,
    exclude: Exclude = None,
    test: Annotated[
        str | None,
        typer.Option(metavar="DATA", help="Measure on these rows instead of setting some apart."),
    ] = None,
    test_fraction: Annotated[
        float,
        typer.Option(
            min=0.0,
            max=0.99,
            help="Share of the rows set apart to measure on; 0 fits on every row.",
        ),
    ] = 0.2,
    split: Annotated[
        str | None,
        typer.Option(
            metavar="random|rows|time:COL|group:COL",
            help="Which rows are set apart: drawn at random, the last ones, the latest, or whole "
            "groups.",
        ),
    ] = None,
    folds: Annotated[
        int | None,
        typer.Option(min=2, help="Measure by cross-validation in so many folds instead."),
    ] = None,
    refit: Annotated[
        bool, typer.Option("--refit/--no-refit", help="Fit again on all rows after measuring.")
    ] = True,
    time_limit: Annotated[
        float | None,
        typer.Option(metavar="SECONDS", help="End an iterative descent after this time."),
    ] = None,
    checkpoint: Annotated[
        str | None,
        typer.Option(
            metavar="FILE", help="Keep in FILE where the fit stands; if it is there, go on from it."
        ),
    ] = None,
    resume: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="Go on from the checkpoint FILE, which must be there."),
    ] = None,
    checkpoint_every: Annotated[
        float,
        typer.Option(
            metavar="SECONDS", min=0.0, help="From one writing of the checkpoint to the next."
        ),
    ] = 10.0,
    seed: Annotated[
        int, typer.Option(min=0, help="Of the choice of test rows and of all that is random.")
    ] = 0,
    threads: Annotated[
        int | None,
        typer.Option(min=1, help="Default: one a core; the result does not depend on it."),
    ] = None,
    cluster: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS",
            help="Sum on a Dask cluster: tcp://HOST:PORT, or local:N processes here.",
        ),
    ] = None,
    report: Annotated[
        str | None,
        typer.Option(
            metavar="FILE.html", help="Write a page about the fit here: no network, no script."
        ),
    ] = None,
    every: Everything = False,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="Print nothing but errors; no progress either.")
    ] = False,
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
            monotone=signs("--monotone", monotone),
            prefer=prefer.value,
            errors=errors,
            target_transform=target_transform.value,
            predicts=predicts.value,
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
    method: Method | None,
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
    from halfsquare.fitting.fit import require_for_cluster

    require_for_cluster(method.value if method else None, data, split, folds)
    return connect(cluster)


def show(
    fitted: Any,
    out: str | None,
    report: str | None,
    traffic: Traffic | None = None,
    *,
    json: bool,
    every: bool = False,
    quiet: bool = False,
) -> None:
    """Print the first screen (everything, if asked for; nothing, if that), and what comes next."""
    if json:
        more = {
            **({"report": report} if report else {}),
            **({"cluster": traffic.as_dict()} if traffic else {}),
        }
        dump({**as_dict(fitted, out), **more})
        return
    if quiet:
        return
    from halfsquare.cli.screen import say, width
    from halfsquare.report.first_screen import first_screen
    from halfsquare.report.layout import folded
    from halfsquare.report.summary import summary

    if every:
        say(summary(fitted, every_parameter=True, width=width()))
    else:
        say(first_screen(fitted, width=width()))
    say()
    if traffic:
        say(f"Cluster: {traffic}")
    if report:
        say(f"Report written to {report}: it opens in any browser.")
    say("\n".join(folded(_next(out), width())))


def _next(out: str | None) -> str:
    """What to do next."""
    if out is None:
        return "Next: the same with --out FILE.hsq keeps the model; --all shows everything."
    name = quote(out)
    return (
        f"Model written to {out}. Next: halfsquare predict {name} DATA --interval 0.95; "
        f"halfsquare info {name} shows everything."
    )


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


def as_dict(fitted: Any, out: str | None = None) -> dict[str, Any]:
    """What ``fit --json`` and ``info --json`` print: the errors on the test rows (on the training
    rows if
    there are none) at the top, then everything else that is known of the model.
    """
    measured = fitted.info["test"] or fitted.info["train"]
    return {
        **measured,
        "measured_on": "test" if fitted.info["test"] else "train",
        "model_file": out,
        **fitted.info,
        "parameters": [p.as_dict() for p in fitted.parameters],
        "residual_standard_deviation": fitted.residual_standard_deviation,
        "columns": [
            {"name": f.column, "decision": f.decision, "design_columns": list(f.names)}
            for f in fitted.encoder.features
        ],
        "left_out": fitted.encoder.left_out,
    }
