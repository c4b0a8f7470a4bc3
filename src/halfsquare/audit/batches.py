"""Batches for a training step: ours or the user's, cut by rows, in whatever container they come."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from halfsquare.audit.arguments import parameters_of, role_of
from halfsquare.audit.calling import guarded
from halfsquare.audit.samples import uneven
from halfsquare.audit.subject import CallFailed, floats, numbers
from halfsquare.loss import Floats

_SEVERAL = (
    "batches",
    "micro_batches",
    "microbatches",
    "shards",
    "ranks",
    "parts",
    "minibatches",
    "mini_batches",
    "chunks",
)


def takes_batch(loss: Any) -> bool:
    """A training step: one argument that is needed."""
    found = parameters_of(loss)
    if not found:
        return False
    needed = [
        p for p in found if p.default is p.empty and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)
    ]
    plain = all(p.kind is not p.VAR_POSITIONAL for p in found)
    # f(predictions, targets=None) takes two arrays, although one is enough.
    roles = {role_of(p.name) for p in found if p not in needed}
    return (
        len(needed) == 1
        and plain
        and needed[0].kind is not needed[0].KEYWORD_ONLY
        and not roles & {"target", "output"}
    )


@dataclass(frozen=True)
class Step:
    """A step with a batch that it takes; ``several`` if it takes a list of micro-batches."""

    function: Callable[[Any], Any]
    whole: Any
    several: bool
    library: str
    size: int = 0

    def gradient(self, *batches: Any) -> Floats:
        """All gradients of one call as one vector."""
        with guarded([]):
            found = _flat(self.function(list(batches) if self.several else batches[0]))
        if self.size not in (0, found.size):
            raise CallFailed(
                f"it returned {found.size} numbers for one batch and {self.size} for another; "
                "gradients of parameters do not depend on the number of rows"
            )
        return found

    @property
    def rows(self) -> int:
        return row_count(self.whole)


def find_step(function: Callable[[Any], Any], batch: Any = None) -> Step:
    """The form of batch that a step takes: one or several, arrays or tensors, with a mask or not.

    Raises
    ------
    CallFailed
        If it takes none of them; the message is that of the first.
    """
    named = [p.name.lower().strip("_") for p in parameters_of(function) or []]
    order: tuple[bool, ...] = (True, False) if named and named[0] in _SEVERAL else (False, True)
    if isinstance(batch, list) and batch and not hasattr(batch[0], "shape"):
        order, batch = (True,), batch[0]
    problems = []
    for several in order:
        for name, whole in [("as given", batch)] if batch is not None else _ours():
            step = Step(function, whole, several, name)
            try:
                if size := step.gradient(whole).size:
                    return replace(step, size=size)
                problems.append("it returned no gradients")
            except CallFailed as problem:
                problems.append(str(problem))
    raise CallFailed(problems[0])


def _ours() -> Iterator[tuple[str, Any]]:
    sample, inputs, _ = uneven()
    mask = np.ones(13)
    for parts in (
        (inputs, sample.target),
        (inputs, sample.target[:, None]),
        (inputs, sample.target, mask),
    ):
        yield "NumPy", parts
        if "torch" in sys.modules:
            torch = sys.modules["torch"]
            for dtype in (torch.float32, torch.float64):
                yield "PyTorch", tuple(torch.from_numpy(p.copy()).to(dtype) for p in parts)
        if "jax" in sys.modules:
            yield "JAX", tuple(sys.modules["jax"].numpy.asarray(p) for p in parts)
        if "tensorflow" in sys.modules:
            yield (
                "TensorFlow",
                tuple(sys.modules["tensorflow"].constant(p, dtype="float32") for p in parts),
            )


def row_count(batch: Any) -> int:
    """The rows of a batch: the length of its first array."""
    parts = (
        list(batch.values())
        if isinstance(batch, Mapping)
        else list(batch)
        if isinstance(batch, (tuple, list))
        else [batch]
    )
    return len(parts[0])


def each(batch: Any, change: Callable[[int, Any], Any]) -> Any:
    """The same container with every array changed; arrays are numbered in their order."""
    if isinstance(batch, Mapping):
        return {k: change(i, v) for i, (k, v) in enumerate(batch.items())}
    if isinstance(batch, (tuple, list)):
        return tuple(change(i, v) for i, v in enumerate(batch))
    return change(0, batch)


def take(batch: Any, rows: slice | list[int]) -> Any:
    """Some rows of every array."""
    return each(batch, lambda _, a: a[rows])


def mask_of(batch: Any) -> int | None:
    """Which array is a mask: one named so, or a third of zeros and ones."""
    if isinstance(batch, Mapping):
        return next((i for i, k in enumerate(batch) if "mask" in str(k).lower()), None)
    if isinstance(batch, (tuple, list)) and len(batch) == 3:
        values = floats(numbers(batch[2]))
        return 2 if np.isin(values, (0.0, 1.0)).all() else None
    return None


def target_of(batch: Any) -> int | None:
    """Which array is the target: one named so, else the second."""
    if isinstance(batch, Mapping):
        names = [str(k).lower() for k in batch]
        return next(
            (
                i
                for i, k in enumerate(names)
                if k in ("y", "t", "target", "targets", "label", "labels")
            ),
            None,
        )
    return 1 if isinstance(batch, (tuple, list)) and len(batch) > 1 else None


def _flat(returned: Any) -> Floats:
    """Gradients in a list, a dictionary, a tree, or behind a loss, as one vector."""
    if (
        isinstance(returned, tuple)
        and len(returned) == 2
        and _is_number(returned[0])
        and not _is_number(returned[1])
    ):
        returned = returned[1]
    leaves = list(_leaves(returned))
    if not leaves:
        raise CallFailed("it returned no gradients")
    return np.concatenate([np.ravel(floats(numbers(leaf))) for leaf in leaves])


def _is_number(value: Any) -> bool:
    try:
        return numbers(value).ndim == 0
    except CallFailed:
        return False


def _leaves(tree: Any) -> Iterator[Any]:
    if isinstance(tree, Mapping):
        for key in tree:
            yield from _leaves(tree[key])
    elif isinstance(tree, (list, tuple)) and not all(isinstance(x, (int, float)) for x in tree):
        for leaf in tree:
            yield from _leaves(leaf)
    else:
        yield tree
