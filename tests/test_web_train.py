"""The page Train: the same model as the command line's, one run after the other, whatever becomes
of the tab.
"""

# ruff: noqa: F811 - tests name fixtures as their arguments
from __future__ import annotations

import http.client
import json
import re
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

from visiting import Visitor, fresh, rows, serving, visitor  # noqa: F401 - fixtures

from halfsquare import load
from halfsquare.parallel.threads import Local
from halfsquare.results.compare import compare
from halfsquare.results.evaluate import evaluate
from halfsquare.web.controls import Controls
from halfsquare.web.curves import Curve, Point
from halfsquare.web.held_out import sample
from halfsquare.web.snapshot import SHOWN_ROWS

if TYPE_CHECKING:
    from conftest import Ran

Command = Callable[..., "Ran"]


METHODS: dict[str, tuple[dict[str, str], list[str]]] = {
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


@pytest.mark.parametrize("method", METHODS)
def test_the_downloaded_model_predicts_as_the_command_lines_does_to_the_last_bit(
    method: str, fresh: Visitor, rows: Path, command: Command, tmp_path: Path
) -> None:
    fields, options = METHODS[method]
    status, told = fresh.upload(rows.read_bytes())
    assert status == 200
    form = {"column": ["x", "kind", "when", "y"], **fields}
    assert fresh.start(data=told["data"], target="y", method=method, **form) == 303
    fresh.wait("done", "failed")
    reply, model = fresh.ask(f"{fresh.run_path}/model.hsq")
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
    fresh.start(method="gradient", column=["area", "rooms"], paused="on")
    fresh.wait("paused")
    assert fresh.standing == "paused"
    for step in (1, 2, 3):  # from step 0
        fresh.act("step")
        for _ in range(100):
            if fresh.job.snapshot.iteration == step and fresh.job.standing == "paused":
                break
            time.sleep(0.02)
        assert fresh.job.snapshot.iteration == step
    assert fresh.act("pause") == {"going": True, "held": False, "label": "Pause"}
    fresh.wait("done")
    stepped = fresh.job.fitted
    fresh.start(method="gradient", column=["area", "rooms"])
    fresh.wait("done")
    assert (
        fresh.job.fitted.members[0].parameters.tobytes() == stepped.members[0].parameters.tobytes()
    )
    points = fresh.job.curves[0].points
    assert points[0][0] == 0  # the greatest fall is the first
    losses = [point.loss for point in points]
    assert len(losses) > 4
    assert losses == sorted(losses, reverse=True)


def test_stopped_it_keeps_the_best_so_far_and_measures_that(fresh: Visitor) -> None:
    fresh.start(method="gradient", column=["area", "rooms"], paused="on")
    fresh.wait("paused")
    fresh.act("step")
    assert fresh.act("stop")["going"] is False
    fresh.wait("done")
    fitted = fresh.job.fitted
    assert fitted.info["reason"] == "stopped: interrupted"
    assert fitted.info["refit"] is False
    whole = evaluate(fitted, str(fresh.job.asked.data.make())).as_dict()
    both = fitted.info["train"]["sse"] + fitted.info["test"]["sse"]
    assert whole["sse"] == pytest.approx(both, rel=1e-9)
    assert "best so far" in fresh.page(fresh.run_path)


def test_a_stopped_ensemble_leaves_out_those_that_had_not_begun(fresh: Visitor) -> None:
    fresh.start(method="network", column=["area", "rooms"], paused="on")
    fresh.wait("paused")
    for _ in range(12):
        fresh.act("step")
        time.sleep(0.05)
    fresh.act("stop")
    fresh.wait("done")
    assert 1 <= len(fresh.job.fitted.members) <= Local().workers
    assert fresh.job.fitted.test["r2"] > 0.3


def test_a_run_waits_for_the_one_before_it_and_discards_nothing(fresh: Visitor) -> None:
    fresh.start(method="gradient", column=["area"], paused="on")
    fresh.wait("paused")
    first = fresh.job
    assert fresh.start(method="linear", column=["area"]) == 303
    second = fresh.job
    assert second is not first and second.standing == "waiting"
    assert "Waiting for the run before it" in fresh.page(fresh.run_path)
    first.end()
    fresh.wait("done")
    assert first.fitted is not None and second.fitted is not None
    listed = fresh.page("/train")
    for run in (first, second):
        assert f'href="/train/runs/{run.number}"' in listed
        assert f'href="/predict?model=run-{run.number}"' in listed
    reply, _ = fresh.ask(f"/train/runs/{first.number}/remove", "")
    assert reply.status == 303
    assert f"/train/runs/{first.number}" not in fresh.page("/train")
    assert fresh.ask(f"/train/runs/{first.number}")[0].status == 400
    assert second.standing == "done"


def test_a_run_that_waits_can_be_stopped(fresh: Visitor) -> None:
    fresh.start(method="gradient", column=["area"], paused="on")
    fresh.wait("paused")
    first = fresh.job
    fresh.start(method="linear", column=["area"])
    fresh.act("stop")
    fresh.wait("ended")
    assert first.standing == "paused"
    first.end()


def test_two_runs_are_compared_on_the_same_rows(fresh: Visitor) -> None:
    numbers = []
    for columns in (["area", "rooms"], ["rooms"]):
        fresh.start(method="linear", column=columns)
        fresh.wait("done")
        numbers.append(fresh.job.number)
    page = fresh.page(f"/train/compare?run={numbers[0]}&run={numbers[1]}")
    assert f"Run {numbers[0]} errs less." in page
    data = str(fresh.job.asked.data.make())
    a, b = (fresh.workspace.runs.get(n).fitted for n in numbers)
    assert compare(a, b, data).verdict == "A is better"
    reply, said = fresh.ask(f"/train/compare?run={numbers[0]}")
    assert reply.status == 400 and b"tick 2 to 4" in said


def test_runs_outlive_the_server_where_a_folder_is_given(tmp_path: Path) -> None:
    with serving(folder=tmp_path / "runs") as before:
        before.start(method="gradient", column=["area", "rooms"])
        before.wait("done")
        first = before.job
        for _ in range(200):
            if (tmp_path / "runs" / "run-1.json").is_file():
                break
            time.sleep(0.05)
    (tmp_path / "runs" / "run-7.json").write_text("{damaged")
    with serving(folder=tmp_path / "runs") as after:
        again = after.job
        assert (again.number, again.standing, again.label) == (1, "done", first.label)
        assert again.curves == first.curves
        data = str(again.asked.data.make())
        assert again.fitted.predict(data).tobytes() == first.fitted.predict(data).tobytes()
        assert 'data-standing="done"' in after.page("/train/runs/1")
        assert after.page("/predict?model=run-1")
        after.start(method="linear", column=["area"])
        after.wait("done")
        assert after.job.number == 8
        assert (tmp_path / "runs" / "run-7.json").read_text() == "{damaged"
        after.ask("/train/runs/1/remove", "")
        assert not (tmp_path / "runs" / "run-1.hsq").exists()


def test_folded_options_are_those_of_the_command_line(fresh: Visitor) -> None:
    form = {"column": ["area", "rooms"], "seed": "3", "test_fraction": "0.4", "weights": "rooms"}
    fresh.start(method="linear", **form)
    fresh.wait("done")
    options = fresh.job.fitted.info["options"]
    assert (options["seed"], options["test_fraction"]) == (3, 0.4)
    assert fresh.job.fitted.info["weights"] == "rooms"
    body = urlencode({"data": "houses", "target": "price", "method": "linear", "seed": "x"})
    reply, said = fresh.ask("/train/start", body, Content_Type="application/x-www-form-urlencoded")
    assert reply.status == 400 and b"the seed is" in said


def test_splits_folds_and_transforms_are_in_the_form(fresh: Visitor) -> None:
    shown = fresh.page("/train?data=houses")
    for text in ("whole groups of rooms", "the latest by area", "Folds instead", "yeo-johnson"):
        assert text in shown
    fresh.start(method="linear", column=["area", "rooms"], split="group:rooms", folds="3")
    fresh.wait("done")
    info = fresh.job.fitted.info
    assert (info["split"], info["test_source"]) == ("group:rooms", "3 folds")
    assert [f.column for f in fresh.job.fitted.encoder.features] == ["area"]
    fresh.start(method="linear", column=["area"], split="rows", target_transform="log")
    fresh.wait("done")
    info = fresh.job.fitted.info
    assert (info["split"], info["target_transform"]["name"]) == ("rows", "log")
    body = urlencode({"data": "houses", "target": "price", "method": "linear", "split": "x"})
    reply, said = fresh.ask("/train/start", body, Content_Type="application/x-www-form-urlencoded")
    assert reply.status == 400 and b"unknown split" in said


def _odd_table() -> bytes:
    """Dates that may be of two orders, a decimal comma, a word for no value, two lines before."""
    lines = ["Umsätze", "", "tag;fläche;filiale;y"]
    for i in range(144):
        area = "n/v" if i == 5 else f"{700 + 37 * (i * 7 % 50) / 4:.2f}".replace(".", ",")
        y = 3 * (1 + i % 12) + 31 * (i // 12) + 10 * (i % 3)
        lines.append(f"{1 + i % 12:02}/{1 + i // 12:02}/2023;{area};{1 + i % 3};{y}")
    return ("\n".join(lines) + "\n").encode("latin-1")


ODD = {"category": "filiale", "encoding": "latin-1", "skip": "2", "missing": "n/v", "dates": "dmy"}


def test_how_a_file_is_read_is_said_in_the_form_as_on_the_command_line(
    fresh: Visitor, command: Command, tmp_path: Path
) -> None:
    content = _odd_table()
    status, told = fresh.upload(content, "odd.csv")
    assert status == 400 and told["error"].endswith("say what it is: “Encoding” latin-1.")
    query = urlencode(ODD)
    reply, said = fresh.ask(f"/train/upload?{query}", content, X_File_Name="odd.csv")
    assert reply.status == 200, said
    key = json.loads(said)["data"]
    page = fresh.page(f"/train?data={key}&{query}")
    assert 'name="dates" value="dmy"' in page
    assert '<input type="hidden" name="category" value="filiale">' in page
    assert "fläche" in page
    form = {"column": ["tag", "fläche", "filiale"], **ODD}
    assert fresh.start(data=key, target="y", method="linear", **form) == 303
    fresh.wait("done", "failed")
    (tmp_path / "odd.csv").write_bytes(content)
    said_so = [part for name, value in ODD.items() for part in (f"--{name}", value)]
    out = tmp_path / "line.hsq"
    asked = ("-t", "y", "--model", "linear", "--out", out)
    assert command("fit", tmp_path / "odd.csv", *asked, *said_so).code == 0
    here, there = fresh.job.fitted, load(out)
    assert [p.as_dict() for p in here.parameters] == [p.as_dict() for p in there.parameters]
    assert here.encoder.as_dict() == there.encoder.as_dict()
    text = fresh.page(fresh.run_path)
    assert "tag: dates as dd/mm/yyyy, from 2023-01-01 to 2023-12-12" in text
    assert urlencode({"data": key, **ODD}).replace("&", "&amp;") in text  # to train another
    assert text.index("How the table was read") < text.index("Typical error")
    assert fresh.ask(f"{fresh.run_path}/report.html")[0].status == 200


def test_what_is_doubtful_is_said_before_anything_is_trained(fresh: Visitor) -> None:
    rows = [f"{m:02}/{d:02}/2023,{m * d}" for m in range(1, 13) for d in range(1, 13)]
    _, told = fresh.upload("\n".join(["day,y", *rows]).encode())
    page = fresh.page(f"/train?data={told['data']}")
    assert "could be dd/mm/yyyy: “Dates” dmy reads it so" in page
    assert "--" not in re.sub(r"<!--.*?-->|<script.*?</script>", "", page, flags=re.S)
    assert "could be" not in fresh.page(f"/train?data={told['data']}&dates=dmy")


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"skip": "-1"}, "skip is &#39;-1&#39;; expected a whole number"),
        ({"header": "maybe"}, "expected yes or no"),
        ({"encoding": "klingon"}, "there is no encoding &#39;klingon&#39;"),
        ({"category": "<b>no</b>"}, "no column &#39;&lt;b&gt;no&lt;/b&gt;&#39;"),
        ({"dates": '"><script>x'}, "expected dmy, mdy or ymd"),
    ],
)
def test_a_reading_that_cannot_be_is_told_on_the_page_and_refused_to_train(
    fields: dict[str, str], words: str, fresh: Visitor
) -> None:
    table = "day,x,y\n" + "".join(f"1/{d}/23,{d},{2 * d}\n" for d in range(1, 29))
    _, told = fresh.upload(table.encode())
    page = fresh.page("/train?" + urlencode({"data": told["data"], **fields}))
    assert words in page
    assert "<script>x" not in page and "<b>no" not in page
    form = {"column": ["x"], **fields}
    assert fresh.start(data=told["data"], target="y", method="linear", **form) == 400


