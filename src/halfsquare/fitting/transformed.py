"""A family of models on a transformed target, and the choice of the transform.

The transforms are compared by the errors of models on rows they have not seen, in the target's own
unit: the mean by smearing (:mod:`halfsquare.results.smearing`) less the target. For networks and
trees small ones are compared, and the whole is fitted with the transform that was chosen.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, final

import numpy as np

from halfsquare.data.bases import require_exact
from halfsquare.data.encoded_rows import EncodedRows, Part
from halfsquare.data.encoder import ColumnEncoder
from halfsquare.data.roles import Roles
from halfsquare.data.scan import Scanned
from halfsquare.data.source import Source
from halfsquare.data.target_transform import TRANSFORMS, TargetTransform, TransformName, yeo_johnson
from halfsquare.errors import FitError, OptionError
from halfsquare.fitting.blend import weights_of
from halfsquare.fitting.family import Family
from halfsquare.fitting.left_out_linear import left_out_linear
from halfsquare.fitting.network import NetworkFamily
from halfsquare.fitting.options import Request
from halfsquare.fitting.train_trees import BEST
from halfsquare.fitting.trees import TreesFamily
from halfsquare.loss import Floats
from halfsquare.moments import Moments
from halfsquare.parallel.base import Execution
from halfsquare.parallel.threads import Local
from halfsquare.results.fitted import FittedModel
from halfsquare.results.record import Candidate
from halfsquare.results.smearing import Smearing
from halfsquare.solvers.run import Run
from halfsquare.sums import MeanSums

_FEWEST_ROWS = 50
_MOST_ROWS = 200_000  # of which the targets are gathered for the power of yeo-johnson
_ROUNDS, _HIDDEN, _MEMBERS = 150, (8,), 4  # of the models that are compared


@final
@dataclass(frozen=True)
class TransformedFamily(Family):
    """``inner`` on a transformed target."""

    inner: Family

    def check(self) -> None:
        self.inner.check()

    def roles(self, source: Source, request: Request) -> Roles:
        if request.weighting != "counts":
            raise OptionError(
                f"{request.weighting} says how sure a target is in its own unit: leave its "
                "transform out"
            )
        source = require_exact(
            source, request.targets, "the transform of the target", request.targets
        )
        roles = self.inner.roles(source, request)
        if len(roles.targets) > 1:
            raise OptionError(
                f"a transform is for one target, and there are {len(roles.targets)}: fit one "
                "after the other"
            )
        return roles

    def rows(self, scanned: Scanned, part: Part, execution: Execution) -> EncodedRows:
        if not isinstance(execution, Local):
            raise OptionError("a transformed target is not for a cluster: fit on one machine")
        return self.inner.rows(scanned, part, execution)

    def train(self, rows: EncodedRows, run: Run) -> FittedModel:
        transform, tried = self._chosen(rows, run)
        if transform is None:
            return _told(self.inner.train(rows, run), tried)
        fitted = self.inner.train(transformed(rows, transform, run.execution), run)
        return _told(fitted, tried)

    def again(self, fitted: FittedModel, rows: EncodedRows, run: Run) -> FittedModel:
        """With the transform that was measured; that model itself where it was chosen without a
        look at rows that it does not take.
        """
        transform, tried = fitted.encoder.target_transform, fitted.record.training.transforms
        if transform is not None:
            if not transform.takes(_lowest(rows)):
                return fitted
            rows = transformed(rows, transform, run.execution)
        return _told(self.inner.again(fitted, rows, run), tried)

    def _chosen(
        self, rows: EncodedRows, run: Run
    ) -> tuple[TargetTransform | None, list[Candidate]]:
        """The transform that was asked for, or is best on rows left out, and what was tried."""
        asked = self.options.target_transform
        if asked != "auto":
            name: TransformName = asked  # type: ignore[assignment]
            found, lowest = _made(name, rows, run.execution), _lowest(replace(rows, part="all"))
            if not found.takes(lowest):
                what = "positive values" if name == "log" else "values of at least 0"
                raise FitError(
                    f"{name} is for {what}, and the smallest value of the target "
                    f"{rows.encoder.targets[0]!r} is {lowest:g}; yeo-johnson takes any"
                )
            return found, []
        if rows.row_count < _FEWEST_ROWS:
            note = f"{rows.row_count} rows are too few to judge a transform by"
            return None, [Candidate("none", note=note)]
        weight = weights_of(rows, run.execution)
        losses = {"none": self._losses(rows, None, run)}
        transforms: dict[str, TargetTransform] = {}
        for name in TRANSFORMS:
            made = _made(name, rows, run.execution)
            if made.takes(_lowest(rows)):
                transforms[name] = made
                losses[name] = self._losses(rows, made, run)
        tried = [_candidate(name, own, losses["none"], weight) for name, own in losses.items()]
        known = [c for c in tried if c.mse is not None]
        best = min(known, key=lambda c: float(c.mse or 0.0), default=None)
        return (transforms.get(best.model) if best is not None else None), tried

    def _losses(self, rows: EncodedRows, transform: TargetTransform | None, run: Run) -> Floats:
        """The squared error (n,) of each row in the target's own unit, by models without it; NaN
        where it was not left out.
        """
        plain = _targets(rows, run.execution)
        if transform is not None:
            rows = transformed(rows, transform, run.execution)
        run = run.at("transform", "none" if transform is None else transform.name)
        errors = self._left_out(rows, run)
        encoder = rows.encoder
        scale = float(encoder.target_scales[0])
        if transform is None:
            losses: Floats = (errors * scale) ** 2
            return losses
        known = ~np.isnan(errors)
        u = (plain_to(rows, plain)[known] + errors[known]) * scale + float(encoder.target_means[0])
        s = float(np.sqrt(np.mean(errors[known] ** 2))) or 1.0
        smearing = Smearing.of(-errors[known] / s, np.ones(int(known.sum())))
        mean = smearing.moments(transform.back, u[:, None], np.full((len(u), 1), s * scale))[0][
            :, 0
        ]
        losses = np.full(len(errors), np.nan)
        losses[known] = (mean - plain[known]) ** 2
        return losses

    def _left_out(self, rows: EncodedRows, run: Run) -> Floats:
        """The errors (n,) on rows left out, standardized."""
        if isinstance(self.inner, NetworkFamily):
            members = self.inner.trained(
                rows, run, _HIDDEN, _MEMBERS, self.options.method or "levenberg-marquardt"
            )
            pairs = members[0].left_out
        elif isinstance(self.inner, TreesFamily):
            pairs = self.inner.parts(rows, run, [BEST], _ROUNDS)[0].errors
        else:
            own = left_out_linear(rows, self.options.l2, run)
            pairs = np.stack([own, own])
        if pairs is None:
            return np.full(rows.row_count, np.nan)
        mean: Floats = pairs.mean(axis=0)[:, 0]
        return mean


def transformed(rows: EncodedRows, transform: TargetTransform, execution: Execution) -> EncodedRows:
    """The rows with what is fitted in place of their target, standardized over themselves."""
    assert isinstance(rows.encoder, ColumnEncoder)
    one = np.ones(1)
    raw = replace(
        rows.encoder, target_transform=transform, target_means=0.0 * one, target_scales=one
    )
    plain = replace(rows, encoder=raw)

    def of(index: int) -> Moments:
        if not plain.chunk_size(index):
            return Moments.zero(1)
        chunk = plain.chunk(index)
        return Moments.of(chunk.target, chunk.weight)

    moments = execution.reduce(of, Moments.merge, rows.chunk_count, Moments.zero(1))
    scales = np.where(moments.varies, moments.scale, 1.0)
    encoder = replace(raw, target_means=moments.mean.copy(), target_scales=scales)
    return replace(rows, encoder=encoder)


def plain_to(rows: EncodedRows, targets: Floats) -> Floats:
    """Targets (n,) in their unit as what is fitted, standardized."""
    out = np.empty((1, len(targets)))
    rows.encoder.standardized(targets[None, :], out)
    found: Floats = out[0]
    return found


def _targets(rows: EncodedRows, execution: Execution) -> Floats:
    """The targets (n,) in their unit."""
    found = execution.map(rows.targets, rows.chunk_count)
    return np.concatenate([np.empty(0), *(target[:, 0] for target in found)])


def _made(name: TransformName, rows: EncodedRows, execution: Execution) -> TargetTransform:
    if name != "yeo-johnson":
        return TargetTransform(name)
    targets, weight = _targets(rows, execution), weights_of(rows, execution)
    every = -(-len(targets) // _MOST_ROWS) or 1
    return yeo_johnson(targets[::every], None if weight is None else weight[::every])


def _lowest(rows: EncodedRows) -> float:
    """The smallest target."""
    return float(rows.scanned.statistics_of(rows.part).numbers.minimum[0])


def _candidate(name: str, losses: Floats, before: Floats, weight: Floats | None) -> Candidate:
    known = ~np.isnan(losses)
    if not known.any():
        return Candidate(name, note="no rows were left out to judge it by")
    w = None if weight is None else weight[known]
    mse = MeanSums.of(losses[known], w)
    if name == "none":
        return Candidate(name, mse.mean, mse.standard_error)
    change = MeanSums.of(losses[known] - before[known], w)
    return Candidate(name, mse.mean, mse.standard_error, change.mean, change.standard_error)


def _told(fitted: FittedModel, tried: Any) -> FittedModel:
    return fitted.with_training(transforms=tuple(tried))
