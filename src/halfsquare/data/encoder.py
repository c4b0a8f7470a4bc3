"""The encoder: raw rows → standardized design matrix, decided once from the statistics of a
scan.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import Any, final

import numpy as np

from halfsquare.data.columns import NO_READING, Reading
from halfsquare.data.features import Feature, Levels, Number, feature_from_dict
from halfsquare.data.levels import MISSING
from halfsquare.data.target_transform import TargetTransform
from halfsquare.files.records import from_json, to_json
from halfsquare.loss import Floats

_CACHED = 1 << 14  # numbers


@dataclass(frozen=True)
class Encoder(ABC):
    """Raw rows of some columns → standardized design, the same way whenever rows are encoded.

    Attributes
    ----------
    features : tuple of Feature
        The source columns, in the order of the raw rows.
    targets : tuple of str
    target_means, target_scales : (k,)
        Targets are standardized by these during training.
    left_out : dict of column to reason
    reading : Reading
        How the values of its columns are written.
    target_transform : TargetTransform or None
        What is fitted instead of the target itself; means and scales are then of that.
    """

    features: tuple[Feature, ...]
    targets: tuple[str, ...]
    target_means: Floats
    target_scales: Floats
    left_out: dict[str, str]
    reading: Reading = field(default=NO_READING, kw_only=True)
    target_transform: TargetTransform | None = field(default=None, kw_only=True)

    def standardized(self, target: Floats, out: Floats) -> None:
        """Write what is fitted (k, m) of targets (k, m) as they are given."""
        if self.target_transform is not None:
            target = self.target_transform.forward(target)
        np.subtract(target, self.target_means[:, None], out=out)
        out /= self.target_scales[:, None]

    @property
    def target_offsets(self) -> Floats:
        """What was taken off each target (k,) when rows were read: whole numbers beyond 2⁵³ are
        fitted, and their errors are measured, as differences from the first of them.
        """
        read = self.reading.columns
        return np.array([float(read[t].base or 0) if t in read else 0.0 for t in self.targets])

    @property
    @abstractmethod
    def names(self) -> tuple[str, ...]:
        """Names of the design columns."""

    @property
    @abstractmethod
    def groups(self) -> tuple[tuple[str, int, int], ...]:
        """What the design columns belong to, each with their range: source columns, or terms."""

    @property
    def group_of(self) -> list[int]:
        """Of each design column the place of its group in ``groups``."""
        return [g for g, (_, start, stop) in enumerate(self.groups) for _ in range(start, stop)]

    @property
    @abstractmethod
    def means(self) -> Floats:
        """Of the design columns before they are standardized, (d,)."""

    @property
    @abstractmethod
    def scales(self) -> Floats:
        """Standard deviations of the design columns before they are standardized, (d,)."""

    @property
    def user_means(self) -> Floats:
        """``means`` in the user's units: with what was taken off when rows were read."""
        return self.means

    @abstractmethod
    def encode(self, raw: Floats, out: Floats) -> None:
        """Write the standardized design (d, m) of raw feature rows (features, m), in order."""

    def unseen(self, raw: Floats) -> tuple[int, int] | None:
        """The feature and row of the first value that the model cannot do anything with."""
        del raw
        return None

    @abstractmethod
    def as_dict(self) -> dict[str, Any]:
        """JSON values that :func:`halfsquare.results.fitted.load` reads; ``kind`` names the
        class.
        """

    @staticmethod
    def shared(saved: dict[str, Any]) -> dict[str, Any]:
        """The attributes of every encoder but the reading, from JSON values.

        Raises
        ------
        ValueError
            If a value is missing or of another type.
        """
        features = from_json(list[dict[str, Any]], saved["features"], "features")
        kinds: dict[str, Any] = {
            "targets": tuple[str, ...],
            "target_means": Floats,
            "target_scales": Floats,
            "left_out": dict[str, str],
        }
        rest = {name: from_json(kind, saved[name], name) for name, kind in kinds.items()}
        return {"features": tuple(feature_from_dict(f) for f in features), **rest}


@final
@dataclass(frozen=True)
class ColumnEncoder(Encoder):
    """Decisions on every column: each becomes design columns of its own."""

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the design columns."""
        return tuple(name for feature in self.features for name in feature.names)

    @property
    def groups(self) -> tuple[tuple[str, int, int], ...]:
        """For each feature: its source column and the range of its design columns."""
        found, start = [], 0
        for feature in self.features:
            stop = start + len(feature.names)
            found.append((feature.column, start, stop))
            start = stop
        return tuple(found)

    @property
    def means(self) -> Floats:
        """Of the design columns before they are standardized, (d,)."""
        return np.array([m for f in self.features for m in f.means])

    @property
    def user_means(self) -> Floats:
        pairs = [(m, f.offset * (i == 0)) for f in self.features for i, m in enumerate(f.means)]
        return np.array([m + float(offset) for m, offset in pairs])

    @property
    def scales(self) -> Floats:
        """Standard deviations of the design columns before they are standardized, (d,)."""
        return np.array([s for f in self.features for s in f.scales])

    def encode(self, raw: Floats, out: Floats) -> None:
        """Write the standardized design (d, m) of raw feature rows (features, m), in order."""
        means, inverses = self.means[:, None], 1.0 / self.scales[:, None]
        if all(type(f) is Number and not f.indicator for f in self.features):
            # A column after the other, or a few short ones: the passes find them in the cache.
            step = max(1, _CACHED // max(raw.shape[1], 1))
            for first in range(0, len(raw), step):
                to = out[first : first + step]
                np.subtract(raw[first : first + step], means[first : first + step], out=to)
                if np.isnan(np.add.reduce(to, axis=None)):
                    to[np.isnan(to)] = 0.0
                to *= inverses[first : first + step]
            return
        for (_, first, stop), feature, values in zip(self.groups, self.features, raw, strict=True):
            feature.write(values, out[first:stop])
            out[first:stop] -= means[first:stop]
            out[first:stop] *= inverses[first:stop]

    def unseen(self, raw: Floats) -> tuple[int, int] | None:
        for j, feature in enumerate(self.features):
            beyond = raw[j] < MISSING if isinstance(feature, Levels) else np.zeros(0, dtype=bool)
            if beyond.any():
                return j, int(np.argmax(beyond))
        return None

    def as_dict(self) -> dict[str, Any]:
        """JSON values; read by :meth:`from_dict`."""
        transform = self.target_transform
        return {
            "features": [f.as_dict() for f in self.features],
            "targets": list(self.targets),
            "target_means": self.target_means.tolist(),
            "target_scales": self.target_scales.tolist(),
            "left_out": self.left_out,
            "reading": self.reading.as_dict(),
            **({} if transform is None else {"target_transform": to_json(transform)}),
        }

    @classmethod
    def from_dict(cls, saved: dict[str, Any]) -> ColumnEncoder:
        """The encoder that :meth:`as_dict` described.

        Raises
        ------
        ValueError
            If a value is missing or of another type.
        """
        return cls(
            **cls.shared(saved),
            reading=Reading.from_dict(saved.get("reading", {})),
            target_transform=from_json(
                TargetTransform | None,  # type: ignore[arg-type]
                saved.get("target_transform"),
                "target_transform",
            ),
        )
