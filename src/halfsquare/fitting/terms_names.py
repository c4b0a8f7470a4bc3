"""What the two sides of a formula of terms name: the target, and columns that stand alone."""

from __future__ import annotations

from collections.abc import Sequence

from halfsquare.models.target import TARGET_FUNCTIONS
from halfsquare.models.terms.expand import Expanded
from halfsquare.models.terms.syntax import Call, Name, names_in
from halfsquare.models.terms.tokens import refuse


def left_side(expanded: Expanded, columns: Sequence[str]) -> tuple[str, str]:
    """The target, and the function that the left side applies to it.

    Raises
    ------
    FormulaError
        If the left side is neither a column nor such a function of one.
    """
    node, function = expanded.left, "identity"
    if isinstance(node, Call) and node.function in TARGET_FUNCTIONS:
        function = "log" if node.function == "ln" else node.function
        node = node.arguments[0] if len(node.arguments) == 1 else node
    if not isinstance(node, Name):
        refuse(
            expanded.text,
            expanded.left.at,
            "the left side is a column, or one of these functions of a column, which can be "
            "undone: " + ", ".join(TARGET_FUNCTIONS),
        )
    if node.name not in columns:
        from halfsquare.models.terms.arithmetic import unknown_column

        refuse(expanded.text, node.at, unknown_column(node.name, list(columns)))
    return node.name, function


def alone(expanded: Expanded) -> set[str]:
    """Columns that are a term by themselves beside an intercept and stand nowhere else: what is
    taken off their values changes the intercept alone.

    Examples
    --------
    >>> from halfsquare.models.terms.expand import expand
    >>> alone(expand("y ~ a + b + log(b)", ["y", "a", "b"]))
    {'a'}
    """
    uses = [name for term in expanded.terms for f in term for name in names_in(expanded.factors[f])]
    nodes = [expanded.factors[term[0]] for term in expanded.terms if len(term) == 1]
    found = {n.name for n in nodes if isinstance(n, Name) and uses.count(n.name) == 1}
    return found if () in expanded.terms else set()
