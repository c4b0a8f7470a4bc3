"""The encoder of a formula of terms: raw rows of its columns → standardized design."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, final

import numpy as np

from halfsquare.data.columns import Reading
from halfsquare.data.encoder import Encoder, Recoding
from halfsquare.data.features import Feature, Levels, Plain
from halfsquare.data.scan import Scanned
from halfsquare.data.statistics import TableStatistics
from halfsquare.data.table import Table
from halfsquare.files.records import from_json, to_json
from halfsquare.loss import Floats
from halfsquare.models.terms.chunks import RawChunk
from halfsquare.models.terms.design import TermsDesign, make_design, needed_columns
from halfsquare.models.terms.expand import Expanded
from halfsquare.models.terms.syntax import Name, unparse
from halfsquare.parallel.base import Execution
from halfsquare.sums import Moments

# Rows of a design that are made at a time: the columns of its factors stay near the cache.
_BLOCK_ROWS = 4096


#: The name of the column that holds the absorbed effects of a row.
ABSORBED = "absorbed effects"


@dataclass(frozen=True)
class Absorbed:
    """The effects of the levels of one column, which have no columns of their own.

    Attributes
    ----------
    column : str
    is_text : bool
    levels : tuple of str
        Of a text column, in the order of their codes.
    values : tuple of float
        Of a number column, rising.
    effects : tuple of float
    """

    column: str
    is_text: bool
    levels: tuple[str, ...]
    values: tuple[float, ...]
    effects: tuple[float, ...]

    def codes(self, raw: Floats) -> Floats:
        """The level of each raw value (m,); NaN where it is missing, -1 where it is none."""
        if self.is_text:
            return np.where(np.isnan(raw) | (raw == -1), np.nan, np.where(raw < -1, -1.0, raw))
        known = np.array(self.values)
        at = np.clip(np.searchsorted(known, raw), 0, len(known) - 1)
        return np.where(np.isnan(raw), np.nan, np.where(known[at] == raw, at, -1.0))

    def of(self, raw: Floats) -> Floats:
        """The effect of each raw value (m,); NaN where there is none."""
        codes = self.codes(raw)
        gone = np.isnan(codes) | (codes < 0)
        found = np.array(self.effects)[np.where(gone, 0, codes).astype(np.intp)]
        return np.where(gone, np.nan, found)


@final
@dataclass(frozen=True)
class TermsEncoder(Encoder):
    """The columns of a design, standardized: with an intercept by mean and standard deviation,
    without one by their root mean square.

    Attributes
    ----------
    formula : str
    design : TermsDesign
    kept : tuple of int
        Columns of the design that have a coefficient, the intercept excepted.
    column_means, column_scales : (d,)
        Of these.
    aliased : tuple of str
        Columns that those before them determine: they have none.
    absorbed : tuple of Absorbed
        Effects that are added up in a last column of the design, whose coefficient is 1. Their
        columns come last among the features.
    """

    formula: str
    design: TermsDesign
    kept: tuple[int, ...]
    column_means: Floats
    column_scales: Floats
    aliased: tuple[str, ...] = ()
    absorbed: tuple[Absorbed, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        every = self.design.names
        last = (ABSORBED,) if self.absorbed else ()
        return (*(every[j] for j in self.kept), *last)

    @property
    def groups(self) -> tuple[tuple[str, int, int], ...]:
        """Each term with the range of its columns."""
        found, start = [], 0
        for term, first, end in self.design.spans:
            stop = start + sum(first <= j < end for j in self.kept)
            if stop > start:
                found.append((term, start, stop))
            start = stop
        if self.absorbed:
            found.append((ABSORBED, start, start + 1))
        return tuple(found)

    @property
    def means(self) -> Floats:
        return np.append(self.column_means, 0.0) if self.absorbed else self.column_means

    @property
    def scales(self) -> Floats:
        return np.append(self.column_scales, 1.0) if self.absorbed else self.column_scales

    def columns_of(self, raw: Floats) -> dict[str, Floats]:
        """The raw rows (features, m) by the names of their columns."""
        count = len(self.features) - len(self.absorbed)
        return {f.column: v for f, v in zip(self.features[:count], raw[:count], strict=True)}

    def encode(self, raw: Floats, out: Floats) -> None:
        d = len(self.kept)
        follow = d > 0 and self.kept == tuple(range(self.kept[0], self.kept[0] + d))
        kept: Any = (
            slice(self.kept[0], self.kept[0] + d) if follow else np.array(self.kept, dtype=np.intp)
        )
        mean, inverse = self.column_means[:, None], 1.0 / self.column_scales[:, None]
        for start in range(0, raw.shape[1], _BLOCK_ROWS):
            part, to = raw[:, start : start + _BLOCK_ROWS], out[:, start : start + _BLOCK_ROWS]
            design = self.design.write(self.columns_of(part), part.shape[1])[kept]
            np.subtract(design, mean, out=to[:d])
            to[:d] *= inverse
            if self.absorbed:
                first = len(part) - len(self.absorbed)
                to[-1] = sum(a.of(v) for a, v in zip(self.absorbed, part[first:], strict=True))

    def unseen(self, raw: Floats) -> tuple[int, int] | None:
        found = self.design.unseen(self.columns_of(raw))
        if found is not None:
            return [f.column for f in self.features].index(found[0]), found[1]
        first = len(self.features) - len(self.absorbed)
        for j, effects in enumerate(self.absorbed, first):
            beyond = effects.codes(raw[j]) < 0
            if beyond.any():
                return j, int(np.argmax(beyond))
        return None

    def without(self, columns: Sequence[int]) -> TermsEncoder:
        """The same without these of its columns, which others determine."""
        stay = [j for j in range(len(self.kept)) if j not in set(columns)]
        return replace(
            self,
            kept=tuple(self.kept[j] for j in stay),
            column_means=self.column_means[stay],
            column_scales=self.column_scales[stay],
            aliased=(*self.aliased, *(self.names[j] for j in columns)),
        )

    def as_dict(self) -> dict[str, Any]:
        """JSON values; read by :meth:`from_dict`."""
        return {
            "kind": "terms",
            "formula": self.formula,
            "design": self.design.as_dict(),
            "features": [f.as_dict() for f in self.features],
            "targets": list(self.targets),
            "target_means": self.target_means.tolist(),
            "target_scales": self.target_scales.tolist(),
            "left_out": self.left_out,
            "kept": list(self.kept),
            "means": self.column_means.tolist(),
            "scales": self.column_scales.tolist(),
            "aliased": list(self.aliased),
            "absorbed": to_json(self.absorbed),
            "reading": self.reading.as_dict(),
        }

    @classmethod
    def from_dict(cls, saved: dict[str, Any]) -> TermsEncoder:
        """The encoder that :meth:`as_dict` described.

        Raises
        ------
        ValueError
            If a value is missing or of another type.
        """
        design = TermsDesign.from_dict(from_json(dict[str, Any], saved["design"], "design"))
        kept = from_json(tuple[int, ...], saved["kept"], "kept")
        if any(not 0 <= j < len(design.names) for j in kept):
            raise ValueError("kept names columns that the design does not have")
        encoder = cls(
            **cls.shared(saved),
            formula=from_json(str, saved["formula"], "formula"),
            design=design,
            kept=kept,
            column_means=from_json(Floats, saved["means"], "means"),
            column_scales=from_json(Floats, saved["scales"], "scales"),
            aliased=from_json(tuple[str, ...], saved["aliased"], "aliased"),
            absorbed=from_json(tuple[Absorbed, ...], saved["absorbed"], "absorbed"),
            reading=Reading.from_dict(saved["reading"]),
        )
        needed = [*design.columns, *(a.column for a in encoder.absorbed)]
        if [f.column for f in encoder.features] != needed:
            raise ValueError("features and the columns of the design differ")
        known = {**design.texts, **{a.column: a.levels for a in encoder.absorbed if a.is_text}}
        for f in encoder.features:
            if (f.levels if isinstance(f, Levels) else None) != known.get(f.column):
                raise ValueError(f"the levels of {f.column} and those of its terms differ")
        for a in encoder.absorbed:
            if not len(a.effects) == len(a.levels if a.is_text else a.values) > 0:
                raise ValueError("absorbed effects and their levels differ in number")
        return encoder


def plain_terms(encoder: TermsEncoder) -> list[tuple[Feature, int, int]]:
    """The number columns that are terms of their own, with the means and scales of the design and
    their range in it.
    """
    groups = {name: (a, b) for name, a, b in encoder.groups}
    found: list[Feature] = []
    places: list[tuple[int, int]] = []
    for feature in encoder.features:
        at = groups.get(unparse(Name(0, feature.column)))
        if isinstance(feature, Plain) and at is not None:
            means, scales = (float(encoder.means[at[0]]),), (float(encoder.scales[at[0]]),)
            found.append(replace(feature, means=means, scales=scales))
            places.append(at)
    return [(f, a, b) for f, (a, b) in zip(found, places, strict=True)]


@dataclass(frozen=True)
class RawTerms:
    """The chunks of a scanned table as factors read them.

    Attributes
    ----------
    names : tuple of str
        Of the columns that are needed.
    positions : tuple of int
        Where they are among the scanned ones.
    recoding : Recoding
        From the codes of the scan to levels in their order, by the place among ``names``.
    weight : int or None
        Where the weight is among the scanned columns.
    whole : bool
        Whether all rows are for training.
    """

    table: Table
    names: tuple[str, ...]
    positions: tuple[int, ...]
    recoding: Recoding
    weight: int | None
    whole: bool

    def chunk(self, index: int) -> RawChunk:
        """Chunk ``index``, the rows for training first."""
        raw = self.table.read(index)
        train = raw.shape[1] if self.whole else self.table.train_sizes[index]
        columns = self.recoding.apply(raw[list(self.positions)], self.table.buffers)
        return RawChunk(
            dict(zip(self.names, columns, strict=True)),
            None if self.weight is None else raw[self.weight],
            train,
        )


def raw_terms(scanned: Scanned, names: Sequence[str], *, whole: bool) -> RawTerms:
    """The chunks of a scan, reduced to some columns; text levels in the order of their letters."""
    roles = scanned.roles
    every = [c.name for c in roles.scanned]
    first = len(every) - len(roles.features)
    positions = tuple(every.index(name, first) for name in names)
    statistics = scanned.train.merge(scanned.test)
    tables = {}
    for j, position in enumerate(positions):
        if roles.scanned[position].kind == "text":
            tables[j] = _table(scanned.levels[every[position]], statistics, position)
    weight = len(roles.targets) if roles.weight is not None else None
    return RawTerms(scanned.table, tuple(names), positions, Recoding(tables), weight, whole)


def text_levels(scanned: Scanned, name: str) -> list[str]:
    """The levels of a text column that rows of the fit have, in the order of their letters."""
    roles = scanned.roles
    first = len(roles.scanned) - len(roles.features)
    position = [c.name for c in roles.scanned].index(name, first)
    weights = scanned.train.merge(scanned.test).levels[position][2:]
    levels = scanned.levels[name]
    return sorted(levels[c] for c in range(len(weights)) if weights[c] > 0)


def _table(levels: Sequence[str], statistics: TableStatistics, position: int) -> Floats:
    """From the codes of a scan, shifted by 2, to places in the order of letters."""
    weights = statistics.levels[position][2:]
    present = sorted(levels[c] for c in range(len(weights)) if weights[c] > 0)
    place = {level: float(i) for i, level in enumerate(present)}
    return np.array([-2.0, -1.0, *(place.get(level, -2.0) for level in levels)])


def make_terms_encoder(
    expanded: Expanded, scanned: Scanned, *, whole: bool, execution: Execution
) -> tuple[TermsEncoder, RawTerms]:
    """The encoder of a formula, learnt from a scan, and the raw chunks of the columns it needs.

    ``whole`` says whether all rows are for training, or those that are not set apart.

    Raises
    ------
    DataError
        If a column does not have what its factor needs, or arithmetic on it is not finite.
    """
    kinds: Mapping[str, str] = {c.name: c.kind for c in scanned.roles.features}
    needed = needed_columns(expanded, kinds)
    raw = raw_terms(scanned, list(needed), whole=whole)
    count = len(scanned.table.sizes)
    texts = {name: text_levels(scanned, name) for name, kind in needed.items() if kind == "text"}
    design = make_design(expanded, needed, texts, raw.chunk, count, execution)
    raw = raw_terms(scanned, design.columns, whole=whole)
    kept = tuple(range(1 if design.has_intercept else 0, len(design.names)))
    means, scales = _moments(design, raw, count, execution)
    k = len(scanned.roles.targets)
    encoder = TermsEncoder(
        _features(design, scanned, raw),
        tuple(t.name for t in scanned.roles.targets),
        np.zeros(k),
        np.ones(k),
        dict(scanned.roles.left_out),
        expanded.text,
        design,
        kept,
        means[list(kept)],
        scales[list(kept)],
        reading=scanned.roles.reading.of(
            [*design.columns, *(c.name for c in (*scanned.roles.targets, *scanned.roles.beside))]
        ),
    )
    return encoder, raw


def _moments(
    design: TermsDesign, raw: RawTerms, count: int, execution: Execution
) -> tuple[Floats, Floats]:
    """Means and scales of the columns over the training rows; means are 0 without an intercept."""
    d = len(design.names)

    def of(index: int) -> Moments:
        rows = raw.chunk(index).training()
        columns = design.write(rows.columns, rows.train)
        design.require_numbers(rows.columns, columns)
        return Moments.of(columns.T, rows.weight)

    moments = execution.reduce(of, Moments.merge, count, Moments.zero(d))
    variance, means = moments.variance, moments.mean
    if not design.has_intercept:
        variance, means = variance + means**2, np.zeros(d)
    # What does not vary but for rounding is left to be found dependent on the intercept.
    still = variance <= (8 * np.finfo(float).eps * np.abs(moments.mean)) ** 2
    return means, np.where(still, 1.0, np.sqrt(variance))


def _features(design: TermsDesign, scanned: Scanned, raw: RawTerms) -> tuple[Feature, ...]:
    numbers = scanned.train.merge(scanned.test).numbers
    found: list[Feature] = []
    for name, position in zip(raw.names, raw.positions, strict=True):
        if design.kinds[name] == "text":
            found.append(Levels(name, (0.0,), (1.0,), design.texts[name]))
        else:
            low, high = float(numbers.minimum[position]), float(numbers.maximum[position])
            found.append(Plain(name, (0.0,), (1.0,), low, high))
    return tuple(found)
