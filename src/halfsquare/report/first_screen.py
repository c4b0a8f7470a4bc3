"""What a person needs to know of a fit, in fifteen lines: for the terminal, a notebook, the page.

What was fitted; how far it is typically off, beside the mean and a line; what was ignored or looks
suspicious in the table; which columns matter most. Everything else is in
:mod:`halfsquare.report.summary`.
"""

from __future__ import annotations

import math

from halfsquare.data.features import Category, Number
from halfsquare.models.linear import Linear
from halfsquare.models.terms.encoder import TermsEncoder
from halfsquare.report.layout import folded
from halfsquare.report.text_tables import p_value
from halfsquare.report.views import relevance
from halfsquare.results.fitted import FittedModel
from halfsquare.text import counted, plain, rows_sentence

_NAMED = 5  # columns
_DOUBTS = 5  # lines about the table
_REASONS = 3  # columns named with the reason why they were left out
_PARAMETERS = 6  # of a formula
_NO_CHANCE = 1e-3  # of χ²


def first_screen(fitted: FittedModel, *, width: int | None = None) -> str:
    """The first screen as text, folded to ``width`` columns where that is given."""
    lines = folded(headline(fitted), width)
    lines += folded(rows_sentence(fitted.info) + ".", width, indent=2)
    lines.append("")
    for sentence in typical_error(fitted):
        lines += folded(sentence, width)
    doubts = suspicious(fitted)
    if doubts:
        lines += ["", "Look at"]
        for doubt in doubts:
            lines += folded(doubt, width, indent=2)
    if isinstance(fitted.encoder, TermsEncoder):
        # Who writes the terms down asks for their coefficients.
        from halfsquare.report.by_family import inference_part
        from halfsquare.report.sentences import outputs_sentence
        from halfsquare.report.text_tables import parameter_table

        lines += ["", parameter_table(fitted.parameters, width=width)]
        lines += inference_part(fitted).splitlines()
        if outputs := outputs_sentence(fitted.info):
            lines += folded(outputs, width, indent=2)
    elif fitted.kind == "formula":
        from halfsquare.report.sentences import noise_sentence
        from halfsquare.report.text_tables import parameter_table

        lines += ["", parameter_table(fitted.parameters, _PARAMETERS, width)]
        lines += folded(noise_sentence(fitted), width, indent=2)
    strongest = strongest_columns(fitted)
    if strongest:
        lines += ["", *folded("Strongest columns: " + "; ".join(strongest) + ".", width)]
    return "\n".join(lines)


def headline(fitted: FittedModel) -> str:
    """What was fitted to what."""
    info, encoder = fitted.info, fitted.encoder
    unit = " and ".join(encoder.targets)
    if info.get("facts", {}).get("formula"):
        return f"{info['facts']['formula']}, fitted to {info['data']}"
    used = len({f.column for f in encoder.features})
    chosen = info.get("tried") and len(info["tried"]) > 1 and info["tried"][0]["mse"] is not None
    among = f" (chosen among {len(info['tried'])})" if chosen else ""
    columns = f"{used} column{'s' if used != 1 else ''}"
    if encoder.target_transform is not None:
        unit = encoder.target_transform.told(unit)
    return f"{fitted.kind.capitalize()} model of {unit}{among}, from {columns} of {info['data']}"


def typical_error(fitted: FittedModel) -> list[str]:
    """How far an output is off, and how that compares with the mean and with a line."""
    info, unit = fitted.info, " and ".join(fitted.encoder.targets)
    found = info["test"] or info["train"]
    where = (
        counted(found["rows"], "test rows")
        if info["test"]
        else "the rows of the fit (none set apart)"
    )
    said = [f"Typical error ±{plain(found['rmse'])} ({unit}), on {where}."]
    r2 = found["r2"]
    if r2 is None or not math.isfinite(r2):
        return said
    if r2 >= 1.0:
        return [*said, "R² 1: nothing is left to explain."]
    mean = found["rmse"] / math.sqrt(1.0 - r2)
    beside = [f"the mean's (±{plain(mean)})"]
    than = [_than(found["rmse"], mean)]
    line = found.get("line_rmse")
    if line is not None:
        beside.append(f"a line's (±{plain(line)})")
        than.append(_than(found["rmse"], line))
    compared = ", ".join(f"{how} {what}" for how, what in zip(than, beside, strict=True))
    return [*said, f"R² {plain(r2)}; the error is {compared}."]


