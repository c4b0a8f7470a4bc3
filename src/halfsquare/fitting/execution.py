"""Where rows are read and summed: on this machine or on a cluster."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

from halfsquare.data.roles import Roles
from halfsquare.data.scan import Scanned, scan
from halfsquare.data.source import Source
from halfsquare.data.spec import Progress
from halfsquare.data.splits import Split
from halfsquare.errors import OptionError
from halfsquare.parallel.base import Execution
from halfsquare.parallel.threads import Local

if TYPE_CHECKING:
    from halfsquare.cluster.cluster import Cluster


@contextmanager
def execution_at(cluster: str | Cluster | None, threads: int | None) -> Iterator[Execution]:
    """This machine, a cluster that is given, or one that is reached by its address and left
    afterwards.

    Raises
    ------
    ClusterError
        If it cannot be reached.
    """
    if cluster is None:
        yield Local(threads)
    elif isinstance(cluster, str):
        from halfsquare.cluster.connect import connect

        with connect(cluster) as reached:
            yield reached
    else:
        yield cluster


def require_for_cluster(
    method: str | None, data: Any, split: str | None = None, folds: int | None = None
) -> None:
    """Refuse what a cluster cannot do, before it is reached.

    Raises
    ------
    OptionError
    """
    from halfsquare.cluster.parts import require_files

    if method == "minibatch":
        raise OptionError(
            "mini-batches are not for a cluster: every one of very many small steps would "
            "wait for the network. "
            "Leave the method out: second-order descent needs some tens of rounds"
        )
    if folds is not None or Split.read(split or "random").kind != "random":
        asked = f"--folds {folds}" if folds is not None else f"--split {split}"
        raise OptionError(
            f"{asked} is not for a cluster: there rows are set apart at random while they are "
            "read. Leave it out, or fit on one machine"
        )
    require_files(data)


def scan_at(
    execution: Execution,
    source: Source,
    roles: Roles,
    test_fraction: float,
    seed: int,
    progress: Progress | None,
    *,
    products: bool = False,
) -> Scanned:
    """Read the rows where they are going to be summed; see :func:`halfsquare.data.scan.scan`."""
    read: Callable[..., Scanned] = scan
    if not isinstance(execution, Local):
        from halfsquare.cluster.cluster import Cluster
        from halfsquare.cluster.shared import scan_shared

        assert isinstance(execution, Cluster)
        read = partial(scan_shared, execution)
    return read(
        source, roles, test_fraction=test_fraction, seed=seed, products=products, progress=progress
    )