def test_a_formula_with_a_misspelled_column_is_no_fault_of_the_program(fresh: Visitor) -> None:
    """The column becomes a parameter that nothing determines; its standard error is infinite."""
    fresh.start(method="formula", formula="price ~ a + b*aera", target="")
    fresh.wait("done", "failed")
    assert fresh.page(fresh.run_path)
    assert fresh.page("/train")


def test_the_sample_of_rows_is_no_stride() -> None:
    """Every k-th row falls into step with what repeats in the table: here, one in two."""
    chosen = sample(48_000, SHOWN_ROWS)
    assert len(chosen) == SHOWN_ROWS and (np.diff(chosen) > 0).all()
    assert 0.4 < (chosen % 2).mean() < 0.6
    assert len(set(np.diff(chosen).tolist())) > 50
    assert sample(7, SHOWN_ROWS).tolist() == list(range(7))


def test_a_closed_tab_does_not_lose_the_run(fresh: Visitor) -> None:
    fresh.start(method="gradient", column=["area"], paused="on")
    fresh.wait("paused")
    connection = http.client.HTTPConnection(fresh.host, timeout=10)
    connection.request("GET", f"{fresh.run_path}/events", headers=fresh.headers)
    assert connection.getresponse().readline().startswith(b"data: ")
    connection.close()
    reply, _ = fresh.ask("/train")
    assert reply.status == 200
    assert fresh.standing == "paused"
    fresh.act("pause")
    fresh.wait("done")
    assert 'id="rmse"' in fresh.page(fresh.run_path)