def _than(error: float, other: float) -> str:
    if other == 0:
        return "as large as" if error == 0 else "larger than"
    change = 1.0 - error / other
    if abs(change) < 0.005:
        return "as large as"
    share = f"{abs(change):.0%}" if abs(change) < 10 else f"{error / other:.0f} times"
    return f"{share} smaller than" if change > 0 else f"{share} larger than"


def suspicious(fitted: FittedModel, *, most: int | None = _DOUBTS) -> list[str]:
    """What was ignored of the table, and every warning: never below the fold; in at most so many
    lines.
    """
    said = []
    left = list(fitted.encoder.left_out.items())
    if left:
        named = ", ".join(f"{name} ({why})" for name, why in left[:_REASONS])
        more = f", and {len(left) - _REASONS} more" if len(left) > _REASONS else ""
        said.append(f"Left out: {named}{more}.")
    warnings = [
        *fitted.info.get("reading", {}).get("suspicious", ()),
        *_of_sigma(fitted),
        *fitted.info["warnings"],
    ]
    room = len(warnings) if most is None else most - len(said)
    said += warnings[:room]
    if len(warnings) > room:
        rest = len(warnings) - room
        said.append(f"and {rest} more warning{'s' * (rest > 1)}: --all shows them")
    return said


def _share(share: float) -> str:
    """In per cent; what rounds to nothing or all is neither."""
    if share < 0.01:
        return "< 1%"
    return "> 99%" if 0.99 < share < 1.0 else f"{share:.0%}"


def _of_sigma(fitted: FittedModel) -> list[str]:
    """Whether the errors are larger than the sigma that was given."""
    chi2, p = fitted.facts.chi2, fitted.facts.chi2_p
    if chi2 is None or p is None or p >= _NO_CHANCE:
        return []
    return [
        f"χ² {plain(chi2)} on {plain(fitted.facts.degrees_of_freedom)} degrees of freedom "
        f"(p {p_value(p)}): the errors are larger than sigma says, or the model is not right."
    ]


def strongest_columns(fitted: FittedModel) -> list[str]:
    """The columns that matter most, each with its size: the change of the output for one standard
    deviation (between the levels of a category), or the share of the relevance.
    """
    if fitted.kind == "formula" or isinstance(fitted.encoder, TermsEncoder):
        return []
    found = relevance(fitted)
    ranked = sorted(found, key=lambda column: -found[column])[:_NAMED]
    member = fitted.members[0]
    if not isinstance(member.model, Linear):
        total = sum(found.values()) or 1.0
        shares = {column: found[column] / total for column in ranked}
        second = sorted(shares.values())[-min(len(shares), 2)]
        least = min(0.005, max(0.001, 0.1 * second))
        return [f"{c} {_share(share)}" for c, share in shares.items() if share >= least]
    if len(fitted.encoder.targets) > 1:
        return ranked
    scale = float(fitted.encoder.target_scales[0])
    transform = fitted.encoder.target_transform
    of = f" of {transform.told(fitted.encoder.targets[0])}" if transform is not None else ""
    slopes = member.parameters[1:] * scale
    places = {column: (a, b) for column, a, b in fitted.encoder.groups}
    kinds = {f.column: f for f in fitted.encoder.features}
    said = []
    for column in ranked:
        a, b = places[column]
        if isinstance(kinds[column], Category):
            levels = [0.0, *(slopes[a:b] / fitted.encoder.scales[a:b]).tolist()]
            said.append(f"{column} {plain(max(levels) - min(levels), 3)}{of} between levels")
        elif b - a == 1 or isinstance(kinds[column], Number):
            # Of a number with a mark of missing values the number's own.
            sign = "+" if slopes[a] > 0 else ""
            said.append(f"{column} {sign}{plain(float(slopes[a]), 3)}{of} per std. deviation")
        else:
            said.append(column)
    return said
