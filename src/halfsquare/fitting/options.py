"""What a recipe is: it checks its options before a row is read, chooses an encoding, and trains."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

from halfsquare.data.encoder import EncodedRows, Part, encoded_rows
from halfsquare.data.roles import Roles, choose_roles
from halfsquare.data.scan import Scanned
from halfsquare.data.source import Source
from halfsquare.errors import OptionError
from halfsquare.loss import CONVENTIONS, Convention, sse_factor
from halfsquare.parallel.base import Execution
from halfsquare.results.fitted import FittedModel, Member
from halfsquare.results.trained import Trained
from halfsquare.solvers.journal import NO_JOURNAL, Journal
from halfsquare.solvers.loop import Record, Watch

MODELS = ("auto", "linear", "network", "formula")


@dataclass(frozen=True)
class FitOptions:
    """The options of :func:`halfsquare.fit` that say how to train and measure; see there."""

    model: str = "auto"
    method: str | None = None
    loss: Convention = "half_sse"
    l2: Any = 0.0
    formula: str | None = None
    start: Mapping[str, float] | None = None
    bounds: Mapping[str, tuple[float | None, float | None]] | None = None
    fix: Mapping[str, float] | None = None
    profile: bool = False
    errors: str | None = None
    absorb: tuple[str, ...] = ()
    test_fraction: float = 0.2
    refit: bool = True
    seed: int = 0
    threads: int | None = None
    time_limit: float | None = None

    def __post_init__(self) -> None:
        if self.model not in MODELS:
            raise OptionError(f"unknown model {self.model!r}; expected one of {', '.join(MODELS)}")
        if self.loss not in CONVENTIONS:
            raise OptionError(
                f"unknown loss {self.loss!r}; expected one of {', '.join(CONVENTIONS)}"
            )
        if not 0.0 <= self.test_fraction < 1.0:
            raise OptionError(
                f"the test fraction is {self.test_fraction:g}; expected a number from 0 to "
                "below 1, such as 0.2"
            )
        if self.threads is not None and self.threads < 1:
            raise OptionError(f"threads is {self.threads}; expected at least 1")
        if self.time_limit is not None and not self.time_limit > 0:
            raise OptionError(f"the time limit is {self.time_limit:g} s; expected more than 0")
        if self.seed < 0:
            raise OptionError(f"the seed is {self.seed}; expected a whole number >= 0")
        if (self.model == "formula" and self.formula is None) or (
            self.formula is not None and self.model not in ("formula", "linear")
        ):
            raise OptionError(
                "a formula belongs to the model formula, or with terms to the model linear: give "
                "both, or the formula alone"
            )
        if self.absorb and (self.model != "linear" or self.formula is None):
            raise OptionError("effects are absorbed from a linear model of terms: give a formula")
        if self.errors is not None and self.model != "linear":
            raise OptionError("errors are chosen for the linear model: add model linear")
        for name in ("start", "bounds", "fix", "profile"):
            if getattr(self, name) and self.model != "formula":
                raise OptionError(f"{name} is for a formula's parameters, and there are none")


@dataclass(frozen=True)
class Request:
    """What the user asked of a table: which columns, in which role."""

    targets: Sequence[str]
    weights: str | None = None
    features: Sequence[str] | None = None
    exclude: Sequence[str] = ()


@dataclass(frozen=True)
class Recipe(ABC):
    """Trains one family of models.

    Attributes
    ----------
    began : float
        The reading of ``time.monotonic()`` when the fit began: its time limit counts from there.
    deadline : float or None
        The reading after which no step is begun.
    journal : Journal
        Where the states of the descents are kept.
    """

    options: FitOptions
    execution: Execution
    watch: Watch | None = None
    began: float = 0.0
    deadline: float | None = None
    journal: Journal = NO_JOURNAL

    def within(self, share: float) -> Self:
        """This recipe with that share of the time limit, counted from the beginning of the fit."""
        limit = self.options.time_limit
        return self if limit is None else replace(self, deadline=self.began + share * limit)

    def at(self, journal: Journal) -> Self:
        """This recipe with its descents kept in that journal."""
        return replace(self, journal=journal)

    def has_time(self, share: float) -> bool:
        """Whether that share of the time limit is still to come."""
        limit = self.options.time_limit
        return limit is None or time.monotonic() <= self.began + (1.0 - share) * limit

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
            features=request.features,
            exclude=request.exclude,
        )

    def rows(self, scanned: Scanned, part: Part) -> EncodedRows:
        """The rows of a part, encoded as this family wants them."""
        return encoded_rows(scanned, part)

    @abstractmethod
    def train(self, rows: EncodedRows) -> FittedModel:
        """Train on encoded rows."""

    def measured(self, fitted: FittedModel, rows: EncodedRows) -> EncodedRows:
        """The rows as the model that was trained on them encodes them."""
        return replace(rows, encoder=fitted.encoder)

    def again(self, fitted: FittedModel, rows: EncodedRows) -> FittedModel:
        """Train the model that was measured once more, on more rows."""
        del fitted
        return self.train(rows)

    def fitted(
        self, rows: EncodedRows, trained: Sequence[Trained], kind: str, method: str, **more: Any
    ) -> FittedModel:
        """The fitted model of these members, with what is to be known of the training."""
        first = trained[0]
        info = {
            "kind": kind,
            "method": method,
            "reason": first.reason,
            "converged": all(m.converged for m in trained),
            "effective_parameters": first.effective_parameters,
            "facts": first.facts,
            "warnings": list(dict.fromkeys(w for m in trained for w in m.warnings)),
            "history": history_of(first, rows, self.options.loss),
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
