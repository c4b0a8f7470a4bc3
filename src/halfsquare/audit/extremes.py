"""What a loss does with input that is not two arrays of finite floats of one shape."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from halfsquare.audit.findings import Finding
from halfsquare.audit.law import near
from halfsquare.audit.samples import rows
from halfsquare.audit.subject import CallFailed, Sample, Subject


def measure(subject: Subject, sample: Sample) -> tuple[float, tuple[str, ...]]:
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
    """The same call four times, another between; the arguments after it; the rows reversed."""
    sample = rows(6, subject.shapes[0], seed=2).astype(subject.dtype)
    first = subject.evaluate(sample, False)
    measure(subject, rows(6, subject.shapes[0], seed=8).astype(subject.dtype))
    values = [measure(subject, sample)[0] for _ in range(3)]
    start = measure(subject, sample)[0] if first.value is None else subject.sign * first.total
    if not all(near(v, start, 1e-6) or (v != v and start != start) for v in values):
        says = (
            f"the same rows give {start:.6g}, then {', '.join(f'{v:.6g}' for v in values)}: "
            "it is random, or keeps a state"
        )
        return Finding.failed(
            "reproducible",
            says,
            "the same 6 rows, four times",
            "fix the seed, or reset what is kept",
        )
    if first.mutated:
        return Finding.failed(
            "reproducible",
            f"it changes the {first.mutated} that it is given",
            "6 rows; compare the arrays after the call",
            "work on a copy: o − t instead of o -= t",
        )
    order = sample.take(slice(None, None, -1))
    turned = measure(subject, order)[0]
    if not near(turned, start, 1e-4):
        return Finding.failed(
            "reproducible",
            f"the order of the rows matters: {start:.6g}, reversed {turned:.6g}",
            "6 rows, reversed",
        )
    return Finding.passed("reproducible", "the same rows give the same value, in any order")


def check_shapes(subject: Subject) -> Finding:
    """A target (n,) against an output (n, 1), and the reverse."""
    if not subject.has_value:
        return Finding.unchecked("shapes", "boosters give (n,) for (n,)")
    if () not in subject.shapes and (1,) not in subject.shapes and (2,) not in subject.shapes:
        return Finding.unchecked("shapes", "it takes neither (n,) nor (n, 1)")
    flat = rows(4, (), seed=4).astype(subject.dtype)
    column = replace(flat, target=flat.target[:, None], output=flat.output[:, None])
    right = None
    for sample in (flat, column):
        try:
            right = measure(subject, sample)[0]
            break
        except CallFailed:
            continue
    if right is None:
        return Finding.unchecked("shapes", "it takes neither (n,) nor (n, 1)")
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
        return Finding.passed("shapes", f"(n,) against (n, 1) is {told}")
    silent = any(s[1] == "silent" for s in wrong)
    return Finding.depends(
        "shapes",
        f"{wrong[0][0]} is broadcast to n × n "
        f"{'without a word' if silent else 'with a warning'}: {wrong[0][2]} for 4 rows",
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
        got, warned = measure(subject, replace(sample, output=output))
    except CallFailed:
        return Finding.passed(check, "it is refused")
    if not np.isfinite(got):
        return Finding.passed(
            check, f"it shows: the value is {'NaN' if got != got else 'infinite'}"
        )
    without = measure(subject, sample.take(np.array([0, 2, 3, 4, 5])))[0]
    how = "the row is left out" if near(got, without, 1e-4) else f"the value is {got:.6g}"
    return Finding.depends(
        check,
        f"{how} {'with a warning' if warned else 'without a word'}",
        f"6 rows, one output {put}: {got:.6g}; the other five: {without:.6g}",
        "refuse it, or count what is left out",
        silent=not warned,
    )


def check_empty(subject: Subject) -> Finding:
    """What a batch without rows gives."""
    sample = rows(4, subject.shapes[0]).astype(subject.dtype).take(slice(0, 0))
    try:
        got, warned = measure(subject, sample)
    except CallFailed as problem:
        return Finding.passed(
            "empty batch", f"it is refused: {str(problem).removeprefix('it raises ')}"
        )
    if got == 0:
        return Finding.passed("empty batch", "it gives 0")
    if not np.isfinite(got):
        return Finding.depends(
            "empty batch",
            f"it gives {got:g} {'with a warning' if warned else 'without a word'}: one "
            "empty batch or "
            "rank makes the total NaN",
            f"0 rows: {got:g}",
            "leave empty batches out, or sum and divide once",
            figures={},
        )
    return Finding.failed("empty batch", f"no rows give {got:.6g}", f"0 rows: {got:.6g}")
