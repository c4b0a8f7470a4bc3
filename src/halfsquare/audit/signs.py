"""The sign of value and gradient, the Hessian, and what stands where o = t."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from halfsquare.audit.convention import Convention
from halfsquare.audit.derivative import second
from halfsquare.audit.findings import Finding
from halfsquare.audit.law import near
from halfsquare.audit.samples import one, rows
from halfsquare.audit.subject import CallFailed, Subject
from halfsquare.loss import Floats


def check_sign(subject: Subject, found: Convention) -> Finding:
    """Whether the value grows with the error, and the gradient raises an output that is too low."""
    shape = subject.shapes[0]
    if subject.has_value and found.law is not None and found.law.factor < 0:
        what = (
            "the score grows with the error: a search would keep the worst model"
            if subject.sign < 0
            else ("the value falls when errors grow: descent would drive the outputs away")
        )
        mend = "greater_is_better=False" if subject.sign < 0 else "return it with the opposite sign"
        return Finding.failed("sign", what, _two(subject), mend)
    if subject.has_value and not _grows(subject):
        return Finding.failed("sign", "the value does not grow with the error", _two(subject))
    if not subject.has_gradient:
        return Finding.passed(
            "sign",
            "it grows with the error" if subject.sign > 0 else "the score falls with the error",
        )
    if subject.automatic:
        return Finding.passed(
            "sign", "it grows with the error; the gradient is by automatic differentiation"
        )
    sample = rows(6, shape).astype(subject.dtype)
    try:
        gradient = subject.gradient(sample)
    except CallFailed as problem:
        return Finding.failed("sign", f"its gradient: {problem}")
    if gradient is None or gradient.size != sample.output.size:
        return Finding.unchecked("sign", "the gradient has another shape than the output")
    if not np.isfinite(gradient).all():
        return Finding.failed("sign", "the gradient of 6 rows is not a number")
    agree = np.sign(gradient.reshape(sample.error.shape)) == np.sign(sample.error)
    if agree.all():
        return Finding.passed(
            "sign", "the gradient is negative where the output is too low, positive where too high"
        )
    low = one(3.0, 2.0, shape, 2).astype(subject.dtype)
    g = subject.gradient(low)
    example = (
        f"t = 3, o = 2 (too low): gradient {np.ravel(g)[0]:.6g}; expected below 0"
        if g is not None
        else ""
    )
    if not agree.any():
        return Finding.failed(
            "sign",
            "it has the sign of t − o: descent drives every output away from its target",
            example,
            "use o − t",
            figures={"wrong": int(agree.size)},
        )
    return Finding.failed(
        "sign",
        f"{int((~agree).sum())} of {agree.size} outputs have the wrong sign, or none",
        example,
    )


def _two(subject: Subject) -> str:
    shape = subject.shapes[0]
    try:
        a, b = (
            subject.value(one(3.0, o, shape, 2).astype(subject.dtype)) * subject.sign
            for o in (2.0, 1.0)
        )
    except CallFailed:
        return ""
    return f"t = 3, o = 2: {a:.6g}; o = 1, further off: {b:.6g}"


def _grows(subject: Subject) -> bool:
    shape = subject.shapes[0]
    try:
        near_by, far = (
            subject.value(one(3.0, o, shape, 3).astype(subject.dtype)) for o in (2.5, 1.0)
        )
    except CallFailed:
        return True
    return far > near_by


def check_hessian(subject: Subject) -> Finding:
    """Whether the Hessian of an objective is the derivative of its gradient, one number a row."""
    shape = subject.shapes[0]
    found = []
    for n in (6, 12):
        sample = rows(n, shape, seed=1).astype(subject.dtype)
        try:
            returned, true = subject.evaluate(sample, True), second(subject, sample)
        except CallFailed as problem:
            return Finding.failed("hessian", f"{problem}")
        hessian = returned.hessian
        if hessian is None or true is None:
            return Finding.unchecked("hessian", "no Hessian is returned")
        if hessian.size != sample.output.size:
            return Finding.failed(
                "hessian",
                f"it has shape {hessian.shape}; the output has {sample.output.shape}",
                f"{n} rows",
                "one second derivative for each output: np.ones_like(output)",
            )
        found.append((hessian.reshape(true.shape), true))
    hessian, true = found[0]
    ratio = hessian / true
    example = (
        f"6 rows, first output: Hessian {hessian.flat[0]:.6g}, change of the gradient "
        f"{true.flat[0]:.6g}"
    )
    if (hessian <= 0).any():
        return Finding.failed(
            "hessian",
            "it is not positive: a booster cannot step",
            example,
            "use the derivative of the gradient",
        )
    if not np.allclose(ratio, 1.0, rtol=1e-4):
        steps = f"Newton steps are {1 / float(ratio.mean()):.4g} × as long as they should be"
        return Finding.failed(
            "hessian",
            f"it is {float(ratio.mean()):.4g} × the derivative of the gradient: {steps}",
            example,
            "use the derivative of the gradient",
            figures={"factor": float(ratio.mean())},
        )
    return Finding.passed("hessian", "it is the derivative of the gradient")


def check_perfect(subject: Subject, found: Convention) -> Finding:
    """Value and gradient where every output is its target."""
    sample = rows(4, subject.shapes[0]).astype(subject.dtype)
    sample = replace(sample, output=sample.target.copy())
    try:
        value = subject.value(sample) if subject.has_value else 0.0
    except CallFailed as problem:
        return Finding.failed("perfect output", f"o = t: {problem}", "o = t, 4 rows")
    gradient: Floats | None = None
    if subject.has_gradient:
        try:
            gradient = subject.gradient(sample)
        except CallFailed:  # the check of the gradient says so
            gradient = None
    rooted = found.offset > 0 and found.power == 2 and near(value, found.offset**0.5, 1e-3)
    if not near(value + 1.0, 1.0, 1e-6) and not rooted:
        return Finding.failed(
            "perfect output", f"o = t gives {value:.6g}, not 0", f"o = t, 4 rows: {value:.6g}"
        )
    if gradient is not None and not np.isfinite(gradient).all():
        return Finding.failed(
            "perfect output",
            "o = t gives a gradient that is not a number: one such batch ruins every weight",
            "o = t, 4 rows: value 0, gradient NaN",
            "train on the MSE, or add a small number under the root",
        )
    if gradient is not None and np.abs(gradient).max(initial=0.0) > 1e-3:
        return Finding.failed(
            "perfect output",
            f"o = t gives a gradient of up to {np.abs(gradient).max():.4g}, not 0",
            "o = t, 4 rows",
        )
    return Finding.passed(
        "perfect output",
        f"o = t gives {'the root of ε' if rooted else 0}"
        + (", gradient 0" if gradient is not None else ""),
    )
