"""What travels with a fit: its random streams stand alone, its deadlines are shares of what is
left.
"""

from __future__ import annotations

import time
from itertools import product

import numpy as np
import pytest

from halfsquare.data.rows import ArrayRows
from halfsquare.files.records import from_json, to_json
from halfsquare.fitting.train_network import train_network
from halfsquare.solvers.base import Reason, Termination
from halfsquare.solvers.checkpointer import Checkpointer
from halfsquare.solvers.run import Run, Seed, Stream


def test_no_stream_is_that_of_another_seed_or_another_part() -> None:
    """Nor of another purpose: what is drawn at all paths of four seeds differs."""
    drawn = {
        Seed(seed).child(Stream.MEMBER, member).generator(purpose, turn).integers(1 << 62)
        for seed, member, purpose, turn in product(range(4), range(6), Stream, range(3))
    }
    assert len(drawn) == 4 * 6 * len(Stream) * 3


def test_a_stream_is_the_one_that_numpy_spawns() -> None:
    spawned = np.random.SeedSequence(5).spawn(3)[2].spawn(2)[1]
    assert (
        Seed(5).child(2).generator(1).random() == np.random.default_rng(spawned).random()
    )  # whatever was drawn before
    assert Seed(5).child(2, 1) == Seed(5).child(2).child(1)


@pytest.mark.parametrize("method", ["levenberg-marquardt", "minibatch"])
def test_a_member_does_not_draw_what_the_first_of_a_later_seed_draws(method: str) -> None:
    """With one member, and no step at all, the parameters are the start."""
    x = np.random.default_rng(0).normal(size=(60, 2))
    rows = ArrayRows(x, x[:, :1] * x[:, 1:])

    def starts(seed: int, members: int) -> list[np.ndarray]:
        run = Run(deadline=None, seed=Seed(seed), callback=_end)
        options = {"hidden": (3,), "method": method, "members": members}
        return [m.parameters for m in train_network(rows, run, **options)]  # type: ignore[arg-type]

    first, later = starts(1, 3), [starts(seed, 1)[0] for seed in (2, 3)]
    assert all(not np.array_equal(a, b) for a in first[1:] for b in later)
    np.testing.assert_array_equal(starts(1, 3)[0], starts(1, 1)[0])


def _end(state: object) -> None:
    raise KeyboardInterrupt


def test_shares_of_the_time_that_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "monotonic", lambda: 100.0)
    run = Run(deadline=110.0)
    assert not run.late and run.share(0.3).deadline == 103.0
    assert Run(deadline=100.0).late
    assert Run().share(0.3) == Run() and not Run().late


def test_the_names_of_parts_make_a_path() -> None:
    assert Run().at("measured", "sample").checkpointer == Checkpointer(None, "measured/sample")


def test_a_reason_says_what_was_measured_and_comes_back_from_json() -> None:
    end = Termination(Reason.SMALL_OFFSET, 1.25e-12)
    assert str(end) == "converged: relative offset 1.2e-12" and end.converged
    assert from_json(Termination, to_json(end)) == end
    assert not Termination(Reason.TIME_LIMIT).converged
    assert all(str(Termination(reason, 1.0)) for reason in Reason)
    assert len({reason.sentence for reason in Reason}) == len(Reason)
