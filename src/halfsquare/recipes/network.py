"""A network ensemble of a table."""

from __future__ import annotations

from typing import Any, final

import numpy as np

from halfsquare.data.encoded import EncodedRows
from halfsquare.errors import OptionError
from halfsquare.fitted import FittedModel
from halfsquare.recipes.base import Recipe
from halfsquare.trainers.base import Trained
from halfsquare.trainers.network import train_network


@final
class NetworkRecipe(Recipe):
    """Standardized columns, small networks side by side, penalties set by the evidence."""

    def check(self) -> None:
        if self.options.method not in (None, "levenberg-marquardt", "minibatch"):
            raise OptionError(
                f"unknown method {self.options.method!r} for a network: expected levenberg-marquardt or minibatch"
            )
        if self.options.l2 not in (0, "auto"):
            raise OptionError("a network sets its penalties by the evidence; l2 is for the linear model")

    def train(self, rows: EncodedRows) -> FittedModel:
        return self.train_sized(rows)[0]

    def train_sized(
        self,
        rows: EncodedRows,
        hidden: tuple[int, ...] | None = None,
        count: int | None = None,
        method: str | None = None,
    ) -> tuple[FittedModel, list[Trained]]:
        """The fitted model of an ensemble of that size (the default one if left out), and its members."""
        members = self._members(rows, hidden, count, method or self.options.method or self._any_method())
        methods = " and ".join(dict.fromkeys(m.facts["method"] for m in members))
        return self.fitted(rows, members, "network", methods, **_described(members, rows)), members

    def _any_method(self) -> str:
        return "auto" if self.execution.serves_batches else "levenberg-marquardt"

    def _members(
        self, rows: EncodedRows, hidden: tuple[int, ...] | None, count: int | None, method: Any
    ) -> list[Trained]:
        encoder = rows.encoder
        groups = [g for g, (_, first, stop) in enumerate(encoder.groups) for _ in range(first, stop)]
        return train_network(
            rows,
            input_groups=groups,
            input_names=encoder.names,
            seed=self.options.seed,
            hidden=hidden,
            members=count,
            method=method,
            deadline=self.deadline,
            watch=self.watch,
            journal=self.journal,
            execution=self.execution,
        )


def _described(members: list[Trained], rows: EncodedRows) -> dict[str, Any]:
    relevance = np.mean([m.facts["relevance"] for m in members], axis=0)
    columns = [column for column, _, _ in rows.encoder.groups]
    return {
        "members": [{"hidden": m.facts["hidden"], "reason": m.reason, "effective_parameters": m.effective_parameters,
                     "parameters": len(m.parameters), "log_evidence": m.facts["log_evidence"]} for m in members],
        "relevance": {c: float(r) for c, r in zip(columns, relevance, strict=True)},
    }  # fmt: skip
