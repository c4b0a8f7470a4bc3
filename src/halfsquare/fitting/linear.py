"""The linear model of columns as they are: standardized, with an intercept."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, final

import numpy as np

from halfsquare.data.encoded_arrays import EncodedArrays
from halfsquare.data.encoded_rows import DesignRows, EncodedRows
from halfsquare.data.roles import Roles
from halfsquare.data.rows import ArrayRows
from halfsquare.data.source import Source
from halfsquare.fitting.family import Family
from halfsquare.fitting.left_out_linear import left_out_linear
from halfsquare.fitting.options import FitOptions, Request
from halfsquare.fitting.robust import robust_trained, with_beside
from halfsquare.fitting.train_linear import LinearOptions, train_linear
from halfsquare.fitting.weighed import log_weight_of
from halfsquare.parallel.threads import Local
from halfsquare.results.fitted import FittedModel
from halfsquare.results.inference.errors import ErrorsOption
from halfsquare.results.record import Training
from halfsquare.results.trained import InferenceFacts, LinearFacts, Trained
from halfsquare.solvers.run import Run
from halfsquare.solvers.wide import MOST_COLUMNS
from halfsquare.text import counted


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
