"""The model file: bit-exact, whole or not there, and refused with the reason when it is not
ours.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.numpy import save_file

from halfsquare import FittedModel, fit, load
from halfsquare.errors import ModelFileError, OutputError
from halfsquare.files.atomic import atomic_write, require_writable
from halfsquare.results.model_file import MODEL_FILE


@pytest.fixture(scope="module")
def data() -> dict[str, Any]:
    rng = np.random.default_rng(0)
    x, town = rng.normal(size=200) * 1e3, rng.choice(["Köln", "Ulm", 'naïve "quote"'], 200)
    x[::9] = np.nan
    when = np.datetime64("2020-01-01") + rng.integers(0, 900, 200).astype("timedelta64[D]")
    return {
        "x": x,
        "town": town,
        "when": when,
        "y": rng.normal(size=200),
        "z": rng.normal(size=200),
    }


@pytest.fixture(scope="module")
def fitted(data: dict[str, Any]) -> FittedModel:
    return fit(data, ["y", "z"], model="linear", l2=0.01)


@pytest.fixture(scope="module")
def file(fitted: FittedModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("models") / "m.hsq"
    fitted.save(path)
    return path


def test_a_loaded_model_is_the_same_to_the_last_bit(
    fitted: FittedModel, file: Path, data: dict[str, Any]
) -> None:
    again = load(file)
    for level in (0.5, 0.95):
        for a, b in zip(again.interval(data, level), fitted.interval(data, level), strict=True):
            np.testing.assert_array_equal(a, b)
    assert [vars(p) for p in again.parameters] == [vars(p) for p in fitted.parameters]
    assert json.loads(json.dumps(again.info)) == json.loads(json.dumps(fitted.info))
    assert repr(again) == repr(fitted)
    again.save(file.with_name("again.hsq"))
    assert file.with_name("again.hsq").read_bytes() == file.read_bytes()


def test_the_file_is_plain_safetensors(file: Path) -> None:
    with safe_open(file, framework="numpy") as opened:
        assert "halfsquare" in opened.metadata()
        described = json.loads(opened.metadata()["halfsquare"])
    assert (described["kind"], described["format_version"]) == ("model", MODEL_FILE.version)
    assert {"encoder", "members", "record"} <= described.keys()
    assert b"pickle" not in file.read_bytes()


# --- refused --------------------------------------------------------------------------------------
# -------------------


def changed(
    file: Path, tmp_path: Path, change: Callable[[dict[str, Any], dict[str, np.ndarray]], None]
) -> Path:
    """A file that differs in its description or its numbers, with the digest that belongs to it."""
    header, arrays = MODEL_FILE.read(file)
    change(header, arrays)
    MODEL_FILE.write(tmp_path / "changed.hsq", header, arrays)
    return tmp_path / "changed.hsq"


def put(value: Any, *keys: Any) -> Callable[[dict[str, Any], Any], None]:
    def change(described: dict[str, Any], _: Any) -> None:
        for key in keys[:-1]:
            described = described[key]
        described[keys[-1]] = value

    return change


CHANGES: dict[str, tuple[Callable[[Any, Any], Any], str]] = {
    "no members": (put([], "members"), "no model in it"),
    "unknown model": (put("forest", "members", 0, "model", "kind"), "unknown kind 'forest'"),
    "unknown column": (
        put("tensor", "encoder", "features", 0, "kind"),
        "a column of the unknown kind 'tensor'",
    ),
    "fewer targets": (put(["y"], "encoder", "targets"), "2 calibrations for 1 targets"),
    "fewer columns": (lambda d, _: d["encoder"]["features"].pop(), "is damaged"),
    "no encoder": (lambda d, _: d.pop("encoder"), "is damaged"),
    "no record": (put(None, "record"), "record is None; expected an object"),
    "unknown reason": (
        put("luck", "members", 0, "found", "termination", "reason"),
        r"members\[0\].termination.reason is 'luck'; expected one of",
    ),
    "infinite mean": (put([float("inf")], "encoder", "target_means"), "is damaged"),
    "infinite scales": (
        put([float("inf"), 1.0], "encoder", "target_scales"),
        "that are no numbers",
    ),
    "NaN parameters": (
        lambda _, t: t["0.parameters"].fill(np.nan),
        "parameters that are not finite",
    ),
    "short parameters": (
        lambda _, t: t.update({"0.parameters": t["0.parameters"][:-1].copy()}),
        "expected .* and float64",
    ),
    "single precision": (
        lambda _, t: t.update({"0.parameters": t["0.parameters"].astype(np.float32)}),
        "and type float32; expected",
    ),
    "no parameters": (lambda _, t: t.pop("0.parameters"), "is damaged"),
}


@pytest.mark.parametrize("name", CHANGES)
def test_what_does_not_fit_together_is_refused(name: str, file: Path, tmp_path: Path) -> None:
    change, words = CHANGES[name]
    with pytest.raises(ModelFileError, match=words):
        load(changed(file, tmp_path, change))


def test_an_unchanged_copy_is_read(file: Path, tmp_path: Path) -> None:
    assert load(changed(file, tmp_path, lambda *_: None)).encoder.targets == ("y", "z")


def test_foreign_files_are_refused(file: Path, tmp_path: Path) -> None:
    foreign = tmp_path / "foreign.safetensors"
    save_file({"weights": np.zeros(3)}, foreign)
    with pytest.raises(ModelFileError, match="of another program, not a model file"):
        load(foreign)
    for content in (
        b"",
        b"x,y\n1,2\n",
        b"\x80\x04K\x01.",
        b"PK\x03\x04",
        b"{}",
        b"\xff" * 100,
        b"\0" * 100,
    ):
        foreign.write_bytes(content)
        with pytest.raises(ModelFileError, match="is no model file of halfsquare, or it is dama"):
            load(foreign)
    with pytest.raises(ModelFileError, match="there is no model file"):
        load(tmp_path / "none.hsq")
    with pytest.raises(ModelFileError, match="is not a file"):
        load(tmp_path)


def test_other_versions_and_kinds_are_refused(file: Path, tmp_path: Path) -> None:
    header, arrays = MODEL_FILE.read(file)
    path = tmp_path / "other.hsq"
    replace(MODEL_FILE, version=3).write(path, header, arrays)
    with pytest.raises(ModelFileError, match=r"model file of format 3; .* format 2: update half"):
        load(path)
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    with pytest.raises(ModelFileError, match=r"update halfsquare; or it is damaged"):
        load(path)
    replace(MODEL_FILE, kind="checkpoint").write(path, header, arrays)
    with pytest.raises(ModelFileError, match="is a checkpoint, not a model file"):
        load(path)
    save_file(arrays, path, {"halfsquare": json.dumps({"format_version": 1, **header})})
    with pytest.raises(ModelFileError, match="early version, in format 1, which carries no digest"):
        load(path)


def test_every_changed_bit_is_refused(file: Path, tmp_path: Path) -> None:
    """In the header, the arrays, the digest and the padding: also where the values read would be
    the same.
    """
    whole, path = file.read_bytes(), tmp_path / "m.hsq"
    random = np.random.default_rng(0)
    for bit in {*range(0, 8 * 300, 3), *random.integers(0, 8 * len(whole), 500).tolist()}:
        made = bytearray(whole)
        made[bit // 8] ^= 1 << bit % 8
        path.write_bytes(made)
        with pytest.raises(ModelFileError):
            load(path)


@settings(max_examples=300)
@given(drawn=st.data())
def test_damage_is_refused(
    drawn: st.DataObject, file: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Cut, flipped or overwritten anywhere."""
    whole = bytearray(file.read_bytes())
    kind = drawn.draw(st.sampled_from(["cut", "flip", "text", "insert"]))
    at = drawn.draw(st.integers(0, len(whole) - 1))
    if kind == "cut":
        del whole[at:]
    elif kind == "flip":
        whole[at] ^= drawn.draw(st.integers(1, 255))
    elif kind == "text":  # within the description, where most of what can go wrong is
        at = drawn.draw(st.integers(8, 3000))
        whole[at : at + 1] = drawn.draw(
            st.sampled_from([b"0", b"9", b"-", b"]", b"}", b'"', b",", b"e", b" "])
        )
    else:
        whole[at:at] = drawn.draw(st.binary(min_size=1, max_size=20))
    path = tmp_path_factory.getbasetemp() / "damaged.hsq"
    path.write_bytes(bytes(whole))
    if bytes(whole) != file.read_bytes():
        with pytest.raises(ModelFileError):
            load(path)


