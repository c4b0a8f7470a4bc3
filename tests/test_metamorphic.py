"""What must not change, or change in a known way, when a table is written in other units, its rows
come in another order, stand several times or weigh nothing: by every door.

Values are right or refused with one and the same clear error; nothing lies between.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from sklearn.base import clone

from halfsquare import (
    FormulaRegressor,
    LinearRegressor,
    NetworkRegressor,
    TreesRegressor,
    fit,
    fit_sums,
    sum_rows,
)
from halfsquare.errors import DataError, FitError
from halfsquare.loss import Floats

SMALL = settings(derandomize=True, deadline=None, max_examples=12, database=None)
random = np.random.default_rng(0)
N = 20  # and less than 50 in all, from where intervals are calibrated
X = random.normal(size=(N, 2))
Y = 2.0 + X @ [1.5, -0.7] + 0.3 * random.normal(size=N)
COUNTS = random.integers(1, 4, N).astype(float)
NEW = random.normal(size=(3, 2))

Predicted = tuple[Floats, Floats]  # outputs and standard deviations
Door = Callable[[Floats, Floats, Floats | None, Floats], Predicted]


def columns(x: Floats) -> dict[str, Any]:
    return {f"x{j + 1}": x[:, j] for j in range(x.shape[1])}


def by_fit(**options: Any) -> Door:
    def door(x: Floats, y: Floats, w: Floats | None, new: Floats) -> Predicted:
        weights = {} if w is None else {"w": w}
        given = {} if w is None else {"weights": "w"}
        target = None if "~" in options.get("formula", "") else "y"
        fitted = fit(columns(x) | {"y": y} | weights, target, test_fraction=0, **given, **options)
        found: Predicted = fitted.predict(columns(new), return_std=True)
        return found

    return door


def by_sums(x: Floats, y: Floats, w: Floats | None, new: Floats) -> Predicted:
    data = columns(x) | {"y": y} | ({} if w is None else {"w": w})
    sums = sum_rows(data, "y", test_fraction=0, weights=None if w is None else "w")
    found: Predicted = fit_sums(sums).predict(columns(new), return_std=True)
    return found


def by_estimator(model: Any, *, std: bool = True, partial: bool = False) -> Door:
    def door(x: Floats, y: Floats, w: Floats | None, new: Floats) -> Predicted:
        new_model = clone(model)
        fitted = (new_model.partial_fit if partial else new_model.fit)(x, y, w)
        if std:
            found: Predicted = fitted.predict(new, return_std=True)
            return found
        spread = np.full(len(new), getattr(fitted, "sigma_", 1.0))
        scale = 1.0 if hasattr(fitted, "sigma_") else float(np.std(y))
        return fitted.predict(new), spread * scale

    return door


FORMULA = "y ~ a + b*x1 + c*x2"
EXACT: dict[str, Door] = {
    "fit linear": by_fit(model="linear"),
    "fit terms": by_fit(model="linear", formula="y ~ x1 + x2"),
    "fit formula": by_fit(formula=FORMULA),
    "fit-sums": by_sums,
    "LinearRegressor": by_estimator(LinearRegressor(), std=False),
    "partial_fit": by_estimator(LinearRegressor(), std=False, partial=True),
    "FormulaRegressor": by_estimator(FormulaRegressor(FORMULA)),
    "fit l2 auto": by_fit(model="linear", l2="auto"),
    "LinearRegressor l2 auto": by_estimator(LinearRegressor(l2="auto"), std=False),
    "partial_fit l2 auto": by_estimator(LinearRegressor(l2="auto"), std=False, partial=True),
}
OTHERS: dict[str, Door] = {
    "NetworkRegressor": by_estimator(NetworkRegressor(hidden=(3,), members=2)),
    "TreesRegressor": by_estimator(TreesRegressor(members=2, rounds=15), std=False),
}
BASE: dict[tuple[str, bool], Predicted] = {}


def base(name: str, door: Door, *, weighted: bool) -> Predicted:
    key = name, weighted
    if key not in BASE:
        BASE[key] = door(X, Y, COUNTS if weighted else None, NEW)
    return BASE[key]


def quiet(door: Door, *given: Any) -> Predicted:
    """With no warning of a number that was lost on the way."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        return door(*given)


