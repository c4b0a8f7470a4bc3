"""A fitted model: predict, intervals, parameters with standard errors, in the user's units."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from halfsquare.data.novelty import Novelty
from halfsquare.data.reading import ReadBatch, open_for, read_encoded
from halfsquare.files.records import to_json
from halfsquare.loss import Floats
from halfsquare.results.coefficients import Parameter
from halfsquare.results.ensemble import Ensemble
from halfsquare.results.frames import Frame, frame_of
from halfsquare.results.info import as_info
from halfsquare.results.intervals import ends_of
from halfsquare.results.methods import Methods
from halfsquare.results.model_file import read, save
from halfsquare.results.user_units import coefficients
from halfsquare.text import number


@dataclass(frozen=True)
class FittedModel(Ensemble, Methods):
    """What ``fit`` returns and ``load`` reads; its attributes are those of
    :class:`halfsquare.results.ensemble.Ensemble`.
    """

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
        outputs = self.whole(outputs)
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
            self.whole_quantiles_of(b.design, probabilities, weight=b.weight, absent=b.absent)
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

    @property
    def parameters(self) -> list[Parameter]:
        """Parameters in the user's units with standard errors; of the first member, if there are
        several.

        For a linear model: the intercept and the change of the output for one unit of each column,
        or for a level instead of the reference level.
        """
        if self.kind in ("trees", "blend"):
            return []
        return coefficients(self.members[0], self.encoder)

    @property
    def residual_standard_deviation(self) -> list[float]:
        """√(SSE / degrees of freedom) of each output, in the unit of the target."""
        return [float(s) for s in np.sqrt(self.members[0].noise) * self.encoder.target_scales]

    def parameters_frame(self, kind: Frame = "arrow") -> Any:
        """The parameters with their standard errors, t, p and 95 % limits, a row each.

        Parameters
        ----------
        kind : {"arrow", "pandas", "polars"}
        """
        return frame_of([vars(p) for p in self.parameters], kind)

    def history_frame(self, kind: Frame = "arrow") -> Any:
        """The history of the descent, a row for each step that was kept; empty where the answer was
        found at once.

        Parameters
        ----------
        kind : {"arrow", "pandas", "polars"}
        """
        return frame_of(list(self.info.get("history") or []), kind)

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


def load(path: str | Path) -> FittedModel:
    """Read a model file.

    Raises
    ------
    ModelFileError
        If there is no such file, it is damaged, is no model of ours, or is of another version.

    Examples
    --------
    >>> load("no-such-file.hsq")
    Traceback (most recent call last):
    ...
    halfsquare.errors.ModelFileError: there is no model file no-such-file.hsq
    """
    found = read(path)
    return FittedModel(found.encoder, found.members, found.record)
