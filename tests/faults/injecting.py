"""Faults that are injected on purpose, and what came of each: ``"right"``, ``"error"``, or what is
wrong.
"""

from __future__ import annotations

import os
import resource
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from forking import Commands, Ended

COMMAND = [sys.executable, "-c", "from halfsquare.cli.main import main; main()"]
FIT = ("fit", "t.csv", "--target", "y", "--model", "linear", "--out", "m.hsq")
PREDICT = ("predict", "m.hsq", "t.csv", "--out", "p.csv")
REPORT = ("report", "m.hsq", "t.csv", "--out", "r.html")
WRITERS = {"fit --out": (FIT, "m.hsq"), "predict --out": (PREDICT, "p.csv")}


def write_table(path: Path, rows: int = 3000, seed: int = 0) -> None:
    """Three columns of numbers and a target, as CSV or Parquet by the name."""
    random = np.random.default_rng(seed)
    x = random.normal(size=(rows, 3)).round(4)
    y = (x @ [1.0, 2.0, -1.0] + random.normal(size=rows) * 0.1).round(4)
    if path.suffix == ".parquet":
        columns = {"a": x[:, 0], "b": x[:, 1], "c": x[:, 2], "y": y}
        pq.write_table(pa.table(columns), path, row_group_size=1000, write_page_checksum=True)
    else:
        lines = [",".join(map(repr, row)) for row in np.column_stack([x, y]).tolist()]
        path.write_text("\n".join(["a,b,c,y", *lines]) + "\n")


def prepared(commands: Commands, folder: Path) -> None:
    """A folder with a table and a model, predictions and a report of it that stand already."""
    write_table(folder / "t.csv")
    for arguments in (FIT, PREDICT):
        assert commands(*arguments, folder=folder).code == 0
    (folder / "r.html").write_text("an old report")
    (folder / "tmp").mkdir()


def files(folder: Path) -> dict[str, bytes]:
    """Everything in a folder, by name."""
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def interrupted(
    commands: Commands, folder: Path, arguments: tuple[str, ...], out: str, kill: tuple[int, float]
) -> str:
    """A command that is killed: what it writes is the old file or the whole new one, and nothing
    else is there.
    """
    before = files(folder)
    (folder / out).unlink()
    assert commands(*arguments, folder=folder).code == 0
    whole = files(folder)[out]
    old = b"old" * 100
    (folder / out).write_bytes(old)
    ended = commands(*arguments, folder=folder, kill=kill, temporary=folder / "tmp")
    after = files(folder)
    left = sorted(after.keys() - before.keys()) + [str(p) for p in (folder / "tmp").iterdir()]
    found = after.get(out, b"")
    (folder / out).write_bytes(before[out])
    for name in left:
        (folder / name).unlink(missing_ok=True)
    if ended.complaint or left or found not in (old, whole):
        return f"{arguments[0]} {kill}: {ended.complaint or left or 'half a file'}"
    if ended.code == 0 and found != whole:
        return f"{arguments[0]} {kill}: said it was done, and the old file stands"
    return "right" if found == whole else "error"


def out_of_space(
    commands: Commands, folder: Path, arguments: tuple[str, ...], out: str, size: int
) -> str:
    """A command that may write files of so many bytes at most."""
    before = files(folder)
    ended = commands(*arguments, folder=folder, file_size=size, temporary=folder / "tmp")
    after = files(folder)
    if ended.complaint or after.keys() != before.keys() or ended.code not in (0, 1):
        return f"{arguments[0]} with {size} bytes: {ended.complaint or ended}"
    if ended.code == 0:
        return "right" if after[out] else "nothing was written"
    return (
        "error"
        if after == before and "could not be" in ended.err
        else f"{arguments[0]} with {size} bytes: {ended}"
    )


def little_memory(folder: Path, megabytes: int, arguments: tuple[str, ...] = FIT) -> str:
    """A command under ``ulimit -v``, in a process of its own from the beginning."""
    before = files(folder)

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_AS, (megabytes << 20, megabytes << 20))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))

    try:
        done = subprocess.run(
            [*COMMAND, *arguments],
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=60,
            preexec_fn=limit,
        )
        ended = Ended(done.returncode, done.stdout, done.stderr)
    except subprocess.TimeoutExpired:
        ended = Ended(None, "", "")
    if ended.complaint or (
        ended.code and (files(folder) != before or not ended.err.count("halfsquare: "))
    ):
        return f"{megabytes} MB: {ended.complaint or ended}"
    return "error" if ended.code else "right"


