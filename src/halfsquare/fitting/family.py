"""What a family of models is: its options checked once, an encoding chosen, trained on its rows."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from halfsquare.data.encoder import EncodedRows, Part, encoded_rows
from halfsquare.data.roles import Roles, choose_roles
from halfsquare.data.scan import Scanned
from halfsquare.data.source import Source
from halfsquare.fitting.options import FitOptions, Request
from halfsquare.fitting.weighed import weighed_by, weight_warnings, with_known_noise
from halfsquare.loss import Convention, sse_factor
from halfsquare.results.fitted import FittedModel, Member
from halfsquare.results.trained import Trained
from halfsquare.solvers.loop import Record
from halfsquare.solvers.run import Run


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

    def rows(self, scanned: Scanned, part: Part) -> EncodedRows:
        """The rows of a part, encoded as this family wants them."""
        return encoded_rows(scanned, part)

    @abstractmethod
    def train(self, rows: EncodedRows, run: Run) -> FittedModel:
        """Train on encoded rows."""

    def again(self, fitted: FittedModel, rows: EncodedRows, run: Run) -> FittedModel:
        """Train the model that was measured once more, on more rows."""
        del fitted
        return self.train(rows, run)

    def fitted(
        self, rows: EncodedRows, trained: Sequence[Trained], kind: str, method: str, **more: Any
    ) -> FittedModel:
        """The fitted model of these members, with what is to be known of the training."""
        first, weighed = trained[0], weighed_by(rows)
        if weighed is not None and weighed.weighting == "sigma":
            known = rows.weight_factor / rows.encoder.target_scales**2
            trained = [with_known_noise(m, known) for m in trained]
            first = trained[0]
        info = {
            "kind": kind,
            "method": method,
            "reason": str(first.termination),
            "converged": all(m.termination.converged for m in trained),
            "effective_parameters": first.effective_parameters,
            "facts": first.facts,
            "warnings": list(
                dict.fromkeys([*weight_warnings(rows), *(w for m in trained for w in m.warnings)])
            ),
            "history": history_of(first, rows, self.options.loss),
            "weighed": None if weighed is None else asdict(weighed),
            **more,
        }
        return FittedModel(rows.encoder, tuple(Member.of(m) for m in trained), info)


def history_of(trained: Trained, rows: EncodedRows, loss: Convention) -> list[dict[str, float]]:
    """The descent in the wanted convention; for one target in its squared unit, for several
    standardized.

    The gradient norm is with respect to the parameters of standardized columns, in the same
    convention.
    """
    statistics = (
        rows.scanned.train.merge(rows.scanned.test) if rows.part == "all" else rows.scanned.train
    )
    k = len(rows.encoder.targets)
    factor = 2.0 * sse_factor(loss, k, statistics.weight)  # a descent states ½SSE
    unit = float(rows.encoder.target_scales[0]) ** 2 if k == 1 else 1.0

    def line(record: Record) -> dict[str, float]:
        norm = record.gradient_norm * factor * unit
        return {
            "iteration": record.iteration,
            "loss": record.loss * factor * unit,
            "gradient_norm": norm,
            **record.notes,
        }

    return [line(r) for r in trained.history if r.loss < float("inf")]
