"""Sentences that say what outputs, parameters and noise are."""

from __future__ import annotations

from typing import Any

from halfsquare.report.text_tables import p_value
from halfsquare.results.fitted import FittedModel
from halfsquare.text import number


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


def noise_sentence(fitted: FittedModel) -> str:
    """The residual standard deviation, or where σ was measured χ² and its p."""
    deviation = ", ".join(number(s) for s in fitted.residual_standard_deviation)
    facts, weighed = fitted.info["facts"], fitted.info.get("weighed")
    if facts.get("noise_known"):
        chi2, p = facts.get("chi2"), facts.get("chi2_p")
        pairs = facts.get("sigma_x", {}).items()
        sigmas = ", ".join(f"{name} ({sigma})" for name, sigma in pairs)
        from_x = f" and the errors of {sigmas}" if sigmas else ""
        if chi2 is None:
            return f"standard errors from sigma{from_x} alone"
        return f"standard errors from sigma{from_x} alone; χ² {number(chi2, 6)} (p {p_value(p)})"
    if info_transform := fitted.info.get("target_transform"):
        return f"residual standard deviation of {info_transform['fitted']} {deviation}"
    if weighed:
        return f"residual standard deviation of a row of mean precision {deviation}"
    return f"residual standard deviation {deviation}"
