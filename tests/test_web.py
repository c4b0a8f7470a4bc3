"""The page's server: who is let in, what is sent, and that its numbers are the package's own."""

from __future__ import annotations

import http.client
import json
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pytest

pytest.importorskip("starlette", reason="the page needs the extra 'page'")
pytest.importorskip("uvicorn", reason="the page needs the extra 'page'")

from halfsquare.errors import OptionError
from halfsquare.explain.many_examples import built_in_sample
from halfsquare.web.access import POLICY
from halfsquare.web.pages import one_example
from halfsquare.web.pages.many_examples import BATCHES, ROWS
from halfsquare.web.serve import PageServer, serve


@dataclass
class Reply:
    status: int
    headers: dict[str, str]
    text: str


@dataclass
class Client:
    """A browser reduced to its headers."""

    url: str

    def __post_init__(self) -> None:
        parts = urlsplit(self.url)
        self.host, self.token = parts.netloc, parts.query.removeprefix("token=")
        reply = self.get("/?token=" + self.token, cookie=None)
        assert reply.status == 303
        self.set_cookie = reply.headers["set-cookie"]
        self.cookie = self.set_cookie.split(";")[0]

    def get(
        self, path: str, *, method: str = "GET", cookie: str | None = "", **headers: str
    ) -> Reply:
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if cookie is not None:
            sent["Cookie"] = cookie or self.cookie
        connection = http.client.HTTPConnection(self.host, timeout=120)
        connection.request(method, path, headers=sent)
        answer = connection.getresponse()
        text = answer.read().decode()
        connection.close()
        return Reply(answer.status, {k.lower(): v for k, v in answer.getheaders()}, text)


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    server = PageServer()
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    _wait_for(server.url)
    yield Client(server.url)
    server.stop()
    thread.join(10)
    assert not thread.is_alive()


def _wait_for(url: str) -> None:
    host, port = urlsplit(url).netloc.split(":")
    for _ in range(200):
        try:
            socket.create_connection((host, int(port)), timeout=1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise AssertionError("the server did not start")


def test_the_token_becomes_a_cookie_that_scripts_cannot_read(client: Client) -> None:
    assert "HttpOnly" in client.set_cookie
    assert "samesite=strict" in client.set_cookie.lower()
    assert client.token not in client.set_cookie
    assert client.get("/one-example").status == 200


def test_the_token_leaves_the_address_and_the_question_stays(client: Client) -> None:
    reply = client.get(f"/one-example?target=1&token={client.token}&output=2", cookie=None)
    assert reply.status == 303
    assert reply.headers["location"] == "/one-example?target=1&output=2"


def test_the_token_leads_nowhere_else(client: Client) -> None:
    reply = client.get(f"//example.com/?token={client.token}", cookie=None)
    assert reply.headers["location"] == "/example.com/"


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/one-example",
        "/many-examples/part",
        "/static/vega.js",
        "/?token=wrong",
        "/?token=%C3%A9",
    ],
)
def test_without_the_token_nothing_is_shown(client: Client, path: str) -> None:
    reply = client.get(path, cookie=None)
    assert reply.status == 403
    assert "address that the terminal shows" in reply.text
    assert "set-cookie" not in reply.headers


def test_a_wrong_or_damaged_cookie_is_no_cookie(client: Client) -> None:
    name = client.cookie.split("=")[0]
    for cookie in (f"{name}=wrong", f"{name}={client.token}", "garbage;;=", "other=1"):
        assert client.get("/one-example", cookie=cookie).status == 403


@pytest.mark.parametrize("host", ["example.com", "127.0.0.1.example.com", "evil:80", "127.0.0.1"])
def test_another_host_name_is_refused(client: Client, host: str) -> None:
    assert client.get("/one-example", Host=host).status == 421


def test_localhost_is_this_host_too(client: Client) -> None:
    assert client.get("/one-example", Host=f"localhost:{client.host.split(':')[1]}").status == 200


def test_requests_of_other_pages_are_refused(client: Client) -> None:
    assert client.get("/one-example", Origin="http://example.com").status == 403
    assert client.get("/one-example", Origin="null").status == 403
    assert client.get("/one-example", method="POST", Sec_Fetch_Site="cross-site").status == 403
    assert client.get("/one-example", Origin=f"http://{client.host}").status == 200


@pytest.mark.parametrize(
    "path",
    ["/one-example", "/nothing", "/static/vega.js", "/?token=wrong", "/one-example?target=x"],
)
def test_every_answer_carries_the_headers(client: Client, path: str) -> None:
    headers = client.get(path).headers
    assert headers["content-security-policy"] == POLICY
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "same-origin"
    assert headers["x-frame-options"] == "DENY"
    assert "server" not in headers


