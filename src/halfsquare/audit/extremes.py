"""What a loss does with input that is not two arrays of finite floats of one shape."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from halfsquare.audit.convention import Convention
from halfsquare.audit.findings import Finding
from halfsquare.audit.law import near, ratio
from halfsquare.audit.samples import rows
from halfsquare.audit.subject import CallFailed, Sample, Subject


def _measure(subject: Subject, sample: Sample) -> tuple[float, tuple[str, ...]]:
    """The value, or Σ g (o−t) of an objective, and what was warned of."""
    found = subject.evaluate(sample, not subject.has_value)
    if found.value is not None:
        return subject.sign * found.total, found.warned
    assert found.gradient is not None
    error = sample.error
    with np.errstate(all="ignore"):
        if found.gradient.size != error.size:
            return float(np.sum(found.gradient)), found.warned
        return float(np.sum(found.gradient.reshape(error.shape) * error)), found.warned


def check_reproducible(subject: Subject) -> Finding:
    """The same call three times, another between; the arguments after it; the rows in another order."""
    sample = rows(6, subject.shapes[0], seed=2).astype(subject.dtype)
    first = subject.evaluate(sample, False)
    _measure(subject, rows(4, subject.shapes[0], seed=8).astype(subject.dtype))
    values = [_measure(subject, sample)[0] for _ in range(3)]
    start = _measure(subject, sample)[0] if first.value is None else subject.sign * first.total
    if not all(near(v, start, 1e-6) or (v != v and start != start) for v in values):
        says = f"the same rows give {start:.6g}, then {', '.join(f'{v:.6g}' for v in values)}: it is random, or keeps a state"
        return Finding(
            "reproducible",
            "fail",
            says,
            "the same 6 rows, four times",
            "fix the seed, or reset what is kept",
        )
    if first.mutated:
        return Finding("reproducible", "fail", f"it changes the {first.mutated} that it is given",
                       "6 rows; compare the arrays after the call", "work on a copy: o − t instead of o -= t")  # fmt: skip
    order = sample.take(slice(None, None, -1))
    turned = _measure(subject, order)[0]
    if not near(turned, start, 1e-4):
        return Finding(
            "reproducible",
            "fail",
            f"the order of the rows matters: {start:.6g}, reversed {turned:.6g}",
            "6 rows, reversed",
        )
    return Finding("reproducible", "pass", "the same rows give the same value, in any order")


def check_shapes(subject: Subject) -> Finding:
    """A target (n,) against an output (n, 1), and the reverse."""
    if not subject.has_value:
        return Finding("shapes", "not checked", "boosters give (n,) for (n,)")
    if () not in subject.shapes and (1,) not in subject.shapes and (2,) not in subject.shapes:
        return Finding("shapes", "not checked", "it takes neither (n,) nor (n, 1)")
    flat = rows(4, (), seed=4).astype(subject.dtype)
    column = replace(flat, target=flat.target[:, None], output=flat.output[:, None])
    right = None
    for sample in (flat, column):
        try:
            right = _measure(subject, sample)[0]
            break
        except CallFailed:
            continue
    if right is None:
        return Finding("shapes", "not checked", "it takes neither (n,) nor (n, 1)")
    said = []
    for words, mixed in (
        ("t (n,), o (n, 1)", replace(flat, output=flat.output[:, None])),
        ("t (n, 1), o (n,)", replace(flat, target=flat.target[:, None])),
    ):
        try:
            got, warned = _mixed(subject, mixed)
        except CallFailed as problem:
            said.append((words, "refused", str(problem)))
            continue
        if near(got, right, 1e-4):
            said.append((words, "same", ""))
        else:
            said.append(
                (words, "warned" if warned else "silent", f"{got:.6g} instead of {right:.6g}")
            )
    wrong = [s for s in said if s[1] in ("silent", "warned")]
    if not wrong:
        told = "refused" if any(s[1] == "refused" for s in said) else "taken for the same"
        return Finding("shapes", "pass", f"(n,) against (n, 1) is {told}")
    silent = any(s[1] == "silent" for s in wrong)
    return Finding(
        "shapes",
        "depends",
        f"{wrong[0][0]} is broadcast to n × n {'without a word' if silent else 'with a warning'}: {wrong[0][2]} for 4 rows",
        f"4 rows, {wrong[0][0]}: {wrong[0][2]}",
        "t = t.reshape(o.shape) before the loss, or refuse other shapes",
        silent=silent,
        figures={"right": right},
    )


def _mixed(subject: Subject, sample: Sample) -> tuple[float, tuple[str, ...]]:
    found = subject.evaluate(sample, not subject.has_value)
    if found.value is not None:
        return subject.sign * found.total, found.warned
    assert found.gradient is not None
    error = (np.ravel(sample.output) - np.ravel(sample.target)).reshape(-1)
    if found.gradient.size != error.size:
        return float("nan"), found.warned
    return float(np.sum(np.ravel(found.gradient) * error)), found.warned


def check_not_finite(subject: Subject, check: str) -> Finding:
    """An output that is NaN or infinite must show: it is refused, or the value is not finite."""
    put = np.nan if check == "NaN" else np.inf
    sample = rows(6, subject.shapes[0], seed=4).astype(subject.dtype)
    output = sample.output.copy()
    output[1] = put
    try:
        got, warned = _measure(subject, replace(sample, output=output))
    except CallFailed:
        return Finding(check, "pass", "it is refused")
    if not np.isfinite(got):
        return Finding(
            check, "pass", f"it shows: the value is {'NaN' if got != got else 'infinite'}"
        )
    without = _measure(subject, sample.take(np.array([0, 2, 3, 4, 5])))[0]
    how = "the row is left out" if near(got, without, 1e-4) else f"the value is {got:.6g}"
    return Finding(check, "depends", f"{how} {'with a warning' if warned else 'without a word'}",
                   f"6 rows, one output {put}: {got:.6g}; the other five: {without:.6g}",
                   "refuse it, or count what is left out", silent=not warned)  # fmt: skip


def check_empty(subject: Subject) -> Finding:
    """What a batch without rows gives."""
    sample = rows(4, subject.shapes[0]).astype(subject.dtype).take(slice(0, 0))
    try:
        got, warned = _measure(subject, sample)
    except CallFailed as problem:
        return Finding(
            "empty batch", "pass", f"it is refused: {str(problem).removeprefix('it raises ')}"
        )
    if got == 0:
        return Finding("empty batch", "pass", "it gives 0")
    if not np.isfinite(got):
        return Finding("empty batch", "depends", f"it gives {got:g} {'with a warning' if warned else 'without a word'}: one empty batch or "
                       "rank makes the total NaN", f"0 rows: {got:g}", "leave empty batches out, or sum and divide once",
                       figures={})  # fmt: skip
    return Finding("empty batch", "fail", f"no rows give {got:.6g}", f"0 rows: {got:.6g}")


def check_integers(subject: Subject) -> Finding:
    """Whole numbers, as int64 and as the uint8 of images: the same value as floats, or refused."""
    if not subject.has_value:
        return Finding("integers", "not checked", "boosters give floats")
    shape = subject.shapes[0]
    base = rows(6, shape, seed=9)
    target = np.round(base.target * 10)
    output = np.clip(target + np.where(base.error < 0, -12.0, 17.0), 0, 255)
    whole = Sample(target, output)
    right = _measure(subject, whole.astype(subject.dtype))[0]
    refused = []
    for dtype in ("int64", "uint8"):
        try:
            got, warned = _measure(subject, Sample(target.astype(dtype), output.astype(dtype)))
        except CallFailed:
            refused.append(dtype)
            continue
        if not near(got, right, 1e-4):
            why = (
                "differences wrap round at 256"
                if dtype == "uint8"
                else "whole numbers are rounded or overflow"
            )
            return Finding("integers", "depends", f"{dtype}: {got:.6g} instead of {right:.6g}{'' if warned else ' without a word'}: {why}",
                           _smallest(subject, dtype), "t, o = t.astype(float), o.astype(float)", silent=not warned)  # fmt: skip
    said = (
        f"{' and '.join(refused)} refused" if refused else "int64 and uint8 give what floats give"
    )
    return Finding("integers", "pass", said)


def _smallest(subject: Subject, dtype: str) -> str:
    shape = (6, *subject.shapes[0])
    low, high = np.full(shape, 0), np.full(shape, 16)
    try:
        got = _measure(subject, Sample(high.astype(dtype), low.astype(dtype)))[0]
        right = _measure(subject, Sample(high.astype(float), low.astype(float)))[0]
    except CallFailed:
        return ""
    return f"6 rows, t = 16, o = 0 as {dtype}: {got:.6g}, as floats {right:.6g}"


def check_single(subject: Subject, slope: Callable[[Subject], Finding]) -> Finding:
    """Value and gradient for float32 arrays against those for float64."""
    sample = rows(6, subject.shapes[0], seed=3)
    if subject.dtype == "float32":
        return Finding("float32", "pass", "it takes float32 alone: every check was made in it")
    right, _ = _measure(subject, sample)
    try:
        got, _ = _measure(subject, sample.astype("float32"))
    except CallFailed as problem:
        return Finding("float32", "depends", f"float32 arrays: {problem}", "6 rows of float32")
    off = abs(ratio(got, right) - 1) if right else abs(got)
    if not off < 1e-5:
        return Finding(
            "float32",
            "fail",
            f"float32 arrays give {got:.6g} instead of {right:.6g}",
            "6 rows of float32",
        )
    if subject.has_gradient and subject.has_value:
        found = slope(replace(subject, dtype="float32"))
        if found.verdict == "fail" and slope(subject).verdict != "fail":  # else it is said already
            return Finding(
                "float32",
                "fail",
                f"in float32 {found.says}",
                found.example,
                found.mend,
                figures=found.figures,
            )
    return Finding(
        "float32",
        "pass",
        f"value to {off:.1g}"
        + (", gradient by central differences" if subject.has_gradient else ""),
    )


def check_half(subject: Subject) -> Finding:
    """Errors of 300 in float16: their squares exceed its largest number, 65,504."""
    shape = subject.shapes[0]
    sample = Sample(np.full((4, *shape), 400.0), np.full((4, *shape), 100.0))
    right = _measure(subject, sample.astype(subject.dtype))[0]
    try:
        got, warned = _measure(subject, sample.astype("float16"))
    except CallFailed:
        return Finding("float16", "pass", "float16 is refused")
    if near(got, right, 5e-3):
        return Finding("float16", "pass", "it is computed in a wider type")
    return Finding("float16", "depends", f"it overflows {'with a warning' if warned else 'without a word'}: an error of 300 gives {got:g} instead of {right:.6g}",
                   f"4 rows, t = 400, o = 100 as float16: {got:g}", "convert to float32 before squaring",
                   silent=bool(np.isfinite(got)))  # fmt: skip


def check_cancellation(subject: Subject, found: Convention) -> Finding:
    """Errors of about ½ at a level where the difference is exact and the square of the level is not."""
    if found.law is None or not (found.law.squared or found.law.base.startswith("root")):
        return Finding("cancellation", "not checked", "it is no function of o − t alone")
    sample = rows(6, subject.shapes[0], seed=1)
    level = 2.0**28 if subject.dtype == "float64" else 2.0**11
    right = _measure(subject, sample.astype(subject.dtype))[0]
    lifted = Sample(sample.target + level, sample.output + level).astype(subject.dtype)
    # A loss that converts to float32 rounds its arguments: then no level is exact, and nothing is learned.
    if found.law.deviation > 1e-9 and subject.dtype == "float64":
        lifted, level = Sample(sample.target + 2.0**11, sample.output + 2.0**11), 2.0**11
    try:
        got = _measure(subject, lifted)[0]
    except CallFailed as problem:
        return Finding(
            "cancellation", "fail", f"targets of {level:.3g}: {problem}", f"t about {level:.3g}"
        )
    if near(got, right, 1e-3):
        return Finding(
            "cancellation", "pass", f"targets of about {level:.2g} with errors of ½ lose nothing"
        )
    return Finding("cancellation", "fail", f"digits cancel: at targets of about {level:.2g} the value is {got:.6g} instead of {right:.6g}",
                   f"6 rows, t and o lifted by {level:.10g}: {got:.6g} instead of {right:.6g}",
                   "subtract first, then square: (o−t)², not o² − 2ot + t²", figures={"level": level})  # fmt: skip
