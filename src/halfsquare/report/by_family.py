"""What only one family of models has to say, as text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from halfsquare.report.layout import grid
from halfsquare.report.text_tables import p_value
from halfsquare.results.fitted import FittedModel
from halfsquare.text import number, with_error


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
        f"  {_TRAINED.get(info['method'], info['method'])}; {info['reason']}",
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
    widest = max((len(name) for name, _ in ranked[:20]), default=0)
    for name, relevance in ranked[:20]:
        share = relevance / total_relevance
        lines.append(f"  {name.ljust(widest)}  {share:6.1%}  {'█' * round(40 * share)}".rstrip())
    if len(ranked) > 20:
        lines.append(f"  … and {len(ranked) - 20} more inputs of smaller relevance")
    return lines