def assert_alike(found: Predicted, wanted: Predicted, rel: float) -> None:
    for ours, theirs in zip(found, wanted, strict=True):
        assert ours == pytest.approx(theirs, rel=rel, abs=rel * float(np.abs(theirs).max()))


units = st.one_of(
    st.integers(-498, 498).map(lambda e: 2.0**e), st.integers(-150, 150).map(lambda e: 10.0**e)
)


@pytest.mark.parametrize("name", EXACT)
@SMALL
@given(units, units, units, st.booleans())
@example(1e-150, 1e150, 1.0, True)
@example(1e139, 1e-139, 1e69, True)
@example(1e-139, 1.0, 1e-69, True)
def test_columns_and_target_in_any_unit(
    name: str, first: float, second: float, unit: float, weighted: bool
) -> None:
    door, scale = EXACT[name], np.array([first, second])
    w = COUNTS if weighted else None
    outputs, std = base(name, door, weighted=weighted)
    extreme = max(first, second, 1 / first, 1 / second) > 1e138 or not 1e-68 < unit < 1e68
    try:
        found = quiet(door, X * scale, Y * unit, w, NEW * scale)
    except (DataError, FitError) as refused:
        assert extreme
        # Exact sums know no size; what is made of them may be beyond float64.
        assert ("beyond" if name.startswith("partial_fit") else "lost in") + " float64" in str(
            refused
        )
        return
    assert_alike((found[0] / unit, found[1] / unit), (outputs, std), 1e-8)


@pytest.mark.parametrize("partial", [False, True])
@SMALL
@given(*[units.filter(lambda unit: 1e-68 < unit < 1e68)] * 2)
def test_a_penalty_of_more_columns_than_rows_in_any_unit(
    partial: bool, column: float, unit: float
) -> None:
    """Where columns fit any target exactly, many penalties are as probable as each other."""
    random = np.random.default_rng(3)
    x = random.normal(size=(20, 40))
    y = x[:, 0] + 0.1 * random.normal(size=20)
    scale = np.where(np.arange(40) == 0, column, 1.0)

    def fitted(scale: Floats, unit: float) -> LinearRegressor:
        model = LinearRegressor(l2="auto")
        return (model.partial_fit if partial else model.fit)(x * scale, y * unit)

    found, wanted = fitted(scale, unit), fitted(np.ones(40), 1.0)
    assert found.l2_ == pytest.approx(wanted.l2_, rel=1e-9)
    for name in ("coef_", "coef_std_error_"):
        value = getattr(found, name) * scale / unit
        assert value == pytest.approx(getattr(wanted, name), rel=1e-7, abs=1e-8)
    assert found.sigma_ / unit == pytest.approx(wanted.sigma_, rel=1e-7)


@pytest.mark.parametrize("weights", ["counts", "precision", "sigma"])
@pytest.mark.parametrize("factor", [1e-130, 1e-80, 1e-20, 1e20, 1e80, 1e130])
def test_weights_of_arrays_in_any_unit(weights: str, factor: float) -> None:
    model = LinearRegressor(l2=0.1, weights=weights)
    wanted = clone(model).fit(X, Y, COUNTS)
    found = clone(model).fit(X, Y, COUNTS * factor)
    assert found.coef_ == pytest.approx(wanted.coef_, rel=1e-10)
    if weights == "precision":
        assert found.sigma_ == pytest.approx(wanted.sigma_, rel=1e-10)
        assert found.coef_std_error_ == pytest.approx(wanted.coef_std_error_, rel=1e-10)
    elif weights == "sigma":  # it is in the target's unit
        assert found.coef_std_error_ / factor == pytest.approx(wanted.coef_std_error_, rel=1e-10)


@pytest.mark.parametrize("name", OTHERS)
@settings(SMALL, max_examples=4)
@given(st.integers(-400, 400), st.integers(-200, 200), st.booleans())
def test_networks_and_trees_in_units_of_powers_of_two(
    name: str, column: int, target: int, weighted: bool
) -> None:
    door, scale, unit = OTHERS[name], np.array([2.0**column, 1.0]), 2.0**target
    w = COUNTS if weighted else None
    found = quiet(door, X * scale, Y * unit, w, NEW * scale)
    wanted = base(name, door, weighted=weighted)
    assert_alike((found[0] / unit, found[1] / unit), wanted, 1e-6)


