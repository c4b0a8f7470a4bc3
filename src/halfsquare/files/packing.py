"""Trees of values as JSON and arrays, to the last bit: how the state of a descent gets into a file
and back.

A tree is made of None, booleans, numbers, strings, lists, tuples, dicts, NumPy arrays and numbers,
and of the dataclasses and enumerations that say they may be packed. In JSON the first four, and
lists, stand for themselves; all else is an object with one key that says what it is:

    {"tuple": [...]}   {"dict": [[key, value], ...]}   {"array": 3}   {"number": 4}
    {"evidence.memory": {...}}

Arrays and NumPy numbers stand apart and are referred to by position, one that occurs twice once. A
number is written with the digits that read back as the same float64. Nothing that is read is code:
a name that no module here has given is refused.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from enum import Enum
from typing import Any, TypeVar, cast, final

import numpy as np
import numpy.typing as npt

C = TypeVar("C")
Array = npt.NDArray[Any]

_CLASSES: dict[str, Any] = {}
_NAMES: dict[Any, str] = {}
_PLAIN = (type(None), bool, int, float, str)


def packable(name: str) -> Callable[[type[C]], type[C]]:
    """Let a frozen dataclass, or an enumeration, be part of a packed tree, under a name that stays
    when the class is moved or renamed.

    Raises
    ------
    ValueError
        If another class has that name.
    """

    def known(cls: type[C]) -> type[C]:
        other = _CLASSES.setdefault(name, cls)
        if (other.__module__, other.__qualname__) != (cls.__module__, cls.__qualname__):
            raise ValueError(f"{name!r} names {other.__qualname__} already")
        _CLASSES[name], _NAMES[cls] = cls, name
        return cls

    return known


@final
@dataclass(frozen=True)
class Packed:
    """A tree as JSON values and the arrays that it refers to, each stored by rows.

    Examples
    --------
    >>> packed = Packed.of({"x": (1, -0.0)})
    >>> packed.tree
    {'dict': [['x', {'tuple': [1, -0.0]}]]}
    >>> packed.value()
    {'x': (1, -0.0)}
    """

    tree: Any
    arrays: tuple[Array, ...] = ()

    @classmethod
    def of(cls, value: Any) -> Packed:
        """Pack a tree; arrays that lie whole in memory are referred to, not copied.

        Raises
        ------
        TypeError
            If there is something in it that cannot be packed.
        """
        packer = _Packer()
        tree = packer.pack(value)
        return cls(tree, tuple(packer.arrays))

    def value(self) -> Any:
        """The tree again.

        Raises
        ------
        ValueError
            If this is no packed tree.
        """
        try:
            return _unpacked(self.tree, self.arrays)
        except _HOSTILE as problem:
            raise ValueError(f"{type(problem).__name__} at {problem}") from None

    def digest(self) -> str:
        """A fingerprint: equal for trees that are equal to the last bit, and no others."""
        found = hashlib.sha256(json.dumps(self.tree).encode())
        for array in self.arrays:
            found.update(f"{array.dtype.str}{array.shape}".encode())
            found.update(cast(Any, array))
        return found.hexdigest()


class _Packer:
    """The arrays met so far."""

    def __init__(self) -> None:
        self.arrays: list[Array] = []
        self._seen: dict[int, int] = {}

    def pack(self, value: Any) -> Any:
        if type(value) in _PLAIN:
            return value
        if type(value) is list:
            return [self.pack(v) for v in value]
        if type(value) is tuple:
            return {"tuple": [self.pack(v) for v in value]}
        if type(value) is dict:
            return {"dict": [[self.pack(k), self.pack(v)] for k, v in value.items()]}
        if isinstance(value, np.generic):
            return {"number": self._place(np.asarray(value))}
        if type(value) is np.ndarray:
            return self._array(value)
        name = _NAMES.get(type(value))
        if name is not None and isinstance(value, Enum):
            return {name: value.name}
        if name is not None:
            parts = {f.name: self.pack(getattr(value, f.name)) for f in fields(_CLASSES[name])}
            return {name: parts}
        raise TypeError(f"{type(value).__name__} cannot be packed")

    def _array(self, array: Array) -> dict[str, int]:
        # The order in memory decides how BLAS sums: a matrix stored by columns comes back so.
        if array.flags.f_contiguous and not array.flags.c_contiguous:
            return {"transposed": self._place(array.T, array)}
        whole = array if array.flags.c_contiguous else np.ascontiguousarray(array)
        return {"array": self._place(whole, array)}

    def _place(self, array: Array, of: Array | None = None) -> int:
        if array.dtype.kind not in "biuf" or array.dtype.itemsize > 8:
            raise TypeError(f"an array of {array.dtype} cannot be packed")
        if of is not None and id(of) in self._seen:
            return self._seen[id(of)]
        self.arrays.append(array)
        if of is not None:  # which is alive as long as the tree that is packed
            self._seen[id(of)] = len(self.arrays) - 1
        return len(self.arrays) - 1


def _unpacked(tree: Any, arrays: Sequence[Array]) -> Any:
    if isinstance(tree, list):
        return [_unpacked(v, arrays) for v in tree]
    if not isinstance(tree, dict):
        return tree
    ((kind, inside),) = tree.items()
    if kind in _KINDS:
        return _KINDS[kind](inside, arrays)
    cls = _CLASSES[kind]
    if issubclass(cls, Enum):
        return cls[inside]
    if inside.keys() != {f.name for f in fields(cls)}:
        raise ValueError(f"{kind} with the fields {', '.join(inside)}")
    return cls(**{name: _unpacked(v, arrays) for name, v in inside.items()})


def _at(arrays: Sequence[Array], index: Any) -> Array:
    if type(index) is not int or index < 0:
        raise ValueError(f"{index!r} is no place of an array")
    return arrays[index]


# What a record can meet in values that it did not write: also whole numbers beyond float64.
_HOSTILE = (
    TypeError, KeyError, IndexError, AttributeError, ArithmeticError, RecursionError, MemoryError,
)  # fmt: skip


_KINDS: Mapping[str, Callable[[Any, Sequence[Array]], Any]] = {
    "tuple": lambda inside, arrays: tuple(_unpacked(v, arrays) for v in inside),
    "dict": lambda inside, arrays: {_unpacked(k, arrays): _unpacked(v, arrays) for k, v in inside},
    "array": lambda inside, arrays: _at(arrays, inside),
    "transposed": lambda inside, arrays: _at(arrays, inside).T,
    "number": lambda inside, arrays: _at(arrays, inside)[()],
}
