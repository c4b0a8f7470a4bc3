"""Where what is told and written goes: streams that are closed, full or not UTF-8, links,
permission bits, folders for what is put aside, and what stands after an interruption.
"""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import COMMAND, Ran

from halfsquare import load
from halfsquare.data.deciding import open_source
from halfsquare.data.messages import translated
from halfsquare.data.passes import record_batches
from halfsquare.errors import DataError, OutputError
from halfsquare.files.atomic import atomic_write, require_writable
from halfsquare.files.private import PrivateFolder, private_folder, remove_abandoned
from halfsquare.process import HungUp, Terminated, orderly_end
from halfsquare.text import visible

FIT = ("fit", "t.csv", "--target", "y", "--model", "linear", "--out", "m.hsq")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    lines = [f"{i},{i * i % 7},{3 * i + i * i % 7}" for i in range(60)]
    (tmp_path / "t.csv").write_text("\n".join(["a,é,y", *lines]) + "\n")
    return tmp_path


def through_shell(folder: Path, redirection: str, *arguments: str, **env: str) -> Ran:
    done = subprocess.run(
        ["sh", "-c", f'"$@" {redirection}', "sh", *COMMAND, *arguments],
        cwd=folder,
        capture_output=True,
        env={**os.environ, **env},
        timeout=120,
    )
    return Ran(done.returncode, done.stdout.decode(), done.stderr.decode())


# --- streams


@pytest.mark.parametrize(
    ("redirection", "why"), [(">&-", "it is closed"), (">/dev/full", "No space left on device")]
)
def test_standard_output_that_cannot_be_used(folder: Path, redirection: str, why: str) -> None:
    ran = through_shell(folder, redirection, *FIT)
    told = f"halfsquare: standard output could not be used: {why}; before that, m.hsq had been wr"
    assert (ran.code, ran.out) == (1, "")
    assert ran.err.startswith(told)
    assert load(folder / "m.hsq").encoder.targets == ("y",)
    ran = through_shell(folder, redirection, "info", "m.hsq", "--json")
    assert ran.code == 1
    assert ran.err == f"halfsquare: standard output could not be used: {why}; nothing was written\n"


def test_standard_error_that_is_closed(folder: Path) -> None:
    """Neither a failure, nor told on standard output instead."""
    ran = through_shell(folder, "2>&-", *FIT)
    assert (ran.code, ran.err) == (0, "") and ran.out.startswith("Linear model of y")
    ran = through_shell(folder, "2>&-", "fit", "none.csv", "--target", "y")
    assert (ran.code, ran.out, ran.err) == (1, "", "")


def test_all_streams_closed(folder: Path) -> None:
    """What is written has its own place in the table of files, and not that of a stream."""
    assert through_shell(folder, "<&- >&- 2>&-", *FIT).code == 1
    assert load(folder / "m.hsq").encoder.targets == ("y",)


def test_standard_output_that_is_not_utf8(folder: Path) -> None:
    ran = through_shell(folder, "", *FIT, PYTHONIOENCODING="ascii")
    assert ran.code == 0 and "\\xb1" in ran.out and ran.err == ""
    ran = through_shell(folder, "", "info", "m.hsq", "--json", PYTHONIOENCODING="ascii")
    assert "é" in {column["name"] for column in json.loads(ran.out)["columns"]}


def test_standard_input_that_is_closed(folder: Path) -> None:
    ran = through_shell(folder, "<&-", "fit", "-", "--target", "y")
    assert ran.code == 1
    assert ran.err == "halfsquare: standard input is closed: pipe a CSV file into it\n"


