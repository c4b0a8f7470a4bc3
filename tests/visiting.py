"""Visiting the page without a browser: requests, uploads, a training run and how it stands."""

from __future__ import annotations

import http.client
import json
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

import numpy as np
import pytest

from halfsquare.web.serve import PageServer


class Visitor:
    """A browser reduced to its requests, and the server it visits."""

    def __init__(self, url: str, server: PageServer | None = None) -> None:
        parts = urlsplit(url)
        self.host, self._server = parts.netloc, server
        self.headers: dict[str, str] = {}
        for _ in range(200):
            try:
                reply, _ = self.ask(f"/?{parts.query}")
            except OSError:
                time.sleep(0.05)
            else:
                break
        self.headers = {
            "Cookie": reply.getheader("set-cookie", "").split(";")[0],
            "Origin": f"http://{self.host}",
        }

    def ask(
        self, path: str, body: Any = None, method: str | None = None, **headers: str
    ) -> tuple[Any, bytes]:
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

    def upload(
        self, content: Any, name: str = "rows.csv", **more: str
    ) -> tuple[int, dict[str, str]]:
        reply, said = self.ask("/train/upload", content, X_File_Name=name, **more)
        return reply.status, json.loads(said)

    def start(self, **fields: Any) -> int:
        body = urlencode({"data": "houses", "target": "price", **fields}, doseq=True)
        reply, _ = self.ask("/train/start", body, Content_Type="application/x-www-form-urlencoded")
        return int(reply.status)

    def act(self, name: str) -> dict[str, Any]:
        reply, said = self.ask(f"{self.run_path}/{name}", "", Accept="application/json")
        assert reply.status == 200
        controls: dict[str, Any] = json.loads(said)["controls"]
        return controls

    @property
    def standing(self) -> str:
        found = re.search(r'data-standing="(\w+)"', self.page(self.run_path))
        assert found is not None
        return found[1]

    @property
    def workspace(self) -> Any:
        """What the server works with."""
        assert self._server is not None
        return self._server._workspace

    @property
    def job(self) -> Any:
        """The latest run."""
        runs = self.workspace.runs.all()
        return runs[0] if runs else None

    @property
    def run_path(self) -> str:
        return f"/train/runs/{self.job.number}"

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
    yield Visitor(server.url, server)
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
    for run in visitor.workspace.runs.all():
        run.end()
    return visitor


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> Path:
    random = np.random.default_rng(5)
    x, kind = random.normal(size=80).round(3), random.choice(["a", "b", "c"], 80)
    when = [f"2024-0{1 + i % 9}-1{i % 10} 0{i % 10}:30:00" for i in range(80)]
    y = (2 * np.tanh(x) + (kind == "b") + random.normal(0, 0.1, 80)).round(4)
    lines = [
        "x,kind,when,y",
        *(",".join(map(str, row)) for row in zip(x, kind, when, y, strict=True)),
    ]
    path = tmp_path_factory.mktemp("rows") / "rows.csv"
    path.write_text("\n".join(lines) + "\n")
    return path
