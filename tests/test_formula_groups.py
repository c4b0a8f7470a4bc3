"""Parameters with a value for each level of a column: against statsmodels and SciPy on the problem
written out, through every door.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm  # type: ignore[import-untyped]
from scipy.optimize import least_squares
from typer.testing import CliRunner

from halfsquare import FormulaRegressor, fit, load
from halfsquare.cli.main import app
from halfsquare.errors import DataError, FitError, FormulaError, OptionError
from halfsquare.loss import Floats
from halfsquare.models.formula.model import Formula
from halfsquare.results.fitted import FittedModel


def growth(levels: int, rows: int, seed: int = 0, *, own_rates: bool = False) -> pd.DataFrame:
    random = np.random.default_rng(seed)
    group = np.tile(np.arange(levels), rows)
    t = random.uniform(0.0, 5.0, levels * rows)
    top = random.uniform(2.0, 9.0, levels)
    rate = random.uniform(0.3, 2.0, levels) if own_rates else np.full(levels, 0.7)
    y = top[group] * np.exp(-rate[group] * t) + 0.05 * random.normal(size=len(t))
    names = np.array([f"p{i}" for i in range(levels)])
    return pd.DataFrame({"plant": names[group], "number": group + 1, "t": t, "y": y})


def fitted(data: pd.DataFrame, text: str, **options: object) -> FittedModel:
    return fit(data, model="formula", formula=text, test_fraction=0.0, **options)  # type: ignore[arg-type]


def values(model: FittedModel) -> dict[str, tuple[float, float]]:
    return {p.name: (p.value, p.standard_error) for p in model.parameters}


def test_a_linear_formula_is_least_squares_on_indicators() -> None:
    data = growth(5, 12)
    found = values(fitted(data, "y ~ a[plant] + b*t"))
    design = pd.get_dummies(data.plant, dtype=float)
    theirs = sm.OLS(data.y, design.assign(t=data.t)).fit()
    for level in design:
        expected = theirs.params[level], theirs.bse[level]
        assert found[f"a[{level}]"] == pytest.approx(expected, rel=1e-9)
    assert found["b"] == pytest.approx((theirs.params["t"], theirs.bse["t"]), rel=1e-9)


@pytest.mark.parametrize("own_rates", [False, True])
@pytest.mark.parametrize("weighted", [False, True])
def test_a_decay_is_that_of_scipy_on_the_problem_written_out(
    own_rates: bool, weighted: bool
) -> None:
    data = growth(4, 15, own_rates=own_rates)
    data["w"] = np.random.default_rng(1).integers(1, 4, len(data)) if weighted else 1
    text = "y ~ a[plant]*exp(-k[plant]*t)" if own_rates else "y ~ a[plant]*exp(-k*t)"
    model = fitted(data, text, weights="w")
    group, root = data.number.to_numpy() - 1, np.sqrt(data.w.to_numpy(dtype=float))

    def errors(theta: Floats) -> Floats:
        rate = theta[4:][group] if own_rates else theta[4]
        return np.asarray(root * (theta[:4][group] * np.exp(-rate * data.t) - data.y))

    def jacobian(theta: Floats) -> Floats:
        rate = theta[4:][group] if own_rates else theta[4]
        here = (group[:, None] == np.arange(4)).astype(float)
        decay = (root * np.exp(-rate * data.t)).to_numpy()[:, None]
        slope = -(theta[:4][group] * data.t).to_numpy()[:, None] * decay
        return np.hstack([here * decay, here * slope if own_rates else slope])

    start = [5.0] * 4 + [1.0] * (4 if own_rates else 1)
    theirs = least_squares(errors, start, jacobian, xtol=1e-15, ftol=1e-15, gtol=1e-15)
    freedom = data.w.sum() - len(start)
    spread = np.sqrt(
        np.diag(np.linalg.inv(theirs.jac.T @ theirs.jac)) * 2.0 * theirs.cost / freedom
    )
    found = values(model)
    names = [f"a[p{i}]" for i in range(4)] + (
        [f"k[p{i}]" for i in range(4)] if own_rates else ["k"]
    )
    assert [found[n][0] for n in names] == pytest.approx(theirs.x, rel=1e-8)
    assert [found[n][1] for n in names] == pytest.approx(spread, rel=1e-8)


def test_a_hundred_groups_and_peaks_in_places_of_their_own() -> None:
    model = fitted(growth(100, 12), "y ~ a[plant]*exp(-k*t)")
    assert len(model.parameters) == 101
    assert values(model)["k"][0] == pytest.approx(0.7, abs=0.01)
    random = np.random.default_rng(2)
    place = np.array([1.0, 6.0, 3.0])
    group, x = np.tile(np.arange(3), 60), np.repeat(np.linspace(0.0, 8.0, 60), 3)
    y = 2.0 * np.exp(-(((x - place[group]) / 0.4) ** 2)) + 0.02 * random.normal(size=180)
    peaks = pd.DataFrame({"g": group, "x": x, "y": y})
    found = values(fitted(peaks, "y ~ h*exp(-((x - m[g])/w)^2)"))
    assert [found[f"m[{i}]"][0] for i in range(3)] == pytest.approx(place, abs=0.02)
    assert found["w"][0] == pytest.approx(0.4, abs=0.02)


def test_numbers_are_levels_too_and_the_file_keeps_them(tmp_path: Path) -> None:
    data = growth(3, 12)
    by_text = values(fitted(data, "y ~ a[plant]*exp(-k*t)"))
    model = fitted(data, "y ~ a[number]*exp(-k*t)")
    by_number = values(model)
    assert by_number["k"] == by_text["k"]
    assert [by_number[f"a[{i + 1}]"] for i in range(3)] == [by_text[f"a[p{i}]"] for i in range(3)]
    model.save(tmp_path / "m.hsq")
    again = load(tmp_path / "m.hsq").predict(data)
    np.testing.assert_array_equal(again, model.predict(data))
    one = by_number["a[2]"][0] * np.exp(-by_number["k"][0] * 1.5)
    frame = pd.DataFrame({"number": [2], "t": [1.5]})
    assert model.predict(frame)[0] == pytest.approx(one, rel=1e-12)
    with pytest.raises(DataError, match=r"row 2, column 'number': found '9'.*no level"):
        model.predict(pd.DataFrame({"number": [2, 9], "t": [1.0, 1.0]}))


def test_starts_bounds_and_fixed_values_by_level_and_for_all() -> None:
    data = growth(3, 12)
    text = "y ~ a[plant]*exp(-k*t)"
    found = values(fitted(data, text, start={"a": 4, "a[p1]": 6, "k": 1}, fix={"a[p2]": 3.5}))
    assert found["a[p2]"] == (3.5, 0.0)
    held = values(fitted(data, text, fix={"a": 3.5, "a[p0]": 5.0}))
    assert [held[f"a[p{i}]"][0] for i in range(3)] == [5.0, 3.5, 3.5]
    free = values(fitted(data, text))
    low = free["a[p0]"][0] + 1.0
    bound = values(fitted(data, text, bounds={"a[p0]": (low, None)}))
    assert bound["a[p0]"][0] == low
    with pytest.raises(OptionError, match=r"'a\[p9\]', which is no parameter"):
        fitted(data, text, start={"a[p9]": 1})


def test_the_command_line_and_the_estimator(tmp_path: Path) -> None:
    data = growth(3, 12)
    text = "y ~ a[plant]*exp(-k*t)"
    expected = values(fitted(data, text))
    data.to_csv(tmp_path / "d.csv", index=False)
    done = CliRunner().invoke(
        app,
        ["fit", str(tmp_path / "d.csv"), "--formula", text, "--start", "a=4,a[p1]=6,k=1",
         "--test-fraction", "0", "--json", "--out", str(tmp_path / "m.hsq")],
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    told = {p["name"]: p["value"] for p in json.loads(done.stdout)["parameters"]}
    assert told == pytest.approx({n: v for n, (v, _) in expected.items()}, rel=1e-9)
    for command in ("predict", "evaluate", "pulls"):
        done = CliRunner().invoke(app, [command, str(tmp_path / "m.hsq"), str(tmp_path / "d.csv")])
        assert done.exit_code == 0, (command, done.output)
    model = FormulaRegressor(text).fit(data[["plant", "t"]], data.y)
    assert model.parameters_ == pytest.approx(told, rel=1e-9)


def test_a_level_without_rows_for_its_parameters_is_named() -> None:
    data = growth(3, 12, own_rates=True)
    data.loc[len(data)] = {"plant": "alone", "number": 9, "t": 1.0, "y": 2.0}
    model = fitted(data, "y ~ a[plant]*exp(-k[plant]*t)")
    assert any("a[alone]" in w and "k[alone]" in w for w in model.members[0].warnings)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("y ~ a[plnt]*t", "'plnt' in a.plnt. is no column of the data; did you mean 'plant'"),
        ("y ~ a[plant]*t + a", "'a' stands without levels here"),
        ("y ~ a + a[plant]*t", "'a' stands here with other levels, or with none"),
        ("y ~ a[plant] + a[number]", "'a' stands here with other levels"),
        ("y ~ t[plant]*b", "'t' is no parameter"),
        ("y ~ exp[plant]*b", "'exp' is no parameter"),
        ("y ~ [a]*t", "square brackets stand behind a parameter"),
        ("y ~ a[plant", "square brackets"),
        ("y ~ a[plant]]", "square brackets"),
        ("y ~ a[1]*t", "square brackets"),
        ("y ~ a[number]*number", "as a number as well"),
        ("y ~ b*number + a[number]", "as a number as well"),
    ],
)
def test_what_is_refused(text: str, message: str) -> None:
    with pytest.raises(FormulaError, match=message):
        fitted(growth(3, 4), text)


def test_more_levels_than_rows_allow() -> None:
    with pytest.raises(FitError, match="12 rows for 13 parameters"):
        fitted(growth(12, 1), "y ~ a[plant] + b*t")


def test_derivatives_by_level() -> None:
    formula = Formula.read("y ~ a[g]*exp(-k[g]*x) + a[g]^2", ["g", "x", "y"])
    whole = formula.with_levels({"g": ["P", "Q", "R"]})
    random = np.random.default_rng(0)
    theta = random.uniform(0.5, 1.5, 6)
    design = np.column_stack([[0, 2, 1, 2, 0.0], random.uniform(0, 2, 5)])
    _, jacobian = whole.outputs_and_jacobian(theta, design)
    for j in range(6):
        step = np.zeros(6)
        step[j] = 1e-6
        central = (whole.outputs(theta + step, design) - whole.outputs(theta - step, design)) / 2e-6
        np.testing.assert_allclose(jacobian[:, 0, j], central[:, 0], atol=1e-8)
    assert np.isnan(whole.outputs(theta, np.array([[-1.0, 1.0], [3.0, 1.0]]))).all()
    assert Formula.from_dict(whole.as_dict()) == whole
