"""Raw rows kept for repeated passes: in memory while they are few, in a temporary file beyond that.

The file has no name (it is unlinked at once), so nothing is left behind however the process ends,
and it is read by position, so that any number of threads can read it and memory stays flat.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import weakref
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from functools import cached_property
from typing import IO, Any, cast, final

import numpy as np

from halfsquare.data.buffers import Buffers
from halfsquare.errors import OutputError
from halfsquare.files.atomic import reason
from halfsquare.loss import Floats

MEMORY_BYTES = 48 << 20
_LEFT_FREE = 16 << 20  # of the disk, for others
_ADVICE = "Free some space there, or set TMPDIR to a folder on a larger disk"


class Table(ABC):
    """Chunks of raw rows, (columns, rows) each, the training rows of a chunk before its test
    rows.
    """

    sizes: list[int]
    train_sizes: list[int]

    @property
    def here(self) -> bool:
        """Whether its chunks lie on this machine."""
        return True

    @cached_property
    def buffers(self) -> Buffers:
        """For what is made of its chunks, one after the other."""
        return Buffers()

    @abstractmethod
    def read(self, index: int) -> Floats:
        """Chunk ``index`` (columns, m); not to be written to."""

    @property
    def rows(self) -> int:
        """Rows of all chunks."""
        return sum(self.sizes)

    @property
    def train_rows(self) -> int:
        """Those of them that are not set apart."""
        return sum(self.train_sizes)


@final
@dataclass
class RawTable(Table):
    """A table on this machine. It is a builder: chunks are appended by one scan and only read after
    that.

    Attributes
    ----------
    expected_rows : int
        How many will come, as far as known beforehand; 0 if it is not.
    """

    columns: int
    chunk_rows: int
    expected_rows: int = 0
    sizes: list[int] = field(default_factory=list)
    train_sizes: list[int] = field(default_factory=list)
    _kept: list[Floats] = field(default_factory=list, repr=False)
    _file: IO[bytes] | None = field(default=None, repr=False)

    def append(self, chunk: Floats, train_rows: int) -> None:
        """Add a chunk (columns, m), of which the first ``train_rows`` rows are for training.

        Raises
        ------
        OutputError
            If the temporary folder has no room for the rows, or for those that are expected.
        """
        index = len(self.sizes)
        if self._file is None and (index + 1) * self._stride > MEMORY_BYTES:
            self._spill()
        if self._file is None:
            self._kept.append(chunk if chunk.flags.c_contiguous else chunk.copy())
        else:
            self._require_space(self._stride)
            self._write(index, chunk)
        self.sizes.append(chunk.shape[1])
        self.train_sizes.append(train_rows)

    def read(self, index: int) -> Floats:
        """Chunk ``index`` (columns, m); not to be written to."""
        if self._file is None:
            return self._kept[index]
        chunk = self.buffers.empty(self.columns, self.sizes[index])
        view = memoryview(cast(Any, chunk)).cast("B")
        offset, done = index * self._stride, 0
        while done < len(view):
            got = os.preadv(self._file.fileno(), [view[done:]], offset + done)
            if not got:
                raise OutputError("the temporary copy of the rows was cut short")
            done += got
        return chunk

    @property
    def _stride(self) -> int:
        return self.columns * self.chunk_rows * 8

    def _spill(self) -> None:
        self._require_space(
            max(self.expected_rows * self.columns * 8, (len(self._kept) + 1) * self._stride)
        )
        try:
            self._file = tempfile.TemporaryFile(prefix="halfsquare-")  # noqa: SIM115 - lives as long as the table
        except OSError as problem:
            raise OutputError(
                f"the rows need a temporary file: {reason(problem)}. {_ADVICE}"
            ) from None
        weakref.finalize(self, self._file.close)
        for index, chunk in enumerate(self._kept):
            self._write(index, chunk)
        self._kept.clear()

    def _write(self, index: int, chunk: Floats) -> None:
        assert self._file is not None
        view = memoryview(cast(Any, np.ascontiguousarray(chunk))).cast("B")
        offset, done = index * self._stride, 0
        try:
            while done < len(view):
                done += os.pwrite(self._file.fileno(), view[done:], offset + done)
        except OSError as problem:
            raise OutputError(
                f"the rows do not fit in the temporary folder {tempfile.gettempdir()}: "
                f"{reason(problem)}. {_ADVICE}"
            ) from None

    def _require_space(self, needed: int) -> None:
        """Refuse before the disk is full, with figures: others write to it as well."""
        folder = tempfile.gettempdir()
        free = shutil.disk_usage(folder).free
        if needed + _LEFT_FREE > free:
            rows = f"{self.expected_rows:,}" if self.expected_rows else f"more than {self.rows:,}"
            raise OutputError(
                f"the temporary copy of {rows} rows of {self.columns} columns needs "
                f"{_size(needed)} more, "
                f"and {folder} has {_size(free)} free ({_size(_LEFT_FREE)} are left to "
                f"others). {_ADVICE}"
            )


def _size(count: int) -> str:
    return f"{count / 1e9:,.1f} GB" if count >= 1e9 else f"{count / 1e6:,.0f} MB"
