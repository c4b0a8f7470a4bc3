"""Spreadsheets (.xlsx, .ods) as tables: one sheet, its first row that is full the header."""

from __future__ import annotations

import re
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import suppress
from datetime import date, datetime, time, timedelta
from typing import Any

from halfsquare.data.footer import Row, footer_start, holds_values
from halfsquare.data.messages import require_distinct
from halfsquare.errors import DataError, OptionError


def sheet_table(
    path: str, name: str, sheet: str | None, skip: int | None, header: bool
) -> tuple[Any, list[str]]:
    """A sheet as an Arrow table, and what is to be told of it.

    Parameters
    ----------
    sheet : str or None
        Its name; needed if there are several that hold anything.
    skip : int or None
        Rows before the header; the empty ones and titles alone in their row if left out.

    Raises
    ------
    DataError
        If it cannot be read, or has no header of distinct names.
    OptionError
        If the extra that reads it is not installed.
    """
    import pyarrow as pa

    rows = _rows(path, name, sheet)
    if skip is not None:
        rows = rows[skip:]
    else:
        width = max((sum(map(_there, row)) for row in rows), default=0)
        while rows and (
            not any(map(_there, rows[0])) or (width > 1 and sum(map(_there, rows[0])) == 1)
        ):
            rows = rows[1:]
    rows = [row for row in rows if any(map(_there, row))]
    if not rows or (header and len(rows) == 1):
        raise DataError(f"{name} has a header but no rows" if rows else f"{name} is empty")
    width = max(len(row) for row in rows)
    rows, footer = _without_footer(rows, width, header=header)
    first = [*rows[0], *[""] * (width - len(rows[0]))]
    if header:
        names = [_text(cell).strip() or f"column{j}" for j, cell in enumerate(first)]
        require_distinct(names, name)
        rows = rows[1:]
    else:
        names = [f"x{j + 1}" for j in range(width)]
    columns = {}
    for j, own in enumerate(names):
        values = [row[j] if j < len(row) and _there(row[j]) else None for row in rows]
        columns[own] = _column(values)
    return pa.table(columns), [] if footer is None else [f"{name}: {footer}"]


def _without_footer(
    rows: list[list[Any]], width: int, *, header: bool
) -> tuple[list[list[Any]], str | None]:
    """The rows before a footer, and what is told of it."""
    first = int(header)
    lines = [Row([_text(c) if _there(c) else "" for c in row]) for row in rows[first:]]
    values = holds_values([line.fields[0] for line in lines if line.fields])
    start = footer_start(
        [Row([*r.fields, *[""] * (width - len(r.fields))]) for r in lines], width, values=values
    )
    if start == len(lines) or not start:
        return rows, None
    shown = repr(" ".join(lines[start].full)[:60])
    if start + 1 == len(lines):
        return rows[: first + start], f"row {start + 1:,} ({shown}) passed over: a footer, no row"
    return rows[: first + start], f"from row {start + 1:,} ({shown}) on a footer passed over"


def _rows(path: str, name: str, sheet: str | None) -> list[list[Any]]:
    try:
        import python_calamine
    except ModuleNotFoundError:
        raise OptionError(
            f"{name} is a spreadsheet, which needs the extra 'sheets': "
            "pip install 'halfsquare[sheets]'"
        ) from None
    require_bounded(path, name)
    try:
        book = python_calamine.CalamineWorkbook.from_path(path)
        names = list(book.sheet_names)
        if sheet is None:
            found = {n: book.get_sheet_by_name(n).to_python(skip_empty_area=False) for n in names}
            full = [n for n, rows in found.items() if any(any(map(_there, r)) for r in rows)]
            if len(full) > 1:
                raise DataError(
                    f"{name} has several sheets; name one with --sheet: {', '.join(full)}"
                )
            return found[full[0]] if full else []
        if sheet not in names:
            raise DataError(f"{name} has no sheet {sheet!r}. Its sheets: {', '.join(names)}")
        return list(book.get_sheet_by_name(sheet).to_python(skip_empty_area=False))
    except DataError:
        raise
    except BaseException as problem:  # the reader's own kinds of errors, and its panics
        if not isinstance(problem, Exception) and type(problem).__name__ != "PanicException":
            raise
        raise DataError(f"{name} could not be read as a spreadsheet: {problem}") from None


