"""A formula over the columns of a table, in the user's units."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import final

from halfsquare.data.columns import Roles, choose_roles
from halfsquare.data.encoded import EncodedRows, Part, plain_rows
from halfsquare.data.scan import Scanned
from halfsquare.data.source import Source, SourceColumn
from halfsquare.descent.loop import Limits
from halfsquare.errors import DataError, OptionError
from halfsquare.fitted import FittedModel
from halfsquare.models.formula import Formula
from halfsquare.recipes.base import Recipe, Request
from halfsquare.trainers.formula import train_formula


@final
class FormulaRecipe(Recipe):
    """The columns that the formula names, as they are; a row that lacks one of them is left out."""

    def check(self) -> None:
        if self.options.method not in (None, "levenberg-marquardt"):
            raise OptionError(f"unknown method {self.options.method!r} for a formula: expected levenberg-marquardt")
        if self.options.l2 != 0:
            raise OptionError("l2 is for the linear model; a formula is fitted without a penalty")

    def roles(self, source: Source, request: Request) -> Roles:
        formula = self._formula(source.columns)
        if list(request.targets) not in ([], [formula.target]):
            raise OptionError(
                f"the formula is for {formula.target!r} and the target is {', '.join(map(repr, request.targets))}: "
                "leave the target out"
            )
        roles = choose_roles(source, [formula.target], weight=request.weights, features=formula.columns)
        by_name = {c.name: c for c in roles.features}
        for column in roles.features:
            if column.kind == "text":
                raise DataError(f"column {column.name!r} of {source.name} is text; the formula needs numbers")
        return replace(roles, features=tuple(by_name[c] for c in formula.columns), complete=bool(formula.columns))

    def _formula(self, columns: Sequence[SourceColumn]) -> Formula:
        return Formula.read(str(self.options.formula), [c.name for c in columns])

    def rows(self, scanned: Scanned, part: Part) -> EncodedRows:
        return plain_rows(scanned, part)

    def train(self, rows: EncodedRows) -> FittedModel:
        options = self.options
        trained = train_formula(
            rows,
            self._formula(rows.scanned.roles.scanned),
            start=options.start,
            bounds=options.bounds,
            fixed=options.fix,
            seed=options.seed,
            execution=self.execution,
            limits=Limits(deadline=self.deadline),
            watch=self.watch,
            journal=self.journal,
            profile=options.profile,
        )
        return self.fitted(rows, [trained], "formula", "levenberg-marquardt")
