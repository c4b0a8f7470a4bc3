"""Options that several commands share, and how lists and progress are handled."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Annotated, Any

import typer

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of text.")]
Weights = Annotated[
    str | None,
    typer.Option(
        "--weights",
        metavar="COL",
        help="Column of row weights >= 0: a row of weight w stands w times.",
    ),
]
_DATA = (
    "CSV, TSV, Parquet or JSON lines (plain or .gz), a glob of these, a database file, a "
    "SQL query, or - for CSV on standard input."
)
Data = Annotated[str, typer.Argument(metavar="DATA", help=_DATA)]
OptionalData = Annotated[str | None, typer.Argument(metavar="DATA", help=_DATA, show_default=False)]
ModelFile = Annotated[
    str, typer.Argument(metavar="MODEL", help="A model file written by fit --out.")
]


def listed(values: Sequence[str] | None) -> list[str]:
    """Column names given by repeating an option or with commas between them."""
    return [name.strip() for value in values or () for name in value.split(",") if name.strip()]


def numbers(option: str, values: Sequence[str] | None) -> dict[str, float] | None:
    """``b1=500,b2=1e-4`` as a mapping."""
    return {name: _number(option, text) for name, text in _pairs(option, values)} or None


def ranges(
    option: str, values: Sequence[str] | None
) -> dict[str, tuple[float | None, float | None]] | None:
    """``b2=0:,b3=1:2`` as a mapping to (low, high); an empty side is no bound."""
    found: dict[str, tuple[float | None, float | None]] = {}
    for name, text in _pairs(option, values):
        low, colon, high = text.partition(":")
        if not colon:
            raise typer.BadParameter(
                f"{name}={text} has no ':'; expected low:high, such as 0: or :1", param_hint=option
            )
        found[name] = tuple(_number(option, side) if side.strip() else None for side in (low, high))  # type: ignore[assignment]
    return found or None


def _pairs(option: str, values: Sequence[str] | None) -> list[tuple[str, str]]:
    pairs = [item.partition("=") for item in listed(values)]
    for name, equals, _ in pairs:
        if not equals or not name.strip():
            raise typer.BadParameter(f"{name!r} is not of the form name=value", param_hint=option)
    return [(name.strip(), text.strip()) for name, _, text in pairs]


def _number(option: str, text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise typer.BadParameter(f"{text!r} is not a number", param_hint=option) from None


def dump(value: dict[str, Any] | list[Any]) -> None:
    """Print JSON for machines; what is not a finite number is null."""
    import json

    print(json.dumps(_finite(value), indent=2, ensure_ascii=False, allow_nan=False))


def _finite(value: Any) -> Any:
    if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):
        return None
    if isinstance(value, dict):
        return {k: _finite(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(v) for v in value]
    return value


class Reading:
    """Tells on standard error how the reading goes, once it has taken more than a second."""

    def __init__(self) -> None:
        self.began = self.told = self.last = time.monotonic()
        self.rows = 0

    def __call__(self, rows: int) -> None:
        self.rows = rows
        now = self.last = time.monotonic()
        if now - self.began > 1.0 and now - self.told > 0.25 and sys.stderr.isatty():
            self.told = now
            print(f"\r{self.line(now)}\x1b[K", end="", file=sys.stderr, flush=True)

    def line(self, now: float) -> str:
        """How many rows were read by then, in how long."""
        seconds = max(now - self.began, 1e-9)
        return f"read {self.rows:,} rows in {seconds:.1f} s, {self.rows / seconds:,.0f} rows/s"


class Watching:
    """A live line on standard error about an iterative descent, if someone is looking.

    Several members of an ensemble descend side by side: each has its place in the line.
    """

    def __init__(self, time_limit: float | None = None) -> None:
        self.began = self.told = time.monotonic()
        self.time_limit = time_limit
        self.members: dict[int, str] = {}

    def __call__(self, state: Any) -> None:
        now = time.monotonic()
        self.members[int(state.notes.get("member", 0))] = f"{state.iteration}: {state.loss:.4g}"
        if now - self.began < 1.0 or now - self.told < 0.2 or not sys.stderr.isatty():
            return
        self.told = now
        shown = [
            f"{name} {state.notes[key]:.3g}" for key, name in _WATCHED.items() if key in state.notes
        ]
        steps = "  ".join(f"[{m}] {text}" for m, text in sorted(self.members.items())[-4:])
        left = (
            ""
            if self.time_limit is None
            else f", {max(0.0, self.time_limit - (now - self.began)):.0f} s left"
        )
        line = f"step and loss {steps}; {', '.join(shown)}; {now - self.began:.0f} s{left}"
        print(f"\r{line[:150]}\x1b[K", end="", file=sys.stderr, flush=True)


_WATCHED = {"effective_parameters": "effective parameters", "damping": "damping", "batch": "batch"}


@contextmanager
def reading() -> Iterator[Reading]:
    """Progress of a scan; its last line stays if the whole took more than a second."""
    progress = Reading()
    try:
        yield progress
    finally:
        now = time.monotonic()
        if now - progress.began > 1.0 and progress.rows:
            start, end = ("\r", "\x1b[K\n") if sys.stderr.isatty() else ("", "\n")
            line = f"{progress.line(progress.last)}; done in {now - progress.began:.1f} s"
            print(f"{start}{line}", end=end, file=sys.stderr)


@contextmanager
def telling() -> Iterator[None]:
    """What the package logs of a fit, on standard error: each message a line of its own."""
    import logging

    handler = logging.StreamHandler()
    handler.setFormatter(
        logging.Formatter("\r\x1b[K%(message)s" if sys.stderr.isatty() else "%(message)s")
    )
    log = logging.getLogger("halfsquare")
    level = log.level
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    try:
        yield
    finally:
        log.removeHandler(handler)
        log.setLevel(level)
