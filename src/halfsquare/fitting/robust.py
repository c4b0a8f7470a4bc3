"""The errors that were chosen for a linear fit or a formula: scores of its rows, a pass at a time.

For a formula the design is the Jacobian at its parameters; see White (1981), "Consequences and
detection of misspecified nonlinear regression models", theorem 3.3.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar, cast

import numpy as np

from halfsquare.data.bases import merged_numbers
from halfsquare.data.encoded_rows import EncodedRows
from halfsquare.data.recut import source_order
from halfsquare.data.roles import Roles
from halfsquare.data.source import Source
from halfsquare.errors import DataError, FitError, OptionError
from halfsquare.loss import Floats
from halfsquare.models.linear import Linear
from halfsquare.parallel.base import Execution
from halfsquare.results.inference.cluster_sums import cluster_sums
from halfsquare.results.inference.covariance import Bread, Covariance, covariance
from halfsquare.results.inference.errors import ErrorsOption
from halfsquare.results.inference.scores import Keys, ScoredRows
from halfsquare.results.trained import AnyFacts, FormulaFacts, LinearFacts, Trained

if TYPE_CHECKING:
    from halfsquare.models.formula.model import Formula

_MOST_CLUSTERS = 10_000_000
F = TypeVar("F", LinearFacts, FormulaFacts)


def with_beside(roles: Roles, source: Source, columns: Sequence[str], what: str) -> Roles:
    """Roles in which these columns are read beside the features.

    Raises
    ------
    DataError
        If there is no such column.
    OptionError
        If one is the target, or a kind of column that cannot be grouped by.
    """
    found = []
    for name in columns:
        if name in [c.name for c in roles.beside]:
            continue
        column = source.column(name, role=f"{what} column")
        if name in [t.name for t in roles.targets]:
            raise OptionError(f"{what} column {name!r} is the target")
        if column.kind == "unsupported":
            raise OptionError(
                f"{what} column {name!r} has the type {column.type}; expected numbers, text or "
                f"dates"
            )
        merged = merged_numbers(source, column) if column.kind == "number" else None
        if merged is not None:
            raise DataError(
                f"{what} column {name!r} holds {merged[0]:,} different whole numbers, of which "
                f"float64 makes {merged[1]:,}: read them as levels, --category {name}"
            )
        found.append(column)
    return replace(roles, beside=(*roles.beside, *found))


@dataclass(frozen=True)
class Scoring:
    """The rows of a fit at its parameters; chunk by chunk what robust covariances are summed of.

    Attributes
    ----------
    values : tuple of (c,) or None
        For each cluster column that holds numbers, those it holds, rising; None for codes of text.
    positions : tuple of int
        Where the cluster columns are among the scanned ones.
    seed : int
        By which rows were set apart.
    """

    rows: EncodedRows
    model: Linear | Formula
    parameters: Floats
    positions: tuple[int, ...] = ()
    values: tuple[Floats | None, ...] = ()
    seed: int = 0
    in_order: bool = False

    def __call__(self, index: int) -> ScoredRows:
        chunk = self.rows.chunk(index)
        a, outputs = self._linearized(chunk.design)
        error = outputs - self.model.transform_target(chunk.target)[:, 0]
        clusters = self.clusters_of(index)
        if not self.in_order or self.rows.part != "all":
            return ScoredRows(a, error, chunk.weight, clusters)
        back = np.argsort(source_order(self.rows.scanned, index, self.seed))
        weight = None if chunk.weight is None else chunk.weight[back]
        return ScoredRows(a[back], error[back], weight, tuple(c[back] for c in clusters))

    def _linearized(self, design: Floats) -> tuple[Floats, Floats]:
        """The derivatives (m, p) of the outputs by the parameters, and the outputs (m,)."""
        if not isinstance(self.model, Linear):
            outputs, jacobian = self.model.outputs_and_jacobian(self.parameters, design)
            return jacobian[:, 0], outputs[:, 0]
        outputs = self.model.outputs(self.parameters, design)
        if self.model.intercept:
            design = np.hstack([np.ones((len(design), 1)), design])
        return design, outputs[:, 0]

    def clusters_of(self, index: int) -> tuple[Keys, ...]:
        """The numbers of the clusters of each row of a chunk, a column after the other."""
        found = []
        for position, values in zip(self.positions, self.values, strict=True):
            raw = self._column(index, position)
            keys = raw if values is None else np.searchsorted(values, raw)
            found.append(np.asarray(keys, dtype=np.int64))
        return tuple(found)

    def _column(self, index: int, position: int) -> Floats:
        table = self.rows.scanned.table
        raw: Floats = table.read(index)[position]
        cut = table.train_sizes[index]
        if self.rows.part == "all":
            return raw
        part: Floats = raw[:cut] if self.rows.part == "train" else raw[cut:]
        return part

    def with_clusters(self, columns: Sequence[str], execution: Execution) -> Scoring:
        """With the columns that clusters are made by, among those read beside the features."""
        roles = self.rows.scanned.roles
        names = [c.name for c in roles.beside]
        positions = tuple(roles.beside_at.start + names.index(c) for c in columns)
        values = tuple(self._distinct(p, execution) for p in positions)
        return replace(self, positions=positions, values=values)

    def _distinct(self, position: int, execution: Execution) -> Floats | None:
        roles = self.rows.scanned.roles
        if roles.scanned[position].kind == "text":
            weights = self.rows.scanned.train.merge(self.rows.scanned.test).levels[position]
            if weights[0] > 0:
                name = roles.scanned[position].name
                raise DataError(
                    f"column {name!r} has more than {len(weights) - 2:,} texts: too many clusters. "
                    "Give each a number instead"
                )
            return None

        def of(index: int) -> Floats:
            return np.unique(self._column(index, position))

        def merge(a: Floats, b: Floats) -> Floats:
            return np.union1d(a, b)

        none: Floats = np.empty(0)
        found = execution.reduce(of, merge, self.rows.chunk_count, none)
        if len(found) > _MOST_CLUSTERS:
            name = roles.scanned[position].name
            raise DataError(
                f"column {name!r} has more than {_MOST_CLUSTERS:,} values: too many clusters"
            )
        return found


def classical_inverse(trained: Trained[AnyFacts]) -> Floats:
    """(AᵀWA)⁻¹ of a fit of one target, without the place of an intercept that it has not."""
    assert trained.covariance is not None
    inverse: Floats = trained.covariance / trained.noise[0]
    model = trained.model
    return inverse[1:, 1:] if isinstance(model, Linear) and not model.intercept else inverse


def robust_formula(
    trained: Trained[FormulaFacts],
    rows: EncodedRows,
    option: ErrorsOption,
    seed: int,
    execution: Execution,
) -> Trained[FormulaFacts]:
    """The trained formula with the covariance that the option asks for.

    Raises
    ------
    FitError
        If the rows do not determine all parameters, or do not allow such errors.
    """
    if option.kind == "classical":
        return trained
    if trained.facts.undetermined or trained.facts.on_bound or trained.covariance is None:
        raise FitError(
            f"errors {option} are for parameters that the rows determine and no bound holds; "
            "leave them out to see which these are"
        )
    return _with_errors(trained, rows, option, seed, execution)


def robust_trained(
    trained: Trained[LinearFacts],
    rows: EncodedRows,
    option: ErrorsOption,
    seed: int,
    execution: Execution,
) -> Trained[LinearFacts]:
    """The trained model with the covariance that the option asks for, and what it rests on.

    Raises
    ------
    OptionError
        If there are several targets or a penalty: these errors are not for them.
    FitError
        If the rows do not allow such errors.
    """
    if option.kind == "classical":
        return trained
    model = trained.model
    assert isinstance(model, Linear)
    if len(model.targets) > 1:
        raise OptionError(
            f"errors {option} are for one target; this model has {len(model.targets)}"
        )
    if trained.facts.l2:
        raise OptionError(f"errors {option} are for least squares without a penalty: leave l2 out")
    if trained.covariance is None:
        return trained
    found = _with_errors(trained, rows, option, seed, execution)
    assert found.robust is not None
    if model.intercept:
        return found
    return replace(found, robust=np.pad(found.robust, ((1, 0), (1, 0))))


def _with_errors(
    trained: Trained[F], rows: EncodedRows, option: ErrorsOption, seed: int, execution: Execution
) -> Trained[F]:
    """The trained model with this covariance of what its rows determine, and what it rests on."""
    scoring = scoring_of(trained, rows, option, seed, execution)
    found: Covariance = covariance(option, bread_of(trained), scoring, rows.chunk_count, execution)
    told = described(option, found)
    if len(option.columns) == 1 and isinstance(trained.facts, LinearFacts):
        groups = int(found.facts["clusters"][option.columns[0]])
        told["cluster_sums"] = cluster_sums(scoring, rows.chunk_count, groups, execution)
    facts = replace(trained.facts, test_degrees_of_freedom=found.freedom, **told)
    warnings = (*trained.warnings, *covariance_warnings(option, found))
    return replace(trained, robust=found.matrix, facts=facts, warnings=warnings)


def covariance_warnings(option: ErrorsOption, found: Covariance | None) -> tuple[str, ...]:
    """What is to be said where clusters of two columns give no covariance."""
    if found is None or not found.facts.get("negative_variances_set_to_zero"):
        return ()
    one, two = option.columns
    return (
        f"errors {option}: the sums of {one} and {two} less those of both are no covariance (not "
        "positive semi-definite), as happens with few clusters; its negative eigenvalues were set "
        "to 0, so that the standard errors and joint tests are of a repaired covariance: "
        "compare them with those of one column",
    )


def bread_of(trained: Trained[AnyFacts]) -> Bread:
    """What a covariance is made with besides the rows."""
    freedom = float(trained.facts.degrees_of_freedom or 0.0)
    rank = trained.effective_parameters
    sse = float(trained.noise[0]) * freedom
    return Bread(classical_inverse(trained), freedom + rank, rank, sse)


def scoring_of(
    trained: Trained[AnyFacts],
    rows: EncodedRows,
    option: ErrorsOption,
    seed: int,
    execution: Execution,
) -> Scoring:
    """The rows at the trained parameters, with the clusters of the option."""
    model = cast("Linear | Formula", trained.model)
    scoring = Scoring(
        rows, model, trained.parameters, seed=seed, in_order=option.kind == "newey-west"
    )
    return scoring.with_clusters(option.columns, execution) if option.columns else scoring


def described(option: ErrorsOption, found: Covariance) -> dict[str, Any]:
    """JSON values."""
    return {
        "errors": str(option),
        "errors_correction": found.correction,
        "errors_facts": found.facts,
    }
