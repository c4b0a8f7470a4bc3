"""Bad input: every case ends with a message that says what was found, where and what to do, and
breaks no file.
"""

from __future__ import annotations

import gzip
import os
import resource
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from conftest import COMMAND, Ran
from spreadsheets import book

from halfsquare import fit
from halfsquare.data.deciding import open_source
from halfsquare.errors import DataError, OptionError

Command = Callable[..., Ran]
GOOD = "x,y\n" + "".join(f"{i},{2 * i + 1}\n" for i in range(40))


@pytest.fixture
def refused(command: Command, tmp_path: Path) -> Callable[..., str]:
    """Run a command that must fail; returns its message, having seen that no file was touched."""

    def of(*arguments: object, code: int = 1) -> str:
        before = {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}
        ran = command(*arguments)
        assert ran.code == code, ran
        assert ran.out == ""
        assert ran.err.startswith("halfsquare: ")
        assert ran.err.count("\n") == 1
        assert "Traceback" not in ran.err
        assert "internal error" not in ran.err
        assert {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()} == before
        return ran.err.removeprefix("halfsquare: ").rstrip("\n")

    return of


def rows(*lines: str) -> str:
    """A header and 40 good lines around the given ones."""
    return (
        "x,y\n"
        + "".join(f"{i},{2 * i}\n" for i in range(20))
        + "".join(f"{line}\n" for line in lines)
        + "".join(f"{i},{2 * i}\n" for i in range(20))
    )


FITS: dict[str, tuple[bytes | None, str]] = {
    # what stands in a.csv, and the message
    "no file": (None, "there is no file a.csv"),
    "empty file": (b"", "a.csv is empty: expected a header line and rows"),
    "only a newline": (b"\n", "a.csv"),
    "header only": (b"x,y\n", "a.csv has a header but no rows"),
    "no header": (
        b"1,2\n3,4\n5,6\n",
        "a.csv has no header line: its first line, '1,2', "
        "reads as data. Add a first line with 2 column names",
    ),
    "no such target": (b"x,z\n1,2\n2,3\n", "a.csv has no target column 'y'"),
    "nearly the target": (
        b"x,yy\n1,2\n2,3\n",
        "a.csv has no target column 'y'. Did you mean 'yy'? Its columns: x, yy",
    ),
    "text target": (
        rows("3,red").encode(),
        "'y' of a.csv is text: found 'red' in row 21, expected numbers",
    ),
    "dates as target": (
        b"x,y\n" + b"".join(b"%d,2020-01-%02d\n" % (i, i) for i in range(1, 20)),
        "target column 'y' of a.csv has the type DATE; expected numbers",
    ),
    "all targets missing": (
        b"x,y\n1,\n2,\n3,NA\n",
        "all 3 values of the target 'y' in a.csv are missing",
    ),
    "infinite value": (
        rows("inf,3").encode(),
        "a.csv, row 21, column 'x': found inf, "
        "expected a finite number. Correct it, or "
        "leave it empty",
    ),
    "infinite target": (
        rows("3,-Infinity").encode(),
        "a.csv, row 21, column 'y': found -inf, expected a finite number",
    ),
    "a number too large": (rows("1e400,3").encode(), "a.csv, row 21, column 'x': found inf"),
    "duplicate columns": (
        b"x,y,x\n1,2,3\n2,3,4\n",
        "a.csv has two columns named 'x' (column 3 is the second): rename one",
    ),
    "short line": (
        rows("3").encode(),
        "a.csv, row 21: found 1 field, expected 2 as in the header",
    ),
    "long line": (
        rows("3,4,5").encode(),
        "a.csv, row 21: found 3 fields, expected 2 as in the header",
    ),
    "binary": (bytes(range(256)) * 40, "a.csv"),
    "zero bytes": (b"\0" * 5000, "a.csv"),
    "a text of one column": (b"this is\nnot a table\nat all\n", "a.csv"),
}


@pytest.mark.parametrize("name", FITS)
def test_a_file_that_cannot_be_fitted(
    name: str, refused: Callable[..., str], tmp_path: Path
) -> None:
    content, message = FITS[name]
    if content is not None:
        (tmp_path / "a.csv").write_bytes(content)
    assert message in refused("fit", "a.csv", "--target", "y", "--out", "m.hsq")
    assert not (tmp_path / "m.hsq").exists()