@pytest.mark.parametrize("name", EXACT)
@SMALL
@given(st.floats(-1e7, 1e7), st.floats(-1e9, 1e9))
@example(1e9, 0.0)
@example(0.0, 1e12)
def test_columns_and_target_counted_from_elsewhere(name: str, column: float, target: float) -> None:
    door = EXACT[name]
    away = np.array([column, 0.0])
    x, new, y = X + away, NEW + away, Y + target
    found = quiet(door, x, y, None, new)
    outputs, std = base(name, door, weighted=False)
    rounding = 1e-9 + 1e-14 * (abs(column) + abs(target))
    assert found[0] - target == pytest.approx(outputs, abs=10 * rounding)
    assert found[1] == pytest.approx(std, rel=10 * rounding)


@pytest.mark.parametrize("name", [*EXACT, "NetworkRegressor"])
@settings(SMALL, max_examples=6)
@given(st.sampled_from([0.0, 7.0, -1e9, 1e20, 1e160, -1e300, 5e-324]), st.booleans())
def test_rows_of_no_weight_are_no_rows(name: str, value: float, in_target: bool) -> None:
    door = EXACT.get(name) or OTHERS[name]
    x = np.vstack([X[:1], X, np.full((2, 2), 1.0 if in_target else value)])
    y = np.concatenate([[3.0], Y, [value if in_target else 1.0] * 2])
    w = np.concatenate([[0.0], COUNTS, [0.0, 0.0]])
    found = quiet(door, x, y, w, NEW)
    assert_alike(found, base(name, door, weighted=True), 1e-9)


@pytest.mark.parametrize("name", EXACT)
def test_whole_weights_are_rows_repeated_in_any_order(name: str) -> None:
    door = EXACT[name]
    at = np.repeat(np.arange(N), COUNTS.astype(int))
    at = np.random.default_rng(1).permutation(at)
    wanted = base(name, door, weighted=True)
    assert_alike(quiet(door, X[at], Y[at], None, NEW), wanted, 1e-9)
    order = np.random.default_rng(2).permutation(N)
    assert_alike(quiet(door, X[order], Y[order], COUNTS[order], NEW), wanted, 1e-9)


@pytest.mark.parametrize("name", EXACT)
def test_the_order_of_columns_changes_nothing(name: str) -> None:
    door = EXACT[name]
    if "ormula" in name:
        door = by_fit(formula="y ~ a + b*x2 + c*x1") if name.startswith("fit") else by_estimator(
            FormulaRegressor("y ~ a + b*x2 + c*x1")
        )  # fmt: skip
    found = quiet(door, X[:, ::-1], Y, COUNTS, NEW[:, ::-1])
    assert_alike(found, base(name, EXACT[name], weighted=True), 1e-9)


@pytest.mark.parametrize("option", ["precision", "sigma"])
@SMALL
@given(units, units)
@example(1e-69, 1e-69)
@example(1e60, 1e69)
def test_relative_and_measured_weights_in_any_unit(option: str, factor: float, unit: float) -> None:
    doors = {"linear": {"model": "linear"}, "formula": {"formula": FORMULA}}
    own = unit if option == "sigma" else factor  # σ is in the target's unit
    for name, options in doors.items():
        data = columns(X) | {"y": Y * unit, "w": COUNTS * own}
        given = {option: "w", "test_fraction": 0, **options}
        target = None if name == "formula" else "y"
        key = f"{option} {name}", True
        if key not in BASE:
            plain = fit(columns(X) | {"y": Y, "w": COUNTS}, target, **given)
            BASE[key] = plain.predict(columns(NEW) | {"w": np.ones(3)}, return_std=True)
        try:
            fitted = fit(data, target, **given)
            found = fitted.predict(columns(NEW) | {"w": np.full(3, own)}, return_std=True)
        except DataError as refused:
            extreme = not 1e-68 < unit < 1e68 or not 1e-138 < own < 1e138
            assert extreme and "lost in float64" in str(refused)
            continue
        assert_alike((found[0] / unit, found[1] / unit), BASE[key], 1e-8)
