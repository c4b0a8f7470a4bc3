"""The audit of a loss that somebody else wrote: every check on it, and the helper for tests."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from halfsquare.audit import extremes, number_types
from halfsquare.audit.adding import check_adding
from halfsquare.audit.arguments import Told
from halfsquare.audit.batches import find_step, takes_batch
from halfsquare.audit.claims import check_claim
from halfsquare.audit.convention import Convention, find_convention, gradient_convention
from halfsquare.audit.findings import Audit, Finding
from halfsquare.audit.gradients import check_gradient
from halfsquare.audit.judging import check_convention
from halfsquare.audit.recognize import KINDS, instance, name_of, recognize
from halfsquare.audit.signs import check_hessian, check_perfect, check_sign
from halfsquare.audit.steps import check_step
from halfsquare.audit.subject import CallFailed, Subject
from halfsquare.audit.weights import check_mask, check_weights
from halfsquare.errors import OptionError

CLAIMS = ("half_sse", "sse", "mse", "half_mse", "rmse", "mse_over_rows", "half_mse_over_rows")


def audit_loss(
    loss: Any,
    gradient: Callable[..., Any] | None = None,
    *,
    convention: str | None = None,
    kind: str | None = None,
    library: str | None = None,
    target: str | None = None,
    output: str | None = None,
    arguments: Mapping[str, Any] | None = None,
    batch: Any = None,
    name: str | None = None,
    strict: bool = False,
) -> Audit:
    """Audit a squared-error loss: convention, gradient, sums, weights and odd input.

    The loss is called, some hundreds of times, with small arrays. Whatever it raises is a finding.

    Parameters
    ----------
    loss : callable, class, pair or object
        A function of target and output in NumPy, PyTorch, JAX, TensorFlow or Keras; a module or
        loss class, or an instance; a scikit-learn scorer; a metric with a state; a pair (value,
        gradient) of functions, or one function that returns both; an object with ``value`` and
        ``gradient``; an objective of XGBoost or LightGBM; a training step of one argument.
    gradient : callable, optional
        The gradient with respect to the output, as a function of the same arguments.
    convention : str, optional
        What the value has to be: ``half_sse``, ``sse``, ``mse``, ``half_mse``, ``rmse``,
        ``mse_over_rows`` (summed over outputs) or ``half_mse_over_rows``.
    kind : {"function", "scorer", "metric", "objective", "step"}, optional
        What it is, where that is not seen.
    library : {"numpy", "torch", "jax", "tensorflow", "keras"}, optional
        Whose arrays it takes, where that is not seen.
    target, output : str, optional
        The names of these arguments, where names and gradient do not tell.
    arguments : mapping, optional
        Values of further arguments.
    batch : tuple, dict or list of micro-batches, optional
        For a step: a batch that it takes, rows first, at least 5 of them.
    name : str, optional
        A name to print.
    strict : bool
        Count what is wrong without a word (broadcasting, weights divided by the number of rows, …)
        as a failure too.

    Returns
    -------
    Audit
        Prints as a table; ``passed``, ``convention``, ``audit["gradient"].verdict``, ``as_dict()``.

    Raises
    ------
    OptionError
        If it is nothing that takes a target and an output, or an option does not fit.

    Examples
    --------
    >>> import numpy as np
    >>> def loss(target, output):
    ...     return 0.5 * np.mean((output - target) ** 2)
    >>> def gradient(target, output):
    ...     return (output - target) / len(target)
    >>> found = audit_loss(loss, gradient)
    >>> found.convention, found["gradient"].says
    ('half_mse', 'the gradient is n_outputs × that of its value')
    >>> found.passed
    False
    """
    if convention is not None and convention not in CLAIMS:
        raise OptionError(f"unknown convention {convention!r}: expected one of {', '.join(CLAIMS)}")
    if kind is not None and kind not in KINDS:
        raise OptionError(f"unknown kind {kind!r}: expected one of {', '.join(KINDS)}")
    name = name or name_of(loss[0] if isinstance(loss, (tuple, list)) and loss else loss)
    try:
        if (
            kind == "step"
            or batch is not None
            or (kind is None and gradient is None and takes_batch(loss))
        ):
            return _audit_step(instance(loss, name), batch, name, strict)
        subject = recognize(loss, gradient, Told(target, output, library, arguments, kind), name)
    except CallFailed as problem:
        return _uncallable(name, str(problem), strict)
    return _audit(subject, convention, strict)


def _uncallable(name: str, problem: str, strict: bool) -> Audit:
    found = Finding(
        "call",
        "fail",
        problem,
        "4 rows: t, o of shape (4,), (4, 2) and (4, 1), float64 and float32",
    )
    return Audit(
        name, "loss", "unknown library", "it could not be called", None, "", (found,), strict
    )


def _audit_step(loss: Any, batch: Any, name: str, strict: bool) -> Audit:
    step = find_step(loss, batch)
    words = f"{'a list of micro-batches' if step.several else 'one batch'} of {step.rows} rows"
    try:
        found = check_step(step)
    except CallFailed as problem:
        return _uncallable(name, str(problem), strict)
    return Audit(name, "training step", step.library, words, None, "", found, strict)


def _audit(subject: Subject, claimed: str | None, strict: bool) -> Audit:
    first = _guard("reproducible", lambda: extremes.check_reproducible(subject))
    if first.verdict == "fail" and "changes" not in first.says:
        return _record(subject, Convention(None), (first,), strict)
    try:
        found = find_convention(subject) if subject.has_value else gradient_convention(subject)
    except CallFailed as problem:
        return _uncallable(subject.name, str(problem), strict)
    checks: list[tuple[str, Callable[[], Finding]]] = [
        ("convention", lambda: check_convention(subject, found)),
        ("claim", lambda: check_claim(subject, found, claimed)),
        ("sign", lambda: check_sign(subject, found)),
        ("gradient", lambda: check_gradient(subject, found)),
        ("hessian", lambda: check_hessian(subject)),
        ("perfect output", lambda: check_perfect(subject, found)),
        ("adds", lambda: check_adding(subject, found)),
        ("weights", lambda: check_weights(subject)),
        ("mask", lambda: check_mask(subject)),
        ("shapes", lambda: extremes.check_shapes(subject)),
        ("NaN", lambda: extremes.check_not_finite(subject, "NaN")),
        ("infinity", lambda: extremes.check_not_finite(subject, "infinity")),
        ("empty batch", lambda: extremes.check_empty(subject)),
        ("integers", lambda: number_types.check_integers(subject)),
        (
            "float32",
            lambda: number_types.check_single(subject, lambda s: check_gradient(s, found, 1)),
        ),
        ("float16", lambda: number_types.check_half(subject)),
        ("cancellation", lambda: number_types.check_cancellation(subject, found)),
    ]
    if subject.has_value:
        checks = [c for c in checks if c[0] != "hessian"]
    return _record(
        subject, found, (first, *(_guard(name, check) for name, check in checks)), strict
    )


def _guard(name: str, check: Callable[[], Finding]) -> Finding:
    """What the loss raises inside a check that does not expect it is that check's finding."""
    try:
        with np.errstate(all="ignore"):
            return check()
    except CallFailed as problem:
        return Finding(name, "fail", str(problem))


def _record(
    subject: Subject, found: Convention, findings: tuple[Finding, ...], strict: bool
) -> Audit:
    return Audit(
        subject.name,
        subject.kind,
        subject.library,
        subject.arguments,
        found.name,
        found.formula(),
        findings,
        strict,
    )


def assert_loss(loss: Any, gradient: Callable[..., Any] | None = None, **options: Any) -> Audit:
    """Fail a test where a loss fails its audit; for pytest, or any other runner.

    Parameters are those of :func:`audit_loss`.

    Returns
    -------
    Audit
        Where it passes.

    Raises
    ------
    AssertionError
        Where it fails; the message is the whole table.

    Examples
    --------
    >>> from halfsquare import SquaredError
    >>> assert_loss(SquaredError("mse"), convention="mse").convention
    'mse'
    """
    found = audit_loss(loss, gradient, **options)
    if not found.passed:
        raise AssertionError(f"the loss fails its audit\n{found}")
    return found
