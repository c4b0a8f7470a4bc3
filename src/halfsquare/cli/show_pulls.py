"""How pulls, and the explanation of one row, look in a terminal."""

from __future__ import annotations

import numpy as np

from halfsquare.cli.screen import say, table
from halfsquare.explain.pulls import Pull, Pulls
from halfsquare.explain.row import RowExplanation
from halfsquare.results.fitted import FittedModel
from halfsquare.text import LOSS_NAMES, number

MOST = 15
_WHAT = {
    "linear": "A row's pull on a coefficient is error × the column's value (on the "
    "intercept: the error).",
    "formula": "A row's pull on a parameter is error × ∂output/∂parameter.",
    "network": "A gain is a common factor, now 1, on all weights that leave an input or make "
    "up a layer, in every "
    "member; a row's pull on it is error × ∂output/∂gain.",
    "trees": "A gain is a common factor, now 1, on all that a column adds to the output; a row's "
    "pull on it is error × what the column adds.",
    "blend": "A gain is a common factor, now 1, on all that a column adds to the output; a row's "
    "pull on it is error × what the column adds.",
}


def show_pulls(fitted: FittedModel, found: Pulls, data: str, plot: str | None = None) -> None:
    """Each parameter with its pulls, hardest pulled first; then the rows that pull hardest."""
    name = LOSS_NAMES[found.loss]
    say(
        f"Who pulls at the {fitted.kind} model of {' and '.join(fitted.encoder.targets)}", bold=True
    )
    said = f"{found.rows:,} rows of {data}"
    if found.missing_target:
        said += f"; {found.missing_target:,} that lack a value left out"
    say(f"{said}. {_WHAT[fitted.kind]}")
    say(
        f"Its parts of the gradient of {name}: a negative pull asks for more, since descent "
        "moves against the gradient.\n"
    )
    ranked = sorted(found.parameters, key=lambda p: -p.strength)[:MOST]
    with_penalty = any(p.penalty for p in found.parameters)
    header = [
        "",
        "value",
        "pull up",
        "by rows",
        "pull down",
        "by rows",
        *(["penalty"] * with_penalty),
        "gradient",
        "",
    ]
    rows = [
        [
            p.name,
            number(p.value),
            number(p.up),
            number(p.rows_up),
            number(p.down),
            number(p.rows_down),
            *([number(p.penalty)] * with_penalty),
            f"{p.gradient:.3g}",
            {"stay": "balanced", "raise": "→ raise", "lower": "→ lower"}[p.direction],
        ]
        for p in ranked
    ]
    say(table(rows, header=header))
    hidden = len(found.parameters) - len(ranked)
    if hidden:
        say(f"  … {hidden} more, pulled less hard: --json shows every one")
    say("\n" + _verdict(found, fitted.kind))
    far = _far_from_zero(fitted, found)
    if far:
        say(
            f"Far from zero, {far} repeat the intercept's pulls: --about mean measures each "
            "column from its mean."
        )
    hardest = [_hardest(p) for p in ranked[:6] if p.hardest]
    if hardest:
        say("\nThe rows that pull hardest (row: pull)", bold=True)
        say(table(hardest, left=2))
    _show_influence(found)
    if plot is not None:
        say(f"\nFigure written to {plot}")


def _far_from_zero(fitted: FittedModel, found: Pulls) -> str:
    """Names of columns of a linear model that lie far from zero, unless they are measured from
    their means.
    """
    if fitted.kind != "linear" or found.about == "mean":
        return ""
    encoder = fitted.encoder
    far = np.flatnonzero(np.abs(encoder.means) > 2.0 * encoder.scales)
    names = [
        encoder.names[j]
        for j in far
        if not encoder.names[j].startswith(tuple(f"{c}=" for c, _, _ in encoder.groups))
    ]
    return ", ".join(names[:4]) + (", …" if len(names) > 4 else "")


