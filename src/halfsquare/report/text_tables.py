"""Tables of a fit as text: errors, coefficients, columns, and what was tried."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from halfsquare.data.encoder import Encoder
from halfsquare.report.layout import grid
from halfsquare.results.coefficients import Parameter
from halfsquare.results.fitted import FittedModel
from halfsquare.text import number, plain, with_error

MOST_PARAMETERS = 20


def error_table(columns: dict[str, dict[str, Any]], unit: str, width: int | None = None) -> str:
    """The errors of one or several parts, side by side."""
    lines = [
        ["rows", *(f"{s['rows']:,}" for s in columns.values())],
        [
            f"MSE ± standard error, ({unit})²",
            *(with_error(s["mse"], s["mse_se"]) for s in columns.values()),
        ],
        [f"RMSE, {unit}", *(number(s["rmse"]) for s in columns.values())],
        ["R²", *(number(s["r2"], 6) for s in columns.values())],
        [f"SSE, ({unit})²", *(number(s["sse"], 6) for s in columns.values())],
        [f"½SSE, ({unit})²", *(number(s["half_sse"], 6) for s in columns.values())],
        ["outputs too high", *(_share(s, "too_high") for s in columns.values())],
        ["outputs too low", *(_share(s, "too_low") for s in columns.values())],
        [f"mean error o − t, {unit}", *(_mean_error(s) for s in columns.values())],
    ]
    header = ["", *columns] if any(columns) else None
    if any(s["weight"] != s["rows"] for s in columns.values()):
        lines.insert(1, ["sum of weights", *(number(s["weight"]) for s in columns.values())])
    return grid(lines, header=header, width=width)


def _mean_error(summary: dict[str, Any]) -> str:
    """Where the fit makes it zero, what rounding leaves is no news."""
    return (
        "0"
        if abs(summary["mean_error"] or 0.0) < 1e-11 * (summary["rmse"] or 0.0)
        else plain(summary["mean_error"], 3)
    )


def _share(summary: dict[str, Any], key: str) -> str:
    if summary[key] is None:
        return "not known from sums"
    return f"{number(summary[key])} ({summary[key] / summary['weight']:.1%})"


def parameter_table(
    parameters: Sequence[Parameter],
    most: int | None = MOST_PARAMETERS,
    width: int | None = None,
    level: float = 0.95,
) -> str:
    """Coefficients with standard error, t, p and limits; of many, those of greatest |t|."""
    shown = list(parameters)
    if most is not None and len(shown) > most:
        kept = sorted(shown[1:], key=lambda p: -(abs(p.t) if p.t == p.t else 0.0))[: most - 1]
        shown = [shown[0], *kept]
    header = ["", "value", "std. error", "t", "p", f"{100 * level:g} % from", "to"]
    table = grid([parameter_row(p) for p in shown], header=header, width=width)
    hidden = len(parameters) - len(shown)
    return table + (
        f"\n  … {hidden} more, of smaller |t|: info --all or --json shows every one"
        if hidden
        else ""
    )


def parameter_row(p: Parameter, *, with_p: bool = True) -> list[str]:
    """Name, value, standard error, t, p and both limits."""
    values = number(p.value, 6), number(p.standard_error, 4), number(p.t, 4)
    probability = [p_value(p.p).removeprefix("= ")] if with_p else []
    return [p.name, *values, *probability, number(p.low), number(p.high)]


def p_value(p: float) -> str:
    """A p-value with its sign of relation."""
    if p != p:
        return "–"
    return "< 1e-16" if p < 1e-16 else f"= {p:.2g}" if p < 1e-3 else f"= {p:.3f}"


def decisions(fitted: FittedModel, most: int = 40, width: int | None = None) -> str:
    """What was decided for each column."""
    rows = decision_rows(fitted.encoder, most)
    hidden = len(fitted.encoder.features) + len(fitted.encoder.left_out) - len(rows)
    return grid(rows, left=2, width=width) + (f"\n  … and {hidden} more columns" if hidden else "")


def decision_rows(encoder: Encoder, most: int) -> list[list[str]]:
    """What was decided for each of the first columns, and why others were left out."""
    left_out = list(encoder.left_out.items())[:most]
    used = [[f.column, f.decision] for f in encoder.features[:most]]
    return used + [[name, f"left out: {why}"] for name, why in left_out]


def candidate_row(tried: dict[str, Any]) -> list[str]:
    """A model that was tried, its MSE and the difference to another's, with standard errors."""
    mse = "–" if tried["mse"] is None else with_error(tried["mse"], tried["mse_se"])
    if tried["difference"] is None:
        return [tried["model"], mse, ""]
    return [tried["model"], mse, with_error(tried["difference"], tried["difference_se"])]


def tried_table(info: dict[str, Any]) -> str:
    """What was tried on the way to the chosen model."""
    first, last = info["tried"][0], info["tried"][-1]
    if first["mse"] is None:
        return f"Only the linear model was tried. Others: {last['note']}"
    rows = []
    for tried in info["tried"]:
        mark = "← chosen" if tried["model"] == info["chosen"] else ""
        if tried.get("weight") and " + " in info["chosen"]:
            mark = f"← weight {tried['weight']:.2f}"
        rows.append([*candidate_row(tried), tried["note"] or mark])
    lines = grid(
        [row[:3] for row in rows], header=["", "MSE ± std. error", "change ± std. error"]
    ).split("\n")
    title = "Models tried, by their errors on rows they had not seen"
    return "\n".join(
        [
            title,
            lines[0],
            *(f"{line}  {row[3]}".rstrip() for line, row in zip(lines[1:], rows, strict=True)),
        ]
    )
