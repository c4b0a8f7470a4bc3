"""A scanned table cut anew into rows to train on and rows set apart, without another reading."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import NamedTuple, final

import numpy as np
import numpy.typing as npt

from halfsquare.data.cut import order_in_chunk
from halfsquare.data.roles import Roles
from halfsquare.data.scan import Scanned
from halfsquare.data.splits import TEST, TRAIN, Parts, Units
from halfsquare.data.statistics import Pair, merged, statistics_of
from halfsquare.data.table import Table
from halfsquare.loss import Floats
from halfsquare.parallel.base import Execution
from halfsquare.parallel.tree import Tree

Order = npt.NDArray[np.intp]


@final
@dataclass(frozen=True, init=False)
class RecutTable(Table):
    """The chunks of ``table`` in other orders: the rows to train on first, then those set apart;
    others are not there. ``weights``, if given, are those of each chunk's rows, which stand in raw
    row ``weight_row``.
    """

    table: Table
    orders: tuple[Order, ...]
    weights: tuple[Floats, ...] | None
    weight_row: int

    def __init__(
        self,
        table: Table,
        orders: tuple[Order, ...],
        train_sizes: list[int],
        weights: tuple[Floats, ...] | None = None,
        weight_row: int = 0,
    ) -> None:
        for name, value in {
            "table": table,
            "orders": orders,
            "weights": weights,
            "weight_row": weight_row,
            "sizes": [len(order) for order in orders],
            "train_sizes": train_sizes,
        }.items():
            object.__setattr__(self, name, value)

    @property
    def here(self) -> bool:
        """Whether its chunks lie on this machine."""
        return self.table.here

    def read(self, index: int) -> Floats:
        """Chunk ``index`` (columns, m)."""
        found: Floats = np.take(self.table.read(index), self.orders[index], axis=1)
        if self.weights is not None:
            found[self.weight_row] = self.weights[index]
        return found


class NewOrder(NamedTuple):
    """Which rows (m,) of a chunk come in which order, how many of them are for training, and their
    weights (m,) where these are others than before.
    """

    order: Order
    train_rows: int
    weights: Floats | None = None


class Reordered(NamedTuple):
    """A scan in another order, and its table."""

    table: RecutTable
    scanned: Scanned


def source_order(scanned: Scanned, index: int, seed: int) -> Order:
    """Where the rows of a chunk stood among those of the source's stretch."""
    if scanned.orders is not None:
        return scanned.orders[index]
    return order_in_chunk(seed, index, scanned.table.sizes[index], scanned.table.train_sizes[index])


def numbers_in_source(scanned: Scanned, seed: int) -> Order:
    """The number (n,) of each row of the table among the rows of the source that count."""
    base = scanned.table
    while isinstance(base, RecutTable):
        base = base.table
    starts = np.cumsum([0, *base.sizes])
    found = [starts[i] + source_order(scanned, i, seed) for i in range(len(base.sizes))]
    return np.concatenate([np.empty(0, dtype=np.intp), *found])


def recut(
    scanned: Scanned, parts: Parts, seed: int, execution: Execution, units: Units | None = None
) -> Scanned:
    """The scan with other parts.

    Parameters
    ----------
    parts : (n,)
        The part of each row, in the order of the table: ``TRAIN``, ``TEST``, or neither.
    seed : int
        By which rows were set apart before.
    units : Units, optional
        In the same order.
    """
    starts = np.cumsum([0, *scanned.table.sizes])

    def of(index: int) -> NewOrder:
        own = parts[starts[index] : starts[index + 1]]
        # Rows stand in the order of the source within each part.
        ranked = np.argsort(source_order(scanned, index, seed), kind="stable")
        order = np.concatenate([ranked[own[ranked] == part] for part in (TRAIN, TEST)])
        return NewOrder(order, int(np.count_nonzero(own == TRAIN)))

    found = reordered(scanned, of, seed, execution)
    at = [starts[i] + order for i, order in enumerate(found.table.orders)]
    every = np.concatenate([np.empty(0, dtype=np.intp), *at])
    return replace(found.scanned, units=None if units is None else units.at(every))


def reordered(
    scanned: Scanned, choose: Callable[[int], NewOrder], seed: int, execution: Execution
) -> Reordered:
    """The scan with the rows of each chunk in the order that is chosen for it, one after the other.

    ``seed``: that by which rows were set apart before.
    """
    chosen = [choose(index) for index in range(len(scanned.table.sizes))]
    weights = tuple(c.weights for c in chosen if c.weights is not None) or None
    again = RecutTable(
        scanned.table,
        tuple(c.order for c in chosen),
        [c.train_rows for c in chosen],
        weights,
        len(scanned.roles.targets),
    )
    products = scanned.train.products is not None
    train, test = part_statistics(again, scanned.roles, execution, products=products)
    sources = tuple(source_order(scanned, i, seed)[c.order] for i, c in enumerate(chosen))
    return Reordered(again, replace(scanned, table=again, train=train, test=test, orders=sources))


def part_statistics(table: Table, roles: Roles, execution: Execution, *, products: bool) -> Pair:
    """Of the rows to train on, and of those set apart; with ``products`` of columns if asked."""
    buffers = table.buffers if products else None

    def of(index: int) -> Pair:
        chunk, cut = table.read(index), table.train_sizes[index]
        parts = (chunk[:, :cut], chunk[:, cut:])
        train, test = (statistics_of(part, roles, buffers) for part in parts)
        return train, test

    tree: Tree[Pair] = Tree(merged)
    for pair in execution.map(of, len(table.sizes)):
        tree.push(pair)
    none = statistics_of(np.empty((len(roles.scanned), 0)), roles, buffers)
    return tree.total((none, none))
