"""Errors in x: orthogonal distance regression against ODRPACK95, and the line against its closed
form.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import odrpack
import pandas as pd
import pytest
from typer.testing import CliRunner

from halfsquare import fit, load
from halfsquare.cli.main import app
from halfsquare.errors import DataError, OptionError
from halfsquare.loss import Floats
from halfsquare.results.fitted import FittedModel


def decay(n: int = 40, seed: int = 0) -> pd.DataFrame:
    random = np.random.default_rng(seed)
    true = np.linspace(0.2, 5.0, n)
    sx, sy = random.uniform(0.05, 0.25, n), random.uniform(0.02, 0.1, n)
    x = true + sx * random.normal(size=n)
    y = 5.0 * np.exp(-0.8 * true) + 0.5 + sy * random.normal(size=n)
    return pd.DataFrame({"x": x, "y": y, "sx": sx, "sy": sy})


def fitted(data: pd.DataFrame, text: str, **options: object) -> FittedModel:
    options = {"sigma": "sy", "sigma_x": "sx", "test_fraction": 0.0} | options
    return fit(data, model="formula", formula=text, **options)  # type: ignore[arg-type]


def compare(model: FittedModel, theirs: odrpack.OdrResult) -> None:
    values = [p.value for p in model.parameters]
    errors = [p.standard_error for p in model.parameters]
    assert values == pytest.approx(theirs.beta, rel=1e-7)
    # Ours are from the standard deviations alone; theirs are scaled by what is left of the errors.
    assert errors == pytest.approx(theirs.sd_beta / np.sqrt(theirs.res_var), rel=1e-6)
    chi2 = model.members[0].facts.chi2
    assert chi2 == pytest.approx(theirs.sum_square, rel=1e-7)


TIGHT: dict[str, Any] = {"sstol": 1e-15, "partol": 1e-15, "maxit": 500, "diff_scheme": "central"}


@pytest.mark.parametrize("seed", [0, 1])
def test_a_decay_is_that_of_odrpack(seed: int) -> None:
    data = decay(seed=seed)
    model = fitted(data, "y ~ a*exp(-k*x) + c")

    def f(x: Floats, beta: Floats) -> Floats:
        return beta[0] * np.exp(-beta[1] * x) + beta[2]

    def by_beta(x: Floats, beta: Floats) -> Floats:
        e = np.exp(-beta[1] * x)
        return np.array([e, -beta[0] * x * e, np.ones_like(x)])

    def by_x(x: Floats, beta: Floats) -> Floats:
        return -beta[0] * beta[1] * np.exp(-beta[1] * x)

    x, y = data.x.to_numpy(), data.y.to_numpy()
    weights: dict[str, Any] = {
        "weight_x": data.sx.to_numpy() ** -2,
        "weight_y": data.sy.to_numpy() ** -2,
    }
    theirs = odrpack.odr_fit(
        f, x, y, np.array([4.0, 1.0, 0.3]), jac_beta=by_beta, jac_x=by_x, **weights, **TIGHT
    )
    compare(model, theirs)
    exact = fitted(data, "y ~ a*exp(-k*x) + c", sigma_x=None)
    assert abs(exact.parameters[1].value / model.parameters[1].value - 1) > 1e-3


def test_two_columns_with_errors_and_one_without() -> None:
    random = np.random.default_rng(3)
    n = 60
    x, z, u = random.uniform(0, 3, n), random.uniform(1, 4, n), random.uniform(-1, 1, n)
    data = pd.DataFrame({"sx": random.uniform(0.02, 0.1, n), "sz": 0.05, "sy": 0.1, "u": u})
    data["y"] = 2.0 * np.sin(x) * z**0.5 + 0.7 * u + 0.1 * random.normal(size=n)
    data["x"] = x + data.sx * random.normal(size=n)
    data["z"] = z + 0.05 * random.normal(size=n)
    text = "y ~ a*sin(b*x)*z^p + q*u"
    model = fitted(data, text, sigma_x={"x": "sx", "z": "sz"}, start={"a": 2, "b": 1, "p": 0.5})

    def f(v: Floats, beta: Floats) -> Floats:
        a, b, p, q = beta
        return a * np.sin(b * v[0]) * v[1] ** p + q * v[2]

    columns = data[["x", "z", "u"]].to_numpy().T.copy()
    weight = np.array([data.sx**-2.0, data.sz**-2.0, np.ones(n)])
    fixed = np.zeros((3, n), dtype=np.int32)
    fixed[2] = 1
    theirs = odrpack.odr_fit(
        f, columns, data.y.to_numpy(), np.array([2.0, 1.0, 0.5, 0.7]), weight_x=weight,
        weight_y=data.sy.to_numpy() ** -2, fix_x=fixed.astype(bool), **TIGHT,
    )  # fmt: skip
    compare(model, theirs)


def test_a_line_with_equal_errors_is_demings() -> None:
    random = np.random.default_rng(4)
    true = np.linspace(0.0, 10.0, 50)
    data = pd.DataFrame({"x": true + 0.5 * random.normal(size=50), "sx": 0.5, "sy": 0.8})
    data["y"] = 1.0 + 2.0 * true + 0.8 * random.normal(size=50)
    model = fitted(data, "y ~ a + b*x")
    ratio = (0.8 / 0.5) ** 2  # Deming 1943: the closed form
    sxx, syy = np.var(data.x), np.var(data.y)
    sxy = np.mean((data.x - data.x.mean()) * (data.y - data.y.mean()))
    slope = (syy - ratio * sxx + np.hypot(syy - ratio * sxx, 2 * np.sqrt(ratio) * sxy)) / (2 * sxy)
    expected = [data.y.mean() - slope * data.x.mean(), slope]
    assert [p.value for p in model.parameters] == pytest.approx(expected, rel=1e-10)


def test_without_errors_in_x_nothing_changes() -> None:
    data = decay()
    data["sx"] = 0.0
    exact = fitted(data, "y ~ a*exp(-k*x) + c", sigma_x=None)
    same = fitted(data, "y ~ a*exp(-k*x) + c")
    for ours, theirs in zip(same.parameters, exact.parameters, strict=True):
        assert (ours.value, ours.standard_error) == pytest.approx(
            (theirs.value, theirs.standard_error), rel=1e-9
        )


def test_units_of_x_and_y_do_not_matter() -> None:
    data = decay()
    plain = fitted(data, "y ~ a*exp(-k*x) + c")
    scaled = data.assign(x=data.x * 1e6, sx=data.sx * 1e6, y=data.y * 1e-4, sy=data.sy * 1e-4)
    other = fitted(scaled, "y ~ a*exp(-k*x) + c")
    for ours, factor, theirs in zip(
        other.parameters, (1e-4, 1e-6, 1e-4), plain.parameters, strict=True
    ):
        assert ours.value == pytest.approx(theirs.value * factor, rel=1e-8)
        assert ours.standard_error == pytest.approx(theirs.standard_error * factor, rel=1e-7)


def test_profiles_are_of_the_same_distances() -> None:
    data = decay(60)
    model = fitted(data, "y ~ a*exp(-k*x) + c", profile=True)
    profile = model.members[0].facts.profile
    assert profile is not None
    low, high = profile["k"]
    held = fitted(data, "y ~ a*exp(-k*x) + c", fix={"k": high}).members[0].facts.sse
    free = model.members[0].facts.sse
    from scipy.special import stdtrit

    reach = float(stdtrit(57, 0.975)) ** 2 * free / 57
    assert held - free == pytest.approx(reach, rel=1e-3)
    assert low < model.parameters[1].value < high


def test_the_command_line_and_the_file(tmp_path: Path) -> None:
    data = decay()
    data.to_csv(tmp_path / "d.csv", index=False)
    expected = fitted(data, "y ~ a*exp(-k*x) + c")
    for given in ("sx", "x=sx"):
        done = CliRunner().invoke(
            app,
            ["fit", str(tmp_path / "d.csv"), "--formula", "y ~ a*exp(-k*x) + c", "--sigma", "sy",
             "--sigma-x", given, "--test-fraction", "0", "--json", "--force",
             "--out", str(tmp_path / "m.hsq")],
        )  # fmt: skip
        assert done.exit_code == 0, done.output
        told = [p["value"] for p in json.loads(done.stdout)["parameters"]]
        assert told == pytest.approx([p.value for p in expected.parameters], rel=1e-9)
    assert load(tmp_path / "m.hsq").members[0].facts.sigma_x == {"x": "sx"}


@pytest.mark.parametrize("seed", range(6))
def test_it_ends_at_the_minimum(seed: int) -> None:
    model = fitted(decay(32, seed=seed), "y ~ a*exp(-k*x) + c")
    assert model.members[0].termination.converged
    assert not model.members[0].warnings


def test_what_is_refused() -> None:
    data = decay()
    text = "y ~ a*exp(-k*x) + c"
    with pytest.raises(OptionError, match=r"needs the standard deviation of the target"):
        fitted(data, text, sigma=None)
    with pytest.raises(OptionError, match=r"say of which, such as x=sx"):
        fitted(data.assign(z=1.0), "y ~ a*exp(-k*x) + c*z")
    with pytest.raises(OptionError, match=r"sigma_x for 'z', which is no number"):
        fitted(data, text, sigma_x={"z": "sx"})
    with pytest.raises(DataError, match=r"holds -0.1; expected standard deviations"):
        fitted(data.assign(sx=-0.1), text)
    with pytest.raises(DataError, match=r"'nothing'"):
        fitted(data, text, sigma_x="nothing")
    with pytest.raises(OptionError, match=r"columns of a formula"):
        fit(data, "y", model="linear", sigma="sy", sigma_x="sx")
    with pytest.raises(OptionError, match=r"robust errors"):
        fitted(data, text, errors="hc3")
