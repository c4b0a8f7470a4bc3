"""Objectives of XGBoost's and LightGBM's training API: predictions and a data set in."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from halfsquare.audit.arguments import parameters_of
from halfsquare.audit.calling import guarded, take_apart
from halfsquare.audit.doors import with_shapes
from halfsquare.audit.libraries import NumPy
from halfsquare.audit.subject import CallFailed, Evaluate, Returned, Sample, Subject, numbers

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

    def call(sample: Sample, none: bool) -> Returned:
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
            arguments="output: the predictions, target: the labels of the data set (found by the "
            "names)",
            evaluate=_bound(call, none),
            has_value=False,
            has_gradient=True,
            weight=_reads_weight(loss),
        )
        try:
            return with_shapes(subject)
        except CallFailed:
            if none:
                raise
    raise AssertionError


def _bound(call: Callable[[Sample, bool], Returned], none: bool) -> Evaluate:
    return lambda sample, want_gradient: call(sample, none)


def _reads_weight(loss: Any) -> bool:
    code = getattr(loss, "__code__", None)
    return code is not None and ("get_weight" in code.co_names or "weight" in code.co_names)
