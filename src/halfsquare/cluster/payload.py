"""What goes to a worker: a piece of work, with the tables and large arrays it refers to sent once
and named after.

A function that sums over chunks refers to rows, and those to masks and levels, the same in every
round. They are packed by themselves and named by their content; in the work only the name is left.
This is cloudpickle, between processes of one user that trust each other, as all of Dask is; nothing
that a user types or loads is unpickled.
"""

from __future__ import annotations

import hashlib
import io
import pickle
from collections.abc import Mapping
from dataclasses import dataclass
from threading import RLock
from typing import Any
from weakref import ref

import numpy as np

from halfsquare.data.rows import Rows
from halfsquare.data.table import Table
from halfsquare.parallel.base import Execution

_LARGE_BYTES = 1 << 20


@dataclass(frozen=True)
class Payload:
    """A pickled object, and the names of all it refers to: first those that others refer to in
    turn.
    """

    body: bytes
    names: tuple[str, ...] = ()


Enclosed = dict[str, Payload]


class Packer:
    """Packs objects; rows and tables, which do not change, are packed once as long as they live."""

    def __init__(self) -> None:
        self._known: dict[int, tuple[Any, Enclosed]] = {}
        self._lock = RLock()

    def pack(self, thing: Any) -> tuple[Payload, Enclosed]:
        """The object as a payload, and what it refers to by name."""
        import cloudpickle  # type: ignore[import-untyped]

        enclosed: Enclosed = {}

        class Pickler(cloudpickle.Pickler):  # type: ignore[misc]
            def persistent_id(self, part: Any) -> Any:
                if part is thing:
                    return None
                if isinstance(part, Execution):
                    return ("execution",)  # where the work arrives, that is the worker's own
                if isinstance(part, (Rows, Table)):
                    found = packer._kept(part)
                elif isinstance(part, np.ndarray) and part.nbytes >= _LARGE_BYTES:
                    found = packer._named(part)
                else:
                    return None
                enclosed.update(found)
                return ("held", list(found)[-1])

        packer = self
        file = io.BytesIO()
        with self._lock:
            Pickler(file, protocol=pickle.HIGHEST_PROTOCOL).dump(thing)
        return Payload(file.getvalue(), tuple(enclosed)), enclosed

    def _kept(self, part: Any) -> Enclosed:
        key = id(part)
        known = self._known.get(key)
        if known is None or known[0]() is not part:
            known = self._known[key] = (
                ref(part, lambda _: self._known.pop(key, None)),
                self._named(part),
            )
        return known[1]

    def _named(self, part: Any) -> Enclosed:
        """The part under the name of its content, after all it refers to."""
        payload, enclosed = self.pack(part)
        return {**enclosed, hashlib.sha256(payload.body).hexdigest(): payload}


def unpacked(payload: Payload, held: Mapping[str, Any], execution: Execution) -> Any:
    """The object of a payload, with what it refers to taken from ``held``."""

    class Unpickler(pickle.Unpickler):
        def persistent_load(self, name: Any) -> Any:
            return execution if name[0] == "execution" else held[name[1]]

    return Unpickler(io.BytesIO(payload.body)).load()
