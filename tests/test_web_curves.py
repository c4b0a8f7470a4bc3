"""The curves of a run: what is drawn beside training was not seen by it, and the surface is the
loss of the rows that it says.
"""

# ruff: noqa: F811 - tests name fixtures as their arguments
from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("starlette", reason="the page needs the extra 'page'")
pytest.importorskip("uvicorn", reason="the page needs the extra 'page'")

from visiting import Visitor, fresh, rows, visitor  # noqa: F401 - fixtures

from halfsquare import fit
from halfsquare.solvers.base import State
from halfsquare.web.curves import Curve
from halfsquare.web.held_out import MOST_ROWS, set_apart, table_of
from halfsquare.web.watching import Watcher


def watched(data: Any, target: str | None, **options: Any) -> tuple[Watcher, Any, list[State[Any]]]:
    """A fit that a watcher saw, and every state that it saw."""
    watcher, states = Watcher(), []

    def see(state: State[Any]) -> None:
        states.append(state)
        watcher.see(state, closely=True)

    return watcher, fit(data, target, callback=see, **options), states


def table(n: int = 300, seed: int = 4) -> dict[str, Any]:
    random = np.random.default_rng(seed)
    x, z = random.normal(size=(2, n))
    return {"x": x, "z": z, "y": 3.0 * x - z + random.normal(0, 0.5, n)}


def followed(watcher: Watcher, phase: str) -> list[Curve]:
    return [curve for curve in watcher.curves() if curve.phase == phase]


def test_the_loss_held_out_is_that_of_the_rows_set_apart_of_each_step() -> None:
    watcher, fitted, states = watched(table(), "y", model="linear", method="gradient")
    (measure,) = followed(watcher, "measure")
    assert measure.points[0].iteration == 0
    apart = set_apart(states[0].objective.rows)
    chunk = apart.chunk(0)
    assert len(chunk.target) == fitted.test["rows"]
    for state, point in zip(states, measure.points, strict=False):
        outputs = np.column_stack([np.ones(len(chunk.design)), chunk.design]) @ state.parameters
        mean_square = float(np.mean((outputs - chunk.target[:, 0]) ** 2))
        assert point.held_out == pytest.approx(0.5 * mean_square, rel=1e-12)
        assert abs(point.held_out - point.loss) > 1e-6  # other rows, another loss
    (refit,) = followed(watcher, "refit")
    assert {point.held_out for point in refit.points} == {None}
    assert table_of(states[-1].objective.rows).part == "all"


@pytest.mark.parametrize("share", [0.0, 0.3])
def test_without_rows_set_apart_there_is_no_such_loss(share: float) -> None:
    options = {"model": "linear", "method": "gradient", "test_fraction": share, "refit": False}
    watcher, _, _ = watched(table(60), "y", **options)
    (curve,) = watcher.curves()
    assert curve.phase == "measure"
    assert all((point.held_out is None) == (share == 0.0) for point in curve.points)


def test_networks_and_formulas_have_it_too() -> None:
    small = table(120)
    watcher, _, _ = watched(small, "y", model="network", features=["x"])
    measured = followed(watcher, "measure")
    assert len({curve.member for curve in measured}) > 1
    assert all(point.held_out is not None for curve in measured for point in curve.points)
    assert followed(watcher, "refit")
    shifted = {"x": small["x"] + 1e4, "y": np.exp(1.0 + 0.1 * small["x"])}
    # Counted from an origin, a function on its left side: the rows apart are changed alike.
    options = {"formula": "log(y) ~ a + b*x", "start": {"a": 0, "b": 0}}
    watcher, fitted, _ = watched(shifted, None, **options)
    last = followed(watcher, "measure")[-1].points[-1]
    assert last.held_out == pytest.approx(0.0, abs=1e-12)
    assert fitted.test["rows"]


def test_trees_begin_at_the_mean_and_show_both_losses() -> None:
    data = table(200)
    watcher, _, _ = watched(data, "y", model="trees")
    for curve in watcher.curves():
        first, last = curve.points[0], curve.points[-1]
        assert first.iteration == 0
        assert first.loss == pytest.approx(0.5, rel=0.25)  # half the variance of a standard target
        assert last.loss < first.loss and last.held_out < first.held_out
        assert last.loss != last.held_out
    assert {curve.phase for curve in watcher.curves()} == {"measure", "refit"}


