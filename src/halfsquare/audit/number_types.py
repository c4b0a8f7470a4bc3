"""Whole numbers, single and half precision, and a level at which digits cancel."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from halfsquare.audit.convention import Convention
from halfsquare.audit.extremes import measure
from halfsquare.audit.findings import Finding
from halfsquare.audit.law import SINGLE, near, ratio
from halfsquare.audit.samples import rows
from halfsquare.audit.subject import CallFailed, Sample, Subject


def check_integers(subject: Subject) -> Finding:
    """Whole numbers, as int64 and as the uint8 of images: the same value as floats, or refused."""
    if not subject.has_value:
        return Finding.unchecked("integers", "boosters give floats")
    shape = subject.shapes[0]
    base = rows(6, shape, seed=9)
    target = np.round(base.target * 10)
    output = np.clip(target + np.where(base.error < 0, -12.0, 17.0), 0, 255)
    whole = Sample(target, output)
    right = measure(subject, whole.astype(subject.dtype))[0]
    refused = []
    for dtype in ("int64", "uint8"):
        try:
            got, warned = measure(subject, Sample(target.astype(dtype), output.astype(dtype)))
        except CallFailed:
            refused.append(dtype)
            continue
        if not near(got, right, 1e-4):
            why = (
                "differences wrap round at 256"
                if dtype == "uint8"
                else "whole numbers are rounded or overflow"
            )
            return Finding.depends(
                "integers",
                f"{dtype}: {got:.6g} instead of "
                f"{right:.6g}{'' if warned else ' without a word'}: {why}",
                _smallest(subject, dtype),
                "t, o = t.astype(float), o.astype(float)",
                silent=not warned,
            )
    said = (
        f"{' and '.join(refused)} refused" if refused else "int64 and uint8 give what floats give"
    )
    return Finding.passed("integers", said)


def _smallest(subject: Subject, dtype: str) -> str:
    shape = (6, *subject.shapes[0])
    low, high = np.full(shape, 0), np.full(shape, 16)
    try:
        got = measure(subject, Sample(high.astype(dtype), low.astype(dtype)))[0]
        right = measure(subject, Sample(high.astype(float), low.astype(float)))[0]
    except CallFailed:
        return ""
    return f"6 rows, t = 16, o = 0 as {dtype}: {got:.6g}, as floats {right:.6g}"


def check_single(subject: Subject, slope: Callable[[Subject], Finding]) -> Finding:
    """Value and gradient for float32 arrays against those for float64."""
    sample = rows(6, subject.shapes[0], seed=3)
    if subject.dtype == "float32":
        return Finding.passed("float32", "it takes float32 alone: every check was made in it")
    right, _ = measure(subject, sample)
    try:
        got, _ = measure(subject, sample.astype("float32"))
    except CallFailed as problem:
        return Finding.depends("float32", f"float32 arrays: {problem}", "6 rows of float32")
    off = abs(ratio(got, right) - 1) if right else abs(got)
    if not off < 1e-5:
        return Finding.failed(
            "float32", f"float32 arrays give {got:.6g} instead of {right:.6g}", "6 rows of float32"
        )
    if subject.has_gradient and subject.has_value:
        found = slope(replace(subject, dtype="float32"))
        if found.verdict == "fail" and slope(subject).verdict != "fail":  # else it is said already
            return Finding.failed(
                "float32",
                f"in float32 {found.says}",
                found.example,
                found.mend,
                figures=found.figures,
            )
    return Finding.passed(
        "float32",
        f"value to {off:.1g}"
        + (", gradient by central differences" if subject.has_gradient else ""),
    )


def check_half(subject: Subject) -> Finding:
    """Errors of 300 in float16: their squares exceed its largest number, 65,504."""
    shape = subject.shapes[0]
    sample = Sample(np.full((4, *shape), 400.0), np.full((4, *shape), 100.0))
    right = measure(subject, sample.astype(subject.dtype))[0]
    try:
        got, warned = measure(subject, sample.astype("float16"))
    except CallFailed:
        return Finding.passed("float16", "float16 is refused")
    if near(got, right, 5e-3):
        return Finding.passed("float16", "it is computed in a wider type")
    return Finding.depends(
        "float16",
        f"it overflows {'with a warning' if warned else 'without a word'}: an error of "
        f"300 gives {got:g} instead of {right:.6g}",
        f"4 rows, t = 400, o = 100 as float16: {got:g}",
        "convert to float32 before squaring",
        silent=bool(np.isfinite(got)),
    )


def check_cancellation(subject: Subject, found: Convention) -> Finding:
    """Errors of about ½ at a level where the difference is exact and the level's square is not."""
    if found.law is None or not (found.law.squared or found.law.base.startswith("root")):
        return Finding.unchecked("cancellation", "it is no function of o − t alone")
    if found.law.deviation > SINGLE:
        return Finding.unchecked("cancellation", "half precision has no digits to lose")
    sample = rows(6, subject.shapes[0], seed=1)
    level = 2.0**28 if subject.dtype == "float64" else 2.0**11
    right = measure(subject, sample.astype(subject.dtype))[0]
    lifted = Sample(sample.target + level, sample.output + level).astype(subject.dtype)
    # A loss that converts to float32 rounds its arguments: a lower level is still exact.
    if found.law.deviation > 1e-9 and subject.dtype == "float64":
        lifted, level = Sample(sample.target + 2.0**11, sample.output + 2.0**11), 2.0**11
    try:
        got = measure(subject, lifted)[0]
    except CallFailed as problem:
        return Finding.failed(
            "cancellation", f"targets of {level:.3g}: {problem}", f"t about {level:.3g}"
        )
    if near(got, right, 1e-3):
        return Finding.passed(
            "cancellation", f"targets of about {level:.2g} with errors of ½ lose nothing"
        )
    return Finding.failed(
        "cancellation",
        f"digits cancel: at targets of about {level:.2g} the value is {got:.6g} instead "
        f"of {right:.6g}",
        f"6 rows, t and o lifted by {level:.10g}: {got:.6g} instead of {right:.6g}",
        "subtract first, then square: (o−t)², not o² − 2ot + t²",
        figures={"level": level},
    )
