"""Faults, injected: each ends in the right answer or a clear error, the old file stays, and nothing
is left behind.

The same cases are run by the thousand in ``benchmarks/faults.py``.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

if sys.platform != "linux":
    pytest.skip("fork, /proc and limits as Linux has them", allow_module_level=True)

from forking import Commands
from fuzzing import KINDS, fuzzed
from hostile import outcome, planned_outcome, tables
from hypothesis import HealthCheck, given, settings
from injecting import (
    FIT,
    TEXTS,
    WRITERS,
    damaged_parquet,
    hostile_text,
    interrupted,
    kills,
    little_memory,
    mounted,
    out_of_space,
    prepared,
    write_table,
)  # fmt: skip
from loading import visit

from halfsquare.files.atomic import atomic_write

FINE = ("right", "error")


@pytest.fixture(scope="module")
def commands() -> Iterator[Commands]:
    with Commands() as running:
        yield running


@pytest.fixture(scope="module")
def folder(commands: Commands, tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("faults")
    prepared(commands, made)
    return made


@pytest.mark.parametrize("name", WRITERS)
def test_killed_at_any_moment(name: str, commands: Commands, folder: Path) -> None:
    arguments, out = WRITERS[name]
    for kill in kills(np.random.default_rng(0), 0.4, 4):
        assert interrupted(commands, folder, arguments, out, kill) in FINE


def test_killed_while_it_writes_nothing_has_a_name(tmp_path: Path) -> None:
    with atomic_write(tmp_path / "m.hsq") as file:
        file.write(b"half of it")
        file.flush()
        assert list(tmp_path.iterdir()) == []
    assert [p.name for p in tmp_path.iterdir()] == ["m.hsq"]


def test_what_a_killed_writer_left_is_removed_and_what_a_living_one_writes_is_not(
    tmp_path: Path,
) -> None:
    import fcntl

    dead, alive = tmp_path / ".m.hsq.0123456789ab.new", tmp_path / ".m.hsq.ba9876543210.new"
    dead.touch()
    with alive.open("wb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with atomic_write(tmp_path / "m.hsq") as file:
            file.write(b"whole")
        assert sorted(p.name for p in tmp_path.iterdir()) == [alive.name, "m.hsq"]


def test_where_files_need_names_they_are_whole_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("halfsquare.files.atomic._NO_NAME", 0)
    target = tmp_path / "m.hsq"
    target.write_bytes(b"old")
    target.chmod(0o600)
    with pytest.raises(ZeroDivisionError), atomic_write(target) as file:
        file.write(b"half")
        raise ZeroDivisionError
    assert [p.name for p in tmp_path.iterdir()] == ["m.hsq"]
    assert target.read_bytes() == b"old"
    with atomic_write(target) as file:
        file.write(b"new")
    assert (target.read_bytes(), target.stat().st_mode & 0o777) == (b"new", 0o600)


@pytest.mark.parametrize("name", WRITERS)
def test_a_limit_on_the_size_of_files(name: str, commands: Commands, folder: Path) -> None:
    arguments, out = WRITERS[name]
    assert {out_of_space(commands, folder, arguments, out, size) for size in (0, 100, 5000)} <= set(
        FINE
    )
    assert out_of_space(commands, folder, arguments, out, 1 << 30) == "right"


def test_no_room_for_the_temporary_copy(commands: Commands, folder: Path, tmp_path: Path) -> None:
    if not mounted(tmp_path / "small", 8 << 20):
        pytest.skip("mounting a small file system is not permitted here")
    import subprocess

    write_table(tmp_path / "large.parquet", 2_000_000)
    arguments = ("fit", "large.parquet", "--target", "y", "--model", "linear")
    try:
        ended = commands(*arguments, folder=tmp_path, temporary=tmp_path / "small")
        assert (ended.code, ended.out) == (1, "")
        assert "the temporary copy of 2,000,000 rows of 4 columns needs 64 MB more" in ended.err
        assert "has 8 MB free" in ended.err
        assert list((tmp_path / "small").iterdir()) == []
    finally:
        subprocess.run(["umount", str(tmp_path / "small")], check=True)


@pytest.mark.parametrize("megabytes", [60, 900, 1450, 3000])
def test_little_memory(megabytes: int, folder: Path) -> None:
    assert little_memory(folder, megabytes) == ("right" if megabytes == 3000 else "error")


def test_damaged_parquet(commands: Commands, folder: Path) -> None:
    write_table(folder / "whole.parquet")
    random = np.random.default_rng(0)
    assert {damaged_parquet(commands, folder, random) for _ in range(8)} <= set(FINE)


@pytest.mark.parametrize("name", TEXTS)
def test_hostile_text(name: str, commands: Commands, folder: Path) -> None:
    expected = (
        ("right",)
        if name in ("BOM", "no last newline", "one column", "blank lines", "SQL in names")
        else FINE
    )
    assert hostile_text(commands, folder, TEXTS[name]) in expected


def test_hostile_tables(commands: Commands) -> None:
    @settings(
        max_examples=4, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
    )
    @given(tables())
    def each(table: tuple[list[str], list[list[str]], str]) -> None:
        with tempfile.TemporaryDirectory() as made:
            assert outcome(table, commands, Path(made)) in FINE

    each()


@pytest.mark.parametrize("seed", range(5))
def test_hostile_names_and_scales_do_not_change_the_answer(
    seed: int, commands: Commands, tmp_path: Path
) -> None:
    assert planned_outcome(seed, commands, tmp_path) == "right"


@pytest.mark.parametrize("kind", KINDS)
def test_fuzzed(kind: str, tmp_path: Path) -> None:
    """Of a file of our own with changed bytes nothing is believed: it is refused, or as it was."""
    found = fuzzed(kind, tmp_path, 0, 60)
    believed = ("another",) if "edited" in kind or kind == "upload" else ()
    assert set(found) <= {*FINE, *believed}
    assert found["error"] > 20


def test_the_page_among_slow_and_vanishing_visitors(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("uvicorn", reason="the page needs the extra 'page'")
    from visiting import serving

    from halfsquare.web import request_timeout

    monkeypatch.setattr(request_timeout, "SECONDS", 1.0)
    with serving() as visitor:
        url = visitor._server.url if visitor._server else ""
        found = visit(url, 9, 3.0)
        assert found["right"] > 0
        assert found["cut off"] == 3
        assert set(found) == {"right", "cut off", "vanished"}


def test_the_fit_itself_is_right(commands: Commands, folder: Path) -> None:
    assert commands(*FIT, folder=folder).code == 0
