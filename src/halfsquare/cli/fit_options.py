"""The options that ``fit`` alone has."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from halfsquare.cli.options import Loss, Penalty


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


Target = Annotated[
    list[str] | None,
    typer.Option(
        "--target",
        "-t",
        metavar="COL",
        help="Column to predict; repeat for several. A formula names it.",
    ),
]

Out = Annotated[
    str | None, typer.Option("--out", "-o", metavar="FILE.hsq", help="Write the model here.")
]

Family = Annotated[ModelName, typer.Option(help="Family of models.")]

Descent = Annotated[Method | None, typer.Option(help="How to descend; least-squares if left out.")]

Convention = Annotated[
    Loss,
    Penalty,
    typer.Option(help="Convention in which the descent states the loss; the answer is the same."),
]

Formula = Annotated[
    str | None,
    typer.Option(
        metavar="TEXT",
        help="Fit this, such as 'y ~ b1*(1 - exp(-b2*x))'; with --model linear terms, such as "
        "'log(y) ~ a*b + poly(x, 2)'.",
    ),
]

Start = Annotated[
    list[str] | None,
    typer.Option(
        metavar="b1=500,b2=1e-4",
        help="Where a formula's parameters start; searched for if left out.",
    ),
]

Bounds = Annotated[
    list[str] | None,
    typer.Option(metavar="b2=0:,b3=1:2", help="Bounds of a formula's parameters, low:high."),
]

Fix = Annotated[
    list[str] | None,
    typer.Option(metavar="b3=1", help="Parameters of a formula that are held."),
]

Profile = Annotated[
    bool,
    typer.Option("--profile", help="Profile-likelihood intervals of a formula's parameters."),
]

SigmaX = Annotated[
    list[str] | None,
    typer.Option(
        "--sigma-x",
        metavar="SX | x=SX,z=SZ",
        help="Of a formula: columns that hold the standard deviations of its columns, which then "
        "have errors as the target has (--sigma).",
    ),
]

Monotone = Annotated[
    list[str] | None,
    typer.Option(
        metavar="area=+,age=-",
        help="Of trees: numbers with which the output must not fall (+), or not rise (-).",
    ),
]

Prefer = Annotated[
    Preference,
    typer.Option(
        help="Of the automatic choice: the blend of least error, or the simplest single "
        "model that is not significantly worse."
    ),
]

Errors = Annotated[
    str | None,
    typer.Option(
        metavar="hc3|cluster:COL",
        help="Standard errors of a linear model or a formula: classical, hc0 … hc3, "
        "cluster:COL[,COL2], newey-west:LAGS.",
    ),
]

TargetTransform = Annotated[
    Transform,
    typer.Option(
        help="Fit this of the target; auto takes what is best on rows left out. Outputs are "
        "means of the target."
    ),
]

Predicts = Annotated[
    Predicted,
    typer.Option(help="Of a formula for log(y) and the like: medians of y, or means (smearing)."),
]

IntervalBy = Annotated[
    str | None,
    typer.Option(
        "--interval-by",
        "--by",
        metavar="COL",
        help="Calibrate prediction intervals within each level of this category.",
    ),
]

Absorb = Annotated[
    list[str] | None,
    typer.Option(
        "--absorb",
        metavar="COLS",
        help="Columns whose levels have effects, taken out of a linear model of terms.",
    ),
]

TestRows = Annotated[
    str | None,
    typer.Option(metavar="DATA", help="Measure on these rows instead of setting some apart."),
]

TestFraction = Annotated[
    float | None,
    typer.Option(
        min=0.0,
        max=0.99,
        help="Share of the rows set apart to measure on; 0 fits on every row. 0.2 if left out.",
    ),
]

Split = Annotated[
    str | None,
    typer.Option(
        metavar="random|rows|time:COL|group:COL",
        help="Which rows are set apart: drawn at random, the last ones, the latest, or whole "
        "groups.",
    ),
]

Folds = Annotated[
    int | None,
    typer.Option(min=2, help="Measure by cross-validation in so many folds instead."),
]

Refit = Annotated[
    bool, typer.Option("--refit/--no-refit", help="Fit again on all rows after measuring.")
]

TimeLimit = Annotated[
    float | None,
    typer.Option(metavar="SECONDS", help="End an iterative descent after this time."),
]

Checkpoint = Annotated[
    str | None,
    typer.Option(
        metavar="FILE", help="Keep in FILE where the fit stands; if it is there, go on from it."
    ),
]

Resume = Annotated[
    str | None,
    typer.Option(metavar="FILE", help="Go on from the checkpoint FILE, which must be there."),
]

CheckpointEvery = Annotated[
    float,
    typer.Option(
        metavar="SECONDS", min=0.0, help="From one writing of the checkpoint to the next."
    ),
]

Seed = Annotated[
    int, typer.Option(min=0, help="Of the choice of test rows and of all that is random.")
]

Threads = Annotated[
    int | None,
    typer.Option(min=1, help="Default: one a core; the result does not depend on it."),
]

Cluster = Annotated[
    str | None,
    typer.Option(
        metavar="ADDRESS",
        help="Sum on a Dask cluster: tcp://HOST:PORT, or local:N processes here.",
    ),
]

Report = Annotated[
    str | None,
    typer.Option(
        metavar="FILE.html", help="Write a page about the fit here: no network, no script."
    ),
]

Quiet = Annotated[
    bool, typer.Option("--quiet", "-q", help="Print nothing but errors; no progress either.")
]
