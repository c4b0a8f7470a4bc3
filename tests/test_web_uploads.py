"""What the page takes and what it refuses: files, forms, strangers; and that nothing of it
stays.
"""

# ruff: noqa: F811 - tests name fixtures as their arguments
from __future__ import annotations

import os
import re
import signal
import stat
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlencode

import pytest

pytest.importorskip("starlette", reason="the page needs the extra 'page'")
pytest.importorskip("uvicorn", reason="the page needs the extra 'page'")

from visiting import Visitor, fresh, rows, serving, visitor  # noqa: F401 - fixtures

from halfsquare.web import datasets as store


def test_the_report_is_of_this_model_and_names_no_path(fresh: Visitor) -> None:
    fresh.start(method="linear", column=["area", "rooms"])
    fresh.wait("done")
    reply, page = fresh.ask(f"{fresh.run_path}/report.html")
    assert reply.status == 200
    assert b"price" in page
    assert str(fresh.workspace.store.folder).encode() not in page
    assert b'id="model"' not in page
    reply, page = fresh.ask(f"{fresh.run_path}/report.html?interactive=yes")
    assert reply.status == 200 and b'id="model"' in page and len(page) < 1_000_000
    assert str(fresh.workspace.store.folder).encode() not in page


@pytest.mark.parametrize(
    ("content", "name", "words"),
    [
        (b"x,y\n1,2\n", "rows.docx", "ends in none of"),
        (b"x,y\n1,2\n", "rows.xlsx", "rows.xlsx could not be read as a spreadsheet"),
        (b"x,y\n1,2\n", "rows", "ends in none of"),
        (b"", "rows.csv", "empty"),
        (b"x,y\n", "rows.csv", "no row"),
        (b"x,y\na,b\n", "rows.csv", "no column of numbers"),
        (
            b",".join(b"c%d" % i for i in range(2001)) + b"\n1" + b",1" * 2000 + b"\n",
            "wide.csv",
            "wide.csv has 2,001 columns; the page takes at most 2,000",
        ),
        (b"x,x\n1,2\n", "rows.csv", "two columns named"),
        (b"PAR1 no", "rows.parquet", "rows.parquet"),
        (b"\x1f\x8b\x08 no", "rows.csv.gz", "rows.csv.gz"),
        (b"{no", "rows.jsonl", "rows.jsonl"),
        ("x,ä\n1,2\n".encode("latin-1"), "rows.csv", "UTF-8"),
    ],
)
def test_a_bad_upload_is_refused_in_words_and_leaves_nothing(
    content: bytes, name: str, words: str, visitor: Visitor
) -> None:
    folder = visitor.workspace.store.folder
    before = sorted(p.name for p in folder.iterdir())
    status, told = visitor.upload(content, name)
    assert status == 400
    assert words in told["error"]
    assert str(folder) not in told["error"]
    assert "--" not in told["error"]
    assert sorted(p.name for p in folder.iterdir()) == before


def test_an_upload_has_a_limit_whether_it_says_its_length_or_not(
    visitor: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "LIMIT", 1000)
    folder = visitor.workspace.store.folder
    before = sorted(p.name for p in folder.iterdir())
    assert visitor.upload(b"x,y\n" + b"1,2\n" * 300)[0] == 413
    assert visitor.upload(iter([b"x,y\n", *[b"1,2\n"] * 300]))[0] == 413
    assert visitor.upload(b"x,y\n" + b"1,2\n" * 100)[0] == 200
    assert len(list(folder.iterdir())) <= len(before) + 1


@pytest.mark.parametrize(
    "name", ["../../escape.csv", "a[b]*.csv", "select 1 as x from y.csv", "C:\\x\\y.csv", "%00.csv"]
)
def test_a_name_is_only_a_label(name: str, visitor: Visitor) -> None:
    folder = visitor.workspace.store.folder
    status, told = visitor.upload(b"x,y\n1,2\n", name)
    assert status == 200
    assert re.fullmatch(r"upload-\d+", told["data"])
    names = {p.name for p in folder.iterdir()} - {".in-use"}
    assert all(re.fullmatch(r"[a-z]+(-\d+)?(\.\w+)+", name) for name in names)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


@pytest.mark.parametrize(
    "key",
    [
        "/etc/passwd",
        "../rows.csv",
        "SELECT 1",
        "from read_csv('/etc/passwd')",
        "*",
        "given",
        "upload-999",
    ],
)
def test_no_path_glob_or_query_comes_from_a_request(key: str, fresh: Visitor) -> None:
    reply, said = fresh.ask("/train?" + urlencode({"data": key}))
    assert reply.status == 400
    assert "there is no data set" in said.decode()
    assert fresh.start(data=key, method="linear", column=["area"]) == 400


