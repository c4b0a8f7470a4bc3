"""What the rooms of one server share: its data, its training run, its model."""

from __future__ import annotations

from pathlib import Path

from halfsquare.fitted import FittedModel
from halfsquare.storage import load
from halfsquare.web.jobs import Jobs
from halfsquare.web.store import Store


class Workshop:
    """Made when the server starts, closed when it ends.

    Parameters
    ----------
    model, data : Path, optional
        What the server was started with; nothing else outside can be read through the page.

    Raises
    ------
    ModelFileError
        If the model cannot be read.
    """

    def __init__(self, model: Path | None = None, data: Path | None = None) -> None:
        self._given = None if model is None else (model.name, load(model))
        self.store = Store(data)
        self.jobs = Jobs()

    @property
    def models(self) -> dict[str, tuple[str, FittedModel]]:
        """By key the name and the model: the one just trained, and the one that was given."""
        found = {}
        job = self.jobs.last
        if job is not None and job.fitted is not None:
            found["trained"] = (f"{job.order.way}, just trained on {job.order.data.label}", job.fitted)
        if self._given is not None:
            found["given"] = self._given
        return found

    def close(self) -> None:
        """Stop what goes on, and leave no file behind."""
        self.jobs.close()
        self.store.close()
