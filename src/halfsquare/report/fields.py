"""The fields of a form for one row: made from a model's columns, read back as the encoder's raw
values.

Nothing that is typed becomes a query or a name of anything: a number is a number, a level the place
of one in the model's list, a date a count of seconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from math import isfinite, nan
from typing import Literal

import numpy as np
import numpy.typing as npt

from halfsquare.data.encoder import Encoder
from halfsquare.data.features import (
    Category,
    Feature,
    Instant,
    Levels,
    Moment,
    Number,
    Plain,
    Presence,
)
from halfsquare.data.levels import MISSING, UNSEEN
from halfsquare.data.novelty import absent_values
from halfsquare.errors import DataError, OptionError
from halfsquare.loss import Floats

Absent = npt.NDArray[np.bool_] | None

_DAY = 86400.0


@dataclass(frozen=True)
class Field:
    """A field of the form.

    Attributes
    ----------
    name : str
        In the form: ``x.`` and the column's name, so that a link means the same row for every
        model that has the column.
    label, hint : str
        The column, and what is known of it.
    kind : {"number", "choice", "datetime-local", "time"}
    value : str
        What stands in it.
    choices : tuple of (value, label)
    required : bool
    low, high : float or None
        The range of the training rows, of a number.
    """

    name: str
    label: str
    hint: str
    kind: Literal["number", "choice", "datetime-local", "time"]
    value: str
    choices: tuple[tuple[str, str], ...] = ()
    required: bool = False
    low: float | None = None
    high: float | None = None


def fields_of(encoder: Encoder, given: Mapping[str, str]) -> list[Field]:
    """The form of a model, holding what was given; else a typical row."""
    found: list[Field] = []
    for feature in encoder.features:
        name = f"x.{feature.column}"
        while any(field.name == name for field in found):  # a column that became two features
            name += "'"
        found.append(_field(name, feature, given.get(name)))
    return found


def design_of(encoder: Encoder, fields: list[Field]) -> tuple[Floats, Absent]:
    """The row (d,) that the form describes, standardized as in training; and where (features, 1)
    the mean stands for a value.

    Raises
    ------
    DataError, OptionError
        If a field holds what it cannot.
    """
    raw = _raw_row(encoder, fields)[:, None]
    return _encoded(encoder, raw)[0], absent_values(encoder.features, raw)


def designs_along(
    encoder: Encoder, fields: list[Field], place: int, values: Floats
) -> tuple[Floats, Absent]:
    """The rows (m, d) that differ from the form's in one number alone, and what is absent."""
    raw = np.repeat(_raw_row(encoder, fields)[:, None], len(values), axis=1)
    raw[place] = values
    return _encoded(encoder, raw), absent_values(encoder.features, raw)


def _raw_row(encoder: Encoder, fields: list[Field]) -> Floats:
    pairs = zip(fields, encoder.features, strict=True)
    return np.array([_raw(field, feature) for field, feature in pairs])


def _encoded(encoder: Encoder, raw: Floats) -> Floats:
    out = np.empty((len(encoder.names), raw.shape[1]))
    encoder.encode(raw, out)
    return np.ascontiguousarray(out.T)


def _field(name: str, feature: Feature, given: str | None) -> Field:
    column = feature.column
    if isinstance(feature, Category):
        levels = [(str(code), level) for code, level in enumerate(feature.levels)]
        extra = [("other", "another")] if feature.other else []
        missing = ("missing", "missing" if feature.missing else "not known")
        return Field(
            name, column, "", "choice", "0" if given is None else given, (*levels, *extra, missing)
        )
    if isinstance(feature, Levels):
        levels = [(str(code), level) for code, level in enumerate(feature.levels)]
        return Field(name, column, "", "choice", "0" if given is None else given, tuple(levels))
    if isinstance(feature, Presence):
        choices = (("there", "there"), ("missing", "missing"))
        return Field(
            name, column, "there or not", "choice", "there" if given is None else given, choices
        )
    if isinstance(feature, Instant):
        return _instant(name, feature, given)
    if isinstance(feature, Moment):
        return _moment(name, feature, given)
    assert isinstance(feature, Number | Plain)
    middle = (
        feature.means[0]
        if isinstance(feature, Number)
        else 0.5 * (feature.minimum + feature.maximum)
    )
    whole = (
        isinstance(feature, Number)
        and feature.minimum.is_integer()
        and feature.maximum.is_integer()
    )
    typical = (
        round(middle)
        if whole and feature.maximum - feature.minimum >= 5
        else float(f"{middle:.4g}")
    )
    base = feature.offset
    if base:
        low, high = base + round(feature.minimum), base + round(feature.maximum)
        hint, shown = f"{low} to {high}".replace("-", "−"), str(base + round(middle))
    else:
        hint = f"{feature.minimum:.4g} to {feature.maximum:.4g}".replace("-", "−")
        shown = f"{typical:.10g}"
    shown = shown if given is None else given
    return Field(
        name,
        column,
        hint,
        "number",
        shown,
        required=isinstance(feature, Plain),
        low=feature.minimum,
        high=feature.maximum,
    )


def _instant(name: str, feature: Instant, given: str | None) -> Field:
    if "day" not in feature.parts:
        return Field(name, feature.column, "", "time", "12:00" if given is None else given)
    middle = datetime.fromtimestamp(feature.means[feature.parts.index("day")] * _DAY, UTC)
    shown = middle.strftime("%Y-%m-%dT%H:00") if given is None else given
    return Field(name, feature.column, "", "datetime-local", shown)


def _moment(name: str, feature: Moment, given: str | None) -> Field:
    middle = datetime.fromtimestamp(0.5 * (feature.minimum + feature.maximum), UTC)
    clock = feature.minimum >= 0.0 and feature.maximum < _DAY  # a time of day
    kind: Literal["time", "datetime-local"] = "time" if clock else "datetime-local"
    shown = middle.strftime("%H:%M" if clock else "%Y-%m-%dT%H:00")
    return Field(name, feature.column, "", kind, shown if given is None else given, required=True)


def _raw(field: Field, feature: Feature) -> float:
    text = field.value.strip()
    if field.kind == "choice":
        return _code(field, feature, text)
    if not text:
        if field.required:
            raise DataError(
                f"{field.label} is empty, and the formula cannot do without it: type a number"
            )
        return nan
    if field.kind == "number":
        value = number_of(field.label, text)
        if not feature.offset:
            return value
        whole = text.lstrip("+-").isdecimal()
        return float(int(text) - feature.offset if whole else value - float(feature.offset))
    try:
        read = datetime.fromisoformat(f"1970-01-01T{text}" if field.kind == "time" else text)
    except ValueError:
        raise DataError(
            f"{field.label} is {text!r}; expected a date and time such as 2013-07-01T12:00"
        ) from None
    return read.replace(tzinfo=UTC).timestamp()


def number_of(label: str, text: str) -> float:
    """A finite number.

    Raises
    ------
    DataError
        If it is none.
    """
    try:
        value = float(text)
    except ValueError:
        value = nan
    if not isfinite(value):
        raise DataError(f"{label} is {text[:40]!r}; type a number such as 2.5")
    return value


def _code(field: Field, feature: Feature, text: str) -> float:
    if text not in dict(field.choices):
        raise OptionError(f"{field.label} is {text[:40]!r}; choose one of those offered")
    if isinstance(feature, Presence):
        gone = float(MISSING) if feature.text else nan
        return gone if text == "missing" else 0.0
    return {"missing": float(MISSING), "other": float(UNSEEN)}.get(text) or float(
        text if text.isdecimal() else 0
    )
