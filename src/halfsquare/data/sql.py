"""Names, texts and types as DuckDB writes them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Literal

Kind = Literal["number", "boolean", "text", "timestamp", "time", "unsupported"]

_INTEGERS = (
    "TINYINT",
    "SMALLINT",
    "INTEGER",
    "BIGINT",
    "HUGEINT",
    "UTINYINT",
    "USMALLINT",
    "UINTEGER",
    "UBIGINT",
    "UHUGEINT",
    "BIGNUM",
)


def quote_name(name: str) -> str:
    """A column name as SQL."""
    return '"' + name.replace('"', '""') + '"'


def quote_text(text: str) -> str:
    """A text as SQL."""
    return "'" + text.replace("'", "''") + "'"


def is_one_of(value: str, texts: Sequence[str]) -> str:
    """SQL that says whether the SQL ``value`` is one of some texts.

    Not by IN or a list: DuckDB makes a join of a long one, and rows would come in another order.
    """
    pattern = "|".join(map(re.escape, texts))
    return f"regexp_matches({value}, {quote_text(f'^(?:{pattern})$')})"


def is_query(text: str) -> bool:
    """Whether this is SQL rather than the name of a file."""
    return re.match(r"\s*(select|with|from)\s", text, re.IGNORECASE) is not None


def kind_of(type_name: str) -> Kind:
    """What kind of values a column of that type holds."""
    if type_name.endswith("[]"):
        return "unsupported"
    base = type_name.split("(")[0].strip()
    if base == "INTERVAL":
        return "number"  # of days
    if base in _INTEGERS or base in ("FLOAT", "DOUBLE", "DECIMAL"):
        return "number"
    if base == "BOOLEAN":
        return "boolean"
    if base in ("VARCHAR", "ENUM", "UUID", "JSON"):
        return "text"
    if base.startswith("TIMESTAMP") or base == "DATE":
        return "timestamp"
    return "time" if base in ("TIME", "TIME WITH TIME ZONE", "TIME_NS") else "unsupported"
