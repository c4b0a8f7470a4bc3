"""Options that several commands share, and how lists and progress are handled."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from enum import StrEnum
from typing import Annotated, Any, Literal

import typer

from halfsquare.data.reading_options import listed as listed

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of text.")]
Weights = Annotated[
    str | None,
    typer.Option(
        "--weights",
        metavar="COL",
        help="Column of row weights >= 0: a row of weight w stands w times.",
    ),
]
ClusterBy = Annotated[
    str | None,
    typer.Option(
        "--cluster-by",
        metavar="COL",
        help="Rows of the same value here may depend on each other: the standard error allows "
        "for it.",
    ),
]
InTime = Annotated[
    bool,
    typer.Option(
        "--in-time",
        help="The rows stand in the order of time: the standard error allows for what neighbours "
        "share (Newey-West).",
    ),
]
Sigma = Annotated[
    str | None,
    typer.Option(
        "--sigma",
        metavar="COL",
        help="Column of measured standard deviations of the target, in its unit.",
    ),
]
Precision = Annotated[
    str | None,
    typer.Option(
        "--precision", metavar="COL", help="Column of inverse variances, up to a common factor."
    ),
]
_DATA = (
    "CSV, TSV, Parquet or JSON lines (plain or .gz), a glob of these, a database file, a "
    "SQL query, or - for CSV on standard input."
)
Data = Annotated[str, typer.Argument(metavar="DATA", help=_DATA)]
ModelFile = Annotated[
    str, typer.Argument(metavar="MODEL", help="A model file written by fit --out.")
]

Features = Annotated[
    list[str] | None,
    typer.Option("--features", metavar="COLS", help="Columns to use; all others if left out."),
]
Exclude = Annotated[
    list[str] | None, typer.Option("--exclude", metavar="COLS", help="Columns to leave out.")
]
Everything = Annotated[
    bool, typer.Option("--all", help="Print everything: every coefficient, every column.")
]
Penalty = Annotated[
    str,
    typer.Option("--l2", metavar="0|auto|VALUE", help="Penalty per row on standardized columns."),
]


class Loss(StrEnum):
    """The four conventions."""

    half_sse = "half_sse"
    sse = "sse"
    mse = "mse"
    half_mse = "half_mse"


def numbers(option: str, values: Sequence[str] | None) -> dict[str, float] | None:
    """``b1=500,b2=1e-4`` as a mapping."""
    return {name: _number(option, text) for name, text in _pairs(option, values)} or None


def signs(option: str, texts: Sequence[str] | None) -> dict[str, int] | None:
    """``area=+,age=-`` as 1 and -1 by name; None if nothing is given."""
    if not texts:
        return None
    found = {}
    for item in listed(texts):
        name, _, sign = item.rpartition("=")
        if not name.strip() or sign.strip() not in ("+", "-"):
            raise typer.BadParameter(
                f"{item!r} is not of the form NAME=+ or NAME=-", param_hint=option
            )
        found[name.strip()] = 1 if sign.strip() == "+" else -1
    return found


def ranges(
    option: str, values: Sequence[str] | None
) -> dict[str, tuple[float | None, float | None]] | None:
    """``b2=0:,b3=1:2`` as a mapping to (low, high); an empty side is no bound."""
    found: dict[str, tuple[float | None, float | None]] = {}
    for name, text in _pairs(option, values):
        low, colon, high = text.partition(":")
        if not colon:
            raise typer.BadParameter(
                f"{name}={text} has no ':'; expected low:high, such as 0: or :1", param_hint=option
            )
        found[name] = tuple(_number(option, side) if side.strip() else None for side in (low, high))  # type: ignore[assignment]
    return found or None


def columns_of(option: str, values: Sequence[str] | None) -> str | dict[str, str] | None:
    """``sx`` as it is, ``x=sx,z=sz`` as a mapping."""
    items = listed(values) if values else []
    if len(items) == 1 and "=" not in items[0]:
        return items[0]
    return dict(_pairs(option, values)) or None


def _pairs(option: str, values: Sequence[str] | None) -> list[tuple[str, str]]:
    pairs = [item.rpartition("=") for item in listed(values)]
    for name, equals, text in pairs:
        if not equals or not name.strip():
            raise typer.BadParameter(
                f"{name or text!r} is not of the form name=value", param_hint=option
            )
    return [(name.strip(), text.strip()) for name, _, text in pairs]


def _number(option: str, text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise typer.BadParameter(f"{text!r} is not a number", param_hint=option) from None


def penalty(text: str) -> float | Literal["auto"]:
    """The value of ``--l2``."""
    if text == "auto":
        return "auto"
    try:
        value = float(text)
    except ValueError:
        raise typer.BadParameter(
            f"{text!r} is neither a number nor auto", param_hint="--l2"
        ) from None
    if not 0.0 <= value < float("inf"):
        raise typer.BadParameter(f"{text} is not a finite number >= 0", param_hint="--l2")
    return value


def dump(value: dict[str, Any] | list[Any]) -> None:
    """Print JSON for machines; what is not a finite number is null."""
    import json

    text = json.dumps(_finite(value), indent=2, ensure_ascii=False, allow_nan=False)
    if (sys.stdout.encoding or "").lower().replace("-", "") != "utf8":
        text = json.dumps(json.loads(text), indent=2)
    elif not text.replace("\n", "").isprintable():  # what a terminal might obey is in texts alone
        shown = (c if c == "\n" or c.isprintable() else json.dumps(c)[1:-1] for c in text)
        text = "".join(shown)
    print(text)


def _finite(value: Any) -> Any:
    if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):
        return None
    if isinstance(value, dict):
        return {k: _finite(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(v) for v in value]
    return value


Force = Annotated[
    bool, typer.Option("--force", help="Write the model whatever its file is called.")
]


def require_model_name(out: str | None, *, force: bool) -> None:
    """Refuse to write a model to a file whose ending says that something else is in it.

    Raises
    ------
    OptionError
    """
    from pathlib import Path

    from halfsquare.errors import OptionError

    if out is not None and not force and Path(out).suffix.lower() != ".hsq":
        raise OptionError(f"--out {out}: a model file ends in .hsq; --force writes it all the same")