def damaged_parquet(
    commands: Commands, folder: Path, random: np.random.Generator, *, checksums: bool = True
) -> str:
    """A Parquet file with a few bytes changed, cut off or without its end; ``"other"``: other
    numbers were believed.
    """
    path, old = folder / "d.parquet", b"an old model"
    whole = (folder / "whole.parquet").read_bytes()
    content = bytearray(whole)
    kind = random.choice(["bytes", "bytes", "bytes", "cut", "footer"])
    if kind == "bytes":
        for at in random.integers(4, len(content) - 8, random.integers(1, 4)):
            content[at] ^= int(random.integers(1, 256))
    elif kind == "cut":
        del content[int(random.integers(0, len(content))) :]
    else:
        at = int(random.integers(len(content) - 2000, len(content)))
        content[at:] = random.bytes(len(content) - at)
    path.write_bytes(content)
    (folder / "d.hsq").write_bytes(old)
    arguments = ("fit", "d.parquet", "--target", "y", "--model", "linear", "--out", "d.hsq")
    ended = commands(*arguments, folder=folder, temporary=folder / "tmp")
    if ended.complaint:
        return f"{kind}: {ended.complaint}"
    found = (folder / "d.hsq").read_bytes()
    if ended.code:
        return "error" if found == old and ended.err.count("\n") == 1 else f"{kind}: {ended}"
    from halfsquare import load

    same = load(folder / "d.hsq").members[0].parameters.tobytes() == _expected(commands, folder)
    return "right" if same else "other"


def _expected(commands: Commands, folder: Path) -> bytes:
    from halfsquare import load

    if not (folder / "whole.hsq").exists():
        arguments = (
            "fit",
            "whole.parquet",
            "--target",
            "y",
            "--model",
            "linear",
            "--out",
            "whole.hsq",
        )
        assert commands(*arguments, folder=folder).code == 0
    return load(folder / "whole.hsq").members[0].parameters.tobytes()


_GOOD = "a,b,y\n" + "".join(f"{i},{i * i % 7},{3 * i + i * i % 7}\n" for i in range(60))
_LINE = "".join(f"{i},{i * i % 7},{3 * i + i * i % 7}\n" for i in range(60))
TEXTS: dict[str, bytes] = {
    "ragged": (_GOOD + "1,2\n" + _LINE).encode(),
    "ragged far down": (_GOOD + _LINE * 200 + "1,2,3,4\n" + _LINE).encode(),
    "invalid UTF-8": _GOOD.encode() + b"\xff\xfe,2,3\n" + _LINE.encode(),
    "invalid UTF-8 in a name": b"a,\xe9,y\n" + _LINE.encode(),
    "NULs": _GOOD.encode() + b"\x00,\x00,\x00\n" + _LINE.encode(),
    "all NULs": b"\x00" * 5000,
    "unbalanced quote": (_GOOD + '"3,4,5\n' + _LINE).encode(),
    "unbalanced quote at the end": (_GOOD + '3,4,"5').encode(),
    "mixed line ends": (_GOOD + _LINE.replace("\n", "\r\n") + _LINE.replace("\n", "\r")).encode(),
    "BOM": b"\xef\xbb\xbf" + _GOOD.encode(),
    "UTF-16": _GOOD.encode("utf-16"),
    "header only": b"a,b,y\n",
    "empty": b"",
    "one newline": b"\n",
    "duplicate names": b"a,a,y\n" + _LINE.encode(),
    "one column": ("y\n" + "".join(f"{i % 5}\n" for i in range(60))).encode(),
    "a cell of 10 MB": (_GOOD + f"{'x' * 10_000_000},1,2\n" + _LINE).encode(),
    "a header of 10 MB": ("a" * 10_000_000 + ",b,y\n" + _LINE).encode(),
    "1e999": (_GOOD + "1e999,1,2\n" + _LINE).encode(),
    "1e999 in the target": (_GOOD + "1,1,-1e999\n" + _LINE).encode(),
    "no last newline": _GOOD.rstrip().encode(),
    "blank lines": _GOOD.replace("\n", "\n\n").encode(),
    "random bytes": np.random.default_rng(0).bytes(20_000),
    "a gzip": b"\x1f\x8b" + np.random.default_rng(1).bytes(5_000),
    "SQL in names": b'"a""; DROP TABLE x; --",\'b\',y\n' + _LINE.encode(),
}


def hostile_text(commands: Commands, folder: Path, content: bytes) -> str:
    """A text file as a fit takes it: 0 and a model, or 1 and a message, and the old model as it
    was.
    """
    (folder / "h.csv").write_bytes(content)
    (folder / "h.hsq").write_bytes(b"old")
    arguments = ("fit", "h.csv", "--target", "y", "--model", "linear", "--out", "h.hsq")
    ended = commands(*arguments, folder=folder, temporary=folder / "tmp")
    intact = (folder / "h.hsq").read_bytes() == b"old"
    if (
        ended.complaint
        or len(ended.err) > 2000
        or (ended.code and not intact)
        or any((folder / "tmp").iterdir())
    ):
        return f"{ended.complaint or ended.err[:300]}"
    return "error" if ended.code else "right"


def kills(random: np.random.Generator, seconds: float, count: int) -> Iterator[tuple[int, float]]:
    """Signals at moments spread over so many seconds."""
    for i in range(count):
        yield (
            (signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP)[i % 4],
            float(random.uniform(0, seconds)),
        )


def mounted(folder: Path, size: int) -> bool:
    """Mount a file system of ``size`` bytes at ``folder``, where that is permitted."""
    folder.mkdir(exist_ok=True)
    mount = shutil.which("mount")
    if mount is None or os.geteuid() != 0:
        return False
    done = subprocess.run(
        [mount, "-t", "tmpfs", "-o", f"size={size}", "none", str(folder)], capture_output=True
    )
    return done.returncode == 0
