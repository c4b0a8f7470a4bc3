"""The rooms Train and Predict: the same model as the command line's, one run at a time, and nothing let in."""

from __future__ import annotations

import http.client
import json
import re
import stat
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

import numpy as np
import pytest

pytest.importorskip("starlette", reason="the page needs the extra 'page'")
pytest.importorskip("uvicorn", reason="the page needs the extra 'page'")

from conftest import Ran

from halfsquare import load
from halfsquare.evaluate import evaluate
from halfsquare.execution.local import Local
from halfsquare.web import store
from halfsquare.web.fields import design_of, fields_of
from halfsquare.web.serve import PageServer

Command = Callable[..., Ran]


class Visitor:
    """A browser reduced to its requests, and the server it visits."""

    def __init__(self, server: PageServer) -> None:
        parts = urlsplit(server.url)
        self.server, self.host = server, parts.netloc
        self.headers: dict[str, str] = {}
        for _ in range(200):
            try:
                reply, _ = self.ask(f"/?{parts.query}")
            except OSError:
                time.sleep(0.05)
            else:
                break
        self.headers = {"Cookie": reply.getheader("set-cookie", "").split(";")[0], "Origin": f"http://{self.host}"}

    def ask(self, path: str, body: Any = None, method: str | None = None, **headers: str) -> tuple[Any, bytes]:
        connection = http.client.HTTPConnection(self.host, timeout=60)
        sent = {**self.headers, **{k.replace("_", "-"): v for k, v in headers.items()}}
        connection.request(method or ("GET" if body is None else "POST"), path, body, sent)
        reply = connection.getresponse()
        content = reply.read()
        connection.close()
        return reply, content

    def page(self, path: str) -> str:
        reply, content = self.ask(path)
        assert reply.status == 200, content
        return content.decode()

    def upload(self, content: Any, name: str = "rows.csv", **more: str) -> tuple[int, dict[str, str]]:
        reply, said = self.ask("/train/upload", content, X_File_Name=name, **more)
        return reply.status, json.loads(said)

    def start(self, **fields: Any) -> int:
        body = urlencode({"pace": "full", "data": "houses", "target": "price", **fields}, doseq=True)
        reply, _ = self.ask("/train/start", body, Content_Type="application/x-www-form-urlencoded")
        return int(reply.status)

    def act(self, name: str) -> dict[str, bool]:
        reply, said = self.ask(f"/train/run/{name}", "", Accept="application/json")
        assert reply.status == 200
        buttons: dict[str, bool] = json.loads(said)["buttons"]
        return buttons

    @property
    def standing(self) -> str:
        found = re.search(r'data-standing="(\w+)"', self.page("/train/run"))
        assert found is not None
        return found[1]

    @property
    def job(self) -> Any:
        return self.server._workshop.jobs.last

    def wait(self, *standings: str) -> None:
        for _ in range(1200):
            if self.job.standing in standings:
                return
            time.sleep(0.05)
        raise AssertionError(f"still {self.job.standing}")


@contextmanager
def serving(**given: Any) -> Iterator[Visitor]:
    server = PageServer(**given)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    yield Visitor(server)
    server.stop()
    thread.join(20)
    assert not thread.is_alive()


@pytest.fixture(scope="module")
def visitor() -> Iterator[Visitor]:
    with serving() as visitor:
        yield visitor


@pytest.fixture
def fresh(visitor: Visitor) -> Visitor:
    """The same server, with nothing going on."""
    if visitor.job is not None:
        visitor.job.end()
    return visitor


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> Path:
    random = np.random.default_rng(5)
    x, kind = random.normal(size=80).round(3), random.choice(["a", "b", "c"], 80)
    when = [f"2024-0{1 + i % 9}-1{i % 10} 0{i % 10}:30:00" for i in range(80)]
    y = (2 * np.tanh(x) + (kind == "b") + random.normal(0, 0.1, 80)).round(4)
    lines = ["x,kind,when,y", *(",".join(map(str, row)) for row in zip(x, kind, when, y, strict=True))]
    path = tmp_path_factory.mktemp("rows") / "rows.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


