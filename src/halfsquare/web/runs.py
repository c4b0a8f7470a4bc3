"""The training runs of the page: one after the other in threads of the server, whatever becomes of
the tab, and kept until they are removed.
"""

from __future__ import annotations

import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

from halfsquare.errors import HalfsquareError, OptionError
from halfsquare.web.kept import numbers_in, read_runs, remove_run, write_run
from halfsquare.web.run import Run, RunOptions


class Runs:
    """Every run of one server, and those that a folder keeps.

    Parameters
    ----------
    folder : Path or None
        Where finished runs are written; without one they end with the server.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder
        self._lock, self._turn = threading.Lock(), threading.Lock()
        self._runs: dict[int, Run] = {}
        self._last = 0

    def restore(self, find: Any) -> None:
        """Take up the runs of the folder; ``find`` gives the data set of a key, or None."""
        if self._folder is None:
            return
        for kept in read_runs(self._folder):
            self._runs[kept.number] = Run.restored(kept, find(kept.key))

    def all(self) -> list[Run]:
        """The runs, the latest first."""
        with self._lock:
            return [self._runs[number] for number in sorted(self._runs, reverse=True)]

    def get(self, number: int) -> Run:
        """The run of this number.

        Raises
        ------
        OptionError
            If there is none (any more).
        """
        with self._lock:
            run = self._runs.get(number)
        if run is None:
            raise OptionError(f"there is no run {number} here (any more): choose Train above")
        return run

    def start(self, asked: RunOptions) -> Run:
        """Begin a run, when those before it are over."""
        # A number that is taken stays so, whatever became of its files: no run writes over another.
        taken = [] if self._folder is None else numbers_in(self._folder)
        with self._lock:
            self._last = max([self._last, *taken]) + 1
            run = self._runs[self._last] = Run(self._last, asked, self._turn)
        run.begin()
        if self._folder is not None:
            threading.Thread(target=self._keep, args=(run, self._folder), daemon=True).start()
        return run

    def remove(self, number: int) -> None:
        """Forget a run, and what the folder keeps of it; one that goes on is stopped."""
        run = self.get(number)
        run.end()
        with self._lock:
            self._runs.pop(number, None)
        if self._folder is not None:
            remove_run(self._folder, number)

    def close(self) -> None:
        """Stop what goes on."""
        for run in self.all():
            run.controls.stop()
        for run in self.all():
            run.end()

    def _keep(self, run: Run, folder: Path) -> None:
        run.join()
        with self._lock:
            there = run.number in self._runs
        if there and run.fitted is not None:
            with suppress(HalfsquareError):  # the run itself is still here
                write_run(folder, run.kept())
