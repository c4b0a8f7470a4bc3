"""The design of a formula of terms: its columns, made of rows the same way whenever rows are read.

    formula ─ expand → terms ─ full_rank → parts ─ learn → states → design (d, m) of raw rows

A :class:`TermsDesign` is a frozen record of JSON values: it is stored in the model file and read
back without the formula's table.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import product
from typing import Any

import numpy as np

from halfsquare.errors import DataError, FormulaError
from halfsquare.files.records import from_json
from halfsquare.loss import Floats
from halfsquare.models.terms.chunks import RawChunk, values_at
from halfsquare.models.terms.coding import Part, full_rank
from halfsquare.models.terms.expand import MOST_TERMS, Expanded, Term
from halfsquare.models.terms.factors import Category, Columns, Factor, Numeric
from halfsquare.models.terms.learn import learn
from halfsquare.models.terms.parser import parse
from halfsquare.models.terms.reading import read_factor
from halfsquare.models.terms.states import require_states
from halfsquare.models.terms.syntax import Name
from halfsquare.parallel.base import Execution

MOST_COLUMNS = 5_000


@dataclass(frozen=True)
class TermsDesign:
    """Terms, the coding of their categories, and what was learnt from the rows.

    Attributes
    ----------
    terms : tuple of Term
        The intercept is ``()``.
    kinds : dict of str to str
        Of each column of the data that is needed: ``"text"`` or ``"number"``.
    texts : dict of str to tuple of str
        Of each text column the levels that its codes stand for.
    states : dict
        What the factors have learnt.
    """

    terms: tuple[Term, ...]
    kinds: dict[str, str]
    texts: dict[str, tuple[str, ...]]
    states: dict[str, Any] = field(repr=False)

    @cached_property
    def factors(self) -> dict[str, Factor]:
        """By the text that names each in the terms."""
        return {f: read_factor(parse(f), f, self.kinds) for t in self.terms for f in t}

    @cached_property
    def parts(self) -> list[list[Part]]:
        """For each term the parts that stand for it, by :func:`.coding.full_rank`."""
        return full_rank(self.terms, {t for t, f in self.factors.items() if f.spans_constant()})

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Of the d columns; the intercept is ``Intercept``."""
        return tuple(name for term in self.parts for part in term for name in self._names(part))

    @cached_property
    def spans(self) -> tuple[tuple[str, int, int], ...]:
        """Each term with the range of its columns."""
        found, start = [], 0
        for term, parts in zip(self.terms, self.parts, strict=True):
            stop = start + sum(len(self._names(part)) for part in parts)
            found.append((":".join(term) or "Intercept", start, stop))
            start = stop
        return tuple(found)

    @property
    def has_intercept(self) -> bool:
        """Whether the first column is the intercept."""
        return bool(self.terms) and not self.terms[0]

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of the data that are needed."""
        return tuple(self.kinds)

    def write(self, columns: Columns, rows: int, *, touching: str | None = None) -> Floats:
        """The design (d, m), a row for each column; NaN in all that a missing value touches.

        ``touching`` leaves it at those that a column of the data takes part in; the others are 0.
        """
        out = np.zeros if touching is not None else np.empty
        design: Floats = out((len(self.names), rows))
        made: dict[tuple[str, bool], Floats] = {}
        start = 0
        for part, width, plain in self._widths:
            if plain is not None and touching in (None, plain):
                design[start] = columns[plain]
            elif touching is None or any(touching in self.factors[f].columns for f, _ in part):
                for factor in part:
                    if factor not in made:
                        value = self.factors[factor[0]].write(columns, self.states, factor[1])
                        made[factor] = value
                _products([made[f] for f in part], design, start)
            start += width
        return design

    @cached_property
    def _widths(self) -> list[tuple[Part, int, str | None]]:
        """Each part with the number of its columns, and the column of the data if it is no more."""
        return [
            (part, len(self._names(part)), self._plain(part))
            for term in self.parts
            for part in term
        ]

    def _plain(self, part: Part) -> str | None:
        factor = self.factors[part[0][0]] if len(part) == 1 else None
        plain = isinstance(factor, Numeric) and isinstance(factor.node, Name)
        return factor.columns[0] if factor is not None and plain and factor.columns else None

    def unseen(self, columns: Columns) -> tuple[str, int] | None:
        """The first column with a value that is no level of the model, and the row of the value."""
        for factor in self.factors.values():
            if isinstance(factor, Category):
                beyond = factor.codes(columns, self.states) < 0
                if beyond.any():
                    return factor.column, int(np.argmax(beyond))
        return None

    def levels_of(self, column: str) -> list[str]:
        """The levels of a category, in their order; empty if the column is none."""
        for factor in self.factors.values():
            if isinstance(factor, Category) and factor.column == column:
                return factor.levels(self.states)
        return []

    def require_numbers(self, columns: Columns, design: Floats) -> None:
        """Refuse rows where arithmetic gives no finite number, naming the values that led there.

        Raises
        ------
        DataError
        """
        if np.isfinite(np.add.reduce(design, axis=None)):
            return
        for factor in self.factors.values():
            bad = ~np.isfinite(factor.write(columns, self.states, False)).all(axis=0)
            if bad.any():
                node = factor.node if isinstance(factor, Numeric) else parse(factor.text)
                where = values_at(columns, node, int(np.argmax(bad)))
                raise DataError(f"{factor.text} is no finite number where {where}")

    def as_dict(self) -> dict[str, Any]:
        """JSON values; read by :meth:`from_dict`."""
        return {
            "terms": [list(term) for term in self.terms],
            "kinds": dict(self.kinds),
            "texts": {name: list(levels) for name, levels in self.texts.items()},
            "states": self.states,
        }

    @classmethod
    def from_dict(cls, saved: dict[str, Any]) -> TermsDesign:
        """The design that :meth:`as_dict` described.

        Raises
        ------
        ValueError
            If a value is missing or of another type, or a factor cannot be read.
        """
        design = from_json(cls, saved, "design")
        if set(design.kinds.values()) - {"text", "number"}:
            raise ValueError("design.kinds are neither text nor number")
        if len(design.terms) > MOST_TERMS or not design.terms:
            raise ValueError(f"design.terms are {len(design.terms)}")
        try:
            require_states(design.factors.values(), design.texts, design.states)
            _require_few(design)
        except FormulaError as problem:
            raise ValueError(f"a term of the design cannot be read: {problem}") from None
        return design

    def _names(self, part: Part) -> list[str]:
        if not part:
            return ["Intercept"]
        names = [self.factors[f].names(self.states, reduced) for f, reduced in part]
        return [":".join(reversed(each)) for each in product(*reversed(names))]


def _products(factors: Sequence[Floats], out: Floats, start: int) -> None:
    """Write every product of one row of each factor, the first factor running fastest."""
    if not factors:
        out[start] = 1.0
        return
    for chosen in product(*(range(len(f)) for f in reversed(factors))):
        row = out[start]
        row[:] = factors[0][chosen[-1]]
        for factor, j in zip(factors[1:], reversed(chosen[:-1]), strict=True):
            row *= factor[j]
        start += 1


def needed_columns(expanded: Expanded, kinds: Mapping[str, str]) -> dict[str, str]:
    """The columns of the data that the right side needs, with ``"text"`` or ``"number"``.

    Raises
    ------
    FormulaError
        With a caret at what is no column, or no term.
    """
    found: dict[str, str] = {}
    for node in expanded.factors.values():
        for name in read_factor(node, expanded.text, kinds).columns:
            found.setdefault(name, "text" if kinds[name] == "text" else "number")
    return found


def make_design(
    expanded: Expanded,
    kinds: Mapping[str, str],
    texts: Mapping[str, Sequence[str]],
    chunk: Callable[[int], RawChunk],
    count: int,
    execution: Execution,
) -> TermsDesign:
    """Learn what the factors need from the rows, and settle the columns.

    Parameters
    ----------
    kinds : mapping of column to kind
        As :func:`needed_columns` gives it.
    texts : mapping of text column to levels
        All of them present, in their order; the codes of ``chunk`` count into them.

    Raises
    ------
    DataError
        If a column does not have what its factor needs.
    FormulaError
        If the design would have more than ``MOST_COLUMNS`` columns.
    """
    used = {f: expanded.factors[f] for term in expanded.terms for f in term}
    factors = [read_factor(node, expanded.text, kinds) for node in used.values()]
    states = learn(factors, texts, chunk, count, execution)
    kept = {name: kind for name, kind in kinds.items() if any(name in f.columns for f in factors)}
    by_column = {name: tuple(texts[name]) for name, kind in kept.items() if kind == "text"}
    design = TermsDesign(expanded.terms, kept, by_column, states)
    _require_few(design)
    return design


def _require_few(design: TermsDesign) -> None:
    total = 0
    for term, parts in zip(design.terms, design.parts, strict=True):
        for part in parts:
            width = 1
            for factor, reduced in part:
                width *= len(design.factors[factor].names(design.states, reduced))
            total += width
            if total > MOST_COLUMNS:
                raise FormulaError(
                    f"the terms up to {':'.join(term)} have more than {MOST_COLUMNS:,} columns; "
                    f"leave some "
                    "out, or absorb a category of many levels"
                )