def _verdict(found: Pulls, kind: str) -> str:
    if kind in ("trees", "blend"):
        return (
            "Here they need not balance: the members stopped where rows they had not seen "
            "favoured it."
        )
    if kind == "network":
        return (
            "In a network they need not balance: every member stopped where rows it had not "
            "seen favoured it, under\n"
            "penalties of its own, which are no part of these pulls."
        )
    if found.balanced:
        and_penalty = " and the penalty" if any(p.penalty for p in found.parameters) else ""
        return (
            f"Those pulling up, those pulling down{and_penalty} balance: these rows hold "
            "every parameter where it is."
        )
    moved = [p for p in found.parameters if not p.balanced]
    if len(moved) == len(found.parameters):
        return "The pulls do not balance: on these rows descent would move every parameter."
    return (
        f"On these rows descent would move {len(moved):,} of {len(found.parameters):,} parameters."
    )


def _hardest(pull: Pull) -> list[str]:
    return [pull.name, "   ".join(f"{r.row}: {number(r.pull, 4)}" for r in pull.hardest)]


def _show_influence(found: Pulls) -> None:
    influence = found.influence
    if influence is None or not influence.leverage:
        return
    say("\nRows that matter most by themselves", bold=True)
    rows = [
        [
            "highest leverage",
            "   ".join(f"{r['row']}: {number(r['leverage'], 3)}" for r in influence.leverage),
        ],
        [
            "greatest Cook's distance",
            "   ".join(
                f"{r['row']}: {number(r['cooks_distance'], 3)}" for r in influence.cooks_distance
            ),
        ],
    ]
    say(table(rows, left=2))
    say(
        f"  mean leverage {number(influence.mean_leverage, 3)}; {influence.high_leverage:,} "
        "rows have more than twice that of an average row of the fit"
    )


def show_row(fitted: FittedModel, one: RowExplanation) -> None:
    """One row in words, then how its output moves and what it asks of the weights."""
    say(one.sentences(one.target_name))
    if one.contributions:
        say(f"  The parts ({one.method}) add up to the output but for {one.gap:.1g}.")
    moved = sorted(one.changes, key=lambda c: -abs(c.change))
    derivatives = [[c.of, f"{c.change:+.4g}"] for c in moved if c.kind == "derivative"][:MOST]
    levels = [[f"{c.column} {c.of}", f"{c.change:+.4g}"] for c in moved if c.kind != "derivative"][
        :MOST
    ]
    if derivatives:
        say(
            f"\nHow {one.target_name} would change for one unit more of (derivative at this row)",
            bold=True,
        )
        say(table(derivatives))
    if levels:
        steps = any(c.kind == "over a step" for c in moved)
        what = "How it changes over a step of a number, or against the reference level"
        say(f"\n{what if steps else 'What its categories do to it'}", bold=True)
        say(table(levels))
    if not one.asks:
        return
    if one.weight == 0:
        say("\nIts weight is 0: it asks nothing of the weights.")
        return
    scale = dict(zip(one.asks, _scales(fitted, one), strict=True))
    asked = sorted((a for a in one.asks if a.pull), key=lambda a: -abs(a.pull) * scale[a])[:MOST]
    say("\nWhat it asks of the weights (its pull; descent moves against it)", bold=True)
    rows = [[a.name, number(a.value), f"{a.pull:+.4g}", f"{a.direction}"] for a in asked]
    say(table(rows, header=["", "value", "pull", "asks to"]))
    if len(one.asks) > len(asked):
        say(
            f"  … and little or nothing of {len(one.asks) - len(asked)} more: --json shows "
            "every one"
        )
    if one.leverage is not None and one.cooks_distance is not None:
        say(f"\nLeverage {one.leverage:.3g}, Cook's distance {one.cooks_distance:.3g}")


def _scales(fitted: FittedModel, one: RowExplanation) -> list[float]:
    """The typical change of each parameter, to rank the pulls by."""
    from halfsquare.explain.levers import levers

    by_name = dict(zip((at := levers(fitted)).names, at.scales, strict=True))
    return [float(by_name[a.name]) for a in one.asks]