# --- written whole or not at all
# -------------------------------------------------------------------------------------


def test_a_failure_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    path.write_bytes(b"old")
    with pytest.raises(ZeroDivisionError), atomic_write(path) as out:
        out.write(b"half of the n")
        raise ZeroDivisionError
    with pytest.raises(KeyboardInterrupt), atomic_write(path) as out:
        out.write(b"half of the n")
        raise KeyboardInterrupt
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]
    with atomic_write(path) as out:
        out.write(b"new")
    assert path.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [path]


def test_a_failing_disk_is_an_output_error(
    fitted: FittedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "m.hsq"
    path.write_bytes(b"old")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OutputError, match="could not be written: No space left on device"):
        fitted.save(path)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_paths_that_cannot_be_written_are_known_before(fitted: FittedModel, tmp_path: Path) -> None:
    for path, words in (
        (tmp_path / "no" / "m.hsq", "there is no folder"),
        (tmp_path, "is a folder"),
    ):
        for act in (partial(fitted.save, path), partial(require_writable, path)):
            with pytest.raises(OutputError, match=words):
                act()
    require_writable(None)
    require_writable("-")
    require_writable(tmp_path / "m.hsq")


def test_the_file_gets_the_usual_permissions(fitted: FittedModel, tmp_path: Path) -> None:
    old = os.umask(0o027)
    try:
        fitted.save(tmp_path / "m.hsq")
    finally:
        os.umask(old)
    assert (tmp_path / "m.hsq").stat().st_mode & 0o777 == 0o640
