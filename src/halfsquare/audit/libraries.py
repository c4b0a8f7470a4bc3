"""Whose arrays a loss takes, and how its library differentiates; imported only when used."""

from __future__ import annotations

import functools
import inspect
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from importlib import import_module
from types import CodeType, ModuleType
from typing import Any, final

import numpy as np

from halfsquare.audit.subject import Array, CallFailed, numbers

Call = Callable[[Any], Any]


class Library(ABC):
    """Tensors of one library, and the derivative of a loss by its automatic differentiation."""

    name: str
    automatic = True
    stateful = False  # set for a metric, which must see every call itself

    @abstractmethod
    def tensor(self, array: Array) -> Any:
        """The array as a tensor of the same type."""

    @abstractmethod
    def gradient(self, call: Call, output: Array) -> Array | None:
        """The derivative of the sum of what ``call(output)`` returns; None where there is none."""

    def run(self, raw: Call, values: dict[str, Any]) -> Any:
        """One call with the values of every role."""
        return raw(values)

    def precise(self) -> AbstractContextManager[Any]:
        """Where float64 has to be allowed first."""
        return nullcontext()


@final
class NumPy(Library):
    """Arrays as they are; no derivative of its own."""

    name, automatic = "NumPy", False

    def tensor(self, array: Array) -> Any:
        return array.copy()

    def gradient(self, call: Call, output: Array) -> Array | None:
        return None


@final
class Torch(Library):
    """PyTorch: reverse mode on one leaf."""

    name = "PyTorch"

    def __init__(self) -> None:
        self._torch = import_module("torch")

    def tensor(self, array: Array) -> Any:
        return self._torch.from_numpy(np.array(array))

    def gradient(self, call: Call, output: Array) -> Array | None:
        leaf = self.tensor(output).requires_grad_(True)
        total = call(leaf).sum()
        if not total.requires_grad:
            raise CallFailed(
                "no gradient reaches the output: somewhere it is detached, or turned into a "
                "plain number"
            )
        (found,) = self._torch.autograd.grad(total, leaf, allow_unused=True)
        if found is None:
            raise CallFailed("no gradient reaches the output: the value does not depend on it")
        return numbers(found)


@final
class Jax(Library):
    """JAX: ``jax.grad``; float64 is allowed while we call.

    JAX compiles every operation for every shape, which takes longer than all the rest. The first
    calls are made as they are, so that what is random or keeps a state shows; from then on the loss
    is compiled as a whole, if it can be.
    """

    name = "JAX"
    _plain_calls = 9

    def __init__(self) -> None:
        self._jax = import_module("jax")
        self._calls = 0
        self._compiled: dict[Any, Call] = {}

    def run(self, raw: Call, values: dict[str, Any]) -> Any:
        self._calls += 1
        if self._calls <= self._plain_calls or self.stateful or values.get("count") is not None:
            return raw(values)
        compiled = self._compiled.setdefault(raw, self._jax.jit(raw))
        try:
            return compiled(values)
        except Exception:  # not to be traced, or refused: as it is, it says which
            return raw(values)

    def tensor(self, array: Array) -> Any:
        return self._jax.numpy.asarray(array)

    def gradient(self, call: Call, output: Array) -> Array | None:
        slope = self._jax.grad(lambda o: call(o).sum())
        try:
            return numbers(self._jax.jit(slope)(self.tensor(output)))
        except Exception:
            return numbers(slope(self.tensor(output)))

    def precise(self) -> AbstractContextManager[Any]:
        enable = getattr(self._jax, "enable_x64", None)
        if enable is None:
            enable = import_module("jax.experimental").enable_x64
        context: AbstractContextManager[Any] = enable(True)
        return context


@final
class TensorFlow(Library):
    """TensorFlow: one gradient tape."""

    name = "TensorFlow"

    def __init__(self) -> None:
        self._tf = import_module("tensorflow")

    def tensor(self, array: Array) -> Any:
        return self._tf.constant(array)

    def gradient(self, call: Call, output: Array) -> Array | None:
        leaf = self.tensor(output)
        with self._tf.GradientTape() as tape:
            tape.watch(leaf)
            total = self._tf.reduce_sum(call(leaf))
        found = tape.gradient(total, leaf)
        if found is None:
            raise CallFailed("no gradient reaches the output")
        return numbers(found)


def _keras() -> Library:
    """Keras differentiates with its backend."""
    backend = import_module("keras").backend.backend()
    made: dict[str, Callable[[], Library]] = {"torch": Torch, "jax": Jax, "tensorflow": TensorFlow}
    return made.get(backend, NumPy)()


_MAKERS: dict[str, Callable[[], Library]] = {
    "numpy": NumPy,
    "torch": Torch,
    "jax": Jax,
    "tensorflow": TensorFlow,
    "keras": _keras,
}
LIBRARIES = tuple(_MAKERS)
# Packages whose losses take the tensors of another one.
_PACKAGES = {
    "torch": "torch",
    "torchmetrics": "torch",
    "lightning": "torch",
    "jax": "jax",
    "jaxlib": "jax",
    "optax": "jax",
    "flax": "jax",
    "tensorflow": "tensorflow",
    "tf_keras": "tensorflow",
    "keras": "keras",
}


def library(name: str) -> Library:
    """The library of that name, imported now."""
    return _MAKERS[name]()


def likely_libraries(function: Any) -> list[str]:
    """Libraries to try: those the code names, NumPy, then those that are loaded anyway."""
    named = list(dict.fromkeys(_PACKAGES[m] for m in _packages(function) if m in _PACKAGES))
    loaded = [
        lib for package, lib in _PACKAGES.items() if package in sys.modules and package in _MAKERS
    ]
    return list(dict.fromkeys([*named, "numpy", *loaded]))


def _packages(function: Any) -> Iterator[str]:
    """Top-level packages of a callable's class, its module, and the names that its code uses."""
    while isinstance(function, functools.partial):
        function = function.func
    kind = function if inspect.isclass(function) else type(function)
    for base in kind.__mro__:
        yield base.__module__.split(".")[0]
    if (
        not inspect.isfunction(function)
        and not inspect.ismethod(function)
        and not hasattr(function, "__wrapped__")
    ):
        function = (
            getattr(kind, "forward", None)
            or getattr(kind, "call", None)
            or kind.__dict__.get("__call__")
        )
    function = inspect.unwrap(getattr(function, "__func__", function))
    yield (getattr(function, "__module__", None) or "").split(".")[0]
    code, names = getattr(function, "__code__", None), getattr(function, "__globals__", {})
    if code is None:
        return
    cells = [
        c.cell_contents for c in (function.__closure__ or ()) if c.cell_contents is not function
    ]
    for held in [*(names[n] for n in _names(code) if n in names), *cells]:
        if inspect.isclass(held):
            yield from (base.__module__.split(".")[0] for base in held.__mro__)
        module = (
            held.__name__ if isinstance(held, ModuleType) else getattr(held, "__module__", None)
        )
        yield (module or type(held).__module__ or "").split(".")[0]
    # A function of the same module that it calls: one step further is enough for the usual helper.
    for n in _names(code):
        inner = names.get(n)
        if (
            inspect.isfunction(inner)
            and inner.__module__ == function.__module__
            and inner is not function
        ):
            for deeper in _names(inner.__code__):
                if isinstance(inner.__globals__.get(deeper), ModuleType):
                    yield inner.__globals__[deeper].__name__.split(".")[0]


def _names(code: CodeType) -> Iterator[str]:
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _names(constant)
