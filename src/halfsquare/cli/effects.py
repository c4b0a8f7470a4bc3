"""``halfsquare effects``: tests, analysis of variance, marginal means and effects of a linear
model.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from halfsquare.cli.options import Json, ModelFile, dump, numbers

if TYPE_CHECKING:
    from collections.abc import Sequence

    from halfsquare.results.coefficients import Parameter
    from halfsquare.results.inference.effects import Effects
    from halfsquare.results.inference.wild import WildBootstrap


class Contrasts(StrEnum):
    """Which differences of marginal means."""

    pairwise = "pairwise"
    first = "first"
    none = "none"


class WildWeights(StrEnum):
    """What the errors of a cluster are multiplied with."""

    rademacher = "rademacher"
    webb = "webb"


class Adjust(StrEnum):
    """How p-values count the number of differences."""

    holm = "holm"
    bh = "bh"
    bonferroni = "bonferroni"
    none = "none"


def effects(
    model: ModelFile,
    test: Annotated[
        list[str] | None,
        typer.Option(
            "--test",
            metavar="'x1 = x2'",
            help="Test hypotheses jointly: '2*x1 + x3 = 1', 'x1 = 0, x2 = 0', or a term: "
            "'C(year)'.",
        ),
    ] = None,
    wild: Annotated[
        list[str] | None,
        typer.Option(
            metavar="'x = 0'",
            help="Test one coefficient by the wild cluster bootstrap, for few clusters.",
        ),
    ] = None,
    draws: Annotated[int, typer.Option(min=1, help="Of the wild bootstrap.")] = 9999,
    wild_weights: Annotated[
        WildWeights, typer.Option(help="Signs, or Webb's six weights where clusters are very few.")
    ] = WildWeights.rademacher,
    seed: Annotated[int, typer.Option(min=0, help="Of the wild bootstrap's draws.")] = 0,
    derive: Annotated[
        list[str] | None,
        typer.Option(metavar="'r = a/b'", help="A quantity made of coefficients, with its error."),
    ] = None,
    means: Annotated[
        list[str] | None,
        typer.Option(
            "--means", metavar="COL[,COL2]", help="Marginal means of a category or combination."
        ),
    ] = None,
    at: Annotated[
        list[str] | None,
        typer.Option(metavar="x=3", help="Where numbers are held; at their means if left out."),
    ] = None,
    contrasts: Annotated[
        Contrasts, typer.Option(help="Differences of marginal means: all pairs, or from the first.")
    ] = Contrasts.pairwise,
    adjust: Annotated[
        Adjust, typer.Option(help="Of the p-values of contrasts, for their number.")
    ] = Adjust.holm,
    anova: Annotated[int, typer.Option(min=1, max=3, help="Type of the sums of squares.")] = 2,
    level: Annotated[float, typer.Option(help="Of confidence limits.")] = 0.95,
    json: Json = False,
) -> None:
    """Tell what a linear model says beyond its coefficients: tests, analysis of variance, marginal
    means, average effects.

    [dim]halfsquare effects houses.hsq --test 'C(year)' --means district[/dim]
    """
    from halfsquare.results.fitted import load
    from halfsquare.results.inference.effects import effects_of

    found = effects_of(
        load(model),
        tests=test or (),
        wild=wild or (),
        draws=draws,
        wild_weights=wild_weights.value,
        seed=seed,
        derive=derive or (),
        means=[_columns(m) for m in means] if means else None,
        at=numbers("--at", at),
        contrasts=contrasts.value,
        adjust=adjust.value,
        anova_type=anova,
        level=level,
    )
    if json:
        dump({"model_file": model, **found.as_dict()})
        return
    from halfsquare.cli.screen import say

    say(shown(found))


def _columns(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def shown(found: Effects) -> str:
    """The effects as text."""
    from halfsquare.cli.screen import table as grid
    from halfsquare.text import number

    parts = [whole_fit(found)]
    if found.tests:
        rows = [
            [
                t.hypothesis,
                number(t.statistic, 5),
                f"{t.numerator}, {_freedom(t.denominator)}",
                _p(t.p),
            ]
            for t in found.tests
        ]
        parts.append("Joint tests\n" + grid(rows, header=["", "F", "degrees of freedom", "p"]))
    if found.wild:
        parts.append(_wild(found.wild))
    if found.derived:
        parts.append(_estimates("Derived quantities", found.derived, found.level))
    rows = [
        [
            a.term,
            number(a.freedom),
            number(a.sum_of_squares, 6),
            "" if a.f != a.f else number(a.f, 5),
            "" if a.p != a.p else _p(a.p),
        ]
        for a in found.anova
    ]
    roman = {1: "I", 2: "II", 3: "III"}[found.anova_type]
    measured = found.fit.known_variance is not None
    header = ["", "df", "χ²" if measured else "sum of squares", "F", "p"]
    by = "the σ that was measured" if measured else "classical errors"
    parts.append(f"Analysis of variance, type {roman}, by {by}\n" + grid(rows, header=header))
    if len(found.inflation) > 1:
        rows = [
            [t, f"{q}", number(f, 5), number(f ** (1.0 / (2.0 * q)), 4)]
            for t, (q, f) in found.inflation.items()
        ]
        header = ["", "columns", "VIF", "VIF^(1/2q)"]
        parts.append("Variance inflation\n" + grid(rows, header=header))
    if found.average:
        title = f"Average effects on {found.left_side}: per unit, or of a level against the first"
        parts.append(_estimates(title, found.average, found.level))
    for marginal in found.marginal:
        title = f"Marginal means of {found.left_side} by {', '.join(marginal.columns)}"
        if marginal.means:
            parts.append(_estimates(title, marginal.means, found.level))
        if marginal.contrasts:
            rows = [
                [
                    c.estimate.name,
                    number(c.estimate.value, 6),
                    number(c.estimate.standard_error, 4),
                    number(c.estimate.t, 4),
                    _p(c.adjusted_p),
                ]
                for c in marginal.contrasts
            ]
            title = f"p ({found.adjustment})" if found.adjustment != "none" else "p"
            parts.append(
                f"Differences of marginal means by {', '.join(marginal.columns)}\n"
                + grid(rows, header=["", "difference", "std. error", "t", title])
            )
    return "\n\n".join(parts)


def _wild(found: Sequence[WildBootstrap]) -> str:
    """The wild cluster bootstrap: each coefficient with the draws its p is a share of."""
    from halfsquare.cli.screen import table as grid
    from halfsquare.text import number

    rows, one = [], found[0]
    for w in found:
        p = f"< {1.0 / w.draws:.1g}" if w.p == 0 else number(w.p, 4)
        how = "all patterns of signs" if w.enumerated else f"draws of {w.weights} weights"
        null = f"{w.coefficient} = {number(w.null)}"
        rows.append([null, number(w.t, 5), p, f"{number(w.draws)} {how}"])
    text = f"Wild cluster bootstrap, {one.clusters} clusters, the hypothesis imposed\n"
    text += grid(rows, header=["", "t", "p", "p is a share of"])
    if one.enumerated and one.draws < 1000:
        text += (
            f"\n  p is a multiple of {number(2.0 / one.draws, 3)}: --wild-weights webb tells finer"
        )
    return text


def _freedom(value: float) -> str:
    from halfsquare.text import number

    return "∞" if value == float("inf") else number(value)


def whole_fit(found: Effects) -> str:
    """The figures of the whole fit, a few lines."""
    from halfsquare.text import number

    c, fit = found.criteria, found.fit
    lines = [
        f"{found.left_side}: {number(fit.weight)} rows, {len(fit.names)} coefficients, "
        f"{number(fit.residual_freedom)} degrees of freedom",
        f"  errors {fit.kind}, small-sample correction {fit.correction}",
        f"  R² {number(c.r2, 6)}, adjusted {number(c.adjusted_r2, 6)}",
    ]
    if c.f is not None:
        lines.append(
            f"  F {number(c.f.statistic, 6)} on {c.f.numerator} and {_freedom(c.f.denominator)} "
            f"degrees of freedom, p {_sign(c.f.p)}"
        )
    if fit.known_variance is not None:
        lines.append("  F, tests and likelihood with the σ that was measured")
    lines.append(
        f"  log-likelihood {number(c.log_likelihood, 6)}, AIC {number(c.aic, 6)}, "
        f"BIC {number(c.bic, 6)}; condition number {number(c.condition_number, 4)}"
    )
    if found.breusch_pagan is not None:
        b = found.breusch_pagan
        lines.append(
            f"  Breusch–Pagan {number(b.statistic, 5)} on {number(b.degrees_of_freedom)} "
            f"degrees of freedom, p {_sign(b.p)}: " + _variances(b.p)
        )
    return "\n".join(lines)


def _variances(p: float) -> str:
    """What the test says; below 0.01 the fit suggests other errors."""
    if p < 0.01:
        return "the errors' variance is not the same everywhere"
    if p < 0.05:
        return "a weak sign of unequal variances (not below 0.01)"
    return "no sign of unequal variances"


def _estimates(title: str, estimates: Sequence[Parameter], level: float) -> str:
    from halfsquare.report.text_tables import parameter_table

    return f"{title}\n" + parameter_table(estimates, most=None, level=level)


def _p(p: float) -> str:
    return _sign(p).removeprefix("= ")


def _sign(p: float) -> str:
    from halfsquare.report.text_tables import p_value

    return p_value(p)
