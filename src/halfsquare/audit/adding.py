"""Does it add: what an average over batches, accumulation steps or ranks gets wrong."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from halfsquare.audit.convention import Convention
from halfsquare.audit.findings import Finding
from halfsquare.audit.law import DIVISORS, near, ratio
from halfsquare.audit.samples import uneven
from halfsquare.audit.subject import CallFailed, Sample, Subject
from halfsquare.loss import Floats

_MEND = (
    "total += loss(t, o) · len(t) for every batch, divide by all rows once: SSE "
    "adds, MSE divides at the end"
)


def _shaped(subject: Subject) -> tuple[Sample, Floats, list[slice]]:
    """The uneven batches in a shape that the loss takes; several outputs are copies of one."""
    sample, inputs, batches = uneven()
    shape = subject.shapes[0]
    full = (13, *shape)
    spread = [
        np.broadcast_to(a.reshape(13, *[1] * len(shape)), full).copy()
        for a in (sample.target, sample.output)
    ]
    return Sample(spread[0], spread[1]).astype(subject.dtype), inputs, batches


def _weights_gradient(
    subject: Subject, found: Convention, sample: Sample, inputs: Floats
) -> Floats | None:
    """The gradient of a linear model's three weights: Xᵀ g, with g by the loss, else its law."""
    try:
        gradient = subject.gradient(sample) if subject.has_gradient else None
    except CallFailed:  # the check of the gradient says so
        gradient = None
    law = found.column if found.column and len(subject.shapes[0]) else found.law
    if gradient is None and law is not None and law.squared:
        gradient = (
            2
            * law.factor
            * sample.error
            / (DIVISORS[law.divisor](sample.rows, sample.outputs) or np.nan)
        )
    if gradient is None or gradient.size != sample.output.size:
        return None
    total: Floats = inputs.T @ gradient.reshape(sample.rows, -1).sum(1)
    return total


def check_adding(subject: Subject, found: Convention) -> Finding:
    """Sum and mean of batch values against the value of all rows, for even and uneven batches."""
    sample, inputs, batches = _shaped(subject)
    if subject.accumulate is not None:
        found_here = _metric(subject, sample, batches)
        if found_here.verdict == "pass" or subject.shapes[0] or (2,) not in subject.shapes:
            return found_here
        # Keras takes the mean over the last axis first: of (n,) arrays, over the batch.
        wide = _metric(subject, _shaped(replace(subject, shapes=((2,),)))[0], batches)
        says = f"of (n, k) arrays: {wide.says}; of (n,) arrays: {found_here.says}"
        return (
            found_here
            if wide.verdict == "fail"
            else replace(
                found_here, verdict="depends", says=says, mend="give it (n, 1) arrays, not (n,)"
            )
        )
    if not subject.has_value:
        return _objective(subject)
    try:
        whole, parts = subject.value(sample), [subject.value(sample.take(b)) for b in batches]
        even = subject.value(sample.take(slice(0, 12)))
        gradients = [
            _weights_gradient(subject, found, sample.take(b), inputs[b])
            for b in (slice(0, 13), *batches)
        ]
    except CallFailed as problem:
        return Finding.failed(
            "adds", f"a batch of 4 rows, or of one,: {problem}", "batches of 4, 4, 4 and 1 row"
        )
    if not np.isfinite([whole, *parts, even]).all():
        return Finding.failed(
            "adds",
            f"batches of 4, 4, 4 and 1 give {', '.join(f'{p:.4g}' for p in parts)}",
            "a batch of one row",
            "do not divide by n − 1, or by a spread, of a batch",
        )
    law = found.law
    tolerance = max(1e-4, 4 * law.deviation) if law else 1e-4
    figures = {"whole": whole, "batches": parts}
    if near(sum(parts), whole, tolerance):
        says = (
            "the values of batches add to that of all rows, uneven or not; whoever "
            "averages them (4 batches, or ranks) "
        )
        return Finding.passed(
            "adds", says + "gets a quarter of value and gradient", figures=figures
        )
    sizes = [b.stop - b.start for b in batches]
    weighted = sum(n * p for n, p in zip(sizes, parts, strict=True)) / 13
    mean = float(np.mean(parts))
    off = (ratio(mean, whole) - 1) * 100
    figures |= {"mean_of_batches": mean, "value_off_percent": off}
    if near(weighted, whole, tolerance):
        return _mean_of_means(gradients, off, figures)
    rooted = sum(n * p * p for n, p in zip(sizes, parts, strict=True)) / 13
    evenly = (ratio(float(np.mean(parts[:3])), even) - 1) * 100
    if near(rooted, whole**2, tolerance) or (law is not None and law.base.startswith("root")):
        says = (
            f"a root: averaging batch values is {evenly:+.3g} % off even for equal batches, "
            f"{off:+.3g} % for 4, 4, 4 and 1"
        )
        return Finding.depends(
            "adds",
            says,
            figures=figures,
            example=_numbers(parts, whole),
            mend="average the MSE with its rows, take the root once, at the end",
        )
    says = (
        f"neither the sum ({sum(parts):.4g}) nor the mean by rows ({weighted:.4g}) of "
        f"batch values is that of all rows ({whole:.4g})"
    )
    return Finding.failed(
        "adds",
        says,
        _numbers(parts, whole),
        "sum the squares; divide once, by the number of all rows",
        figures=figures,
    )


