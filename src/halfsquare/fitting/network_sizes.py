"""Which networks are worth trying on some rows, by each method."""

from __future__ import annotations

from collections.abc import Sequence

from halfsquare.data.rows import Rows
from halfsquare.models.network import Network

MANY_ROWS = 5000  # from here on both methods are tried, and fewer members suffice
VERY_MANY_ROWS = 500_000
_MOST_PARAMETERS = 800  # of a member for Levenberg-Marquardt: its steps cost p² a row and p³ once
_MOST_WORK = 2e10  # of one of its iterations, n p²
# Hidden units of a layer, the first that fits: few enough for the method, and for the rows to have
# a say in each parameter. Below the least the rows have no vote, the penalties see to that.
_WIDTHS, _LEAST_WIDTH = (16, 14, 12, 10, 8, 6, 5, 4), 6
_SHARE = 0.6  # parameters for each number in the target, at most


def networks_to_try(
    rows: Rows,
    hidden: Sequence[int] | None,
    activation: str | None,
    names: tuple[str, ...],
    method: str,
) -> dict[str, tuple[Network, ...]]:
    """The networks that members of each method alternate between; the methods that are worth
    trying.
    """
    n, first = rows.row_count, rows.chunk(0)
    inputs, targets = first.design.shape[1], first.target.shape[1]
    found: dict[str, tuple[Network, ...]] = {}
    if method != "minibatch":
        # Many rows have more to say than a very small network can: there mini-batches do better.
        least = 8 if method == "auto" and n >= MANY_ROWS else 1
        ladder = (
            [[(w, w), (3 * w // 4,) * 3] for w in _WIDTHS if w >= least]
            if hidden is None
            else [[tuple(hidden)]]
        )
        for shapes in ladder:
            made = tuple(
                Network(inputs, shape, targets, activation or "tanh", names) for shape in shapes
            )
            p = max(network.parameter_count for network in made)
            unsure = hidden is None and shapes[0][0] > _LEAST_WIDTH and p > _SHARE * n * targets
            dear = method == "auto" and (p > _MOST_PARAMETERS or n * targets * p**2 > _MOST_WORK)
            if not unsure and not dear:
                found["levenberg-marquardt"] = made
                break
    if method == "minibatch" or (method == "auto" and (n >= MANY_ROWS or not found)):
        shape = (128,) * 3 if hidden is None else tuple(hidden)
        found["minibatch"] = (Network(inputs, shape, targets, activation or "silu", names),)
    return found
