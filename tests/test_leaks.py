"""No choice looks at the rows that measure it: with garbage in their place every bit of what was
chosen is the same.

Each test plants a leak of its own kind: targets of the test part so large, and so related to the
columns, that whoever looked would choose otherwise.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np
import pytest

from halfsquare import fit
from halfsquare.results.fitted import FittedModel

N, KEPT = 100, 80


def rows() -> dict[str, Any]:
    random = np.random.default_rng(3)
    a, b, c = random.normal(size=(3, N))
    noise = random.normal(size=N) * np.exp(0.8 * a)
    return {
        "a": a,
        "b": b,
        "c": c,
        "level": [f"v{i}" for i in random.integers(0, 4, N)],
        "y": 8.0 + a + np.sin(2 * b) + 0.4 * noise,
    }


def planted(data: dict[str, Any]) -> dict[str, Any]:
    """The same, with targets of the last rows that one column alone explains."""
    y = data["y"].copy()
    y[KEPT:] = 5000.0 + 3000.0 * np.sign(data["c"][KEPT:])
    return {**data, "y": y}


def chosen(fitted: FittedModel) -> dict[str, Any]:
    """All that was learnt or chosen: members, encoder, calibration, what was tried."""
    training = asdict(fitted.record.training)
    return {
        "parameters": [m.parameters.tobytes() for m in fitted.members],
        "covariance": [
            None if m.covariance is None else m.covariance.tobytes() for m in fitted.members
        ],
        "noise": [m.noise.tobytes() for m in fitted.members],
        "facts": [repr(m.facts) for m in fitted.members],
        "shares": [m.share for m in fitted.members],
        "encoder": repr(fitted.encoder.as_dict()),
        "training": {k: repr(v) for k, v in training.items() if k != "warnings"},
    }


OPTIONS: dict[str, dict[str, Any]] = {
    "coefficients": {"model": "linear"},
    "penalty": {"model": "linear", "l2": "auto"},
    "transform of the target": {"model": "linear", "target_transform": "auto"},
    "transform of a network's target": {"model": "network", "target_transform": "auto"},
    "stopping of networks": {"model": "network"},
    "rounds and blend of trees": {"model": "trees"},
    "family and blend": {"model": "auto"},
    "simplest family": {"model": "auto", "prefer": "simple"},
    "start of a formula": {"formula": "y ~ p + q*a + r*sin(s*b)"},
    "terms": {"model": "linear", "formula": "y ~ a + poly(b, 3) + level", "errors": "hc3"},
}


@pytest.mark.parametrize("what", OPTIONS)
def test_garbage_in_the_test_part_changes_no_bit(what: str) -> None:
    options = {"split": "rows", "refit": False, **OPTIONS[what]}
    data = rows()
    target = None if "formula" in options else "y"
    before = fit(data, target, **options)
    after = fit(planted(data), target, **options)
    assert before.test is not None and after.test is not None
    assert before.test["rows"] == N - KEPT
    assert chosen(before) == chosen(after)
    assert after.test["mse"] > 1e6 > before.test["mse"]


def test_the_check_sees_a_leak() -> None:
    """The same garbage in the rows of the fit does change what is chosen."""
    data = rows()
    before = fit(data, "y", model="linear", split="rows", test_fraction=0.0, refit=False)
    after = fit(planted(data), "y", model="linear", split="rows", test_fraction=0.0, refit=False)
    one, other = chosen(before), chosen(after)
    assert one["parameters"] != other["parameters"] and one["encoder"] != other["encoder"]


def test_a_fold_is_unseen_by_what_is_measured_on_it() -> None:
    """What one fold's garbage does to the errors on the others comes from their rows of the fit
    alone: with the garbage in the last stretch of time, the earlier stretches measure the same.
    """
    data = rows()
    options: dict[str, Any] = {"model": "linear", "split": "rows"}
    cut = {name: values[:KEPT] for name, values in data.items()}
    early = fit(cut, "y", folds=3, **options)
    # Four stretches of 20 rows, and with the garbage five: three of them are the same.
    whole = fit(planted(data), "y", folds=4, **options)
    assert early.test is not None and whole.test is not None
    assert whole.test["rows"] - early.test["rows"] == N - KEPT
    last = fit(planted(data), "y", refit=False, **options)
    assert last.test is not None
    assert whole.test["sse"] == pytest.approx(early.test["sse"] + last.test["sse"], rel=1e-9)


def test_the_mse_of_auto_is_measured_on_rows_that_no_choice_has_seen() -> None:
    """Beside the MSE on the rows that the blend was chosen on stands that of the test part; with
    folds each choice is made anew without the fold.
    """
    random = np.random.default_rng(0)
    data = {name: random.normal(size=80) for name in "abcdefgh"}
    data["y"] = random.normal(size=80)
    fitted = fit(data, "y", model="auto", folds=3)
    assert fitted.test is not None
    # Nothing can be learnt, so no honest MSE is much below the variance of the target.
    assert fitted.test["mse"] > 0.9 * np.var(data["y"])
    assert fitted.info["test_source"] == "3 folds"