def test_escape_sequences_are_shown_and_never_sent(
    command: Callable[..., Ran], tmp_path: Path
) -> None:
    evil = "a\x1b]0;owned\x07\x9b2J\u202e"
    pq.write_table(
        pa.table(
            {
                evil: np.arange(60.0) % 7,
                "t": [f"{'uv'[i % 2]}\x1b[31m" for i in range(60)],
                "y": np.arange(60.0) ** 2 % 11,
            }
        ),
        tmp_path / "t.parquet",
    )
    unlike = {evil: [900.0, 901.0], "t": ["w\x1b[31m", "u\x1b[31m"], "y": [1.0, 2.0]}
    pq.write_table(pa.table(unlike), tmp_path / "unlike.parquet")
    linear = ("--model", "linear", "--out", "m.hsq")
    terms = ("--model", "linear", "--formula", f"y ~ `{evil}` + t", "--out", "terms.hsq")
    for arguments in (
        ("fit", "t.parquet", "--target", "y", *linear),
        ("info", "m.hsq"),
        ("info", "m.hsq", "--json"),
        ("evaluate", "m.hsq", "t.parquet"),
        ("pulls", "m.hsq", "t.parquet"),
        ("pulls", "m.hsq", "t.parquet", "--row", "3"),
        ("sums", "t.parquet", "--target", "y", "--out", "s.sums"),
        ("fit-sums", "s.sums"),
        ("predict", "m.hsq", "unlike.parquet", "--out", "p.csv"),
        ("compare", "m.hsq", "m.hsq", "t.parquet"),
        ("fit", "t.parquet", "--target", "y", *terms),
        ("effects", "terms.hsq"),
        ("table", "terms.hsq", "m.hsq"),
        ("table", "terms.hsq", "--format", "latex", "--out", "t.tex"),
        ("fit", "t.parquet", "--target", "y", "--split", f"group:{evil}", *linear[:2]),
        ("fit", "t.parquet", "--target", evil + "x"),
    ):
        ran = command(*arguments)
        if arguments[0] == "predict":
            assert ran.err.count("Look at") == 2
        assert all(c.isprintable() or c == "\n" for c in ran.out + ran.err), arguments
        assert ran.code == (1 if arguments[-1] == evil + "x" else 0), ran.err
    assert "\\textbackslash{}x1b" in (tmp_path / "t.tex").read_text()
    assert json.loads(command("info", "m.hsq", "--json").out)["columns"][0]["name"] == evil
    assert visible("plain é") == "plain é" and visible("a\nb\x7f") == "a\nb\\x7f"


def test_a_damaged_footer_is_called_so(tmp_path: Path) -> None:
    path = tmp_path / "d.parquet"
    pq.write_table(pa.table({"é": [1.0, 2.0]}), path)
    content = bytearray(path.read_bytes())
    for at in [i for i in range(len(content)) if content[i : i + 2] == "é".encode()]:
        content[at] = 0xFF
    path.write_bytes(content)
    with pytest.raises(DataError, match="is damaged, or no Parquet file: "):
        open_source(str(path))


# --- links and permission bits


def test_set_id_bits_are_never_handed_on(tmp_path: Path) -> None:
    path = tmp_path / "m.hsq"
    old = os.umask(0o022)
    try:
        for before, after in (
            (0o4755, 0o755),
            (0o2775, 0o755),
            (0o1666, 0o644),
            (0o600, 0o600),
            (0o440, 0o440),
            (0o777, 0o755),
        ):
            path.write_bytes(b"old")
            path.chmod(before)
            with atomic_write(path) as file:
                file.write(b"new")
            assert stat.S_IMODE(path.stat().st_mode) == after
            path.unlink()
    finally:
        os.umask(old)


def test_a_file_is_private_from_its_beginning_where_the_old_one_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("halfsquare.files.atomic._NO_NAME", 0)
    path = tmp_path / "m.hsq"
    path.touch(0o600)
    with atomic_write(path) as file:
        file.write(b"secret")
        (made,) = tmp_path.glob(".m.hsq.*.new")
        assert stat.S_IMODE(made.stat().st_mode) == 0o600


