"""The linear model of a formula of terms: ``log(price) ~ area*district + poly(age, 2)``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, final

from halfsquare.data.encoded_rows import EncodedRows, Part
from halfsquare.data.roles import Roles, choose_roles
from halfsquare.data.scan import Scanned
from halfsquare.data.source import Source, lagged_column
from halfsquare.data.source_column import SourceColumn
from halfsquare.errors import FitError, OptionError
from halfsquare.fitting.family import Family
from halfsquare.fitting.options import Request
from halfsquare.fitting.robust import robust_trained, with_beside
from halfsquare.fitting.solve_terms import solved
from halfsquare.fitting.terms_names import alone, left_side
from halfsquare.fitting.told_of_terms import told_of_terms, with_averages
from halfsquare.fitting.train_absorbed import rows_with_effects, train_absorbed
from halfsquare.fitting.train_linear import LinearOptions, train_linear
from halfsquare.fitting.weighed import log_weight_of
from halfsquare.models.linear import Linear
from halfsquare.models.rows import TargetRows
from halfsquare.models.terms.dates import KINDS as DATES
from halfsquare.models.terms.design import needed_columns
from halfsquare.models.terms.encoder import TermsEncoder
from halfsquare.models.terms.expand import Expanded, expand
from halfsquare.models.terms.lagged import lags_in
from halfsquare.models.terms.learnt_encoder import make_terms_encoder
from halfsquare.parallel.base import Execution
from halfsquare.results.fitted import FittedModel
from halfsquare.results.inference.errors import ErrorsOption
from halfsquare.results.record import Training
from halfsquare.results.trained import InferenceFacts, LinearFacts, Trained
from halfsquare.solvers.run import Run

_USABLE = ("number", "boolean", "text", *DATES)


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
        lags = lags_in(expanded.factors.values(), expanded.text, kinds)
        needed = list(needed_columns(expanded, {**kinds, **dict.fromkeys(lags, "number")}))
        if target in needed:
            raise OptionError(f"the target {target!r} is also a term: it cannot explain itself")
        if request.weights in needed:
            raise OptionError(f"column {request.weights!r} is the weight and also a term")
        of_lags = {lag.of for lag in lags.values()}
        source = source.without_bases((set(needed) - alone(expanded)) | of_lags)
        roles = choose_roles(
            source,
            [target],
            weight=request.weights,
            weighting=request.weighting,
            features=[name for name in needed if name not in lags],
        )
        by_name = {c.name: c for c in roles.features}
        by_name |= {name: lagged_column(source, name, lag) for name, lag in lags.items()}
        ordered = tuple(by_name[name] for name in needed)
        roles = replace(roles, features=ordered, complete=bool(needed))
        roles = with_beside(roles, source, self.options.absorb, "absorbed")
        return with_beside(roles, source, errors.columns, "cluster")

    def _expanded(
        self, columns: Sequence[SourceColumn], request: Request | None = None
    ) -> Expanded:
        usable = [c.name for c in columns if c.kind in _USABLE and c.lag is None]
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
            trained, encoder = solved(rows, encoder, model, run.execution)
        else:
            trained = self._descended(rows, encoder, model, options, run)
        rows = replace(rows, encoder=encoder)
        errors = ErrorsOption.read(self.options.errors)
        trained = robust_trained(trained, rows, errors, self.options.seed, run.execution)
        warnings = [*expanded.notes, *trained.warnings]
        told, more = told_of_terms(trained, rows, encoder, errors, self.options.seed, run.execution)
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
            told = with_averages(told, rows, encoder, execution)
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
