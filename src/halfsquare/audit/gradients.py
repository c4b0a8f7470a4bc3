"""A loss's own gradient against central differences of its value."""

from __future__ import annotations

import numpy as np

from halfsquare.audit.convention import Convention
from halfsquare.audit.derivative import precision, slope
from halfsquare.audit.findings import Finding
from halfsquare.audit.law import EXACT, SINGLE, factor_words, find_factor
from halfsquare.audit.samples import SIZES, rows
from halfsquare.audit.subject import CallFailed, Sample, Subject


def gradient_samples(subject: Subject) -> list[Sample]:
    """Samples of several (n, k), so that a factor of n or of k shows."""
    if (2,) in subject.shapes:
        return [rows(n, (k,), seed=n).astype(subject.dtype) for n, k in SIZES[1:]]
    shape = subject.shapes[0]
    if len(shape) < 2:
        return [rows(n, shape, seed=n).astype(subject.dtype) for n in (4, 6)]
    return [rows(1, s, seed=1).astype(subject.dtype) for s in (shape, (1, *shape[1:-1], 2))]


def check_gradient(subject: Subject, found: Convention, most: int = 3) -> Finding:
    """Whether the gradient is that of the value, by central differences; if not, how far off."""
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
        return Finding.unchecked("gradient", says)
    factors, sizes, worst, trust = [], [], 0.0, 0.0
    for sample in gradient_samples(subject)[:most]:
        try:
            own = subject.gradient(sample)
            rounding = max(precision(subject.evaluate(sample, False).dtype), _roundings(found))
            numeric = slope(subject, sample, rounding)
        except CallFailed as problem:
            return Finding.failed("gradient", f"{problem}", _call(sample))
        assert own is not None
        if own.shape != sample.output.shape:
            return Finding.failed(
                "gradient",
                f"it has shape {own.shape}; the output has {sample.output.shape}",
                _call(sample),
                "return one derivative for each output, in the output's shape",
            )
        if not np.isfinite(own).all():
            return Finding.failed("gradient", "it is not a finite number", _call(sample))
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
        return Finding.passed("gradient", says, figures=figures)
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
    example = (
        f"{_call(sample)}, first output: gradient {own[first]:.6g}, central difference "
        f"{numeric.value[first]:.6g}"
    )
    belongs = gradient_formula(found)
    mend = f"the gradient of this value is {belongs}" if belongs else ""
    law = find_factor(sizes, factors) if np.isfinite(factors).all() else None
    if law is None:
        return Finding.failed(
            "gradient",
            f"it is not the gradient of the value: up to {figures['greatest_difference']:.3g} "
            "of the largest derivative off",
            example,
            mend,
            figures=figures,
        )
    times = _times(*law)
    return Finding.failed(
        "gradient",
        f"the gradient is {times} that of its value",
        example,
        mend,
        figures={**figures, "factor": law[0], "divisor": law[1] or "1"},
    )


def _times(factor: float, divisor: str) -> str:
    """2 ×, n_outputs ×, −1 × … in words."""
    names = {
        "": "",
        "(1/n)": "n",
        "(1/k)": "n_outputs",
        "(1/(n·k))": "n·n_outputs",
        "n": "1/n",
        "k": "1/n_outputs",
        "(n·k)": "1/(n·n_outputs)",
        "(k/n)": "n/n_outputs",
        "(n/k)": "n_outputs/n",
    }
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
    """A loss that always computes in single precision betrays it by departing from its law."""
    law = found.law
    if law is None or law.deviation <= EXACT:
        return 0.0
    return 2.0**-24 if law.deviation <= SINGLE else 2.0**-11


def _call(sample: Sample) -> str:
    return (
        f"{sample.rows} rows × {sample.outputs} outputs"
        if sample.output.ndim > 1
        else f"{sample.rows} rows"
    )
