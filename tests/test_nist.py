"""Certified values of NIST's nonlinear problems, to nine digits, from both starts and from none.

Source: NIST Statistical Reference Datasets, Nonlinear Regression
(https://www.itl.nist.gov/div898/strd/). Lanczos1 and Lanczos3 are generated data: the same sum of
exponentials, rounded to 13 digits and to 4 decimals.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest

from halfsquare.data.rows import ArrayRows
from halfsquare.fitting.formula.train import train_formula
from halfsquare.models.formula.model import Formula
from halfsquare.models.formula.symmetry import canonical
from halfsquare.parallel.threads import Local
from halfsquare.solvers.run import Run


@dataclass(frozen=True)
class Problem:
    text: str
    x: list[float]
    y: list[float]
    starts: tuple[list[float], list[float]]
    parameters: list[float]
    standard_errors: list[float]
    sse: float


def lanczos(form: str) -> list[float]:
    def value(x: Decimal) -> Decimal:
        return (
            Decimal("0.0951") * (-x).exp()
            + Decimal("0.8607") * (-3 * x).exp()
            + Decimal("1.5576") * (-5 * x).exp()
        )

    return [float(f"{value(i * Decimal('0.05')):{form}}") for i in range(24)]


EXPONENTIALS = "y ~ b1*exp(-b2*x) + b3*exp(-b4*x) + b5*exp(-b6*x)"
STARTS = ([1.2, 0.3, 5.6, 5.5, 6.5, 7.6], [0.5, 0.7, 3.6, 4.2, 4.0, 6.3])
STEPS = [float(i * Decimal("0.05")) for i in range(24)]

PROBLEMS = {
    "Misra1a": Problem(
        "y ~ b1*(1-exp(-b2*x))",
        [
            77.6,
            114.9,
            141.1,
            190.8,
            239.9,
            289.0,
            332.8,
            378.4,
            434.8,
            477.3,
            536.8,
            593.1,
            689.1,
            760.0,
        ],
        [
            10.07,
            14.73,
            17.94,
            23.93,
            29.61,
            35.18,
            40.02,
            44.82,
            50.76,
            55.05,
            61.01,
            66.40,
            75.47,
            81.78,
        ],
        ([500, 0.0001], [250, 0.0005]),
        [2.3894212918e02, 5.5015643181e-04],
        [2.7070075241e00, 7.2668688436e-06],
        1.2455138894e-01,
    ),
    "BoxBOD": Problem(
        "y ~ b1*(1-exp(-b2*x))",
        [1, 2, 3, 5, 7, 10],
        [109, 149, 149, 191, 213, 224],
        ([1, 1], [100, 0.75]),
        [2.1380940889e02, 5.4723748542e-01],
        [1.2354515176e01, 1.0455993237e-01],
        1.1680088766e03,
    ),
    "DanWood": Problem(
        "y ~ b1*x**b2",
        [1.309, 1.471, 1.490, 1.565, 1.611, 1.680],
        [2.138, 3.421, 3.597, 4.340, 4.882, 5.660],
        ([1, 5], [0.7, 4]),
        [7.6886226176e-01, 3.8604055871e00],
        [1.8281973860e-02, 5.1726610913e-02],
        4.3173084083e-03,
    ),
    "Rat42": Problem(
        "y ~ b1 / (1+exp(b2-b3*x))",
        [9, 14, 21, 28, 42, 57, 63, 70, 79],
        [8.93, 10.8, 18.59, 22.33, 39.35, 56.11, 61.73, 64.62, 67.08],
        ([100, 1, 0.1], [75, 2.5, 0.07]),
        [7.2462237576e01, 2.6180768402e00, 6.7359200066e-02],
        [1.7340283401e00, 8.8295217536e-02, 3.4465663377e-03],
        8.0565229338e00,
    ),
    "MGH09": Problem(
        "y ~ b1*(x**2+x*b2) / (x**2+x*b3+b4)",
        [4, 2, 1, 0.5, 0.25, 0.167, 0.125, 0.1, 0.0833, 0.0714, 0.0625],
        [0.1957, 0.1947, 0.1735, 0.16, 0.0844, 0.0627, 0.0456, 0.0342, 0.0323, 0.0235, 0.0246],
        ([25, 39, 41.5, 39], [0.25, 0.39, 0.415, 0.39]),
        [1.9280693458e-01, 1.9128232873e-01, 1.2305650693e-01, 1.3606233068e-01],
        [1.1435312227e-02, 1.9633220911e-01, 8.0842031232e-02, 9.0025542308e-02],
        3.0750560385e-04,
    ),
    "Lanczos3": Problem(
        EXPONENTIALS,
        STEPS,
        lanczos(".4f"),
        STARTS,
        [
            8.6816414977e-02,
            9.5498101505e-01,
            8.4400777463e-01,
            2.9515951832e00,
            1.5825685901e00,
            4.9863565084e00,
        ],
        [
            1.7197908859e-02,
            9.7041624475e-02,
            4.1488663282e-02,
            1.0766312506e-01,
            5.8371576281e-02,
            3.4436403035e-02,
        ],
        1.6117193594e-08,
    ),
    # Errors of 1e-13: in float64 their squares are known to three digits.
    "Lanczos1": Problem(
        EXPONENTIALS,
        STEPS,
        lanczos(".12e"),
        STARTS,
        [
            9.5100000027e-02,
            1.0000000001e00,
            8.6070000013e-01,
            3.0000000002e00,
            1.5575999998e00,
            5.0000000001e00,
        ],
        [
            5.3347304234e-11,
            2.7473038179e-10,
            1.3576062225e-10,
            3.3308253069e-10,
            1.8815731448e-10,
            1.1057500538e-10,
        ],
        1.4307867721e-25,
    ),
}
PROBLEMS |= {
    name: Problem(text=stated.pop("formula"), **stated)
    for name, stated in json.loads((Path(__file__).parent / "nist.json").read_text()).items()
}


def digits(found: object, certified: object) -> float:
    relative = np.abs(np.asarray(found) - np.asarray(certified)) / np.abs(np.asarray(certified))
    return float(-np.log10(max(relative.max(), 1e-16)))


@pytest.mark.parametrize("start", [0, 1, None], ids=["start 1", "start 2", "no start"])
@pytest.mark.parametrize("name", PROBLEMS)
def test_certified_values(name: str, start: int | None) -> None:
    problem = PROBLEMS[name]
    target = re.match(r"(?:log\()?(\w+)", problem.text)
    assert target is not None
    formula = Formula.read(problem.text, ["x", target.group(1)])
    rows = ArrayRows(
        np.array(problem.x, dtype=float)[:, None], np.array(problem.y, dtype=float)[:, None]
    )
    trained = train_formula(
        rows,
        formula,
        start=None if start is None else problem.starts[start],
        run=Run(Local(threads=1)),
    )
    assert trained.termination.converged
    assert trained.covariance is not None
    # Peaks and periods may have traded names: those of the certified values are taken.
    parameters = canonical(formula, trained.parameters, np.array(problem.parameters))
    order = [int(np.argmin(np.abs(np.abs(trained.parameters) - abs(v)))) for v in parameters]
    assert digits(parameters, problem.parameters) >= 9
    assert digits(np.sqrt(np.diag(trained.covariance))[order], problem.standard_errors) >= 9
    assert digits(trained.facts.sse, problem.sse) >= 9
    if name in ("Lanczos1", "Misra1a"):
        assert trained.facts.extended_precision is (name == "Lanczos1")


def test_digits_are_those_of_the_worst() -> None:
    assert digits([1.0, 2.02], [1.0, 2.0]) == pytest.approx(2.0)
