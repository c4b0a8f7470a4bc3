"""Training runs that outlive the server: a model file and a file of JSON for each, in a folder."""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from halfsquare.errors import HalfsquareError
from halfsquare.files.atomic import atomic_write
from halfsquare.results.fitted import FittedModel, load
from halfsquare.web.curves import Curve

_NAME = re.compile(r"run-(\d{1,9})\.json")


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
    """The runs of a folder, the earliest first; what is damaged is passed over."""
    found = []
    for path in folder.iterdir():
        name = _NAME.fullmatch(path.name)
        if name is None:
            continue
        try:
            told = json.loads(path.read_text(encoding="utf-8"))
            curves = [Curve.read(curve) for curve in told["curves"]]
            told |= {"curves": curves, "number": int(name[1])}
            found.append(KeptRun(**told, fitted=load(path.with_suffix(".hsq"))))
        except (HalfsquareError, OSError, ValueError, TypeError, KeyError):
            continue
    return sorted(found, key=lambda kept: kept.number)


def remove_run(folder: Path, number: int) -> None:
    """Remove both files, where they are."""
    for suffix in (".json", ".hsq"):
        (folder / f"run-{number}{suffix}").unlink(missing_ok=True)
