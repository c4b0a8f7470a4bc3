"""What is said of a convention once it is found: which, what is unusual about it, what is wrong."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from halfsquare.audit.claims import example_of
from halfsquare.audit.convention import Convention
from halfsquare.audit.findings import Finding
from halfsquare.audit.law import SINGLE, Law, near, ratio
from halfsquare.audit.samples import one
from halfsquare.audit.subject import CallFailed, Subject

_MEANING = {
    "sse": "SSE: the sum over rows and outputs",
    "half_sse": "½SSE: half the sum over rows and outputs",
    "mse": "MSE: the mean over rows and outputs",
    "half_mse": "½MSE: half the mean over rows and outputs",
    "mse_over_rows": "the mean over rows of each row's sum over outputs",
    "half_mse_over_rows": "half the mean over rows of each row's sum over outputs",
    "sse_over_outputs": "the sum over rows of each row's mean over outputs",
    "half_sse_over_outputs": "half the sum over rows of each row's mean over outputs",
    "rmse": "RMSE: the root of the mean over rows and outputs",
    "rmse_over_rows": "the root of the mean over rows of each row's sum",
    "root_sse": "the root of the sum (Euclidean norm)",
    "mean_of_output_rmse": "the mean over outputs of each output's RMSE",
    "mean_of_row_rmse": "the mean over rows of each row's RMSE",
}


_WRONG = {
    "every pair": (
        "every target is compared with every output: inside, (n,) meets (n, 1)",
        "bring both to one shape first: t = t.reshape(o.shape)",
    ),
    "square of the sum": ("errors cancel before they are squared", "square first, then sum"),
    "squares of row sums": (
        "the errors of a row cancel before they are squared",
        "square first, then sum",
    ),
    "squares of output sums": (
        "the errors of an output cancel before they are squared",
        "square first, then sum",
    ),
    "deviations": (
        "a common error of all rows goes unseen: it is the variance of the errors",
        "do not subtract the mean",
    ),
    "deviations from one mean": (
        "a common error goes unseen: it is the variance of the errors",
        "do not subtract the mean",
    ),
    "first row": ("only the first row counts", "sum over rows"),
    "last row": (
        "only the last row counts: it is overwritten, not added to",
        "total += …, not total = …",
    ),
    "first output": ("only the first output counts", "sum over outputs"),
}


_TWICE = {
    "n²": "rows",
    "(n²·k)": "rows",
    "(n·k²)": "outputs",
    "(n·k)²": "rows and outputs",
    "k²": "outputs",
}


def check_convention(subject: Subject, found: Convention) -> Finding:
    """The finding of the convention, with the factor and what is unusual about it."""
    law = found.law
    figures: dict[str, object] = {"returns": found.returns}
    if law is None:
        return _something_else(subject)
    figures |= {"factor": law.factor, "divisor": law.divisor or "1", "base": law.base}
    shown = replace(law, factor=abs(law.factor)) if law.factor < 0 else law
    words = f"{_MEANING[shown.name]}; " if shown.name in _MEANING else ""
    says = f"{words}{'objective of ' if not subject.has_value else ''}{shown.formula()}"
    if found.column is not None:
        says += f"; of (n, k) arrays {found.column.formula()}"
    if found.returns != "one number":
        says += f", returned as {found.returns}"
    example = example_of(subject, found)
    laws = [law] if found.column is None else [law, found.column]
    for each in laws:
        if each.base in _WRONG:
            why, mend = _WRONG[each.base]
            return Finding.failed(
                "convention",
                f"no squared error: {each.formula()}; {why}",
                example,
                mend,
                figures=figures,
            )
        if each.divisor in _TWICE and each.squared:
            twice = f"{says}: divided by {_TWICE[each.divisor]} twice"
            mend = "sum the squares, then divide once, or use .mean() alone"
            return Finding.failed("convention", twice, example, mend, figures=figures)
        if each.divisor.startswith("(1/") and each.squared:
            more = f"{says}: more rows or outputs make it grow twice over"
            return Finding.failed(
                "convention", more, example, "divide by n, do not multiply", figures=figures
            )
    if found.broken:
        says = (
            f"of {found.broken} arrays no squared error, and no other function that is "
            f"known here; else {law.formula()}"
        )
        return Finding.failed("convention", says, example, figures=figures)
    if any(each.base == "root of each row" for each in laws) and not _flat_only(subject):
        says = (
            f"no squared error: {found.formula()}; it is a sum of distances, not of their squares"
        )
        return Finding.failed(
            "convention", says, example, "take the root once, at the end", figures=figures
        )
    if any(not (each.squared or each.base.startswith("root")) for each in laws):
        return Finding.failed(
            "convention", f"no squared error: {law.formula()}", example, figures=figures
        )
    if found.offset:
        figures |= {"constant": found.offset}
        says += (
            ", "
            f"{'with a constant under the root' if found.power == 2 else 'plus a constant'}: "
            f"{found.offset:.4g}"
        )
        if found.power == 1:
            return Finding.depends(
                "convention", says, example, "leave constants out of the loss", figures=figures
            )
    if law.deviation > SINGLE:
        says += f"; computed in half precision: up to {law.deviation:.1g} of the value off"
        return Finding.depends(
            "convention", says, example, "convert to float32 first", silent=True, figures=figures
        )
    if not law.squared:
        root = (
            f"{says}: a root, so it does not add, and its gradient is that of the MSE over 2·RMSE"
        )
        return Finding.depends(
            "convention", root, mend="train on the MSE; take the root at the end", figures=figures
        )
    if law.name is None and shown.name is None:
        unusual = (
            f"{says}: same minimiser, but a step size or penalty tuned for the MSE means "
            "something else here"
        )
        return Finding.depends("convention", unusual, example, figures=figures)
    if found.column is not None:
        both = f"{says}: what is divided by depends on the shape"
        return Finding(
            "convention", "depends" if _differ(law, found.column) else "pass", both, figures=figures
        )
    return Finding.passed("convention", says, figures=figures)


def _flat_only(subject: Subject) -> bool:
    """Whether it takes one output a row only; then a row's root is its absolute error."""
    return all(s in ((), (1,)) for s in subject.shapes)