def test_events_tell_the_descent_and_that_it_is_over(fresh: Visitor) -> None:
    fresh.start(method="gradient", column=["area", "rooms"], paused="on")
    fresh.wait("paused")
    threading.Timer(1.0, fresh.act, ["pause"]).start()
    reply, content = fresh.ask(f"{fresh.run_path}/events")
    assert reply.getheader("content-type").startswith("text/event-stream")
    events = [
        json.loads(line[6:]) for line in content.decode().splitlines() if line.startswith("data: ")
    ]
    assert [e["over"] for e in events] == [False] * (len(events) - 1) + [True]
    data = events[-2]["data"]
    assert {"line", "here", "phase", "key", "i", "loss", "held"} == set(data["lines"][0])
    assert data["lines"][0]["i"] == 0
    assert [w["name"] for w in data["weights"]] == ["intercept", "area", "rooms"]
    assert data["rows"]
    assert all(row["side"] == np.sign(row["o"] - row["t"]) for row in data["rows"])
    assert 'id="loss"' in events[-2]["html"]


def test_least_squares_ends_at_once_and_says_so(fresh: Visitor) -> None:
    fresh.start(method="linear", column=["area", "rooms"])
    fresh.wait("done")
    text = fresh.page(fresh.run_path)
    assert "Solved at once" in text
    assert 'data-spec="descent-spec"' not in text
    assert 'data-spec="weights-spec"' in text


