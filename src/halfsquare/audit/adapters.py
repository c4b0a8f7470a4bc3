"""Losses that are not plain functions: scorers, metrics with a state, values with a gradient."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from halfsquare.audit.arguments import Told, parameters_of, read_arguments
from halfsquare.audit.calling import evaluate as call_once
from halfsquare.audit.calling import guarded, plain_call
from halfsquare.audit.libraries import library, likely_libraries
from halfsquare.audit.samples import TRIAL, rows
from halfsquare.audit.subject import CallFailed, Returned, Sample, Subject, floats, numbers
from halfsquare.errors import OptionError


def is_scorer(loss: Any) -> bool:
    """A scikit-learn scorer: called with an estimator, inputs and targets."""
    if hasattr(loss, "_score_func") and hasattr(loss, "_sign"):
        return True
    names = [p.name for p in parameters_of(loss) or []]
    return (
        len(names) >= 3
        and names[0] in ("estimator", "est", "model", "reg", "regressor")
        and names[1] in ("X", "x")
    )


class _Given:
    """An estimator whose predictions are what we say: row i of its input names row i."""

    _estimator_type = "regressor"

    def __init__(self, output: Any) -> None:
        self.output = output

    def fit(self, X: Any, y: Any) -> _Given:
        return self

    def predict(self, X: Any) -> Any:
        return self.output[np.asarray(X)[:, 0].astype(int)]

    def __sklearn_tags__(self) -> Any:
        from sklearn.base import BaseEstimator, RegressorMixin

        return type("_Tags", (RegressorMixin, BaseEstimator), {})().__sklearn_tags__()


def scorer(loss: Any, name: str) -> Subject:
    """A scorer; its weights by ``sample_weight``, which every scorer of scikit-learn takes."""

    def call(sample: Sample, want_gradient: bool) -> Returned:
        warned: list[str] = []
        with guarded(warned):
            inputs = np.arange(sample.rows, dtype=float)[:, None]
            keywords = {} if sample.weight is None else {"sample_weight": sample.weight}
            value = numbers(
                loss(_Given(sample.output.copy()), inputs, sample.target.copy(), **keywords)
            )
        return Returned(floats(value), dtype=str(value.dtype), warned=tuple(warned))

    weight = hasattr(loss, "_score_func") or "sample_weight" in [
        p.name for p in parameters_of(loss) or []
    ]
    name = getattr(getattr(loss, "_score_func", None), "__name__", name)
    subject = Subject(
        name=f"scorer of {name}" if hasattr(loss, "_score_func") else name,
        kind="scikit-learn scorer",
        library="NumPy",
        arguments="target: y, output: what the estimator predicts (found by what scorers are "
        "called with)",
        evaluate=call,
        weight=weight,
        sign=-1,
    )
    return with_shapes(subject)


def is_metric(loss: Any) -> bool:
    """A metric with a state: torchmetrics (update, compute) or Keras (update_state, result)."""
    return all(callable(getattr(loss, n, None)) for n in ("update", "compute")) or all(
        callable(getattr(loss, n, None)) for n in ("update_state", "result")
    )


def metric(loss: Any, name: str, told: Told) -> Subject:
    """A metric that is reset, updated with one batch or several, and asked for its result."""
    update = getattr(loss, "update", None) or loss.update_state
    result = getattr(loss, "compute", None) or loss.result
    reset = getattr(loss, "reset", None) or getattr(loss, "reset_state", None)
    if reset is None:
        raise OptionError(
            f"{name} has {update.__name__} and no reset: rows of one check would stay for the next"
        )
    lib_name = told.library or likely_libraries(loss)[0]
    lib = library(lib_name)
    lib.stateful = True
    arguments = read_arguments(update, told, output_first=lib_name == "torch")

    def over(batches: Sequence[Sample]) -> Returned:
        def raw(values: dict[str, Any]) -> Any:
            reset()
            plain_call(update, arguments)(values)
            for batch in batches[1:]:
                call_once(plain_call(_silent(update), arguments), lib, arguments, batch)
            return result()

        return call_once(raw, lib, arguments, batches[0])

    subject = Subject(
        name=name,
        kind="metric with a state",
        library=lib.name,
        arguments=", ".join(f"{s.role}: {s.name}" for s in arguments.slots)
        + f" (found {arguments.how})",
        evaluate=lambda sample, want_gradient: over([sample]),
        weight=arguments.has("weight"),
        accumulate=lambda batches: over(batches).total,
    )
    return with_shapes(subject)


def _silent(update: Callable[..., Any]) -> Callable[..., float]:
    """An update returns nothing of interest; a call is expected to return a number."""

    def call(*positional: Any, **keywords: Any) -> float:
        update(*positional, **keywords)
        return 0.0

    return call


def with_shapes(subject: Subject) -> Subject:
    """The subject with the shapes and the type that it takes."""
    problem = "it takes neither (n,) nor (n, 2)"
    for dtype in ("float64", "float32"):
        works = []
        for shape in ((), (2,)):
            try:
                subject.evaluate(rows(TRIAL.get(shape, 4), shape).astype(dtype), False)
                works.append(shape)
            except CallFailed as caught:
                problem = str(caught)
        if works:
            return replace(subject, shapes=tuple(works), dtype=dtype)
    raise CallFailed(problem)


def value_method(loss: Any) -> Callable[..., Any] | None:
    """The value of an object that has a gradient too, such as SquaredError."""
    if not callable(getattr(loss, "gradient", None)):
        return None
    for name in ("value", "loss", "__call__"):
        method = getattr(loss, name, None)
        if callable(method):
            return method  # type: ignore[no-any-return]
    return None
