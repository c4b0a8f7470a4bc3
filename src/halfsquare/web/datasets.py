"""The data sets that the page may read: what the server was given, what comes with it, what was
uploaded.

A data set is asked for by a key out of this list; no path, glob or query ever comes from a request.
Uploads lie in a folder of their own that nobody else may open, under names that are made up here,
and are removed when the server ends.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from starlette.concurrency import run_in_threadpool

from halfsquare.data import datasets as examples
from halfsquare.data import datasets as flights
from halfsquare.data.deciding import open_source
from halfsquare.data.source import Source
from halfsquare.data.spec import DataSpec
from halfsquare.errors import DataError, HalfsquareError, OptionError, OutputError
from halfsquare.files.private import PrivateFolder
from halfsquare.web.reading_form import without_flags

MOST_COLUMNS = 2_000  # of an upload: the page lists them
LIMIT = 200 * 2**20
ALL_LIMIT = 5 * LIMIT  # of all uploads together
SUFFIXES = (
    *(".csv", ".tsv", ".parquet", ".xlsx", ".ods", ".jsonl", ".json", ".txt"),
    *(f"{kind}.{packed}" for kind in (".csv", ".tsv", ".jsonl") for packed in ("gz", "zst")),
)
# What a message proposes to those who have a command line, and the form has elsewhere.
_EXCLUDE = re.compile(r" \(--exclude [^)]*\)")


class TooLarge(HalfsquareError):
    """An upload of more than LIMIT bytes."""

    def __init__(self) -> None:
        super().__init__(
            f"the file is larger than {LIMIT >> 20} MB. Give its path at the start instead: "
            "halfsquare serve --data FILE"
        )


@dataclass(frozen=True)
class DataSet:
    """Rows to train on.

    Attributes
    ----------
    key : str
        What requests call it.
    label, about : str
        What people call it, and what it is.
    make : callable() -> Path
        Where it lies; a built-in set is written when it is first asked for.
    target, formula, start : str or None
        What to propose.
    features : tuple of str or None
        Columns to propose; None for all others.
    """

    key: str
    label: str
    about: str
    make: Callable[[], Path]
    target: str | None = None
    formula: str | None = None
    start: str | None = None
    features: tuple[str, ...] | None = None

    def rows(self, reading: Mapping[str, Any] | None = None) -> DataSpec:
        """The rows, read by these options."""
        return DataSpec.of(str(self.make()), **(reading or {}))

    def open(self, reading: Mapping[str, Any] | None = None) -> Source:
        """The rows, read by these options; what is wrong with them is told under the label.

        Raises
        ------
        DataError, OptionError
        """
        rows = self.rows(reading)
        try:
            return open_source(rows)
        except (DataError, OptionError) as problem:
            raise type(problem)(self.told(str(problem))) from None

    def told(self, message: str) -> str:
        """The message with the label in place of the path, and fields in place of options."""
        return without_flags(_EXCLUDE.sub("", message.replace(str(self.make()), self.label)))


class Store:
    """The data sets of one run of the server."""

    def __init__(self, data: Path | None = None) -> None:
        self._given = None if data is None else data.resolve()
        self._uploads: dict[str, DataSet] = {}
        self._count = 0
        self._private: PrivateFolder | None = None

    @cached_property
    def folder(self) -> Path:
        """The private folder, made when it is first needed: for its owner alone (0700)."""
        self._private = PrivateFolder()
        return self._private.path

    def all(self) -> list[DataSet]:
        """Every data set, the likeliest first."""
        found = [*reversed(self._uploads.values())]
        if self._given is not None:
            path = self._given
            found.append(
                DataSet(
                    "given", path.name, "the file that the server was started with", lambda: path
                )
            )
        for name, (about, target, formula, start) in examples.SETS.items():
            found.append(
                DataSet(name, name.capitalize(), about, self._maker(name), target, formula, start)
            )
        if flights.installed():
            about = "336,776 flights out of New York in 2013: how late do they arrive?"
            found.append(
                DataSet(
                    "flights",
                    "Flights",
                    about,
                    self._flights,
                    flights.TARGET,
                    features=flights.COLUMNS,
                )
            )
        return found

    def get(self, key: str | None) -> DataSet:
        """The data set of this key; without one, the likeliest.

        Raises
        ------
        OptionError
            If there is none.
        """
        found = self.all()
        for one in found:
            if key in (None, one.key):
                return one
        raise OptionError(
            f"there is no data set {key!r} here (any more). Choose one of those shown, or "
            "upload it again"
        )

    async def receive(
        self,
        name: str,
        length: int | None,
        parts: AsyncIterator[bytes],
        reading: Mapping[str, Any] | None = None,
    ) -> DataSet:
        """Keep an upload, a part at a time; what is no table or too large leaves nothing behind.

        Raises
        ------
        OptionError
            If its name has an ending that is not known.
        TooLarge
            If it is larger than LIMIT.
        DataError
            If it cannot be read.
        """
        label = _label(name)
        suffix = max((s for s in SUFFIXES if label.lower().endswith(s)), key=len, default=None)
        if suffix is None:
            raise OptionError(
                f"{label!r} ends in none of {', '.join(SUFFIXES)}: export the rows to one of these"
            )
        if length is not None and length > LIMIT:
            raise TooLarge
        if sum(one.make().stat().st_size for one in self._uploads.values()) > ALL_LIMIT - LIMIT:
            raise OptionError(
                f"the uploads take up more than {(ALL_LIMIT - LIMIT) >> 20} MB: remove one of them "
                "first"
            )
        self._count += 1
        key = f"upload-{self._count}"
        path = self.folder / (key + suffix)
        one = DataSet(key, label, "uploaded", lambda: path)
        try:
            await _write(path, parts)
            await run_in_threadpool(_require_rows, one, reading or {})
        except BaseException:
            path.unlink(missing_ok=True)
            raise
        self._uploads[key] = one
        return one

    def remove(self, key: str) -> None:
        """Remove an upload.

        Raises
        ------
        OptionError
            If there is none of this key.
        """
        one = self._uploads.pop(key, None)
        if one is None:
            raise OptionError("this upload is not here any more: choose Train above")
        with suppress(OSError):  # elsewhere an open file cannot be removed; at the end it is
            one.make().unlink()

    def find(self, key: str) -> DataSet | None:
        """The data set of this key, or None."""
        return next((one for one in self.all() if one.key == key), None)

    @contextmanager
    def scratch(self, suffix: str) -> Iterator[Path]:
        """The name of a file in the private folder, gone at the end of the block."""
        self._count += 1
        path = self.folder / f"scratch-{self._count}{suffix}"
        try:
            yield path
        finally:
            path.unlink(missing_ok=True)

    def close(self) -> None:
        """Remove the folder and all that is in it."""
        if self._private is not None:
            self._private.remove()

    def _maker(self, name: str) -> Callable[[], Path]:
        return lambda: examples.write(name, self.folder)

    def _flights(self) -> Path:
        path = self.folder / "flights.csv"
        return path if path.is_file() else flights.unpack_flights(self.folder)


def _require_rows(one: DataSet, reading: Mapping[str, Any]) -> None:
    """Refuse what nothing could be trained on: no row, or no column of numbers; and what is too
    wide to be shown.
    """
    source = one.open(reading)
    if len(source.columns) > MOST_COLUMNS:
        raise DataError(
            f"{one.label} has {len(source.columns):,} columns; the page takes at most "
            f"{MOST_COLUMNS:,}. Fit it on the command line, or keep those that matter in the file"
        )
    if not source.row(1):
        raise DataError(f"{one.label} has a header and no row: expected rows below it")
    if not any(c.kind in ("number", "boolean") for c in source.columns):
        raise DataError(f"{one.label} has no column of numbers, so there is nothing to predict")


async def _write(path: Path, parts: AsyncIterator[bytes]) -> None:
    size = 0
    try:
        with path.open("xb") as file:
            async for part in parts:
                size += len(part)
                if size > LIMIT:
                    raise TooLarge
                file.write(part)
    except OSError as problem:
        raise OutputError(
            f"the file could not be kept on this machine: {problem.strerror}"
        ) from None
    if not size:
        raise DataError("the file is empty: expected a header line and rows")


def _label(name: str) -> str:
    """A file's own name, for people alone: without folders and without characters that are not
    seen.
    """
    last = name.replace("\\", "/").rsplit("/", 1)[-1]
    return "".join(c for c in last if c.isprintable()).strip()[-80:] or "the file"
