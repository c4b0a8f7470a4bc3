"""The figure of a fit over its one column."""

from __future__ import annotations

import numpy as np

from halfsquare import fit
from halfsquare.report.curve import fit_curve


def test_the_curve_is_the_models_and_the_points_are_the_rows() -> None:
    x = np.linspace(0, 4, 30)
    data = {"x": x, "y": 2 * np.exp(-x) + np.random.default_rng(0).normal(0, 0.05, len(x))}
    fitted = fit(data, formula="y ~ a*exp(-b*x)", test_fraction=0)
    figure = fit_curve(fitted, data, "y")
    assert figure is not None
    first = [float(v) for v in figure.rows[0]]
    output, low, high = (float(v[0]) for v in fitted.interval({"x": x[:1]}))
    np.testing.assert_allclose(first, [0, output, low, high], rtol=2e-3)
    assert "30 rows" in figure.caption
    assert figure.svg.count("<svg") == 2  # a wide one and one for a phone


def test_two_columns_have_no_curve() -> None:
    data = {"x": np.arange(9.0), "z": np.arange(9.0) ** 2, "y": np.arange(9.0) ** 3}
    assert fit_curve(fit(data, "y", test_fraction=0), data, "y") is None
