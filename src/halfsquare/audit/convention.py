"""The check of the convention: which multiple of Σ(o−t)² a loss computes, or what it computes instead."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

import numpy as np

from halfsquare.audit.findings import Finding
from halfsquare.audit.law import HALF, SINGLE, Law, factor_words, find_law, find_lifted, near, ratio
from halfsquare.audit.samples import ROWS, SIZES, one, rows
from halfsquare.audit.subject import CallFailed, Sample, Subject

# Small errors, those of about 1, and large ones: a loss that is clipped, or a Huber loss, changes in between.
SCALES = (1.0, 1 / 64, 1.0, 64.0)


@dataclass(frozen=True)
class Convention:
    """What the values of a loss obey; ``column`` where (n, k) arrays obey another law than (n,)."""

    law: Law | None
    column: Law | None = None
    returns: str = "one number"
    power: int = 1
    offset: float = 0.0
    broken: str = ""  # the arrays, (n,) or (n, k), of which it is no known function

    @property
    def name(self) -> str | None:
        return None if self.law is None else self.law.name

    def formula(self) -> str:
        if self.law is None:
            return ""
        return self.law.formula() + (
            f"; of (n, k) arrays {self.column.formula()}" if self.column else ""
        )


def flat_samples(subject: Subject, scales: tuple[float, ...] = SCALES) -> list[Sample]:
    """Samples of one output a row, in the shape that the loss takes."""
    shape = next((s for s in subject.shapes if s in ((), (1,))), None)
    return [] if shape is None else [rows(n, shape, seed=i, scale=c).astype(subject.dtype)
                                     for i, (n, c) in enumerate(zip(ROWS, scales, strict=True))]  # fmt: skip


def wide_samples(subject: Subject, scales: tuple[float, ...] = SCALES) -> list[Sample]:
    """Samples of several outputs a row."""
    if (2,) in subject.shapes:
        return [rows(n, (k,), seed=i, scale=c).astype(subject.dtype)
                for i, ((n, k), c) in enumerate(zip(SIZES, scales, strict=True))]  # fmt: skip
    wide = next((s for s in subject.shapes if len(s) > 1), None)
    if wide is None:
        return []
    other = (*(size + 1 for size in wide[:-1]), wide[-1] - 1)
    return [rows(n, wide if i % 2 else other, seed=i, scale=c).astype(subject.dtype)
            for i, (n, c) in enumerate(zip(ROWS, scales, strict=True))]  # fmt: skip


def find_convention(subject: Subject) -> Convention:
    """The law of a loss with a value, from some sixteen calls."""
    flat, wide = flat_samples(subject), wide_samples(subject)
    values = []
    for sample in [*flat, *wide]:
        try:
            values.append(subject.value(sample))
        except CallFailed:
            values.append(float("nan"))
    returns = _returns(subject, flat, wide)
    law = find_law([*flat, *wide], values)
    if law is not None:
        return Convention(law, returns=returns)
    lifted = find_lifted([*flat, *wide], values)
    if lifted is not None:
        return Convention(lifted[0], None, returns, *lifted[1:])
    # Logarithms of negative outputs are NaN: what is left may still tell that it is one of them.
    some = [i for i, v in enumerate(values) if np.isfinite(v)]
    law = (
        find_law([[*flat, *wide][i] for i in some], [values[i] for i in some])
        if len(some) > 3
        else None
    )
    if law is not None and not law.squared:
        return Convention(law, returns=returns)
    plain = [
        i for i in range(len(values)) if i % 4 in (0, 2)
    ]  # errors of about ½, which float16 holds
    law = find_law([[*flat, *wide][i] for i in plain], [values[i] for i in plain], HALF)
    if law is not None and law.squared and law.deviation > SINGLE:
        return Convention(law, returns=returns)
    if not flat or not wide:
        return Convention(None, returns=returns)
    first, second = find_law(flat, values[: len(flat)]), find_law(wide, values[len(flat) :])
    if first is not None and second is not None:
        return Convention(first, second, returns)
    return Convention(first or second, None, returns, broken="(n, k)" if first else "(n,)")


def _returns(subject: Subject, flat: list[Sample], wide: list[Sample]) -> str:
    """The shape of what is returned, in words."""
    sample = wide[1] if wide else flat[1]
    try:
        value = subject.evaluate(sample, False).value
    except CallFailed:
        return "one number"
    if value is None or value.size == 1:
        return "one number"
    if value.shape == sample.output.shape:
        return "one number for each output of each row" if wide else "one number for each row"
    if value.shape[0] == sample.rows:
        return "one number for each row"
    return (
        "one number for each output"
        if value.size == sample.outputs
        else f"an array of shape {value.shape}"
    )


def gradient_convention(subject: Subject) -> Convention:
    """The law of an objective without a value: its gradient is that of ½ c Σ(o−t)² / D."""
    samples = [*flat_samples(subject), *wide_samples(subject)]
    values = []
    for sample in samples:
        gradient = subject.gradient(sample)
        # Σ g (o−t) = 2 V for every multiple V of the squared error, by Euler's theorem: V is of degree two.
        fits = gradient is not None and gradient.size == sample.output.size
        values.append(
            float(np.sum(gradient.reshape(sample.error.shape) * sample.error)) / 2
            if fits
            else np.nan
        )  # type: ignore[union-attr]
    flat = len(flat_samples(subject))
    law = find_law(samples, values) or (find_law(samples[:flat], values[:flat]) if flat else None)
    return Convention(law)


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
    "every pair": ("every target is compared with every output: inside, (n,) meets (n, 1)",
                   "bring both to one shape first: t = t.reshape(o.shape)"),
    "square of the sum": ("errors cancel before they are squared", "square first, then sum"),
    "squares of row sums": ("the errors of a row cancel before they are squared", "square first, then sum"),
    "squares of output sums": ("the errors of an output cancel before they are squared", "square first, then sum"),
    "deviations": ("a common error of all rows goes unseen: it is the variance of the errors", "do not subtract the mean"),
    "deviations from one mean": ("a common error goes unseen: it is the variance of the errors", "do not subtract the mean"),
    "first row": ("only the first row counts", "sum over rows"),
    "last row": ("only the last row counts: it is overwritten, not added to", "total += …, not total = …"),
    "first output": ("only the first output counts", "sum over outputs"),
}  # fmt: skip
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
            return Finding(
                "convention",
                "fail",
                f"no squared error: {each.formula()}; {why}",
                example,
                mend,
                figures=figures,
            )
        if each.divisor in _TWICE and each.squared:
            twice = f"{says}: divided by {_TWICE[each.divisor]} twice"
            mend = "sum the squares, then divide once, or use .mean() alone"
            return Finding("convention", "fail", twice, example, mend, figures=figures)
        if each.divisor.startswith("(1/") and each.squared:
            more = f"{says}: more rows or outputs make it grow twice over"
            return Finding(
                "convention", "fail", more, example, "divide by n, do not multiply", figures=figures
            )
    if found.broken:
        says = f"of {found.broken} arrays no squared error, and no other function that is known here; else {law.formula()}"
        return Finding("convention", "fail", says, example, figures=figures)
    if any(each.base == "root of each row" for each in laws) and not _flat_only(subject):
        says = (
            f"no squared error: {found.formula()}; it is a sum of distances, not of their squares"
        )
        return Finding(
            "convention", "fail", says, example, "take the root once, at the end", figures=figures
        )
    if any(not (each.squared or each.base.startswith("root")) for each in laws):
        return Finding(
            "convention", "fail", f"no squared error: {law.formula()}", example, figures=figures
        )
    if found.offset:
        figures |= {"constant": found.offset}
        says += f", {'with a constant under the root' if found.power == 2 else 'plus a constant'}: {found.offset:.4g}"
        if found.power == 1:
            return Finding(
                "convention",
                "depends",
                says,
                example,
                "leave constants out of the loss",
                figures=figures,
            )
    if law.deviation > SINGLE:
        says += f"; computed in half precision: up to {law.deviation:.1g} of the value off"
        return Finding(
            "convention", "depends", says, example, "convert to float32 first", True, figures
        )
    if not law.squared:
        root = (
            f"{says}: a root, so it does not add, and its gradient is that of the MSE over 2·RMSE"
        )
        return Finding(
            "convention",
            "depends",
            root,
            mend="train on the MSE; take the root at the end",
            figures=figures,
        )
    if law.name is None and shown.name is None:
        unusual = f"{says}: same minimiser, but a step size or penalty tuned for the MSE means something else here"
        return Finding("convention", "depends", unusual, example, figures=figures)
    if found.column is not None:
        both = f"{says}: what is divided by depends on the shape"
        return Finding(
            "convention", "depends" if _differ(law, found.column) else "pass", both, figures=figures
        )
    return Finding("convention", "pass", says, figures=figures)


def _flat_only(subject: Subject) -> bool:
    """Whether it takes one output a row only; then a row's root is its absolute error."""
    return all(s in ((), (1,)) for s in subject.shapes)


