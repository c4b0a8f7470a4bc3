"""Train the linear model: directly, by steepest descent, or by mini-batches, to one answer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, cast

import numpy as np

from halfsquare.data.rows import Rows
from halfsquare.errors import NotFiniteError, OptionError
from halfsquare.fitting.linear_facts import freedom_warnings, linear_facts, linear_warnings, too_few
from halfsquare.loss import Floats, error
from halfsquare.models.linear import Linear
from halfsquare.normal_sums import NormalSums
from halfsquare.parallel.base import Execution
from halfsquare.results.trained import LinearFacts, Trained
from halfsquare.solvers.base import Reason, Record, Solver, Termination
from halfsquare.solvers.growing_batches import GrowingBatches
from halfsquare.solvers.least_squares import solve
from halfsquare.solvers.loop import descend
from halfsquare.solvers.normal_system import System, linear_sums
from halfsquare.solvers.objective import Objective, Quadratic
from halfsquare.solvers.run import Run
from halfsquare.solvers.steepest_descent import SteepestDescent
from halfsquare.solvers.wide import is_wide, require_columns, solve_wide

LinearMethod = Literal["least-squares", "gradient", "minibatch"]


# An SSE above this share of the terms it is the difference of has 9 digits in the sums: of these
# terms 1e-16 are lost, no more (20,000 to 400,000 rows of 3 to 40 columns, nearly collinear too).
_RESOLVED = 2.5e-7


_ITERATIONS = {"gradient": 50_000, "minibatch": 20_000}


@dataclass(frozen=True)
class LinearOptions:
    """How to train a linear model.

    Attributes
    ----------
    method : {"least-squares", "gradient", "minibatch"}
    l2 : float >= 0 or "auto"
        λ of the penalty ½ λ Σw |b|² on standardized columns, intercept excepted; ``"auto"`` takes
        the λ of greatest evidence.
    """

    method: LinearMethod = "least-squares"
    l2: float | Literal["auto"] = 0.0

    def __post_init__(self) -> None:
        if self.method not in ("least-squares", "gradient", "minibatch"):
            raise OptionError(
                f"unknown method {self.method!r} for the linear model: expected "
                "least-squares, gradient or minibatch"
            )
        if self.l2 != "auto" and not (
            isinstance(self.l2, (int, float)) and 0.0 <= self.l2 < np.inf
        ):
            raise OptionError(f"l2 is {self.l2!r}; expected a number >= 0, or 'auto'")


def train_linear(
    rows: Rows,
    names: Sequence[str],
    targets: Sequence[str],
    options: LinearOptions,
    run: Run,
    *,
    check: Callable[[], None] | None = None,
) -> Trained[LinearFacts]:
    """Train on standardized rows: ``names`` of the d design columns, ``targets`` of the k outputs.

    The covariance of the parameters is σ²(AᵀWA)⁻¹, σ² = SSE/(Σw - p); with a penalty it is the
    posterior covariance σ²(AᵀWA + penalty)⁻¹ with p the effective parameters. It is None where no
    degrees of freedom are left. ``check`` is called when a sum is not finite, to name the value to
    blame.

    Raises
    ------
    FitError
        If no row has weight.
    NotFiniteError
        If a sum is not finite.
    """
    model = Linear(tuple(names), tuple(targets))
    wide = is_wide(rows, len(names)) and options.method == "least-squares" and options.l2 == 0
    require_columns(rows, len(names), wide=wide)
    if wide:
        return _trained_wide(model, rows, run, check)
    sums = linear_sums(rows, run.execution)
    if not np.isfinite(np.trace(sums.gram)) or not np.isfinite(sums.gram).all():
        if check is not None:
            check()
        raise NotFiniteError(
            "the squares of the columns overflow float64, or a value is not finite"
        )
    system = System.of(sums, len(targets), rows.offsets)
    solution = solve(rows, run.execution, system, l2=options.l2)
    parameters = solution.coefficients.reshape(-1)
    history: list[Record] = []
    termination = Termination(Reason.SOLVED, solution.path)
    if options.method != "least-squares":
        penalty = _penalty(system, solution.l2) if solution.l2 else None
        start = np.zeros_like(parameters)
        quadratic = Quadratic(model, rows, run.execution, penalty, sums=sums)
        solver: Solver[Objective, Any] = (
            SteepestDescent() if options.method == "gradient" else GrowingBatches(seed=run.seed)
        )
        most = _ITERATIONS[options.method]
        state, history = descend(solver, quadratic, start, run, iterations=most)
        assert state.stopped is not None
        parameters, termination = state.parameters, state.stopped
    sse = _sse(rows, run.execution, model, parameters, sums)
    freedom = system.weight - solution.effective_parameters
    noise = sse / freedom if freedom > 1e-9 else np.full(len(targets), np.nan)
    covariance = np.kron(solution.inverse, np.diag(noise)) if freedom > 1e-9 else None
    return Trained(
        model,
        parameters,
        covariance,
        noise,
        solution.effective_parameters,
        termination,
        linear_facts(solution, freedom, system, model, rows.offsets),
        (
            *linear_warnings(solution, names, system, termination),
            *freedom_warnings(system, freedom, solution.l2),
        ),
        tuple(history),
    )


def _trained_wide(
    model: Linear, rows: Rows, run: Run, check: Callable[[], None] | None
) -> Trained[LinearFacts]:
    """Of more columns than rows: the rows leave no degrees of freedom for standard errors."""
    found = solve_wide(rows, run.execution)
    if not np.isfinite(found.coefficients).all() or not np.isfinite(found.sse).all():
        if check is not None:
            check()
        raise NotFiniteError(
            "the squares of the columns overflow float64, or a value is not finite"
        )
    effective = 1.0 + found.rank
    freedom = found.weight - effective
    facts = LinearFacts(
        degrees_of_freedom=freedom,
        l2=0.0,
        rank=found.rank,
        path="minimum norm",
        reciprocal_condition=found.reciprocal_condition,
    )
    return Trained(
        model,
        found.coefficients.reshape(-1),
        None,
        found.sse / freedom if freedom > 1e-9 else np.full(len(found.sse), np.nan),
        effective,
        Termination(Reason.SOLVED, "minimum norm"),
        facts,
        (too_few(rows.row_count, len(model.names)),),
    )


def _penalty(system: System, l2: float) -> Floats:
    """λ Σw on each standardized coefficient, in the units of the design; none on the intercept."""
    each = np.concatenate([[0.0], l2 * system.weight * system.scales**2])
    return cast(Floats, np.repeat(each, len(system.target_means)))


def _sse(
    rows: Rows, execution: Execution, model: Linear, parameters: Floats, sums: NormalSums
) -> Floats:
    """SSE of each output: from the sums, or where it is small beside their rounding from the errors
    themselves.
    """
    whole, _, _ = sums.finish()
    split = len(whole) - model.outputs_count
    b = model.matrix(parameters)
    squares = np.diag(whole)[split:]
    sse = squares - np.einsum(
        "ij,ij->j", b, 2.0 * whole[:split, split:] - whole[:split, :split] @ b
    )
    # What rounding loses is a share of the largest terms: with nearly collinear columns they dwarf
    # the squares.
    largest = squares + np.einsum(
        "ij,ij->j", np.abs(b), np.abs(whole[:split, :split] @ b) + np.abs(whole[:split, split:])
    )
    largest += np.einsum("ij,i->j", b * b, np.diag(whole)[:split])
    if np.all(sse > _RESOLVED * largest):
        return cast(Floats, sse)

    def of(index: int) -> Floats:
        chunk = rows.chunk(index)
        e = error(chunk.target, model.outputs(parameters, chunk.design))
        return cast(Floats, (e * e).sum(axis=0) if chunk.weight is None else chunk.weight @ (e * e))

    return execution.reduce(of, np.add, rows.chunk_count, np.zeros(model.outputs_count))
