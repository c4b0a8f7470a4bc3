"""The encoder of a formula of terms: raw rows of its columns → standardized design."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, final

import numpy as np

from halfsquare.data.columns import Reading
from halfsquare.data.encoder import Encoder
from halfsquare.data.features import Feature, Levels, Plain
from halfsquare.files.records import from_json, to_json
from halfsquare.loss import Floats
from halfsquare.models.terms.absorbed import ABSORBED, Absorbed
from halfsquare.models.terms.design import TermsDesign
from halfsquare.models.terms.syntax import Name, unparse

# Rows of a design that are made at a time: the columns of its factors stay near the cache.
_BLOCK_ROWS = 4096


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
    def user_means(self) -> Floats:
        means = self.means
        groups = {name: first for name, first, _ in self.groups}
        for feature in self.features:
            # Less a base stands only what is a term by itself.
            if feature.offset and (at := groups.get(unparse(Name(0, feature.column)))) is not None:
                means = means.copy()
                means[at] += float(feature.offset)
        return means

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
