"""The linear model of a table."""

from __future__ import annotations

from typing import Any, final

from halfsquare.data.encoded import EncodedRows
from halfsquare.fitted import FittedModel
from halfsquare.recipes.base import Recipe
from halfsquare.trainers.linear import LinearOptions, train_linear


@final
class LinearRecipe(Recipe):
    """Standardized columns, an intercept, least squares."""

    def check(self) -> None:
        self._linear()

    def train(self, rows: EncodedRows) -> FittedModel:
        encoder, options = rows.encoder, self._linear()
        trained = train_linear(
            rows,
            encoder.names,
            encoder.targets,
            options,
            execution=self.execution,
            deadline=self.deadline,
            watch=self.watch,
            journal=self.journal,
        )
        return self.fitted(rows, [trained], "linear", options.method)

    def _linear(self) -> LinearOptions:
        method: Any = self.options.method or "least-squares"
        return LinearOptions(method, self.options.l2, self.options.seed)
