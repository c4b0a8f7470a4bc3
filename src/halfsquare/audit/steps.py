"""The audit of a training step ``step(batch) -> gradients``: batches, micro-batches, padding."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from halfsquare.audit.batches import Step, each, mask_of, take, target_of
from halfsquare.audit.findings import Finding
from halfsquare.audit.subject import CallFailed
from halfsquare.loss import Floats

_MEND = (
    "sum the squares over every micro-batch, divide once by all the rows (unmasked "
    "ones) of the step"
)


def check_step(step: Step) -> tuple[Finding, ...]:
    """The findings of a step; gradients are compared with respect to its own parameters."""
    first = _reproducible(step)
    if first.verdict == "fail":
        return (first,)
    checks: tuple[tuple[str, Callable[[Step], Finding]], ...] = (
        ("convention", _squared),
        ("adds", _several if step.several else _single),
        ("mask", _masked),
    )
    found = [first]
    for name, check in checks:
        try:
            found.append(check(step))
        except CallFailed as problem:
            found.append(Finding.failed(name, str(problem), "a batch with fewer rows"))
    return tuple(found)


def _off(found: Floats, true: Floats) -> float:
    """How far one gradient is from another, as a share of the true one."""
    return float(np.linalg.norm(found - true) / (np.linalg.norm(true) or 1.0))


def _reproducible(step: Step) -> Finding:
    one, two, three = (step.gradient(step.whole) for _ in range(3))
    if two.shape != one.shape:
        return Finding.failed(
            "reproducible", "the same batch gives gradients of another shape the second time"
        )
    if _off(two, one) < 1e-5:
        return Finding.passed("reproducible", "the same batch gives the same gradients")
    if (_off(three - two, two - one) < 1e-4 and _off(two - one, one) > 1e-4) or _off(
        two, 2 * one
    ) < 1e-4:
        return Finding.failed(
            "reproducible",
            "each call adds to the gradients of the one before",
            "the same batch, three times",
            "set the gradients to zero first: optimizer.zero_grad()",
        )
    return Finding.failed(
        "reproducible",
        f"the same batch gives other gradients ({_off(two, one):.3g} of the first off)",
        "the same batch, twice",
        "return the gradients without a step of the optimizer, without dropout or noise",
    )


def _squared(step: Step) -> Finding:
    """A squared error's gradient is a straight line in the target, whatever the model."""
    at = target_of(step.whole)
    if at is None:
        return Finding.unchecked("convention", "which array is the target is not known")

    def lifted(by: float) -> Floats:
        return step.gradient(each(step.whole, lambda i, a: a + by if i == at else a))

    zero, one, two = lifted(0.0), lifted(8.0), lifted(16.0)
    bend = float(np.linalg.norm(two - 2 * one + zero) / (np.linalg.norm(one - zero) or 1.0))
    if bend < 1e-3:
        return Finding.passed(
            "convention",
            "the gradient is a straight line in the target: a squared error; its factor "
            "needs the value",
        )
    return Finding.failed(
        "convention",
        f"the gradient is no straight line in the target ({bend:.3g} of the change): no "
        "squared error, "
        "or gradients are clipped",
        "targets lifted by 0, 8, 16",
    )


def _single(step: Step) -> Finding:
    """One batch a call: are the gradients of parts the sum, or the mean, of the gradient of all?"""
    whole = step.gradient(step.whole)
    cuts, sizes = _cuts(step.rows)
    parts = [step.gradient(take(step.whole, c)) for c in cuts]
    twice = step.gradient(take(step.whole, [*range(step.rows), *range(step.rows)]))
    total, mean = np.sum(parts, axis=0), np.mean(parts, axis=0)
    weighted = np.sum([n * p for n, p in zip(sizes, parts, strict=True)], axis=0) / step.rows
    figures: dict[str, Any] = {"batches": sizes}
    if _off(total, whole) < 1e-4:
        return Finding.passed(
            "adds",
            "the gradients of batches add to that of all rows; averaging them divides by "
            "their number",
            figures=figures,
        )
    if _off(weighted, whole) < 1e-4 and _off(twice, whole) < 1e-4:
        off = _off(mean, whole) * 100
        figures["gradient_off_percent"] = off
        says = (
            f"a mean: averaging batches of {', '.join(map(str, sizes))} rows (accumulation, "
            f"ranks) is {off:.3g} % of the true gradient off"
        )
        return Finding.depends(
            "adds", says, mend="weight each gradient by its rows: Σ n·g / Σ n", figures=figures
        )
    says = (
        f"neither the sum ({_off(total, whole):.1%} off) nor the mean by rows "
        f"({_off(weighted, whole):.1%} off) of the gradients of "
        f"batches of {', '.join(map(str, sizes))} is that of all rows"
    )
    return Finding.failed(
        "adds",
        says,
        f"every row twice: {_off(twice, whole):.1%} off the same gradient",
        _MEND,
        figures=figures,
    )


