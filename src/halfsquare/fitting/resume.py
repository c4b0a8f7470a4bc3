"""A fit that can be killed and continued: which fit a checkpoint is of, and whether this is the
same.

What decides the bits of a model is compared: the options, the rows as they were read, the versions
of what computes. Threads and the time limit do not, and may differ; nor does the name of the file
that the rows came from.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any, cast, final

from halfsquare.data.scan import Scanned
from halfsquare.errors import CheckpointError, OptionError
from halfsquare.files.atomic import require_writable
from halfsquare.files.checkpoint import Checkpoint
from halfsquare.files.records import from_json
from halfsquare.fitting.options import FitOptions, Request
from halfsquare.parallel.base import Execution
from halfsquare.solvers.checkpointer import NO_CHECKPOINTS, Checkpointer, CheckpointStore

_SHOWN = 3  # differences that are named
_LOG = logging.getLogger("halfsquare")
Section = dict[str, Any]


@final
@dataclass(frozen=True)
class Resuming:
    """The checkpoint of a fit that is about to begin.

    Attributes
    ----------
    path : Path
    seconds : float
        From one writing to the next, at least.
    settings : dict
        Of this fit: its versions and its options.
    found : Checkpoint or None
        What the file held.
    required : bool
        Whether there must be something to continue: a file of another fit is then refused even if
        that one is finished.
    """

    path: Path
    seconds: float
    settings: dict[str, Section]
    found: Checkpoint | None
    required: bool

    @classmethod
    def of(
        cls,
        checkpoint: str | Path | None,
        resume: str | Path | None,
        seconds: float,
        options: FitOptions,
        request: Request,
    ) -> Resuming | None:
        """What ``checkpoint`` and ``resume`` ask for; None if neither is given. No row is read for
        that.

        Raises
        ------
        OptionError
            If they name two files, or the seconds are no number >= 0.
        CheckpointError
            If the file is no checkpoint, or of a fit with other options; or if there is none to
            resume.
        OutputError
            If it could not be written.
        """
        given = resume if checkpoint is None else checkpoint
        if given is None:
            return None
        if resume is not None and Path(resume) != Path(given):
            raise OptionError(
                "checkpoint and resume name two files; a fit goes on in the file it is "
                "resumed from: give one"
            )
        if not 0.0 <= seconds < float("inf"):
            raise OptionError(
                f"the checkpoint is to be written every {seconds:g} s; expected a number >= 0"
            )
        path, required = Path(given), checkpoint is None
        require_writable(path)
        found = Checkpoint.read(path) if required or path.exists() else None
        settings = {"version": _versions(), "options": _settings(options, request)}
        return cls(path, seconds, settings, found, required)._checked(settings)

    def _checked(self, identity: Mapping[str, Section]) -> Resuming:
        """This, without what the file held if that was another fit, and finished; refused if it was
        not.
        """
        told = [] if self.found is None else differences(self.found.identity, identity)
        if self.found is None or not told:
            return self
        if self.found.finished and not self.required:
            _LOG.info(
                "%s held the checkpoint of another fit that was finished; it is replaced", self.path
            )
            return replace(self, found=None)
        more = f"; and {len(told) - _SHOWN} more" if len(told) > _SHOWN else ""
        raise CheckpointError(
            f"{self.path} is the checkpoint of another fit: {'; '.join(told[:_SHOWN])}{more}. "
            "Continue it as it was begun, or delete it to begin anew"
        )

    @contextmanager
    def checkpointer(self, scanned: Scanned, execution: Execution) -> Iterator[Checkpointer]:
        """Keeps the fit of these rows; its file is written one last time at the end.

        Raises
        ------
        CheckpointError
            If the rows are not those of the checkpoint.
        """
        identity = {**self.settings, "data": _data(scanned, execution)}
        found = self._checked(identity).found
        store = CheckpointStore(self.path, found or Checkpoint(identity, {}), self.seconds)
        if found is None:
            _LOG.info("checkpoint in %s, every %g s", self.path, self.seconds)
        else:
            _LOG.info("resumed: %s", store.held)
        whole = False
        try:
            yield Checkpointer(store)
            whole = True
        finally:
            if not store.close(whole):
                _LOG.info("%s; --resume %s goes on from there", store.held, self.path)
            elif not store.entries:
                _LOG.info(
                    "this fit is solved directly, with no descent: nothing was kept in %s",
                    self.path,
                )


@contextmanager
def checkpointer_of(
    resuming: Resuming | None, scanned: Scanned, execution: Execution
) -> Iterator[Checkpointer]:
    """The checkpointer of a fit; one that keeps nothing if no checkpoint is asked for."""
    if resuming is None:
        yield NO_CHECKPOINTS
    else:
        with resuming.checkpointer(scanned, execution) as checkpointer:
            yield checkpointer


def differences(then: Mapping[str, Any], now: Mapping[str, Section]) -> list[str]:
    """In words, what sections of both say differently."""
    found = []
    for section, values in now.items():
        if section not in then:
            continue
        before = then[section]
        if section == "data":
            found += _data_differences(_read_of(before), _Read(**values))
            continue
        for name in sorted(before.keys() | values.keys()):
            a, b = (json.dumps(side.get(name)) for side in (before, values))
            if a != b:
                found.append(
                    f"{name.replace('_', ' ')}: the checkpoint has {_shown(a)}, this fit "
                    f"{_shown(b)}"
                )
    return found


def _shown(value: str) -> str:
    return "none" if value == "null" else value


@final
@dataclass(frozen=True)
class _Read:
    """Which rows a fit has read."""

    rows: int
    columns: list[str]
    digest: str


def _read_of(saved: Any) -> _Read:
    try:
        return from_json(_Read, saved, "data")
    except ValueError as problem:
        raise CheckpointError(f"the checkpoint is damaged: {problem}") from None


def _data_differences(then: _Read, now: _Read) -> list[str]:
    if then.rows != now.rows:
        return [f"the data have changed: {then.rows:,} rows then, {now.rows:,} now"]
    if then.columns != now.columns:
        gone = [f"{c} is gone" for c in then.columns if c not in now.columns]
        new = [f"{c} is new" for c in now.columns if c not in then.columns]
        return [
            f"the columns have changed: {', '.join([*gone, *new]) or 'they stand in another order'}"
        ]
    return (
        [] if then == now else ["the data have changed: as many rows and columns, but other values"]
    )


def _versions() -> Section:
    return {name: version(name) for name in ("halfsquare", "numpy", "scipy")}


def _settings(options: FitOptions, request: Request) -> Section:
    every = {**asdict(options), **asdict(request)}
    kept = {name: value for name, value in every.items() if name not in ("threads", "time_limit")}
    settings: Section = json.loads(json.dumps(kept, default=str))
    return settings


def _data(scanned: Scanned, execution: Execution) -> Section:
    """Rows, columns, and a digest of all that was read: values, levels of text, and which rows are
    set apart.
    """
    table, digest = scanned.table, hashlib.sha256()
    digest.update(json.dumps([table.sizes, table.train_sizes, scanned.levels]).encode())
    for part in execution.map(
        lambda i: hashlib.sha256(cast(Any, table.read(i))).digest(), len(table.sizes)
    ):
        digest.update(part)
    columns = [f"{column.name} ({column.kind})" for column in scanned.roles.scanned]
    return {"rows": table.rows, "columns": columns, "digest": digest.hexdigest()}
