"""Rows of a scanned table, encoded: one part of them, by an encoder made from that part."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from halfsquare.data.encoder import Encoder, Recoding, make_encoder, plain_encoder
from halfsquare.data.rows import Chunk, Rows
from halfsquare.data.scan import Scanned
from halfsquare.loss import Floats

Part = Literal["train", "test", "all"]


@dataclass(frozen=True)
class EncodedRows(Rows):
    """One part of a scanned table, design and targets standardized by the encoder."""

    scanned: Scanned
    encoder: Encoder
    recoding: Recoding
    kept: tuple[int, ...]
    part: Part

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
    def weight_factor(self) -> float:
        """By what the weights are multiplied: those that are no counts so that those of the rows of
        this part sum to their number.
        """
        if self.scanned.roles.weighting == "counts":
            return 1.0
        statistics = self.scanned.statistics_of(self.part)
        return statistics.rows / statistics.weight if statistics.weight > 0 else 1.0

    def of(self, part: Part) -> EncodedRows:
        """Another part of the same table, with the same encoder."""
        return EncodedRows(self.scanned, self.encoder, self.recoding, self.kept, part)

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
        np.subtract(raw[:k], self.encoder.target_means[:, None], out=block[1 + d :])
        block[1 + d :] /= self.encoder.target_scales[:, None]
        return block

    def _weight(self, raw: Floats) -> Floats | None:
        """The weights of raw rows of this part."""
        if self.scanned.roles.weight is None:
            return None
        weight: Floats = raw[len(self.encoder.targets)]
        return weight if self.weight_factor == 1.0 else weight * self.weight_factor

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
