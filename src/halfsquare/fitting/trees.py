"""Boosted trees as a family: trained by :mod:`halfsquare.fitting.train_trees`, and blended."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, final

import numpy as np

from halfsquare.data.encoded_rows import EncodedRows
from halfsquare.data.rows import ArrayRows
from halfsquare.errors import OptionError
from halfsquare.fitting.blend import Blend, blended, members_of, some_design, table, weights_of
from halfsquare.fitting.coded import inputs_of
from halfsquare.fitting.family import Family
from halfsquare.fitting.judged import Part
from halfsquare.fitting.train_trees import BEST, RANDOM, Worth, train_trees
from halfsquare.fitting.tree_relevance import trees_relevance
from halfsquare.parallel.threads import Local
from halfsquare.results.fitted import FittedModel
from halfsquare.results.record import Training
from halfsquare.results.stretches import Stretches
from halfsquare.results.trained import Trained
from halfsquare.solvers.run import Run

_STAND_IN = 60  # rounds of trees that say what all would where no rows are


@final
@dataclass(frozen=True)
class TreesFamily(Family):
    """Boosted trees: numbers by their order, categories and missing values as they are.

    ``members`` and ``rounds`` as of :func:`train_trees`.
    """

    members: int | None = None
    rounds: int | None = None

    @property
    def chooses(self) -> bool:
        return True

    def check(self) -> None:
        if self.options.method is not None:
            raise OptionError(f"the method {self.options.method} is not for trees: leave it out")
        if self.options.l2 != 0:
            raise OptionError("trees are stopped by rows left out; l2 is for the linear model")

    def train(self, rows: EncodedRows, run: Run) -> FittedModel:
        blend = blended(self.parts(rows, run), weights_of(rows, run.execution))
        return self.blended(rows, blend)

    def again(self, fitted: FittedModel, rows: EncodedRows, run: Run) -> FittedModel:
        """The ensembles in use on more rows, with the weights they had."""
        weights = {e.model: e.weight for e in fitted.record.training.ensembles if e.weight}
        parts = self.parts(rows, run, list(weights))
        kept = [float(weights[part.name] or 0.0) for part in parts]
        blend = blended(parts, weights_of(rows, run.execution), weights=kept)
        return self.blended(rows, blend, fitted.record.training.stretches)

    def stand_in(self, fitted: FittedModel, rows: ArrayRows) -> Sequence[Trained[Any]]:
        encoder = fitted.encoder
        parts = train_trees(
            rows,
            inputs_of(encoder),
            encoder.targets,
            Run(Local(1)),
            ensembles=(BEST,),
            members=1,
            rounds=_STAND_IN,
            monotone=self.options.monotone,
        )
        return parts[0].members

    def parts(
        self,
        rows: EncodedRows,
        run: Run,
        names: Sequence[str] = (BEST, RANDOM),
        rounds: int | None = None,
        worth: Worth | None = None,
    ) -> list[Part]:
        """The ensembles, with their errors on rows left out; ``rounds`` is a limit, and ``worth``
        as of :func:`train_trees`.

        Raises
        ------
        OptionError
            On a cluster.
        """
        if not run.execution.serves_batches:
            raise OptionError("trees are not grown on a cluster: fit them on one machine")
        return train_trees(
            rows,
            inputs_of(rows.encoder),
            rows.encoder.targets,
            run,
            ensembles=names,
            members=self.members,
            rounds=rounds or self.rounds,
            monotone=self.options.monotone,
            worth=worth,
        )

    def blended(
        self, rows: EncodedRows, blend: Blend, stretches: tuple[Stretches, ...] = ()
    ) -> FittedModel:
        """The fitted model of the ensembles in use; ``stretches`` of one like it."""
        members = members_of(blend, some_design(rows))
        training = trees_training(blend, members, rows)
        return self.fitted(rows, members, replace(training, stretches=stretches))


def unit_of(rows: EncodedRows) -> float:
    """From squared standardized errors to the squared unit of the target; 1 for several targets."""
    scales = rows.encoder.target_scales
    return float(scales[0]) ** 2 if len(scales) == 1 else 1.0


def trees_training(blend: Blend, members: Sequence[Trained[Any]], rows: EncodedRows) -> Training:
    """How both ensembles did, and how much each column moves the output."""
    unit, known = unit_of(rows), bool(np.isfinite(blend.mse))
    return Training(
        "trees",
        "boosting",
        relevance=trees_relevance(members, rows.encoder, some_design(rows)),
        ensembles=table(blend, unit),
        left_out_mse=blend.mse * unit if known else None,
        left_out_mse_se=blend.mse_se * unit if known else None,
    )
