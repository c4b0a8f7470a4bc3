"""Whole numbers beyond 2⁵³, which float64 rounds to each other: taken less the first of them, in
whole numbers, before they become float64.
"""

from __future__ import annotations

import re

from halfsquare.data.sql import quote_text

EXACT = 2.0**53  # whole numbers above are rounded
_TYPES = ("BIGINT", "UBIGINT", "HUGEINT", "UHUGEINT")
_DECIMAL = re.compile(r"DECIMAL\((\d+),\s*(\d+)\)")
_WHOLE_TEXT = quote_text(r"\s*[+-]?\d+\s*")


def exact_type(type_name: str) -> str | None:
    """The type in which values of a column of numbers are exact; None where float64 is as good."""
    decimal = _DECIMAL.fullmatch(type_name)
    if decimal:
        return f"DECIMAL(38,{decimal[2]})" if int(decimal[1]) > 15 else None
    return "HUGEINT" if type_name in _TYPES else None


def exactly(value: str, type_name: str) -> str:
    """SQL for the SQL ``value``, of a column of that type, as it is; NULL where that is no number
    beyond float64's exactness.
    """
    if type_name == "VARCHAR":
        # A cast alone would round fractions.
        whole = f"regexp_full_match({value}, {_WHOLE_TEXT})"
        return f"(CASE WHEN {whole} THEN TRY_CAST({value} AS HUGEINT) END)"
    exact = exact_type(type_name)
    if exact is not None:
        return f"TRY_CAST({value} AS {exact})"
    number = f"{value}::DOUBLE"
    return f"(CASE WHEN {number} = floor({number}) THEN TRY_CAST({number} AS HUGEINT) END)"


def less_base(value: str, type_name: str, number: str, base: str) -> str:
    """SQL for ``number``, the float64 of the SQL ``value``, less a whole number ``base``: in whole
    numbers where the value is one.
    """
    exact = exactly(value, type_name)
    kind = exact_type(type_name) or "HUGEINT"
    digits = f"{quote_text(base)}::{kind}"
    return (
        f"(CASE WHEN {number} IS NULL THEN NULL WHEN {exact} IS NOT NULL "
        f"THEN ({exact} - {digits})::DOUBLE ELSE {number} - {quote_text(base)}::DOUBLE END)"
    )