def test_links(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    link = tmp_path / "m.hsq"
    link.symlink_to("there/real.hsq")
    for _ in range(2):  # before the file is there, and after
        require_writable(link)
        with atomic_write(link) as file:
            file.write(b"new")
        assert link.is_symlink() and (tmp_path / "there/real.hsq").read_bytes() == b"new"
    for target, words in (
        ("gone/m.hsq", "there is no folder .*gone, to which the link leads"),
        ("there", "leads to .*there, which is a folder"),
        ("m.hsq", "is a link that leads back to itself"),
        ("/dev/null", "leads to /dev/null, which is no ordinary file"),
    ):
        link.unlink()
        link.symlink_to(target)
        with pytest.raises(OutputError, match=words):
            require_writable(link)
        with pytest.raises(OutputError, match=words), atomic_write(link):
            pass


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make the link of another user")
def test_a_link_of_another_user_in_a_shared_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "shared").mkdir(mode=0o1777)
    link = tmp_path / "shared" / "m.hsq"
    link.symlink_to(tmp_path / "precious")
    os.lchown(link, 12345, 12345)
    with pytest.raises(OutputError, match=r"is a link that another user has made\. Name the file"):
        require_writable(link)
    os.chown(tmp_path / "shared", 12345, 12345)  # their own folder: they could change it anyway
    require_writable(link)


# --- folders for what is put aside


def test_a_private_folder_is_private_and_goes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with private_folder() as path:
        assert stat.S_IMODE(path.stat().st_mode) == 0o700
        (path / "part").write_bytes(b"rows")
        remove_abandoned()  # by others: it has an owner
        assert (path / "part").exists()
    folder = PrivateFolder()
    del folder
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_process_left_is_removed_by_the_next(tmp_path: Path) -> None:
    code = (
        "import os, signal\n"
        "from halfsquare.data.deciding import open_source\n"
        "source = open_source('SELECT i::DOUBLE AS x FROM range(10) t(i)')\n"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    env = {**os.environ, "TMPDIR": str(tmp_path)}
    killed = subprocess.run([sys.executable, "-c", code], env=env, timeout=60)
    assert killed.returncode == -signal.SIGKILL
    (left,) = tmp_path.iterdir()
    assert stat.S_IMODE(left.stat().st_mode) == 0o700
    (tmp_path / "halfsquare-of-somebody").mkdir(0o755)
    (tmp_path / "halfsquare-file").touch()
    (tmp_path / "halfsquare-link").symlink_to(tmp_path / "elsewhere")
    done = subprocess.run([sys.executable, "-c", code.rsplit("\n", 1)[0]], env=env, timeout=60)
    assert done.returncode == 0
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "halfsquare-file",
        "halfsquare-link",
        "halfsquare-of-somebody",
    ]


def test_a_query_spills_to_a_private_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    query = "SELECT i::DOUBLE AS x, repeat('x', 500) || i AS t FROM range(400000) t(i) ORDER BY t"
    source = open_source(query)
    batches = record_batches(source, source.columns)
    next(batches)
    (folder,) = tmp_path.iterdir()
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert any((folder / "duckdb").iterdir())
    del batches, source
    assert list(tmp_path.iterdir()) == []


# --- interruptions


def test_what_was_written_before_an_interruption_is_said(
    command: Callable[..., Ran], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("halfsquare.files.atomic._written", {})
    monkeypatch.setattr("halfsquare.cli.fit.show", interrupted)
    ran = command(*FIT)
    assert (ran.code, ran.err) == (
        130,
        "halfsquare: interrupted; before that, m.hsq had been written\n",
    )
    monkeypatch.setattr("halfsquare.files.atomic._written", {})
    monkeypatch.setattr("halfsquare.fitting.fit_family.whole", interrupted)
    ran = command(*FIT)
    assert (ran.code, ran.err) == (130, "halfsquare: interrupted; nothing was written\n")


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        (signal.SIGTERM, Terminated),
        (signal.SIGHUP, HungUp),
        (signal.SIGINT, KeyboardInterrupt),
    ],
)
def test_a_signal_in_the_middle_of_a_query(
    number: signal.Signals, expected: type[BaseException]
) -> None:
    """DuckDB tells of an interruption, and not of which signal it was."""
    with pytest.raises(expected), orderly_end(), translated("the query"):
        try:
            os.kill(os.getpid(), number)
        except BaseException:
            raise RuntimeError("Query interrupted") from None
    with pytest.raises(expected), orderly_end():
        try:
            os.kill(os.getpid(), number)
        except BaseException:
            sys.exit(130)
    with pytest.raises(KeyboardInterrupt), translated("the query"):
        raise RuntimeError("Query interrupted")
