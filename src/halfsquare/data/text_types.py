"""The types that the columns of text files are read with: found in their first values, or known."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from halfsquare.data.columns import ColumnReading, Reading
from halfsquare.data.dialect import is_number, type_of
from halfsquare.data.number_decision import mark_in


@dataclass(frozen=True)
class TextTypes:
    """How DuckDB reads the columns of text files; attributes as of
    :class:`halfsquare.data.text_file.TextTable`.

    ``bare``: columns of whole numbers, as far as the first values show.
    """

    types: Mapping[str, str]
    comma: bool = False
    whole: frozenset[str] = frozenset()
    mark: str = ""
    bare: frozenset[str] = frozenset()


def found_types(
    samples: Mapping[str, Sequence[str]], words: Sequence[str], *, commas_divide: bool
) -> TextTypes:
    """Those that first values show; ``words`` for "no value", ``commas_divide`` the fields."""
    types = {n: type_of(v, words) for n, v in samples.items()}
    mark = mark_in(samples.values())
    if mark == ",":  # 223.975 has a thousands mark then: the whole column decides
        types |= {n: "VARCHAR" for n, v in samples.items() if _pointed(v, words)}
    whole = frozenset(n for n, v in samples.items() if types[n] == "DOUBLE" and _short(v, words))
    comma = not commas_divide and _decimal_comma(samples, types, words)
    bare = frozenset(n for n, v in samples.items() if not any("," in text for text in v))
    return TextTypes(types, comma, whole, mark, bare)


def known_types(names: Iterable[str], reading: Reading) -> TextTypes:
    """Those of a model's columns, which are read as they were."""
    types = {n: _known_type(reading.columns.get(n)) for n in names}
    marks = {c.decimal for c in reading.columns.values() if _native(c) and c.kind == "number"}
    comma = marks == {","}
    if comma or len(marks) > 1:
        types |= {
            n: "DOUBLE"
            if c.decimal == "," and comma and not c.base and c.type != "VARCHAR"
            else "VARCHAR"
            for n, c in reading.columns.items()
            if n in types and c.kind == "number" and _native(c)
        }
    return TextTypes(types, comma)


def _pointed(values: Sequence[str], words: Sequence[str]) -> bool:
    """Whether the values are numbers of which those with a point have three digits after it."""
    marked = [v.strip() for v in values if "." in v and v.strip() not in words]
    return bool(marked) and all(re.fullmatch(r"[+-]?\d{1,3}(\.\d{3})+", v) for v in marked)


def _short(values: Sequence[str], words: Sequence[str]) -> bool:
    """Whether the values are whole numbers of at most three digits."""
    shown = [v for v in (v.strip() for v in values) if v not in words]
    return all(v.lstrip("+-").isdigit() and len(v.lstrip("+-")) <= 3 for v in shown)


def _native(column: ColumnReading) -> bool:
    return not (column.thousands or column.unit or column.missing or column.lenient)


def _known_type(column: ColumnReading | None) -> str:
    """The type to read a column as whose reading is known."""
    if column is None or column.kind == "text" or not _native(column):
        return "VARCHAR"
    if column.kind == "number":
        # What was read from texts may have signs that the reader of numbers does not know: (5), −5.
        plain = column.decimal == "." and not column.base and column.type != "VARCHAR"
        return "DOUBLE" if plain else "VARCHAR"
    if column.kind == "boolean":
        return "BOOLEAN"
    if column.kind == "timestamp" and column.type == "DATE" and not column.dates:
        return "DATE"
    return "VARCHAR"


def _decimal_comma(
    samples: Mapping[str, Sequence[str]], types: dict[str, str], words: Sequence[str]
) -> bool:
    """Whether numbers have a decimal comma throughout; their types are set so."""
    found = []
    for name, kind in types.items():
        shown = [v for v in (v.strip() for v in samples[name]) if v not in words]
        if kind == "DOUBLE" and any("." in v for v in shown):
            return False
        if kind == "VARCHAR" and shown and all(
            v.count(",") <= 1 and "." not in v and is_number(v.replace(",", ".")) for v in shown
        ):  # fmt: skip
            groups = all(len(v.partition(",")[2]) in (0, 3) for v in shown)
            if not groups:  # 1,033 may be a thousand and thirty-three: the whole column decides
                found.append(name)
    types.update(dict.fromkeys(found, "DOUBLE"))
    return bool(found)
