"""Who pulls which weight up or down, and how hard: the gradient, told row by row.

The gradient is a sum over rows, so it splits into the rows that pull a parameter up (their part is
negative: descent moves against it, which raises the parameter), those that pull it down, and the
penalty:

    gradient  =  up  +  down  +  penalty

At the optimum the three cancel. What a row pulls at is said in :mod:`halfsquare.explain.levers`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from halfsquare.data.reading import ReadBatch, open_for
from halfsquare.data.spec import DataSpec
from halfsquare.errors import DataError, OptionError
from halfsquare.explain.levers import Levers, levers
from halfsquare.loss import Convention, Direction, Floats, direction, sse_factor
from halfsquare.results.fitted import FittedModel
from halfsquare.results.influence import Influence, InfluenceSums, Top, influence_of
from halfsquare.results.weighed_rows import weighed_rows

# Pulls whose sum is below this share of them cancel: nothing but rounding and the end of a descent
# is left.
BALANCED = 1e-6
_BATCH_NUMBERS = 1 << 21


@dataclass(frozen=True)
class RowPull:
    """One row's pull on a parameter; ``row`` from 1, ``error`` o - t (NaN where several outputs are
    moved).
    """

    row: int
    pull: float
    error: float


@dataclass(frozen=True)
class Pull:
    """The pulls on one parameter; all are parts of the gradient, so negative ones raise it.

    Attributes
    ----------
    up, down : float
        The rows' total pull up (≤ 0) and down (≥ 0).
    rows_up, rows_down : int
        How many rows pull each way.
    penalty, gradient : float
        ``gradient = up + down + penalty``.
    strength : float
        (down - up) × the typical change of the parameter: comparable between parameters.
    hardest : tuple of RowPull
        The rows that pull hardest; ``others`` is the sum of all the other rows.
    """

    name: str
    value: float
    up: float
    down: float
    rows_up: int
    rows_down: int
    penalty: float
    gradient: float
    strength: float
    hardest: tuple[RowPull, ...]
    others: float

    @property
    def balanced(self) -> bool:
        """Whether the pulls cancel."""
        return abs(self.gradient) <= BALANCED * (self.down - self.up + abs(self.penalty))

    @property
    def direction(self) -> Direction:
        """What descent does to the parameter; ``stay`` where the pulls cancel."""
        return "stay" if self.balanced else direction(self.gradient)

    def as_dict(self) -> dict[str, Any]:
        """JSON values."""
        told = {k: v for k, v in vars(self).items() if k != "hardest"}
        return {**told, "direction": self.direction, "hardest": [vars(r) for r in self.hardest]}


@dataclass(frozen=True)
class Pulls:
    """All parameters' pulls on some rows; for linear models also the rows' influence."""

    rows: int
    weight: float
    missing_target: int
    sse: float
    loss: Convention
    about: str
    parameters: tuple[Pull, ...]
    influence: Influence | None

    @property
    def balanced(self) -> bool:
        """Whether these rows hold every parameter where it is."""
        return all(p.balanced for p in self.parameters)

    def as_dict(self) -> dict[str, Any]:
        """JSON values."""
        told = {
            k: getattr(self, k)
            for k in ("rows", "weight", "missing_target", "sse", "loss", "about", "balanced")
        }
        influence = None if self.influence is None else self.influence.as_dict()
        return {
            **told,
            "parameters": [p.as_dict() for p in self.parameters],
            "influence": influence,
        }


@dataclass(frozen=True)
class PullSums:
    """Running sums over rows: what pulls up, what pulls down, and the rows that pull hardest."""

    weight: float
    sse: float
    up: Floats  # (q,)
    down: Floats
    rows_up: npt.NDArray[np.intp]
    rows_down: npt.NDArray[np.intp]
    rows: int
    top: Top

    @classmethod
    def zero(cls, count: int, kept: int) -> PullSums:
        none, no_rows = np.zeros(count), np.zeros(count, dtype=np.intp)
        return cls(0.0, 0.0, none, none, no_rows, no_rows, 0, Top.zero(count, kept))

    def add(
        self, rows: npt.NDArray[np.intp], pulls: Floats, errors: Floats, weight: Floats, which: Any
    ) -> PullSums:
        """With rows numbered ``rows`` (m,) added: weighted ``pulls`` (m, q), ``errors`` (m, k),
        ``weight`` (m,).
        """
        own = [np.full(len(errors), np.nan) if j is None else errors[:, j] for j in which]
        return PullSums(
            self.weight + float(weight.sum()),
            self.sse + float(np.einsum("n,nk,nk->", weight, errors, errors)),
            self.up + np.minimum(pulls, 0.0).sum(axis=0),
            self.down + np.maximum(pulls, 0.0).sum(axis=0),
            self.rows_up + (pulls < 0).sum(axis=0),
            self.rows_down + (pulls > 0).sum(axis=0),
            self.rows + int(np.count_nonzero(weight)),
            self.top.add(rows, pulls, own),
        )

    def finish(
        self, at: Levers, missing: int, loss: Convention, about: str, influence: Influence | None
    ) -> Pulls:
        """Every parameter's pulls, in the convention ``loss``."""
        factor = 2.0 * sse_factor(loss, len(at.fitted.encoder.targets), self.weight)
        penalty = at.penalty(self.weight)
        found = []
        for j, name in enumerate(at.names):
            hardest = tuple(RowPull(r, factor * p, e) for r, p, e in self.top.of(j))
            up, down, own = (factor * float(v[j]) for v in (self.up, self.down, penalty))
            found.append(
                Pull(
                    name,
                    float(at.values[j]),
                    up,
                    down,
                    int(self.rows_up[j]),
                    int(self.rows_down[j]),
                    own,
                    up + down + own,
                    (down - up) * float(at.scales[j]),
                    hardest,
                    up + down - sum(r.pull for r in hardest),
                )
            )
        return Pulls(
            self.rows, self.weight, missing, self.sse, loss, about, tuple(found), influence
        )