def test_rows_set_apart_are_a_sample_where_they_are_many() -> None:
    many = table(12_000)
    watcher, _, states = watched(many, "y", model="linear", method="gradient", refit=False)
    apart = set_apart(states[0].objective.rows)
    assert apart.row_count > MOST_ROWS
    outputs = apart.chunk(0).target[:, 0] * 0.0
    whole = 0.5 * float(np.mean((outputs - apart.chunk(0).target[:, 0]) ** 2))
    first = watcher.curves()[0].points[0].held_out
    assert first == pytest.approx(whole, rel=0.15) and first != whole


def test_only_points_that_stay_cost_a_pass_over_the_rows_set_apart(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from halfsquare.web import held_out

    asked = []
    real = held_out.half_mse

    def counted(*arguments: Any) -> float:
        asked.append(1)
        return real(*arguments)

    monkeypatch.setattr(held_out, "half_mse", counted)
    x = np.linspace(0, 1, 80)
    slow = {"x": x, "x2": x + 1e-3 * np.sin(50 * x), "y": x**2}
    watcher, _, states = watched(slow, "y", model="linear", method="gradient", refit=False)
    assert len(states) > 2000
    assert len(asked) < 1500 and len(watcher.curves()[0].points) <= 301


def test_the_surface_is_the_loss_of_its_rows_and_the_path_that_of_the_descent() -> None:
    watcher, _, states = watched(table(), "y", model="linear", method="gradient", refit=False)
    surface = watcher.surface
    assert [name for _, name in surface.choices] == ["intercept", "x", "z"]
    a, b = surface.strongest()
    assert (a, b) == (1, 2)
    over = surface.over(a, b)
    design = np.column_stack([np.ones(len(surface.rows.design)), surface.rows.design])
    for i, j in ((0, 0), (7, 20), (32, 32)):
        at = states[-1].parameters.copy()
        at[a], at[b] = over.a[j], over.b[i]
        e = design @ at - surface.rows.target[:, 0]
        assert over.loss[i, j] == pytest.approx(0.5 * float(np.mean(e**2)), rel=1e-12)
    assert [step.parameters.tolist() for step in surface.steps] == [
        state.parameters.tolist() for state in states
    ]
    for values, k in ((over.a, a), (over.b, b)):
        path = [state.parameters[k] for state in states]
        assert values[0] < min(path) and max(path) < values[-1]
    assert (np.diff(over.levels) > 0).all()
    # Its rows are all there are: where the descent ended, no other place is lower.
    assert len(surface.rows.target) == states[-1].objective.rows.row_count
    assert surface.loss <= over.loss.min() * (1 + 1e-9)


def test_the_page_draws_the_surface_that_is_asked_for(fresh: Visitor) -> None:
    fresh.start(method="gradient", column=["area", "rooms"])
    fresh.wait("done")
    path = f"{fresh.run_path}/surface"
    reply, said = fresh.ask(f"{path}?a=0&b=2", Accept="application/json")
    assert reply.status == 200
    found = json.loads(said)
    assert (found["signals"]["a_name"], found["signals"]["b_name"]) == ("intercept", "rooms")
    grid = found["data"]["grid"][0]
    assert len(grid["values"]) == grid["width"] * grid["height"]
    over = fresh.job.surface().over(0, 2)
    assert grid["values"][0] == over.loss[-1, 0]  # the top row of the figure: largest b
    assert "900 rows" in found["html"] and "intercept and rooms" in found["html"]
    for wrong in ("a=1&b=1", "a=0&b=99", "a=x&b=1", "", "a=-1&b=0"):
        reply, said = fresh.ask(f"{path}?{wrong}", Accept="application/json")
        assert reply.status == 400 and b"not two of the 3" in said


def test_what_was_solved_at_once_has_a_surface_and_trees_have_none(
    fresh: Visitor, rows: Path
) -> None:
    fresh.start(method="linear", column=["area", "rooms"])
    fresh.wait("done")
    surface = fresh.job.surface()
    assert len(surface.steps) == 1
    over = surface.over(1, 2)
    # Its rows are those of the fit: nowhere is the loss lower than where it was solved.
    assert len(surface.rows.target) == 900
    assert surface.loss <= over.loss.min() * (1 + 1e-9)
    text = fresh.page(fresh.run_path)
    assert 'data-spec="surface-spec"' in text
    _, told = fresh.upload(rows.read_bytes())
    fresh.start(data=told["data"], target="y", method="trees", column=["x"])
    fresh.wait("done")
    assert 'data-spec="surface-spec"' not in fresh.page(fresh.run_path)
