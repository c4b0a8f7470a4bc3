"""From the tree of a factor to the factor: which calls there are and what they take."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NoReturn

from halfsquare.models.terms.arithmetic import (
    FUNCTIONS,
    LEARNING,
    check,
    unknown_column,
    unknown_function,
)
from halfsquare.models.terms.contrasts import CODINGS
from halfsquare.models.terms.dates import KINDS as DATES
from halfsquare.models.terms.dates import PARTS, with_parts
from halfsquare.models.terms.factors import Basis, Category, Factor, Numeric
from halfsquare.models.terms.lagged import LAG, with_lags
from halfsquare.models.terms.syntax import (
    Call,
    Listed,
    Name,
    Node,
    Number,
    Sign,
    Text,
    int_or_none,
    unparse,
)
from halfsquare.models.terms.tokens import refuse

MOST_DEGREE, MOST_DF = 20, 100
_TRUTH = {"True": True, "TRUE": True, "true": True, "False": False, "FALSE": False, "false": False}
_SPELLINGS = {name.lower(): name for name in CODINGS}
BASES = ("poly", "bs", "ns", "cr", "cs")


def read_factor(node: Node, text: str, kinds: Mapping[str, str]) -> Factor:
    """The factor of a node.

    Parameters
    ----------
    text : str
        The whole formula, for the caret of a message.
    kinds : mapping of column name to str
        ``"text"``, or a kind of number (``"number"``, ``"boolean"``); other kinds are refused.

    Raises
    ------
    FormulaError
        With a caret where the factor cannot be what it says.
    """
    return _Reading(text, kinds).factor(node)


class _Reading:
    def __init__(self, text: str, kinds: Mapping[str, str]) -> None:
        self.text, self.kinds = text, kinds
        self.numbers = {name: kind != "text" for name, kind in kinds.items()}

    def factor(self, node: Node) -> Factor:
        written = unparse(node)
        node = with_lags(node, self.text, self.kinds)
        if isinstance(node, Name):
            self._usable(node)
            if not self.numbers[node.name]:
                return Category(written, node.name, True)
            return Numeric(written, self._dated(node))
        if not isinstance(node, Call):
            self._refuse(node, "this is no term")
        if node.function == "C":
            return self._category(node, written)
        if node.function in BASES:
            return self._basis(node, written)
        known = ("I", "C", *BASES, *FUNCTIONS, *LEARNING, "min", "max", *PARTS, LAG)
        if node.function not in known:
            self._refuse(node, unknown_function(node.function, known))
        for name in _names(node):
            self._usable(name, or_constant=True)
        node = self._dated(node)
        check(node, self.text, self.numbers)
        return Numeric(written, node)

    def _dated(self, node: Node) -> Node:
        return with_parts(node, self.text, self.kinds)

    def _usable(self, name: Name, *, or_constant: bool = False) -> None:
        if name.name not in self.kinds:
            if or_constant and name.name in ("pi", "e") and not name.quoted:
                return
            hint = (
                ""
                if name.name not in FUNCTIONS
                else f"{name.name} is a function: write {name.name}(x)"
            )
            self._refuse(name, hint or unknown_column(name.name, list(self.kinds)))
        if self.kinds[name.name] not in ("text", "number", "boolean", *DATES):
            self._refuse(
                name,
                f"column {name.name!r} is of a kind that is {self.kinds[name.name]}; a term is "
                "made of numbers, texts or dates",
            )

    def _refuse(self, node: Node, message: str) -> NoReturn:
        refuse(self.text, node.at, message)

    def _arguments(self, node: Call, order: tuple[str, ...]) -> dict[str, Node]:
        """What is given to each parameter, by place or by name."""
        found = dict(zip(order, node.arguments, strict=False))
        if len(node.arguments) > len(order):
            self._refuse(
                node.arguments[len(order)],
                f"{node.function} takes no more than {len(order)} arguments",
            )
        for name, item in node.named:
            if name not in order:
                self._refuse(item, f"{node.function} has no {name}; it takes {', '.join(order)}")
            if name in found:
                self._refuse(item, f"{name} is given twice")
            found[name] = item
        if order[0] not in found:
            self._refuse(node, f"{node.function} needs a column: {node.function}(x)")
        return found

    # --- categories

    def _category(self, node: Call, written: str) -> Category:
        given = self._arguments(node, ("x", "coding", "levels", "contr", "contrasts"))
        column, argument = given["x"], None
        if isinstance(column, Call) and column.function in PARTS:
            argument = self._dated(column)
            column = column.arguments[0]
        if not isinstance(column, Name):
            self._refuse(column, "C takes a column, or a part of a date: C(year), C(month(date))")
        self._usable(column)
        if argument is None and self.kinds[column.name] in DATES:
            self._refuse(
                column,
                f"{column.name!r} holds dates: write C(month({column.name})), or another part",
            )
        levels = None
        if "levels" in given:
            levels = tuple(_label(item) for item in self._items(given["levels"]))
            if len(set(levels)) < max(2, len(levels)):
                self._refuse(given["levels"], "expected at least two levels, each once")
        coding = given.get("coding", given.get("contr", given.get("contrasts")))
        name, base, scores = ("treatment", None, None) if coding is None else self._coding(coding)
        is_text = not self.numbers[column.name]
        return Category(written, column.name, is_text, name, base, levels, scores, argument)

    def _coding(self, node: Node) -> tuple[str, str | None, tuple[float, ...] | None]:
        if isinstance(node, Text):
            node = Name(node.at, node.value)
        if isinstance(node, Name):
            return self._coding_name(node, node.name), None, None
        if not isinstance(node, Call):
            self._refuse(node, f"expected a coding: {', '.join(CODINGS)}")
        name = self._coding_name(node, node.function)
        wanted = {"treatment": ("base", "reference"), "poly": ("scores",)}.get(name, ())
        if not node.arguments and not node.named:
            return name, None, None
        if not wanted:
            self._refuse(node, f"the coding {name} takes no arguments")
        named = {wanted[0] if key in wanted else key: item for key, item in node.named}
        item = node.arguments[0] if node.arguments else named.get(wanted[0])
        if item is None or len(node.arguments) + len(node.named) > 1:
            self._refuse(node, f"the coding {name} takes one argument, {wanted[0]}")
        if name == "poly":
            return name, None, tuple(self._number(i) for i in self._items(item))
        return (
            name,
            _label(item) if isinstance(item, (Text, Number, Sign, Name)) else self._no_level(item),
            None,
        )

    def _no_level(self, node: Node) -> NoReturn:
        self._refuse(node, 'expected a level: treatment("a")')

    def _coding_name(self, node: Node, name: str) -> str:
        found = _SPELLINGS.get(name.removeprefix("contr.").lower())
        if found is None:
            self._refuse(node, f"unknown coding {name!r}; expected one of {', '.join(CODINGS)}")
        return found

    def _items(self, node: Node) -> tuple[Node, ...]:
        if not isinstance(node, Listed):
            self._refuse(node, "expected a list: [1, 2]")
        return node.items

    # --- bases

    def _basis(self, node: Call, written: str) -> Basis:
        order = {
            "poly": ("x", "degree", "raw"),
            "bs": ("x", "df", "knots", "degree", "include_intercept", "lower_bound", "upper_bound"),
            "ns": ("x", "df", "knots", "include_intercept", "lower_bound", "upper_bound"),
        }.get(node.function, ("x", "df", "knots", "lower_bound", "upper_bound"))
        renamed = tuple(
            ("include_intercept" if k == "intercept" else k, item) for k, item in node.named
        )
        given = self._arguments(Call(node.at, node.function, node.arguments, renamed), order)
        for name in _names(given["x"]):
            self._usable(name, or_constant=True)
        argument = self._dated(given["x"])
        check(argument, self.text, self.numbers)
        kind = "cr" if node.function == "cs" else node.function
        options: dict[str, Any] = {}
        if kind == "poly":
            options["degree"] = self._whole(
                given.get("degree"), "degree", 1, MOST_DEGREE, default=1
            )
            options["raw"] = self._truth(given.get("raw"))
            return Basis(written, kind, argument, **options)
        if kind == "bs":
            options["degree"] = self._whole(given.get("degree"), "degree", 1, 10, default=3)
        options["intercept"] = self._truth(given.get("include_intercept"))
        if "knots" in given:
            knots = tuple(sorted(self._number(i) for i in self._listed(given["knots"])))
            if len(knots) > MOST_DF or len(set(knots)) < len(knots):
                self._refuse(given["knots"], f"expected at most {MOST_DF} knots, each once")
            options["knots"] = knots
        if "df" in given:
            if "knots" in given:
                self._refuse(
                    given["df"], "df and knots both say how many columns there are: give one"
                )
            options["df"] = self._whole(given["df"], "df", 1, MOST_DF)
        elif "knots" not in given and kind == "cr":
            self._refuse(node, "cr needs df or knots: cr(x, df=4)")
        options["bounds"] = tuple(
            self._number(given[b]) if b in given else None for b in ("lower_bound", "upper_bound")
        )
        basis = Basis(written, kind, argument, **options)
        if basis.inner_knots() < 0:
            least = (basis.df or 0) - basis.inner_knots()
            self._refuse(
                given["df"], f"{kind} of this degree has at least {least} columns; df is {basis.df}"
            )
        return basis

    def _listed(self, node: Node) -> tuple[Node, ...]:
        return node.items if isinstance(node, Listed) else (node,)

    def _number(self, node: Node) -> float:
        if isinstance(node, Number):
            return node.value
        if isinstance(node, Sign) and isinstance(node.operand, Number):
            return -node.operand.value if node.operator == "-" else node.operand.value
        self._refuse(node, "expected a number")

    def _whole(self, node: Node | None, name: str, least: int, most: int, default: int = 0) -> int:
        if node is None:
            return default
        value = int_or_none(self._number(node))
        if value is None or not least <= value <= most:
            self._refuse(
                node, f"{name} is {unparse(node)}; expected a whole number from {least} to {most}"
            )
        return value

    def _truth(self, node: Node | None) -> bool:
        if node is None:
            return False
        if isinstance(node, Name) and node.name in _TRUTH:
            return _TRUTH[node.name]
        self._refuse(node, "expected True or False")


def _names(node: Node) -> list[Name]:
    from halfsquare.models.terms.syntax import names_in

    return list(names_in(node).values())


def _label(node: Node) -> str:
    """A level as it is spelled: that of a number without needless zeros."""
    if isinstance(node, Text):
        return node.value
    if isinstance(node, Name):
        return node.name
    return unparse(node)


def level_label(value: float) -> str:
    """How a number is spelled as a level.

    Examples
    --------
    >>> level_label(2013.0), level_label(0.5)
    ('2013', '0.5')
    """
    whole = int_or_none(value)
    return repr(value) if whole is None else str(whole)