@pytest.mark.parametrize(
    "fields",
    [
        {"method": "nothing"},
        {"method": "linear"},
        {"method": "linear", "column": "area", "target": ""},
        {"method": "linear", "column": "area", "time_limit": "-1"},
        {"method": "formula"},
        {"method": "formula", "formula": "price ~ a*area", "start": "a"},
    ],
)
def test_a_form_that_was_not_offered_is_refused(fields: dict[str, str], fresh: Visitor) -> None:
    assert fresh.start(**fields) == 400


def test_a_formula_from_the_page_is_read_by_the_allow_list(fresh: Visitor) -> None:
    assert fresh.start(method="formula", formula="price ~ __import__('os').getpid()*area") == 303
    fresh.wait("failed")
    assert "formula" in fresh.job.problem


@pytest.mark.parametrize(
    "path",
    [
        "/train/upload",
        "/train/start",
        "/train/runs/1/stop",
        "/train/runs/1/events",
        "/predict/part",
    ],
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
        own.start(
            data="given", target="y", method="network", column=["x", "kind", "when"], paused="on"
        )
        own.wait("paused")
        own.upload(b"x,y\n1,2\n")
        folder, job = own.workspace.store.folder, own.job
        assert folder.is_dir()
    assert not folder.exists()
    assert not job.running
    assert rows.is_file()


@pytest.mark.parametrize("asked", [signal.SIGTERM, signal.SIGHUP])
def test_asked_to_end_the_server_leaves_no_file_behind(
    asked: signal.Signals, tmp_path: Path
) -> None:
    code = "from halfsquare.web.serve import serve; serve()"
    with subprocess.Popen(
        [sys.executable, "-c", code],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "TMPDIR": str(tmp_path)},
    ) as process:
        assert process.stdout is not None
        guest = Visitor(process.stdout.readline().split()[-1])
        assert guest.upload(b"x,y\n1,2\n")[0] == 200
        assert len(list(tmp_path.glob("halfsquare-*/*.csv"))) == 1
        process.send_signal(asked)
        assert process.wait(20) == 0
    assert list(tmp_path.iterdir()) == []


def test_uploads_stay_until_they_are_removed(tmp_path: Path) -> None:
    """The fifth took the place of the first, without a word."""
    with serving() as own:
        keys = [own.upload(b"x,y\n1,2\n3,4\n", f"{i}.csv")[1]["data"] for i in range(7)]
        shown = own.page("/train")
        assert all(f"data={key}" in shown for key in keys)
        assert own.ask(f"/train/upload/{keys[0]}/remove", "")[0].status == 303
        shown = own.page("/train")
        assert f"data={keys[0]}" not in shown and f"data={keys[1]}" in shown
        assert own.ask(f"/train/upload/{keys[0]}/remove", "")[0].status == 400


def test_uploads_together_have_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "ALL_LIMIT", store.LIMIT + 10)
    with serving() as own:
        assert own.upload(b"x,y\n1,2\n3,4\n")[0] == 200
        status, told = own.upload(b"x,y\n1,2\n")
        assert status == 400 and "remove one of them first" in told["error"]


def test_a_table_that_cannot_be_trained_on_does_not_lock_the_page(tmp_path: Path) -> None:
    (tmp_path / "bare.csv").write_text("x,y\n")
    with serving(data=tmp_path / "bare.csv") as own:
        shown = own.page("/train")
        assert "no column of numbers" in shown and "data=houses" in shown


def test_the_reports_sentences_name_an_upload_and_escape_it(fresh: Visitor) -> None:
    rows = b"x,y\n" + b"".join(b"%d,%d\n" % (i, 2 * i + i % 3) for i in range(40))
    _, told = fresh.upload(rows, "<b>mine</b>.csv")
    fresh.start(data=told["data"], target="y", method="linear", column="x")
    fresh.wait("done")
    page = fresh.ask(f"{fresh.run_path}/report.html")[1].decode()
    assert "<b>mine" not in page and "&lt;b&gt;mine&lt;/b&gt;.csv" not in page  # folders are cut
    assert "It was fitted to these rows" in page


def test_a_refusal_has_the_look_of_the_page(visitor: Visitor) -> None:
    reply, said = visitor.ask("/train", Cookie="none=1")
    assert reply.status == 403
    for sheet in re.findall(r'href="(/static/[^"]+)"', said.decode()):
        assert visitor.ask(sheet, Cookie="none=1")[0].status == 200
    assert visitor.ask("/static/vega.js", Cookie="none=1")[0].status == 403


def test_numbers_of_runs_that_nobody_counts_to(visitor: Visitor) -> None:
    """Thousands of digits are no number to Python, and were a fault of the program."""
    for number in ("9" * 5000, "0" * 11, "-1", "%D9%A1", "x"):
        for more in ("", "/events", "/model.hsq", "/surface", "/report.html"):
            assert visitor.ask(f"/train/runs/{number}{more}")[0].status == 404
