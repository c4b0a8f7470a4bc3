"""``halfsquare sums --sql``: one SQL statement that computes the sums where the rows are.

It passes over the table for the means and counts, then for the sums of products about these means,
so that columns far from 0 keep their digits, and once more where there are categories. Only what
the five databases have in common is used; they differ in quotes and in names of types.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations

from halfsquare.data.sql import is_query
from halfsquare.errors import OptionError
from halfsquare.exact.sql_layout import LEVELS, Pair, SqlLayout
from halfsquare.exact.terms import MAX_LEVELS


@dataclass(frozen=True)
class Dialect:
    """How a database writes names and types.

    Attributes
    ----------
    quote : str
        What stands around a name.
    escape : str
        What stands before a quote within a name: the quote itself, or a backslash.
    double, text : str
        The types of float64 and of texts.
    """

    quote: str
    escape: str
    double: str
    text: str

    def name(self, name: str) -> str:
        """The name of a column, quoted."""
        if self.escape == "\\":
            name = name.replace("\\", "\\\\").replace("\n", "\\n").replace("\r", "\\r")
        return f"{self.quote}{name.replace(self.quote, self.escape + self.quote)}{self.quote}"

    def number(self, sql: str) -> str:
        """An expression as float64."""
        return f"CAST({sql} AS {self.double})"

    def table(self, table: str) -> str:
        """A table, its name in parts with dots between them, each plain or quoted; or a query.

        Raises
        ------
        OptionError
            If it is neither.
        """
        if is_query(table):
            return f"(\n{table.strip().rstrip(';')}\n)"
        q = re.escape(self.quote)
        part = rf'{q}((?:[^{q}]|{q}{q})+){q}|"([^"]+)"|([^\s."`;\'()]+)'
        found = re.fullmatch(rf"(?:{part})(?:\.(?:{part}))*", table.strip())
        if not found:
            raise OptionError(
                f"{table!r} is no table: expected a name such as sales.houses, each part quoted "
                "where it holds dots or spaces, or a query that begins with SELECT"
            )
        names = [next(filter(None, m)) for m in re.findall(part, table.strip())]
        return ".".join(self.name(n.replace(self.quote * 2, self.quote)) for n in names)


_STANDARD = Dialect('"', '"', "DOUBLE PRECISION", "TEXT")
DIALECTS = {
    "postgresql": _STANDARD,
    "duckdb": _STANDARD,
    "snowflake": _STANDARD,
    "bigquery": Dialect("`", "\\", "FLOAT64", "STRING"),
    "spark": Dialect("`", "`", "DOUBLE", "STRING"),
}


def statement(layout: SqlLayout, table: str, dialect: str = "postgresql") -> str:
    """The statement that sums a table as a layout says.

    Parameters
    ----------
    layout : SqlLayout
    table : str
        Its name, or a query.
    dialect : str
        One of ``DIALECTS``.

    Raises
    ------
    OptionError
        If the table or the dialect cannot be.

    Examples
    --------
    >>> layout = SqlLayout("houses", ("price",), ("area",))
    >>> print(statement(layout, "houses").splitlines()[0])
    WITH about AS (
    """
    if dialect not in DIALECTS:
        raise OptionError(f"the dialect is {dialect!r}; expected {', '.join(DIALECTS)}")
    return _Writer(layout, DIALECTS[dialect]).statement(table)


_RANGE = (("MIN", "lo"), ("MAX", "hi"))


class _Writer:
    def __init__(self, layout: SqlLayout, dialect: Dialect) -> None:
        self.layout, self.dialect = layout, dialect
        self.values = range(1, len(layout.values) + 1)
        self.categories = range(1, len(layout.categories) + 1)
        first = len(layout.numbers) + 1
        self._infinite = dialect.number("'inf'")
        self.kept = " AND ".join(f"x{i} IS NOT NULL" for i in self.values if i >= first)
        if layout.weight:
            self.kept += " AND w > 0"

    def statement(self, table: str) -> str:
        rows = self._rows(table)
        parts = [self._products(rows, k, block) for k, block in enumerate(self.layout.blocks)]
        if self.categories:
            parts.append(self._levels(rows))
        about = f"WITH about AS (\nSELECT {_listed(self._about())}\nFROM {rows}\n)\n"
        return about + "\nUNION ALL\n".join(parts) + ";"

    def _rows(self, table: str) -> str:
        """The table with its columns as numbers and texts; NaN is missing, infinity stays."""
        d, columns = self.dialect, []
        for i, name in enumerate(self.layout.values, 1):
            columns.append(self._not_nan(name, f"x{i}"))
        for j, name in enumerate(self.layout.categories, 1):
            columns.append(f"CAST({d.name(name)} AS {d.text}) AS c{j}")
        if self.layout.weight:
            columns.append(self._not_nan(self.layout.weight, "w"))
        return f"(SELECT {_listed(columns)}\n  FROM {d.table(table)} AS every_row) AS row_values"

    def _not_nan(self, name: str, alias: str) -> str:
        # NaN lies above infinity, or compares with nothing: either way it is not at most infinite.
        value = self.dialect.number(self.dialect.name(name))
        return f"CASE WHEN {value} <= {self._infinite} THEN {value} END AS {alias}"

    def _about(self) -> Iterable[str]:
        """Means and counts, over all rows."""
        target = self.kept.removesuffix(" AND w > 0")
        yield "COUNT(*) AS n_read"
        yield f"SUM(CASE WHEN {target} THEN 0 ELSE 1 END) AS n_missing_target"
        if self.layout.weight:
            bad = f"{target} AND (w IS NULL OR w < 0 OR w = {self._infinite})"
            yield f"SUM(CASE WHEN {target} AND w = 0 THEN 1 ELSE 0 END) AS n_zero_weight"
            yield f"SUM(CASE WHEN {bad} THEN 1 ELSE 0 END) AS n_bad_weight"
        for i in self.values:
            mean = f"AVG(CASE WHEN {self.kept} THEN x{i} END)"
            if self.layout.weight:
                there = f"CASE WHEN {self.kept} AND x{i} IS NOT NULL THEN"
                mean = f"SUM({there} w * x{i} END) / SUM({there} w END)"
            yield f"COALESCE({mean}, {self._one(0)}) AS a{i}"
        for j in self.categories:
            yield f"COUNT(DISTINCT CASE WHEN {self.kept} THEN c{j} END) AS d{j}"

    def _terms(self, rows: str) -> str:
        """The rows that count, about the means."""
        found = ["n_read", "n_missing_target"]
        if self.layout.weight:
            found += ["n_zero_weight", "n_bad_weight", "w"]
        for i in self.values:
            found += [f"x{i}", f"a{i}", f"COALESCE(x{i} - a{i}, {self._one(0)}) AS v{i}"]
        for i, _ in enumerate(self.layout.numbers, 1):
            found.append(
                f"CASE WHEN x{i} IS NULL THEN {self._one(1)} ELSE {self._one(0)} END AS m{i}"
            )
        for j in self.categories:
            # A text that is never NULL: in the result NULL says that this column is not grouped by.
            found.append(f"d{j}")
            found.append(
                f"CASE WHEN d{j} > {MAX_LEVELS} THEN '*' WHEN c{j} IS NULL THEN '-' "
                f"ELSE '=' || c{j} END AS k{j}"
            )
        inner = f"(SELECT {_listed(found)}\n  FROM {rows} CROSS JOIN about WHERE {self.kept})"
        if not self.layout.weight:
            return f"{inner} AS terms"
        weighted = [f"w * {t} AS u{t}" for t in self._summed()]
        return f"(SELECT terms.*, {_listed(weighted)}\n  FROM {inner} AS terms) AS weighted"

    def _summed(self) -> tuple[str, ...]:
        """All of whose sums are taken: of numbers that are never missing the flags as well, to see
        that they are not.
        """
        more = tuple(f"m{i}" for i, _ in enumerate(self.layout.numbers, 1))
        return (*(f"v{i}" for i in self.values), *more)

    def _products(self, rows: str, number: int, block: Sequence[Pair]) -> str:
        columns = [f"'{self.layout.told}' AS part", f"{number} AS block"]
        columns += [f"{self._null(self.dialect.text)} AS k{j}" for j in self.categories]
        columns += self._common()
        columns += [f"MIN(d{j}) AS d{j}" for j in self.categories]
        columns += ["MIN(n_read) AS n_read", "MIN(n_missing_target) AS n_missing_target"]
        if self.layout.weight:
            columns += [f"MIN({n}) AS {n}" for n in ("n_zero_weight", "n_bad_weight")]
        columns += [f"{f}(x{i}) AS {n}{i}" for i in self.values for f, n in _RANGE]
        columns += [f"SUM({self._u(a)} * {b}) AS p{i}" for i, (a, b) in enumerate(block)]
        columns += [f"{self._null()} AS p{i}" for i in range(len(block), self._width())]
        return f"SELECT {_listed(columns)}\nFROM {self._terms(rows)}"

    def _levels(self, rows: str) -> str:
        columns = [f"'{LEVELS}' AS part", "0 AS block"]
        columns += [f"k{j}" for j in self.categories]
        columns += self._common()
        columns += [f"{self._null('INT')} AS d{j}" for j in self.categories]
        columns += [f"{self._null('INT')} AS {n}" for n in ("n_read", "n_missing_target")]
        if self.layout.weight:
            columns += [f"{self._null('INT')} AS {n}" for n in ("n_zero_weight", "n_bad_weight")]
        columns += [f"{self._null()} AS {n}{i}" for i in self.values for _, n in _RANGE]
        columns += [f"{self._null()} AS p{i}" for i in range(self._width())]
        every = [f"k{j}" for j in self.categories]
        sets = [f"({k})" for k in every] + [f"({a}, {b})" for a, b in combinations(every, 2)]
        grouped = f"GROUP BY GROUPING SETS ({', '.join(sets)})"
        return f"SELECT {_listed(columns)}\nFROM {self._terms(rows)}\n{grouped}"

    def _common(self) -> list[str]:
        """What is summed over all rows and by levels alike; each says about which means."""
        weight = "SUM(w)" if self.layout.weight else self.dialect.number("COUNT(*)")
        columns = ["COUNT(*) AS n_rows", f"{weight} AS w"]
        columns += [f"MIN(a{i}) AS a{i}" for i in self.values]
        return columns + [f"SUM({self._u(t)}) AS s{t}" for t in self._summed()]

    def _width(self) -> int:
        return len(self.layout.blocks[0])

    def _u(self, term: str) -> str:
        return f"u{term}" if self.layout.weight else term

    def _one(self, value: int) -> str:
        return self.dialect.number(str(value))

    def _null(self, kind: str = "") -> str:
        return f"CAST(NULL AS {kind or self.dialect.double})"


def _listed(columns: Iterable[str]) -> str:
    return ",\n  ".join(columns)
