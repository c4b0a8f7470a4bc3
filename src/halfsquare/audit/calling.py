"""One call of audited code: warnings kept, exceptions made findings, arguments compared after."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np

from halfsquare.audit.arguments import Arguments
from halfsquare.audit.libraries import Library
from halfsquare.audit.subject import Array, CallFailed, Returned, Sample, floats, numbers


@contextmanager
def guarded(warned: list[str]) -> Iterator[None]:
    """What the audited code raises, ``sys.exit`` too, becomes CallFailed; warnings are kept."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            yield
        except CallFailed:
            raise
        except KeyboardInterrupt:
            raise
        except BaseException as problem:
            raise CallFailed(f"it raises {describe(problem)}") from None
    warned += [str(w.message) for w in caught]


def describe(problem: BaseException) -> str:
    """An exception on one line, cut to what can be read at a glance."""
    text = " ".join(str(problem).split())
    text = text if len(text) <= 160 else text[:157] + "…"
    return f"{type(problem).__name__}: {text}" if text else type(problem).__name__


def tensors(
    library: Library, sample: Sample, arguments: Arguments, *, keeps: bool = True
) -> dict[str, Any]:
    """The values of each role as tensors; needed weights are ones, a needed mask hides nothing."""
    ones = np.ones(
        sample.rows, dtype=sample.output.dtype if sample.output.dtype.kind == "f" else np.float64
    )
    weight = (
        sample.weight if sample.weight is not None else ones if arguments.needs("weight") else None
    )
    mask = (
        sample.mask
        if sample.mask is not None
        else np.ones(sample.rows, bool)
        if arguments.needs("mask")
        else None
    )
    if mask is not None and not keeps:
        mask = ~mask
    values: dict[str, Any] = {
        "target": library.tensor(sample.target),
        "output": library.tensor(sample.output),
    }
    values["weight"] = None if weight is None else library.tensor(weight)
    values["mask"] = None if mask is None else library.tensor(mask)
    values["count"] = sample.rows if arguments.needs("count") else None
    return values


Raw = Callable[[dict[str, Any]], Any]


def plain_call(function: Callable[..., Any], arguments: Arguments) -> Raw:
    """The function as one of a dictionary of roles."""

    def call(values: dict[str, Any]) -> Any:
        positional, keywords = arguments.bind(values)
        return function(*positional, **keywords)

    return call


def evaluate(
    raw: Raw,
    library: Library,
    arguments: Arguments,
    sample: Sample,
    *,
    keeps: bool = True,
    objective: bool = False,
) -> Returned:
    """The value that one call returns; a pair is taken apart by :func:`take_apart`."""
    warned: list[str] = []
    with guarded(warned), library.precise():
        values = tensors(library, sample, arguments, keeps=keeps)
        returned = _bare(library.run(raw, values))
        parts = (
            returned if isinstance(returned, (tuple, list)) and len(returned) in (2, 3) else None
        )
        arrays = [_maybe(p) for p in parts] if parts is not None else [numbers(returned)]
        changed = [
            role for role in ("target", "output") if _changed(values[role], getattr(sample, role))
        ]
    if (
        parts is not None
        and arrays[0] is not None
        and arrays[1] is not None
        and isinstance(returned, tuple)
    ):
        return take_apart(
            arrays[0], arrays[1], sample, tuple(warned), " and ".join(changed), objective
        )
    value = arrays[0] if parts is None else numbers(np.asarray([numbers(p) for p in parts]))
    assert value is not None
    return Returned(
        floats(value), dtype=str(value.dtype), warned=tuple(warned), mutated=" and ".join(changed)
    )


def take_apart(
    first: Array,
    second: Array,
    sample: Sample,
    warned: tuple[str, ...],
    mutated: str,
    objective: bool = False,
) -> Returned:
    """(value, gradient), or the (gradient, Hessian) of an objective for boosting.

    Both may be two arrays of one number a row; the Hessian of a squared error is constant, a
    gradient is not.
    """
    dtype = str(first.dtype)
    constant = second.size < 2 or np.ptp(floats(second)) <= 1e-6 * np.abs(floats(second)).max(
        initial=0.0
    )
    if objective or (
        first.size == sample.output.size and sample.rows > 1 and first.ndim and constant
    ):
        return Returned(None, floats(first), floats(second), dtype, warned, mutated)
    if second.size == sample.output.size and (first.ndim == 0 or first.size in (1, sample.rows)):
        return Returned(floats(first), floats(second), None, dtype, warned, mutated)
    if first.ndim and first.size == sample.output.size:
        return Returned(None, floats(first), floats(second), dtype, warned, mutated)
    raise CallFailed(
        f"it returned two arrays of shapes {first.shape} and {second.shape} for "
        f"{sample.rows} rows; expected a value and "
        f"a gradient, or a gradient and a Hessian, of shape {sample.output.shape}"
    )


def _bare(returned: Any) -> Any:
    """The loss alone of ``{"loss": …}`` and of (loss, what else there is to tell)."""
    if isinstance(returned, Mapping):
        keys = [k for k in returned if "loss" in str(k).lower()] or list(returned)
        return returned[keys[0]] if len(keys) == 1 else returned
    if isinstance(returned, tuple) and len(returned) > 1 and _maybe(returned[0]) is not None:
        return returned[0] if all(_maybe(part) is None for part in returned[1:]) else returned
    return returned


def _maybe(part: Any) -> Array | None:
    try:
        return numbers(part)
    except CallFailed:
        return None


def _changed(tensor: Any, original: Array) -> bool:
    try:
        after = numbers(tensor)
    except CallFailed:
        return False
    return after.shape != original.shape or not np.array_equal(
        floats(after), floats(original), equal_nan=True
    )


def automatic_gradient(
    raw: Raw, library: Library, arguments: Arguments, sample: Sample, *, keeps: bool = True
) -> Array | None:
    """The library's derivative of the summed value with respect to the output."""
    with guarded([]), library.precise():
        values = tensors(library, sample, arguments, keeps=keeps)

        def of_output(output: Any) -> Any:
            returned = _bare(raw({**values, "output": output}))
            return returned[0] if isinstance(returned, tuple) else returned

        found = library.gradient(of_output, sample.output)
    return None if found is None else floats(found)
