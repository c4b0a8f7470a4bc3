"""Which categories of a term are coded by contrasts and which by all levels, so that nothing is
said twice.

A category a spans a constant and its contrasts a⁻. So a:b:x spans x, a⁻:x, b⁻:x and a⁻:b⁻:x. Terms
are taken in order; what earlier terms span is left out, and what is left is put together again by
p + p:a⁻ = p:a. With every level present in every cell the columns are then independent, whatever
the numbers (Chambers & Hastie 1992, section 2.4.1; the rule that formulaic and patsy follow).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from itertools import product

from halfsquare.models.terms.expand import Term

Part = tuple[tuple[str, bool], ...]  # factors with whether each is coded by contrasts


def full_rank(terms: Sequence[Term], categories: Collection[str]) -> list[list[Part]]:
    """For each term, the parts whose columns stand for it; ``categories`` are factors that span a
    constant.

    Examples
    --------
    >>> full_rank([(), ("a",), ("a", "b")], {"a", "b"})[2]
    [(('a', False), ('b', True))]
    >>> full_rank([(), ("a", "x")], {"a"})[1]
    [(('a', False), ('x', False))]
    """
    spanned: set[frozenset[tuple[str, bool]]] = set()
    found = []
    for term in terms:
        choices = [((f, True), None) if f in categories else ((f, False),) for f in term]
        parts: list[Part] = [
            tuple(c for c in chosen if c is not None) for chosen in product(*choices)
        ]
        new = [p for p in parts if frozenset(p) not in spanned]
        spanned.update(map(frozenset, new))
        found.append(_joined(new))
    return found


def _joined(parts: Sequence[Part]) -> list[Part]:
    """The fewest parts of the same span: p and p:a⁻ become p:a, as long as there are such."""
    done: list[Part] = []
    for part in sorted(parts, key=len):
        for other in done:
            extra = set(part) - set(other)
            if len(part) == len(other) + 1 and len(extra) == 1 and next(iter(extra))[1]:
                whole: Part = tuple((f, reduced and (f, True) not in extra) for f, reduced in part)
                done = _joined([*(d for d in done if d is not other), whole])
                break
        else:
            done.append(part)
    return done
