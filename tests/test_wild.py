"""The wild cluster bootstrap of a model, against one that goes over the rows."""

from __future__ import annotations

from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from halfsquare import fit, load
from halfsquare.errors import OptionError
from halfsquare.loss import Floats
from halfsquare.results.inference.wild import WildBootstrap
from halfsquare.results.inference.wild_of_model import wild_bootstrap

GROUPS = 7


def panel(far: float = 0.0) -> pd.DataFrame:
    random = np.random.default_rng(1)
    n = 120
    g = random.integers(0, GROUPS, n)
    x = far + random.normal(size=n) + random.normal(size=GROUPS)[g]
    z = random.choice(list("abc"), n)
    y = 1 + 0.3 * x + (z == "b") * 0.5 + random.normal(size=n) + 0.8 * random.normal(size=GROUPS)[g]
    return pd.DataFrame({"g": [f"f{v}" for v in g], "x": x, "z": z, "y": y, "w": 1 + g % 3})


def by_rows(table: pd.DataFrame, j: int, null: float, turns: Any) -> tuple[float, float]:
    """t and p, each draw with a target and a regression of its own."""
    design = np.column_stack([np.ones(len(table)), table.x - table.x.mean()])
    design = np.column_stack([design, table.z == "b", table.z == "c"]).astype(float)
    # About their means, so that the digits of patterns that mirror each other do not cancel.
    y, g = (table.y - table.y.mean()).to_numpy(), pd.factorize(table.g)[0]
    inverse = np.linalg.inv(design.T @ design)

    def t_of(target: Floats) -> float:
        b = inverse @ design.T @ target
        e = target - design @ b
        s = np.array([design[g == k].T @ e[g == k] for k in range(GROUPS)])
        n, p = design.shape
        small = GROUPS / (GROUPS - 1) * (n - 1) / (n - p)
        return float((b[j] - null) / np.sqrt(small * (inverse @ s.T @ s @ inverse)[j, j]))

    others, imposed = np.delete(design, j, axis=1), null * design[:, j]
    kept = others @ np.linalg.lstsq(others, y - imposed, rcond=None)[0] + imposed
    t = t_of(y)
    stars = [abs(t_of(kept + (y - kept) * np.asarray(turn)[g])) for turn in turns]
    return t, float(np.mean(np.array(stars) >= abs(t) * (1 - 1e-10)))


@pytest.mark.parametrize("far", [0.0, 1e7])
@pytest.mark.parametrize(("text", "j", "null"), [("x", 1, 0.0), ("2*`z[T.b]` = 0.4", 2, 0.2)])
def test_all_patterns_of_signs(far: float, text: str, j: int, null: float) -> None:
    table = panel(far)
    model = fit(table, formula="y ~ x + z", errors="cluster:g", model="linear", test_fraction=0)
    found = wild_bootstrap(model, text)
    t, p = by_rows(table, j, null, product([1.0, -1.0], repeat=GROUPS))
    assert (found.draws, found.enumerated, found.clusters) == (2**GROUPS, True, GROUPS)
    assert found.t == pytest.approx(t, rel=1e-7)
    assert found.p == p
    assert found.null == pytest.approx(null)


def test_drawn_weights_and_columns_without_a_formula() -> None:
    table = panel()
    model = fit(
        table, "y", features=["x", "z"], errors="cluster:g", model="linear", test_fraction=0
    )
    draws = {"draws": 100, "seed": 5}
    signs = np.random.default_rng(5).choice([-1.0, 1.0], size=(100, GROUPS))
    webb = np.sqrt([1.5, 1.0, 0.5, 0.5, 1.0, 1.5]) * [-1.0, -1.0, -1.0, 1.0, 1.0, 1.0]
    six = np.random.default_rng(5).choice(webb, size=(100, GROUPS))
    with pytest.raises(OptionError, match="expected rademacher or webb"):
        wild_bootstrap(model, "x", weights="normal")
    for weights, turns in (("rademacher", signs), ("webb", six)):
        found = wild_bootstrap(model, "x", weights=weights, **draws)
        assert (found.p, found.enumerated) == (by_rows(table, 1, 0.0, turns)[1], False)


def test_a_whole_weight_stands_for_rows() -> None:
    table = panel()
    options: dict[str, Any] = {"formula": "y ~ x + z", "errors": "cluster:g", "model": "linear"}
    counted = fit(table, weights="w", test_fraction=0, **options)
    repeated = fit(table.loc[table.index.repeat(table.w)], test_fraction=0, **options)
    one, other = wild_bootstrap(counted, "x"), wild_bootstrap(repeated, "x")
    turns = product([1.0, -1.0], repeat=GROUPS)
    rows = table.loc[table.index.repeat(table.w)].reset_index(drop=True)
    assert (one.t, one.p) == pytest.approx(by_rows(rows, 1, 0.0, turns), rel=1e-7)
    assert one.t == pytest.approx({p.name: p.t for p in counted.parameters}["x"], rel=1e-9)
    assert one.t == pytest.approx(other.t, rel=1e-10)
    assert one.p == other.p


def test_the_command_and_a_model_from_a_file(tmp_path: Path, command: Any) -> None:
    table = panel()
    table.to_csv(tmp_path / "t.csv", index=False)
    path = str(tmp_path / "m.hsq")
    given = ["--formula", "y ~ x + z", "--model", "linear", "--errors", "cluster:g"]
    command("fit", str(tmp_path / "t.csv"), *given, "--test-fraction", "0", "--out", path)
    told = command("effects", path, "--wild", "x", "--json").json
    known: WildBootstrap = wild_bootstrap(load(path), "x")
    assert told["wild"] == [known.as_dict()]
    shown = command("effects", path, "--wild", "x", "--wild", "z[T.b] = 0.2").out
    assert "128 all patterns of signs" in shown
    assert "--wild-weights webb tells finer" in shown


@pytest.mark.parametrize(
    ("errors", "more", "hypothesis", "message"),
    [
        ("hc1", {}, "x", r"its errors are hc1: fit it with --errors cluster:COL"),
        ("cluster:g,z", {}, "x", r"clusters are of two columns"),
        ("cluster:g", {"absorb": ["z"]}, "x", r"effects are absorbed"),
        ("cluster:x", {}, "x", r"up to 50,000 numbers"),
        ("cluster:g", {}, "intercept", r"of slopes; the intercept is none"),
        ("cluster:g", {}, "x = w", r"of one coefficient, and 'x = w' names x, w"),
    ],
)
def test_what_the_bootstrap_is_not_for(
    errors: str, more: dict[str, Any], hypothesis: str, message: str
) -> None:
    table = panel() if errors != "cluster:x" else pd.concat([panel(i) for i in range(50)])
    formula = "y ~ x + w" if errors != "cluster:x" else "y ~ x + z"
    model = fit(table, formula=formula, errors=errors, model="linear", test_fraction=0, **more)
    with pytest.raises(OptionError, match=message):
        wild_bootstrap(model, hypothesis)
