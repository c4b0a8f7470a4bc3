"""Reaching a cluster, or starting one on this machine; Dask's own log messages are held back
meanwhile.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from importlib import import_module
from typing import Any

from halfsquare.cluster.cluster import Cluster
from halfsquare.errors import ClusterError, LimitError, OptionError
from halfsquare.files.private import private_folder

# The processes of this machine tell nothing of themselves by HTTP, as Dask's else do to anybody.
_NO_PAGES: dict[str, Any] = {
    "distributed.scheduler.http.routes": [],
    "distributed.worker.http.routes": [],
}
_REACH_SECONDS = 5
_WORKERS_SECONDS = 10
_FILES, _FILES_A_WORKER = 64, 8  # that may have to be open at once
_QUIET = {
    "logging.distributed": "critical",
    "distributed.admin.large-graph-warning-threshold": "1TB",  # masks are large, and are sent once
    "distributed.scheduler.allowed-failures": 7,  # of eight workers in a row
}


@contextmanager
def connect(address: str) -> Iterator[Cluster]:
    """The cluster at ``tcp://HOST:PORT``, or ``local:N``: N processes of this machine, ended with
    the context.

    A program that starts ``local:N`` needs ``if __name__ == "__main__":`` around what it does, as
    with all of Python's processes.

    Raises
    ------
    OptionError
        If the address is neither, or the extra ``cluster`` is not installed.
    ClusterError
        If no scheduler answers there within seconds, or it has no workers.
    """
    local = re.fullmatch(r"local:([1-9]\d{0,2})", address)
    if not local and not re.fullmatch(r"(tcp|tls)://\S+:\d{1,5}", address):
        raise OptionError(
            f"the cluster is {address!r}; expected tcp://HOST:PORT, or local:N for N processes here"
        )
    try:
        import dask

        distributed: Any = import_module("distributed")
    except ModuleNotFoundError as problem:
        raise OptionError(
            f"a cluster needs the package {problem.name}: pip install 'halfsquare[cluster]'"
        ) from None
    with ExitStack() as stack:
        stack.enter_context(
            dask.config.set({**_QUIET, "distributed.comm.timeouts.connect": f"{_REACH_SECONDS}s"})
        )
        stack.enter_context(_silent())
        if local:
            client = _started(distributed, int(local[1]), stack)
        else:
            try:
                client = distributed.Client(address, timeout=_REACH_SECONDS, set_as_default=False)
            except (OSError, TimeoutError, ValueError) as problem:
                raise ClusterError(
                    f"no scheduler answers at {address} ({_reason(problem)}). Is `dask "
                    "scheduler` running there?"
                ) from None
        stack.callback(client.close)
        try:
            client.wait_for_workers(1, timeout=_WORKERS_SECONDS)
        except TimeoutError:
            raise ClusterError(
                f"the scheduler at {address} has no workers: start `dask worker {address}`"
            ) from None
        yield Cluster(client)


def _started(distributed: Any, workers: int, stack: ExitStack) -> Any:
    """Processes that take orders from who has the key of this run alone.

    They listen on loopback, where every user of the machine could knock: all that is said goes
    through TLS, and both sides show a certificate that is made now, for this run, and lies in the
    memory of these processes and nowhere else.
    """
    import dask

    _require_files(workers)
    stack.enter_context(dask.config.set(_NO_PAGES))
    folder = stack.enter_context(private_folder())
    try:
        processes = distributed.LocalCluster(
            n_workers=workers,
            threads_per_worker=1,
            processes=True,
            security=distributed.Security.temporary(),
            host="127.0.0.1",
            scheduler_kwargs={"dashboard": False, "dashboard_address": "127.0.0.1:0"},
            memory_limit=0,
            silence_logs=logging.CRITICAL,
            local_directory=str(folder),
        )
    except (OSError, RuntimeError) as problem:
        raise ClusterError(
            f"{workers} processes could not be started here: {_reason(problem)}"
        ) from None
    except ImportError as problem:
        raise OptionError(
            f"a cluster on this machine needs the package {problem.name or 'cryptography'}: "
            "pip install 'halfsquare[cluster]'"
        ) from None
    stack.callback(processes.close)
    client = distributed.Client(processes, set_as_default=False)

    class Undisturbed(distributed.WorkerPlugin):  # type: ignore[misc]
        """Ctrl-C at the terminal reaches all processes; it is meant for the driver alone."""

        def setup(self, worker: Any) -> None:
            import signal
            from threading import current_thread, main_thread

            if current_thread() is main_thread():
                signal.signal(signal.SIGINT, signal.SIG_IGN)

    client.register_plugin(Undisturbed())
    return client


def _require_files(workers: int) -> None:
    """Refuse where the limit on open files would end the processes in the middle of something."""
    import resource

    needed = _FILES + _FILES_A_WORKER * workers
    allowed, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if allowed != resource.RLIM_INFINITY and allowed < needed:
        raise LimitError(
            f"{allowed} files may be open at once (ulimit -n), and {workers} processes of a "
            f"cluster need {needed}. Raise the limit, or fit without a cluster"
        )


def _reason(problem: Exception) -> str:
    text = str(problem.__cause__ or problem).strip().splitlines() or [type(problem).__name__]
    return text[-1][:200]


@contextmanager
def _silent() -> Iterator[None]:
    """What Dask logs of workers that come and go is told by us, where it matters."""
    voices = ("distributed", "tornado", "asyncio")
    names = {*voices, *(n for n in logging.root.manager.loggerDict if n.split(".")[0] in voices)}
    loggers = [logging.getLogger(name) for name in sorted(names)]
    before = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        for logger, level in zip(loggers, before, strict=True):
            logger.setLevel(level)
