"""The tables of a report: rows of text, ready to be put into the page."""

from __future__ import annotations

from typing import Any

from halfsquare.data.splits import Split
from halfsquare.report.collect import Collected
from halfsquare.report.text_tables import candidate_row, decision_rows, parameter_row
from halfsquare.results.fitted import FittedModel
from halfsquare.text import descent_sentence, mse_limits, number, plain, with_error

_MOST = 200  # rows of a table
_VALUES = 8  # columns of the worst rows

Cells = list[list[str]]


def tables(fitted: FittedModel, c: Collected) -> dict[str, Any]:
    """Everything that is told in numbers."""
    info, unit = fitted.info, " and ".join(fitted.encoder.targets)
    judged = {
        "training rows": info.get("train"),
        "test rows": info.get("test"),
        "rows drawn below": c.summary.as_dict(),
    }
    columns = {name: summary for name, summary in judged.items() if summary}
    parameters = fitted.parameters[:_MOST] if fitted.kind in ("linear", "formula") else []
    # Identifiers are no features, but they say which row it is.
    shown = [name for name, why in fitted.encoder.left_out.items() if "identif" in why][:2]
    shown += [view.feature.column for view, _ in c.by_feature]
    shown += [f.column for f in fitted.encoder.features if f.column not in shown]
    shown = shown[:_VALUES]
    return {
        "facts": _facts(info, c, unit),
        "measured": _measured(info),
        "errors_header": ["errors", *columns],
        "errors_rows": _errors(columns, unit),
        "tried_header": ["model", "MSE ± std. error", "change ± std. error", "note"],
        "tried": _tried(info),
        "parameters_header": ["parameter", "value", "std. error", "t", "95 % from", "to"],
        "parameters": [parameter_row(p, with_p=False) for p in parameters],
        "descended": _descended(info),
        "worst_header": ["row", "target", "output", "error o − t", *shown],
        "worst": [
            [
                f"{w.row:,}",
                number(w.target),
                number(w.output),
                ("+" if w.error > 0 else "") + plain(w.error),
                *(w.values.get(v, "") for v in shown),
            ]
            for w in c.worst
        ],
        "columns": decision_rows(fitted.encoder, _MOST),
    }


def _facts(info: dict[str, Any], c: Collected, unit: str) -> list[tuple[str, str, str]]:
    summary = info.get("test") or info.get("train") or c.summary.as_dict()
    where = "test rows" if info.get("test") else "rows of the fit"
    weight = summary["weight"]
    found = [
        (f"Typical error, {where}", "±" + number(summary["rmse"], 4), unit),
        ("MSE ± std. error", with_error(summary["mse"], summary["mse_se"]), f"({unit})²"),
        ("R²", number(summary["r2"], 4), "of the variation is explained"),
    ]
    if summary["too_low"] is not None:  # sums do not know it
        shares = f"{summary['too_low'] / weight:.0%}, {summary['too_high'] / weight:.0%}"
        found.append(("Too low, high", shares, f"mean error {_mean_error(summary)}"))
    if c.measured:
        found.append(
            ("In 95 % interval", f"{c.covered / c.measured:.1%}", "of the targets drawn below")
        )
    return found


def _measured(info: dict[str, Any]) -> str:
    if not info.get("test"):
        return (
            "No rows were set apart: these are the errors on the rows of the fit, and "
            "smaller than those on new rows."
        )
    after = (
        " Then it was fitted again to all rows: that is the model drawn below."
        if info.get("refit")
        else ""
    )
    limits = mse_limits(info["test"])
    return (
        f"Measured on {_measured_rows(info)} that the measured model had not seen"
        f"{f': {limits}' if limits else ''}.{after}"
    )


def _measured_rows(info: dict[str, Any]) -> str:
    """Which rows measured the model."""
    source = str(info.get("test_source", "test rows"))
    split = Split.read(info.get("split") or "random")
    if source.endswith("folds"):
        kept = "" if split.kind == "random" else f" ({split})"
        return f"the rows of {source}{kept}"
    return source if split.kind == "random" else f"{source} ({split.told})"


def _errors(columns: dict[str, dict[str, Any]], unit: str) -> Cells:
    def share(s: dict[str, Any], key: str) -> str:
        return "–" if s[key] is None else f"{number(s[key])} ({s[key] / s['weight']:.1%})"

    every = columns.values()
    return [
        ["rows", *(f"{s['rows']:,}" for s in every)],
        [f"MSE ± standard error, ({unit})²", *(with_error(s["mse"], s["mse_se"]) for s in every)],
        [f"RMSE, {unit}", *(number(s["rmse"]) for s in every)],
        ["R²", *(number(s["r2"]) for s in every)],
        ["SSE", *(number(s["sse"], 6) for s in every)],
        ["outputs too low", *(share(s, "too_low") for s in every)],
        ["outputs too high", *(share(s, "too_high") for s in every)],
        ["mean error o − t", *(_mean_error(s) for s in every)],
    ]


def _mean_error(summary: dict[str, Any]) -> str:
    """Zero where it is nothing but rounding, as on the rows of a linear fit."""
    mean = float(summary["mean_error"])
    return plain(mean, 3) if abs(mean) > 1e-9 * summary["rmse"] else "0"


def _tried(info: dict[str, Any]) -> Cells:
    found = []
    for tried in info.get("tried") or []:
        note = tried["note"] or ("chosen" if tried["model"] == info.get("chosen") else "")
        found.append([*candidate_row(tried), note])
    return found


def _descended(info: dict[str, Any]) -> str:
    reason = str(info.get("reason", "")).capitalize()
    said = f"{reason}{descent_sentence(info)}."
    if not info.get("history"):
        said += " There was nothing to descend step by step."
    members = info.get("members") or []
    if members and info["kind"] == "trees":
        trees = sum(sum(m["trees"]) for m in members) / len(members)
        said += (
            f" An ensemble of {len(members)} with {trees:,.0f} trees each on average. The figures "
            "show the first member."
        )
    elif members:
        effective = sum(m["effective_parameters"] for m in members) / len(members)
        total = sum(m["parameters"] for m in members) / len(members)
        said += (
            f" An ensemble of {len(members)}; of {total:,.0f} parameters each, on average "
            f"{effective:,.0f} are determined "
            "by the data. The figures show the first member."
        )
    elif info.get("effective_parameters"):
        said += f" {number(info['effective_parameters'], 4)} effective parameters."
    return said
