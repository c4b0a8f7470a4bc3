"""A formula among the families of models: its columns, its rows, its fit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import final

from halfsquare.data.encoded_rows import EncodedRows, Part, plain_rows
from halfsquare.data.roles import Roles, choose_roles
from halfsquare.data.scan import Scanned
from halfsquare.data.source import Source, SourceColumn
from halfsquare.errors import DataError, FormulaError, OptionError
from halfsquare.fitting.family import Family
from halfsquare.fitting.formula.edges import near_columns
from halfsquare.fitting.formula.train import train_formula
from halfsquare.fitting.options import Request
from halfsquare.fitting.robust import robust_formula, with_beside
from halfsquare.models.formula.model import Formula
from halfsquare.models.terms.expand import only_columns
from halfsquare.parallel.base import Execution
from halfsquare.results.fitted import FittedModel
from halfsquare.results.inference.errors import ErrorsOption
from halfsquare.results.record import Training
from halfsquare.solvers.run import Run


@final
class FormulaFamily(Family):
    """The columns that the formula names, as they are; a row that lacks one of them is left out."""

    def check(self) -> None:
        if self.options.method not in (None, "levenberg-marquardt"):
            raise OptionError(
                f"unknown method {self.options.method!r} for a formula: expected "
                "levenberg-marquardt"
            )
        if self.options.l2 != 0:
            raise OptionError("l2 is for the linear model; a formula is fitted without a penalty")
        ErrorsOption.read(self.options.errors)

    def roles(self, source: Source, request: Request) -> Roles:
        formula = self._formula(source.columns)
        if list(request.targets) not in ([], [formula.target]):
            raise OptionError(
                f"the formula is for {formula.target!r} and the target is "
                f"{', '.join(map(repr, request.targets))}: "
                "leave the target out"
            )
        roles = choose_roles(
            source,
            [formula.target],
            weight=request.weights,
            weighting=request.weighting,
            features=formula.columns,
        )
        by_name = {c.name: c for c in roles.features}
        for column in roles.features:
            if column.kind == "text":
                raise DataError(
                    f"column {column.name!r} of {source.name} is text; the formula needs numbers"
                )
        clusters = ErrorsOption.read(self.options.errors).columns
        return replace(
            with_beside(roles, source, clusters, "cluster"),
            features=tuple(by_name[c] for c in formula.columns),
            complete=bool(formula.columns),
        )

    def _formula(self, columns: Sequence[SourceColumn]) -> Formula:
        text, names = str(self.options.formula), [c.name for c in columns]
        if only_columns(text, names):
            raise FormulaError(
                f"{text!r} has no parameters: every name in it is a column. A model of terms is "
                "--model linear (model='linear' in Python); for a formula of your own write its "
                "parameters, such as b0 + b1*x"
            )
        return Formula.read(text, names)

    def rows(self, scanned: Scanned, part: Part, execution: Execution) -> EncodedRows:
        del execution
        return plain_rows(scanned, part)

    def train(self, rows: EncodedRows, run: Run) -> FittedModel:
        options = self.options
        trained = train_formula(
            rows,
            self._formula(rows.scanned.roles.scanned),
            run,
            start=options.start,
            bounds=options.bounds,
            fixed=options.fix,
            profile=options.profile,
        )
        columns = list(rows.scanned.roles.reading.columns)
        near = near_columns(
            list(trained.model.parameter_names), trained.facts.undetermined, columns
        )
        trained = replace(trained, warnings=(*near, *trained.warnings))
        errors = ErrorsOption.read(options.errors)
        trained = robust_formula(trained, rows, errors, options.seed, run.execution)
        return self.fitted(rows, [trained], Training("formula", "levenberg-marquardt"))
