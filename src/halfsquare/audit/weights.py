"""Weights and masks: an integer weight stands for repeated rows, 0 and False for absent ones."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from halfsquare.audit.findings import Finding
from halfsquare.audit.law import near, ratio
from halfsquare.audit.samples import rows
from halfsquare.audit.subject import Array, CallFailed, Sample, Subject

_WEIGHTS = np.array([1.0, 2.0, 3.0, 1.0, 0.0, 2.0])


def check_weights(subject: Subject) -> Finding:
    """An integer weight against repetition, zero against absence, twice the weights."""
    if not subject.weight:
        return Finding.unchecked("weights", "it takes no weights")
    found = _check(subject, subject.shapes[0])
    if found.verdict != "fail" or (2,) not in subject.shapes[1:]:
        return found
    # Keras takes the mean over the last axis first: of (n,) arrays that is the mean over the rows.
    wide = _check(subject, (2,))
    if wide.verdict == "fail":
        return found
    says = f"of (n, k) arrays: {wide.says}; of (n,) arrays: {found.says}"
    return replace(
        wide,
        verdict="depends",
        says=says,
        example=found.example,
        mend="give it (n, 1) arrays, not (n,)",
    )


def _check(subject: Subject, shape: tuple[int, ...]) -> Finding:
    sample = rows(6, shape, seed=5).astype(subject.dtype)
    weight = _WEIGHTS.astype(subject.dtype)
    try:
        subject, total = _accepted(subject, replace(sample, weight=weight))
        ones = _measure(subject, replace(sample, weight=np.ones_like(weight)))
        plain = _measure(subject, sample)
        repeated = _measure(subject, sample.take(np.repeat(np.arange(6), _WEIGHTS.astype(int))))
        zero = _measure(
            subject, replace(sample, weight=np.array([1, 1, 1, 1, 0, 0], dtype=weight.dtype))
        )
        absent = _measure(subject, sample.take(slice(0, 4)))
        double = _measure(subject, replace(sample, weight=2 * weight))
    except CallFailed as problem:
        return Finding.failed(
            "weights", f"weights of shape (n,): {problem}", "6 rows, weights [1, 2, 3, 1, 0, 2]"
        )
    figures = {
        "weighted": total,
        "repeated": repeated,
        "zero_weight": zero,
        "absent": absent,
        "twice_the_weights": ratio(double, total),
    }
    example = f"weights [1, 2, 3, 1, 0, 2]: {total:.6g}; the same rows, repeated: {repeated:.6g}"
    if near(total, ones, 1e-6) and near(zero, ones, 1e-6):
        return Finding.failed(
            "weights", "they change nothing: they are ignored", example, figures=figures
        )
    if not near(ones, plain, 1e-4):
        return Finding.depends(
            "weights",
            f"weights of 1 are not the same as no weights: {ratio(ones, plain):.4g} × the value",
            example,
            figures=figures,
        )
    if near(total, repeated, 1e-4) and near(zero, absent, 1e-4):
        return Finding.passed(
            "weights", "weight 2 is two rows, weight 0 is no row", figures=figures
        )
    # Σ w e² over the number of rows, not over Σw: 9 rows are meant where 6 are counted, 4 where 6.
    if near(total, repeated * 9 / 6, 1e-4) and near(zero, absent * 4 / 6, 1e-4):
        says = (
            "it divides by the number of rows, not by Σw: a row of weight 0 still counts "
            "below the line "
            f"({(ratio(zero, absent) - 1) * 100:+.3g} % for 2 rows in 6), and twice the "
            f"weights give {ratio(double, total):.3g} × the value"
        )
        return Finding.depends(
            "weights", says, example, "divide Σ w (o−t)² by Σw", silent=True, figures=figures
        )
    if (power := _power(sample, weight, total, ones)) is not None:
        word = (
            "squared: weight 2 counts as 4" if power == 2 else "under a root: weight 4 counts as 2"
        )
        return Finding.failed(
            "weights",
            f"they enter {word}",
            example,
            "multiply the square by w: w·(o−t)²",
            figures=figures,
        )
    if not near(zero, absent, 1e-4):
        says = (
            f"a row of weight 0 is not as if absent: {(ratio(zero, absent) - 1) * 100:+.3g} "
            "% for 2 rows in 6"
        )
        return Finding.failed(
            "weights",
            says,
            f"weights [1, 1, 1, 1, 0, 0]: {zero:.6g}; those 4 rows alone: {absent:.6g}",
            "divide Σ w (o−t)² by Σw",
            figures=figures,
        )
    return Finding.failed(
        "weights",
        f"weight 2 is not two rows: {(ratio(total, repeated) - 1) * 100:+.3g} %",
        example,
        "divide Σ w (o−t)² by Σw",
        figures=figures,
    )


def _power(sample: Sample, weight: Array, total: float, ones: float) -> float | None:
    """The power p of w in Σ wᵖ (o−t)² / D, whatever D, if it is 2 or ½."""
    squares = (sample.error.reshape(6, -1) ** 2).sum(1)
    for power in (2.0, 0.5):
        top = ratio(float(weight**power @ squares), float(squares.sum()))
        for below in (1.0, weight.sum() / 6, (weight**power).sum() / 6):
            if near(total, ones * top / float(below), 1e-4):
                return power
    return None


def _measure(subject: Subject, sample: Sample) -> float:
    """The value; of an objective, which has none, Σ g (o−t)."""
    if subject.has_value:
        return subject.value(sample)
    gradient = subject.evaluate(sample, True).gradient
    assert gradient is not None
    # Σ over rows of w·(o−t)·(o−t): a row of weight w counts as w rows.
    return float(np.sum(gradient.reshape(sample.error.shape) * sample.error))


def _accepted(subject: Subject, sample: Sample) -> tuple[Subject, float]:
    """Weights of one number a row; as a column where only that is taken."""
    try:
        return subject, _measure(subject, sample)
    except CallFailed as problem:
        if sample.output.ndim < 2:
            raise
        inner = subject.evaluate

        def column(given: Sample, want_gradient: bool):  # type: ignore[no-untyped-def]
            w = given.weight
            return inner(given if w is None else replace(given, weight=w[:, None]), want_gradient)

        turned = replace(subject, evaluate=column)
        try:
            return turned, _measure(turned, sample)
        except CallFailed:
            raise problem from None


def check_mask(subject: Subject) -> Finding:
    """A masked row against an absent one, whatever stands in it."""
    if not subject.mask:
        return Finding.unchecked("mask", "it takes no mask")
    full = rows(6, subject.shapes[0], seed=6).astype(subject.dtype)
    kept = np.array([True, True, True, True, False, False])
    sample = replace(full, mask=kept)
    try:
        masked, absent = (
            subject.value(sample),
            subject.value(replace(full.take(slice(0, 4)), mask=kept[:4])),
        )
    except CallFailed as problem:
        return Finding.failed(
            "mask", f"a mask of shape (n,): {problem}", "6 rows, the last two masked"
        )
    example = f"6 rows, the last two masked: {masked:.6g}; the other four alone: {absent:.6g}"
    figures = {"masked": masked, "absent": absent, "off_percent": (ratio(masked, absent) - 1) * 100}
    if near(masked, absent * 4 / 6, 1e-4):
        says = (
            "it divides by all rows, the masked ones too: "
            f"{(ratio(masked, absent) - 1) * 100:+.3g} % for 2 padded rows in 6"
        )
        return Finding.failed(
            "mask",
            says,
            example,
            "divide by mask.sum(), not by the number of rows",
            figures=figures,
        )
    if not near(masked, absent, 1e-4):
        says = f"a masked row is not as if absent: {(ratio(masked, absent) - 1) * 100:+.3g} %"
        return Finding.failed(
            "mask",
            says,
            example,
            "multiply the square by the mask, divide by mask.sum()",
            figures=figures,
        )
    words = "True keeps a row" if subject.mask_keeps else "True hides a row"
    for name, put in (("1e6", 1e6), ("NaN", np.nan)):
        padded = subject.value(replace(sample, output=_put(full.output, put)))
        if not near(padded, masked, 1e-4):
            says = (
                f"{words}; what stands in a masked row must be a small finite number: {name} "
                f"there gives {padded:.6g}"
            )
            return Finding.depends(
                "mask",
                says,
                f"o = {name} in a masked row",
                "use where(mask, o−t, 0) before squaring",
                figures=figures,
            )
    return Finding.passed("mask", f"{words}; a masked row is no row", figures=figures)


def _put(output: Array, value: float) -> Array:
    changed = output.copy()
    changed[4:] = value
    return changed
