"""A JSON array that is cut short behind a record: DuckDB reads the records that are there."""

from __future__ import annotations

import codecs
from pathlib import Path

from halfsquare.data.spool import PACKED, unpacked
from halfsquare.errors import DataError

_CHUNK = 1 << 16  # bytes
_SPACE = b" \t\r\n"


def require_closed(path: str) -> None:
    """Refuse a file that begins with an array and does not end with its bracket.

    Of a packed file all bytes are unpacked for that, of others the ends alone are read.

    Raises
    ------
    DataError
        Naming what stands at the end instead.
    """
    with unpacked(path) as file:
        first = file.read(_CHUNK)
        if not first.removeprefix(codecs.BOM_UTF8).lstrip(_SPACE).startswith(b"["):
            return
        if not path.lower().endswith(PACKED):
            file.seek(max(0, Path(path).stat().st_size - _CHUNK))
        last = first
        while chunk := file.read(_CHUNK):
            last = chunk if chunk.strip(_SPACE) else last
    end = last.rstrip(_SPACE)
    if not end.endswith(b"]"):
        raise DataError(
            f"{path} is cut short: its JSON array is not closed. It ends behind "
            f"{end[-20:].decode(errors='replace')!r}; expected ']' there: get the whole file again"
        )
