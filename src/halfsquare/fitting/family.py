"""What a family of models is: its options checked once, an encoding chosen, trained on its rows."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from halfsquare.data.encoded_rows import DesignRows, EncodedRows, Part, encoded_rows
from halfsquare.data.roles import Roles, choose_roles
from halfsquare.data.rows import ArrayRows
from halfsquare.data.scan import Scanned
from halfsquare.data.source import Source
from halfsquare.fitting.calibrate import calibrated, with_smearing
from halfsquare.fitting.options import FitOptions, Request
from halfsquare.fitting.stretches import with_stretches
from halfsquare.fitting.weighed import weighed_by, weight_warnings, with_known_noise
from halfsquare.loss import Convention, Floats, sse_factor
from halfsquare.models.terms.encoder import TermsEncoder
from halfsquare.parallel.base import Execution
from halfsquare.results.fitted import FittedModel
from halfsquare.results.record import FitRecord, Training
from halfsquare.results.trained import Trained
from halfsquare.solvers.base import Record
from halfsquare.solvers.run import Run

_NOT_BY_LEVEL = "the intervals are not calibrated by a column: too few rows were left out, or they leave no error"
_NOISE_LEFT_OUT = ("network", "trees", "blend")  # kinds that learn the noise from rows left out


@dataclass(frozen=True)
class Family(ABC):
    """A family of models, and how it is to be trained."""

    options: FitOptions

    @abstractmethod
    def check(self) -> None:
        """Refuse options that do not go together.

        Raises
        ------
        OptionError
        """

    def roles(self, source: Source, request: Request) -> Roles:
        """The role of each column."""
        return choose_roles(
            source,
            request.targets,
            weight=request.weights,
            weighting=request.weighting,
            features=request.features,
            exclude=request.exclude,
        )

    def rows(self, scanned: Scanned, part: Part, execution: Execution) -> EncodedRows:
        """The rows of a part, encoded as this family wants them; ``execution`` is for encodings
        that are learnt from the rows.
        """
        del execution
        return replace(encoded_rows(scanned, part), relative=self.chooses)

    @property
    def chooses(self) -> bool:
        """Whether the rows choose more than coefficients: penalties, when to stop, which model.
        Weights that are no counts are then relative, see
        :attr:`halfsquare.data.encoded_rows.EncodedRows.relative`.
        """
        return False

    @property
    def sums_products(self) -> bool:
        """Whether products of columns are worth summing while the rows are read: whether a line
        is going to be fitted to their numbers as they are.
        """
        return False

    def measured(self, fitted: FittedModel, rows: EncodedRows) -> EncodedRows:
        """The rows as the model that was trained on them encodes them, with their own weights."""
        return replace(rows, encoder=fitted.encoder, relative=False)

    @abstractmethod
    def train(self, rows: EncodedRows, run: Run) -> FittedModel:
        """Train on encoded rows."""

    def again(self, fitted: FittedModel, rows: EncodedRows, run: Run) -> FittedModel:
        """Train the model that was measured once more, on more rows."""
        del fitted
        return self.train(rows, run)

    def stand_in(self, fitted: FittedModel, rows: ArrayRows) -> Sequence[Trained[Any]]:
        """A small model like ``fitted`` of some of its rows alone, quickly trained on this thread:
        what the family would say where it has not been. None of a family that does not say.
        """
        del fitted, rows
        return ()

    def fitted(
        self, rows: DesignRows, trained: Sequence[Trained[Any]], training: Training
    ) -> FittedModel:
        """The fitted model of these members, its intervals calibrated; see :meth:`uncalibrated`."""
        model = self.uncalibrated(rows, trained, training)
        left_out, weighed = left_out_of(trained), model.record.training.weighed
        # Who writes terms down is told Student's intervals, and by a test if they do not hold.
        if not (isinstance(rows.encoder, TermsEncoder) or weighed is not None):
            model = calibrated(model, rows, left_out, self.options.interval_by)
            model = with_stretches(model, rows, self.stand_in)
        if self.options.interval_by and not any(c and c.by for c in model.calibrations):
            model = model.with_training(warnings=(*model.record.training.warnings, _NOT_BY_LEVEL))
        if rows.encoder.target_transform is not None or self._means(model):
            return with_smearing(model, rows, left_out)
        return model

    def uncalibrated(
        self, rows: DesignRows, trained: Sequence[Trained[Any]], training: Training
    ) -> FittedModel:
        """The fitted model of these members, with their warnings and the first one's history."""
        weighed = weighed_by(rows)
        if weighed is not None and weighed.weighting == "sigma":
            variance = rows.weight_factor / rows.encoder.target_scales**2
            trained = [with_known_noise(m, variance) for m in trained]
        said = [*weight_warnings(rows), *(w for m in trained for w in m.warnings)]
        if training.kind in _NOISE_LEFT_OUT and not all(
            np.isfinite(m.noise).all() for m in trained
        ):
            said.append(
                "no rows were left out, so that nothing is known of the noise: intervals and "
                "standard deviations of outputs are NaN"
            )
        warnings = tuple(dict.fromkeys(said))
        history = history_in(self.options.loss, trained[0].history, rows)
        training = replace(training, warnings=warnings, history=history, weighed=weighed)
        return FittedModel(rows.encoder, tuple(trained), FitRecord(training))

    def _means(self, model: FittedModel) -> bool:
        """Whether means are asked for of what a function on the left side was fitted to."""
        left_side = model.members[0].model.target_function != "identity"
        return self.options.predicts == "mean" and left_side


def left_out_of(members: Sequence[Trained[Any]]) -> Floats | None:
    """The errors (2, n, k) of an ensemble or a blend on rows left out, if all members have some.

    Those of a whole ensemble stand with each of its members; a blend is the mean of its parts by
    their shares.
    """
    parts: dict[int, tuple[float, Floats]] = {}
    for member in members:
        if member.left_out is None:
            return None
        share, errors = parts.get(id(member.left_out), (0.0, member.left_out))
        parts[id(member.left_out)] = share + member.share, errors
    if len(parts) == 1:
        return next(iter(parts.values()))[1]
    whole = sum(share for share, _ in parts.values())
    total: Floats = np.sum([share / whole * errors for share, errors in parts.values()], axis=0)
    return total


def history_in(loss: Convention, history: Sequence[Record], rows: DesignRows) -> tuple[Record, ...]:
    """The descent in the wanted convention; for one target in its squared unit, for several
    standardized.

    The gradient norm is with respect to the parameters of standardized columns, in the same
    convention.
    """
    k = len(rows.encoder.targets)
    weight = rows.total_weight * rows.weight_factor
    factor = 2.0 * sse_factor(loss, k, weight)  # a descent states ½SSE
    unit = float(rows.encoder.target_scales[0]) ** 2 if k == 1 else 1.0
    return tuple(
        replace(
            step,
            loss=step.loss * factor * unit,
            gradient_norm=step.gradient_norm * factor * unit,
            notes={
                name: value * unit if name.endswith(("_mse", "_mse_se")) else value
                for name, value in step.notes.items()
            },
        )
        for step in history
        if step.loss < float("inf")
    )
