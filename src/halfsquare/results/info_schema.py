"""What must be found in the ``info`` of a model file: the values that summaries, reports and
intervals use, and their types.

What is told besides may come and go with versions, and is carried along.
"""

from __future__ import annotations

from dataclasses import fields
from typing import Any, Literal

from halfsquare.files.records import from_json
from halfsquare.sums import ErrorSummary

_Number = float | None
# An optional key ends in "?"; a list of one is a list of such; a dict is an object with these keys.
_ERRORS: dict[str, Any] = {f.name: _Number for f in fields(ErrorSummary)}
_STEP = {"iteration": float, "loss": _Number}
_TRIED = {"model": str, "mse?": _Number, "note?": str | None}
_MEMBER = {
    "hidden?": list[int],
    "reason?": str,
    "parameters?": int,
    "effective_parameters?": _Number,
}
_FACTS = {
    "formula?": str,
    "l2?": _Number,
    "path?": str,
    "rank?": int,
    "degrees_of_freedom?": _Number,
    "undetermined?": list[str],
    "fixed?": dict[str, float],
    "linear?": list[str],
    "correlation?": list[list[_Number]] | None,
}
_OPTIONS = {"loss": Literal["half_sse", "sse", "mse", "half_mse"], "seed": int}
INFO: dict[str, Any] = {
    "kind": str,
    "method": str,
    "reason": str,
    "converged": bool,
    "effective_parameters?": _Number,
    "facts": _FACTS,
    "warnings": list[str],
    "history": [_STEP],
    "members?": [_MEMBER],
    "relevance?": dict[str, _Number],
    "tried?": [_TRIED],
    "chosen?": str | None,
    "data": str,
    "target": list[str],
    "weights": str | None,
    "rows_read": int,
    "rows_missing_target": int,
    "rows_missing_feature?": int,
    "rows_zero_weight": int,
    "options": _OPTIONS,
    "version": str,
    "train": _ERRORS,
    "test": [None, _ERRORS],
    "test_source?": str | None,
    "refit": bool,
}


def require(schema: Any, value: Any, at: str) -> None:
    """See that a value has what the schema says.

    Raises
    ------
    ValueError
        With the place, what was found and what was expected.
    """
    if isinstance(schema, dict):
        found = from_json(dict[str, Any], value, at)
        for key, inside in schema.items():
            name = key.removesuffix("?")
            if name in found:
                require(inside, found[name], f"{at}.{name}")
            elif name == key:
                raise ValueError(f"{at}.{name} is missing")
    elif isinstance(schema, list):
        if schema[0] is None:
            if value is not None:
                require(schema[1], value, at)
            return
        for i, inside in enumerate(from_json(list[Any], value, at)):
            require(schema[0], inside, f"{at}[{i}]")
    else:
        from_json(schema, value, at)
