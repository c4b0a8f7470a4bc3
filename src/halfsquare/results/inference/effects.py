"""All that ``halfsquare effects`` tells of a linear model, from the model alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isinf
from typing import Any

import numpy as np

from halfsquare.errors import OptionError
from halfsquare.files.records import to_json
from halfsquare.loss import Floats
from halfsquare.results.coefficients import Parameter
from halfsquare.results.fitted import FittedModel
from halfsquare.results.inference.anova import AnovaRow, anova
from halfsquare.results.inference.criteria import Criteria, criteria, generalized_inflation
from halfsquare.results.inference.delta import derived, linear_estimates
from halfsquare.results.inference.linear import LinearInference
from halfsquare.results.inference.margins import (
    LinearFunctions,
    against_first,
    categories_of,
    marginal_means,
    pairwise,
)
from halfsquare.results.inference.multiple import ADJUSTMENTS, adjusted
from halfsquare.results.inference.of_model import inference_of, terms_of, told_of
from halfsquare.results.inference.wald import Wald, joint_tests
from halfsquare.results.inference.wild import WildBootstrap
from halfsquare.results.inference.wild_of_model import wild_bootstrap
from halfsquare.results.trained import HeteroscedasticityTest

CONTRASTS = ("pairwise", "first", "none")
_MOST_LEVELS = 12  # of a category whose marginal means are shown without being asked for


@dataclass(frozen=True)
class Contrast:
    """A difference of marginal means, with its p-value adjusted for the number of differences."""

    estimate: Parameter
    adjusted_p: float

    def as_dict(self) -> dict[str, Any]:
        """JSON values."""
        p = self.adjusted_p
        return {**self.estimate.as_dict(), "adjusted_p": None if p != p else p}


@dataclass(frozen=True)
class MarginalMeans:
    """The means of one category, or of combinations, and their differences."""

    columns: tuple[str, ...]
    means: tuple[Parameter, ...]
    contrasts: tuple[Contrast, ...]

    def as_dict(self) -> dict[str, Any]:
        """JSON values."""
        return {
            "columns": list(self.columns),
            "means": [m.as_dict() for m in self.means],
            "contrasts": [c.as_dict() for c in self.contrasts],
        }


@dataclass(frozen=True)
class Effects:
    """Figures of the whole fit, tests, tables and effects."""

    fit: LinearInference
    criteria: Criteria
    anova_type: int
    anova: tuple[AnovaRow, ...]
    inflation: dict[str, tuple[int, float]]
    tests: tuple[Wald, ...]
    wild: tuple[WildBootstrap, ...]
    derived: tuple[Parameter, ...]
    average: tuple[Parameter, ...]
    marginal: tuple[MarginalMeans, ...]
    adjustment: str
    level: float
    breusch_pagan: HeteroscedasticityTest | None
    left_side: str

    def as_dict(self) -> dict[str, Any]:
        """JSON values."""
        c = self.criteria
        return {
            "errors": self.fit.kind,
            "errors_correction": self.fit.correction,
            "errors_facts": dict(self.fit.facts),
            "degrees_of_freedom": None if isinf(self.fit.freedom) else self.fit.freedom,
            "sigma_known": self.fit.known_variance is not None,
            "residual_degrees_of_freedom": self.fit.residual_freedom,
            "rows": self.fit.weight,
            "left_side": self.left_side,
            "level": self.level,
            "r2": c.r2,
            "adjusted_r2": c.adjusted_r2,
            "f": None if c.f is None else c.f.as_dict(),
            "log_likelihood": c.log_likelihood,
            "aic": c.aic,
            "bic": c.bic,
            "condition_number": c.condition_number,
            "breusch_pagan": to_json(self.breusch_pagan),
            "anova_type": self.anova_type,
            "anova": [row.as_dict() for row in self.anova],
            "variance_inflation": [
                {"term": t, "columns": q, "factor": f, "per_column": f ** (1.0 / (2.0 * q))}
                for t, (q, f) in self.inflation.items()
            ],
            "tests": [t.as_dict() for t in self.tests],
            "wild": [w.as_dict() for w in self.wild],
            "derived": [d.as_dict() for d in self.derived],
            "average_effects": [a.as_dict() for a in self.average],
            "marginal_means": [m.as_dict() for m in self.marginal],
            "adjustment": self.adjustment,
        }


def effects_of(
    fitted: FittedModel,
    *,
    tests: Sequence[str] = (),
    wild: Sequence[str] = (),
    draws: int = 9999,
    wild_weights: str = "rademacher",
    seed: int = 0,
    derive: Sequence[str] = (),
    means: Sequence[Sequence[str]] | None = None,
    at: Mapping[str, float] | None = None,
    contrasts: str = "pairwise",
    adjust: str = "holm",
    anova_type: int = 2,
    level: float = 0.95,
) -> Effects:
    """Tests, analysis of variance, marginal means and average effects of a linear model.

    Parameters
    ----------
    tests : sequence of str
        Hypotheses, as :func:`.wald.parse_hypothesis` reads them.
    wild : sequence of str
        Hypotheses on one coefficient each, tested by the wild cluster bootstrap with ``draws``,
        ``wild_weights`` and ``seed``; see :func:`.wild_of_model.wild_bootstrap`.
    derive : sequence of str
        Quantities ``name = expression`` of the coefficients.
    means : sequence of sequences of str, optional
        Categories, or combinations, whose marginal means are wanted; by default each category of at
        most 12 levels.
    at : mapping of number column to value, optional
        Where numbers are held for marginal means; at their means if left out.
    contrasts : {"pairwise", "first", "none"}
    adjust : {"holm", "bh", "bonferroni", "none"}
        How the p-values of contrasts count their number.
    level : float
        Of confidence limits.

    Raises
    ------
    OptionError
        If an option names what the model does not have, or the model has no such effects.
    """
    if contrasts not in CONTRASTS:
        raise OptionError(f"contrasts are {contrasts!r}; expected one of {', '.join(CONTRASTS)}")
    if adjust not in ADJUSTMENTS:
        raise OptionError(f"unknown adjustment {adjust!r}; expected {', '.join(ADJUSTMENTS)}")
    if not 0.0 < level < 1.0:
        raise OptionError(f"the level is {level:g}; expected a number between 0 and 1: 0.95")
    fit, of_design = inference_of(fitted), inference_of(fitted, as_read=True)
    told = told_of(fitted)
    names = list(fit.names)
    function = fitted.members[0].model.target_function
    target = fitted.encoder.targets[0]
    return Effects(
        fit,
        criteria(fit),
        anova_type,
        tuple(anova(fit, anova_type)),
        generalized_inflation(fit),
        tuple(joint_tests(fit, tests)),
        tuple(
            wild_bootstrap(fitted, text, draws=draws, weights=wild_weights, seed=seed)
            for text in wild
        ),
        tuple(derived(t, names, fit.values, fit.covariance, fit.freedom, level) for t in derive),
        _average(fitted, of_design, level),
        _marginal(fitted, of_design, means, at, contrasts, adjust, level),
        adjust,
        level,
        None if told is None else told.breusch_pagan,
        target if function == "identity" else f"{function}({target})",
    )


def _average(fitted: FittedModel, fit: LinearInference, level: float) -> tuple[Parameter, ...]:
    told = told_of(fitted)
    effects = None if told is None else told.average_effects
    if effects is None or not effects.names:
        return ()
    rows = _of_coefficients(fitted, fit, np.array(effects.rows))
    return tuple(linear_estimates(fit, effects.names, rows, level))


def _of_coefficients(fitted: FittedModel, fit: LinearInference, rows: Floats) -> Floats:
    """Functions of the columns of the design as functions of the coefficients there are."""
    encoder = terms_of(fitted)
    kept = np.array([*([0] if fit.intercept else []), *encoder.kept], dtype=np.intp)
    return rows[:, kept]


def _marginal(
    fitted: FittedModel,
    fit: LinearInference,
    wanted: Sequence[Sequence[str]] | None,
    at: Mapping[str, float] | None,
    contrasts: str,
    adjust: str,
    level: float,
) -> tuple[MarginalMeans, ...]:
    told = told_of(fitted)
    if told is None or told.means is None:
        if wanted or at:
            terms_of(fitted)
        return ()
    design = terms_of(fitted).design
    offsets = {f.column: f.offset for f in fitted.encoder.features}
    at = {c: v - float(offsets.get(c, 0)) for c, v in (at or {}).items()}
    if wanted is None:
        every = categories_of(design)
        wanted = [[c] for c, levels in every.items() if len(levels) <= _MOST_LEVELS]
    found = []
    for columns in wanted:
        functions = marginal_means(design, told.means, columns, at)
        rows = LinearFunctions(functions.names, _of_coefficients(fitted, fit, functions.rows))
        differences = {"pairwise": pairwise, "first": against_first}.get(contrasts)
        compared: tuple[Contrast, ...] = ()
        if differences is not None and len(rows.names) > 1:
            pairs = differences(rows)
            estimates = linear_estimates(fit, pairs.names, pairs.rows, level)
            p = adjusted(np.array([e.p for e in estimates]), adjust)
            compared = tuple(Contrast(e, float(q)) for e, q in zip(estimates, p, strict=True))
        # Where effects are absorbed the level of the output is theirs; differences are not.
        means = () if fit.absorbed else tuple(linear_estimates(fit, rows.names, rows.rows, level))
        found.append(MarginalMeans(tuple(columns), means, compared))
    return tuple(found)