def explain_pulls(
    fitted: FittedModel,
    data: Any,
    *,
    loss: Convention = "half_sse",
    about: str = "zero",
    top: int = 5,
) -> Pulls:
    """The pulls of every row of ``data`` on every parameter, in one pass; memory does not grow with
    the rows.

    Parameters
    ----------
    data : rows, or a DataSpec of them
    loss : {"half_sse", "sse", "mse", "half_mse"}
        Whose gradient.
    about : {"zero", "mean"}
        Of a linear model: with "mean" every column is measured from its mean, so that a row pulls
        at a slope by how far it lies from the average row.
    top : int
        Rows kept for each parameter.

    Raises
    ------
    DataError
        If a column is missing or mistyped, or no row has a target.
    OptionError
        If ``top`` is negative, ``about`` or ``loss`` unknown.

    Examples
    --------
    >>> from halfsquare import fit
    >>> rows = {"x": [0.0, 1.0, 2.0, 3.0], "y": [0.0, 2.0, 1.0, 3.0]}
    >>> found = explain_pulls(fit(rows, "y", model="linear", test_fraction=0), rows)
    >>> slope = found.parameters[1]
    >>> round(slope.up, 6), round(slope.down, 6), slope.direction
    (-1.8, 1.8, 'stay')

    Rows 2 and 4 pull the slope up, as hard as row 3 pulls it down: it stays.
    """
    if top < 0:
        raise OptionError(f"top is {top}; expected a number >= 0 of rows to keep")
    sse_factor(loss, 1, 1.0)
    at = levers(fitted, about)
    spec = DataSpec.of(data)
    source = open_for(fitted.encoder, spec)
    sums, missing = PullSums.zero(len(at.names), top), 0
    influence = InfluenceSums.of(fitted, top)
    batch_rows = int(min(16384, max(256, _BATCH_NUMBERS // max(1, len(at.names)))))
    for batch in weighed_rows(source, fitted, spec, batch_rows=batch_rows):
        rows, design, target, w = usable(batch)
        missing += len(batch.design) - len(rows)
        errors = at.errors(design, target)
        require_finite_errors(errors, rows, source.name)
        sums = sums.add(rows, at.pulls(design, errors) * w[:, None], errors, w, at.targets)
        influence = None if influence is None else influence.add(rows, design, errors, w)
        spec.told(batch.first_row + len(batch.design))
    if not sums.weight > 0:
        raise DataError(
            f"no row of {source.name} has both a target and a positive weight: nothing pulls"
        )
    return sums.finish(at, missing, loss, about, influence_of(influence))


def usable(batch: ReadBatch) -> tuple[npt.NDArray[np.intp], Floats, Floats, Floats]:
    """Of the rows that have a target and all that a formula needs: number from 1, design, target,
    weight.
    """
    assert batch.target is not None
    keep = ~(np.isnan(batch.target).any(axis=1) | np.isnan(batch.design).any(axis=1))
    weight: Floats = np.ones(len(batch.target)) if batch.weight is None else batch.weight
    return (
        np.flatnonzero(keep) + batch.first_row + 1,
        batch.design[keep],
        batch.target[keep],
        weight[keep],
    )


def require_finite_errors(errors: Floats, rows: npt.NDArray[np.intp], name: str) -> None:
    """Refuse errors (m, k) that are not finite, naming the row."""
    bad = ~np.isfinite(errors).all(axis=1)
    if bad.any():
        raise DataError(
            f"{name}, row {rows[np.argmax(bad)]}: the model's output or the target is not "
            "finite there"
        )
