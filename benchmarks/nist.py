"""Digits of agreement with the certified values of NIST's nonlinear regression problems.

    python benchmarks/nist.py --data DIR          reads DIR/nist/*.dat

For every problem, from start 1, start 2 and no start: the digits (log relative error, at most 11:
so many are certified) of the worst parameter, of the worst standard error and of the residual sum
of squares, iterations and time; beside scipy's curve_fit and lmfit from the same starts, with their
defaults. A cross stands where a fit failed.

Source of the problems: NIST Statistical Reference Datasets, nonlinear regression,
https://www.itl.nist.gov/div898/strd/nls/nls_main.shtml
"""

from __future__ import annotations

import argparse
import json
import re
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np

from halfsquare.data.rows import ArrayRows
from halfsquare.errors import HalfsquareError
from halfsquare.fitting.formula.train import train_formula
from halfsquare.models.formula.model import Formula
from halfsquare.models.formula.symmetry import symmetry

_CERTIFIED = 11.0


@dataclass(frozen=True)
class Problem:
    name: str
    formula: Formula
    design: np.ndarray  # (n, d)
    target: np.ndarray  # (n, 1), as in the file
    starts: list[np.ndarray]
    parameters: np.ndarray
    standard_errors: np.ndarray
    sse: float


@dataclass(frozen=True)
class Answer:
    digits: tuple[float, float, float]  # parameters, standard errors, sum of squares
    iterations: int
    seconds: float


def read_problem(path: Path) -> Problem:
    """A problem as its file states it: the model's text becomes a formula by the package's own
    parser.
    """
    lines = path.read_text(encoding="latin-1").splitlines()
    model = next(i for i, line in enumerate(lines) if line.startswith("Model:"))
    starting = next(
        i
        for i in range(model, len(lines))
        if re.match(r"\s*Starting values", lines[i], re.IGNORECASE)
    )
    data = max(i for i, line in enumerate(lines) if line.startswith("Data:"))
    columns = lines[data].split()[1:]
    number = r"[-+]?[0-9.]+(?:[eE][-+]?[0-9]+)?"
    row = re.compile(rf"\s*(\w+)\s*=\s*({number})\s+({number})\s+({number})\s+({number})\s*$")
    stated = [match.groups() for line in lines[starting:data] if (match := row.match(line))]
    values = np.array([[float(v) for v in groups[1:]] for groups in stated])
    table = np.array(
        [[float(v) for v in line.split()] for line in lines[data + 1 :] if line.strip()]
    )
    sse = next(
        float(line.split(":")[1]) for line in lines if line.startswith("Residual Sum of Squares")
    )
    formula = Formula.read(
        _formula_text(lines[model + 1 : starting]), columns, [groups[0] for groups in stated]
    )
    # Positions are by the order of the file's table.
    order = [[groups[0] for groups in stated].index(name) for name in formula.names]
    values = values[order]
    design = np.ascontiguousarray(table[:, [columns.index(name) for name in formula.columns]])
    target = table[:, [columns.index(formula.target)]]
    return Problem(
        path.stem,
        formula,
        design,
        target,
        [values[:, 0], values[:, 1]],
        values[:, 2],
        values[:, 3],
        sse,
    )


def _formula_text(lines: list[str]) -> str:
    """``y = b1*(1-exp[-b2*x])  +  e`` as ``y ~ b1*(1-exp(-b2*x))``."""
    text = " ".join(line.strip() for line in lines if not re.match(r"\s*pi\s*=", line))
    first = re.search(r"(\w+|log\[\w+\])\s*=", text)
    assert first is not None, text
    text = text[first.start() :].replace("[", "(").replace("]", ")").replace("=", "~", 1)
    return re.sub(r"\+\s*e\s*$", "", text.strip())


def digits(found: Any, certified: Any) -> float:
    """The log relative error of the worst entry, between 0 and 11."""
    found, certified = np.atleast_1d(found), np.atleast_1d(certified)
    if not np.isfinite(found).all():
        return 0.0
    relative = np.abs(found - certified) / np.abs(certified)
    return float(np.clip(-np.log10(np.maximum(relative, 1e-300)), 0.0, _CERTIFIED).min())


def measure(problem: Problem, fit: Callable[[], tuple[Any, Any, float, int]]) -> Answer | None:
    """Digits of a fit, in whatever order it labels what the formula cannot tell apart."""
    begin = time.perf_counter()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            parameters, errors, sse, iterations = fit()
    except (RuntimeError, ValueError, TypeError, HalfsquareError):
        return None
    seconds = time.perf_counter() - begin
    best = max(
        (
            digits(same, problem.parameters),
            digits(np.asarray(errors)[order], problem.standard_errors),
        )
        for same, order in labellings(problem.formula, np.asarray(parameters))
    )
    return Answer((*best, digits(sse, problem.sse)), iterations, seconds)