def _mean_of_means(
    gradients: list[Floats | None], off: float, figures: dict[str, object]
) -> Finding:
    says = (
        "a mean: equal batches may be averaged; with batches of 4, 4, 4 and 1 the mean "
        f"of their values is {off:+.3g} % off"
    )
    true = gradients[0]
    parts = [g for g in gradients[1:] if g is not None]
    if true is None or len(parts) < 4:
        error = None
    else:
        error = (
            float(np.linalg.norm(np.mean(parts, axis=0) - true) / (np.linalg.norm(true) or 1.0))
            * 100
        )
    if error is not None:
        figures |= {"gradient_off_percent": error}
        says += (
            f", of their gradients (accumulation steps, ranks) {error:.3g} % of the true gradient"
        )
    return Finding.depends(
        "adds",
        f"{says}; the last row counts 3.25 times",
        _numbers(figures["batches"], figures["whole"]),
        _MEND,
        figures=figures,
    )


def _numbers(parts: object, whole: object) -> str:
    values = ", ".join(f"{p:.4g}" for p in parts)  # type: ignore[attr-defined]
    return f"13 rows in batches of 4, 4, 4 and 1: {values}; all rows: {whole:.4g}"


def _metric(subject: Subject, sample: Sample, batches: list[slice]) -> Finding:
    """A metric does its own accumulation: it has to give the value of all rows."""
    assert subject.accumulate is not None
    try:
        whole, over = (
            subject.evaluate(sample, False).total,
            subject.accumulate([sample.take(b) for b in batches]),
        )
    except CallFailed as problem:
        return Finding.failed(
            "adds", f"updating it with batches: {problem}", "batches of 4, 4, 4 and 1 row"
        )
    figures = {"whole": whole, "over_batches": over}
    if near(over, whole, 1e-4):
        return Finding.passed(
            "adds",
            "updated with batches of 4, 4, 4 and 1 it gives the value of all rows",
            figures=figures,
        )
    off = (ratio(over, whole) - 1) * 100
    return Finding.failed(
        "adds",
        f"updated with batches of 4, 4, 4 and 1 it is {off:+.3g} % off the value of all rows",
        f"all 13 rows at once: {whole:.6g}; in batches: {over:.6g}",
        "keep Σ(o−t)² and the number of rows; divide, and take a root, once, in compute()",
        figures=figures | {"value_off_percent": off},
    )


def _objective(subject: Subject) -> Finding:
    """A booster adds gradients of rows: a row's must not depend on which others are there."""
    sample = _shaped(subject)[0]
    try:
        alone, among = (
            subject.evaluate(sample.take(slice(0, 4)), True),
            subject.evaluate(sample, True),
        )
    except CallFailed as problem:
        return Finding.failed("adds", f"4 rows: {problem}", "4 rows")
    assert alone.gradient is not None and among.gradient is not None
    a, b = alone.gradient.reshape(4, -1), among.gradient.reshape(13, -1)[:4]
    if np.allclose(a, b, rtol=1e-4):
        return Finding.passed("adds", "a row's gradient does not depend on the other rows")
    times = float(np.median(b / a))
    return Finding.failed(
        "adds",
        f"a row's gradient among 13 rows is {times:.4g} × that among 4: the Hessian "
        "shrinks with the data, so "
        "min_child_weight and the penalties rule out splits that the built-in objective makes",
        f"the same row among 4: {a.flat[0]:.6g}, among 13: {b.flat[0]:.6g}",
        "do not divide by the number of rows",
        figures={"ratio": times},
    )
