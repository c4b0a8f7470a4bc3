"""Spreadsheets (.xlsx, .ods) as tables: one sheet, its first row that is full the header."""

from __future__ import annotations

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
    except Exception as problem:  # the reader's own kinds of errors
        raise DataError(f"{name} could not be read as a spreadsheet: {problem}") from None


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