WAYS: dict[str, tuple[dict[str, str], list[str]]] = {
    "linear": ({}, ["-t", "y", "--model", "linear", "--method", "least-squares"]),
    "gradient": ({}, ["-t", "y", "--model", "linear", "--method", "gradient"]),
    "minibatch": ({}, ["-t", "y", "--model", "linear", "--method", "minibatch"]),
    # the command line has one thread for it, the page all there are
    "network": ({"column": "x"}, ["-t", "y", "--model", "network", "--features", "x", "--threads", "1"]),
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
    for ours, theirs in zip(page.predict(rows, return_std=True), line.predict(rows, return_std=True), strict=True):
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
    assert fresh.act("fast") == {"pause": True, "resume": False, "step": True, "fast": False, "stop": True}
    fresh.wait("done")
    stepped = fresh.job.fitted
    fresh.start(way="gradient", column=["area", "rooms"])
    fresh.wait("done")
    assert fresh.job.fitted.members[0].parameters.tobytes() == stepped.members[0].parameters.tobytes()
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
    body = urlencode({"data": "houses", "target": "price", "way": "linear", "pace": "full", "column": "area"})
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
    events = [json.loads(line[6:]) for line in content.decode().splitlines() if line.startswith("data: ")]
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


def test_the_report_is_of_this_model_and_names_no_path(fresh: Visitor) -> None:
    fresh.start(way="linear", column=["area", "rooms"])
    fresh.wait("done")
    reply, page = fresh.ask("/train/run/report.html")
    assert reply.status == 200
    assert b"price" in page
    assert str(fresh.server._workshop.store.folder).encode() not in page


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


@pytest.mark.parametrize(
    ("content", "name", "words"),
    [
        (b"x,y\n1,2\n", "rows.xlsx", "ends in none of"),
        (b"x,y\n1,2\n", "rows", "ends in none of"),
        (b"", "rows.csv", "empty"),
        (b"x,x\n1,2\n", "rows.csv", "two columns named"),
        (b"PAR1 no", "rows.parquet", "rows.parquet"),
        (b"\x1f\x8b\x08 no", "rows.csv.gz", "rows.csv.gz"),
        (b"{no", "rows.jsonl", "rows.jsonl"),
    ],
)
def test_a_bad_upload_is_refused_in_words_and_leaves_nothing(
    content: bytes, name: str, words: str, visitor: Visitor
) -> None:
    folder = visitor.server._workshop.store.folder
    before = sorted(p.name for p in folder.iterdir())
    status, told = visitor.upload(content, name)
    assert status == 400
    assert words in told["error"]
    assert str(folder) not in told["error"]
    assert sorted(p.name for p in folder.iterdir()) == before


def test_an_upload_has_a_limit_whether_it_says_its_length_or_not(
    visitor: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "LIMIT", 1000)
    folder = visitor.server._workshop.store.folder
    before = sorted(p.name for p in folder.iterdir())
    assert visitor.upload(b"x,y\n" + b"1,2\n" * 300)[0] == 413
    assert visitor.upload(iter([b"x,y\n", *[b"1,2\n"] * 300]))[0] == 413
    assert visitor.upload(b"x,y\n" + b"1,2\n" * 100)[0] == 200
    assert len(list(folder.iterdir())) <= len(before) + 1


@pytest.mark.parametrize(
    "name", ["../../escape.csv", "a[b]*.csv", "select 1 as x from y.csv", "C:\\x\\y.csv", "%00.csv"]
)
def test_a_name_is_only_a_label(name: str, visitor: Visitor) -> None:
    folder = visitor.server._workshop.store.folder
    status, told = visitor.upload(b"x,y\n1,2\n", name)
    assert status == 200
    assert re.fullmatch(r"upload-\d+", told["data"])
    assert all(re.fullmatch(r"[a-z]+(-\d+)?(\.\w+)+", p.name) for p in folder.iterdir())
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


@pytest.mark.parametrize(
    "key", ["/etc/passwd", "../rows.csv", "SELECT 1", "from read_csv('/etc/passwd')", "*", "given", "upload-999"]
)
def test_no_path_glob_or_query_comes_from_a_request(key: str, fresh: Visitor) -> None:
    reply, said = fresh.ask("/train?" + urlencode({"data": key}))
    assert reply.status == 400
    assert "there is no data set" in said.decode()
    assert fresh.start(data=key, way="linear", column=["area"]) == 400


@pytest.mark.parametrize(
    "fields",
    [
        {"way": "nothing"},
        {"way": "linear", "pace": "warp"},
        {"way": "linear"},
        {"way": "formula"},
        {"way": "formula", "formula": "price ~ a*area", "start": "a"},
    ],
)
def test_a_form_that_was_not_offered_is_refused(fields: dict[str, str], fresh: Visitor) -> None:
    assert fresh.start(**fields) == 400


def test_a_formula_from_the_page_is_read_by_the_allow_list(fresh: Visitor) -> None:
    assert fresh.start(way="formula", formula="price ~ __import__('os').getpid()*area") == 303
    fresh.wait("failed")
    assert "formula" in fresh.job.problem


@pytest.mark.parametrize(
    "path", ["/train/upload", "/train/start", "/train/run/stop", "/train/run/events", "/predict/part"]
)
def test_strangers_are_kept_out_of_every_address(path: str, visitor: Visitor) -> None:
    method = "GET" if path.endswith(("events", "part")) else "POST"
    foreign, _ = visitor.ask(path, "", method, Origin="http://example.com")
    unknown, _ = visitor.ask(path, "", method, Cookie="none=1")
    elsewhere, _ = visitor.ask(path, "", method, Host="example.com")
    assert (foreign.status, unknown.status, elsewhere.status) == (403, 403, 421)


def test_the_end_of_the_server_ends_the_run_and_removes_the_folder(rows: Path) -> None:
    with serving(data=rows) as own:
        assert "rows.csv" in own.page("/train")
        own.start(data="given", target="y", way="network", column=["x", "kind", "when"], pace="step")
        own.wait("paused")
        own.upload(b"x,y\n1,2\n")
        folder, job = own.server._workshop.store.folder, own.job
        assert folder.is_dir()
    assert not folder.exists()
    assert not job.running
    assert rows.is_file()


def test_predict_says_what_the_model_says(fresh: Visitor, rows: Path) -> None:
    _, told = fresh.upload(rows.read_bytes())
    fresh.start(data=told["data"], target="y", way="linear", column=["x", "kind", "when"])
    fresh.wait("done")
    fitted = fresh.job.fitted
    form = {"f0": "0.25", "f1": "1", "f2": "2024-03-05T07:30", "truth": "0.5"}
    level = fitted.encoder.features[1].levels[1]
    row = {"x": [0.25], "kind": [level], "when": np.array(["2024-03-05T07:30"], dtype="datetime64[us]")}
    output, low, high = (float(v[0]) for v in fitted.interval(row))
    fields = fields_of(fitted.encoder, form)
    assert fitted.outputs_of(design_of(fitted.encoder, fields)[None, :])[0][0, 0] == fitted.predict(row)[0]
    reply, said = fresh.ask("/predict/part?" + urlencode(form), Accept="application/json")
    assert reply.status == 200
    news = json.loads(said)
    assert news["signals"]["output"] == output
    shown = re.findall(r'id="(output|low|high|error)"[^>]*>([^<]*)<', news["html"])
    expected = {"output": output, "low": low, "high": high, "error": output - 0.5}
    assert {k: float(v.replace("−", "-")) for k, v in shown} == pytest.approx(expected, rel=1e-3)
    parts = sum(part["part"] for part in news["data"]["parts"])
    average = fitted.outputs_of(np.zeros((1, len(fitted.encoder.names))))[0][0, 0]
    assert average + parts == pytest.approx(output, rel=1e-12)
    assert ("negative" if output < 0.5 else "positive") in news["html"]


def test_what_is_missing_is_missing_and_what_is_wrong_is_said(fresh: Visitor) -> None:
    fresh.start(way="linear", column=["area", "rooms", "age", "district"])
    fresh.wait("done")
    fitted = fresh.job.fitted
    asked = json.loads(fresh.ask("/predict/part?f0=80&f1=3&f2=&f3=missing")[1])
    row = {"area": [80.0], "rooms": [3.0], "age": [np.nan], "district": np.array([None], dtype=object)}
    assert asked["signals"]["output"] == float(fitted.predict(row)[0])
    for query in ("f0=x", "f0=inf", "f3=nowhere", "f3=99", "f3=-1", "truth=nan", "model=other"):
        reply, said = fresh.ask(f"/predict/part?{query}", Accept="application/json")
        assert reply.status == 400, query
        assert json.loads(said)["error"]


def test_a_given_model_is_there_without_training(rows: Path, command: Command, tmp_path: Path) -> None:
    assert command("fit", rows, "-t", "y", "--model", "linear", "--out", tmp_path / "m.hsq").code == 0
    with serving(model=tmp_path / "m.hsq") as own:
        text = own.page("/predict")
        assert "m.hsq" in text
        assert 'name="f0"' in text
        reply, _ = own.ask("/train/run")
        assert reply.status == 303


def test_without_a_model_predict_says_what_to_do() -> None:
    with serving() as own:
        assert "There is no model yet" in own.page("/predict")


def test_serve_says_what_is_missing(command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "no such file" in command("serve", "missing.hsq").err
    (tmp_path / "bad.hsq").write_bytes(b"no model")
    bad = command("serve", tmp_path / "bad.hsq")
    assert bad.code == 1
    assert "no halfsquare model" in bad.err
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    ran = command("serve")
    assert ran.code == 2
    assert "pip install 'halfsquare[page]'" in ran.err