def test_the_policy_allows_nothing_inline_and_no_other_host() -> None:
    assert "unsafe" not in POLICY
    assert "http" not in POLICY
    assert POLICY.startswith("default-src 'none'")


def test_pages_name_no_other_host_and_hold_no_inline_script(client: Client) -> None:
    for path in ("/one-example", "/many-examples"):
        text = client.get(path).text
        for address in re.findall(r'(?:src|href|action)="([^"]*)"', text):
            assert address.startswith(("/", "data:", "#")), address
        for script in re.findall(r"<script([^>]*)>", text):
            assert "src=" in script or 'type="application/json"' in script
        assert not re.search(r"\son\w+=", re.sub(r"<script.*?</script>", "", text, flags=re.S))


def test_only_named_files_are_served(client: Client) -> None:
    for name in (
        "../app.py",
        "..%2fapp.py",
        "%2e%2e/app.py",
        "page.css/../../app.py",
        "nothing.js",
        "app.py",
    ):
        assert client.get(f"/static/{name}").status == 404
    assert client.get("/static/page.css").headers["content-type"].startswith("text/css")
    assert "vegaEmbed" in client.get("/static/vega.js").text


def test_the_numbers_are_those_of_the_package(client: Client) -> None:
    reply = client.get(
        "/one-example/part?target=3&output=3.6&convention=sse", Accept="application/json"
    )
    html = json.loads(reply.text)["html"]
    assert _field(html, "value") == "0.36"
    assert _field(html, "gradient") == "1.2"
    assert _field(html, "step") == "−0.6"
    assert "too high by 0.6: the gradient is positive, so descent lowers the output." in html
    assert "<math" in html


def test_a_question_in_the_address_is_answered_without_scripts(client: Client) -> None:
    text = client.get("/one-example?target=-1&output=-2&convention=half_mse").text
    assert _field(text, "gradient") == "−1"
    assert 'value="half_mse" data-signal="convention" checked' in text


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("target=x", "type a number"),
        ("target=nan", "expected a finite number"),
        ("output=1e400", "expected a finite number"),
        ("target=1e200&output=-1e200", "overflows"),
        ("convention=rmse", "expected one of"),
        ("target=%3Cscript%3Ealert(1)%3C/script%3E", "&lt;script&gt;"),
    ],
)
def test_what_cannot_be_computed_says_why(client: Client, query: str, words: str) -> None:
    page = client.get(f"/one-example?{query}")
    assert page.status == 400
    assert words in page.text
    assert "<script>alert" not in page.text
    assert "Traceback" not in page.text
    asked = client.get(f"/one-example/part?{query}", Accept="application/json")
    assert asked.status == 400
    assert json.loads(asked.text)["error"]


def test_unknown_addresses_and_methods_are_pages_too(client: Client) -> None:
    missing = client.get("/nothing/here")
    assert missing.status == 404
    assert "There is nothing at this address" in missing.text
    assert client.get("/one-example", method="DELETE").status == 405


