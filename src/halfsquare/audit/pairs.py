"""Value and gradient by two functions, and which argument or mask means what, by trying."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from halfsquare.audit.arguments import Arguments, Told, parameters_of, read_arguments
from halfsquare.audit.calling import evaluate as call_once
from halfsquare.audit.calling import plain_call
from halfsquare.audit.libraries import Library
from halfsquare.audit.samples import rows
from halfsquare.audit.subject import CallFailed, Evaluate, Returned, Sample, Subject
from halfsquare.errors import OptionError


def pair(
    subject: Subject, gradient: Any, lib: Library, arguments: Arguments, told: Told
) -> Subject:
    """A value with a gradient function; where names say nothing, the gradient tells the output."""
    if not callable(gradient):
        raise OptionError(f"the gradient is a {type(gradient).__name__}; expected a function")
    names = _parameter_names(gradient)
    known = {k: v for k, v in (told.arguments or {}).items() if k in names}
    own = read_arguments(
        gradient, replace(told, arguments=known), output_first=lib.name == "PyTorch"
    )
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
    """Where no name says which argument is the output, the gradient points along its error."""
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
