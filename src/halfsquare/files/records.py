"""Records as JSON values and back: dataclasses, read strictly by the types of their fields.

Reading a file of somebody else's making, nothing may be assumed of its values. A record is made
only if every field is there, none is unknown, and every value has the type that its field is
declared with; a number where a text is expected is named with its place. Nothing is converted, but
a list becomes the tuple or the array, and a whole number the float, that the field asks for.
"""

from __future__ import annotations

import types
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, fields, is_dataclass
from enum import Enum
from functools import cache
from typing import Any, Literal, TypeVar, Union, cast, get_args, get_origin, get_type_hints

import numpy as np

T = TypeVar("T")


def to_json(value: Any) -> Any:
    """A record, or a tree of them, as JSON values; an enumeration by its value, an array as a list.

    Examples
    --------
    >>> from dataclasses import dataclass
    >>> @dataclass
    ... class Point:
    ...     name: str
    ...     at: tuple[float, ...]
    >>> to_json(Point("a", (1.0, 2.0)))
    {'name': 'a', 'at': [1.0, 2.0]}
    """
    if is_dataclass(value) and not isinstance(value, type):
        return {f.name: to_json(getattr(value, f.name)) for f in fields(value)}
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, (np.ndarray, np.generic)):
        return value.tolist()
    if isinstance(value, Mapping):
        return {key: to_json(inside) for key, inside in value.items()}
    if isinstance(value, (list, tuple)):
        return [to_json(inside) for inside in value]
    return value


def from_json(kind: type[T], value: Any, at: str = "") -> T:
    """The value of type ``kind`` that :func:`to_json` described.

    Types that are known: None, bool, int, float, str, ``X | None``, unions, ``Literal``,
    enumerations, tuples, lists, dicts with text as keys, arrays of float64, dataclasses of these,
    and ``Any`` for what somebody else reads.

    Parameters
    ----------
    at : str
        What messages call the place of ``value``.

    Raises
    ------
    ValueError
        If the value is of another type; the message says where, and what was found.

    Examples
    --------
    >>> from_json(tuple[str, ...], ["a", "b"])
    ('a', 'b')
    >>> from_json(dict[str, float], {"x": "1"}, "limits")
    Traceback (most recent call last):
    ...
    ValueError: limits.x is '1'; expected a number
    """
    return cast(T, _read(kind, value, at))


def _read(kind: Any, value: Any, at: str) -> Any:
    if kind is Any:
        return value
    origin, inside = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        return _one_of(inside, value, at)
    if origin is Literal:
        if not any(type(value) is type(known) and value == known for known in inside):
            raise _wrong(value, at, "one of " + ", ".join(map(repr, inside)))
        return value
    if origin is tuple:
        return _tuple(inside, value, at)
    if origin in (list, Sequence):
        return [_read(inside[0], v, f"{at}[{i}]") for i, v in enumerate(_list(value, at))]
    if origin in (dict, Mapping):
        return {str(k): _read(inside[1], v, _within(at, k)) for k, v in _dict(value, at).items()}
    if origin is np.ndarray:
        return np.array([_read(float, v, at) for v in _list(value, at)], dtype=np.float64)
    if isinstance(kind, type) and is_dataclass(kind):
        return _record(kind, value, at)
    if isinstance(kind, type) and issubclass(kind, Enum):
        if not any(type(value) is type(m.value) and value == m.value for m in kind):
            raise _wrong(value, at, "one of " + ", ".join(repr(m.value) for m in kind))
        return kind(value)
    return _plain(kind, value, at)


def _plain(kind: Any, value: Any, at: str) -> Any:
    if kind is float and type(value) is int:
        try:
            return float(value)
        except OverflowError:
            raise _wrong(value, at, "a number of float64") from None
    if kind not in _PLAIN:
        raise TypeError(f"a field of type {kind} cannot be read")
    if type(value) is not kind:
        raise _wrong(value, at, _PLAIN[kind])
    if kind is int and abs(value) >= 1 << 63:
        raise _wrong(value, at, "a whole number of 64 bits")
    return value


_PLAIN: dict[Any, str] = {
    type(None): "null",
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "a text",
}


def _record(kind: Any, value: Any, at: str) -> Any:
    given, hints = _dict(value, at), _hints(kind)
    for name in given.keys() - hints.keys():
        raise ValueError(f"{_within(at, name)} is unknown; expected {', '.join(hints)}")
    found = {}
    for f in fields(kind):
        if f.name in given:
            found[f.name] = _read(hints[f.name], given[f.name], _within(at, f.name))
        elif f.default is MISSING and f.default_factory is MISSING:
            raise ValueError(f"{_within(at, f.name)} is missing")
    return kind(**found)


@cache
def _hints(kind: Any) -> dict[str, Any]:
    hints = get_type_hints(kind)
    return {f.name: hints[f.name] for f in fields(kind)}


def _one_of(kinds: tuple[Any, ...], value: Any, at: str) -> Any:
    if value is None and type(None) in kinds:
        return None
    told = []
    for kind in sorted(kinds, key=lambda k: k is float):  # a whole number stays one where it may
        if kind is not type(None):
            try:
                return _read(kind, value, at)
            except ValueError as problem:
                told.append(str(problem))
    raise ValueError(told[0])


def _tuple(inside: tuple[Any, ...], value: Any, at: str) -> tuple[Any, ...]:
    values = _list(value, at)
    if len(inside) == 2 and inside[1] is Ellipsis:
        return tuple(_read(inside[0], v, f"{at}[{i}]") for i, v in enumerate(values))
    if len(values) != len(inside):
        raise _wrong(value, at, f"a list of {len(inside)}")
    return tuple(
        _read(kind, v, f"{at}[{i}]") for i, (kind, v) in enumerate(zip(inside, values, strict=True))
    )


def _list(value: Any, at: str) -> list[Any]:
    if type(value) is not list:
        raise _wrong(value, at, "a list")
    return value


def _dict(value: Any, at: str) -> dict[str, Any]:
    if type(value) is not dict:
        raise _wrong(value, at, "an object")
    return value


def _within(at: str, name: Any) -> str:
    return f"{at}.{name}" if at else str(name)


def _wrong(value: Any, at: str, expected: str) -> ValueError:
    shown = repr(value)
    return ValueError(
        f"{at or 'the value'} is {shown if len(shown) <= 60 else shown[:60] + '…'}; "
        f"expected {expected}"
    )
