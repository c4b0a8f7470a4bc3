"""The linear model of a formula of terms: ``log(price) ~ area*district + poly(age, 2)``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, final

import numpy as np

from halfsquare.data.encoded_rows import EncodedRows, Part
from halfsquare.data.roles import Roles, choose_roles
from halfsquare.data.scan import Scanned
from halfsquare.data.source import Source, SourceColumn
from halfsquare.errors import FitError, OptionError
from halfsquare.fitting.family import Family
from halfsquare.fitting.linear import LinearOptions, train_linear
from halfsquare.fitting.options import Request
from halfsquare.fitting.robust import (
    bread_of,
    robust_trained,
    scoring_of,
    with_beside,
)
from halfsquare.fitting.train_absorbed import rows_with_effects, train_absorbed
from halfsquare.fitting.weighed import log_weight_of
from halfsquare.loss import Floats
from halfsquare.models.linear import Linear
from halfsquare.models.rows import TargetRows
from halfsquare.models.target import TARGET_FUNCTIONS
from halfsquare.models.terms.design import needed_columns
from halfsquare.models.terms.encoder import TermsEncoder, make_terms_encoder, raw_terms
from halfsquare.models.terms.expand import Expanded, expand
from halfsquare.models.terms.syntax import Call, Name
from halfsquare.models.terms.tokens import refuse
from halfsquare.parallel.base import Execution
from halfsquare.results.fitted import FittedModel
from halfsquare.results.inference.errors import ErrorsOption
from halfsquare.results.inference.heteroscedasticity import breusch_pagan
from halfsquare.results.inference.margins import average_effects
from halfsquare.results.record import Training
from halfsquare.results.trained import AverageEffects, InferenceFacts, LinearFacts, Trained
from halfsquare.solvers.base import Reason, Termination
from halfsquare.solvers.run import Run
from halfsquare.solvers.triangular_least_squares import Triangle, triangle_of

_USABLE = ("number", "boolean", "text")
# Average effects are kept in the model file as long as they are few.
_MOST_EFFECTS = 200_000
#: A test that rejects below this is told.
_UNEQUAL = 0.01


@final
class TermsFamily(Family):
    """The columns of the terms, solved directly from R of [design | target]."""

    def check(self) -> None:
        ErrorsOption.read(self.options.errors)
        self._linear()

    def _linear(self) -> LinearOptions:
        method: Any = self.options.method or "least-squares"
        return LinearOptions(method, self.options.l2)

    def roles(self, source: Source, request: Request) -> Roles:
        errors = ErrorsOption.read(self.options.errors)
        expanded = self._expanded(source.columns, request)
        target, _ = left_side(expanded, [c.name for c in source.columns])
        if list(request.targets) not in ([], [target]):
            raise OptionError(
                f"the formula is for {target!r} and the target is "
                f"{', '.join(map(repr, request.targets))}: leave the target out"
            )
        kinds = {c.name: c.kind for c in source.columns}
        needed = list(needed_columns(expanded, kinds))
        if target in needed:
            raise OptionError(f"the target {target!r} is also a term: it cannot explain itself")
        if request.weights in needed:
            raise OptionError(f"column {request.weights!r} is the weight and also a term")
        roles = choose_roles(
            source,
            [target],
            weight=request.weights,
            weighting=request.weighting,
            features=needed,
        )
        by_name = {c.name: c for c in roles.features}
        ordered = tuple(by_name[name] for name in needed)
        roles = replace(roles, features=ordered, complete=bool(needed))
        roles = with_beside(roles, source, self.options.absorb, "absorbed")
        return with_beside(roles, source, errors.columns, "cluster")

    def _expanded(
        self, columns: Sequence[SourceColumn], request: Request | None = None
    ) -> Expanded:
        usable = [c.name for c in columns if c.kind in _USABLE]
        if request is not None:
            left_out = {request.weights, *request.exclude}
            usable = [c for c in usable if c not in left_out]
            if request.features is not None:
                usable = [c for c in usable if c in request.features or c in request.targets]
        return expand(str(self.options.formula), usable)

    def rows(self, scanned: Scanned, part: Part, execution: Execution) -> EncodedRows:
        # The scan holds the columns that the formula needs and no others: '.' stands for these.
        roles = scanned.roles
        expanded = self._expanded([*roles.targets, *roles.features])
        if not scanned.table.rows:
            raise FitError(f"{scanned.source_name} has no rows to fit")
        encoder, raw = make_terms_encoder(
            expanded, scanned, whole=part == "all", execution=execution
        )
        return EncodedRows(scanned, encoder, raw.recoding, raw.positions, part)

    def train(self, rows: EncodedRows, run: Run) -> FittedModel:
        encoder, options = rows.encoder, self._linear()
        assert isinstance(encoder, TermsEncoder)
        expanded = self._expanded([*rows.scanned.roles.targets, *rows.scanned.roles.features])
        _, function = left_side(expanded, list(encoder.targets))
        model = Linear(encoder.names, encoder.targets, encoder.design.has_intercept, function)
        if self.options.absorb:
            return self._absorbed(rows, encoder, model, expanded, run.execution)
        if options.method == "least-squares" and options.l2 == 0:
            trained, encoder = self._solved(rows, encoder, model, run.execution)
        else:
            trained = self._descended(rows, encoder, model, options, run)
        rows = replace(rows, encoder=encoder)
        errors = ErrorsOption.read(self.options.errors)
        trained = robust_trained(trained, rows, errors, self.options.seed, run.execution)
        warnings = [*expanded.notes, *trained.warnings]
        told, more = self._told(trained, rows, encoder, errors, run.execution)
        facts = replace(
            trained.facts,
            formula=encoder.formula,
            target_function=function,
            inference=told,
            log_weight=log_weight_of(rows, rows.weighed),
        )
        trained = replace(trained, warnings=(*warnings, *more), facts=facts)
        return self.fitted(rows, [trained], Training("linear", options.method))

    def _absorbed(
        self,
        rows: EncodedRows,
        encoder: TermsEncoder,
        model: Linear,
        expanded: Expanded,
        execution: Execution,
    ) -> FittedModel:
        options = self._linear()
        if options.method != "least-squares" or options.l2 != 0:
            raise OptionError("effects are absorbed from least squares: leave method and l2 out")
        errors = ErrorsOption.read(self.options.errors)
        trained, encoder = train_absorbed(
            rows, encoder, model, self.options.absorb, errors, self.options.seed, execution
        )
        told = InferenceFacts(errors=str(errors), aliased=encoder.aliased)
        if trained.covariance is not None:
            told = self._with_averages(told, rows, encoder, execution)
        facts = replace(
            trained.facts,
            formula=encoder.formula,
            target_function=model.target_function,
            inference=told,
        )
        trained = replace(trained, warnings=(*expanded.notes, *trained.warnings), facts=facts)
        rows = rows_with_effects(rows, encoder)
        return self.fitted(rows, [trained], Training("linear", options.method))

    def measured(self, fitted: FittedModel, rows: EncodedRows) -> EncodedRows:
        """The rows with the columns that have a coefficient, and the absorbed effects."""
        assert isinstance(fitted.encoder, TermsEncoder)
        return rows_with_effects(rows, fitted.encoder)

    def _solved(
        self, rows: EncodedRows, encoder: TermsEncoder, model: Linear, execution: Execution
    ) -> tuple[Trained[LinearFacts], TermsEncoder]:
        first = 1 if model.intercept else 0
        shift = _shift(rows, model) if model.intercept else 0.0
        triangle = triangle_of(rows, model, execution, intercept=model.intercept, shift=shift)
        if not np.isfinite(triangle.r).all():
            raise FitError(
                f"{model.target_function}({model.targets[0]}) is not finite in some rows: "
                "leave these out, or take another function"
                if model.target_function != "identity"
                else "the squares of the columns overflow float64"
            )
        gone = triangle.dependent()
        if gone:
            triangle = triangle.of_columns([j for j in range(len(triangle.r) - 1) if j not in gone])
            encoder = encoder.without([j - first for j in gone])
            model = replace(model, names=encoder.names)
        return _trained(triangle, model, shift, encoder), encoder

    def _descended(
        self,
        rows: EncodedRows,
        encoder: TermsEncoder,
        model: Linear,
        options: LinearOptions,
        run: Run,
    ) -> Trained[LinearFacts]:
        if not model.intercept:
            raise OptionError(
                "a model without an intercept is solved directly: leave method and l2 out"
            )
        trained = train_linear(
            rows if model.target_function == "identity" else TargetRows(rows, model),
            encoder.names,
            encoder.targets,
            options,
            run,
        )
        return replace(trained, model=model)

    def _told(
        self,
        trained: Trained[LinearFacts],
        rows: EncodedRows,
        encoder: TermsEncoder,
        errors: ErrorsOption,
        execution: Execution,
    ) -> tuple[InferenceFacts, list[str]]:
        """What tests and effects are read off besides the covariance, and what is to be said."""
        told = InferenceFacts(errors=str(errors), aliased=encoder.aliased)
        if trained.covariance is None or trained.facts.l2 or trained.triangle is None:
            return told, []
        warnings = []
        if encoder.design.has_intercept and len(encoder.names):
            scoring = scoring_of(trained, rows, ErrorsOption(), self.options.seed, execution)
            test = breusch_pagan(bread_of(trained), scoring, rows.chunk_count, execution)
            told = replace(told, breusch_pagan=test)
            if test is not None and test.p < _UNEQUAL and errors.kind == "classical":
                warnings.append(
                    f"the variance of the errors is not the same everywhere (Breusch–Pagan p "
                    f"{'< 1e-16' if test.p < 1e-16 else f'= {test.p:.2g}'}): classical standard "
                    "errors may be wrong; errors hc3 are right either way"
                )
        return self._with_averages(told, rows, encoder, execution), warnings

    def _with_averages(
        self,
        told: InferenceFacts,
        rows: EncodedRows,
        encoder: TermsEncoder,
        execution: Execution,
    ) -> InferenceFacts:
        """Means of the numbers, and the average effects as functions of the coefficients."""
        design, scanned = encoder.design, rows.scanned
        raw = raw_terms(scanned, design.columns, whole=rows.part == "all")
        statistics = scanned.train.merge(scanned.test) if rows.part == "all" else scanned.train
        numbers = statistics.numbers
        at = dict(zip(raw.names, raw.positions, strict=True))
        plain = [c for c in design.columns if design.kinds[c] == "number"]
        means = {c: float(numbers.mean[at[c]]) for c in plain}
        spreads = {c: float(np.sqrt(numbers.variance[at[c]])) for c in plain}
        told = replace(told, means=means, standard_deviations=spreads)
        levels = sum(max(1, len(design.levels_of(c)) - 1) for c in design.columns)
        if levels * len(design.names) <= _MOST_EFFECTS:
            effects = average_effects(design, spreads, raw.chunk, rows.chunk_count, execution)
            rows_of = tuple(map(tuple, effects.rows.tolist()))
            told = replace(told, average_effects=AverageEffects(tuple(effects.names), rows_of))
        return told


def left_side(expanded: Expanded, columns: Sequence[str]) -> tuple[str, str]:
    """The target, and the function that the left side applies to it.

    Raises
    ------
    FormulaError
        If the left side is neither a column nor such a function of one.
    """
    node, function = expanded.left, "identity"
    if isinstance(node, Call) and node.function in TARGET_FUNCTIONS:
        function = "log" if node.function == "ln" else node.function
        node = node.arguments[0] if len(node.arguments) == 1 else node
    if not isinstance(node, Name):
        refuse(
            expanded.text,
            expanded.left.at,
            "the left side is a column, or one of these functions of a column, which can be "
            "undone: " + ", ".join(TARGET_FUNCTIONS),
        )
    if node.name not in columns:
        from halfsquare.models.terms.arithmetic import unknown_column

        refuse(expanded.text, node.at, unknown_column(node.name, list(columns)))
    return node.name, function


def _shift(rows: EncodedRows, model: Linear) -> float:
    """A number near the mean of the transformed target: only rounding depends on it."""
    mean = float(rows.scanned.train.numbers.mean[0])
    shift = float(model.transform_target(np.array([mean]))[0])
    return shift if np.isfinite(shift) else 0.0


def _trained(
    triangle: Triangle, model: Linear, shift: float, encoder: TermsEncoder
) -> Trained[LinearFacts]:
    b = triangle.coefficients
    inverse = triangle.inverse
    if model.intercept:
        b[0] += shift
    else:
        b, inverse = np.concatenate([[0.0], b]), np.pad(inverse, ((1, 0), (1, 0)))
    rank = len(triangle.r) - 1
    freedom = triangle.weight - rank
    noise = np.array([triangle.sse / freedom if freedom > 1e-9 else np.nan])
    facts = LinearFacts(
        l2=0.0,
        rank=rank,
        path="qr",
        reciprocal_condition=triangle.reciprocal_condition,
        degrees_of_freedom=freedom,
        shift=shift,
    )
    warnings = []
    if encoder.aliased:
        shown = ", ".join(map(repr, encoder.aliased[:10]))
        more = f" and {len(encoder.aliased) - 10} more" if len(encoder.aliased) > 10 else ""
        verb = "is" if len(encoder.aliased) == 1 else "are"
        warnings.append(
            f"{shown}{more} {verb} determined by the columns before: no coefficient is given"
        )
    return Trained(
        model,
        b,
        inverse * noise[0] if freedom > 1e-9 else None,
        noise,
        float(rank),
        Termination(Reason.SOLVED, "qr"),
        facts,
        tuple(warnings),
        triangle=_square(triangle.r, model),
    )


def _square(r: Floats, model: Linear) -> Floats:
    """R with a place for the intercept, whether there is one or not."""
    return r if model.intercept else np.pad(r, ((1, 0), (1, 0)))
