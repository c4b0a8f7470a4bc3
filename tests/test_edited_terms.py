"""A model file of terms in which somebody has edited a value, its digest made anew: refused at its
place, where a command would stumble over it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from halfsquare import fit, load
from halfsquare.errors import ModelFileError
from halfsquare.results.model_file import MODEL_FILE

STATES = ("encoder", "design", "states")
FACTS = ("members", 0, "found", "facts")
TOLD = (*FACTS, "inference")
EDITS: dict[str, tuple[tuple[Any, ...], Any, str]] = {
    "a code beyond the levels": ((*STATES, "levels of t", "positions"), [0, 7], "levels of t"),
    "a level twice": ((*STATES, "levels of t", "levels"), ["u", "u"], "levels of t"),
    "levels of other texts": (("encoder", "design", "texts", "t"), ["u", "v", "w"], "levels of t"),
    "levels that are no numbers": ((*STATES, "levels of i", "levels", 0), "\x1b[2J", "float"),
    "other values than levels": ((*STATES, "levels of i", "values", 0), 9.0, "levels of i"),
    "a text for a mean": ((*STATES, "center(a)", "mean"), "1", "expected a number"),
    "a scale of 0": ((*STATES, "center(a)", "scale"), 0.0, "center"),
    "knots beyond the ends": ((*STATES, "bs(a, df=4)", "knots"), [1e9], "bs"),
    "no end": ((*STATES, "bs(a, df=4)", "high"), None, "expected a number"),
    "names that are none": ((*TOLD, "average_effects", "names", 0), {}, "expected a text"),
    "effects of other columns": ((*TOLD, "average_effects", "rows", 0), [1.0], "other columns"),
    "one name too few": ((*TOLD, "average_effects", "names"), ["a"], "differ in number"),
    "means of others": ((*TOLD, "means"), {"a": 1.0}, "means of other columns"),
    "a test that is none": ((*TOLD, "breusch_pagan", "p"), "\x1b[2J", "expected a number"),
    "clusters that are none": ((*FACTS, "errors_facts"), {"clusters": []}, "expected an object"),
    "no degrees of freedom": ((*FACTS, "degrees_of_freedom"), None, "degrees of freedom"),
    "a function that is none": (("members", 0, "model", "target_function"), "", "function"),
    "a held coefficient": (("members", 0, "model", "held"), 1, "held"),
    "no intercept": (("members", 0, "model", "intercept"), False, "intercept"),
    "a split that is none": (("record", "measured", "split"), "number", "unknown split"),
    "no mean squared error": (("record", "measured", "train", "mse"), float("nan"), "mean squared"),
}


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    random = np.random.default_rng(0)
    data = {
        "a": random.normal(size=80),
        "t": random.choice(["u", "v"], 80),
        "i": np.arange(80) % 5,
        "y": random.normal(size=80),
    }
    path = tmp_path_factory.mktemp("models") / "m.hsq"
    formula = "y ~ bs(a, df=4) + center(a):t + C(i)"
    fit(data, "y", model="linear", formula=formula, test_fraction=0.2).save(path)
    return path


@pytest.mark.parametrize("name", EDITS)
def test_an_edited_value_is_refused_at_its_place(name: str, file: Path, tmp_path: Path) -> None:
    (*where, last), value, words = EDITS[name]
    header, arrays = MODEL_FILE.read(file)
    inside: Any = header
    for key in where:
        inside = inside[key]
    assert inside[last] != value
    inside[last] = value
    MODEL_FILE.write(tmp_path / "m.hsq", header, arrays)
    with pytest.raises(ModelFileError, match=words):
        load(tmp_path / "m.hsq")


def test_as_it_was_written_it_is_read(file: Path, tmp_path: Path) -> None:
    MODEL_FILE.write(tmp_path / "m.hsq", *MODEL_FILE.read(file))
    assert load(tmp_path / "m.hsq").encoder.names == load(file).encoder.names


@pytest.mark.parametrize("value", [float("nan"), 1e308, -1.0])
def test_a_relevance_that_is_none(value: float, tmp_path: Path) -> None:
    """The summary drew a bar as long as it says."""
    data = {"a": np.arange(40.0), "b": np.arange(40.0) % 7, "y": np.arange(40.0) ** 2}
    fit(data, "y", model="trees", test_fraction=0, time_limit=1).save(tmp_path / "m.hsq")
    header, arrays = MODEL_FILE.read(tmp_path / "m.hsq")
    header["record"]["training"]["relevance"]["a"] = value
    MODEL_FILE.write(tmp_path / "m.hsq", header, arrays)
    with pytest.raises(ModelFileError, match="a relevance that is none"):
        load(tmp_path / "m.hsq")
