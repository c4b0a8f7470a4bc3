"""Who pulls which weight: the parts add up to the gradient, and agree with NumPy, statsmodels and
differences.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from halfsquare import fit, load
from halfsquare.data.features import Category
from halfsquare.data.spec import DataSpec
from halfsquare.errors import DataError, OptionError
from halfsquare.explain.pulls import explain_pulls
from halfsquare.explain.row import explain_row
from halfsquare.results.fitted import FittedModel
from halfsquare.results.influence import InfluenceSums, Top

N = 400


def table(seed: int = 0, n: int = N) -> dict[str, Any]:
    random = np.random.default_rng(seed)
    x, z = random.normal(10.0, 3.0, n), random.uniform(0.0, 2.0, n)
    group = np.array(["a", "b", "c"])[random.integers(0, 3, n)]
    y = 2.0 + 0.5 * x + np.sin(2.0 * z) + (group == "b") * 1.5 + random.normal(0.0, 0.3, n)
    return {"x": x, "z": z, "group": group, "w": random.uniform(0.5, 2.0, n), "y": y}


@pytest.fixture(scope="module")
def network() -> FittedModel:
    data = table(n=120)
    return fit(data, "y", model="network", exclude=["w"], test_fraction=0, time_limit=3.0)


def design_of(data: dict[str, Any], fitted_to: dict[str, Any] | None = None) -> Any:
    """[1 | x | z | levels but the most frequent of the fit], made without the package."""
    levels, counts = np.unique((fitted_to or data)["group"], return_counts=True)
    others = sorted(levels, key=lambda v: (-counts[levels == v][0], v))[1:]
    ones = np.ones(len(data["x"]))
    return np.column_stack(
        [ones, data["x"], data["z"], *((data["group"] == level) for level in others)]
    )


def test_the_pulls_of_a_linear_model_are_error_times_column() -> None:
    data, other = table(), table(1)
    fitted = fit(data, "y", model="linear", exclude=["w"], test_fraction=0)
    found = explain_pulls(fitted, other, top=3)
    a, e = design_of(other, data), fitted.predict(other) - other["y"]
    parts = a * e[:, None]
    assert len(found.parameters) == a.shape[1]
    for j, pull in enumerate(found.parameters):
        assert pull.up == pytest.approx(parts[parts[:, j] < 0, j].sum(), rel=1e-9)
        assert pull.down == pytest.approx(parts[parts[:, j] > 0, j].sum(), rel=1e-9)
        assert pull.gradient == pull.up + pull.down + pull.penalty
        assert pull.penalty == 0.0
        hardest = np.argsort(-np.abs(parts[:, j]), kind="stable")[:3]
        assert [r.row for r in pull.hardest] == list(hardest + 1)
        assert [r.pull for r in pull.hardest] == pytest.approx(list(parts[hardest, j]), rel=1e-9)
        assert [r.error for r in pull.hardest] == pytest.approx(list(e[hardest]), rel=1e-9)
        assert pull.others == pytest.approx(parts[:, j].sum() - parts[hardest, j].sum(), abs=1e-8)
    assert found.sse == pytest.approx(float(e @ e))
    assert not found.balanced  # these are not the rows of the fit


def test_at_the_optimum_the_pulls_balance_and_elsewhere_they_do_not() -> None:
    data = table()
    fitted = fit(data, "y", model="linear", weights="w", test_fraction=0)
    assert explain_pulls(fitted, DataSpec(data, weights="w")).balanced
    assert not explain_pulls(
        fitted, data
    ).balanced  # without the weights of the fit it is not their optimum
    moved = {**data, "y": data["y"] + 1.0}
    found = explain_pulls(fitted, DataSpec(moved, weights="w"))
    intercept = found.parameters[0]
    assert intercept.gradient == pytest.approx(
        -float(np.sum(data["w"]))
    )  # every output is 1 too low …
    assert intercept.direction == "raise"  # … so descent raises it


@pytest.mark.parametrize("about", ["zero", "mean"])
def test_the_penalty_pulls_back_as_hard_as_the_rows_pull(about: str) -> None:
    data = table()
    fitted = fit(data, "y", model="linear", weights="w", l2=0.3, test_fraction=0)
    found = explain_pulls(fitted, DataSpec(data, weights="w"), about=about)
    assert found.balanced
    slopes = found.parameters[1:]
    assert found.parameters[0].penalty == 0.0
    assert all(abs(p.penalty) > 1.0 for p in slopes[:1])
    for p in slopes:
        assert p.up + p.down == pytest.approx(-p.penalty, rel=1e-6)


def test_the_conventions_differ_by_a_factor() -> None:
    data = table()
    fitted = fit(data, "y", model="linear", exclude=["w"], test_fraction=0, l2=0.1)
    other = table(2)
    half, mean = explain_pulls(fitted, other), explain_pulls(fitted, other, loss="mse")
    for a, b in zip(half.parameters, mean.parameters, strict=True):
        assert (b.up, b.penalty) == pytest.approx((2 * a.up / N, 2 * a.penalty / N))
        assert b.direction == a.direction


def test_several_targets_have_their_own_parameters() -> None:
    data = table()
    data["y2"] = 3.0 * data["y"] + data["x"]
    fitted = fit(data, ["y", "y2"], model="linear", exclude=["w"], test_fraction=0)
    assert explain_pulls(fitted, data).balanced
    other = {**table(3), "y2": np.zeros(N)}
    found = {p.name: p for p in explain_pulls(fitted, other).parameters}
    error = fitted.predict(other)[:, 1]
    assert found["y2: x"].gradient == pytest.approx(float(error @ other["x"]))


def test_a_formula_is_pulled_at_by_its_derivatives() -> None:
    random = np.random.default_rng(1)
    x = random.uniform(0.5, 5.0, 60)
    data = {"x": x, "y": 3.0 * (1.0 - np.exp(-0.7 * x)) * np.exp(random.normal(0, 0.05, 60))}
    fitted = fit(data, formula="log(y) ~ log(b1*(1 - exp(-b2*x)))", test_fraction=0)
    found = explain_pulls(fitted, {"x": x, "y": data["y"] * 1.3})
    b1, b2 = (p.value for p in fitted.parameters)
    error = np.log(b1 * (1 - np.exp(-b2 * x))) - np.log(data["y"] * 1.3)
    slope = x * np.exp(-b2 * x) / (1 - np.exp(-b2 * x))
    assert found.parameters[0].gradient == pytest.approx(float(np.sum(error / b1)))
    assert found.parameters[1].gradient == pytest.approx(float(error @ slope))
    assert explain_pulls(fitted, data).balanced
    row = explain_row(fitted, data, 5)
    at = row.output
    assert row.changes[0].change == pytest.approx(
        at * b2 * np.exp(-b2 * x[4]) / (1 - np.exp(-b2 * x[4])), rel=1e-9
    )


def test_the_gains_of_a_network_are_derivatives_of_its_loss(network: FittedModel) -> None:
    data = table(n=120)
    found = {p.name: p for p in explain_pulls(network, data).parameters}
    t = data["y"]
    design = np.vstack([b.design for b in network.batches(data)])
    groups = {column: (a, b) for column, a, b in network.encoder.groups}

    def half_sse(column: str, factor: float) -> float:
        a, b = groups[column]
        changed = design.copy()
        changed[:, a:b] *= factor  # a gain on the weights of an input is a gain on the input
        return 0.5 * float(np.sum((network.outputs_of(changed)[0][:, 0] - t) ** 2))

    for column in ("x", "z", "group"):
        h = 1e-5
        slope = (half_sse(column, 1 + h) - half_sse(column, 1 - h)) / (2 * h)
        assert found[f"gain of {column}"].gradient == pytest.approx(slope, rel=1e-5, abs=1e-4)
    error = network.predict(data) - t
    assert found["output bias"].gradient == pytest.approx(float(error.sum()))


def test_the_parts_of_a_network_add_up_to_the_output(network: FittedModel) -> None:
    data = table(n=120)
    for number in (1, 7, 120):
        row = explain_row(network, data, number)
        assert row.baseline is not None
        assert abs(row.gap) < 1e-8
        assert row.baseline + sum(row.contributions.values()) + row.gap == pytest.approx(
            row.output, abs=1e-12
        )
        assert set(row.contributions) == {"x", "z", "group"}
        assert sum(a.pull for a in row.asks if a.name == "output bias") == pytest.approx(row.error)


def test_the_changes_of_a_network_are_its_derivatives(network: FittedModel) -> None:
    data = {k: v[:5] for k, v in table(n=120).items()}
    row = explain_row(network, data, 2)
    by_name = {c.of: c for c in row.changes}
    for column in ("x", "z"):
        h = 1e-5
        up, down = ({**data, column: data[column] + s * h} for s in (1, -1))
        slope = (network.predict(up)[1] - network.predict(down)[1]) / (2 * h)
        assert by_name[column].change == pytest.approx(slope, rel=1e-4, abs=1e-7)
    reference = next(f.levels[0] for f in network.encoder.features if isinstance(f, Category))
    other = {**data, "group": np.array([reference] * 5)}
    changed = next(c for c in row.changes if c.column == "group")
    assert changed.change == pytest.approx(
        network.predict(data)[1] - network.predict(other)[1], abs=1e-12
    )


def test_leverage_and_cooks_distance_agree_with_statsmodels() -> None:
    import statsmodels.api as sm  # type: ignore[import-untyped]

    data = table()
    fitted = fit(data, "y", model="linear", exclude=["w"], test_fraction=0)
    influence = sm.OLS(data["y"], design_of(data)).fit().get_influence()
    found = explain_pulls(fitted, data, top=4).influence
    assert found is not None
    order = np.argsort(-influence.hat_matrix_diag)[:4]
    assert [r["row"] for r in found.leverage] == list(order + 1)
    assert [r["leverage"] for r in found.leverage] == pytest.approx(
        list(influence.hat_matrix_diag[order]), rel=1e-8
    )
    distance = influence.cooks_distance[0]
    worst = np.argsort(-distance)[:4]
    assert [r["row"] for r in found.cooks_distance] == list(worst + 1)
    assert [r["cooks_distance"] for r in found.cooks_distance] == pytest.approx(
        list(distance[worst]), rel=1e-8
    )
    assert found.leverage_sum == pytest.approx(design_of(data).shape[1])
    row = explain_row(fitted, data, 11)
    assert (row.leverage, row.cooks_distance) == pytest.approx(
        (influence.hat_matrix_diag[10], distance[10]), rel=1e-8
    )


def test_there_is_no_leverage_without_noise_or_covariance(network: FittedModel) -> None:
    assert InfluenceSums.of(network, 3) is None
    line = {"x": np.arange(2.0), "y": np.arange(2.0)}
    exact = fit(line, "y", model="linear", test_fraction=0)
    assert explain_pulls(exact, line).influence is None


def test_one_row_of_a_linear_model_in_words() -> None:
    data = table()
    fitted = fit(data, "y", model="linear", exclude=["w"], test_fraction=0)
    row = explain_row(fitted, data, 3)
    assert row.error is not None
    assert row.error == pytest.approx(float(fitted.predict(data)[2] - data["y"][2]))
    assert row.direction == ("raise" if row.error < 0 else "lower")
    said = row.sentences("y")
    assert ("too low" in said) == (row.error < 0) and "With 95 % probability" in said
    low, high = fitted.interval(data)[1][2], fitted.interval(data)[2][2]
    assert (row.low, row.high) == pytest.approx((low, high))
    slopes = {p.name: p.value for p in fitted.parameters}
    assert {c.of: c.change for c in row.changes}["x"] == pytest.approx(slopes["x"])
    asks = {a.name: a.pull for a in row.asks}
    assert asks["x"] == pytest.approx(row.error * data["x"][2])


def test_rows_without_a_target_can_be_explained_too() -> None:
    data = table()
    fitted = fit(data, "y", model="linear", exclude=["w"], test_fraction=0)
    row = explain_row(fitted, {k: v for k, v in data.items() if k != "y"}, 3)
    assert row.target is None and row.asks == () and row.direction is None
    with pytest.raises(DataError, match="no row 401"):
        explain_row(fitted, data, 401)
    with pytest.raises(OptionError, match="from 1"):
        explain_row(fitted, data, 0)


@given(
    values=hnp.arrays(
        float, st.tuples(st.integers(1, 40), st.integers(1, 3)), elements=st.floats(-9, 9)
    ),
    kept=st.integers(0, 6),
    cut=st.integers(0, 40),
)
def test_the_top_rows_do_not_depend_on_the_batches(values: Any, kept: int, cut: int) -> None:
    rows = np.arange(1, len(values) + 1)
    beside = [values[:, 0]] * values.shape[1]
    whole = Top.zero(values.shape[1], kept).add(rows, values, beside)
    split = Top.zero(values.shape[1], kept)
    for at in (slice(0, cut), slice(cut, None)):
        split = split.add(rows[at], values[at], [b[at] for b in beside])
    for j in range(values.shape[1]):
        sizes = sorted(np.abs(values[:, j]), reverse=True)[:kept]
        for found in (whole.of(j), split.of(j)):
            assert [abs(v) for _, v, _ in found] == [s for s in sizes if s]
            assert all(values[r - 1, j] == v and values[r - 1, 0] == b for r, v, b in found)


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    data = table()
    path = tmp_path / "t.csv"
    lines = [
        "x,z,group,w,y",
        *(f"{x!r},{z!r},{g},{w!r},{y!r}" for x, z, g, w, y in zip(*data.values(), strict=True)),
    ]
    path.write_text("\n".join(lines).replace("np.float64(", "").replace(")", "") + "\n")
    fit(str(path), "y", model="linear", weights="w", test_fraction=0).save(tmp_path / "m.hsq")
    return tmp_path / "m.hsq", path


def test_pulls_takes_a_model_and_explain_two_numbers(
    command: Callable[..., Any], files: Any
) -> None:
    model, data = files
    found = command("pulls", model, data, "--json").json
    assert found["balanced"] and found["weights"] == "w" and found["rows"] == N
    assert {p["name"] for p in found["parameters"]} >= {"intercept", "x", "z"}
    one = command("pulls", model, data, "--row", 2, "--json").json
    assert one["row"] == 2 and one["direction"] in ("raise", "lower") and one["asks"]
    assert "balance" in command("pulls", model, data).out
    assert "asks of the weights" in command("pulls", model, data, "--row", 2).out
    numbers = command("explain", "--target", 3, "--output", 2.2, "--plot", "e.svg", "--json").json
    assert numbers["gradient"] == pytest.approx(-0.8) and Path("e.svg").read_text().startswith(
        "<svg"
    )
    assert command("pulls", model, data, "--plot", "p.svg").code == 0
    assert "Row 2" in command("pulls", model, data, "--row", 2, "--plot", "r.svg").out
    assert "Row 2" in Path("r.svg").read_text()
    for wrong in (
        ["pulls", model],
        ["explain", model, data],
        ["pulls", model, data, "--target", 3],
        ["explain", "--target", 3],
        ["explain", "--target", 3, "--output", 2, "--row", 1],
        ["pulls", model, data, "--row", 1, "--top", 2],
        ["pulls", model, data, "--row", 0],
        ["explain", "--target", 3, "--output", 2, "--target", 1, "--output", 1, "--plot", "x.svg"],
        ["explain", "--target", 3, "--output", 2, "--plot", "x.gif"],
    ):
        ran = command(*wrong)
        assert ran.code == 2 and "Traceback" not in ran.err, wrong
    missing = command("pulls", model, data, "--row", 9999)
    assert missing.code == 1 and "no row 9999" in missing.err
    assert json.loads(json.dumps(load(model).info))
