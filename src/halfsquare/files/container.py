"""One container for all files of our own: a safetensors file whose header says what it holds, and
whose digest tells any changed bit.

Numbers are tensors, all else is one JSON object in the metadata, under ``halfsquare``:

    {"sha256": "…", "kind": "model", "format_version": 2, …}

The digest is that of every byte of the file, with zeros in its own place: of the header, of the
arrays, and of the padding between. It is compared before anything else is read, so that what is
read is what was written. It tells damage, not forgery: whoever means to can write another digest.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, final

import numpy.typing as npt

from halfsquare.errors import HalfsquareError
from halfsquare.files.atomic import atomic_write, reason

Array = npt.NDArray[Any]
Header = dict[str, Any]

_KEY, _OLD_KEYS = "halfsquare", ("halfsquare-checkpoint", "halfsquare-sums")
_OWN = ("sha256", "kind", "format_version")
_ZEROS = "0" * 64
_MAX_HEADER = 100_000_000  # as safetensors has it
_NAMES = {"model": "model file", "checkpoint": "checkpoint", "sums": "file of sums"}


@final
@dataclass(frozen=True)
class Container:
    """A kind of file.

    Attributes
    ----------
    kind : str
        ``"model"``, ``"checkpoint"`` or ``"sums"``.
    version : int
        Of its format; others are refused.
    error : type
        What is raised when a file is refused.
    max_bytes : int
        A larger file is refused before it is read.
    """

    kind: str
    version: int
    error: type[HalfsquareError]
    max_bytes: int = 64 << 30

    def write(self, path: str | Path, header: Header, arrays: Mapping[str, Array]) -> None:
        """Write a file, whole or not at all; the arrays lie by rows.

        Raises
        ------
        OutputError
            If it cannot be written; what stood there stays as it was.
        """
        from safetensors.numpy import save

        first = dict(zip(_OWN, (_ZEROS, self.kind, self.version), strict=True))
        content = memoryview(save(dict(arrays), {_KEY: json.dumps({**first, **header})}))
        at = _place(content, _ZEROS)
        with atomic_write(path) as file:
            file.write(content[:at])
            file.write(_digest(content, at).encode())
            file.write(content[at + len(_ZEROS) :])

    def read(self, path: str | Path) -> tuple[Header, dict[str, Array]]:
        """Header and arrays, as they were written.

        Raises
        ------
        HalfsquareError
            Of the kind's own type, if there is no such file, it is damaged, is not ours, is of
            another kind, or of another version.
        """
        from safetensors import SafetensorError
        from safetensors.numpy import load

        path = Path(path)
        content, header = self._opened(path)
        self._require_ours(path, header)
        whole = _is_whole(content, header)
        if header["format_version"] != self.version:
            raise self.error(self._other_version(path, header["format_version"], whole))
        if not whole:
            raise self._damaged(path, "its contents do not have the digest written with them")
        try:
            return {k: v for k, v in header.items() if k not in _OWN}, load(bytes(content))
        except (SafetensorError, ValueError, TypeError, KeyError, AttributeError) as problem:
            raise self._damaged(path, str(problem)) from None

    def holds(self, path: str | Path) -> bool:
        """Whether a file says that it is of this kind; False for anything else, or nothing."""
        try:
            with Path(path).open("rb") as file:
                return bool(_header(file).get("kind") == self.kind)
        except (OSError, ValueError):
            return False

    @contextmanager
    def checking(self, path: str | Path) -> Iterator[None]:
        """What the block finds wrong with the contents of a file is said of the file.

        Raises
        ------
        HalfsquareError
            Of the kind's own type.
        """
        try:
            yield
        except (HalfsquareError, ValueError) as problem:
            raise self._damaged(path, str(problem)) from None
        except (
            KeyError,
            TypeError,
            IndexError,
            AttributeError,
            ArithmeticError,
            RecursionError,
            MemoryError,
        ) as problem:
            raise self._damaged(path, f"{type(problem).__name__} at {problem}") from None

    @property
    def _name(self) -> str:
        return _NAMES[self.kind]

    def _opened(self, path: Path) -> tuple[memoryview, Header]:
        if not path.is_file():
            raise self.error(
                f"{path} is not a file" if path.exists() else f"there is no {self._name} {path}"
            )
        try:
            with path.open("rb") as file:
                header = _header(file)
                if path.stat().st_size > self.max_bytes:
                    raise self.error(f"{path} is larger than a {self._name} can be")
                file.seek(0)
                return memoryview(file.read()), header
        except ValueError as problem:
            raise self.error(
                f"{path} is no {self._name} of halfsquare, or it is damaged: {problem}"
            ) from None
        except OSError as problem:
            raise self.error(f"{path} could not be read: {reason(problem)}") from None

    def _require_ours(self, path: Path, header: Header) -> None:
        if header.get("format_version") == 1 and "kind" not in header:
            raise self.error(
                f"{path} was written by an early version, in format 1, which carries no digest; "
                f"this version reads format {self.version}: make it again"
            )
        if header.get("kind") != self.kind:
            found = _NAMES.get(str(header.get("kind")), "safetensors file of another program")
            raise self.error(f"{path} is a {found}, not a {self._name}")
        version = header.get("format_version")
        if type(version) is not int or version < 1:
            raise self._damaged(path, f"its format version is {version!r}")

    def _other_version(self, path: Path, version: int, whole: bool) -> str:
        doubt = "" if whole else "; or it is damaged"
        advice = "update halfsquare" if version > self.version else "make it again"
        return (
            f"{path} is a {self._name} of format {version}; this version reads format "
            f"{self.version}: {advice}{doubt}"
        )

    def _damaged(self, path: str | Path, why: str) -> HalfsquareError:
        return self.error(f"{path} is damaged: {why}")


def _header(file: IO[bytes]) -> Header:
    """What a file of ours says of itself, at its beginning; empty for another safetensors file.

    Raises
    ------
    ValueError
        If it is no safetensors file.
    """
    start = file.read(8)
    length = int.from_bytes(start, "little")
    if len(start) < 8 or not 2 <= length <= _MAX_HEADER:
        raise ValueError("it does not begin as one")
    text = file.read(length)
    if len(text) < length:
        raise ValueError("its end is missing")
    try:
        described = json.loads(text.decode())
        metadata = described.get("__metadata__", {})
        if any(key in metadata for key in _OLD_KEYS):
            return {"format_version": 1}
        header = json.loads(metadata.get(_KEY, "{}"))
        if isinstance(header, dict):
            return header
    except (ValueError, TypeError, AttributeError, RecursionError):
        pass
    raise ValueError("its header cannot be read")


def _is_whole(content: memoryview, header: Header) -> bool:
    written = header.get("sha256")
    if not isinstance(written, str) or not re.fullmatch("[0-9a-f]{64}", written):
        return False
    return _digest(content, _place(content, written)) == written


def _place(content: memoryview, digest: str) -> int:
    """Where the digest stands: at the beginning of the header, before any array has a name."""
    return bytes(content[:1000]).index(digest.encode())


def _digest(content: memoryview, at: int) -> str:
    found = hashlib.sha256(content[:at])
    found.update(_ZEROS.encode())
    found.update(content[at + len(_ZEROS) :])
    return found.hexdigest()
