"""A fitted model: predict, intervals, parameters with standard errors, in the user's units."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from halfsquare.data.encoder import Encoder
from halfsquare.data.reading import Novelty, ReadBatch, open_for, read_encoded
from halfsquare.data.target_transform import TargetTransform
from halfsquare.files.records import to_json
from halfsquare.loss import Floats
from halfsquare.models.base import Model
from halfsquare.models.linear import Linear
from halfsquare.parallel.threads import one_blas_thread
from halfsquare.results.coefficients import Parameter, constrained, reach_of, student
from halfsquare.results.intervals import (
    Calibration,
    ends_of,
    require_level,
    require_probability,
)
from halfsquare.results.methods import Methods
from halfsquare.results.missing import worth_of_missing
from halfsquare.results.predictive import deviations, mean_of, predictive
from halfsquare.results.record import FitRecord, as_info
from halfsquare.results.smearing import Smearing
from halfsquare.results.trained import AnyFacts, Trained
from halfsquare.text import number

Absent = npt.NDArray[np.bool_] | None

# A row this share of its size off the space of rank-deficient columns is off it.
_OFF = 1e-7


@dataclass(frozen=True)
class FittedModel(Methods):
    """What ``fit`` returns and ``load`` reads.

    Attributes
    ----------
    encoder : Encoder
        How columns become a design matrix.
    members : tuple of Trained
        One model, or a small ensemble whose mean, weighted by their shares, is the output; in
        standardized units.
    record : FitRecord
        How it was made, from what, and how wrong it is.
    """

    encoder: Encoder
    members: tuple[Trained[Any], ...]
    record: FitRecord

    @cached_property
    def info(self) -> dict[str, Any]:
        """What was fitted to what and how well, as JSON values: ``kind``, ``target``, ``data``,
        ``train`` and ``test`` (the error's summary under its names in
        :class:`halfsquare.sums.ErrorSummary`), ``warnings``, ``history``, ``facts``, ``options``,
        ``version``.
        """
        info = as_info(self.record, self.members)
        transform = self.encoder.target_transform
        if transform is not None:
            told = {"fitted": transform.told(self.encoder.targets[0]), "outputs": "mean"}
            info["target_transform"] = {**to_json(transform), **told}
        elif self.members[0].model.target_function != "identity":
            info["outputs"] = "median" if self.record.training.smearing is None else "mean"
        return info

    @property
    def kind(self) -> str:
        """``"linear"``, ``"network"``, ``"trees"``, ``"formula"``, or ``"blend"`` of several."""
        return self.record.training.kind

    @property
    def shares(self) -> Floats:
        """The weight of each member in their mean; they sum to 1."""
        shares = np.array([member.share for member in self.members])
        return np.asarray(shares / shares.sum())

    @property
    def facts(self) -> AnyFacts:
        """What the trainer found besides the parameters; of the first member."""
        facts: AnyFacts = self.members[0].facts
        return facts

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
            self.outputs_of(
                batch.design, with_std=return_std, weight=batch.weight, absent=batch.absent
            )
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
        outputs, (low, high) = self.predict_quantiles(data, ends_of(level))
        return outputs, low, high

    def predict_quantiles(
        self, data: Any, probabilities: Sequence[float]
    ) -> tuple[Floats, list[Floats]]:
        """Outputs, and for each probability the value below which a new target lies with it.

        Returns
        -------
        output : (n,) or (n, k)
        quantiles : list of the same shape, one for each probability

        Raises
        ------
        OptionError
            If a probability is not between 0 and 1.
        """
        k, count = len(self.encoder.targets), len(probabilities)
        parts = [
            self.quantiles_of(b.design, probabilities, weight=b.weight, absent=b.absent)
            for b in self.batches(data, with_std=True)
        ]
        outputs = np.vstack([o for o, _ in parts] or [np.empty((0, k))])
        found = np.concatenate([q for _, q in parts] or [np.empty((count, 0, k))], axis=1)
        if k == 1:
            return outputs[:, 0], list(found[:, :, 0])
        return outputs, list(found)

    def predict_std(self, data: Any) -> Floats:
        """The standard deviation (n,) or (n, k) of a new target about the output: that row's
        noise, parameters and spread, in the unit of the target.
        """
        std: Floats = self.predict(data, return_std=True)[1]
        return std

    def quantile(self, level: float) -> float:
        """How many standard deviations the interval of that level reaches to each side (Student's
        t).
        """
        require_level(level)
        known = self.facts.degrees_of_freedom
        return reach_of(np.inf if self.facts.noise_known or known is None else known, level)

    def quantiles_of(
        self,
        design: Floats,
        probabilities: Sequence[float],
        *,
        weight: Floats | None = None,
        absent: Absent = None,
    ) -> tuple[Floats, Floats]:
        """Outputs (m, k) of encoded rows and the quantiles (p, m, k) of a new target, in its unit;
        ``weight`` and ``absent`` as of :meth:`outputs_of`.

        By the calibration on rows left out where there is one, else Student's t about the output.
        Of a model with a function on its left side, as log(y), the ends are transformed back.
        """
        model = self.members[0].model
        transformed = model.target_function != "identity"
        reaches = np.array([self._reaches(p) for p in probabilities]).reshape(
            len(probabilities), 1, len(self.encoder.targets)
        )
        if self.encoder.target_transform is not None:
            return self._transformed_ends(design, reaches, weight, absent)
        if not transformed:
            outputs, std = self.outputs_of(design, with_std=True, weight=weight, absent=absent)
            return outputs, outputs + np.where(reaches == 0, 0.0, reaches * std)
        with one_blas_thread():
            mean, variance = self._predictive(design, weight, absent)
        ends = mean + reaches * np.sqrt(variance)
        if model.target_function == "sqrt":
            ends = np.maximum(ends, 0.0)  # no root is negative
        ends = np.sort([model.restore_target(end) for end in ends], axis=0)
        if len(ends):  # a falling function turns the ends round
            ranks = np.argsort(np.argsort(probabilities, kind="stable"), kind="stable")
            ends = ends[ranks]
        return self.outputs_of(design, weight=weight)[0], ends

    def _transformed_ends(
        self, design: Floats, reaches: Floats, weight: Floats | None, absent: Absent
    ) -> tuple[Floats, Floats]:
        """Means (m, k), and ends (p, m, k) carried back from the fitted scale: it rises."""
        transform, scales, means = self._transform
        with one_blas_thread():
            mean, variance = self._predictive(design, weight, absent)
            s = np.sqrt(self._calibrated(design, mean, variance))
            outputs = self._outputs_of(design, weight, absent, with_std=False)[0]
        return outputs, transform.back((mean + reaches * s) * scales + means)

    @property
    def _transform(self) -> tuple[TargetTransform, Floats, Floats]:
        transform = self.encoder.target_transform
        assert transform is not None
        return transform, self.encoder.target_scales, self.encoder.target_means

    def _means_of(
        self, design: Floats, weight: Floats | None, *, with_std: bool
    ) -> tuple[Floats, Floats]:
        """Of a transformed target: its mean, and its standard deviation with the uncertainty of the
        parameters in it; see :mod:`halfsquare.results.smearing`.
        """
        transform, scales, means = self._transform
        smearing = self.record.training.smearing or Smearing.normal()
        if with_std:
            mean, variance = self._predictive(design, weight)
            whole = np.sqrt(self._calibrated(design, mean, variance)) * scales
        else:
            mean = self._mean_outputs(design)
        noise = self.noise_of(design, mean)
        found, _ = smearing.moments(transform.back, mean * scales + means, noise * scales)
        if not with_std:
            return found, np.full_like(found, np.nan)
        return found, smearing.moments(transform.back, mean * scales + means, whole)[1]

    def _mean_outputs(self, design: Floats) -> Floats:
        return mean_of(self.members, (m.model.outputs(m.parameters, design) for m in self.members))

    def fitted_outputs(self, design: Floats) -> Floats:
        """Outputs (m, k) of encoded rows on the scale that was fitted."""
        with one_blas_thread():
            mean = self._mean_outputs(design)
        return mean * self.encoder.target_scales + self.encoder.target_means

    def noise_of(self, design: Floats, mean: Floats) -> Floats:
        """The standard deviation (m, k) of the noise of each row, standardized."""
        noise = np.broadcast_to(self.noise, mean.shape).copy()
        for j, c in enumerate(self.calibrations):
            if c is not None:
                noise[:, j] = c.noise(design, mean[:, j], float(self.noise[j]))
        return np.sqrt(noise)

    def _reaches(self, probability: float) -> Floats:
        """How many standard deviations (k,) above the output that quantile lies."""
        require_probability(probability)
        level = abs(2.0 * probability - 1.0)
        student = self.quantile(level) * np.sign(probability - 0.5) if level else 0.0
        found = [None if c is None else c.quantile(probability) for c in self.calibrations]
        return np.array([student if r is None else r for r in found])

    @property
    def calibrations(self) -> tuple[Calibration | None, ...]:
        """What errors on rows left out say of the interval of each target."""
        return self.record.training.calibration or (None,) * len(self.encoder.targets)

    @property
    def noise(self) -> Floats:
        """Variance (k,) of the targets about the outputs, standardized, one for all rows."""
        return mean_of(self.members, (member.noise for member in self.members))

    def predictive(self, design: Floats) -> tuple[Floats, Floats]:
        """Mean and variance (m, k) of the target, standardized, before any calibration."""
        return self._predictive(design, None)

    def _calibrated(self, design: Floats, mean: Floats, variance: Floats) -> Floats:
        """The variance (m, k) with the noise that errors on rows left out give each row."""
        calibrations, noise = self.calibrations, self.noise
        if all(c is None for c in calibrations):
            return variance
        found = variance.copy()
        for j, c in enumerate(calibrations):
            if c is not None:
                others = np.maximum(variance[:, j] - noise[j], 0.0)
                found[:, j] = c.variance(design, mean[:, j], float(noise[j]), others)
        return found

    def outputs_of(
        self,
        design: Floats,
        *,
        with_std: bool = False,
        weight: Floats | None = None,
        absent: Absent = None,
    ) -> tuple[Floats, Floats]:
        """Outputs (m, k) of encoded rows in the unit of the target, and their std (NaN unless asked
        for).

        ``weight`` (m,) is that of the rows where their noise is measured or relative, see
        :mod:`halfsquare.data.weighting`: it divides the variance of their noise. ``absent``
        (features, m) says where the mean stands for a value, see
        :mod:`halfsquare.results.missing`.
        """
        with (
            one_blas_thread()
        ):  # the bits of a prediction do not depend on what else is computed beside it
            return self._outputs_of(design, weight, absent, with_std=with_std)

    def _outputs_of(
        self, design: Floats, weight: Floats | None, absent: Absent, *, with_std: bool
    ) -> tuple[Floats, Floats]:
        model = self.members[0].model
        if model.target_function != "identity":
            return self._restored(model, design, weight, with_std=with_std)
        if self.encoder.target_transform is not None:
            return self._means_of(design, weight, with_std=with_std)
        scales = self.encoder.target_scales
        if with_std:
            mean, variance = self._predictive(design, weight, absent)
            variance = self._calibrated(design, mean, variance)
            return mean * scales + self.encoder.target_means, np.sqrt(variance) * scales
        mean = self._mean_outputs(design)
        return mean * scales + self.encoder.target_means, np.full_like(mean, np.nan)

    def _restored(
        self, model: Model, design: Floats, weight: Floats | None, *, with_std: bool
    ) -> tuple[Floats, Floats]:
        """Of a model with a function on its left side, as log(y): back in the unit of y, first
        order; or the mean of y, where that was asked for.
        """
        smearing = self.record.training.smearing
        if not with_std:
            outputs = model.outputs(self.members[0].parameters, design)
            if smearing is None:
                found = model.restore_target(outputs)
            else:
                s = self.noise_of(design, outputs)
                found = smearing.moments(model.restore_target, outputs, s)[0]
            return found, np.full_like(outputs, np.nan)
        mean, variance = self._predictive(design, weight)
        std = np.sqrt(variance)
        if smearing is not None:
            s = self.noise_of(design, mean)
            found = smearing.moments(model.restore_target, mean, s)[0]
            return found, smearing.moments(model.restore_target, mean, std)[1]
        spread = model.restore_target(mean + std) - model.restore_target(mean - std)
        return model.restore_target(mean), 0.5 * np.abs(spread)

    def _predictive(
        self, design: Floats, weight: Floats | None, absent: Absent = None
    ) -> tuple[Floats, Floats]:
        """Mean and variance in standardized units: noise + parameters + spread of the members.

        Infinite where rows leave the space that rank-deficient columns span: what is not
        determined there has no bound.
        """
        weighed = self.record.training.weighed
        share = None if weight is None or weighed is None else 1.0 / (weight * weighed.factor)
        mean, variance = predictive(self.members, design, share)
        if absent is not None:
            variance = variance + worth_of_missing(self.encoder, self._mean_outputs, design, absent)
        open_space = getattr(self.facts, "undetermined_directions", ())
        if open_space:
            off = np.abs(design @ np.array(open_space).T).max(axis=1)
            size = np.linalg.norm(design, axis=1)
            variance = np.where((off > _OFF * (1.0 + size))[:, None], np.inf, variance)
        return mean, variance

    @property
    def parameters(self) -> list[Parameter]:
        """Parameters in the user's units with standard errors; of the first member, if there are
        several.

        For a linear model: the intercept and the change of the output for one unit of each column,
        or for a level instead of the reference level.
        """
        if self.kind in ("trees", "blend"):
            return []
        member = self.members[0]
        values, known_errors = self._in_user_units(member)
        facts = self.facts
        known = facts.degrees_of_freedom
        if facts.test_degrees_of_freedom is not None:
            known = facts.test_degrees_of_freedom
        freedom = np.inf if facts.noise_known or known is None else known
        errors = np.full(len(values), np.nan) if known_errors is None else known_errors
        names = list(member.model.parameter_names)
        # Of a formula any value fits as well; of collinear columns one of many was chosen.
        none = np.nan if isinstance(member.model, Linear) else np.inf
        open_names = getattr(facts, "undetermined", ())
        errors[[name in open_names for name in names]] = none
        fixed, on_bound = getattr(facts, "fixed", {}), getattr(facts, "on_bound", {})
        every = [constrained(p, fixed, on_bound) for p in student(names, values, errors, freedom)]
        if not isinstance(member.model, Linear):
            return every
        k = len(self.encoder.targets)
        first = 0 if member.model.intercept else k
        return every[first : len(every) - k * member.model.held]

    @property
    def residual_standard_deviation(self) -> list[float]:
        """√(SSE / degrees of freedom) of each output, in the unit of the target."""
        return [float(s) for s in np.sqrt(self.members[0].noise) * self.encoder.target_scales]

    def _in_user_units(self, member: Trained[Any]) -> tuple[Floats, Floats | None]:
        """Parameters (p,) and their standard errors (p,), None if not known."""
        covariance = member.told
        if not isinstance(member.model, Linear):
            known: Floats = np.empty(0)
            if member.root is not None and member.robust is None:
                known = deviations(member.root)
            elif covariance is not None:
                known = np.sqrt(np.maximum(np.diag(covariance), 0.0))
            unknown = np.full(len(member.parameters) - len(known), np.nan)
            return member.parameters, np.concatenate([unknown, known])
        k, units, scales = (
            len(self.encoder.targets),
            self.encoder.target_scales,
            self.encoder.scales,
        )
        # Slopes are divided by their column's scale; the intercept takes over what the means
        # shifted.
        back = np.concatenate([[1.0], -self.encoder.user_means / scales])
        b = member.model.matrix(member.parameters)
        values = np.vstack(
            [back @ b * units + self.encoder.target_means, b[1:] / scales[:, None] * units]
        )
        if covariance is None:
            return values.reshape(-1), None
        errors = np.empty_like(values)
        for j in range(k):
            of_output = covariance[j::k, j::k]
            errors[0, j] = np.sqrt(max(float(back @ of_output @ back), 0.0))
            errors[1:, j] = np.sqrt(np.maximum(np.diag(of_output)[1:], 0.0)) / scales
        return values.reshape(-1), (errors * units).reshape(-1)

    def batches(
        self,
        data: Any,
        *,
        with_std: bool = False,
        keep: Sequence[str] = (),
        novelty: Novelty | None = None,
    ) -> Iterator[ReadBatch]:
        """The rows of ``data``, encoded; for standard deviations with their weights, where those of
        the fit were no counts and the column is there. ``keep`` and ``novelty`` as in
        :func:`halfsquare.data.reading.read_encoded`.
        """
        source, weighed = open_for(self.encoder, data), self.record.training.weighed
        known = weighed is not None and weighed.column in [c.name for c in source.columns]
        if with_std and weighed is not None and not known and novelty is not None:
            novelty.unweighed = weighed.column
        told = weighed if with_std and known else None
        return read_encoded(
            source,
            self.encoder,
            weight=None if told is None else told.column,
            weighting="counts" if told is None else told.weighting,
            keep=keep,
            novelty=novelty,
            with_absent=with_std,
        )

    def save(self, path: str | Path) -> None:
        """Write the model file, whole or not at all; see :mod:`halfsquare.results.model_file`."""
        from halfsquare.results.model_file import save

        save(self, path)

    def __repr__(self) -> str:
        measured = self.test or self.info.get("train")
        error = (
            f", RMSE {number(measured['rmse'], 4)} on {'test' if self.test else 'training'} rows"
            if measured
            else ""
        )
        return (
            f"<FittedModel {self.kind}: {', '.join(self.encoder.targets)} from "
            f"{len(self.encoder.features)} columns{error}>"
        )