def test_what_cannot_be_trained_says_why_and_where(fresh: Visitor) -> None:
    status, told = fresh.upload(b"x,y\n1,2\n2,oh\n3,4\n", "<b>bad</b>.csv")
    assert status == 200
    assert fresh.start(data=told["data"], target="y", method="linear", column=["x"]) == 303
    fresh.wait("failed")
    text = fresh.page(fresh.run_path)
    assert "found &#39;oh&#39; in row 2" in text
    assert "<b>bad" not in text
    assert "/tmp" not in text.replace("</", "")
    assert "Choose again" in text


@given(st.integers(1, 3000), st.integers(0, 5))
def test_a_long_curve_is_thinned_and_keeps_both_ends(steps: int, first: int) -> None:
    curve = Curve(1, 0)
    for i in range(first, first + steps):
        curve.add(Point(i, 1.0 / (i + 1), 1.0))
    iterations = [point.iteration for point in curve.points]
    assert iterations == sorted(set(iterations))
    assert len(iterations) <= 301
    assert iterations[-1] == first + steps - 1
    assert iterations[0] <= first + curve.every
    gaps = np.diff(iterations[:-1])
    assert (
        gaps.size == 0
        or gaps.min() == gaps.max()
        or curve.every == 1
        or gaps.max() <= 2 * curve.every
    )


def test_the_controls_let_each_of_several_through_once_for_every_step_asked_for() -> None:
    controls, passed = Controls(paused=True), [0, 0]

    def descend(member: int) -> None:
        with suppress(KeyboardInterrupt):
            while True:
                controls.wait()
                passed[member] += 1

    threads = [threading.Thread(target=descend, args=(m,), daemon=True) for m in (0, 1)]
    for thread in threads:
        thread.start()
    for step in (1, 2, 3):
        time.sleep(0.1)
        controls.one_step()
        time.sleep(0.1)
        assert passed == [step, step]
    assert controls.paused
    controls.stop()
    for thread in threads:
        thread.join(5)
        assert not thread.is_alive()
    assert passed == [3, 3]
