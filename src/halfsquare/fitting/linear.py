"""Train the linear model: directly, by steepest descent, or by mini-batches; the answer is the
same.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, cast, final

import numpy as np

from halfsquare.data.encoded_rows import DesignRows, EncodedArrays, EncodedRows
from halfsquare.data.roles import Roles
from halfsquare.data.rows import ArrayRows, Rows
from halfsquare.data.source import Source
from halfsquare.errors import NotFiniteError, OptionError
from halfsquare.fitting.family import Family
from halfsquare.fitting.left_out_linear import left_out_linear
from halfsquare.fitting.options import FitOptions, Request
from halfsquare.fitting.robust import robust_trained, with_beside
from halfsquare.fitting.weighed import log_weight_of
from halfsquare.loss import Floats, error
from halfsquare.models.linear import Linear
from halfsquare.parallel.base import Execution
from halfsquare.parallel.threads import Local
from halfsquare.results.fitted import FittedModel
from halfsquare.results.inference.errors import ErrorsOption
from halfsquare.results.record import Training
from halfsquare.results.trained import InferenceFacts, LinearFacts, Trained
from halfsquare.solvers.base import Reason, Solver, Termination
from halfsquare.solvers.growing_batches import GrowingBatches
from halfsquare.solvers.least_squares import solve
from halfsquare.solvers.loop import Record, descend
from halfsquare.solvers.normal_system import System, linear_sums
from halfsquare.solvers.objective import Objective, Quadratic
from halfsquare.solvers.run import Run
from halfsquare.solvers.solution import Solution
from halfsquare.solvers.steepest_descent import SteepestDescent
from halfsquare.solvers.wide import MOST_COLUMNS, is_wide, require_columns, solve_wide
from halfsquare.sums import NormalSums
from halfsquare.text import counted

LinearMethod = Literal["least-squares", "gradient", "minibatch"]
# An SSE above this share of the terms it is the difference of has 9 digits in the sums: of these
# terms 1e-16 are lost, no more (20,000 to 400,000 rows of 3 to 40 columns, nearly collinear too).
_RESOLVED = 2.5e-7
# The square of what is left of a unit vector outside a space that it lies in.
_ESTIMABLE = 1e-14
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
        (_too_few(rows.row_count, len(model.names)),),
    )


def _too_few(rows: int, columns: int) -> str:
    return (
        f"rank deficient: {rows} rows cannot determine {columns} coefficients; those of smallest "
        "norm (on standardized columns) were taken"
    )


def linear_facts(
    solution: Solution,
    freedom: float,
    system: System,
    model: Linear,
    offsets: Floats | None = None,
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


def linear_warnings(
    solution: Solution,
    names: Sequence[str],
    system: System,
    termination: Termination,
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
        found.append(_too_few(system.rows, len(names)))
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


@final
class LinearFamily(Family):
    """Standardized columns, an intercept, least squares."""

    @classmethod
    def of_choice(cls, options: FitOptions, rows: EncodedRows) -> LinearFamily:
        """The family where nobody named it: as many columns as rows to train on ask for a penalty,
        since without one they fit anything.
        """
        wide = rows.scanned.train.rows <= len(rows.encoder.names) + 1
        few = len(rows.encoder.names) <= MOST_COLUMNS
        return cls(replace(options, l2="auto") if wide and few and options.l2 == 0 else options)

    @property
    def chooses(self) -> bool:
        return bool(self.options.l2 == "auto")

    @property
    def sums_products(self) -> bool:
        return True

    def check(self) -> None:
        self._linear()
        ErrorsOption.read(self.options.errors)

    def roles(self, source: Source, request: Request) -> Roles:
        clusters = ErrorsOption.read(self.options.errors).columns
        features = request.features or ()
        exclude = [*request.exclude, *(c for c in clusters if c not in features)]
        roles = super().roles(source, replace(request, exclude=list(dict.fromkeys(exclude))))
        beside = with_beside(roles, source, clusters, "cluster")
        told = {c: "clusters of rows, and no feature" for c in clusters if c in roles.left_out}
        return replace(beside, left_out={**roles.left_out, **told})

    def train(self, rows: EncodedRows, run: Run) -> FittedModel:
        trained = self.trained(rows, run)
        if rows.units is not None:
            # The error without one row would know its neighbours: those of folds do not.
            own = left_out_linear(rows, self.options.l2, run)
            if not np.isnan(own).any():
                trained = replace(trained, left_out=np.stack([own, own]))
        return self.fitted(rows, [trained], Training("linear", self._linear().method))

    def stand_in(self, fitted: FittedModel, rows: ArrayRows) -> Sequence[Trained[Any]]:
        encoder, options = fitted.encoder, LinearOptions(l2=self.options.l2)
        return [train_linear(rows, encoder.names, encoder.targets, options, Run(Local(1)))]

    def train_arrays(self, rows: EncodedArrays, run: Run, check: Callable[[], None]) -> FittedModel:
        """Train on arrays; ``check`` as of :func:`train_linear`. Intervals are not calibrated."""
        trained = self.trained(rows, run, check)
        return self.uncalibrated(rows, [trained], Training("linear", self._linear().method))

    def trained(
        self, rows: DesignRows, run: Run, check: Callable[[], None] | None = None
    ) -> Trained[LinearFacts]:
        """The linear model of these rows, with the errors asked for; ``check`` as of
        :func:`train_linear`.
        """
        encoder, options = rows.encoder, self._linear()
        trained = train_linear(rows, encoder.names, encoder.targets, options, run, check=check)
        drawn = bool(encoder.names) and bool(trained.facts.l2)
        if drawn and options.l2 == "auto" and rows.row_count <= len(encoder.names) + 1:
            said = (
                f"{counted(len(encoder.names), 'columns')} on {counted(rows.row_count, 'rows')}: "
                f"a penalty that the evidence sets, l2 = {trained.facts.l2:.3g}, draws "
                "the coefficients towards 0"
            )
            trained = replace(trained, warnings=(*trained.warnings, said))
        errors = ErrorsOption.read(self.options.errors)
        if isinstance(rows, EncodedRows):
            trained = robust_trained(trained, rows, errors, self.options.seed, run.execution)
        facts = replace(
            trained.facts,
            inference=InferenceFacts(errors=str(errors)),
            log_weight=log_weight_of(rows, rows.weighed),
        )
        return replace(trained, facts=facts)

    def _linear(self) -> LinearOptions:
        method: Any = self.options.method or "least-squares"
        return LinearOptions(method, self.options.l2)
