"""Which family of models the options ask for."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from halfsquare.fitting.family import Family
from halfsquare.fitting.options import FitOptions

if TYPE_CHECKING:
    pass


def family_of(options: FitOptions) -> Family:
    """The family of models; each is imported when it is used."""
    if options.target_transform != "none":
        from halfsquare.fitting.transformed import TransformedFamily

        return TransformedFamily(options, family_of(replace(options, target_transform="none")))
    if options.model == "formula":
        from halfsquare.fitting.formula.family import FormulaFamily

        return FormulaFamily(options)
    if options.model == "network":
        from halfsquare.fitting.network import NetworkFamily

        return NetworkFamily(options)
    if options.model == "trees":
        from halfsquare.fitting.trees import TreesFamily

        return TreesFamily(options)
    if options.model == "auto":
        from halfsquare.fitting.auto import AutoFamily

        return AutoFamily(options)
    if options.formula is not None:
        from halfsquare.fitting.terms import TermsFamily

        return TermsFamily(options)
    from halfsquare.fitting.linear import LinearFamily

    return LinearFamily(options)


def implied(
    model: str,
    formula: str | None,
    method: str | None,
    l2: Any,
    monotone: Any = None,
    errors: str | None = None,
) -> str:
    """The family that other options leave no doubt about."""
    if model != "auto":
        return model
    if formula is not None:
        return "formula"
    if monotone:
        return "trees"
    linear = method in ("least-squares", "gradient", "minibatch") or l2 != 0 or errors is not None
    return "linear" if linear else "auto"
