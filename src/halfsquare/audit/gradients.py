"""Checks of a loss's own gradient: against central differences, its sign, its Hessian, its value where o = t."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from halfsquare.audit.convention import Convention
from halfsquare.audit.derivative import precision, second, slope
from halfsquare.audit.findings import Finding
from halfsquare.audit.law import EXACT, factor_words, find_factor, near
from halfsquare.audit.samples import SIZES, one, rows
from halfsquare.audit.subject import CallFailed, Floats, Sample, Subject


def check_sign(subject: Subject, found: Convention) -> Finding:
    """Whether the value grows with the error, and the gradient raises an output that is too low."""
    shape = subject.shapes[0]
    if subject.has_value and found.law is not None and found.law.factor < 0:
        what = "the score grows with the error: a search would keep the worst model" if subject.sign < 0 else (
            "the value falls when errors grow: descent would drive the outputs away")  # fmt: skip
        mend = "greater_is_better=False" if subject.sign < 0 else "return it with the opposite sign"
        return Finding("sign", "fail", what, _two(subject), mend)
    if subject.has_value and not _grows(subject):
        return Finding("sign", "fail", "the value does not grow with the error", _two(subject))
    if not subject.has_gradient:
        return Finding(
            "sign",
            "pass",
            "it grows with the error" if subject.sign > 0 else "the score falls with the error",
        )
    if subject.automatic:
        return Finding(
            "sign", "pass", "it grows with the error; the gradient is by automatic differentiation"
        )
    sample = rows(6, shape).astype(subject.dtype)
    try:
        gradient = subject.gradient(sample)
    except CallFailed as problem:
        return Finding("sign", "fail", f"its gradient: {problem}")
    if gradient is None or gradient.size != sample.output.size:
        return Finding("sign", "not checked", "the gradient has another shape than the output")
    agree = np.sign(gradient.reshape(sample.error.shape)) == np.sign(sample.error)
    if agree.all():
        return Finding(
            "sign",
            "pass",
            "the gradient is negative where the output is too low, positive where too high",
        )
    low = one(3.0, 2.0, shape, 2).astype(subject.dtype)
    g = subject.gradient(low)
    example = (
        f"t = 3, o = 2 (too low): gradient {np.ravel(g)[0]:.6g}; expected below 0"
        if g is not None
        else ""
    )
    if not agree.any():
        return Finding("sign", "fail", "it has the sign of t − o: descent drives every output away from its target",
                       example, "use o − t", figures={"wrong": int(agree.size)})  # fmt: skip
    return Finding(
        "sign",
        "fail",
        f"{int((~agree).sum())} of {agree.size} outputs have the wrong sign",
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


def gradient_samples(subject: Subject) -> list[Sample]:
    """Samples of several (n, k), so that a factor of n or of k shows."""
    if (2,) in subject.shapes:
        return [rows(n, (k,), seed=n).astype(subject.dtype) for n, k in SIZES[1:]]
    shape = subject.shapes[0]
    if len(shape) < 2:
        return [rows(n, shape, seed=n).astype(subject.dtype) for n in (4, 6)]
    return [rows(1, s, seed=1).astype(subject.dtype) for s in (shape, (1, *shape[1:-1], 2))]


def check_gradient(subject: Subject, found: Convention) -> Finding:
    """Whether the gradient is that of the value, by central differences; if not, by what factor it is off."""
    if not subject.has_value:
        words = (
            f"taken as the gradient of {found.formula()}"
            if found.law
            else "no value to compare with"
        )
        return Finding("gradient", "pass" if found.law else "not checked", words)
    if not subject.has_gradient:
        belongs = gradient_formula(found)
        says = (
            f"none was given; the one that belongs to the value is {belongs}"
            if belongs
            else "none was given"
        )
        return Finding("gradient", "not checked", says)
    factors, sizes, worst, trust = [], [], 0.0, 0.0
    for sample in gradient_samples(subject):
        try:
            own = subject.gradient(sample)
            rounding = max(precision(subject.evaluate(sample, False).dtype), _roundings(found))
            numeric = slope(subject, sample, rounding)
        except CallFailed as problem:
            return Finding("gradient", "fail", f"{problem}", _call(sample))
        assert own is not None
        if own.shape != sample.output.shape:
            return Finding("gradient", "fail", f"it has shape {own.shape}; the output has {sample.output.shape}", _call(sample),
                           "return one derivative for each output, in the output's shape")  # fmt: skip
        scale = float(np.abs(numeric.value).max()) or 1.0
        bad = np.abs(own - numeric.value) - 10 * numeric.error
        worst = max(worst, float(np.abs(own - numeric.value).max()) / scale)
        trust = max(trust, float(numeric.error.max()) / scale)
        wrong = bool((bad > 1e-6 * scale).any()) or not np.isfinite(own).all()
        factor = float(np.sum(own * numeric.value) / np.sum(numeric.value**2)) if wrong else 1.0
        straight = not wrong or bool(
            np.abs(own - factor * numeric.value).max() <= 1e-4 * abs(factor) * scale
        )
        factors.append(factor if straight else float("nan"))
        sizes.append((sample.rows, sample.outputs))
    figures = {"greatest_difference": worst, "error_of_differences": trust}
    if all(f == 1.0 for f in factors):
        says = f"central differences agree to {worst:.1g} of the gradient (known to {trust:.1g})"
        return Finding("gradient", "pass", says, figures=figures)
    return _wrong_gradient(subject, found, sizes, factors, figures)


def _wrong_gradient(
    subject: Subject,
    found: Convention,
    sizes: list[tuple[int, int]],
    factors: list[float],
    figures: dict[str, float],
) -> Finding:
    sample = gradient_samples(subject)[0]
    own, numeric = subject.gradient(sample), slope(subject, sample, 2**-53)
    assert own is not None
    first = (0,) * own.ndim
    example = f"{_call(sample)}, first output: gradient {own[first]:.6g}, central difference {numeric.value[first]:.6g}"
    belongs = gradient_formula(found)
    mend = f"the gradient of this value is {belongs}" if belongs else ""
    law = find_factor(sizes, factors) if np.isfinite(factors).all() else None
    if law is None:
        return Finding("gradient", "fail", f"it is not the gradient of the value: up to {figures['greatest_difference']:.3g} "
                       "of the largest derivative off", example, mend, figures=figures)  # fmt: skip
    times = _times(*law)
    return Finding("gradient", "fail", f"the gradient is {times} that of its value", example, mend,
                   figures={**figures, "factor": law[0], "divisor": law[1] or "1"})  # fmt: skip


def _times(factor: float, divisor: str) -> str:
    """2 ×, n_outputs ×, −1 × … in words."""
    names = {"": "", "(1/n)": "n", "(1/k)": "n_outputs", "(1/(n·k))": "n·n_outputs", "n": "1/n", "k": "1/n_outputs",
             "(n·k)": "1/(n·n_outputs)", "(k/n)": "n/n_outputs", "(n/k)": "n_outputs/n"}  # fmt: skip
    number = factor_words(factor).strip().removesuffix("·").strip()
    parts = [
        p
        for p in (number if number not in ("", "−") else "", names.get(divisor, f"1/{divisor}"))
        if p
    ]
    return ("−" if number == "−" else "") + (" · ".join(parts) or "1") + " ×"


def gradient_formula(found: Convention) -> str:
    """The derivative of a multiple of the squared error with respect to the output."""
    law = found.column or found.law
    if law is None or not law.squared:
        return ""
    divisor = f" / {law.divisor}" if law.divisor else ""
    double = 2 * law.factor
    number = factor_words(double).strip().removesuffix("·").strip()
    return f"{number}{'' if number in ('', '−') else ' '}(o−t){divisor}"


def _roundings(found: Convention) -> float:
    """A loss that computes in single precision whatever it is given betrays it by how it departs from its law."""
    law = found.law
    return 2.0**-24 if law is not None and law.deviation > EXACT else 0.0


def _call(sample: Sample) -> str:
    return (
        f"{sample.rows} rows × {sample.outputs} outputs"
        if sample.output.ndim > 1
        else f"{sample.rows} rows"
    )


def check_hessian(subject: Subject) -> Finding:
    """Whether the Hessian of an objective is the derivative of its gradient, one number a row, independent of n."""
    shape = subject.shapes[0]
    found = []
    for n in (6, 12):
        sample = rows(n, shape, seed=1).astype(subject.dtype)
        try:
            returned, true = subject.evaluate(sample, True), second(subject, sample)
        except CallFailed as problem:
            return Finding("hessian", "fail", f"{problem}")
        hessian = returned.hessian
        if hessian is None or true is None:
            return Finding("hessian", "not checked", "no Hessian is returned")
        if hessian.size != sample.output.size:
            return Finding("hessian", "fail", f"it has shape {hessian.shape}; the output has {sample.output.shape}",
                           f"{n} rows", "one second derivative for each output: np.ones_like(output)")  # fmt: skip
        found.append((hessian.reshape(true.shape), true))
    hessian, true = found[0]
    ratio = hessian / true
    example = f"6 rows, first output: Hessian {hessian.flat[0]:.6g}, change of the gradient {true.flat[0]:.6g}"
    if (hessian <= 0).any():
        return Finding(
            "hessian",
            "fail",
            "it is not positive: a booster cannot step",
            example,
            "use the derivative of the gradient",
        )
    if not np.allclose(ratio, 1.0, rtol=1e-4):
        steps = f"Newton steps are {1 / float(ratio.mean()):.4g} × as long as they should be"
        return Finding("hessian", "fail", f"it is {float(ratio.mean()):.4g} × the derivative of the gradient: {steps}",
                       example, "use the derivative of the gradient", figures={"factor": float(ratio.mean())})  # fmt: skip
    return Finding("hessian", "pass", "it is the derivative of the gradient")


def check_perfect(subject: Subject, found: Convention) -> Finding:
    """Value and gradient where every output is its target."""
    sample = rows(4, subject.shapes[0]).astype(subject.dtype)
    sample = replace(sample, output=sample.target.copy())
    try:
        value = subject.value(sample) if subject.has_value else 0.0
    except CallFailed as problem:
        return Finding("perfect output", "fail", f"o = t: {problem}", "o = t, 4 rows")
    gradient: Floats | None = None
    if subject.has_gradient:
        try:
            gradient = subject.gradient(sample)
        except CallFailed:  # the check of the gradient says so
            gradient = None
    rooted = found.offset > 0 and found.power == 2 and near(value, found.offset**0.5, 1e-3)
    if not near(value + 1.0, 1.0, 1e-6) and not rooted:
        return Finding(
            "perfect output",
            "fail",
            f"o = t gives {value:.6g}, not 0",
            f"o = t, 4 rows: {value:.6g}",
        )
    if gradient is not None and not np.isfinite(gradient).all():
        return Finding("perfect output", "fail", "o = t gives a gradient that is not a number: one such batch ruins every weight",
                       "o = t, 4 rows: value 0, gradient NaN", "train on the MSE, or add a small number under the root")  # fmt: skip
    if gradient is not None and np.abs(gradient).max(initial=0.0) > 1e-3:
        return Finding("perfect output", "fail", f"o = t gives a gradient of up to {np.abs(gradient).max():.4g}, not 0",
                       "o = t, 4 rows")  # fmt: skip
    return Finding(
        "perfect output",
        "pass",
        f"o = t gives {'the root of ε' if rooted else 0}"
        + (", gradient 0" if gradient is not None else ""),
    )
