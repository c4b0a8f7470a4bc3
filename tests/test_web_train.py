"""The room Train: the same model as the command line's, one run at a time, whatever becomes of the
tab.
"""

# ruff: noqa: F811 - tests name fixtures as their arguments
from __future__ import annotations

import http.client
import json
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlencode

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("starlette", reason="the page needs the extra 'page'")
pytest.importorskip("uvicorn", reason="the page needs the extra 'page'")

from visiting import Visitor, fresh, rows, visitor  # noqa: F401 - fixtures

from halfsquare import load
from halfsquare.parallel.threads import Local
from halfsquare.results.evaluate import evaluate
from halfsquare.web.jobs import Gate
from halfsquare.web.watching import Way

if TYPE_CHECKING:
    from conftest import Ran

Command = Callable[..., "Ran"]


WAYS: dict[str, tuple[dict[str, str], list[str]]] = {
    "linear": ({}, ["-t", "y", "--model", "linear", "--method", "least-squares"]),
    "gradient": ({}, ["-t", "y", "--model", "linear", "--method", "gradient"]),
    "minibatch": ({}, ["-t", "y", "--model", "linear", "--method", "minibatch"]),
    # the command line has one thread for it, the page all there are
    "network": (
        {"column": "x"},
        ["-t", "y", "--model", "network", "--features", "x", "--threads", "1"],
    ),
    "formula": (
        {"formula": "y ~ a*tanh(b*x)", "start": "a=1, b=0.5"},
        ["--formula", "y ~ a*tanh(b*x)", "--start", "a=1,b=0.5"],
    ),
}


@pytest.mark.parametrize("way", WAYS)
def test_the_downloaded_model_predicts_as_the_command_lines_does_to_the_last_bit(
    way: str, fresh: Visitor, rows: Path, command: Command, tmp_path: Path
) -> None:
    fields, options = WAYS[way]
    status, told = fresh.upload(rows.read_bytes())
    assert status == 200
    form = {"column": ["x", "kind", "when", "y"], **fields}
    assert fresh.start(data=told["data"], target="y", way=way, **form) == 303
    fresh.wait("done", "failed")
    reply, model = fresh.ask("/train/run/model.hsq")
    assert reply.getheader("content-disposition") == 'attachment; filename="y.hsq"'
    (tmp_path / "page.hsq").write_bytes(model)
    assert command("fit", rows, *options, "--out", tmp_path / "line.hsq").code == 0
    page, line = load(tmp_path / "page.hsq"), load(tmp_path / "line.hsq")
    for ours, theirs in zip(
        page.predict(rows, return_std=True), line.predict(rows, return_std=True), strict=True
    ):
        assert ours.tobytes() == theirs.tobytes()
    assert page.info["data"] == "rows.csv"
    assert page.info["test"] == line.info["test"]


def test_paused_stepped_and_resumed_it_is_the_same_model(fresh: Visitor) -> None:
    fresh.start(way="gradient", column=["area", "rooms"], pace="step")
    fresh.wait("paused")
    assert fresh.standing == "paused"
    for step in (2, 3, 4):
        fresh.act("step")
        for _ in range(100):
            if fresh.job.look.iteration == step and fresh.job.standing == "paused":
                break
            time.sleep(0.02)
        assert fresh.job.look.iteration == step
    assert fresh.act("fast") == {
        "pause": True,
        "resume": False,
        "step": True,
        "fast": False,
        "stop": True,
    }
    fresh.wait("done")
    stepped = fresh.job.fitted
    fresh.start(way="gradient", column=["area", "rooms"])
    fresh.wait("done")
    assert (
        fresh.job.fitted.members[0].parameters.tobytes() == stepped.members[0].parameters.tobytes()
    )
    losses = [loss for _, loss, _ in fresh.job.watcher.ways()[0].points]
    assert len(losses) > 4
    assert losses == sorted(losses, reverse=True)


def test_stopped_it_keeps_the_best_so_far_and_measures_that(fresh: Visitor) -> None:
    fresh.start(way="gradient", column=["area", "rooms"], pace="step")
    fresh.wait("paused")
    fresh.act("step")
    assert fresh.act("stop")["stop"] is False
    fresh.wait("done")
    fitted = fresh.job.fitted
    assert fitted.info["reason"] == "stopped: interrupted"
    assert fitted.info["refit"] is False
    whole = evaluate(fitted, str(fresh.job.order.data.make())).as_dict()
    both = fitted.info["train"]["sse"] + fitted.info["test"]["sse"]
    assert whole["sse"] == pytest.approx(both, rel=1e-9)
    assert "best so far" in fresh.page("/train/run")


