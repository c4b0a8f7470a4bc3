"""Tables that nobody wishes for, made by Hypothesis; and what may become of them."""

from __future__ import annotations

import csv
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
from forking import Commands
from hypothesis import strategies as st

_NAMES = [
    "x",
    "a b",
    'say "hi"',
    "it's",
    "line\nbreak",
    "Größe",
    "数",
    "🙂",
    "SELECT",
    "a,b",
    "a;b",
    "x.y",
    "(other)",
    "1",
    "é̂",
    "--x",
    "NULL",
    "{}",
    "%s",
    "x" * 200,
]
_FLOATS = st.floats(allow_nan=False, allow_infinity=False, width=64)
_VALUES: dict[str, st.SearchStrategy[str]] = {
    "plain": st.integers(-1000, 1000).map(str),
    "any float": _FLOATS.map(repr),
    "huge": st.sampled_from(["1e300", "-1e300", "9e307", "1e-300", "-1e-300", "5e-324", "0"]),
    "constant": st.just("7"),
    "missing": st.just(""),
    "mostly missing": st.sampled_from(["", "", "", "1", "2.5"]),
    "infinite": st.sampled_from(["1", "2", "inf"]),
    "beyond": st.sampled_from(["1", "2", "3", "1e999"]),
    "text": st.sampled_from(
        ["red", "green", "", "Köln", "it's", 'quo"te', "a\nb", "x,y", "NULL", "nan"]
    ),
    "unlike": st.text(max_size=5).filter(lambda t: "\0" not in t and "\r" not in t),
    "boolean": st.sampled_from(["true", "false", ""]),
    "date": st.sampled_from(["2024-01-01", "1999-12-31 23:59:59", "0001-01-01", "9999-12-31", ""]),
    "no date": st.sampled_from(["2024-01-01", "2024-02-30", "12345-01-01"]),
    "mixed": st.sampled_from(["1", "two", "3.0", "2024-01-01", "true", ""]),
    "large integers": st.sampled_from(
        [str(2**53), str(2**53 + 1), str(2**63), "-" + str(2**70), "1"]
    ),
}
MODELS = ["linear"] * 4 + ["network", "auto"]


@st.composite
def tables(draw: st.DrawFn) -> tuple[list[str], list[list[str]], str]:
    """Header, rows, and the model to try; the target is the last column."""
    shape = draw(st.sampled_from(["small"] * 8 + ["one row", "wide", "long"]))
    rows = {"small": draw(st.integers(2, 60)), "one row": 1, "wide": 5, "long": 400}[shape]
    columns = 1000 if shape == "wide" else draw(st.integers(1, 6))
    names = draw(
        st.lists(
            st.sampled_from(_NAMES), min_size=min(columns, 6), max_size=min(columns, 6), unique=True
        )
    )
    names += [f"c{j}" for j in range(columns - len(names))]
    kinds = draw(st.lists(st.sampled_from(sorted(_VALUES)), min_size=1, max_size=6))
    table = [
        draw(st.lists(_VALUES[kinds[j % len(kinds)]], min_size=1, max_size=8))
        for j in range(columns)
    ]
    filled = [
        [column[(i * (j + 3) + i * i) % len(column)] for j, column in enumerate(table)]
        for i in range(rows)
    ]
    target_kind = draw(
        st.sampled_from(
            ["plain", "plain", "plain", "any float", "huge", "constant", "missing", "mixed"]
        )
    )
    targets = draw(st.lists(_VALUES[target_kind], min_size=1, max_size=12))
    if draw(st.booleans()):  # a column twice, under another name
        names, filled = [*names, "again"], [[*row, row[0]] for row in filled]
    filled = [[*row, targets[i * i % len(targets)]] for i, row in enumerate(filled)]
    return [*names, "the target"], filled, draw(st.sampled_from(MODELS))


def outcome(table: tuple[list[str], list[list[str]], str], commands: Commands, folder: Path) -> str:
    """``"right"``, ``"error"``, or what is wrong with what the commands made of it."""
    header, rows, model = table
    path, old = folder / "t.csv", b"an old model"
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows([header, *rows])
    (folder / "m.hsq").write_bytes(old)
    options = (
        ["--model", model, "--time-limit", "0.5"] if model != "linear" else ["--model", "linear"]
    )
    fitted = commands(
        "fit",
        "t.csv",
        "--target",
        "the target",
        "--out",
        "m.hsq",
        "--json",
        *options,
        folder=folder,
    )
    if fitted.complaint or {p.name for p in folder.iterdir()} != {"t.csv", "m.hsq"}:
        return f"fit: {fitted.complaint or sorted(p.name for p in folder.iterdir())}"
    if fitted.code:
        return (
            "error"
            if (folder / "m.hsq").read_bytes() == old
            else "an error, and the old model is gone"
        )
    for command, *more in (["predict", "--interval", "0.9", "--json"], ["evaluate", "--json"]):
        ran = commands(command, "m.hsq", "t.csv", *more, folder=folder)
        if ran.complaint or ran.code:
            return f"{command}: {ran.complaint or ran.err}"
        told = json.loads(ran.out)
        if command == "predict":
            lost = [row for row in told["predictions"] if row["prediction"] is None]
            if len(told["predictions"]) != len(rows) or lost:
                return (
                    f"predict: {len(told['predictions'])} of {len(rows)} rows, "
                    f"{len(lost)} not finite"
                )
        elif not told["rows"] or told["mse"] is None or not math.isfinite(told["mse"]):
            return f"evaluate: rows {told['rows']}, MSE {told['mse']}"
    return "right"


def planned(seed: int) -> tuple[list[str], list[list[str]], Any, Any]:
    """A table of plain numbers whose least-squares answer NumPy knows: header, rows, X with ones,
    y.
    """
    random = np.random.default_rng(seed)
    n, d = int(random.integers(20, 300)), int(random.integers(1, 8))
    scales = 10.0 ** random.integers(-8, 9, d)
    x = (random.normal(size=(n, d)) + random.normal(size=d) * 3) * scales
    y = x @ (random.normal(size=d) / scales) + random.normal(size=n)
    names = [_NAMES[(seed + j) % len(_NAMES)] for j in range(d)]
    filled = [[repr(float(v)) for v in (*row, t)] for row, t in zip(x, y, strict=True)]
    return [*names, "the target"], filled, np.column_stack([np.ones(n), x]), y


def planned_outcome(seed: int, commands: Commands, folder: Path) -> str:
    """Whether ``fit`` finds the predictions that NumPy finds, whatever the columns are called and
    scaled.
    """
    header, rows, x, y = planned(seed)
    with (folder / "t.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows([header, *rows])
    fitted = commands(
        "fit",
        "t.csv",
        "--target",
        "the target",
        "--model",
        "linear",
        "--out",
        "m.hsq",
        folder=folder,
    )
    if fitted.complaint or fitted.code:
        return f"fit: {fitted.complaint or fitted.err}"
    ran = commands("predict", "m.hsq", "t.csv", "--json", folder=folder)
    if ran.complaint or ran.code:
        return f"predict: {ran.complaint or ran.err}"
    found = np.array([row["prediction"] for row in json.loads(ran.out)["predictions"]])
    scale = np.linalg.norm(x, axis=0)
    wanted = x @ (np.linalg.lstsq(x / scale, y, rcond=None)[0] / scale)
    worst = float(np.abs(found - wanted).max() / np.abs(y).max())
    return "right" if worst < 1e-9 else f"predictions differ by {worst:.2g} of the target"
