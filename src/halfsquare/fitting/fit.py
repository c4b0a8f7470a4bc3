"""``fit``: from a table to a fitted, honestly measured model.

The rows are read once. A part is set apart; the model is trained on the rest and measured on both;
then it is trained again on all rows, and that is the model returned.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from inspect import signature
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

from halfsquare.data.spec import DataSpec, RowOptions, require_known
from halfsquare.errors import OptionError
from halfsquare.fitting.families import family_of, implied
from halfsquare.fitting.fit_family import fit_family
from halfsquare.fitting.options import FitOptions, Request, sign_of
from halfsquare.fitting.resume import Resuming
from halfsquare.loss import Convention
from halfsquare.results.fitted import FittedModel
from halfsquare.solvers.run import Callback

if TYPE_CHECKING:
    from halfsquare.cluster.cluster import Cluster


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
    sigma_x: str | Mapping[str, str] | None = None,
    monotone: Mapping[str, int | str] | None = None,
    prefer: str = "accurate",
    errors: str | None = None,
    target_transform: str = "none",
    predicts: str = "median",
    interval_by: str | None = None,
    absorb: str | Sequence[str] = (),
    features: Sequence[str] | None = None,
    exclude: Sequence[str] = (),
    test: Any = None,
    test_fraction: float | None = None,
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
        :class:`halfsquare.fitting.train_linear.LinearOptions`.
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
    sigma_x : str or mapping of column to column, optional
        Of a formula: the columns that hold the standard deviations of its columns, which are then
        taken to have errors as the target has (``sigma``); the name alone where the formula has
        one column. See :mod:`halfsquare.fitting.formula.inexact`.
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
    interval_by : str, optional
        A category: prediction intervals are calibrated within each of its levels, so that they
        cover what they promise there; levels with fewer than 39 rows as all rows are.
    absorb : str or sequence of str
        Columns whose levels have effects that are taken out of a linear model of terms without
        columns of their own; no rows are set apart then. See :mod:`halfsquare.fitting.absorbed`.
    features, exclude : sequences of str
        Columns to use (default: all others), to leave out.
    test : like ``data``, optional
        Rows to measure on, instead of a part of ``data``.
    test_fraction : float, [0, 1), optional
        Share of the rows set apart (default: 0.2, and none with ``folds`` or ``test``); 0 measures
        on the rows of the fit alone.
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
    require_known(reading, [n for n in signature(fit).parameters if n != "reading"])
    if folds is not None and test_fraction:
        raise OptionError(
            f"folds measure the model on every row, and a test fraction of {test_fraction:g} would "
            "set rows apart: give one of them"
        )
    options = FitOptions(
        model=implied(model, formula, method, l2, monotone, errors),
        method=method,
        loss=loss,
        l2=l2,
        formula=formula,
        start=start,
        bounds=bounds,
        fix=fix,
        profile=profile,
        sigma_x=sigma_x,
        monotone={name: sign_of(name, sign) for name, sign in (monotone or {}).items()} or None,
        prefer=prefer,
        errors=errors,
        target_transform=target_transform,
        predicts=predicts,
        interval_by=interval_by,
        absorb=tuple(_listed(absorb)),
        # Effects of levels that only rows set apart have could not be known.
        test_fraction=0.0 if test is not None or absorb else _fraction(test_fraction),
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
    family = family_of(options)
    family.check()
    resuming = Resuming.of(checkpoint, resume, checkpoint_every, options, request)
    return fit_family(
        family, spec, request, test=test, cluster=cluster, resuming=resuming, callback=callback
    )


def _fraction(given: float | None) -> float:
    return FitOptions.test_fraction if given is None else given


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
