"""Work as bytes, without the tables and large arrays that it refers to: those are futures of their
own, named by their content, so that each is sent once.

A function that sums over chunks refers to rows, and those to masks and levels, the same in every
round. Dask knows the arguments of a task, and does not look for what a function encloses. This is
cloudpickle, between processes of one user that trust each other, as all of Dask is; nothing that a
user types or loads is unpickled.
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

from halfsquare.cluster.held import HeldTable
from halfsquare.data.rows import Rows
from halfsquare.data.table import Table
from halfsquare.parallel.base import Execution

_LARGE_BYTES = 1 << 20


@dataclass(frozen=True)
class Packed:
    """A pickled object.

    Attributes
    ----------
    body : bytes
    names : tuple of str
        Of all it refers to: first those that others refer to in turn.
    table : HeldTable or None
        The table among them, whose chunks the workers hold.
    """

    body: bytes
    names: tuple[str, ...] = ()
    table: HeldTable | None = None


Enclosed = dict[str, Packed]


class Packer:
    """Packs objects; rows and tables, which do not change, are packed once as long as they live."""

    def __init__(self) -> None:
        self._known: dict[int, tuple[Any, Enclosed]] = {}
        self._lock = RLock()

    def pack(self, thing: Any) -> tuple[Packed, Enclosed]:
        """The object, and what it refers to by name."""
        import cloudpickle  # type: ignore[import-untyped]

        enclosed: Enclosed = {}
        tables: list[HeldTable] = []

        class Pickler(cloudpickle.Pickler):  # type: ignore[misc]
            def persistent_id(self, part: Any) -> Any:
                if part is thing:
                    return None
                if isinstance(part, Execution):
                    return ("execution",)  # where the work arrives, that is the worker's own
                if isinstance(part, HeldTable):
                    tables.append(part)
                    return ("partition",)
                if isinstance(part, (Rows, Table)):
                    found = packer._kept(part)
                elif isinstance(part, np.ndarray) and part.nbytes >= _LARGE_BYTES:
                    found = packer._named(part)
                else:
                    return None
                enclosed.update(found)
                return ("enclosed", list(found)[-1])

        packer = self
        file = io.BytesIO()
        with self._lock:
            Pickler(file, protocol=pickle.HIGHEST_PROTOCOL).dump(thing)
        tables += [p.table for p in enclosed.values() if p.table is not None]
        assert all(t is tables[0] for t in tables), "work on the rows of two tables"
        return Packed(file.getvalue(), tuple(enclosed), next(iter(tables), None)), enclosed

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
        packed, enclosed = self.pack(part)
        return {**enclosed, hashlib.sha256(packed.body).hexdigest(): packed}


def unpacked(
    body: bytes, enclosed: Mapping[str, Any], partition: HeldTable | None, execution: Execution
) -> Any:
    """The object, with what it refers to."""

    class Unpickler(pickle.Unpickler):
        def persistent_load(self, name: Any) -> Any:
            if name[0] == "execution":
                return execution
            return partition if name[0] == "partition" else enclosed[name[1]]

    return Unpickler(io.BytesIO(body)).load()
