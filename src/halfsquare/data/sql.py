"""Names, texts and types as DuckDB writes them."""

from __future__ import annotations

import re
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


def is_query(text: str) -> bool:
    """Whether this is SQL rather than the name of a file."""
    return re.match(r"\s*(select|with|from)\s", text, re.IGNORECASE) is not None


def kind_of(type_name: str) -> Kind:
    """What kind of values a column of that type holds."""
    if type_name.endswith("[]"):
        return "unsupported"
    base = type_name.split("(")[0].strip()
    if base in _INTEGERS or base in ("FLOAT", "DOUBLE", "DECIMAL"):
        return "number"
    if base == "BOOLEAN":
        return "boolean"
    if base in ("VARCHAR", "ENUM", "UUID"):
        return "text"
    if base.startswith("TIMESTAMP") or base == "DATE":
        return "timestamp"
    return (
        "time" if base in ("TIME", "INTERVAL", "TIME WITH TIME ZONE", "TIME_NS") else "unsupported"
    )
