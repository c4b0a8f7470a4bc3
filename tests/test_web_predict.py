"""The room Predict, and the command that serves the page."""

# ruff: noqa: F811 - tests name fixtures as their arguments
from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlencode

import numpy as np
import pytest

pytest.importorskip("starlette", reason="the page needs the extra 'page'")
pytest.importorskip("uvicorn", reason="the page needs the extra 'page'")

from visiting import Visitor, fresh, rows, serving, visitor  # noqa: F401 - fixtures

from halfsquare.report.fields import design_of, fields_of

if TYPE_CHECKING:
    from conftest import Ran

Command = Callable[..., "Ran"]


def test_predict_says_what_the_model_says(fresh: Visitor, rows: Path) -> None:
    _, told = fresh.upload(rows.read_bytes())
    fresh.start(data=told["data"], target="y", method="linear", column=["x", "kind", "when"])
    fresh.wait("done")
    fitted = fresh.job.fitted
    form = {"x.x": "0.25", "x.kind": "1", "x.when": "2024-03-05T07:30", "truth": "0.5"}
    level = fitted.encoder.features[1].levels[1]
    row = {
        "x": [0.25],
        "kind": [level],
        "when": np.array(["2024-03-05T07:30"], dtype="datetime64[us]"),
    }
    output, low, high = (float(v[0]) for v in fitted.interval(row))
    fields = fields_of(fitted.encoder, form)
    assert (
        fitted.outputs_of(design_of(fitted.encoder, fields)[0][None, :])[0][0, 0]
        == fitted.predict(row)[0]
    )
    reply, said = fresh.ask("/predict/part?" + urlencode(form), Accept="application/json")
    assert reply.status == 200
    news = json.loads(said)
    assert news["signals"]["output"] == output
    shown = re.findall(r'id="(output|low|high|error)"[^>]*>([^<]*)<', news["html"])
    expected = {"output": output, "low": low, "high": high, "error": output - 0.5}
    assert {k: float(v.replace("−", "-")) for k, v in shown} == pytest.approx(expected, rel=1e-3)
    # The curve over a column goes through the row, and its band is that of the row.
    here = news["data"]["row"][0]
    assert (here["x"], here["y"]) == (0.25, output)
    assert (here["low"], here["high"]) == pytest.approx((low, high), rel=1e-12)
    assert news["signals"]["effect_name"] == "The output over x"
    for point in news["data"]["effect"][::20]:
        one = fitted.predict({**row, "x": [point["x"]]})[0]
        assert point["y"] == pytest.approx(one, rel=1e-12)
    parts = sum(part["part"] for part in news["data"]["parts"])
    average = fitted.outputs_of(np.zeros((1, len(fitted.encoder.names))))[0][0, 0]
    assert average + parts == pytest.approx(output, rel=1e-12)
    assert ("negative" if output < 0.5 else "positive") in news["html"]


def test_what_is_missing_is_missing_and_what_is_wrong_is_said(fresh: Visitor) -> None:
    fresh.start(method="linear", column=["area", "rooms", "age", "district"])
    fresh.wait("done")
    fitted = fresh.job.fitted
    asked = json.loads(fresh.ask("/predict/part?x.area=80&x.rooms=3&x.age=&x.district=missing")[1])
    row = {
        "area": [80.0],
        "rooms": [3.0],
        "age": [np.nan],
        "district": np.array([None], dtype=object),
    }
    assert asked["signals"]["output"] == float(fitted.predict(row)[0])
    for query in (
        "x.area=x",
        "x.area=inf",
        "x.district=nowhere",
        "x.district=99",
        "x.district=-1",
        "truth=nan",
        "model=other",
    ):
        reply, said = fresh.ask(f"/predict/part?{query}", Accept="application/json")
        assert reply.status == 400, query
        assert json.loads(said)["error"]


def test_a_link_names_columns_and_means_the_same_row_for_every_model(fresh: Visitor) -> None:
    """Links named places: of a model with other columns they were another row."""
    outputs = []
    for columns in (["area", "rooms"], ["rooms", "age", "area"]):
        fresh.start(method="linear", column=columns)
        fresh.wait("done")
        query = f"model={fresh.job.key}&x.rooms=5&x.area=120&x.age=30"
        page = fresh.page(f"/predict?{query}")
        for column, value in (("area", 120), ("rooms", 5)):
            assert re.search(f'name="x.{column}" value="{value}"', page)
        row = {"area": [120.0], "rooms": [5.0], "age": [30.0]}
        found = json.loads(fresh.ask(f"/predict/part?{query}")[1])["signals"]["output"]
        assert found == float(fresh.job.fitted.predict(row)[0])
        outputs.append(found)
    assert outputs[0] != outputs[1]


def test_what_was_never_missing_in_training_widens_the_interval(fresh: Visitor, rows: Path) -> None:
    """The page said that of a row with a typical value in its place."""
    _, told = fresh.upload(rows.read_bytes())
    fresh.start(data=told["data"], target="y", method="linear", column=["x", "kind"])
    fresh.wait("done")
    fitted, widths = fresh.job.fitted, []
    for query, x in (("x.x=&x.kind=0", np.nan), ("x.x=0.1&x.kind=0", 0.1)):
        here = json.loads(fresh.ask(f"/predict/part?{query}")[1])["data"]["row"][0]
        level = fitted.encoder.features[1].levels[0]
        row = {"x": [x], "kind": np.array([level], dtype=object)}
        _, low, high = fitted.interval(row)
        if x == x:
            assert (here["low"], here["high"]) == pytest.approx((low[0], high[0]), rel=1e-12)
        widths.append(float(high[0] - low[0]))
        said = json.loads(fresh.ask(f"/predict/part?{query}")[1])["html"]
        shown = re.findall(r'id="(?:low|high)">([^<]*)<', said)
        found = [float(v.replace("−", "-")) for v in shown]
        assert found == pytest.approx([low[0], high[0]], rel=1e-3)
    assert widths[0] > 1.5 * widths[1]


def test_a_given_model_is_there_without_training(
    rows: Path, command: Command, tmp_path: Path
) -> None:
    assert (
        command("fit", rows, "-t", "y", "--model", "linear", "--out", tmp_path / "m.hsq").code == 0
    )
    with serving(model=tmp_path / "m.hsq") as own:
        text = own.page("/predict")
        assert "m.hsq" in text
        assert 'name="x.x"' in text


def test_without_a_model_predict_says_what_to_do() -> None:
    with serving() as own:
        assert "There is no model yet" in own.page("/predict")


def test_serve_says_what_is_missing(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "no such file" in command("serve", "missing.hsq").err
    (tmp_path / "bad.hsq").write_bytes(b"no model")
    bad = command("serve", tmp_path / "bad.hsq")
    assert bad.code == 1
    assert "no model file of halfsquare" in bad.err
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    ran = command("serve")
    assert ran.code == 2
    assert "pip install 'halfsquare[page]'" in ran.err
