"""A formula among the families of models: its columns, its rows, its fit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import final

from halfsquare.data.bases import require_exact
from halfsquare.data.encoded_rows import EncodedRows, Part, plain_rows
from halfsquare.data.encoder import Encoder
from halfsquare.data.features import Levels
from halfsquare.data.roles import Roles, choose_roles
from halfsquare.data.scan import Scanned
from halfsquare.data.source import Source
from halfsquare.data.source_column import SourceColumn
from halfsquare.errors import DataError, FormulaError, OptionError
from halfsquare.fitting.family import Family
from halfsquare.fitting.formula.edges import near_columns, no_column_warning
from halfsquare.fitting.formula.inexact_rows import InexactRows
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

_MOST_LEVELS = 1000


def levels_of(encoder: Encoder) -> dict[str, tuple[str, ...]]:
    """The levels of the columns that are read as such."""
    return {f.column: f.levels for f in encoder.features if isinstance(f, Levels)}


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
        grouped = set(formula.grouped.values())
        numbers = [name for name in formula.columns if name not in grouped]
        roles = choose_roles(
            require_exact(source, [*numbers, formula.target], "the formula", [formula.target]),
            [formula.target],
            weight=request.weights,
            weighting=request.weighting,
            features=formula.columns,
        )
        by_name = {
            c.name: replace(c, kind="text") if c.name in grouped else c for c in roles.features
        }
        for column in roles.features:
            if column.kind == "text" and column.name not in grouped:
                raise DataError(
                    f"column {column.name!r} of {source.name} is text; the formula needs numbers. "
                    f"A parameter for each of its levels is written a[{column.name}]"
                )
        sigmas = self._sigma_x(formula)
        if sigmas and (request.weights is None or request.weighting != "sigma"):
            raise OptionError(
                "sigma_x needs the standard deviation of the target beside it: name its column "
                "with sigma (--sigma COL)"
            )
        roles = with_beside(roles, source, tuple(sigmas.values()), "sigma_x")
        for column in roles.beside:
            if column.kind != "number":
                raise DataError(f"sigma_x column {column.name!r} of {source.name} holds no numbers")
        clusters = ErrorsOption.read(self.options.errors).columns
        if sigmas and self.options.errors is not None:
            raise OptionError("robust errors are for exact columns: leave errors or sigma_x out")
        return replace(
            with_beside(roles, source, clusters, "cluster"),
            features=tuple(by_name[c] for c in formula.columns),
            complete=bool(formula.columns),
        )

    def _sigma_x(self, formula: Formula) -> dict[str, str]:
        """The columns that have errors, and those that hold their standard deviations."""
        given, levels = self.options.sigma_x or {}, set(formula.grouped.values())
        numbers = [name for name in formula.columns if name not in levels]
        if isinstance(given, str):
            if len(numbers) != 1:
                raise OptionError(
                    f"sigma_x is {given!r}, and the formula has the columns {', '.join(numbers)}: "
                    f"say of which, such as {(numbers or ['x'])[0]}={given}"
                )
            given = {numbers[0]: given}
        for name in given:
            if name not in numbers:
                raise OptionError(
                    f"sigma_x for {name!r}, which is no number of {formula.text!r}; these are "
                    f"{', '.join(numbers)}"
                )
        return dict(given)

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
        for column in set(self._formula(scanned.roles.scanned).grouped.values()):
            found = scanned.levels.get(column, [])
            if len(found) > _MOST_LEVELS:
                raise DataError(
                    f"column {column!r} of {scanned.source_name} has {len(found):,} levels; "
                    f"a formula takes a parameter for each of at most {_MOST_LEVELS:,}"
                )
        return plain_rows(scanned, part)

    def train(self, rows: EncodedRows, run: Run) -> FittedModel:
        options = self.options
        formula = self._formula(rows.scanned.roles.scanned)
        formula = formula.with_levels(levels_of(rows.encoder))
        sigmas = self._sigma_x(formula)
        trained = train_formula(
            rows,
            formula,
            run,
            start=options.start,
            bounds=options.bounds,
            fixed=options.fix,
            profile=options.profile,
            inexact=InexactRows.of(rows, sigmas) if sigmas else None,
        )
        trained = replace(trained, facts=replace(trained.facts, sigma_x=sigmas))
        columns = list(rows.scanned.roles.reading.columns)
        names = list(trained.model.parameter_names)
        near = near_columns(names, trained.facts.undetermined, columns)
        if not formula.columns:
            others = [c for c in columns if c not in rows.encoder.targets]
            near = [no_column_warning(formula.text, names, near, others), *near]
        trained = replace(trained, warnings=(*near, *trained.warnings))
        errors = ErrorsOption.read(options.errors)
        trained = robust_formula(trained, rows, errors, options.seed, run.execution)
        return self.fitted(rows, [trained], Training("formula", "levenberg-marquardt"))
