"""The unit of every parameter, by dimensional analysis: terms of a sum agree, arguments of exp are
pure numbers.

The exponents of the columns' units are the unknowns of linear equations, one for each sum, function
and power; the shortest least-squares solution is taken, so a formula that breaks the rules (adds 1
to a length) still gets what can be said of it.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from halfsquare.loss import Floats
from halfsquare.models.formula.functions import COMPARISONS
from halfsquare.models.formula.model import Formula


def unit_exponents(formula: Formula) -> Floats:
    """Exponents (p, d+1) of the units of the columns and, last, the target, for each free
    parameter.

    Examples
    --------
    >>> formula = Formula.read("y ~ b1*(1 - exp(-b2*x))", columns=["x", "y"])
    >>> unit_exponents(formula).round(6).tolist()
    [[0.0, 1.0], [-1.0, 0.0]]
    """
    return _Units(formula).solve()[:, :-1]


def unit_numbers(formula: Formula) -> Floats:
    """The logarithm (p,) of the number that goes with the unit of each free parameter.

    In exp(-E/(1.38e-23*T)), E is so many times 1.38e-23 T: a constant that multiplies a parameter
    says how large it is as much as a column does.

    Examples
    --------
    >>> formula = Formula.read("y ~ a*exp(-E/(1e-23*T))", columns=["T", "y"])
    >>> [f"{value:.6g}" for value in np.exp(unit_numbers(formula))]
    ['1', '1e-23']
    """
    return np.asarray(_Units(formula).solve()[:, -1])


def location_parameters(formula: Formula) -> dict[str, int]:
    """The parameters that are added to a column as such, as b in x - b, with the number of that
    column.
    """
    found: dict[str, int] = {}
    pending = [formula.parsed.expression]
    while pending:
        node = pending.pop()
        pending += node.args
        if node.is_Add:
            names = [str(term if term.is_Symbol else -term) for term in node.args]
            columns = [formula.columns.index(name) for name in names if name in formula.columns]
            found.update({name: columns[0] for name in names if name in formula.names and columns})
    return found


class _Units:
    """A unit is a pair: coefficients over the unknown units (of parameters and intermediates), and
    known exponents: of the columns, of the target, and the logarithm of a number.
    """

    def __init__(self, formula: Formula) -> None:
        self._formula = formula
        self._known = {name: j for j, name in enumerate(formula.columns)}
        self._unknown: dict[str, int] = {name: i for i, name in enumerate(formula.names)}
        self._equations: list[tuple[dict[int, float], Floats]] = []
        self._count = len(formula.names)

    def solve(self) -> Floats:
        target = self._pure()
        if self._formula.target_function == "identity":
            target[1][-2] = 1.0
        self._equal(self._of(self._formula.parsed.expression), target)
        matrix = np.zeros((len(self._equations), self._count))
        right = np.zeros((len(self._equations), len(self._known) + 2))
        for row, (coefficients, known) in enumerate(self._equations):
            for i, value in coefficients.items():
                matrix[row, i] = value
            right[row] = -known if coefficients else 0.0
        solution = np.linalg.lstsq(matrix, right, rcond=1e-10)[0]
        return np.asarray(solution[: len(self._formula.names)])

    def _pure(self) -> tuple[dict[int, float], Floats]:
        return {}, np.zeros(len(self._known) + 2)

    def _number(self, node: Any) -> tuple[dict[int, float], Floats]:
        """A number by itself: its size counts beside what it multiplies."""
        unit = self._pure()
        size = abs(float(node))
        unit[1][-1] = np.log(size) if size > 0 else 0.0
        return unit

    def _fresh(self) -> tuple[dict[int, float], Floats]:
        self._count += 1
        return {self._count - 1: 1.0}, self._pure()[1]

    def _equal(
        self, a: tuple[dict[int, float], Floats], b: tuple[dict[int, float], Floats]
    ) -> None:
        self._equations.append(_plus(a, b, -1.0))

    def _of(self, node: Any) -> tuple[dict[int, float], Floats]:
        if node.is_Symbol:
            if node.name in self._known:
                exponents = self._pure()[1]
                exponents[self._known[node.name]] = 1.0
                return {}, exponents
            return (
                ({self._unknown[node.name]: 1.0}, self._pure()[1])
                if node.name in self._unknown
                else self._fresh()
            )
        if not node.free_symbols:
            return self._number(node)
        # A number that stands in a sum is of no size: 1 + b*x says nothing of b but its unit.
        units = [
            self._pure() if node.is_Add and not argument.free_symbols else self._of(argument)
            for argument in node.args
        ]
        if node.is_Add:
            for other in units[1:]:
                self._equal(units[0], other)
            return units[0]
        if node.is_Mul:
            total = self._pure()
            for unit in units:
                total = _plus(total, unit, 1.0)
            return total
        name = type(node).__name__
        if node.is_Pow and node.exp.is_number:
            return _plus(self._pure(), units[0], float(node.exp))
        if name in ("Power", "Pow"):
            self._equal(units[1], self._pure())
            return self._fresh()
        if name == "Absolute":
            return units[0]
        if name == "Chosen":
            return units[1]
        if name in ("Minimum", "Maximum", "atan2", *COMPARISONS.values()):
            self._equal(units[0], units[1])
            return units[0] if name.endswith("imum") else self._pure()
        if name.startswith("bessel") or name == "polygamma":
            self._equal(units[1], self._pure())
            return self._pure()
        if name != "log":
            self._equal(units[0], self._pure())
        return self._pure()


def _plus(
    a: tuple[dict[int, float], Floats], b: tuple[dict[int, float], Floats], factor: float
) -> tuple[dict[int, float], Floats]:
    coefficients = dict(a[0])
    for i, value in b[0].items():
        coefficients[i] = coefficients.get(i, 0.0) + factor * value
    return {i: value for i, value in coefficients.items() if value}, a[1] + factor * b[1]