def _differ(flat: Law, wide: Law) -> bool:
    """Whether the law of (n, k) arrays is not the law of (n,) read with another k: a factor, or no sum over rows."""
    return not near(flat.factor, wide.factor) or flat.base != wide.base


def _something_else(subject: Subject) -> Finding:
    """No law fits: say which property of a squared error is missing."""
    small, large = 1 / 64, 64.0
    try:
        ratios = [
            ratio(_equal(subject, 2.0, 2.0 + 2 * c), _equal(subject, 2.0, 2.0 + c))
            for c in (small, large)
        ]
        moved = ratio(_equal(subject, 12.0, 12.5), _equal(subject, 2.0, 2.5))
    except CallFailed as problem:
        return Finding("convention", "fail", f"no squared error: {problem}")
    says = "no squared error, and no other function of the errors that is known here"
    figures = {"ratio_small": ratios[0], "ratio_large": ratios[1], "ratio_moved": moved}
    shown = f"doubling errors of {small:g} multiplies it by {ratios[0]:.4g}, of {large:g} by {ratios[1]:.4g} (a square: 4, 4)"
    if near(ratios[0], 4.0, 1e-3) and not near(ratios[1], 4.0, 1e-3):
        limit = _limit(subject)
        says = f"squared up to an error of {limit:.3g} only, then it grows slower (clipped, or a Huber loss); {shown}"
        figures["limit"] = limit
    elif not near(moved, 1.0, 1e-3):
        says += f"; it depends on the level: the same error at targets of 12 instead of 2 gives {moved:.4g} times the value"
    elif all(near(r, 4.0, 1e-3) for r in ratios):
        says += "; it is a square in each error, but rows or outputs do not count alike, or a constant depends on the sample"
    else:
        says += f"; {shown}"
    example = f"4 rows, t = 2, o = 3: {_equal(subject, 2.0, 3.0):.6g}" if _works(subject) else ""
    return Finding("convention", "fail", says, example, figures=figures)


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


