"""What a formula cannot tell apart: peaks that may trade names, and parameters whose sign does not
matter.

    b1*exp(-b2*x) + b3*exp(-b4*x)      (b1, b2) and (b3, b4) may be exchanged: the fit is the same

Of all fits that are the same, one is chosen: the labelling of the start, or without one, ascending.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations, permutations
from typing import Any

import numpy as np

from halfsquare.loss import Floats
from halfsquare.models.formula.levels import Pooled
from halfsquare.models.formula.model import Formula

_LARGEST_BLOCK = 5  # parameters; the matchings that are tried grow with the factorial


@dataclass(frozen=True)
class Symmetry:
    """What leaves the formula the same.

    Attributes
    ----------
    groups : tuple of tuple of tuple of int
        Groups of blocks of parameters that may trade places, block by block and place by place.
    flips : tuple of tuple of int
        Sets of parameters whose signs may be changed together; the first is made positive.
    blocks : tuple of tuple of int
        All blocks: the parameters of terms that share parameters, which can be sought one block at
        a time.
    """

    groups: tuple[tuple[tuple[int, ...], ...], ...]
    flips: tuple[tuple[int, ...], ...]
    blocks: tuple[tuple[int, ...], ...]


@lru_cache(maxsize=64)
def symmetry(formula: Formula) -> Symmetry:
    """The symmetries of a formula in its free parameters, found by exchanging names and
    comparing.
    """
    import sympy

    if formula.levels:
        return _of_levels(formula)
    expression = formula.parsed.expression
    index = {sympy.Symbol(name): i for i, name in enumerate(formula.names)}
    parts = _components(expression, index)
    heads: dict[Any, list[tuple[Any, tuple[Any, ...], list[tuple[int, ...]]]]] = {}
    for part, symbols in parts:
        # Parts that read the same with every parameter under one name may be the same with some
        # renaming.
        alike = heads.setdefault(part.xreplace(dict.fromkeys(symbols, sympy.Symbol("__any"))), [])
        for head, head_symbols, group in alike:
            match = _match(head, head_symbols, part, symbols)
            if match is not None:
                group.append(tuple(index[symbol] for symbol in match))
                break
        else:
            alike.append((part, symbols, [tuple(index[symbol] for symbol in symbols)]))
    groups = [group for alike in heads.values() for _, _, group in alike]
    blocks = tuple(tuple(index[symbol] for symbol in symbols) for _, symbols in parts)
    linear = {formula.names[j] for j in formula.linear}
    flips = [flip for part, symbols in parts for flip in _flips(part, symbols, linear)]
    return Symmetry(
        tuple(tuple(group) for group in groups if len(group) > 1),
        tuple(tuple(index[symbol] for symbol in flip) for flip in flips),
        blocks,
    )


def _of_levels(formula: Formula) -> Symmetry:
    """Signs alone: of each level where all that changes has levels, else of all of them at once."""
    pooled = Pooled(formula)
    flips: list[tuple[int, ...]] = []
    for flip in symmetry(pooled.formula).flips:
        members = [pooled.members[j] for j in flip]
        if len({pooled.columns[j] for j in flip}) == 1 and len({len(m) for m in members}) == 1:
            flips += list(zip(*members, strict=True))
        elif len(members[0]) == 1:
            flips.append(tuple(i for m in members for i in m))
    return Symmetry((), tuple(flips), (tuple(range(len(formula.names))),))


def canonical(formula: Formula, parameters: Floats, like: Floats | None = None) -> Floats:
    """The same fit with the labelling and signs of ``like``, or ascending and positive."""
    known, result = symmetry(formula), parameters.copy()
    for flip in known.flips:
        wanted = -1.0 if like is not None and like[flip[0]] < 0 else 1.0
        if result[flip[0]] * wanted < 0:
            result[list(flip)] *= -1.0
    for group in known.groups:
        at = np.array(group)
        # A linear parameter is an amplitude; the nonlinear one (place, rate) is what tells blocks
        # apart.
        place = next((i for i in range(at.shape[1]) if at[0, i] not in formula.linear), 0)
        blocks = result[at][np.argsort(result[at[:, place]], kind="stable")]
        ranks = (
            np.arange(len(at))
            if like is None
            else np.argsort(np.argsort(like[at[:, place]], kind="stable"))
        )
        result[at] = blocks[ranks]
    return result


def _components(expression: Any, index: dict[Any, int]) -> list[tuple[Any, tuple[Any, ...]]]:
    """Terms put together by the parameters they share: (sum of terms, their parameters)."""
    import sympy

    parts: list[tuple[list[Any], set[Any]]] = []
    for term in sympy.Add.make_args(expression):
        symbols = {symbol for symbol in term.free_symbols if symbol in index}
        if not symbols:
            continue
        joined = [part for part in parts if part[1] & symbols]
        parts = [part for part in parts if not part[1] & symbols]
        parts.append(
            (
                [term, *(t for part in joined for t in part[0])],
                symbols.union(*(part[1] for part in joined)),
            )
        )
    ordered = [
        (sympy.Add(*terms), tuple(sorted(symbols, key=index.__getitem__)))
        for terms, symbols in parts
    ]
    return sorted(ordered, key=lambda part: index[part[1][0]])


def _match(
    head: Any, head_symbols: tuple[Any, ...], part: Any, symbols: tuple[Any, ...]
) -> tuple[Any, ...] | None:
    """The order of ``symbols`` in which ``part`` reads as ``head``, or None."""
    if len(symbols) != len(head_symbols) or len(symbols) > _LARGEST_BLOCK:
        return None
    for order in permutations(symbols):
        if part.subs(dict(zip(order, head_symbols, strict=True)), simultaneous=True) == head:
            return order
    return None


def _flips(part: Any, symbols: tuple[Any, ...], linear: set[str]) -> list[tuple[Any, ...]]:
    """Nonlinear parameters whose sign may change, alone or together with one linear parameter."""
    found = []
    for symbol in symbols:
        if symbol.name in linear:
            continue
        others = [other for other in symbols if other.name in linear]
        for count in range(min(len(others), 2) + 1):
            sets = [(symbol, *rest) for rest in combinations(others, count)]
            match = next(
                (s for s in sets if part.subs({x: -x for x in s}, simultaneous=True) == part), None
            )
            if match is not None:
                found.append(match)
                break
    return found