def test_a_column_that_changes_its_type_half_way(
    refused: Callable[..., str], command: Command, tmp_path: Path
) -> None:
    lines = [f"{i},{2 * i}" for i in range(60_000)]
    lines[50_000] = "unknown,4"
    (tmp_path / "a.csv").write_text("x,y\n" + "\n".join(lines) + "\n")
    fitted = command("fit", "--model", "linear", "a.csv", "--target", "y", "--json")
    assert fitted.code == 0
    assert [c["design_columns"] for c in fitted.json["columns"]] == [["x", "x is missing"]]
    lines[50_000] = "4,many"
    (tmp_path / "a.csv").write_text("x,y\n" + "\n".join(lines) + "\n")
    assert "'y' of a.csv is text: found 'many' in row 50001, expected numbers" in refused(
        "fit", "a.csv", "--target", "y"
    )


def test_latin_1_bytes_are_told_and_read_on_request(
    refused: Callable[..., str], command: Command, tmp_path: Path
) -> None:
    text = "town,y\n" + "".join(f"{('Köln', 'Ulm')[i % 2]},{i % 2}\n" for i in range(40))
    (tmp_path / "a.csv").write_bytes(text.encode("latin-1"))
    message = refused("fit", "a.csv", "--target", "y")
    assert message.endswith(
        "is not UTF-8 text. Save it as UTF-8, or say what it is: --encoding latin-1"
    )
    ran = command(
        "fit", "--model", "linear", "a.csv", "--target", "y", "--encoding", "latin-1", "--json"
    )
    assert ran.code == 0
    assert {"town=Köln", "town=Ulm"} & {p["name"] for p in ran.json["parameters"]}


def test_lawful_oddities_are_fitted(command: Command, tmp_path: Path) -> None:
    """A quoted newline, one row, a constant target, a 40-digit integer: no errors."""
    cases = {
        "newline.csv": "c,y\n" + '"two\nlines",0\n"one",1\n' * 20,
        "one.csv": "x,y\n1,2\n",
        "constant.csv": "x,y\n" + "".join(f"{i},7\n" for i in range(30)),
        "digits.csv": "x,y\n"
        + "".join(f"{'1234567890' * 4 if i % 2 else i},{i % 2}\n" for i in range(40)),
    }
    for name, text in cases.items():
        (tmp_path / name).write_text(text)
        ran = command("fit", "--model", "linear", name, "--target", "y", "--json")
        assert ran.code == 0, (name, ran.err)
        assert ran.json["rows"] >= 1
        text_out = command("fit", "--model", "linear", name, "--target", "y")
        assert text_out.code == 0, (name, text_out.err)
    found = command(
        "fit", "--model", "linear", "digits.csv", "--target", "y", "--test-fraction", "0", "--json"
    ).json
    assert found["r2"] == pytest.approx(1.0)
    assert (
        command("fit", "--model", "linear", "constant.csv", "--target", "y", "--json").json["r2"]
        is None
    )