def test_a_fault_of_the_program_is_a_page_without_its_insides(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("a secret inside")

    monkeypatch.setattr("halfsquare.web.pages.one_example.explain_example", broken)
    reply = client.get("/one-example")
    assert reply.status == 500
    assert "fault of the program" in reply.text
    assert "secret" not in reply.text
    assert reply.headers["content-security-policy"] == POLICY


@pytest.mark.parametrize(
    "query", ["rows=99", "rows=-1", "batch=x", "copies=3", "copies=100000", "rows=%C2%B2"]
)
def test_only_the_offered_choices_are_computed(client: Client, query: str) -> None:
    assert client.get(f"/many-examples?{query}").status == 400


def test_many_examples_answers_with_the_sums(client: Client) -> None:
    once = json.loads(client.get("/many-examples/part?rows=2&batch=1&copies=1").text)
    twice = json.loads(client.get("/many-examples/part?rows=2&batch=1&copies=2").text)
    sample = built_in_sample().first(64)
    sse = float(np.sum((sample.output - sample.target) ** 2))
    at = {row["n"]: row for row in once["data"]["growth"]}[64]
    copied = {row["n"]: row for row in twice["data"]["growth"]}[64]
    assert at["sse"] == pytest.approx(sse, rel=1e-12)
    assert copied["sse"] == pytest.approx(2 * sse, rel=1e-12)
    assert copied["mse"] == pytest.approx(at["mse"], rel=1e-12)
    assert copied["most"] - copied["mse"] < at["most"] - at["mse"]
    assert once["signals"]["chosen"] == 64
    assert once["signals"]["mse_top"] == twice["signals"]["mse_top"]  # the axes stay
    assert len(once["data"]["sample"]) == 64
    assert len(once["data"]["batches"]) == 300
    assert "stays" in once["html"]
    assert "× 2" in once["html"]


@pytest.mark.parametrize("rows", range(len(ROWS)))
def test_a_batch_is_never_larger_than_the_rows(client: Client, rows: int) -> None:
    """A batch of 256 of 16 rows was drawn with repetition."""
    query = f"rows={rows}&batch={len(BATCHES) - 1}"
    found = json.loads(client.get(f"/many-examples/part?{query}").text)
    batch = int(re.search(r"Batch B</dt><dd>(\d+)", found["html"])[1])  # type: ignore[index]
    assert batch == min(BATCHES[-1], ROWS[rows] // 2)
    assert ("at most half of the rows" in found["html"]) == (batch < BATCHES[-1])
    # The cross is the gradient over all rows: the mean of the batches' is near it.
    full = found["data"]["full"][0]
    mean = np.mean([b["a"] for b in found["data"]["batches"]])
    spread = np.std([b["a"] for b in found["data"]["batches"]])
    assert abs(mean - full["a"]) < 5 * spread / len(found["data"]["batches"]) ** 0.5


def test_ctrl_c_ends_the_server_quietly() -> None:
    code = "from halfsquare.web.serve import serve; serve()"
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        first = process.stdout.readline()
        assert re.match(
            r"halfsquare is at http://127\.0\.0\.1:\d+/\?token=[\w-]{40,}$", first.strip()
        )
        host, port = urlsplit(first.split()[-1]).netloc.split(":")
        socket.create_connection((host, int(port)), timeout=5).close()  # it listens already
        process.send_signal(signal.SIGINT)
        _, complaints = process.communicate(timeout=20)
    assert process.returncode == 0
    assert complaints == ""


def test_the_address_is_told_when_the_first_page_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its figure is compiled by then, so that the first visitor does not wait for it."""
    made: list[bool] = []
    told = threading.Event()
    monkeypatch.setattr(one_example._compiled, "_spec", None)
    server = PageServer()

    def ready() -> None:
        made.append(one_example._compiled._spec is not None)
        told.set()

    server.when_ready = ready
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    assert told.wait(60) and made == [True]
    server.stop()
    thread.join(20)
    assert not thread.is_alive()


def test_a_taken_port_and_a_missing_file_are_refused(client: Client, tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="leave it out to take a free one"):
        PageServer(port=int(client.host.split(":")[1]))
    with pytest.raises(OptionError, match="no such file"):
        PageServer(tmp_path / "missing.hsq")
    with pytest.raises(OptionError, match="expected 0"):
        PageServer(port=70000)


def _field(html: str, name: str) -> str:
    found = re.search(rf'id="{name}"[^>]*>([^<]*)<', html)
    assert found is not None
    return found[1]


def test_the_browser_is_handed_a_private_file_and_no_token(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What stands on the browser's command line, every user of the machine can read."""
    handed: list[tuple[str, str, int]] = []

    def opened(address: str) -> bool:
        page = Path(address.removeprefix("file://"))
        handed.append((address, page.read_text(), page.parent.stat().st_mode & 0o777))
        servers[0].stop()
        return True

    class Kept(PageServer):
        def __init__(self, *arguments: Any, **options: Any) -> None:
            super().__init__(*arguments, **options)
            servers.append(self)

    servers: list[PageServer] = []
    monkeypatch.setattr("halfsquare.web.serve.PageServer", Kept)
    monkeypatch.setattr("webbrowser.open", opened)
    serve(open_browser=True)
    (address, page, mode), token = handed[0], servers[0].url.split("=")[1]
    assert token not in address and token in page and mode == 0o700
    assert not Path(address.removeprefix("file://")).exists()
    assert token in capsys.readouterr().out


def test_who_comes_from_a_file_is_led_on_by_a_page(client: Client) -> None:
    """A SameSite=Strict cookie does not follow a redirect that another site began."""
    reply = client.get(
        f"/one-example?token={client.token}&target=1", cookie=None, Sec_Fetch_Site="cross-site"
    )
    assert reply.status == 200 and 'url=/one-example?target=1"' in reply.text
    assert client.token not in reply.text and "SameSite=strict" in reply.headers["set-cookie"]
