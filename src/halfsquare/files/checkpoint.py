"""The checkpoint file: how far each descent of a fit has come, and which fit it is, in a
:class:`~halfsquare.files.container.Container`.

It is written to another name and renamed: until the new one is whole, the old one stands.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

from halfsquare.errors import CheckpointError
from halfsquare.files.container import Array, Container
from halfsquare.files.packing import Packed
from halfsquare.files.records import from_json

CHECKPOINT_FILE = Container("checkpoint", 2, CheckpointError)


@final
@dataclass(frozen=True)
class Entry:
    """How far one descent has come.

    Attributes
    ----------
    start : str
        Digest of what it began from.
    steps : int
    over : bool
        Whether its method has ended it; what a clock or a person has ended can go on.
    pack : callable
        Its state and history.
    """

    start: str
    steps: int
    over: bool
    pack: Callable[[], Packed]


@dataclass(frozen=True)
class _Saved:
    """An entry in a file: its arrays are those from ``first`` on."""

    start: str
    steps: int
    over: bool
    arrays: tuple[int, int]
    tree: Any


@final
@dataclass(frozen=True)
class Checkpoint:
    """What is in a file.

    Attributes
    ----------
    identity : mapping
        Which fit it is: sections of JSON values.
    entries : mapping of name to Entry
        One for each descent that has begun.
    finished : bool
        Whether the fit has come to its end.
    """

    identity: Mapping[str, Any]
    entries: Mapping[str, Entry]
    finished: bool = False

    def write(self, path: str | Path) -> None:
        """Write the file, whole or not at all.

        Raises
        ------
        OutputError
            If it cannot be written; what stood there stays as it was.
        """
        arrays: list[Array] = []
        entries = {}
        for name, entry in self.entries.items():
            packed = entry.pack()
            place = (len(arrays), len(packed.arrays))
            arrays += packed.arrays
            entries[name] = vars(_Saved(entry.start, entry.steps, entry.over, place, packed.tree))
        header = {"identity": self.identity, "finished": self.finished, "entries": entries}
        CHECKPOINT_FILE.write(path, header, {str(i): array for i, array in enumerate(arrays)})

    @classmethod
    def read(cls, path: str | Path) -> Checkpoint:
        """Read a checkpoint; its states are unpacked when they are asked for.

        Raises
        ------
        CheckpointError
            If there is none, it is damaged, is no checkpoint, or is of another version.

        Examples
        --------
        >>> Checkpoint.read("no-such-file.ckpt")
        Traceback (most recent call last):
        ...
        halfsquare.errors.CheckpointError: there is no checkpoint no-such-file.ckpt
        """
        header, tensors = CHECKPOINT_FILE.read(path)
        with CHECKPOINT_FILE.checking(path):
            arrays = [tensors[str(i)] for i in range(len(tensors))]
            saved = from_json(dict[str, _Saved], header["entries"], "entries")
            return cls(
                from_json(dict[str, dict[str, Any]], header["identity"], "identity"),
                {name: _entry(name, entry, arrays) for name, entry in saved.items()},
                from_json(bool, header["finished"], "finished"),
            )


def _entry(name: str, saved: _Saved, arrays: list[Array]) -> Entry:
    first, count = saved.arrays
    if not 0 <= first <= first + count <= len(arrays) or saved.steps < 0:
        raise ValueError(f"{name!r} with arrays {first} to {first + count} of {len(arrays)}")
    packed = Packed(saved.tree, tuple(arrays[first : first + count]))
    return Entry(saved.start, saved.steps, saved.over, lambda: packed)
