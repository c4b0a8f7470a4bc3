"""Encoded rows with what they were encoded by: those of a scanned table, one part of them, by an
encoder made from that part; and those of arrays, whose columns count as they are.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal, final

import numpy as np
import numpy.typing as npt

from halfsquare.data.encoder import Encoder
from halfsquare.data.encoder_decision import Recoding, make_encoder, plain_encoder
from halfsquare.data.rows import Chunk, Rows
from halfsquare.data.scan import Scanned
from halfsquare.data.splits import Units
from halfsquare.data.summed import design_sums
from halfsquare.data.weighting import Weighting
from halfsquare.loss import Floats
from halfsquare.normal_sums import NormalSums

Part = Literal["train", "test", "all"]


class DesignRows(Rows):
    """Encoded rows, their encoder, and what their weights say.

    Attributes
    ----------
    encoder : Encoder
    """

    encoder: Encoder

    @property
    @abstractmethod
    def weighed(self) -> tuple[str, Weighting] | None:
        """The column of the weights and what it says; None where each row counts as one."""

    @property
    @abstractmethod
    def weight_factor(self) -> float:
        """By what the weights are multiplied: those that are no counts so that those of the rows
        sum to their number.
        """

    @property
    @abstractmethod
    def total_weight(self) -> float:
        """Σw of the rows, as given."""

    @property
    @abstractmethod
    def whole_weights(self) -> bool:
        """Whether they are whole numbers, as counts are."""

    @property
    def relative(self) -> bool:
        """Whether weights that should be counts and are none were brought to a sum of the rows."""
        return False


@final
@dataclass(frozen=True)
class EncodedRows(DesignRows):
    """One part of a scanned table, design and targets standardized by the encoder.

    Attributes
    ----------
    relative : bool
        Whether weights that are to be counts and are no whole numbers say how much a row matters
        beside others: what is chosen by the rows then takes them to sum to their number.
    """

    scanned: Scanned
    encoder: Encoder
    recoding: Recoding
    kept: tuple[int, ...]
    part: Part
    relative: bool = False

    @property
    def row_count(self) -> int:
        table = self.scanned.table
        return {
            "train": table.train_rows,
            "test": table.rows - table.train_rows,
            "all": table.rows,
        }[self.part]

    @property
    def weighted(self) -> bool:
        return self.scanned.roles.weight is not None

    @property
    def chunk_count(self) -> int:
        return len(self.scanned.table.sizes)

    def chunk_size(self, index: int) -> int:
        table = self.scanned.table
        train, size = table.train_sizes[index], table.sizes[index]
        return {"train": train, "test": size - train, "all": size}[self.part]

    @property
    def offsets(self) -> Floats | None:
        return self.encoder.means / self.encoder.scales

    @property
    def sums(self) -> NormalSums | None:
        products = self.scanned.statistics_of(self.part).products
        if products is None:
            return None
        return design_sums(products, self.encoder, self.kept, self.weight_factor)

    @property
    def units(self) -> Units | None:
        units = self.scanned.units
        if units is None or self.part == "all":
            return units
        return units.at(self.places)

    @property
    def places(self) -> npt.NDArray[np.intp]:
        """Where these rows (n,) stand in the table."""
        table = self.scanned.table
        starts = np.cumsum([0, *table.sizes])
        train = self.part == "train"
        found = []
        for start, size, cut in zip(starts, table.sizes, table.train_sizes, strict=False):
            first, stop = (0, size) if self.part == "all" else (0, cut) if train else (cut, size)
            found.append(np.arange(start + first, start + stop, dtype=np.intp))
        return np.concatenate([np.empty(0, dtype=np.intp), *found])

    @property
    def weighed(self) -> tuple[str, Weighting] | None:
        roles = self.scanned.roles
        return None if roles.weight is None else (roles.weight.name, roles.weighting)

    @property
    def total_weight(self) -> float:
        return self.scanned.statistics_of(self.part).weight

    @property
    def whole_weights(self) -> bool:
        return self.scanned.statistics_of(self.part).whole

    @cached_property
    def weight_factor(self) -> float:
        counts = self.scanned.roles.weighting == "counts"
        if counts and not self.relative:
            return 1.0
        statistics = self.scanned.statistics_of(self.part)
        if counts and statistics.whole:
            return 1.0
        return statistics.rows / statistics.weight if statistics.weight > 0 else 1.0

    def of(self, part: Part) -> EncodedRows:
        """Another part of the same table, with the same encoder."""
        return replace(self, part=part)

    def targets(self, index: int, chunk: Chunk | None = None) -> Floats:
        """The targets (m, k) of chunk ``index`` in their unit; ``chunk``, if it is at hand."""
        if chunk is not None and self.encoder.target_transform is None:
            return chunk.target * self.encoder.target_scales + self.encoder.target_means
        raw, cut = self.scanned.table.read(index), self.scanned.table.train_sizes[index]
        at = {"train": slice(0, cut), "test": slice(cut, None), "all": slice(None)}[self.part]
        return np.ascontiguousarray(raw[: len(self.encoder.targets), at].T)

    def chunk(self, index: int) -> Chunk:
        raw, cut = self.scanned.table.read(index), self.scanned.table.train_sizes[index]
        if self.part != "all":
            raw = raw[:, :cut] if self.part == "train" else raw[:, cut:]
        block = self._block(raw)
        return self._chunk(block, self._weight(raw))

    def parts(self, index: int) -> tuple[Chunk, Chunk]:
        """Of chunk ``index`` the rows to train on and those set apart, read and encoded at once."""
        raw, cut = self.scanned.table.read(index), self.scanned.table.train_sizes[index]
        block = self._block(raw)
        return (
            self._chunk(block[:, :cut], self.of("train")._weight(raw[:, :cut])),
            self._chunk(block[:, cut:], self.of("test")._weight(raw[:, cut:])),
        )

    def _block(self, raw: Floats) -> Floats:
        """[1 | design | target] of raw rows, transposed: the sums of linear least squares take it
        as it is.
        """
        buffers, k = self.scanned.table.buffers, len(self.encoder.targets)
        d, m = len(self.encoder.names), raw.shape[1]
        block = buffers.empty(1 + d + k, m)
        block[0] = 1.0
        first = len(self.scanned.roles.scanned) - len(self.scanned.roles.features)
        whole = len(self.kept) == len(self.scanned.roles.features)
        features = raw[first:]
        if not whole:
            features = buffers.empty(len(self.kept), m)
            np.take(raw, self.kept, axis=0, out=features, mode="clip")
        self.encoder.encode(self.recoding.apply(features, buffers), block[1 : 1 + d])
        self.encoder.standardized(raw[:k], block[1 + d :])
        return block

    def _weight(self, raw: Floats) -> Floats | None:
        """The weights of raw rows of this part."""
        if self.scanned.roles.weight is None:
            return None
        weight: Floats = raw[len(self.encoder.targets)]
        factor = self.weight_factor
        return weight if factor == 1.0 else weight * factor

    def _chunk(self, block: Floats, weight: Floats | None) -> Chunk:
        d = len(self.encoder.names)
        return Chunk(block[1 : 1 + d].T, block[1 + d :].T, weight, block)


def plain_rows(scanned: Scanned, part: Part) -> EncodedRows:
    """The rows of ``part`` as they are, in the user's units."""
    kept = tuple(
        range(len(scanned.roles.scanned) - len(scanned.roles.features), len(scanned.roles.scanned))
    )
    return EncodedRows(scanned, plain_encoder(scanned), Recoding({}), kept, part)


def encoded_rows(scanned: Scanned, part: Part) -> EncodedRows:
    """The rows of ``part``, with an encoder made from the statistics of that part alone."""
    whole = scanned.train.merge(scanned.test)
    statistics = whole if part == "all" else getattr(scanned, part)
    encoder, recoding, kept = make_encoder(scanned.roles, scanned.levels, statistics, whole)
    return EncodedRows(scanned, encoder, recoding, tuple(kept), part)
