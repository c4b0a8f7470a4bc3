"""The checkpoint file: how far each descent of a fit has come, and which fit it is.

A safetensors file, as the model file is: numbers as tensors, all else as JSON in its metadata,
never a pickle. A digest over both tells damage, so that a state is read as it was written or not at
all. It is written to another name and renamed: until the new one is whole, the old one stands.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import numpy as np

from halfsquare.errors import CheckpointError
from halfsquare.files.atomic import atomic_write
from halfsquare.files.packing import Array, Packed

FORMAT_VERSION = 1
_KEY, _DIGEST = "halfsquare-checkpoint", "digest"


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
        from safetensors.numpy import save as to_bytes

        arrays: list[Array] = []
        entries = {}
        for name, entry in self.entries.items():
            packed = entry.pack()
            place = [len(arrays), len(packed.arrays)]
            arrays += packed.arrays
            entries[name] = {
                "start": entry.start,
                "steps": entry.steps,
                "over": entry.over,
                "arrays": place,
                "tree": packed.tree,
            }
        described = json.dumps(
            {
                "format_version": FORMAT_VERSION,
                "identity": self.identity,
                "finished": self.finished,
                "entries": entries,
            }
        )
        tensors = {str(i): array for i, array in enumerate(arrays)}
        with atomic_write(path) as file:
            file.write(to_bytes(tensors, {_KEY: described, _DIGEST: _digest(described, arrays)}))

    @classmethod
    def read(cls, path: str | Path) -> Checkpoint:
        """Read a checkpoint; its states are unpacked when they are asked for.

        Raises
        ------
        CheckpointError
            If there is none, it is damaged, is no checkpoint, or comes from a later version.

        Examples
        --------
        >>> Checkpoint.read("no-such-file.ckpt")
        Traceback (most recent call last):
        ...
        halfsquare.errors.CheckpointError: there is no checkpoint no-such-file.ckpt
        """
        path = Path(path)
        if not path.is_file():
            raise CheckpointError(
                f"there is no checkpoint {path}" if not path.exists() else f"{path} is not a file"
            )
        metadata, tensors = _opened(path)
        if _KEY not in metadata:
            raise CheckpointError(f"{path} is a safetensors file, but not a checkpoint of a fit")
        try:
            described = json.loads(metadata[_KEY])
            version = described["format_version"]
            if not isinstance(version, int) or version > FORMAT_VERSION:
                raise CheckpointError(
                    f"{path} has checkpoint format {version}; this version reads up to "
                    f"{FORMAT_VERSION}: update halfsquare"
                )
            arrays = [tensors[str(i)] for i in range(len(tensors))]
            if _digest(metadata[_KEY], arrays) != metadata[_DIGEST]:
                raise CheckpointError(
                    f"{path} is damaged: it is not what was written. Delete it to begin anew"
                )
            entries = {name: _entry(saved, arrays) for name, saved in described["entries"].items()}
            identity = {section: dict(values) for section, values in described["identity"].items()}
            return cls(identity, entries, bool(described["finished"]))
        except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as problem:
            raise CheckpointError(
                f"{path} is damaged: {type(problem).__name__} at {problem}"
            ) from None


def _opened(path: Path) -> tuple[dict[str, str], dict[str, Array]]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as file:
            # A copy lies in memory as other arrays do.
            names = list(file.keys())
            return file.metadata() or {}, {name: np.array(file.get_tensor(name)) for name in names}
    except (SafetensorError, OSError, ValueError, TypeError, KeyError, AttributeError) as problem:
        raise CheckpointError(
            f"{path} is no checkpoint of a fit, or it is damaged: {problem}"
        ) from None


def _entry(saved: Mapping[str, Any], arrays: list[Array]) -> Entry:
    first, count = saved["arrays"]
    packed = Packed(saved["tree"], tuple(arrays[first : first + count]))
    return Entry(str(saved["start"]), int(saved["steps"]), bool(saved["over"]), lambda: packed)


def _digest(described: str, arrays: list[Array]) -> str:
    return Packed(described, tuple(arrays)).digest()
