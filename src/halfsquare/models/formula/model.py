"""A formula as a model: parameters → outputs and Jacobian, by a compiled program of NumPy calls."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from typing import Any, final

import numpy as np

from halfsquare.errors import FormulaError, ShapeError
from halfsquare.files.records import from_json
from halfsquare.loss import Floats
from halfsquare.models.base import Model
from halfsquare.models.formula.compiler import compile_program
from halfsquare.models.formula.derivatives import derivatives, jointly_linear
from halfsquare.models.formula.parser import ParsedFormula, parse_formula
from halfsquare.models.formula.program import Bound, Program


@final
@dataclass(frozen=True)
class Formula(Model):
    """The right side of a formula over named columns; k = 1.

    A formula is its text and its names: these go into a model file, and the same parser reads them
    back.

    Parameters
    ----------
    text : str
        Such as ``"y ~ b1*(1 - exp(-b2*x))"``; see
        :func:`~halfsquare.models.formula.parser.parse_formula`.
    columns : tuple of str
        The columns of the design, in its order.
    names : tuple of str
        The parameters, in the order of the parameter vector.
    fixed : tuple of (str, float)
        Names that are numbers here and not parameters.
    levels : tuple of (column, tuple of str)
        Of columns that parameters have a value for each level of; the design holds codes of them.

    Raises
    ------
    FormulaError
        If the text cannot be read, or its names are not these.

    Examples
    --------
    >>> formula = Formula.read("y ~ b1*(1 - exp(-b2*x))", columns=["x", "y"])
    >>> formula.columns, formula.parameter_names, formula.target
    (('x',), ('b1', 'b2'), 'y')
    >>> outputs, jacobian = formula.outputs_and_jacobian(np.array([2.0, 0.0]), np.array([[3.0]]))
    >>> outputs.tolist(), jacobian.tolist()
    ([[0.0]], [[[0.0, 6.0]]])
    """

    text: str
    columns: tuple[str, ...]
    names: tuple[str, ...]
    fixed: tuple[tuple[str, float], ...] = field(default=())
    levels: tuple[tuple[str, tuple[str, ...]], ...] = field(default=())

    def __post_init__(self) -> None:
        found = {*self.parsed.columns, *self.parsed.parameters}
        given = {*self.columns, *self.names, *dict(self.fixed)}
        if not found <= given or not set(self.names) <= set(self.parsed.parameters):
            raise FormulaError(
                f"the names of {self.text!r} are {sorted(found)}, but {sorted(given)} were given"
            )

    @classmethod
    def read(
        cls, text: str, columns: Sequence[str], parameters: Sequence[str] | None = None
    ) -> Formula:
        """The formula of ``text`` over data with these columns (the target among them)."""
        parsed = parse_formula(text, columns, parameters)
        return cls(text, parsed.columns, parsed.parameters)

    def with_fixed(self, values: dict[str, float]) -> Formula:
        """The same formula with some parameters held at a number."""
        free = tuple(name for name in self.names if name not in values)
        return replace(self, names=free, fixed=(*self.fixed, *values.items()))

    def with_levels(self, levels: Mapping[str, Sequence[str]]) -> Formula:
        """The same formula with a parameter for each level of these columns, ``a[level]``.

        Examples
        --------
        >>> formula = Formula.read("y ~ a[plant] + b*x", ["plant", "x", "y"])
        >>> formula.names, formula.with_levels({"plant": ["P", "Q"]}).names
        (('a[plant]', 'b'), ('a[P]', 'a[Q]', 'b'))
        """
        target = [*self.columns, self.target]
        parsed = parse_formula(self.text, target, None, levels)
        kept = tuple((column, tuple(found)) for column, found in levels.items())
        return Formula(self.text, self.columns, parsed.parameters, (), kept)

    @property
    def grouped(self) -> dict[str, str]:
        """The parameters that have a value for each level of a column, and these columns."""
        return dict(self.parsed.grouped)

    def as_dict(self) -> dict[str, Any]:
        """JSON values that :meth:`from_dict` makes the formula of again."""
        return {
            "kind": "formula",
            "text": self.text,
            "columns": list(self.columns),
            "parameters": list(self.names),
            "fixed": [[name, value] for name, value in self.fixed],
            **({"levels": [[c, list(found)] for c, found in self.levels]} if self.levels else {}),
        }

    @classmethod
    def from_dict(cls, saved: dict[str, Any]) -> Formula:
        """The formula that :meth:`as_dict` described, read by the same parser.

        Raises
        ------
        FormulaError
            If the text is none, or has other names.
        ValueError
            If a value is missing or of another type.
        """
        return cls(
            from_json(str, saved["text"], "text"),
            from_json(tuple[str, ...], saved["columns"], "columns"),
            from_json(tuple[str, ...], saved["parameters"], "parameters"),
            from_json(tuple[tuple[str, float], ...], saved["fixed"], "fixed"),
            from_json(tuple[tuple[str, tuple[str, ...]], ...], saved.get("levels", []), "levels"),
        )

    @property
    def parsed(self) -> ParsedFormula:
        """The formula as read: target, function of the target, expression."""
        return _parsed(self._named)

    @property
    def target(self) -> str:
        """The column on the left side."""
        return self.parsed.target

    @property
    def target_function(self) -> str:
        """What the left side applies to the target: ``"identity"``, ``"log"``, …"""
        return self.parsed.target_function

    @property
    def parameter_names(self) -> Sequence[str]:
        """The free parameters."""
        return self.names

    @property
    def outputs_count(self) -> int:
        """Always 1."""
        return 1

    @cached_property
    def linear(self) -> tuple[int, ...]:
        """Positions of parameters in which the formula is linear, all of them together."""
        names = jointly_linear(self.parsed.expression, self.names)
        return tuple(self.names.index(name) for name in names)

    def outputs(self, parameters: Floats, design: Floats) -> Floats:
        """The outputs (n, 1), on the scale of the left side; NaN or infinite where the formula
        is.
        """
        out = np.empty((1, len(design)))
        self.program(()).run(self._all(parameters), self._checked(design), list(out))
        return out.T

    def outputs_and_jacobian(self, parameters: Floats, design: Floats) -> tuple[Floats, Floats]:
        """The outputs (n, 1) and ∂output/∂parameter (n, 1, p)."""
        block = np.empty((len(self.names), 1, len(design)))
        outputs = self.write_jacobian(parameters, design, block)
        return outputs, block.transpose(2, 1, 0)

    def write_jacobian(self, parameters: Floats, design: Floats, block: Floats) -> Floats:
        """Write ∂output/∂parameter to ``block`` (p, 1, n); returns the outputs (n, 1)."""
        outputs = np.empty(len(design))
        self.write_slopes(
            parameters, design, tuple(range(len(self.names))), [*block[:, 0], outputs]
        )
        return outputs[:, None]

    def write_slopes(
        self, parameters: Floats, design: Floats, which: tuple[int, ...], out: Sequence[Floats]
    ) -> None:
        """Write ∂output/∂parameter for the positions ``which``, then the output, to the rows of
        ``out``, (n,) each.
        """
        self.program(which).run(self._all(parameters), self._checked(design), out)

    def write_column_slopes(
        self, parameters: Floats, design: Floats, columns: tuple[str, ...], out: Sequence[Floats]
    ) -> None:
        """Write ∂output/∂column, in the unit of the output over the column's, then the output, to
        the rows of ``out``, (n,) each.
        """
        _compiled(self._named, columns).run(self._all(parameters), self._checked(design), out)

    def bind(self, parameters: Floats, which: tuple[int, ...]) -> Bound:
        """What :meth:`write_slopes` does, with these parameters put in; for blocks of rows."""
        return self.program(which).bind(self._all(parameters))

    def program(self, which: tuple[int, ...]) -> Program:
        """The compiled derivatives by these parameters, followed by the output."""
        return _compiled(self._named, tuple(self.names[i] for i in which))

    @cached_property
    def _named(self) -> _Named:
        names = (*self.names, *(name for name, _ in self.fixed))
        return _Named(self.text, self.columns, names, self.levels, len(self.names))

    def at_points(self, linear: tuple[int, ...]) -> Program:
        """The derivatives by the ``linear`` parameters and then the output, with every other free
        parameter as one more column behind those of the design: for many points at once.

        Its parameters are the linear ones and then the fixed ones.
        """
        return _compiled_at_points(self._named, linear)

    def slopes_at_points(self, which: tuple[int, ...]) -> Program:
        """The derivatives by the parameters ``which``, with every free parameter as one more column
        behind those of the design; its parameters are the fixed ones.
        """
        return _slopes_at_points(self._named, which)

    def _all(self, parameters: Floats) -> Floats:
        return (
            np.concatenate([parameters, [value for _, value in self.fixed]])
            if self.fixed
            else parameters
        )

    def _checked(self, design: Floats) -> Floats:
        if design.ndim != 2 or design.shape[1] != len(self.columns):
            raise ShapeError(
                f"the design has shape {design.shape}; expected a column for each of {self.columns}"
            )
        return design


@dataclass(frozen=True)
class _Named:
    """What decides the programs of a formula: not the values that parameters are held at."""

    text: str
    columns: tuple[str, ...]
    names: tuple[str, ...]  # the free ones, then the fixed ones
    levels: tuple[tuple[str, tuple[str, ...]], ...]
    free: int

    @property
    def expression(self) -> Any:
        return _parsed(self).expression


@lru_cache(maxsize=64)
def _parsed(named: _Named) -> ParsedFormula:
    # The target is the one name on the left; whether the data has it was seen when the text was
    # first read.
    from halfsquare.models.formula.tokens import read_tokens

    left = [token.text for token in read_tokens(named.text).left if token.kind == "name"][-1:]
    return parse_formula(named.text, [*named.columns, *left], named.names, dict(named.levels))


@lru_cache(maxsize=64)
def _compiled_at_points(named: _Named, linear: tuple[int, ...]) -> Program:
    free, held = named.names[: named.free], named.names[named.free :]
    solved = tuple(free[j] for j in linear)
    others = tuple(name for name in free if name not in solved)
    wanted = [*derivatives(named.expression, solved), named.expression]
    return compile_program(wanted, (*solved, *held), (*named.columns, *others))


@lru_cache(maxsize=64)
def _slopes_at_points(named: _Named, which: tuple[int, ...]) -> Program:
    free, held = named.names[: named.free], named.names[named.free :]
    wanted = derivatives(named.expression, tuple(free[j] for j in which))
    return compile_program(wanted, held, (*named.columns, *free))


@lru_cache(maxsize=256)
def _compiled(named: _Named, which: tuple[str, ...]) -> Program:
    wanted = [*derivatives(named.expression, which), named.expression]
    return compile_program(wanted, named.names, named.columns)