def test_a_stopped_ensemble_leaves_out_those_that_had_not_begun(fresh: Visitor) -> None:
    fresh.start(way="network", column=["area", "rooms"], pace="step")
    fresh.wait("paused")
    for _ in range(12):
        fresh.act("step")
        time.sleep(0.05)
    fresh.act("stop")
    fresh.wait("done")
    assert 1 <= len(fresh.job.fitted.members) <= Local().workers
    assert fresh.job.fitted.test["r2"] > 0.3


def test_there_is_one_run_at_a_time(fresh: Visitor) -> None:
    fresh.start(way="gradient", column=["area"], pace="step")
    fresh.wait("paused")
    first = fresh.job
    body = urlencode(
        {"data": "houses", "target": "price", "way": "linear", "pace": "full", "column": "area"}
    )
    reply, said = fresh.ask("/train/start", body, Content_Type="application/x-www-form-urlencoded")
    assert reply.status == 409
    assert "One training run at a time" in said.decode()
    assert fresh.job is first
    first.end()
    assert fresh.start(way="linear", column=["area"]) == 303


def test_a_closed_tab_does_not_lose_the_run(fresh: Visitor) -> None:
    fresh.start(way="gradient", column=["area"], pace="step")
    fresh.wait("paused")
    connection = http.client.HTTPConnection(fresh.host, timeout=10)
    connection.request("GET", "/train/run/events", headers=fresh.headers)
    assert connection.getresponse().readline().startswith(b"data: ")
    connection.close()
    reply, _ = fresh.ask("/train")
    assert (reply.status, reply.getheader("location")) == (303, "/train/run")
    assert fresh.standing == "paused"
    fresh.act("fast")
    fresh.wait("done")
    assert 'id="rmse"' in fresh.page("/train/run")


def test_events_tell_the_descent_and_that_it_is_over(fresh: Visitor) -> None:
    fresh.start(way="gradient", column=["area", "rooms"], pace="slow")
    fresh.wait("descending", "done")
    reply, content = fresh.ask("/train/run/events")
    assert reply.getheader("content-type").startswith("text/event-stream")
    events = [
        json.loads(line[6:]) for line in content.decode().splitlines() if line.startswith("data: ")
    ]
    assert [e["over"] for e in events] == [False] * (len(events) - 1) + [True]
    data = events[-2]["data"]
    assert {"way", "here", "i", "loss", "norm"} == set(data["ways"][0])
    assert [w["name"] for w in data["weights"]] == ["intercept", "area", "rooms"]
    assert data["rows"]
    assert all(row["side"] == np.sign(row["o"] - row["t"]) for row in data["rows"])
    assert 'id="loss"' in events[-2]["html"]


def test_least_squares_ends_at_once_and_says_so(fresh: Visitor) -> None:
    fresh.start(way="linear", column=["area", "rooms"])
    fresh.wait("done")
    text = fresh.page("/train/run")
    assert "Solved at once" in text
    assert 'data-spec="way-spec"' not in text
    assert 'data-spec="weights-spec"' in text


def test_what_cannot_be_trained_says_why_and_where(fresh: Visitor) -> None:
    status, told = fresh.upload(b"x,y\n1,2\n2,oh\n3,4\n", "<b>bad</b>.csv")
    assert status == 200
    assert fresh.start(data=told["data"], target="y", way="linear", column=["x"]) == 303
    fresh.wait("failed")
    text = fresh.page("/train/run")
    assert "found &#39;oh&#39; in row 2" in text
    assert "<b>bad" not in text
    assert "/tmp" not in text.replace("</", "")
    assert "Choose again" in text


@given(st.integers(1, 3000), st.integers(0, 5))
def test_a_long_way_down_is_thinned_and_keeps_both_ends(steps: int, first: int) -> None:
    way = Way(1, 0)
    for i in range(first, first + steps):
        way.add(i, 1.0 / (i + 1), 1.0)
    iterations = [i for i, _, _ in way.points]
    assert iterations == sorted(set(iterations))
    assert len(iterations) <= 301
    assert iterations[-1] == first + steps - 1
    assert iterations[0] <= first + way.every
    gaps = np.diff(iterations[:-1])
    assert (
        gaps.size == 0 or gaps.min() == gaps.max() or way.every == 1 or gaps.max() <= 2 * way.every
    )


def test_the_gate_lets_each_of_several_through_once_for_every_step_asked_for() -> None:
    gate, passed = Gate("step"), [0, 0]

    def descend(member: int) -> None:
        with suppress(KeyboardInterrupt):
            while True:
                gate.pass_through()
                passed[member] += 1

    threads = [threading.Thread(target=descend, args=(m,), daemon=True) for m in (0, 1)]
    for thread in threads:
        thread.start()
    for step in (1, 2, 3):
        time.sleep(0.1)
        gate.one_step()
        time.sleep(0.1)
        assert passed == [step, step]
    assert gate.paused
    gate.stop()
    for thread in threads:
        thread.join(5)
        assert not thread.is_alive()
    assert passed == [3, 3]