def test_fifteen_hundred_columns(command: Command, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    x = np.round(rng.normal(size=(60, 1500)), 3)
    lines = [",".join([*(f"c{j}" for j in range(1500)), "y"])]
    lines += [",".join([*map(str, r), str(round(r[0] * 2 + 1, 4))]) for r in x]
    (tmp_path / "wide.csv").write_text("\n".join(lines) + "\n")
    ran = command(
        "fit",
        "--model",
        "linear",
        "wide.csv",
        "--target",
        "y",
        "--test-fraction",
        "0",
        "--json",
        "--l2",
        "auto",
    )
    assert ran.code == 0, ran.err
    assert len(ran.json["parameters"]) == 1501
    assert ran.json["r2"] > 0.1


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ("-1", "a.csv, row 3, weight column 'w': found -1, expected a number >= 0"),
        ("", "a.csv, row 3, weight column 'w': found no value, expected a number >= 0"),
        ("heavy", "weight column 'w' of a.csv is text: found 'heavy' in row 3, expected numbers"),
        ("inf", "a.csv, row 3, column 'w': found inf, expected a finite number"),
    ],
)
def test_weights(weights: str, message: str, refused: Callable[..., str], tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(f"x,w,y\n1,1,2\n2,1,3\n3,{weights},4\n4,1,5\n")
    assert message in refused("fit", "a.csv", "--target", "y", "--weights", "w")


def test_outputs_that_cannot_be_written(
    refused: Callable[..., str], command: Command, tmp_path: Path
) -> None:
    (tmp_path / "a.csv").write_text(GOOD)
    assert "there is no folder nowhere" in refused(
        "fit", "a.csv", "--target", "y", "--out", "nowhere/m.hsq"
    )
    (tmp_path / "folder").mkdir()
    assert "folder is a folder" in refused("fit", "a.csv", "--target", "y", "--out", "folder")
    assert command("fit", "--model", "linear", "a.csv", "--target", "y", "--out", "m.hsq").code == 0
    assert "there is no folder nowhere" in refused(
        "predict", "m.hsq", "a.csv", "--out", "nowhere/p.csv"
    )
    assert "p.xlsx ends in .xlsx; expected .csv or .parquet" in refused(
        "predict", "m.hsq", "a.csv", "--out", "p.xlsx", code=2
    )


def test_files_of_another_kind(refused: Callable[..., str], tmp_path: Path) -> None:
    (tmp_path / "a.xlsx").write_bytes(b"PK")
    assert "a.xlsx could not be read as a spreadsheet" in refused("fit", "a.xlsx", "--target", "y")
    (tmp_path / "a.pdf").write_bytes(b"PDF")
    assert "a.pdf is a .pdf file; expected CSV, TSV, Parquet, JSON lines" in refused(
        "fit", "a.pdf", "--target", "y"
    )
    for name in ("a.parquet", "a.duckdb", "a.csv.gz"):
        (tmp_path / name).write_bytes(b"this is no such file at all")
        assert name in refused("fit", name, "--target", "y")
    (tmp_path / "a.jsonl").write_text('{"x": 1, "y": 2}\n{"x": 1, "y"\n')
    assert "a.jsonl" in refused("fit", "a.jsonl", "--target", "y")
    assert "is a folder of" in refused("fit", tmp_path, "--target", "y")
    assert "the query could not be read" in refused("fit", "SELECT * FROM nowhere", "--target", "y")
    (tmp_path / "cut.csv.gz").write_bytes(__import__("gzip").compress(GOOD.encode() * 500)[:-30])
    assert "cut.csv.gz" in refused("fit", "cut.csv.gz", "--target", "y")


def test_model_files(refused: Callable[..., str], tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(GOOD)
    (tmp_path / "m.hsq").write_text("no model")
    assert "there is no model file none.hsq" in refused("predict", "none.hsq", "a.csv")
    assert "m.hsq is no model file of halfsquare, or it is damaged" in refused(
        "evaluate", "m.hsq", "a.csv"
    )
    assert "is not a file" in refused("info", ".")


WRONG_USE = [
    (["fit", "a.csv"], "no target: say which column of a.csv to predict"),
    (["fit", "a.csv", "--target", "y", "--l2", "much"], "neither a number nor auto"),
    (["fit", "a.csv", "--target", "y", "--l2", "-1"], "not a finite number >= 0"),
    (["fit", "a.csv", "--target", "y", "--l2", "nan"], "not a finite number >= 0"),
    (["fit", "a.csv", "--target", "y", "--method", "adam"], "adam"),
    (["fit", "a.csv", "--target", "y", "--model", "tree"], "tree"),
    (["fit", "a.csv", "--target", "y", "--loss", "rmse"], "rmse"),
    (["fit", "a.csv", "--target", "y", "--test-fraction", "1.5"], "test-fraction"),
    (["fit", "a.csv", "--target", "y", "--threads", "0"], "threads"),
    (["fit", "a.csv", "--target", "y", "--seed", "-1"], "seed"),
    (["fit", "a.csv", "--target", "y", "--time-limit", "-1"], "time limit"),
    (["fit", "a.csv", "--target", "y", "--no-such-option"], "--no-such-option"),
    (["fit", "a.csv", "--target", "y", "--target", "y"], "two roles"),
    (["predict", "m.hsq", "a.csv", "--interval", "1.5"], "1.5"),
    (["nothing"], "nothing"),
]


@pytest.mark.parametrize(
    ("arguments", "words"), WRONG_USE, ids=[" ".join(a[3:] or a) for a, _ in WRONG_USE]
)
def test_wrong_use(arguments: list[str], words: str, command: Command, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(GOOD)
    ran = command(*arguments)
    assert (ran.code, ran.out) == (2, ""), ran
    assert words in ran.err
    assert "Traceback" not in ran.err


# --- a full disk, and Ctrl-C
# -----------------------------------------------------------------------------------------


def small_files_only() -> None:
    """Writing beyond 2 kB fails, as on a full disk, instead of ending the process."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))


def test_a_full_disk_leaves_the_old_model(command: Command, run: Callable, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(
        "a,b,c,d,y\n" + "".join(f"{i},{i * i},{i % 7},{i % 5},{i % 11}\n" for i in range(300))
    )
    assert command("fit", "--model", "linear", "a.csv", "--target", "y", "--out", "m.hsq").code == 0
    old, files = (tmp_path / "m.hsq").read_bytes(), set(tmp_path.iterdir())
    assert len(old) > 2000
    for arguments, name in (
        (
            ["fit", "--model", "linear", "a.csv", "--target", "y", "--seed", "3", "--out", "m.hsq"],
            "m.hsq",
        ),
        (["predict", "m.hsq", "a.csv", "--interval", "0.9", "--out", "p.csv"], "p.csv"),
    ):
        ran = run(*arguments, preexec_fn=small_files_only)
        assert (ran.returncode, ran.stdout) == (1, ""), ran
        assert f"halfsquare: {name} could not be written: File too large" in ran.stderr
        assert "Traceback" not in ran.stderr
        assert set(tmp_path.iterdir()) == files
    assert (tmp_path / "m.hsq").read_bytes() == old


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_full_standard_output(command: Command, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(GOOD)
    assert command("fit", "--model", "linear", "a.csv", "--target", "y", "--out", "m.hsq").code == 0
    for arguments in (["predict", "m.hsq", "a.csv"], ["info", "m.hsq", "--json"]):
        with Path("/dev/full").open("wb") as full:
            ran = subprocess.run(
                [*COMMAND, *arguments],
                stdout=full,
                stderr=subprocess.PIPE,
                text=True,
                cwd=tmp_path,
                timeout=60,
            )
        assert ran.returncode == 1, ran
        assert "standard output could not be used: No space left on device" in ran.stderr
        assert "Traceback" not in ran.stderr


@pytest.mark.parametrize("method", ["least-squares", "gradient"])
def test_ctrl_c_leaves_nothing_half_written(method: str, command: Command, tmp_path: Path) -> None:
    (tmp_path / "small.csv").write_text(GOOD)
    assert (
        command("fit", "--model", "linear", "small.csv", "--target", "y", "--out", "m.hsq").code
        == 0
    )
    rng = np.random.default_rng(0)
    x = np.round(rng.normal(size=(20_000, 40)), 4)
    part = "\n".join(",".join(map(str, r)) for r in x) + "\n"
    (tmp_path / "large.csv").write_text(",".join(f"x{j}" for j in range(39)) + ",y\n" + part * 12)
    old, files = (tmp_path / "m.hsq").read_bytes(), {p.name for p in tmp_path.iterdir()}
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    process = subprocess.Popen(
        [
            *COMMAND,
            "fit",
            "--model",
            "linear",
            "large.csv",
            "--target",
            "y",
            "--method",
            method,
            "--out",
            "m.hsq",
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "TMPDIR": str(temporary)},
    )
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and not _is_reading(process.pid, "large.csv"):
        time.sleep(0.01)
    assert process.poll() is None, process.communicate()
    time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert (process.returncode, out) == (130, ""), err
    assert err.splitlines()[-1] == "halfsquare: interrupted; nothing was written"
    assert "Traceback" not in err
    assert (tmp_path / "m.hsq").read_bytes() == old
    assert {p.name for p in tmp_path.iterdir()} - {"tmp"} == files
    assert list(temporary.iterdir()) == []


def _is_reading(pid: int, name: str) -> bool:
    """Whether the process has the file open: then the work has begun."""
    try:
        return any(name in str(f.readlink()) for f in Path(f"/proc/{pid}/fd").iterdir())
    except OSError:
        return False


if sys.platform != "linux":  # /proc and RLIMIT_FSIZE
    del test_ctrl_c_leaves_nothing_half_written, test_a_full_disk_leaves_the_old_model


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"modle": "linear"}, "there is no option 'modle'; did you mean 'model'"),
        ({"delimitr": ";"}, "did you mean 'delimiter'"),
        ({"qqqqqq": 1}, "there is no option 'qqqqqq'; expected one of weights, sigma"),
        ({"weights": np.ones(9)}, "weights is ndarray; expected the name of a column"),
        ({"sigma": 0.1}, "sigma is float; expected the name of a column"),
        ({"formula": "y ~ a + b*x", "sigma_x": 0.1}, "sigma_x is float; expected the name"),
    ],
)
def test_options_of_other_kinds_and_names(options: dict[str, Any], words: str) -> None:
    x = np.arange(9.0)
    with pytest.raises(OptionError, match=words):
        fit({"x": x, "y": x % 3}, None if "formula" in options else "y", **options)


@pytest.mark.parametrize("made", [dict, pd.DataFrame])
def test_whole_numbers_beyond_64_bits_are_named(made: Any) -> None:
    large = [2**70 + i for i in range(30)]
    table = {"x": np.arange(30.0), "y": np.arange(30.0) % 4}
    with pytest.raises(DataError, match="column 'b' holds whole numbers beyond 64 bits; expected"):
        fit(made({**table, "b": large}), "y", model="linear")
    as_told = made({**table, "b": [float(v) for v in large], "c": [str(v) for v in large]})
    assert fit(as_told, "y", model="linear", test_fraction=0).train["rows"] == 30


@pytest.mark.parametrize("name", ["a.json", "a.json.gz", "a.jsonl"])
@pytest.mark.parametrize("end", [",", ",\n \n", ""])
def test_an_array_that_is_cut_behind_a_record(name: str, end: str, tmp_path: Path) -> None:
    records = ",\n".join(f'{{"x": {i}, "y": {i % 3}, "t": "]"}}' for i in range(2500))
    write: Any = gzip.open if name.endswith("gz") else open
    for text, whole in (("[" + records + end, False), ("\n[" + records + "]\n\n", True)):
        with write(tmp_path / name, "wb") as file:
            file.write(text.encode())
        if whole:
            fitted = fit(tmp_path / name, "y", model="linear", exclude=["t"])
            assert fitted.train["rows"] + fitted.test["rows"] == 2500
        else:
            with pytest.raises(DataError, match=r"array is not closed|cut short|JSON"):
                fit(tmp_path / name, "y", model="linear")


@pytest.mark.parametrize("cells", ["XFD1048576", "A1048576 XFD1", "xfd900000"])
def test_a_cell_far_off_does_not_fill_the_memory(cells: str, tmp_path: Path) -> None:
    """A workbook of 2 kB ended the process: the reader makes room for every cell before it."""
    pytest.importorskip("python_calamine", reason="spreadsheets need the extra 'sheets'")
    near, far = tmp_path / "near.xlsx", tmp_path / "far.xlsx"
    book(near, {"one": [["a", "y"], [1, 2], [3, 4]]})
    with zipfile.ZipFile(near) as old, zipfile.ZipFile(far, "w") as new:
        for name in old.namelist():
            content = old.read(name)
            if "worksheets" in name:
                more = "".join(f"<row><c r='{cell}'><v>1</v></c></row>" for cell in cells.split())
                content = content.replace(b"</sheetData>", more.encode() + b"</sheetData>")
            new.writestr(name, content)
    with pytest.raises(DataError, match="columns from its first cell to its last; 100,000,000"):
        open_source(str(far))
    assert open_source(str(near)).row(1)["y"] == "2.0"
    # A damaged part before the sheet hides nothing behind it.
    whole = far.read_bytes()
    far.write_bytes(whole.replace(b"PK\x03\x04", b"PK\x09\x09", 1))
    with pytest.raises(DataError, match="columns from its first cell to its last; 100,000,000"):
        open_source(str(far))


def test_a_workbook_that_unpacks_to_too_much_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("python_calamine", reason="spreadsheets need the extra 'sheets'")
    book(tmp_path / "t.xlsx", {"one": [["a", "y"], [1, 2]]})
    monkeypatch.setattr("halfsquare.data.spreadsheet._MOST_BYTES", 500)
    with pytest.raises(DataError, match=r"t\.xlsx unpacks to 0 GB"):
        open_source(str(tmp_path / "t.xlsx"))
