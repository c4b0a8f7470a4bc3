"""Doors for losses that are not plain functions: scorers, metrics, pairs, objectives that take a data set."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from halfsquare.audit.arguments import Arguments, parameters_of, read_arguments
from halfsquare.audit.calling import evaluate as call_once
from halfsquare.audit.calling import guarded, plain_call, take_apart
from halfsquare.audit.libraries import Library, NumPy, library, likely_libraries
from halfsquare.audit.samples import TRIAL, rows
from halfsquare.audit.subject import (
    CallFailed,
    Evaluate,
    Returned,
    Sample,
    Subject,
    floats,
    numbers,
)
from halfsquare.errors import OptionError

if TYPE_CHECKING:
    from halfsquare.audit.recognize import Told


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
        arguments="target: y, output: what the estimator predicts (found by what scorers are called with)",
        evaluate=call,
        weight=weight,
        sign=-1,
    )
    return _with_shapes(subject)


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
    arguments = read_arguments(update, target=told.target, output=told.output, fixed=told.arguments,
                               output_first=lib_name == "torch")  # fmt: skip

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
    return _with_shapes(subject)


def _silent(update: Callable[..., Any]) -> Callable[..., float]:
    """An update returns nothing of interest; a call is expected to return a number."""

    def call(*positional: Any, **keywords: Any) -> float:
        update(*positional, **keywords)
        return 0.0

    return call


def _with_shapes(subject: Subject) -> Subject:
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
    """The value of an object that has ``gradient`` too, as SquaredError and scikit-learn's losses have."""
    if not callable(getattr(loss, "gradient", None)):
        return None
    for name in ("value", "loss", "__call__"):
        method = getattr(loss, name, None)
        if callable(method):
            return method  # type: ignore[no-any-return]
    return None


def pair(
    subject: Subject, gradient: Any, lib: Library, arguments: Arguments, told: Told
) -> Subject:
    """A value with a gradient function of its own; where names say nothing, the gradient tells the output."""
    if not callable(gradient):
        raise OptionError(f"the gradient is a {type(gradient).__name__}; expected a function")
    own = read_arguments(gradient, target=told.target, output=told.output, output_first=lib.name == "PyTorch",
                         fixed={k: v for k, v in (told.arguments or {}).items() if k in _parameter_names(gradient)})  # fmt: skip
    value = subject.evaluate

    def made(roles: Arguments) -> Evaluate:
        raw = plain_call(gradient, roles)

        def call(sample: Sample, want_gradient: bool) -> Returned:
            found = value(sample, False)
            if not want_gradient:
                return found
            slope = call_once(raw, lib, roles, sample)
            if slope.value is None:
                return replace(found, gradient=slope.gradient, hessian=slope.hessian)
            return replace(found, gradient=slope.value)

        return call

    told_words = f"{subject.arguments}; gradient: {getattr(gradient, '__name__', 'given')}"
    subject = replace(
        subject, kind="value and gradient", evaluate=made(own), has_gradient=True, automatic=False
    )
    return order_by_gradient(replace(subject, arguments=told_words), made, own)


def _parameter_names(function: Any) -> list[str]:
    return [p.name for p in parameters_of(function) or []]


def order_by_gradient(
    subject: Subject, made: Callable[[Arguments], Evaluate], arguments: Arguments
) -> Subject:
    """Where no name says which argument is the output, it is the one whose error the gradient points along."""
    if not arguments.how.startswith("by position"):
        return subject
    sample = rows(6, subject.shapes[0]).astype(subject.dtype)
    try:
        found = subject.evaluate(sample, True).gradient
    except CallFailed:
        return subject
    if found is None or found.shape != sample.output.shape or np.sum(found * sample.error) >= 0:
        words = subject.arguments.replace(
            "by position", "by the gradient, which points along o − t, and by position"
        )
        return replace(subject, arguments=words.split("; nothing")[0].rstrip(")") + ")")
    turned = arguments.swapped("by the gradient, which points along o − t")
    parts = ", ".join(f"{s.role}: {s.name}" for s in turned.slots)
    return replace(subject, evaluate=made(turned), arguments=f"{parts} (found {turned.how})")


def mask_meaning(subject: Subject, arguments: Arguments) -> Subject:
    """Whether True keeps a row or hides it: the loss of rows that all count is not zero."""
    if not subject.mask:
        return subject
    sample = rows(4, subject.shapes[0]).astype(subject.dtype)
    totals = []
    for kept in (True, False):
        try:
            totals.append(subject.value(replace(sample, mask=np.full(4, kept))))
        except CallFailed:
            totals.append(float("nan"))
    if totals[0] > 0 or not totals[1] > 0:
        return subject
    inner = subject.evaluate

    def turned(given: Sample, want_gradient: bool) -> Returned:
        mask = (
            np.ones(given.rows, bool)
            if given.mask is None and arguments.needs("mask")
            else given.mask
        )
        return inner(given if mask is None else replace(given, mask=~mask), want_gradient)

    return replace(subject, evaluate=turned, mask_keeps=False)


_DATASETS = (
    "dtrain",
    "train_data",
    "dmatrix",
    "dataset",
    "train_set",
    "data",
    "lgb_train",
    "ddata",
    "dm",
    "train",
)


def takes_dataset(loss: Any) -> bool:
    """An objective of XGBoost's or LightGBM's training API: predictions and a data set."""
    names = [p.name for p in parameters_of(loss) or []]
    return len(names) >= 2 and names[1].lower().strip("_") in _DATASETS


class _Labels:
    """As much of a DMatrix or Dataset as an objective reads."""

    def __init__(self, sample: Sample, none: bool) -> None:
        empty = None if none else np.zeros(0)
        self.label, self.weight = (
            sample.target.copy(),
            empty if sample.weight is None else sample.weight.copy(),
        )

    def get_label(self) -> Any:
        return self.label

    def get_weight(self) -> Any:
        return self.weight

    def get_base_margin(self) -> Any:
        return np.zeros(0)

    def get_init_score(self) -> None:
        return None

    def num_row(self) -> int:
        return len(self.label)

    num_data = num_row


def objective(loss: Any, name: str) -> Subject:
    """An objective ``(predictions, data set) -> (gradient, Hessian)``."""

    def call(sample: Sample, want_gradient: bool, none: bool) -> Returned:
        warned: list[str] = []
        output = sample.output.copy()
        with guarded(warned):
            returned = loss(output, _Labels(sample, none))
            if not isinstance(returned, tuple) or len(returned) != 2:
                raise CallFailed(
                    "it returned no pair; an objective returns the gradient and the Hessian"
                )
            first, second = (numbers(part) for part in returned)
        mutated = "" if np.array_equal(output, sample.output, equal_nan=True) else "output"
        return take_apart(first, second, sample, tuple(warned), mutated, objective=True)

    for none in (False, True):
        subject = Subject(
            name=name,
            kind="objective for boosting (gradient, Hessian)",
            library=NumPy.name,
            arguments="output: the predictions, target: the labels of the data set (found by the names)",
            evaluate=lambda s, g, none=none: call(s, g, none),
            has_value=False,
            has_gradient=True,
            weight=_reads_weight(loss),
        )
        try:
            return _with_shapes(subject)
        except CallFailed:
            if none:
                raise
    raise AssertionError


def _reads_weight(loss: Any) -> bool:
    code = getattr(loss, "__code__", None)
    return code is not None and ("get_weight" in code.co_names or "weight" in code.co_names)
