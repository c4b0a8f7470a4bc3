"""The options of a fit, checked where they are given."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from halfsquare.data.splits import Split
from halfsquare.data.weighting import Weighting
from halfsquare.errors import OptionError
from halfsquare.loss import CONVENTIONS, Convention

MODELS = ("auto", "linear", "network", "trees", "formula")
TARGET_TRANSFORMS = ("none", "log", "sqrt", "yeo-johnson", "auto")
PREDICTED = ("median", "mean")
PREFERENCES = ("accurate", "simple")


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
    sigma_x: str | Mapping[str, str] | None = None
    monotone: Mapping[str, int] | None = None
    prefer: str = "accurate"
    errors: str | None = None
    target_transform: str = "none"
    predicts: str = "median"
    interval_by: str | None = None
    absorb: tuple[str, ...] = ()
    test_fraction: float = 0.2
    split: str | None = None
    folds: int | None = None
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
        if self.prefer not in PREFERENCES:
            raise OptionError(
                f"unknown preference {self.prefer!r}; expected one of {', '.join(PREFERENCES)}"
            )
        if self.monotone and self.model != "trees":
            raise OptionError(
                f"monotone is for the model trees; the model {self.model} cannot promise it"
            )
        for name, sign in (self.monotone or {}).items():
            if sign not in (1, -1):
                raise _no_sign(name, sign)
        if not 0.0 <= self.test_fraction < 1.0:
            raise OptionError(
                f"the test fraction is {self.test_fraction:g}; expected a number from 0 to "
                "below 1, such as 0.2"
            )
        Split.read(self.split or "random")
        self._require_folds()
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
        self._require_transform()
        if self.interval_by is not None and self.formula is not None:
            raise OptionError(
                "intervals are calibrated by the levels of a category for the models linear, "
                "network, trees and auto: leave the formula or interval_by (--by) out"
            )
        if self.errors is not None and self.model not in ("linear", "formula"):
            raise OptionError(
                "errors are chosen for the linear model or a formula: add one of them"
            )
        if self.sigma_x and self.model != "formula":
            raise OptionError(
                "sigma_x states errors of the columns of a formula: give a formula, such as "
                "'y ~ a + b*x'"
            )
        if not isinstance(self.sigma_x, str | Mapping | None):
            raise OptionError(
                f"sigma_x is {type(self.sigma_x).__name__}; expected the name of the column of "
                "standard deviations, or one for each column: {'x': 'sx'}"
            )
        for name in ("start", "bounds", "fix", "profile"):
            if getattr(self, name) and self.model != "formula":
                raise OptionError(f"{name} is for a formula's parameters, and there are none")

    def _require_transform(self) -> None:
        if self.predicts not in PREDICTED:
            raise OptionError(
                f"unknown output {self.predicts!r}; expected one of {', '.join(PREDICTED)}"
            )
        if self.predicts != "median" and self.formula is None:
            raise OptionError(
                "what is predicted is chosen for a formula with a function on its left side, as "
                "in log(y) ~ …; other models predict means"
            )
        if self.target_transform not in TARGET_TRANSFORMS:
            raise OptionError(
                f"unknown transform {self.target_transform!r} of the target; expected one of "
                f"{', '.join(TARGET_TRANSFORMS)}"
            )
        if self.target_transform == "none":
            return
        if self.formula is not None:
            raise OptionError(
                "a formula says what is fitted on its left side, as in log(y) ~ …: leave the "
                "transform of the target out"
            )
        if self.model not in ("linear", "network", "trees"):
            raise OptionError(
                f"the model {self.model} fits the target as it is; a transform of the target is "
                "for linear, network and trees: choose one with the model option"
            )
        if self.errors is not None:
            raise OptionError("errors are chosen for the target as it is: leave its transform out")
        if self.method in ("gradient", "minibatch") and self.model == "linear":
            raise OptionError("a transformed target is fitted by least-squares: leave method out")

    def _require_folds(self) -> None:
        if self.folds is None:
            return
        if isinstance(self.folds, bool) or not isinstance(self.folds, int) or self.folds < 2:
            raise OptionError(f"folds is {self.folds!r}; expected a whole number of at least 2")
        if not self.refit:
            raise OptionError(
                "with folds the model is fitted to all rows after the folds: leave --no-refit out"
            )
        if self.absorb:
            raise OptionError(
                "folds and absorbed effects do not go together: levels of a fold left out may "
                "have no effect"
            )


def options_as_json(options: FitOptions) -> dict[str, Any]:
    """Those that decide the model, as JSON values."""
    kept = {k: v for k, v in asdict(options).items() if k not in ("threads", "time_limit")}
    values: dict[str, Any] = json.loads(json.dumps(kept, default=str))
    return values


@dataclass(frozen=True)
class Request:
    """What the user asked of a table: which columns, in which role."""

    targets: Sequence[str]
    weights: str | None = None
    weighting: Weighting = "counts"
    features: Sequence[str] | None = None
    exclude: Sequence[str] = ()

    @property
    def names(self) -> list[str]:
        """All columns that it names."""
        weights = [self.weights] if self.weights else []
        return [*self.targets, *weights, *(self.features or ()), *self.exclude]


def sign_of(name: object, sign: object) -> int:
    """1, -1 or 0, as it stands or as "+" or "-"; ``name`` is the input's.

    Raises
    ------
    OptionError
        If it is none of them.
    """
    for known, value in ((1, 1), ("+", 1), (-1, -1), ("-", -1), (0, 0)):
        if sign == known:
            return value
    raise _no_sign(name, sign)


def _no_sign(name: object, sign: object) -> OptionError:
    return OptionError(f"monotone of {name!r} is {sign!r}; expected 1 or '+', -1 or '-'")
