"""Where a fit reads its rows and sums over them: on this machine, or on the workers of a cluster."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from halfsquare.data.columns import Roles
from halfsquare.data.scan import Progress, Scanned, scan
from halfsquare.data.source import Source
from halfsquare.errors import OptionError
from halfsquare.execution.base import Execution
from halfsquare.execution.local import Local

if TYPE_CHECKING:
    from halfsquare.execution.cluster import Cluster


@contextmanager
def place(cluster: str | Cluster | None, threads: int | None) -> Iterator[Execution]:
    """This machine, a cluster that is given, or one that is reached by its address and left afterwards.

    Raises
    ------
    ClusterError
        If it cannot be reached.
    """
    if cluster is None:
        yield Local(threads)
    elif isinstance(cluster, str):
        from halfsquare.execution.connect import connect

        with connect(cluster) as reached:
            yield reached
    else:
        yield cluster


def require_for_cluster(method: str | None, data: Any) -> None:
    """Refuse what a cluster cannot do, before it is reached.

    Raises
    ------
    OptionError
    """
    from halfsquare.data.parts import require_files

    if method == "minibatch":
        raise OptionError(
            "mini-batches are not for a cluster: every one of very many small steps would wait for the network. "
            "Leave the method out: second-order descent needs some tens of rounds"
        )
    require_files(data)


def scan_at(
    execution: Execution, source: Source, roles: Roles, test_fraction: float, seed: int, progress: Progress | None
) -> Scanned:
    """Read the rows where they are going to be summed; see :func:`halfsquare.data.scan.scan`."""
    if isinstance(execution, Local):
        return scan(source, roles, test_fraction=test_fraction, seed=seed, progress=progress)
    from halfsquare.data.shared import scan_shared
    from halfsquare.execution.cluster import Cluster

    assert isinstance(execution, Cluster)
    return scan_shared(execution, source, roles, test_fraction=test_fraction, seed=seed, progress=progress)
