"""A fitted model: predict, intervals, parameters with standard errors, in the user's units."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from halfsquare.data.encoder import Encoder
from halfsquare.data.reading import ReadBatch, open_for, read_encoded
from halfsquare.errors import OptionError
from halfsquare.loss import Floats
from halfsquare.models.base import Model
from halfsquare.models.formula.model import Formula
from halfsquare.models.linear import Linear
from halfsquare.parallel.threads import one_blas_thread
from halfsquare.results.trained import Trained


@dataclass(frozen=True)
class Member:
    """One model of a fitted one, in standardized units.

    Attributes
    ----------
    parameters : (p,)
    covariance : (p, p), or (q, q) of the last q parameters where the others are not known, or None
    noise : (k,)
        Variance of the targets about the outputs; NaN where it is not known.
    """

    model: Model
    parameters: Floats
    covariance: Floats | None
    noise: Floats

    @classmethod
    def of(cls, trained: Trained) -> Member:
        return cls(trained.model, trained.parameters, trained.covariance, trained.noise)


@dataclass(frozen=True)
class Parameter:
    """A parameter in the user's units, with its uncertainty; NaN where it is not known.

    ``t`` and ``p`` test the value against 0; ``low`` and ``high`` bound it with 95 % confidence.
    """

    name: str
    value: float
    standard_error: float
    t: float
    p: float
    low: float
    high: float

    def as_dict(self) -> dict[str, Any]:
        """JSON values; NaN as None."""
        return {k: None if v != v else v for k, v in vars(self).items()}


# A row this share of its size off the space of rank-deficient columns is off it.
_OFF = 1e-7


@dataclass(frozen=True)
class FittedModel:
    """What ``fit`` returns and ``load`` reads.

    Attributes
    ----------
    encoder : Encoder
        How columns become a design matrix.
    members : tuple of Member
        One model, or a small ensemble whose mean is the output.
    info : dict
        What was fitted to what and how well, as JSON values: ``kind``, ``target``, ``data``,
        ``train`` and ``test`` (the error's summary under its names in
        :class:`halfsquare.sums.ErrorSummary`), ``warnings``, ``history``, ``facts``, ``options``,
        ``version``.
    """

    encoder: Encoder
    members: tuple[Member, ...]
    info: dict[str, Any] = field(default_factory=dict)

    @property
    def kind(self) -> str:
        """``"linear"``, ``"network"`` or ``"formula"``."""
        return str(self.info.get("kind", "linear"))

    @property
    def train(self) -> dict[str, Any]:
        """Errors on the rows the honest fit was made of."""
        return dict(self.info["train"])

    @property
    def test(self) -> dict[str, Any] | None:
        """Errors on the rows that were set apart; None if there were none."""
        return dict(self.info["test"]) if self.info.get("test") else None

    def predict(self, data: Any, *, return_std: bool = False) -> Any:
        """Outputs for every row of ``data`` (anything :func:`halfsquare.fit` takes), in its order.

        Returns
        -------
        outputs : (n,), or (n, k) for several targets
            In the unit of the target.
        std : same shape, if ``return_std``
            Standard deviation of a new target about the output: noise, parameters and spread.

        Raises
        ------
        DataError
            If a column is missing or mistyped.
        """
        parts = [
            self.outputs_of(batch.design, with_std=return_std, weight=batch.weight)
            for batch in self.batches(data, with_std=return_std)
        ]
        k = len(self.encoder.targets)
        empty = (np.empty((0, k)), np.empty((0, k)))
        outputs, std = (np.vstack([p[i] for p in parts] or [empty[i]]) for i in (0, 1))
        if k == 1:
            outputs, std = outputs[:, 0], std[:, 0]
        return (outputs, std) if return_std else outputs

    def interval(self, data: Any, level: float = 0.95) -> tuple[Floats, Floats, Floats]:
        """Outputs with the bounds between which a new target lies with probability ``level``.

        Returns
        -------
        output, low, high : (n,) or (n, k)

        Raises
        ------
        OptionError
            If the level is not between 0 and 1.
        """
        parts = [
            self.bounds_of(batch.design, level, weight=batch.weight)
            for batch in self.batches(data, with_std=True)
        ]
        empty = np.empty((0, len(self.encoder.targets)))
        output, low, high = (np.vstack([p[i] for p in parts] or [empty]) for i in range(3))
        if output.shape[1] == 1:
            return output[:, 0], low[:, 0], high[:, 0]
        return output, low, high

    def bounds_of(
        self, design: Floats, level: float, *, weight: Floats | None = None
    ) -> tuple[Floats, Floats, Floats]:
        """Outputs (m, k) of encoded rows and the bounds of their intervals, in the unit of the
        target. Of a formula for log(y) or the like, the ends are those of log(y), brought back.

        ``weight`` (m,): as of :meth:`outputs_of`.
        """
        quantile, formula = self.quantile(level), self.members[0].model
        if not isinstance(formula, Formula) or formula.target_function == "identity":
            outputs, std = self.outputs_of(design, with_std=True, weight=weight)
            return outputs, outputs - quantile * std, outputs + quantile * std
        with one_blas_thread():
            mean, variance = self._predictive(design, weight)
        reach = quantile * np.sqrt(variance)
        low: Floats = mean - reach
        if formula.target_function == "sqrt":
            low = np.maximum(low, 0.0)  # no root is negative
        output, low, high = (formula.restore_target(v) for v in (mean, low, mean + reach))
        return output, low, high

    def quantile(self, level: float) -> float:
        """How many standard deviations the interval of that level reaches to each side (Student's
        t).
        """
        if not 0.0 < level < 1.0:
            raise OptionError(
                f"the level of an interval is {level:g}; expected a number between 0 and 1, "
                "such as 0.95"
            )
        facts = self.info.get("facts", {})
        known = facts.get("noise_known", False)  # then there is no noise to estimate
        freedom = facts.get("degrees_of_freedom")
        freedom = np.inf if known or freedom is None else freedom
        return _reach(freedom, level)

    def outputs_of(
        self, design: Floats, *, with_std: bool = False, weight: Floats | None = None
    ) -> tuple[Floats, Floats]:
        """Outputs (m, k) of encoded rows in the unit of the target, and their std (NaN unless asked
        for).

        ``weight`` (m,) is that of the rows where their noise is measured or relative, see
        :mod:`halfsquare.data.weighting`: it divides the variance of their noise.
        """
        with (
            one_blas_thread()
        ):  # the bits of a prediction do not depend on what else is computed beside it
            return self._outputs_of(design, weight, with_std=with_std)

    def _outputs_of(
        self, design: Floats, weight: Floats | None, *, with_std: bool
    ) -> tuple[Floats, Floats]:
        model = self.members[0].model
        if isinstance(model, Formula) and model.target_function != "identity":
            return self._restored(model, design, weight, with_std=with_std)
        scales = self.encoder.target_scales
        if with_std:
            mean, variance = self._predictive(design, weight)
            return mean * scales + self.encoder.target_means, np.sqrt(variance) * scales
        mean = self.members[0].model.outputs(self.members[0].parameters, design)
        for member in self.members[1:]:
            mean = mean + member.model.outputs(member.parameters, design)
        mean = mean / len(self.members)
        return mean * scales + self.encoder.target_means, np.full_like(mean, np.nan)

    def _restored(
        self, formula: Formula, design: Floats, weight: Floats | None, *, with_std: bool
    ) -> tuple[Floats, Floats]:
        """Of a formula with a function on its left side, as log(y): back in the unit of y, first
        order.
        """
        if not with_std:
            outputs = formula.restore_target(formula.outputs(self.members[0].parameters, design))
            return outputs, np.full_like(outputs, np.nan)
        mean, variance = self._predictive(design, weight)
        std = np.sqrt(variance)
        spread = formula.restore_target(mean + std) - formula.restore_target(mean - std)
        return formula.restore_target(mean), 0.5 * np.abs(spread)

    def _predictive(self, design: Floats, weight: Floats | None) -> tuple[Floats, Floats]:
        """Mean and variance in standardized units: noise + parameters + spread of the members.

        Infinite where rows leave the space that rank-deficient columns span: what is not
        determined there has no bound.
        """
        weighed = self.info.get("weighed")
        share = None if weight is None or not weighed else 1.0 / (weight * weighed["factor"])
        outputs, variances = [], []
        for member in self.members:
            o, variance = _member_variance(member, design, share)
            outputs.append(o)
            variances.append(variance)
        stacked = np.stack(outputs)
        variance = np.mean(variances, axis=0) + stacked.var(axis=0)
        open_space = self.info.get("facts", {}).get("undetermined_directions")
        if open_space:
            off = np.abs(design @ np.array(open_space).T).max(axis=1)
            size = np.linalg.norm(design, axis=1)
            variance = np.where((off > _OFF * (1.0 + size))[:, None], np.inf, variance)
        return stacked.mean(axis=0), variance

    @property
    def parameters(self) -> list[Parameter]:
        """Parameters in the user's units with standard errors; of the first member, if there are
        several.

        For a linear model: the intercept and the change of the output for one unit of each column,
        or for a level instead of the reference level.
        """
        member = self.members[0]
        values, variances = self._in_user_units(member)
        facts = self.info.get("facts", {})
        freedom = facts.get("degrees_of_freedom", np.inf)
        freedom = np.inf if facts.get("noise_known") else freedom
        errors = (
            np.full(len(values), np.nan)
            if variances is None
            else np.sqrt(np.maximum(variances, 0.0))
        )
        open_names = facts.get("undetermined", ())
        names = list(member.model.parameter_names)
        # Of a formula any value fits as well; of collinear columns one of many was chosen.
        none = np.nan if isinstance(member.model, Linear) else np.inf
        errors[[name in open_names for name in names]] = none
        return [
            constrained(p, facts.get("fixed", {}), facts.get("on_bound", {}))
            for p in student(names, values, errors, freedom)
        ]

    @property
    def residual_standard_deviation(self) -> list[float]:
        """√(SSE / degrees of freedom) of each output, in the unit of the target."""
        return [float(s) for s in np.sqrt(self.members[0].noise) * self.encoder.target_scales]

    def _in_user_units(self, member: Member) -> tuple[Floats, Floats | None]:
        """Parameters (p,) and their variances (p,), None if not known."""
        covariance = member.covariance
        if not isinstance(member.model, Linear):
            known = np.empty(0) if covariance is None else np.diag(covariance)
            unknown = np.full(len(member.parameters) - len(known), np.nan)
            return member.parameters, np.concatenate([unknown, known])
        k, units, scales = (
            len(self.encoder.targets),
            self.encoder.target_scales,
            self.encoder.scales,
        )
        # Slopes are divided by their column's scale; the intercept takes over what the means
        # shifted.
        back = np.concatenate([[1.0], -self.encoder.means / scales])
        b = member.model.matrix(member.parameters)
        values = np.vstack(
            [back @ b * units + self.encoder.target_means, b[1:] / scales[:, None] * units]
        )
        if covariance is None:
            return values.reshape(-1), None
        variances = np.empty_like(values)
        for j in range(k):
            of_output = covariance[j::k, j::k]
            variances[0, j] = back @ of_output @ back
            variances[1:, j] = np.diag(of_output)[1:] / scales**2
        return values.reshape(-1), (variances * units**2).reshape(-1)

    def batches(self, data: Any, *, with_std: bool = False) -> Iterator[ReadBatch]:
        """The rows of ``data``, encoded; for standard deviations with their weights, where those of
        the fit were no counts and the column is there.
        """
        source, weighed = open_for(self.encoder, data), self.info.get("weighed")
        if not with_std or not weighed or weighed["column"] not in [c.name for c in source.columns]:
            return read_encoded(source, self.encoder)
        column, weighting = weighed["column"], weighed["weighting"]
        return read_encoded(source, self.encoder, weight=column, weighting=weighting)

    def save(self, path: str | Path) -> None:
        """Write the model file, whole or not at all; see :mod:`halfsquare.results.model_file`."""
        from halfsquare.results.model_file import save

        save(self, path)

    def __repr__(self) -> str:
        measured = self.test or self.info.get("train")
        error = (
            f", RMSE {measured['rmse']:.4g} on {'test' if self.test else 'training'} rows"
            if measured
            else ""
        )
        return (
            f"<FittedModel {self.kind}: {', '.join(self.encoder.targets)} from "
            f"{len(self.encoder.features)} columns{error}>"
        )


def constrained(
    parameter: Parameter, fixed: Mapping[str, float], on_bound: Mapping[str, Sequence[float]]
) -> Parameter:
    """The parameter without t and p where it is fixed, and with a one-sided interval and no error
    where it lies on a bound.
    """
    if parameter.name in fixed:
        value = parameter.value
        return replace(parameter, standard_error=0.0, t=np.nan, p=np.nan, low=value, high=value)
    if parameter.name in on_bound:
        low, high = on_bound[parameter.name]
        nan = np.nan
        return replace(parameter, standard_error=nan, t=nan, p=nan, low=low, high=high)
    return parameter


def student(names: list[str], values: Floats, errors: Floats, freedom: float) -> list[Parameter]:
    """Parameters with Student's t on ``freedom`` degrees, two-sided p and 95 % confidence
    limits.
    """
    from scipy.special import ndtr, stdtr

    known, reach = freedom is not None and freedom > 0, _reach(freedom, 0.95)
    with np.errstate(divide="ignore", invalid="ignore"):
        t = values / errors
        tail = ndtr(-np.abs(t)) if freedom == np.inf else stdtr(freedom or 1.0, -np.abs(t))
        p = 2.0 * tail if known else np.full(len(values), np.nan)
    return [
        Parameter(
            name,
            float(v),
            float(s),
            float(tt),
            float(pp),
            float(v - reach * s),
            float(v + reach * s),
        )
        for name, v, s, tt, pp in zip(names, values, errors, t, p, strict=True)
    ]


def _reach(freedom: float | None, level: float) -> float:
    """Student's quantile, or the normal distribution's where the noise is known (infinite degrees
    of freedom); NaN where there are none.
    """
    from scipy.special import ndtri, stdtrit

    if freedom is None or not freedom > 0:
        return float("nan")
    tail = 0.5 + level / 2.0
    return float(ndtri(tail) if freedom == np.inf else stdtrit(freedom, tail))


def _member_variance(member: Member, design: Floats, share: Floats | None) -> tuple[Floats, Floats]:
    """Outputs and their predictive variance (m, k): noise + J cov Jᵀ; the noise of a row is
    ``share`` (m,) of the model's.
    """
    noise = member.noise if share is None else share[:, None] * member.noise
    if member.covariance is None:
        o = member.model.outputs(member.parameters, design)
        return o, np.broadcast_to(noise, o.shape)
    if isinstance(member.model, Linear):  # J is [1 | z] for each output: no need to write it out
        o = member.model.outputs(member.parameters, design)
        k = o.shape[1]
        a = np.hstack([np.ones((len(design), 1)), design])
        spread = [
            np.einsum("ni,ij,nj->n", a, member.covariance[j::k, j::k], a, optimize=True)
            for j in range(k)
        ]
        return o, noise + np.column_stack(spread)
    o, jacobian = member.model.outputs_and_last_derivatives(
        member.parameters, design, len(member.covariance)
    )
    moved = jacobian @ member.covariance
    return o, noise + np.einsum("nkp,nkp->nk", moved, jacobian)


def require_level(level: float | None) -> None:
    """Refuse a level that is no probability."""
    if level is not None and not 0.0 < level < 1.0:
        raise OptionError(
            f"the level of an interval is {level:g}; expected a number between 0 and 1, such "
            "as 0.95"
        )