def labellings(formula: Formula, parameters: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """Every labelling of the same fit: peaks trade names, signs that do not matter turn."""
    known = symmetry(formula)
    orders = [np.arange(len(parameters))]
    for group in known.groups:
        turned = []
        for order in orders:
            for permuted in permutations(group):
                new = order.copy()
                for old_block, new_block in zip(group, permuted, strict=True):
                    new[list(old_block)] = order[list(new_block)]
                turned.append(new)
        orders = turned
    results = []
    for order in orders:
        for signs in range(1 << len(known.flips)):
            same = parameters[order].copy()
            for i, flip in enumerate(known.flips):
                if signs >> i & 1:
                    same[list(flip)] *= -1
            results.append((same, order))
    return results


def halfsquare(problem: Problem, start: np.ndarray | None) -> tuple[Any, Any, float, int]:
    rows = ArrayRows(problem.design, problem.target)
    trained = train_formula(rows, problem.formula, start=start)
    assert trained.covariance is not None
    errors = np.sqrt(np.diag(trained.covariance))
    return trained.parameters, errors, trained.facts.sse, trained.facts.iterations


def curve_fit(problem: Problem, start: np.ndarray) -> tuple[Any, Any, float, int]:
    from scipy.optimize import curve_fit as scipy_curve_fit

    target = problem.formula.transform_target(problem.target)[:, 0]
    function = _function(problem)
    values, covariance, info, _, _ = scipy_curve_fit(
        lambda _, *p: function(np.array(p)), np.zeros(len(target)), target, start, full_output=True
    )
    return (
        values,
        np.sqrt(np.diag(covariance)),
        float(np.sum((function(values) - target) ** 2)),
        info["nfev"],
    )


def lmfit(problem: Problem, start: np.ndarray) -> tuple[Any, Any, float, int]:
    from lmfit import Parameters, minimize

    target = problem.formula.transform_target(problem.target)[:, 0]
    function = _function(problem)
    given = Parameters()
    for name, value in zip(problem.formula.names, start, strict=True):
        given.add(name, value=value)
    names = problem.formula.names
    result = minimize(
        lambda p: function(np.array([p[name].value for name in names])) - target, given
    )
    errors = [result.params[name].stderr or np.nan for name in names]
    return (
        np.array([result.params[name].value for name in names]),
        np.array(errors),
        result.chisqr,
        result.nfev,
    )


def _function(problem: Problem) -> Callable[[np.ndarray], np.ndarray]:
    return lambda parameters: problem.formula.outputs(
        np.asarray(parameters, dtype=float), problem.design
    )[:, 0]


def _shown(answer: Answer | None) -> str:
    if answer is None:
        return "   x    x    x            "
    a, b, c = answer.digits
    return f"{a:4.1f} {b:4.1f} {c:4.1f} {answer.iterations:5d} {answer.seconds:6.3f}s"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="a folder that holds nist/*.dat")
    parser.add_argument(
        "--json", action="store_true", help="one JSON object for each line instead of the table"
    )
    arguments = parser.parse_args()
    paths = sorted((arguments.data / "nist").glob("*.dat")) or sorted(arguments.data.glob("*.dat"))
    if not paths:
        raise SystemExit(f"no .dat file in {arguments.data}/nist")
    if not arguments.json:
        print(
            "digits of worst parameter, worst standard error, sum of squares; iterations or "
            "calls; time"
        )
        print(f"{'problem':10} {'start':7} {'halfsquare':27} {'scipy curve_fit':27} {'lmfit':27}")
    worst: dict[str, list[float]] = {"halfsquare": [], "curve_fit": [], "lmfit": []}
    for path in paths:
        problem = read_problem(path)
        for label, start in [
            ("start 1", problem.starts[0]),
            ("start 2", problem.starts[1]),
            ("none", None),
        ]:
            answers: dict[str, Answer | None] = {
                "halfsquare": measure(problem, lambda p=problem, s=start: halfsquare(p, s))  # type: ignore[misc]
            }
            if start is not None:
                for name, method in (("curve_fit", curve_fit), ("lmfit", lmfit)):
                    answers[name] = measure(problem, lambda p=problem, s=start, m=method: m(p, s))  # type: ignore[misc]
            for name, answer in answers.items():
                worst[name].append(0.0 if answer is None else min(answer.digits))
            if arguments.json:
                shown = {name: None if a is None else vars(a) for name, a in answers.items()}
                print(json.dumps({"problem": problem.name, "start": label, **shown}), flush=True)
            else:
                print(
                    f"{problem.name:10} {label:7} "
                    + " ".join(f"{_shown(a):27}" for a in answers.values()),
                    flush=True,
                )
    if not arguments.json:
        print()
        for name, values in worst.items():
            six, nine = (sum(value >= least for value in values) for least in (6, 9))
            print(
                f"{name:10} of {len(values)} fits: {six} with >= 6 digits in all three, "
                f"{nine} with >= 9"
            )


if __name__ == "__main__":
    main()