def _cuts(rows: int) -> tuple[list[slice], list[int]]:
    """Three equal batches and a short last one."""
    size = max(1, (rows - 1) // 3)
    starts = list(range(0, rows, size))
    cuts = [slice(s, min(s + size, rows)) for s in starts]
    if rows % size == 0 and size > 1:  # cut one row off, so that the last batch is short
        cuts = [*cuts[:-1], slice(cuts[-1].start, rows - 1), slice(rows - 1, rows)]
    return cuts, [c.stop - c.start for c in cuts]


def _several(step: Step) -> Finding:
    """Micro-batches in one call: the gradient must not depend on how the rows are cut."""
    whole = step.gradient(step.whole)
    cuts, sizes = _cuts(step.rows)
    batches = [take(step.whole, c) for c in cuts]
    found = step.gradient(*batches)
    off = _off(found, whole) * 100
    even_rows = 2 * (step.rows // 2)
    even_whole = step.gradient(take(step.whole, slice(0, even_rows)))
    even = step.gradient(
        *(take(step.whole, slice(i, i + even_rows // 2)) for i in (0, even_rows // 2))
    )
    even_off = _off(even, even_whole) * 100
    figures = {"batches": sizes, "gradient_off_percent": off, "equal_off_percent": even_off}
    if off < 1e-2 and even_off < 1e-2:
        return Finding.passed(
            "adds",
            f"micro-batches of {', '.join(map(str, sizes))} rows give the gradient of all "
            "rows at once",
            figures=figures,
        )
    example = f"{step.rows} rows at once against micro-batches of {', '.join(map(str, sizes))}"
    for times, word in ((2.0, "twice"), (0.5, "half")):
        if _off(even, times * even_whole) < 1e-4:
            how = (
                "not divided by their number" if times > 1 else "divided by their number too often"
            )
            says = f"two equal micro-batches give {word} the gradient of all rows: {how}"
            return Finding.failed("adds", says, example, _MEND, figures=figures)
    kind = (
        "equal micro-batches are right"
        if even_off < 1e-2
        else f"even two equal micro-batches are {even_off:.3g} % off"
    )
    says = (
        f"micro-batches of {', '.join(map(str, sizes))} rows give a gradient {off:.3g} "
        f"% of the true one off; {kind}"
    )
    return Finding.failed("adds", says, example, _MEND, figures=figures)


def _masked(step: Step) -> Finding:
    """Rows that the mask hides, unevenly over micro-batches, against the step without them."""
    at = mask_of(step.whole)
    if at is None:
        return Finding.unchecked("mask", "the batch has no mask")
    n = step.rows
    hidden = [i for i in range(n) if n // 2 <= i < n - 1]
    kept = [i for i in range(n) if i not in hidden]
    padded = each(step.whole, lambda i, a: _hide(a, hidden) if i == at else a)
    true = step.gradient(take(step.whole, kept))
    halves = (
        [take(padded, slice(0, n // 2)), take(padded, slice(n // 2, n))]
        if step.several
        else [padded]
    )
    off = _off(step.gradient(*halves), true) * 100
    how = (
        f"two micro-batches, of {n // 2} and 1 unmasked rows,"
        if step.several
        else f"{len(hidden)} masked rows in {n}"
    )
    if off < 1e-2:
        return Finding.passed("mask", "masked rows are no rows, however they fall on micro-batches")
    return Finding.failed(
        "mask",
        f"{how} give a gradient {off:.3g} % of the true one off",
        f"{n} rows, {len(hidden)} of them masked",
        _MEND,
        figures={"gradient_off_percent": off},
    )


def _hide(mask: Any, rows: list[int]) -> Any:
    hidden = mask.clone() if hasattr(mask, "clone") else np.array(mask)
    hidden[rows] = 0
    return hidden
