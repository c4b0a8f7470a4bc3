"""Members whose mean is the output: outputs, deviations and quantiles of encoded rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from halfsquare.data.encoder import Encoder
from halfsquare.data.target_transform import TargetTransform
from halfsquare.loss import Floats
from halfsquare.models.base import Model
from halfsquare.parallel.threads import one_blas_thread
from halfsquare.results.coefficients import reach_of
from halfsquare.results.intervals import Calibration, require_level, require_probability
from halfsquare.results.missing import worth_of_missing
from halfsquare.results.predictive import mean_of, predictive
from halfsquare.results.record import FitRecord
from halfsquare.results.smearing import Smearing
from halfsquare.results.stretches import variance_of_stretches
from halfsquare.results.trained import AnyFacts, Trained

Absent = npt.NDArray[np.bool_] | None

# A row this share of its size off the space of rank-deficient columns is off it.
_OFF = 1e-7


@dataclass(frozen=True)
class Ensemble:
    """What predicts from a design matrix.

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

    def with_training(self, **changes: Any) -> Self:
        """The same with these fields of its :class:`~halfsquare.results.record.Training` anew."""
        training = replace(self.record.training, **changes)
        return replace(self, record=replace(self.record, training=training))

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

    def whole(self, values: Floats) -> Floats:
        """Outputs or ends (…, k) with what was taken off the target when rows were read."""
        offsets = self.encoder.target_offsets
        return values + offsets if offsets.any() else values

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
        reaches = np.array([self.reaches_of(design, p) for p in probabilities]).reshape(
            len(probabilities), len(design), len(self.encoder.targets)
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

    def whole_quantiles_of(
        self,
        design: Floats,
        probabilities: Sequence[float],
        *,
        weight: Floats | None = None,
        absent: Absent = None,
    ) -> tuple[Floats, Floats]:
        """Those of :meth:`quantiles_of` as the target is given; see :meth:`whole`."""
        outputs, ends = self.quantiles_of(design, probabilities, weight=weight, absent=absent)
        return self.whole(outputs), self.whole(ends)

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

    def reaches_of(self, design: Floats, probability: float) -> Floats:
        """How many standard deviations (m, k) above the output of encoded rows that quantile
        lies.
        """
        require_probability(probability)
        level = abs(2.0 * probability - 1.0)
        student = float(self.quantile(level) * np.sign(probability - 0.5)) if level else 0.0
        found = np.full((len(design), len(self.encoder.targets)), student)
        for j, c in enumerate(self.calibrations):
            if c is not None:
                found[:, j] = c.quantile(design, probability, student)
        return found

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
        stretches = self.record.training.stretches
        if stretches:
            variance = variance + variance_of_stretches(stretches, design, variance.shape[1])
        if absent is not None:
            variance = variance + worth_of_missing(self.encoder, self._mean_outputs, design, absent)
        open_space = getattr(self.facts, "undetermined_directions", ())
        if open_space:
            off = np.abs(design @ np.array(open_space).T).max(axis=1)
            size = np.linalg.norm(design, axis=1)
            variance = np.where((off > _OFF * (1.0 + size))[:, None], np.inf, variance)
        return mean, variance
