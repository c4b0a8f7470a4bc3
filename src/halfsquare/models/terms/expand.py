"""From the tree of a formula to its terms, with R's meaning of the operators.

    a + b       both                         a:b        their interaction
    a * b       a + b + a:b                  (a + b)^2  up to interactions of two
    a / b       a + a:b                      a %in% b   a:b
    - a         without a                    1, 0, -1   with or without an intercept
    .           every other column

A term is a product of factors; the intercept is the product of none. Terms are ordered by the
number of their factors, and among these as they came (Wilkinson & Rogers 1973, "Symbolic
description of factorial models for analysis of variance"; Chambers & Hastie 1992, chapter 2).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from halfsquare.errors import FormulaError
from halfsquare.models.terms.parser import parse
from halfsquare.models.terms.syntax import (
    Binary,
    Call,
    Name,
    Node,
    Number,
    Sign,
    Text,
    children,
    names_in,
    unparse,
)
from halfsquare.models.terms.tokens import refuse

MOST_TERMS = 2_000
_HIGHEST_POWER = 20

Term = tuple[str, ...]  # the factors as unparse writes them, in the order in which they came


@dataclass(frozen=True)
class Expanded:
    """What a formula says.

    Attributes
    ----------
    text : str
        As it was given.
    left : Node
        The left side.
    terms : tuple of Term
        The intercept, if there is one, is ``()`` and stands first.
    factors : dict of str to Node
        The tree of each factor, by the text that names it in ``terms``.
    notes : tuple of str
        What may not mean what was meant.
    """

    text: str
    left: Node
    terms: tuple[Term, ...]
    factors: dict[str, Node] = field(compare=False)
    notes: tuple[str, ...] = ()


def expand(text: str, columns: Sequence[str]) -> Expanded:
    """Read a formula over a table with these columns; ``.`` are those that the left side leaves.

    Raises
    ------
    FormulaError
        With a caret where the formula cannot be read, or has too many terms.

    Examples
    --------
    >>> expand("y ~ a*b + x - 1", ["y", "a", "b", "x"]).terms
    (('a',), ('b',), ('x',), ('a', 'b'))
    """
    tree = parse(text)
    if not isinstance(tree, Binary) or tree.operator != "~":
        raise FormulaError(
            f"the formula {text[:60]!r} has no '~'; write target ~ terms: 'y ~ a + b'"
        )
    used = set(names_in(tree.left))
    algebra = _Algebra(text, [c for c in columns if c not in used])
    found = algebra.of(tree.right)
    intercept = True if found.intercept is None else found.intercept
    terms = sorted((t for t in found.terms.values() if t), key=len)
    whole = ([()] if intercept else []) + terms
    if not whole:
        refuse(text, tree.right.at, "nothing stands right of '~': neither a term nor an intercept")
    return Expanded(text, tree.left, tuple(whole), algebra.factors, tuple(algebra.notes))


@dataclass(frozen=True)
class _Set:
    """Some terms in order, each by the set of its factors, and what was said of the intercept."""

    terms: dict[frozenset[str], Term]
    intercept: bool | None = None


class _Algebra:
    """Evaluates a tree to a set of terms."""

    def __init__(self, text: str, others: Sequence[str]) -> None:
        self.text, self.others = text, others
        self.factors: dict[str, Node] = {}
        self.notes: list[str] = []

    def of(self, node: Node) -> _Set:
        if isinstance(node, Binary):
            if node.operator in "+-":
                return self._sum(node)
            work = {
                "*": self._crossed,
                "/": self._nested,
                ":": self._product,
                "%in%": self._product,
            }
            if node.operator == "^":
                return self._power(node)
            if node.operator in work:
                return self._limited(
                    node, work[node.operator](node, self.of(node.left), self.of(node.right))
                )
            refuse(
                self.text,
                node.at,
                f"{node.operator!r} compares numbers: write I(a {node.operator} b)",
            )
        if isinstance(node, Sign):
            inner = self.of(node.operand)
            return inner if node.operator == "+" else self._less(_Set({}), inner)
        if isinstance(node, Number):
            if node.value not in (0.0, 1.0):
                refuse(
                    self.text,
                    node.at,
                    "a number other than 0 and 1 is no term; write I(2*x) to scale",
                )
            return _Set({frozenset(): ()}, True) if node.value else _Set({}, False)
        if isinstance(node, Text):
            refuse(
                self.text,
                node.at,
                "a text in quotation marks is no term; a column stands in backticks",
            )
        if isinstance(node, Name) and node.name == ".":
            return self._joined([self._factor(Name(node.at, name)) for name in self.others])
        if isinstance(node, (Name, Call)):
            return self._factor(node)
        refuse(self.text, node.at, "a list is no term")

    def _factor(self, node: Node) -> _Set:
        key = unparse(node)
        self.factors.setdefault(key, node)
        return _Set({frozenset([key]): (key,)})

    def _sum(self, node: Binary) -> _Set:
        # A long sum leans to the left: it is walked, not recursed into.
        steps: list[Binary] = []
        left: Node = node
        while isinstance(left, Binary) and left.operator in "+-":
            steps.append(left)
            left = left.left
        found = self.of(left)
        for step in reversed(steps):
            right = self.of(step.right)
            found = (
                self._joined([found, right]) if step.operator == "+" else self._less(found, right)
            )
            self._limited(step, found)
        return found

    @staticmethod
    def _joined(sets: Iterable[_Set]) -> _Set:
        terms: dict[frozenset[str], Term] = {}
        intercept = None
        for each in sets:
            for key, term in each.terms.items():
                terms.setdefault(key, term)
            if each.intercept is False:
                terms.pop(frozenset(), None)
            intercept = intercept if each.intercept is None else each.intercept
        return _Set(terms, intercept)

    @staticmethod
    def _less(left: _Set, right: _Set) -> _Set:
        """Without the terms of ``right``; ``- 1`` takes the intercept away and ``- 0`` restores
        it.
        """
        kept = {k: t for k, t in left.terms.items() if k not in right.terms}
        if right.intercept is None:
            return _Set(kept, left.intercept)
        return _Set(kept, not right.intercept)

    def _product(self, node: Node, left: _Set, right: _Set) -> _Set:
        for side in (left, right):
            if side.intercept is False:
                refuse(
                    self.text,
                    node.at,
                    "0 and -1 say that there is no intercept; they cannot be crossed",
                )
        terms: dict[frozenset[str], Term] = {}
        for one in left.terms.values():
            for other in right.terms.values():
                term = (*one, *(f for f in other if f not in one))
                terms.setdefault(frozenset(term), term)
            if len(terms) > MOST_TERMS:
                break
        return _Set(terms)

    def _crossed(self, node: Node, left: _Set, right: _Set) -> _Set:
        return self._joined([left, right, self._product(node, left, right)])

    def _nested(self, node: Node, left: _Set, right: _Set) -> _Set:
        """a/b: b within every combination of the left side's factors."""
        all_of_left = tuple(dict.fromkeys(f for term in left.terms.values() for f in term))
        within = self._product(node, _Set({frozenset(all_of_left): all_of_left}), right)
        return self._joined([left, within])

    def _power(self, node: Binary) -> _Set:
        if not isinstance(node.right, Number) or not 1 <= node.right.value <= _HIGHEST_POWER:
            refuse(
                self.text,
                node.right.at,
                f"expected a whole number from 1 to {_HIGHEST_POWER} after '^'",
            )
        if not node.right.value.is_integer():
            refuse(self.text, node.right.at, "expected a whole number after '^'")
        base = self.of(node.left)
        if len(base.terms) == 1 and node.right.value > 1:
            power = unparse(node)
            self.notes.append(
                f"{power} crosses a term with itself, which is the term; for a power of the "
                f"numbers write I({power})"
            )
        found = base
        for _ in range(int(node.right.value) - 1):
            # Each step adds the products with one more factor; the smaller ones stay.
            found = self._limited(node, self._product(node, found, base))
        return found

    def _limited(self, node: Node, found: _Set) -> _Set:
        if len(found.terms) > MOST_TERMS:
            refuse(self.text, node.at, f"the formula has more than {MOST_TERMS:,} terms")
        return found


def only_columns(text: str, columns: Sequence[str]) -> bool:
    """Whether every name right of ``~`` is a column, so that there is no parameter to fit but
    those of terms.

    Names inside the options of a call, as ``sum`` in ``C(g, sum)``, do not count. False where the
    text is no formula of terms.

    Examples
    --------
    >>> only_columns("y ~ a*b + C(g, sum)", ["y", "a", "b", "g"])
    True
    >>> only_columns("y ~ k*a", ["y", "a"])
    False
    """
    try:
        tree = parse(text)
    except FormulaError:
        return False
    if not isinstance(tree, Binary) or tree.operator != "~":
        return False
    known = set(columns)
    waiting, named = [tree.right], False
    while waiting:
        node = waiting.pop()
        if isinstance(node, Name):
            named = True
            if node.name not in known and node.name != ".":
                return False
        with_options = isinstance(node, Call) and node.function in (
            "C",
            "poly",
            "bs",
            "ns",
            "cr",
            "cs",
        )
        waiting.extend(children(node)[:1] if with_options else children(node))
    return named
