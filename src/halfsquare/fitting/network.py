"""Networks as a family: trained by :mod:`halfsquare.fitting.train_network`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, final

import numpy as np

from halfsquare.data.encoded_rows import EncodedRows
from halfsquare.data.encoder import Encoder
from halfsquare.data.rows import ArrayRows
from halfsquare.errors import OptionError
from halfsquare.fitting.family import Family
from halfsquare.fitting.train_network import train_longer, train_network
from halfsquare.loss import Floats, error
from halfsquare.parallel.threads import Local
from halfsquare.results.fitted import FittedModel
from halfsquare.results.record import Training
from halfsquare.results.trained import NetworkFacts, Trained
from halfsquare.solvers.run import Run

_STAND_IN = (6,)  # hidden units of a network that says what many would where no rows are


def groups_of_inputs(encoder: Encoder) -> list[int]:
    """The group of each design column: those of one column of the table share a penalty."""
    groups = enumerate(encoder.groups)
    return [g for g, (_, first, stop) in groups for _ in range(first, stop)]


def _left_out_of_all(members: Sequence[Trained[NetworkFacts]], rows: EncodedRows) -> Floats | None:
    """Errors (2, n, k) on all rows of members that had not seen them: those on rows left out, and
    of two members on the rows that were set apart.
    """
    before = members[0].left_out
    if before is None:
        return None
    train, test = rows.of("train"), rows.of("test")
    found, start = [], 0
    for index in range(rows.chunk_count):
        stop = start + train.chunk_size(index)
        found.append(before[:, start:stop])
        start = stop
        if test.chunk_size(index):
            chunk = test.chunk(index)
            outputs = [m.model.outputs(m.parameters, chunk.design) for m in members[:2]]
            found.append(np.array([error(chunk.target, o) for o in outputs]))
    return np.concatenate(found, axis=1)


@final
@dataclass(frozen=True)
class NetworkFamily(Family):
    """Standardized columns, small networks side by side, penalties set by the evidence.

    ``hidden``, ``activation`` and ``members`` as of :func:`train_network`.
    """

    hidden: tuple[int, ...] | None = None
    activation: str | None = None
    members: int | None = None

    @property
    def chooses(self) -> bool:
        return True

    def check(self) -> None:
        if self.options.method not in (None, "levenberg-marquardt", "minibatch"):
            raise OptionError(
                f"unknown method {self.options.method!r} for a network: expected "
                "levenberg-marquardt or minibatch"
            )
        if self.options.l2 not in (0, "auto"):
            raise OptionError(
                "a network sets its penalties by the evidence; l2 is for the linear model"
            )

    def train(self, rows: EncodedRows, run: Run) -> FittedModel:
        return self.of_members(rows, self.trained(rows, run))

    def of_members(
        self, rows: EncodedRows, members: Sequence[Trained[NetworkFacts]]
    ) -> FittedModel:
        """The fitted model of these members."""
        return self.fitted(rows, members, network_training(members, rows))

    def trained(
        self,
        rows: EncodedRows,
        run: Run,
        hidden: tuple[int, ...] | None = None,
        count: int | None = None,
        method: str | None = None,
        passes: int | None = None,
    ) -> list[Trained[NetworkFacts]]:
        """The members of an ensemble of that size, the default one if left out."""
        any_method = "auto" if run.execution.serves_batches else "levenberg-marquardt"
        wanted: Any = method or self.options.method or any_method
        return train_network(
            rows,
            run,
            input_groups=groups_of_inputs(rows.encoder),
            input_names=rows.encoder.names,
            hidden=hidden or self.hidden,
            activation=self.activation,
            members=count or self.members,
            method=wanted,
            passes=passes,
        )

    def again(self, fitted: FittedModel, rows: EncodedRows, run: Run) -> FittedModel:
        """The members a few more steps on more rows, or where they cannot go on trained anew."""
        more = self.measured(fitted, rows)
        members = self.longer(fitted.members, more, run)
        if not members:
            return self.train(rows, run)
        training = network_training(members, more)
        training = replace(training, stretches=fitted.record.training.stretches)
        return self.fitted(more, members, training)

    def stand_in(self, fitted: FittedModel, rows: ArrayRows) -> Sequence[Trained[Any]]:
        members = train_network(
            rows,
            Run(Local(1)),
            input_groups=groups_of_inputs(fitted.encoder),
            hidden=_STAND_IN,
            method="levenberg-marquardt",
            members=1,
        )
        # What it knows of its own parameters is no measure of what many know of theirs.
        return [replace(m, covariance=None, noise=fitted.noise) for m in members]

    def longer(
        self, members: Sequence[Trained[NetworkFacts]], rows: EncodedRows, run: Run
    ) -> list[Trained[NetworkFacts]]:
        """The members after a few more steps on all rows of the table; none where they were trained
        by mini-batches, or with a noise that was measured.
        """
        if not all(m.facts.penalties for m in members) or rows.scanned.roles.weighting == "sigma":
            return []
        longer = train_longer(members, rows, run, groups_of_inputs(rows.encoder))
        left_out = _left_out_of_all(members, rows)
        return [replace(m, left_out=left_out) for m in longer]


def network_training(members: Sequence[Trained[NetworkFacts]], rows: EncodedRows) -> Training:
    """How an ensemble was trained, and the relevance of each column."""
    methods = " and ".join(dict.fromkeys(m.facts.method for m in members))
    relevance = np.mean([m.facts.relevance for m in members], axis=0)
    columns = [column for column, _, _ in rows.encoder.groups]
    return Training(
        "network", methods, relevance=dict(zip(columns, relevance.tolist(), strict=True))
    )
