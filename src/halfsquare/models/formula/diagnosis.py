"""Why a formula is not finite: the first operation that went wrong, with its numbers, row and
columns.
"""

from __future__ import annotations

import numpy as np

from halfsquare.data.rows import Rows
from halfsquare.loss import Floats
from halfsquare.models.formula.model import Formula
from halfsquare.models.formula.operations import OPERATIONS
from halfsquare.models.formula.program import Step

#: The end of a sentence on what no parameters can mend.
ALWAYS = ", whatever the parameters are"
_WORDS = {
    "/": "a division by zero",
    "reciprocal": "a division by zero",
    "log": "the logarithm of a number that is not positive",
    "log1p": "the logarithm of a number that is not positive",
    "sqrt": "the square root of a negative number",
    "Power": "a power that is not real or too large",
    "PowerLog": "the logarithm of a number that is not positive",
    "exp": "too large for float64",
    "gamma": "a pole, or too large for float64",
    "loggamma": "a pole",
    "polygamma": "a pole",
}


def why_not_finite(formula: Formula, rows: Rows, parameters: Floats) -> str | None:
    """A sentence on the first row (counted from 1) where the outputs are not finite; None if all
    are.
    """
    before = 1
    for index in range(rows.chunk_count):
        chunk = rows.chunk(index)
        bad = ~np.isfinite(formula.outputs(parameters, chunk.design)[:, 0])
        if chunk.weight is not None:
            bad &= chunk.weight > 0
        if bad.any():
            row = int(np.argmax(bad))
            return _of_row(formula, parameters, chunk.design[row], before + row)
        before += len(chunk.target)
    return None


def why_nowhere(formula: Formula, rows: Rows, points: Floats) -> str | None:
    """A sentence on a row (counted from 1) at which the formula or a derivative is not finite at
    any of the ``points`` (m, p); None if there is none.
    """
    which, before = tuple(range(len(formula.names))), 1
    for index in range(rows.chunk_count):
        chunk = rows.chunk(index)
        bad = np.ones(len(chunk.target), dtype=bool)
        if chunk.weight is not None:
            bad &= chunk.weight > 0
        block = np.empty((len(formula.names) + 1, len(bad)))
        for point in points:
            formula.write_slopes(point, chunk.design, which, list(block))
            bad &= ~np.isfinite(block).all(axis=0)
        if bad.any():
            row = int(np.argmax(bad))
            output = formula.outputs(points[0], chunk.design[row : row + 1])
            blame = which if np.isfinite(output).all() else ()
            return _of_row(formula, points[0], chunk.design[row], before + row, blame)
        before += len(chunk.target)
    return None


def _of_row(
    formula: Formula, parameters: Floats, design: Floats, row: int, which: tuple[int, ...] = ()
) -> str:
    """What goes wrong first at a row; of the output and of the derivatives ``which``."""
    program = formula.program(which)
    held = np.array([value for _, value in formula.fixed])
    values = program.scalars(np.concatenate([parameters, held]))
    free = [kind == "parameter" for kind, _ in program.sources] + [False] * (
        len(values) - len(program.sources)
    )
    for place, (kind, column) in enumerate(program.sources):
        if kind == "column":
            values[place] = design[int(column)]
    with np.errstate(all="ignore"):
        for step in (*program.scalar_steps, *program.array_steps):
            values[step.place] = OPERATIONS[step.operation](
                *(np.float64(values[i]) for i in step.operands)
            )
            free[step.place] = any(free[i] for i in step.operands)
            if not np.isfinite(values[step.place]):
                where = ", ".join(
                    f"{name} = {value:.6g}"
                    for name, value in zip(formula.columns, design, strict=True)
                )
                always = "" if free[step.place] else ALWAYS
                return (
                    f"in row {row} ({where}) it comes to {_said(step, values)}{always}"
                    if where
                    else _said(step, values)
                )
    return f"it is not finite in row {row}"


def _said(step: Step, values: list[float]) -> str:
    numbers = [f"{float(values[i]):.6g}" for i in step.operands]
    shown = {
        "reciprocal": "1/{0}",
        "/": "{0}/{1}",
        "Power": "({0})**{1}",
        "PowerLog": "({0})**{1}*log({0})",
        "+": "{0} + {1}",
        "-": "{0} - {1}",
    }.get(step.operation, "{0}*{1}" if step.operation == "*" else step.operation.lower() + "({0})")
    return f"{shown.format(*numbers)}, {_WORDS.get(step.operation, 'which is no finite number')}"
