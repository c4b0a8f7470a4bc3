"""The page's folder of runs, whoever wrote into it."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("uvicorn", reason="the page needs the extra 'page'")

from fuzzing import edited
from visiting import serving

from halfsquare.web.kept import numbers_in, read_runs


def test_what_a_folder_keeps_is_read_by_its_types_or_passed_over(tmp_path: Path) -> None:
    """Of edited files one in four ended every page in an error of the program."""
    folder = tmp_path / "runs"
    with serving(folder=folder) as own:
        own.start(method="gradient", column=["area", "rooms"])
        own.wait("done")
        path = folder / "run-1.json"
        for _ in range(200):
            if path.is_file():
                break
            time.sleep(0.05)
        whole, random = json.loads(path.read_text()), np.random.default_rng(0)
        runs, read = own.workspace.runs, 0
        largest = {**whole, "curves": [{**whole["curves"][0], "points": [[0, 1.7e308, 1.0, None]]}]}
        for case in (
            *(edited(whole, random) for _ in range(60)),
            "x" * 9,
            [[]] * 9,
            largest,
            whole,
        ):
            path.write_text(json.dumps(case))
            runs._runs.clear()
            runs.restore(own.workspace.store.find)
            shown = ["/train", *(f"/train/runs/{run.number}" for run in runs.all())]
            read += len(shown) - 1
            assert {own.ask(page)[0].status for page in shown} == {200}
        assert len(shown) == 2 and 2 <= read < 40
        path.write_text("[" * 100_000)
        (folder / "run-4.json").mkdir()
        os.mkfifo(folder / "run-5.json")
        assert read_runs(folder) == []
        assert numbers_in(folder) == [1, 4, 5]
