"""How the output of one row would change with each column: exact derivatives, and other levels of a
category.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from halfsquare.data.features import Category
from halfsquare.explain.parts import output_slopes
from halfsquare.loss import Floats
from halfsquare.models.formula.model import Formula
from halfsquare.models.target import TARGET_FUNCTIONS
from halfsquare.models.terms.encoder import TermsEncoder, plain_terms
from halfsquare.models.trees import Trees
from halfsquare.results.fitted import FittedModel

# y' / u' by y, where u is what the left side makes of y: by the function that leads back from u to
# y.
_BACK: dict[str, Any] = {
    "exp": lambda y: y,
    "exp10": lambda y: np.log(10.0) * y,
    "exp2": lambda y: np.log(2.0) * y,
    "expm1": lambda y: 1.0 + y,
    "square": lambda y: 2.0 * np.sqrt(y),
}


@dataclass(frozen=True)
class Change:
    """How the output moves with a column.

    Attributes
    ----------
    column : str
    of : str
        What of the column: the column itself, a part of a date, or a level of a category.
    change : float
        The derivative per unit, exact at this row; for a category the output less what it would be
        at the reference level.
    kind : str
        ``"derivative"``, ``"against the reference level"``, or where there are trees ``"over a
        step"``: one standard deviation, half of it to each side.
    """

    column: str
    of: str
    change: float
    kind: str


def changes(fitted: FittedModel, design: Floats, output: int = 0) -> tuple[Change, ...]:
    """Of one row, ``design`` (d,), in the units of target and columns."""
    model = fitted.members[0].model
    if isinstance(model, Formula):
        return _of_formula(fitted, model, design)
    grown = any(isinstance(member.model, Trees) for member in fitted.members)
    if grown or fitted.encoder.target_transform is not None:
        return _over_steps(fitted, design, output)
    encoder, found = fitted.encoder, []
    slopes = output_slopes(fitted, design[None, :], output)[0] / encoder.scales
    if isinstance(encoder, TermsEncoder):
        return _of_terms(fitted, encoder, design, slopes)
    names = encoder.names
    for feature, (column, a, b) in zip(encoder.features, encoder.groups, strict=True):
        if isinstance(feature, Category):
            found.append(_of_category(fitted, feature, design, a, b, output))
            continue
        missing = [j for j in range(a, b) if names[j] == f"{column} is missing"]
        found += [
            Change(column, names[j], float(slopes[j]), "derivative")
            for j in range(a, b)
            if j not in missing
        ]
    return tuple(found)


def _of_terms(
    fitted: FittedModel, encoder: TermsEncoder, design: Floats, slopes: Floats
) -> tuple[Change, ...]:
    """Of the numbers that stand in one term, alone: the others' slopes need more than the
    design.
    """
    name = TARGET_FUNCTIONS.get(fitted.members[0].model.target_function)
    output = float(fitted.outputs_of(design[None, :])[0][0, 0])
    back = 1.0 if name is None else float(_BACK[name](output))
    uses = [
        c for term in encoder.design.terms for f in term for c in encoder.design.factors[f].columns
    ]
    return tuple(
        Change(f.column, f.column, float(slopes[a]) * back, "derivative")
        for f, a, _ in plain_terms(encoder)
        if uses.count(f.column) == 1
    )


def _of_category(
    fitted: FittedModel, feature: Category, design: Floats, a: int, b: int, output: int
) -> Change:
    means, scales = fitted.encoder.means[a:b], fitted.encoder.scales[a:b]
    other = design.copy()
    other[a:b] = -means / scales  # every indicator 0: the reference
    outputs, _ = fitted.outputs_of(np.vstack([design, other]))
    on = np.flatnonzero(design[a:b] * scales + means > 0.999)
    level = feature.names[int(on[0])][len(feature.column) + 1 :] if len(on) else feature.levels[0]
    if not design[a:b].any():  # exactly the average row
        level = "(unseen)"
    change = float(outputs[0, output] - outputs[1, output])
    reference = feature.levels[0]
    at_it = level == reference
    return Change(
        feature.column,
        f"{level}, the reference level" if at_it else f"{level} instead of {reference}",
        change,
        "against the reference level",
    )


def _over_steps(fitted: FittedModel, design: Floats, output: int) -> tuple[Change, ...]:
    """Of trees, which have no slope, and of means of a transformed target: from half a standard
    deviation below the row to half above.
    """
    encoder, found = fitted.encoder, []
    over = _output_over_steps(fitted, design, output)
    names, scales = encoder.names, encoder.scales
    for feature, (column, a, b) in zip(encoder.features, encoder.groups, strict=True):
        if isinstance(feature, Category):
            found.append(_of_category(fitted, feature, design, a, b, output))
            continue
        for j in range(a, b):
            if names[j] == f"{column} is missing":
                continue
            width = f"{scales[j]:.4g} wide about this row"
            label = f"{names[j]}, {width}"
            found.append(Change(column, label, float(over[j]), "over a step"))
    return tuple(found)


def _output_over_steps(fitted: FittedModel, design: Floats, output: int) -> Floats:
    """The output half a step above the row less that half a step below it, for each column (d,); a
    column that no tree asks for is not tried, and the others some at a time: all of d columns are
    a matrix of 2 d².
    """
    columns = _asked_for(fitted, len(design))
    found, most = np.zeros(len(design)), max(1, _NUMBERS // (2 * len(design)))
    for start in range(0, len(columns), most):
        some = columns[start : start + most]
        steps = np.zeros((len(some), len(design)))
        steps[range(len(some)), some] = 0.5
        outputs, _ = fitted.outputs_of(np.vstack([design + steps, design - steps]))
        found[some] = outputs[: len(some), output] - outputs[len(some) :, output]
    return found


def _asked_for(fitted: FittedModel, width: int) -> list[int]:
    """The columns of the design on which the output can depend."""
    found: set[int] = set()
    for member in fitted.members:
        if not isinstance(member.model, Trees):
            return list(range(width))
        for place in np.unique(member.model.tested):
            one = member.model.inputs[int(place)]
            found |= {*range(one.first, one.stop), *([one.indicator] if one.indicator >= 0 else [])}
    return sorted(found)


_NUMBERS = 1 << 24  # at a time


def _of_formula(fitted: FittedModel, formula: Formula, design: Floats) -> tuple[Change, ...]:
    """∂output/∂column by SymPy, compiled as the formula itself is."""
    from halfsquare.models.formula.compiler import compile_program
    from halfsquare.models.formula.derivatives import derivatives

    every, levels = tuple(formula.columns), dict(formula.levels)
    columns = tuple(c for c in every if c not in levels)  # a level has no slope
    if not columns:
        return ()
    names = (*formula.names, *(name for name, _ in formula.fixed))
    program = compile_program(derivatives(formula.parsed.expression, columns), names, every)
    values = np.concatenate([fitted.members[0].parameters, [value for _, value in formula.fixed]])
    out = np.empty((len(columns), 1))
    with np.errstate(all="ignore"):
        program.run(values, design[None, :], list(out))
        name = TARGET_FUNCTIONS.get(formula.target_function)
        back = (
            1.0 if name is None else float(_BACK[name](fitted.outputs_of(design[None, :])[0][0, 0]))
        )
    return tuple(
        Change(c, c, float(slope) * back, "derivative")
        for c, slope in zip(columns, out[:, 0], strict=True)
    )
