"""Every way to ask a formula for the impossible, and the scikit-learn estimator."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from formula_cases import DECAY, errors_of, fit, noisy
from sklearn.utils.estimator_checks import parametrize_with_checks

from halfsquare.errors import FitError, FormulaError, HalfsquareError, NotFiniteError, OptionError
from halfsquare.estimators.formula import FormulaRegressor
from halfsquare.loss import Floats

# Bad input

Case = tuple[Callable[[Floats, Floats], object], type[HalfsquareError], str]
BAD: dict[str, Case] = {
    "start for no parameter": (
        lambda x, y: fit(DECAY, x, y, start={"q": 1.0}),
        OptionError,
        "'q', which is no parameter",
    ),
    "bound for no parameter": (
        lambda x, y: fit(DECAY, x, y, bounds={"q": (0, 1)}),
        OptionError,
        "a bound for 'q'",
    ),
    "fixed value for no parameter": (
        lambda x, y: fit(DECAY, x, y, fixed={"q": 1}),
        OptionError,
        "a fixed value for 'q'",
    ),
    "too few starting values": (
        lambda x, y: fit(DECAY, x, y, start=[1.0]),
        OptionError,
        "1 starting values for 3",
    ),
    "start not finite": (
        lambda x, y: fit(DECAY, x, y, start=[1, np.nan, 1]),
        OptionError,
        "start of 'b2' is nan",
    ),
    "start outside bounds": (
        lambda x, y: fit(DECAY, x, y, start=[1, -1, 1], bounds={"b2": (0, None)}),
        OptionError,
        "the start -1 of 'b2' lies outside its bounds 0 to inf",
    ),
    "bounds the wrong way": (
        lambda x, y: fit(DECAY, x, y, bounds={"b2": (2, 1)}),
        OptionError,
        "low < high",
    ),
    "everything fixed": (
        lambda x, y: fit("y ~ a*x", x, y, fixed={"a": 1}),
        OptionError,
        "every parameter is fixed",
    ),
    "fewer rows than parameters": (
        lambda x, y: fit(DECAY, x[:2], y[:2]),
        FitError,
        "2 rows for 3 parameters",
    ),
    "log of a negative column": (
        lambda x, y: fit("y ~ a*log(x-9)", x, y),
        FormulaError,
        "in row 1 (x = 3.18481) it comes to log(-5.81519), the logarithm of a number that is "
        "not positive, whatever",
    ),
    "division by zero at the start": (
        lambda x, y: fit("y ~ a/(b*x)", x, y, start=[1, 0]),
        FormulaError,
        "is not finite at the start a = 1, b = 0: in row 1 (x = 3.18481) it comes to 1/0, a "
        "division by zero",
    ),
    "overflow at the start": (
        lambda x, y: fit(DECAY, x, y, start=[1, -9999, 1]),
        FormulaError,
        "too large for float64",
    ),
    "log of a negative target": (
        lambda x, y: fit("log(y) ~ a*x", x, y - 100),
        NotFiniteError,
        "log(y) is no finite number in row 1, where y is",
    ),
    "target not finite": (
        lambda x, y: fit(DECAY, x, np.where(np.arange(50)[:, None] == 7, np.nan, y)),
        NotFiniteError,
        "y is nan in row 8",
    ),
    "column not finite": (
        lambda x, y: fit(DECAY, np.where(np.arange(50)[:, None] == 7, np.nan, x), y),
        FormulaError,
        "in row 8",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input(name: str) -> None:
    call, kind, message = BAD[name]
    x, y = noisy(50)
    with pytest.raises(kind) as caught:
        call(x, y)
    assert message in str(caught.value)


# scikit-learn


@parametrize_with_checks([FormulaRegressor()])
def test_scikit_learn(estimator: object, check: Callable[[object], None]) -> None:
    check(estimator)


def test_regressor() -> None:
    x, y = noisy(100)
    model = FormulaRegressor("y ~ b1*exp(-b2*x) + b3").fit(x, y[:, 0])
    trained = fit(DECAY, x, y)
    np.testing.assert_allclose(list(model.parameters_.values()), trained.parameters, rtol=1e-12)
    np.testing.assert_allclose(
        list(model.standard_errors_.values()), errors_of(trained), rtol=1e-12
    )
    outputs, std = model.predict(x, return_std=True)
    assert 0.9 < np.mean(np.abs(outputs - y[:, 0]) < 1.96 * std) <= 1.0
    with pytest.raises(OptionError, match="names 'x7', but X has the columns x1"):
        FormulaRegressor("y ~ a*x7").fit(x, y[:, 0])