def example_of(subject: Subject, found: Convention) -> str:
    """Two rows with errors of 1 and 2, and what comes out."""
    shape = subject.shapes[0]
    target, output = np.array([2.0, 3.0]), np.array([3.0, 5.0])
    full = (2, *shape)
    sample = Sample(np.broadcast_to(target.reshape(2, *[1] * len(shape)), full).copy(),
                    np.broadcast_to(output.reshape(2, *[1] * len(shape)), full).copy()).astype(subject.dtype)  # fmt: skip
    try:
        got = subject.value(sample) if subject.has_value else None
    except CallFailed:
        return ""
    if got is None or not np.isfinite(got):
        return ""
    sse = float(np.sum(sample.error**2))
    wide = f", in shape {full}" if shape else ""
    return (
        f"t = [2, 3], o = [3, 5]{wide}: {got:.6g}; SSE is {sse:g}, MSE {sse / sample.error.size:g}"
    )


def check_claim(subject: Subject, found: Convention, claimed: str | None) -> Finding:
    """The convention asked for, or the one that the name promises, against the one found."""
    name = found.name
    told = found.formula() or "no squared error"
    if claimed is not None:
        ok = name == claimed or (subject.sign < 0 and name is not None and f"neg_{name}" == claimed)
        says = f"{claimed} was asked for; it is {told}"
        return Finding(
            "claim", "pass" if ok else "fail", says, "" if ok else example_of(subject, found)
        )
    promised = _promise(subject.name)
    if promised is None or found.law is None:
        return Finding(
            "claim", "not checked", "its name promises no convention, and none was asked for"
        )
    kind = _kind(found.law)
    if promised == kind:
        return Finding(
            "claim", "pass", f"the name {subject.name} says {promised.upper()}, and so it is"
        )
    says = f"the name {subject.name} says {promised.upper()}; it is {told}"
    return Finding(
        "claim", "depends", says, silent=False, mend="rename it, or say the factor where it is used"
    )


def _promise(name: str) -> str | None:
    words = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()
    if "half" in words:
        return None
    found = re.search(
        r"(?:^|[_\W])(rmse|mse|sse|root_mean_square(?:d)?_error|mean_squared_error|sum_(?:of_)?squared?_errors?)(?:$|[_\W])",
        words,
    )
    if found is None:
        return None
    return {"root": "rmse", "mean": "mse", "sum_": "sse"}.get(found[1][:4], found[1])


def _kind(law: Law) -> str:
    """The plain word for a law: what a name may promise."""
    name = law.name or ""
    for kind in ("rmse", "mse", "sse"):
        if name.removeprefix("half_").startswith(kind) or name.endswith(kind):
            return f"½{kind}" if name.startswith("half_") else kind
    return f"{factor_words(law.factor)}{law.base}"
