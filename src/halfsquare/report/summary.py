"""Everything that is known of a fit, as text: plain tables, every number with what it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from halfsquare.report.first_screen import headline
from halfsquare.report.layout import grid
from halfsquare.results.coefficients import Parameter
from halfsquare.results.fitted import FittedModel
from halfsquare.text import descent_sentence, mse_limits, number, plain, rows_sentence, with_error

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
    rows = [
        [
            p.name,
            number(p.value, 6),
            number(p.standard_error, 4),
            number(p.t, 4),
            _plain_p(p.p),
            number(p.low),
            number(p.high),
        ]
        for p in shown
    ]
    header = ["", "value", "std. error", "t", "p", f"{100 * level:g} % from", "to"]
    table = grid(rows, header=header, width=width)
    hidden = len(parameters) - len(shown)
    return table + (
        f"\n  … {hidden} more, of smaller |t|: info --all or --json shows every one"
        if hidden
        else ""
    )


def _plain_p(p: float) -> str:
    return p_value(p).removeprefix("= ")


def p_value(p: float) -> str:
    """A p-value with its sign of relation."""
    if p != p:
        return "–"
    return "< 1e-16" if p < 1e-16 else f"= {p:.2g}" if p < 1e-3 else f"= {p:.3f}"


def decisions(fitted: FittedModel, most: int = 40, width: int | None = None) -> str:
    """What was decided for each column."""
    rows = [[f.column, f.decision] for f in fitted.encoder.features[:most]]
    rows += [
        [name, f"left out: {reason}"]
        for name, reason in list(fitted.encoder.left_out.items())[:most]
    ]
    hidden = len(fitted.encoder.features) + len(fitted.encoder.left_out) - len(rows)
    return grid(rows, left=2, width=width) + (f"\n  … and {hidden} more columns" if hidden else "")


def summary(fitted: FittedModel, *, every_parameter: bool = False, width: int | None = None) -> str:
    """What a fitted model is, on what it was fitted, how well, with which coefficients."""
    info, unit = fitted.info, " and ".join(fitted.encoder.targets)
    parts = [
        headline(fitted),
        rows_sentence(info),
        *transform_lines(info),
        "",
    ]
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


def of_transform(info: dict[str, Any]) -> str:
    """Of what the parameters are, where that is not the target."""
    found = info.get("target_transform")
    return f" of {found['fitted']}" if found else ""


def outputs_sentence(info: dict[str, Any]) -> str:
    """What the outputs are where a function of the target was fitted; empty elsewhere."""
    if info.get("outputs") == "mean":
        return "Outputs are means of the target, by smearing over errors on rows left out."
    if info.get("outputs") == "median":
        return (
            "Outputs are the fitted left side carried back, near the median of the target; "
            "--predicts mean gives its mean."
        )
    return ""


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
            [
                t["model"],
                "–" if t["mse"] is None else with_error(t["mse"], t["mse_se"]),
                "" if t["difference"] is None else with_error(t["difference"], t["difference_se"]),
                t["note"] or ("← chosen" if t["model"] == chosen else ""),
            ]
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


def noise_sentence(fitted: FittedModel) -> str:
    """The residual standard deviation, or where σ was measured χ² and its p."""
    deviation = ", ".join(number(s) for s in fitted.residual_standard_deviation)
    facts, weighed = fitted.info["facts"], fitted.info.get("weighed")
    if facts.get("noise_known"):
        chi2, p = facts.get("chi2"), facts.get("chi2_p")
        if chi2 is None:
            return "standard errors from sigma alone"
        return f"standard errors from sigma alone; χ² {number(chi2, 6)} (p {p_value(p)})"
    if info_transform := fitted.info.get("target_transform"):
        return f"residual standard deviation of {info_transform['fitted']} {deviation}"
    if weighed:
        return f"residual standard deviation of a row of mean precision {deviation}"
    return f"residual standard deviation {deviation}"


def formula_part(fitted: FittedModel) -> str:
    """Correlations of a formula's parameters, and their profile intervals if they were asked
    for.
    """
    names = list(fitted.members[0].model.parameter_names)
    facts = fitted.info["facts"]
    parts = [*_errors_lines(facts), ""]
    if 1 < len(names) <= 12:
        rows = [
            [n, *(f"{c:.3f}" for c in row[: i + 1]), *[""] * (len(names) - i - 1)]
            for i, (n, row) in enumerate(zip(names, facts["correlation"], strict=True))
        ]
        parts += ["Correlation of the parameters", grid(rows, header=["", *names])]
    if facts.get("profile"):
        rows = [
            [name, number(low, 6), number(high, 6)]
            for name, (low, high) in facts["profile"].items()
        ]
        parts += ["Profile-likelihood intervals", grid(rows, header=["", "95 % from", "to"])]
    return "\n".join(parts)


def _errors_lines(facts: Mapping[str, Any]) -> list[str]:
    """By which errors the parameters are judged, if not by classical ones."""
    if not facts.get("errors"):
        return []
    clusters = (facts["errors_facts"] or {}).get("clusters", {})
    shown = "".join(f"; {n:,} clusters of {c}" for c, n in clusters.items())
    return [
        f"  standard errors {facts['errors']}, small-sample correction "
        f"{facts['errors_correction']}{shown}"
    ]


def inference_part(fitted: FittedModel) -> str:
    """By which errors a linear model is judged, and with a formula the figures of the whole fit."""
    facts = fitted.info["facts"]
    lines = _errors_lines(facts)
    if facts.get("formula") and not facts.get("l2") and facts["degrees_of_freedom"] > 0:
        from halfsquare.results.inference.criteria import criteria
        from halfsquare.results.inference.of_model import inference_of

        found = criteria(inference_of(fitted))
        target = fitted.encoder.targets[0]
        function = facts.get("target_function", "identity")
        of = f" of {function}({target})" if function != "identity" else ""
        f = ""
        if found.f is not None:
            known = found.f.denominator == float("inf")  # σ was measured
            denominator = "∞" if known else number(found.f.denominator)
            f = (
                f"; F {number(found.f.statistic, 5)} on {found.f.numerator} and "
                f"{denominator} degrees of freedom, p {p_value(found.f.p)}"
            )
        lines.append(
            f"  R²{of} {number(found.r2, 5)}, adjusted {number(found.adjusted_r2, 5)}{f}; "
            f"AIC {number(found.aic, 6)}"
        )
    return "\n".join(lines)


def tried_table(info: dict[str, Any]) -> str:
    """What was tried on the way to the chosen model."""
    first, last = info["tried"][0], info["tried"][-1]
    if first["mse"] is None:
        return f"Only the linear model was tried. Others: {last['note']}"
    rows = []
    for tried in info["tried"]:
        mse = "–" if tried["mse"] is None else with_error(tried["mse"], tried["mse_se"])
        change = (
            ""
            if tried["difference"] is None
            else with_error(tried["difference"], tried["difference_se"])
        )
        mark = "← chosen" if tried["model"] == info["chosen"] else ""
        if tried.get("weight") and " + " in info["chosen"]:
            mark = f"← weight {tried['weight']:.2f}"
        rows.append([tried["model"], mse, change, tried["note"] or mark])
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


_TRAINED = {
    "levenberg-marquardt": "trained by Levenberg-Marquardt, penalties set by the evidence",
    "minibatch": "trained by mini-batches that grow with the noise of the gradient, stopped "
    "by the validation rows",
    "levenberg-marquardt and minibatch": "some trained by Levenberg-Marquardt, some by "
    "mini-batches, as the validation rows favoured",
    "minibatch and levenberg-marquardt": "some trained by Levenberg-Marquardt, some by "
    "mini-batches, as the validation rows favoured",
}


def network_part(info: dict[str, Any]) -> str:
    """The ensemble, and the relevance of each input."""
    members = info["members"]
    sizes = " and ".join(sorted({"-".join(map(str, m["hidden"])) for m in members}))
    effective = sum(m["effective_parameters"] for m in members) / len(members)
    total = sum(m["parameters"] for m in members) / len(members)
    lines = [
        f"Network: an ensemble of {len(members)} with {sizes} hidden units; of {total:,.0f} "
        "parameters each, on average "
        f"{effective:,.0f} are determined by the data",
        f"  {_TRAINED[info['method']]}; {info['reason']}",
        "",
        "Relevance of the inputs (share of the variation of the output's slopes)",
        *_relevance(info),
    ]
    return "\n".join(lines)


def trees_part(info: dict[str, Any]) -> str:
    """The ensembles, and the relevance of each input."""
    lines = ["Trees: descent in the space of functions, each tree fitted to t − o"]
    for ensemble in info["ensembles"]:
        own = [m for m in info["members"] if m["ensemble"] == ensemble["model"]]
        if not own:
            lines.append(f"  {ensemble['model']}: not worth its standard error, left out")
            continue
        trees = sum(sum(m["trees"]) for m in own) / len(own)
        lines.append(
            f"  {ensemble['model']}, weight {ensemble['weight']:.2f}: {len(own)} members of "
            f"{trees:,.0f} trees on average, each stopped by rows it had not seen"
        )
    what = "Relevance of the inputs (share of the mean square of what each adds to the output)"
    return "\n".join([*lines, f"  {info['reason']}", "", what, *_relevance(info)])


def blend_part(info: dict[str, Any]) -> str:
    """The parts with their weights, and the relevance of each input."""
    left_out = info["left_out"]
    lines = [
        "Blend: outputs combined by least squares on rows that no part had seen; their MSE "
        + with_error(left_out["mse"], left_out["mse_se"])
        + ", the weights chosen on the same rows",
        *(
            f"  {part['weight']:.3f} × {part['model']}, {part['members']} "
            f"member{'s' if part['members'] != 1 else ''}"
            for part in info["parts"]
        ),
    ]
    what = "Relevance of the inputs (share in what moves the output)"
    return "\n".join([*lines, "", what, *_relevance(info)])


def _relevance(info: dict[str, Any]) -> list[str]:
    """The inputs by their relevance, with bars."""
    lines = []
    ranked = sorted(info["relevance"].items(), key=lambda r: -r[1])
    total_relevance = sum(info["relevance"].values()) or 1.0
    widest = max(len(name) for name, _ in ranked[:20])
    for name, relevance in ranked[:20]:
        share = relevance / total_relevance
        lines.append(f"  {name.ljust(widest)}  {share:6.1%}  {'█' * round(40 * share)}".rstrip())
    if len(ranked) > 20:
        lines.append(f"  … and {len(ranked) - 20} more inputs of smaller relevance")
    return lines
