"""Everything that is known of a fit, as text: plain tables, every number with what it is."""

from __future__ import annotations

from typing import Any

from halfsquare.report.by_family import (
    blend_part,
    formula_part,
    inference_part,
    network_part,
    trees_part,
)
from halfsquare.report.first_screen import headline
from halfsquare.report.layout import grid
from halfsquare.report.sentences import noise_sentence, of_transform, outputs_sentence
from halfsquare.report.text_tables import (
    MOST_PARAMETERS,
    candidate_row,
    decisions,
    error_table,
    parameter_table,
    tried_table,
)
from halfsquare.results.fitted import FittedModel
from halfsquare.text import descent_sentence, mse_limits, number, rows_sentence


def summary(fitted: FittedModel, *, every_parameter: bool = False, width: int | None = None) -> str:
    """What a fitted model is, on what it was fitted, how well, with which coefficients."""
    info, unit = fitted.info, " and ".join(fitted.encoder.targets)
    parts = [headline(fitted), rows_sentence(info), *transform_lines(info), ""]
    reading = how_it_was_read(info)
    parts += ["How it was read", *reading, ""] if reading else []
    parts += ["Columns", decisions(fitted, width=width), ""]
    if info.get("tried"):
        parts += [tried_table(info), ""]
    columns = {"training rows": info["train"]}
    if info.get("test"):
        columns["test rows"] = info["test"]
    parts += [
        "Errors"
        + (" on the rows of the fit (none were set apart)" if not info.get("test") else ""),
        error_table(columns, unit, width),
        *([f"  test {limits}"] if (limits := mse_limits(info.get("test") or {})) else []),
        "",
    ]
    if info["kind"] in ("network", "trees", "blend"):
        told = {"network": network_part, "trees": trees_part, "blend": blend_part}
        parts.append(told[info["kind"]](info))
        return "\n".join([*parts, *(f"\nWarning: {w}" for w in info["warnings"])])
    freedom = info["facts"].get("degrees_of_freedom")
    deviation = noise_sentence(fitted)
    parts += [
        f"Parameters{of_transform(info)}, in the units of the "
        f"columns{', after the refit on all rows' if info.get('refit') else ''}",
        parameter_table(fitted.parameters, None if every_parameter else MOST_PARAMETERS, width),
        f"  {deviation} on {number(freedom)} degrees of freedom"
        + (
            f"; l2 = {info['facts']['l2']:.4g} per row on standardized columns"
            if info["facts"].get("l2")
            else ""
        ),
        f"  {info['reason']}" + descent_sentence(info),
    ]
    if info["kind"] == "formula":
        parts.append(formula_part(fitted))
    if info["kind"] == "linear" and info.get("inference"):
        parts.append(inference_part(fitted))
    parts += [f"\nWarning: {w}" for w in info["warnings"]]
    return "\n".join(parts)


def transform_lines(info: dict[str, Any]) -> list[str]:
    """What was fitted in place of the target, and what was tried."""
    found, lines = info.get("target_transform"), []
    if info.get("outputs"):
        lines.append(outputs_sentence(info))
    if found:
        lines.append(
            f"Fitted: {found['fitted']}. Outputs are means of the target (smearing over errors on "
            "rows left out); ends of intervals are carried back"
        )
    if info.get("transforms"):
        chosen = found["name"] if found else "none"
        rows = [
            [*candidate_row(t), t["note"] or ("← chosen" if t["model"] == chosen else "")]
            for t in info["transforms"]
        ]
        header = ["", "MSE ± std. error", "change ± std. error", ""]
        lines += ["Transforms of the target, on rows left out, in its own unit"]
        lines += grid(rows, header=header).split("\n")
    return lines


def how_it_was_read(info: dict[str, Any]) -> list[str]:
    """What is suspicious, then each column that is not what it is stored as or has gaps."""
    found = info.get("reading") or {}
    said = [f"  ! {text}" for text in found.get("suspicious", ())]
    for column in found.get("columns", ()):
        span = f", {column['from']} to {column['to']}" if column.get("from") is not None else ""
        gaps = f", {number(column['missing'])} missing" if column["missing"] else ""
        if gaps or column["read_as"] not in ("number", "text", "true or false"):
            said.append(f"  {column['name']}: {column['read_as']}{span}{gaps}")
    return said
