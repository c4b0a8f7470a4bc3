"""What was handed over, a function, module, scorer, pair, objective or metric, as a Subject."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from halfsquare.audit import adapters, objectives, pairs
from halfsquare.audit.arguments import Arguments, Told, parameters_of, read_arguments
from halfsquare.audit.calling import automatic_gradient, evaluate, guarded, plain_call
from halfsquare.audit.libraries import LIBRARIES, Library, library, likely_libraries
from halfsquare.audit.samples import TRIAL, rows
from halfsquare.audit.subject import CallFailed, Returned, Sample, Subject
from halfsquare.errors import OptionError

# Shapes of one row's output that are tried: one number, two, one in a column, an image.
_SHAPES: tuple[tuple[int, ...], ...] = ((), (2,), (1,), (2, 4, 5))
KINDS = ("function", "scorer", "metric", "objective", "step")


def recognize(
    loss: Any, gradient: Any = None, told: Told | None = None, name: str | None = None
) -> Subject:
    """The loss as the checks see it.

    Raises
    ------
    OptionError
        If it cannot be called with a target and an output, or an argument of it is unknown.
    CallFailed
        If it raises for every shape and type that is tried.
    """
    told = told or Told()
    if isinstance(loss, (tuple, list)):
        if len(loss) != 2 or gradient is not None:
            raise OptionError("a pair is two functions: of the value and of the gradient")
        loss, gradient = loss
    name = name or name_of(loss)
    loss = instance(loss, name)
    if not callable(loss) and adapters.value_method(loss) is None and not adapters.is_metric(loss):
        raise OptionError(f"{name} is a {type(loss).__name__}; expected a loss that can be called")
    if told.kind == "scorer" or (told.kind is None and adapters.is_scorer(loss)):
        return adapters.scorer(loss, name)
    if told.kind == "metric" or (told.kind is None and adapters.is_metric(loss)):
        return adapters.metric(loss, name, told)
    if (
        gradient is None
        and (method := adapters.value_method(loss)) is not None
        and callable(loss.gradient)
    ):
        loss, gradient = method, loss.gradient
    if told.kind in (None, "objective") and objectives.takes_dataset(loss):
        return objectives.objective(loss, name)
    return _by_trial(loss, gradient, name, told)


def name_of(loss: Any) -> str:
    """A name to print."""
    while hasattr(loss, "func") and not hasattr(loss, "__name__"):
        loss = loss.func
    return str(getattr(loss, "__name__", type(loss).__name__))


def instance(loss: Any, name: str) -> Any:
    """A class is made an instance without arguments, as ``MSELoss`` is."""
    if not inspect.isclass(loss):
        return loss
    try:
        with guarded([]):
            return loss()
    except CallFailed as problem:
        raise OptionError(
            f"{name} is a class that cannot be made without arguments ({problem}); name an instance"
        ) from None


def _by_trial(loss: Any, gradient: Any, name: str, told: Told) -> Subject:
    if told.library is not None and told.library not in LIBRARIES:
        raise OptionError(
            f"unknown library {told.library!r}: expected one of {', '.join(LIBRARIES)}"
        )
    wrapped = getattr(loss, "forward", loss) if hasattr(loss, "parameters") else loss
    wrapped = getattr(wrapped, "call", wrapped) if _unsigned(wrapped) else wrapped
    problems: list[str] = []
    for lib_name in [told.library] if told.library else likely_libraries(loss):
        try:
            lib = library(lib_name)
        except ImportError as problem:
            problems.append(f"{lib_name} is not installed ({problem})")
            continue
        arguments = read_arguments(wrapped, told, output_first=lib_name == "torch")
        made = _subject(loss, name, lib, arguments, told.kind == "objective")
        for dtype in ("float64", "float32"):
            shapes, problem_text = _working(made, dtype)
            if shapes:
                return _finish(
                    replace(made, dtype=dtype, shapes=shapes), loss, gradient, lib, arguments, told
                )
            problems.append(problem_text)
    raise CallFailed(problems[0])


def _unsigned(function: Any) -> bool:
    """Whether a callable hides its parameters behind *args, as a Keras layer does."""
    found = parameters_of(function)
    return found is not None and bool(found) and found[0].kind is inspect.Parameter.VAR_POSITIONAL


def _working(subject: Subject, dtype: str) -> tuple[tuple[tuple[int, ...], ...], str]:
    """The shapes of a row's output that the loss takes: one number, several, else an image."""
    works: list[tuple[int, ...]] = []
    problem = ""
    for shape in _SHAPES:
        if shape not in ((), (2,)) and works:
            break
        try:
            found = subject.evaluate(rows(TRIAL.get(shape, 4), shape).astype(dtype), False)
            if found.value is not None and found.value.size == 0:
                raise CallFailed("it returned an empty array")
            works.append(shape)
        except CallFailed as caught:
            problem = problem or str(caught)
    return tuple(works), problem


def _subject(
    loss: Callable[..., Any], name: str, lib: Library, arguments: Arguments, objective: bool = False
) -> Subject:
    raw = plain_call(loss, arguments)

    def call(sample: Sample, want_gradient: bool, keeps: bool = True) -> Returned:
        found = evaluate(raw, lib, arguments, sample, keeps=keeps, objective=objective)
        if want_gradient and found.gradient is None and lib.automatic:
            found = replace(
                found, gradient=automatic_gradient(raw, lib, arguments, sample, keeps=keeps)
            )
        return found

    kind = (
        "PyTorch module" if hasattr(loss, "parameters") and hasattr(loss, "forward") else "function"
    )
    kind = (
        "Keras loss" if any(b.__module__.startswith("keras") for b in type(loss).__mro__) else kind
    )
    return Subject(
        name=name,
        kind=kind,
        library=lib.name,
        arguments=describe_arguments(arguments),
        evaluate=call,
        has_gradient=lib.automatic,
        automatic=lib.automatic,
        weight=arguments.has("weight"),
        mask=arguments.has("mask"),
    )


def _finish(
    subject: Subject, loss: Any, gradient: Any, lib: Library, arguments: Arguments, told: Told
) -> Subject:
    """With the given gradient, with what the first call showed, with the meaning of the mask."""
    first = subject.evaluate(
        rows(TRIAL.get(subject.shapes[0], 4), subject.shapes[0]).astype(subject.dtype), False
    )
    if gradient is not None:
        subject = pairs.pair(subject, gradient, lib, arguments, told)
    elif first.value is None:
        if subject.kind == "function":
            subject = replace(subject, kind="objective for boosting (gradient, Hessian)")
        return pairs.order_by_gradient(
            replace(
                subject,
                evaluate=_subject(loss, subject.name, lib, arguments, True).evaluate,
                has_value=False,
                has_gradient=True,
                automatic=False,
            ),
            lambda a: _subject(loss, subject.name, lib, a, True).evaluate,
            arguments,
        )
    elif first.gradient is not None:
        subject = replace(
            subject, kind="function of value and gradient", has_gradient=True, automatic=False
        )
        subject = pairs.order_by_gradient(
            subject, lambda a: _subject(loss, subject.name, lib, a).evaluate, arguments
        )
    return pairs.mask_meaning(subject, arguments)


def describe_arguments(arguments: Arguments) -> str:
    """Which argument is which, in words."""
    parts = [f"{s.role}: {s.name}" for s in arguments.slots]
    return f"{', '.join(parts)} (found {arguments.how})"