def require_bounded(path: str, name: str) -> None:
    """Refuse a workbook that is small and unpacks to more than a table can be, or names a cell so
    far off that all those before it would fill the memory: the reader makes room for each.

    Raises
    ------
    DataError
    """
    try:
        packed = zipfile.ZipFile(path)
    except _DAMAGED:  # of what is damaged, and of other formats, the reader tells
        return
    with packed:
        inside = packed.infolist()
        size = sum(each.file_size for each in inside)
        if size > _MOST_BYTES:
            raise DataError(
                f"{name} unpacks to {size / 1e9:,.0f} GB; spreadsheets of up to "
                f"{_MOST_BYTES / 1e9:,.0f} GB are read: export the rows as CSV"
            )
        for each in inside:
            rows = columns = 0
            with suppress(*_DAMAGED):  # what else is inside is looked at all the same
                rows, columns = _extent(packed, each)  # a sheet can have any name
            if rows * columns > _MOST_CELLS:
                raise DataError(
                    f"{name} has {rows:,} rows and {columns:,} columns from its first cell "
                    f"to its last; {_MOST_CELLS:,} cells are read. Delete what stands far "
                    "from the table, or export the rows as CSV"
                )


# ValueError: names that are no UTF-8, places before the file's begin.
_DAMAGED = (
    zipfile.BadZipFile, OSError, zlib.error, EOFError, RuntimeError, ValueError,
)  # fmt: skip
_MOST_BYTES, _MOST_CELLS = 4 << 30, 100_000_000
_BLOCK, _LAP = 1 << 20, 64
_CELL = re.compile(rb"""\br\s*=\s*["']([A-Za-z]{1,3})(\d{1,7})["']""")
_LONGER_COLUMN = {n: re.compile(rb"""\br\s*=\s*["'][A-Za-z]{%d,3}\d""" % (n + 1)) for n in (1, 2)}
_LONGER_ROW = {
    n: re.compile(rb"""\br\s*=\s*["'][A-Za-z]{1,3}\d{%d}""" % (n + 1)) for n in range(1, 7)
}


def _extent(packed: zipfile.ZipFile, each: zipfile.ZipInfo) -> tuple[int, int]:
    """The last row and the last column that cells of a sheet name; 0 where the lengths of their
    names show at a glance that they are few enough.
    """
    letters = digits = 1
    for text in _blocks(packed, each):
        while letters < 3 and _LONGER_COLUMN[letters].search(text):
            letters += 1
        while digits < 7 and _LONGER_ROW[digits].search(text):
            digits += 1
    if min(10**digits, 1 << 20) * min(27**letters, 1 << 14) <= _MOST_CELLS:
        return 0, 0
    rows = columns = 0
    for text in _blocks(packed, each):
        for name, row in _CELL.findall(text):
            rows, columns = max(rows, int(row)), max(columns, _column_number(name))
    return rows, columns


def _blocks(packed: zipfile.ZipFile, each: zipfile.ZipInfo) -> Iterator[bytes]:
    """A file of an archive in parts that lap over, so that no name of a cell is divided."""
    lap = b""
    with packed.open(each) as file:
        while block := file.read(_BLOCK):
            yield lap + block
            lap = block[-_LAP:]


def _column_number(letters: bytes) -> int:
    """A is 1, Z is 26, AA is 27."""
    number = 0
    for letter in letters.upper():
        number = 26 * number + letter - 64
    return number


def _there(cell: Any) -> bool:
    return cell is not None and cell != ""


def _column(values: list[Any]) -> Any:
    """Cells of one kind as they are; of several as texts, for the whole column to decide."""
    import pyarrow as pa

    kinds = {type(v) for v in values if v is not None}
    if kinds <= {int, float}:
        return pa.array([None if v is None else float(v) for v in values], pa.float64())
    if kinds <= {date, datetime}:
        whole = [datetime(v.year, v.month, v.day) if type(v) is date else v for v in values]
        return pa.array(whole, pa.timestamp("us"))
    if len(kinds) == 1 and kinds <= {bool, time, timedelta, str}:
        return pa.array(values)
    return pa.array([None if v is None else _text(v) for v in values], pa.string())


def _text(cell: Any) -> str:
    if isinstance(cell, float) and cell.is_integer() and abs(cell) < 1e15:
        return f"{cell:.0f}"
    if isinstance(cell, datetime) and cell.time() == time():
        return cell.date().isoformat()
    return str(cell)