def _differ(flat: Law, wide: Law) -> bool:
    """Whether (n, k) arrays differ from (n,) by more than what is divided by."""
    return not near(flat.factor, wide.factor) or flat.base != wide.base


def _something_else(subject: Subject) -> Finding:
    """No law fits: say which property of a squared error is missing."""
    small, large = 1 / 64, 64.0
    try:
        ratios = [
            ratio(_equal(subject, 2.0, 2.0 + 2 * c), _equal(subject, 2.0, 2.0 + c))
            for c in (small, large)
        ]
        sides = ratio(_equal(subject, 2.0, 2.5), _equal(subject, 2.0, 1.5))
        moved = ratio(_equal(subject, 12.0, 12.5), _equal(subject, 2.0, 2.5))
    except CallFailed as problem:
        return Finding.failed("convention", f"no squared error: {problem}")
    says = "no squared error, and no other function of the errors that is known here"
    figures = {"ratio_small": ratios[0], "ratio_large": ratios[1], "ratio_moved": moved}
    shown = (
        f"doubling errors of {small:g} multiplies it by {ratios[0]:.4g}, of {large:g} "
        f"by {ratios[1]:.4g} (a square: 4, 4)"
    )
    if near(ratios[0], 4.0, 1e-3) and not near(ratios[1], 4.0, 1e-3):
        limit = _limit(subject)
        says = (
            f"squared up to an error of {limit:.3g} only, then it grows slower (clipped, or "
            f"a Huber loss); {shown}"
        )
        figures["limit"] = limit
    elif np.isfinite(moved) and not near(moved, 1.0, 1e-3):
        says += (
            "; it depends on the level: the same error at targets of 12 instead of 2 gives "
            f"{moved:.4g} times the value"
        )
    elif np.isfinite(sides) and not near(sides, 1.0, 1e-3):
        says += f"; an output too high by ½ costs {sides:.4g} times one too low by ½"
    elif all(near(r, 4.0, 1e-3) for r in ratios):
        says += (
            "; it is a square in each error, but rows or outputs do not count alike, or a "
            "constant depends on the sample"
        )
    else:
        says += f"; {shown}"
    example = f"4 rows, t = 2, o = 3: {_equal(subject, 2.0, 3.0):.6g}" if _works(subject) else ""
    return Finding.failed("convention", says, example, figures=figures)


def _equal(subject: Subject, target: float, output: float) -> float:
    return subject.value(one(target, output, subject.shapes[0], 4).astype(subject.dtype))


def _works(subject: Subject) -> bool:
    try:
        return bool(np.isfinite(_equal(subject, 2.0, 3.0)))
    except CallFailed:
        return False


def _limit(subject: Subject) -> float:
    """The error from which on a loss is no longer c·e², by bisection."""

    def scaled(size: float) -> float:
        return _equal(subject, 2.0, 2.0 + size) / size**2

    low, high, start = 1 / 64, 64.0, scaled(1 / 64)
    for _ in range(30):
        middle = (low * high) ** 0.5
        low, high = (middle, high) if near(scaled(middle), start, 1e-6) else (low, middle)
    return high
