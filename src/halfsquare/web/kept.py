"""Training runs that outlive the server: a model file and a file of JSON for each, in a folder."""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass
from math import isfinite
from pathlib import Path
from typing import Any, Literal, NoReturn

from halfsquare.errors import HalfsquareError
from halfsquare.files.atomic import atomic_write
from halfsquare.files.records import from_json
from halfsquare.results.fitted import FittedModel, load
from halfsquare.web.curves import Curve, Point

_NAME = re.compile(r"run-(\d{1,9})\.(?:json|hsq)")
_MOST_BYTES = 20 << 20  # of the JSON: what the page draws of a run is thinned
#: What an argument of ``fit`` can be in a form of the page.
Argument = bool | int | float | str | list[str] | dict[str, float] | None


@dataclass(frozen=True)
class KeptRun:
    """What is kept of a run: see :class:`halfsquare.web.run.RunOptions`."""

    number: int
    data: str
    key: str
    target: list[str] | None
    method: str
    options: dict[str, Any]
    seconds: float
    curves: list[Curve]
    fitted: FittedModel


@dataclass(frozen=True)
class _Curve:
    """A :class:`Curve` as JSON."""

    number: int
    member: int
    before: int
    phase: Literal["measure", "refit"]
    points: list[tuple[int, float, float, float | None]]
    every: int


@dataclass(frozen=True)
class _Told:
    """The file of JSON beside a model."""

    number: int
    data: str
    key: str
    target: list[str] | None
    method: str
    options: dict[str, Argument]
    seconds: float
    curves: list[_Curve]

    def __post_init__(self) -> None:
        """Raise ValueError for what no run is like."""
        if self.target is None and not isinstance(self.options.get("formula"), str):
            raise ValueError("a run has neither targets nor a formula")


def write_run(folder: Path, kept: KeptRun) -> None:
    """Write both files, the model first: a run without one is not read.

    Raises
    ------
    OutputError
    """
    kept.fitted.save(folder / f"run-{kept.number}.hsq")
    told = {k: v for k, v in vars(kept).items() if k not in ("fitted", "curves")}
    told["curves"] = [asdict(curve) for curve in kept.curves]
    with atomic_write(folder / f"run-{kept.number}.json") as file:
        file.write(json.dumps(told, allow_nan=False).encode())


def read_runs(folder: Path) -> list[KeptRun]:
    """The runs of a folder, the earliest first; what is damaged, or of a version that this one does
    not read, is passed over and stays as it is.
    """
    found = []
    for number in numbers_in(folder):
        try:
            found.append(_read(folder, number))
        except (HalfsquareError, OSError, ValueError, RecursionError):
            continue
    return found


def numbers_in(folder: Path) -> list[int]:
    """The numbers that are taken in a folder, also by files that cannot be read."""
    there = list(folder.iterdir()) if folder.is_dir() else []  # it can be removed meanwhile
    names = (_NAME.fullmatch(path.name) for path in there)
    return sorted({int(name[1]) for name in names if name is not None})


def remove_run(folder: Path, number: int) -> None:
    """Remove both files, where they are."""
    for suffix in (".json", ".hsq"):
        (folder / f"run-{number}{suffix}").unlink(missing_ok=True)


def _read(folder: Path, number: int) -> KeptRun:
    """Both files of a run, by the types of its record.

    Raises
    ------
    HalfsquareError, OSError, ValueError, RecursionError
    """
    path = folder / f"run-{number}.json"
    # A pipe would keep the page waiting.
    if not path.is_file() or path.stat().st_size > _MOST_BYTES:
        raise ValueError("no file of a run")
    value = json.loads(path.read_text(encoding="utf-8"), parse_constant=_no_number)
    told = from_json(_Told, value)
    kept = {**vars(told), "number": number, "curves": [_curve(curve) for curve in told.curves]}
    return KeptRun(**kept, fitted=load(path.with_suffix(".hsq")))


def _curve(told: _Curve) -> Curve:
    points = [Point(*point) for point in told.points]
    for point in points:
        if not all(value is None or isfinite(value) for value in point):
            raise ValueError(f"a point of a curve is {tuple(point)}")
    if not points or told.every < 1:
        raise ValueError("a curve without points")
    return Curve(**{**vars(told), "points": points})


def _no_number(text: str) -> NoReturn:
    raise ValueError(f"{text} is no number of JSON")
