"""Values that are written alike: their shape is the text with every digit as 9, so that millions of
rows have some tens of them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from halfsquare.data.findings import TextColumn

_MOST_SHAPES = 5000
Run = Callable[[str], list[tuple[Any, ...]]]


@dataclass(frozen=True)
class Shape:
    """Values that are written alike.

    Attributes
    ----------
    text : str
        With every digit as 9.
    zero : bool
        Whether the first digit of the values is 0.
    count, row : int
        How many there are, and the row of the first, from 1.
    example : str
    """

    text: str
    zero: bool
    count: int
    row: int
    example: str


def shapes_of(
    run: Run, relation: str, columns: Sequence[TextColumn]
) -> list[tuple[TextColumn, list[Shape], int]]:
    """The shapes of the values of each column, and how many values there are."""
    listed = ", ".join(f"{c.sql} AS c{j}" for j, c in enumerate(columns))
    names = ", ".join(f"c{j}" for j in range(len(columns)))
    rows = run(
        f"WITH t AS (SELECT row_number() OVER () AS i, {listed} FROM {relation}), "
        f"long AS (FROM t UNPIVOT (v FOR c IN ({names}))), "
        "g AS (SELECT c, left(regexp_replace(v, '[0-9]', '9', 'g'), 60) AS s, "
        "regexp_matches(v, '^[^1-9]*0') AS z, count(*) AS n, min(i) AS i, arg_min(v, i) AS v "
        "FROM long GROUP BY ALL) "
        "SELECT c, s, z, n, i, v, (sum(n) OVER (PARTITION BY c))::BIGINT FROM g "
        f"QUALIFY row_number() OVER (PARTITION BY c ORDER BY n DESC, i) <= {_MOST_SHAPES}"
    )
    found = []
    for j, column in enumerate(columns):
        own = sorted((r for r in rows if r[0] == f"c{j}"), key=lambda r: (-r[3], r[4]))
        shapes = [Shape(str(s), bool(z), int(n), int(i), str(v)) for _, s, z, n, i, v, _ in own]
        found.append((column, shapes, int(own[0][6]) if own else 0))
    return found
