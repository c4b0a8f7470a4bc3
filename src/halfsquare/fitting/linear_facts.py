"""What is to be known of a linear solution, and what is to be said of its columns and descent."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from halfsquare.loss import Floats
from halfsquare.models.linear import Linear
from halfsquare.results.trained import LinearFacts
from halfsquare.solvers.base import Termination
from halfsquare.solvers.normal_system import System
from halfsquare.solvers.solution import Solution
from halfsquare.text import counted

# The square of what is left of a unit vector outside a space that it lies in.
_ESTIMABLE = 1e-14


def too_few(rows: int, columns: int) -> str:
    """What is said of more columns than rows."""
    return (
        f"rank deficient: {rows} rows cannot determine {columns} coefficients; those of smallest "
        "norm (on standardized columns) were taken"
    )


def linear_facts(
    solution: Solution, freedom: float, system: System, model: Linear, offsets: Floats | None = None
) -> LinearFacts:
    """What is to be known of a solution; ``offsets`` as of :func:`not_estimable`."""
    names, directions = not_estimable(solution, system, model, offsets)
    return LinearFacts(
        undetermined=names,
        undetermined_directions=directions,
        degrees_of_freedom=freedom,
        l2=solution.l2,
        rank=solution.rank,
        path=solution.path,
        reciprocal_condition=solution.reciprocal_condition,
    )


def not_estimable(
    solution: Solution, system: System, model: Linear, offsets: Floats | None = None
) -> tuple[tuple[str, ...], tuple[tuple[float, ...], ...]]:
    """Of a rank-deficient design: the coefficients that the rows do not determine, and unit vectors
    (in the design's units) along which they say nothing. Nothing otherwise.

    A coefficient is estimable where its unit vector lies in the space of the rows (Searle 1971,
    *Linear Models*, section 5.4): where C⁺C has a 1. ``offsets``: of the design's columns, because
    the intercept is meant at 0 of the columns as given.
    """
    d = len(system.scales)
    if solution.l2 or solution.rank >= d:
        return (), ()
    vectors = np.linalg.eigh(system.correlation)[1]
    empty = vectors[:, : d - solution.rank]  # the smallest ones
    determined = np.einsum("ij,ij->i", empty, empty) < _ESTIMABLE
    shift = np.zeros(d) if offsets is None else offsets
    at_zero = -(system.means + shift) / system.scales
    of_intercept = float(np.abs(at_zero @ empty).max(initial=0.0))
    k = model.outputs_count
    known = [of_intercept < _ESTIMABLE**0.5 * (1.0 + float(np.linalg.norm(at_zero))), *determined]
    names = model.parameter_names
    directions = (empty / system.scales[:, None]).T
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    unsure = [i for i, sure in enumerate(known) if not sure]
    return (
        tuple(names[i * k + j] for i in unsure for j in range(k)),
        tuple(map(tuple, directions.tolist())),
    )


def freedom_warnings(system: System, freedom: float, l2: float) -> list[str]:
    """What is to be said where nothing is left to tell the noise by."""
    if freedom > 1e-9:
        return []
    what = "as many coefficients as rows" if not l2 else "no more rows than effective parameters"
    return [
        f"{what}: of {counted(system.weight, 'rows')} no degrees of freedom are left "
        "to tell the noise by, so there are no standard errors and no intervals"
    ]


def linear_warnings(
    solution: Solution, names: Sequence[str], system: System, termination: Termination
) -> tuple[str, ...]:
    """What is to be said of the columns and of the descent."""
    found = []
    if solution.dependent:
        shown = ", ".join(repr(names[j]) for j in solution.dependent[:10])
        more = f" and {len(solution.dependent) - 10} more" if len(solution.dependent) > 10 else ""
        verb = "is" if len(solution.dependent) == 1 else "are"
        found.append(
            f"rank deficient: {shown}{more} {verb} determined by the other columns; of all "
            "coefficients that fit equally "
            "well, those of smallest norm (on standardized columns) were taken"
        )
    elif solution.rank < len(names) and not solution.l2:
        found.append(too_few(system.rows, len(names)))
    if not termination.converged:
        found.append(
            f"the descent did not converge ({termination}): its coefficients are not those of "
            "least squares yet" + _slowed(solution.reciprocal_condition**-0.5)
        )
    return tuple(found)


_CONDITION = 100.0  # below, columns are no reason for a slow descent


def _slowed(condition: float) -> str:
    """What made the descent slow, where it is the columns."""
    if condition < _CONDITION:
        return "; least-squares solves it at once"
    return (
        f". The columns are nearly collinear (condition number {condition:.0f}), which makes "
        "gradients slow; least-squares has no such trouble"
    )
