"""``fit``: from a table to a fitted, honestly measured model.

The rows are read once. A part is set apart; the model is trained on the rest and measured on both;
then it is trained again on all rows, and that is the model returned.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from halfsquare.data.columns import Roles, choose_roles
from halfsquare.data.encoded import EncodedRows, encoded_rows
from halfsquare.data.scan import Progress, Scanned, scan
from halfsquare.data.source import open_source
from halfsquare.descent.loop import Record, Watch
from halfsquare.errors import FitError, OptionError
from halfsquare.evaluate import error_sums, error_sums_of_rows
from halfsquare.execution.local import Local
from halfsquare.fitted import FittedModel, Member
from halfsquare.loss import CONVENTIONS, Convention, sse_factor
from halfsquare.trainers.base import Trained
from halfsquare.trainers.linear import LinearOptions, train_linear

MODELS = ("auto", "linear", "network", "formula")


@dataclass(frozen=True)
class FitOptions:
    """The options of :func:`fit` that say how to train and measure; see there."""

    model: str = "linear"
    method: str | None = None
    loss: Convention = "half_sse"
    l2: Any = 0.0
    test_fraction: float = 0.2
    refit: bool = True
    seed: int = 0
    threads: int | None = None
    time_limit: float | None = None

    def __post_init__(self) -> None:
        if self.model not in MODELS:
            raise OptionError(f"unknown model {self.model!r}; expected one of {', '.join(MODELS)}")
        if self.loss not in CONVENTIONS:
            raise OptionError(f"unknown loss {self.loss!r}; expected one of {', '.join(CONVENTIONS)}")
        if not 0.0 <= self.test_fraction < 1.0:
            raise OptionError(
                f"the test fraction is {self.test_fraction:g}; expected a number from 0 to below 1, such as 0.2"
            )
        if self.threads is not None and self.threads < 1:
            raise OptionError(f"threads is {self.threads}; expected at least 1")
        if self.time_limit is not None and not self.time_limit > 0:
            raise OptionError(f"the time limit is {self.time_limit:g} s; expected more than 0")
        if self.seed < 0:
            raise OptionError(f"the seed is {self.seed}; expected a whole number >= 0")


def fit(
    data: Any,
    target: str | Sequence[str],
    *,
    model: str = "linear",
    method: str | None = None,
    loss: Convention = "half_sse",
    l2: Any = 0.0,
    weights: str | None = None,
    features: Sequence[str] | None = None,
    exclude: Sequence[str] = (),
    category: Sequence[str] = (),
    table: str | None = None,
    encoding: str | None = None,
    test: Any = None,
    test_fraction: float = 0.2,
    refit: bool = True,
    seed: int = 0,
    threads: int | None = None,
    time_limit: float | None = None,
    progress: Progress | None = None,
    watch: Watch | None = None,
) -> FittedModel:
    """Fit a regression model by descending the squared error, and measure it on rows set apart.

    Parameters
    ----------
    data : path, glob, SQL query, array or frame
        See :func:`halfsquare.data.source.open_source`. Columns of an array are named x1, x2, ….
    target : str or sequence of str
        The column, or columns, to predict.
    model : {"linear"}
        The family of models.
    method : {"least-squares", "gradient", "minibatch"}, optional
        How the linear model descends; least-squares by default.
    loss : {"half_sse", "sse", "mse", "half_mse"}
        The convention in which the history states the loss. The parameters do not depend on it.
    l2 : float >= 0 or "auto"
        Penalty per row on standardized columns; see :class:`halfsquare.trainers.linear.LinearOptions`.
    weights : str, optional
        Column of row weights >= 0: a row of weight w stands w times.
    features, exclude, category : sequences of str
        Columns to use (default: all others), to leave out, to read as text from a text file.
    table, encoding : str, optional
        See :func:`halfsquare.data.source.open_source`.
    test : like ``data``, optional
        Rows to measure on, instead of a part of ``data``.
    test_fraction : float, [0, 1)
        Share of the rows set apart; 0 measures on the rows of the fit alone.
    refit : bool
        Whether to train again on all rows after measuring.
    seed : int
        Of the choice of test rows and of everything random.
    threads : int, optional
        Default: one for each core. The result does not depend on it.
    time_limit : float, optional
        Seconds for the descent.
    progress : callable(int), optional
        Called with the rows read so far.
    watch : callable(State), optional
        Called with every state of an iterative descent.

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

    Examples
    --------
    >>> fitted = fit({"x": [0.0, 1.0, 2.0, 3.0, 4.0], "y": [1.0, 3.0, 5.0, 7.0, 9.0]}, "y", test_fraction=0)
    >>> [round(p.value, 6) for p in fitted.parameters]
    [1.0, 2.0]
    """
    options = FitOptions(
        model, method, loss, l2, 0.0 if test is not None else test_fraction, refit, seed, threads, time_limit
    )
    targets = [target] if isinstance(target, str) else list(target)
    source = open_source(data, table=table, encoding=encoding, categories=category)
    roles = choose_roles(source, targets, weight=weights, features=features, exclude=exclude)
    trainer = _Trainer(options, Local(threads), watch)
    trainer.check()
    scanned = scan(source, roles, test_fraction=options.test_fraction, seed=seed, progress=progress)
    fitted = trainer.fitted(scanned, encoded_rows(scanned, "train"))
    measured = _measured(fitted, scanned, trainer.execution, test, weights)
    if refit and scanned.test.rows:
        fitted = trainer.fitted(scanned, encoded_rows(scanned, "all"))
    info = {
        **fitted.info,
        **_described(scanned, roles, options),
        **measured,
        "refit": bool(refit and scanned.test.rows),
    }
    return FittedModel(fitted.encoder, fitted.members, info)


@dataclass(frozen=True)
class _Trainer:
    """Trains one family of models on encoded rows."""

    options: FitOptions
    execution: Local
    watch: Watch | None

    def check(self) -> None:
        """Refuse options that do not go together before any row is read."""
        self._linear_options()

    def fitted(self, scanned: Scanned, rows: EncodedRows) -> FittedModel:
        if not rows.row_count:
            raise FitError(
                f"{scanned.source_name} leaves no row to train on: every row with a target is in the test part"
            )
        encoder = rows.encoder
        deadline = None if self.options.time_limit is None else time.monotonic() + self.options.time_limit
        trained = train_linear(
            rows,
            encoder.names,
            encoder.targets,
            self._linear_options(),
            execution=self.execution,
            deadline=deadline,
            watch=self.watch,
        )
        info = {
            "kind": "linear",
            "method": self._linear_options().method,
            "reason": trained.reason,
            "converged": trained.converged,
            "effective_parameters": trained.effective_parameters,
            "facts": trained.facts,
            "warnings": trained.warnings,
            "history": _history(trained, rows, self.options.loss),
        }
        return FittedModel(encoder, (Member.of(trained),), info)

    def _linear_options(self) -> LinearOptions:
        method: Any = self.options.method or "least-squares"
        return LinearOptions(method, self.options.l2, self.options.seed)


def _history(trained: Trained, rows: EncodedRows, loss: Convention) -> list[dict[str, float]]:
    """The descent in the wanted convention; for one target in its squared unit, for several standardized.

    The gradient norm is with respect to the parameters of standardized columns, in the same convention.
    """
    statistics = rows.scanned.train.merge(rows.scanned.test) if rows.part == "all" else rows.scanned.train
    k = len(rows.encoder.targets)
    factor = 2.0 * sse_factor(loss, k, statistics.weight)  # a descent states ½SSE
    unit = float(rows.encoder.target_scales[0]) ** 2 if k == 1 else 1.0

    def line(record: Record) -> dict[str, float]:
        norm = record.gradient_norm * factor * unit
        return {
            "iteration": record.iteration,
            "loss": record.loss * factor * unit,
            "gradient_norm": norm,
            **record.notes,
        }

    return [line(r) for r in trained.history if r.loss < float("inf")]


def _measured(
    fitted: FittedModel, scanned: Scanned, execution: Local, test: Any, weights: str | None
) -> dict[str, Any]:
    rows = encoded_rows(scanned, "train")
    train = error_sums_of_rows(fitted, rows, execution).finish().as_dict()
    if test is not None:
        sums, missing = error_sums(fitted, test, weights=weights)
        return {"train": train, "test": {**sums.finish().as_dict(), "missing_target": missing}, "test_source": "a file"}
    if not scanned.test.rows:
        return {"train": train, "test": None}
    held_out = error_sums_of_rows(fitted, rows.of("test"), execution).finish().as_dict()
    return {"train": train, "test": held_out, "test_source": "rows set apart"}


def _described(scanned: Scanned, roles: Roles, options: FitOptions) -> dict[str, Any]:
    from importlib.metadata import version

    shown = {k: v for k, v in asdict(options).items() if k not in ("threads", "time_limit")}
    return {
        "data": scanned.source_name,
        "target": [t.name for t in roles.targets],
        "weights": roles.weight.name if roles.weight else None,
        "rows_read": scanned.table.rows + scanned.missing_target + scanned.zero_weight,
        "rows_missing_target": scanned.missing_target,
        "rows_zero_weight": scanned.zero_weight,
        "options": shown,
        "version": version("halfsquare"),
    }
