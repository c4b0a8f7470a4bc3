"""What a loss promises by its name, or what was asked for, against what it computes."""

from __future__ import annotations

import re

import numpy as np

from halfsquare.audit.convention import Convention
from halfsquare.audit.findings import Finding
from halfsquare.audit.law import Law, factor_words
from halfsquare.audit.subject import CallFailed, Sample, Subject


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
        return Finding.unchecked("claim", "its name promises no convention, and none was asked for")
    kind = _kind(found.law)
    if promised == kind:
        return Finding.passed(
            "claim", f"the name {subject.name} says {promised.upper()}, and so it is"
        )
    says = f"the name {subject.name} says {promised.upper()}; it is {told}"
    return Finding.depends("claim", says, mend="rename it, or say the factor where it is used")


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


def example_of(subject: Subject, found: Convention) -> str:
    """Two rows with errors of 1 and 2, and what comes out."""
    shape = subject.shapes[0]
    target, output = np.array([2.0, 3.0]), np.array([3.0, 5.0])
    full = (2, *shape)
    sample = Sample(
        np.broadcast_to(target.reshape(2, *[1] * len(shape)), full).copy(),
        np.broadcast_to(output.reshape(2, *[1] * len(shape)), full).copy(),
    ).astype(subject.dtype)
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
