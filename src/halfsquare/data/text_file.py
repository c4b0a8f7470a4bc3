"""Text files as DuckDB reads them: laid out as found, with types that do not change half-way."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby

from halfsquare.data.columns import NO_VALUE, Reading
from halfsquare.data.dialect import Dialect, Wanted, examine
from halfsquare.data.footer import footer_of, holds_values, without
from halfsquare.data.spool import PACKED, Spool, copied, inner_name, rewritten_copy, translated_copy
from halfsquare.data.sql import quote_text
from halfsquare.data.text_types import found_types, known_types

_FIRSTS = 2048  # values of a column that are kept
_NATIVE = (".gz", ".gzip")  # what DuckDB unpacks by itself


@dataclass(frozen=True)
class TextTable:
    """One or more text files as a table.

    Attributes
    ----------
    name : str
        What messages call it.
    parts : tuple of (Dialect, paths)
        Files of one layout together, in order.
    pattern : str or None
        A glob that stands for all the paths, where they have one layout and need no copies.
    types : dict of column to DuckDB's type
        VARCHAR is read as it stands, by :class:`halfsquare.data.columns.ColumnReading`.
    mark : str
        The decimal mark of those of its first numbers that leave no doubt.
    whole : frozenset of str
        Columns whose first values are whole numbers of at most three digits: 1.033 further down may
        be a thousand and thirty-three.
    comma : bool
        Whether the numbers have a decimal comma.
    bare : frozenset of str
        Columns whose first values have no decimal comma.
    words : tuple of str
        For "no value".
    shown : tuple of str
        Those of them that the first rows have, or the user named.
    held : tuple
        Temporary copies.
    alike : bool
        Whether every line is written alike, by :meth:`rewritten`.
    firsts : dict of column to its first values
    copies : dict of the path of a temporary copy to that of what it is a copy of
    footers : tuple of str
        What was passed over at the end of its files, in words.
    """

    name: str
    parts: tuple[tuple[Dialect, tuple[str, ...]], ...]
    pattern: str | None
    types: Mapping[str, str]
    comma: bool = False
    words: tuple[str, ...] = NO_VALUE
    shown: tuple[str, ...] = NO_VALUE
    held: tuple[Spool, ...] = field(default=(), repr=False)
    alike: bool = False
    footers: tuple[str, ...] = ()
    copies: Mapping[str, str] = field(default_factory=dict, repr=False)
    firsts: Mapping[str, Sequence[str]] = field(default_factory=dict, repr=False)
    whole: frozenset[str] = frozenset()
    mark: str = ""
    bare: frozenset[str] = frozenset()

    @property
    def dialect(self) -> Dialect:
        """That of the first file."""
        return self.parts[0][0]

    @property
    def names(self) -> tuple[str, ...]:
        """Of all columns, those of the first file first."""
        return tuple(dict.fromkeys(n for d, _ in self.parts for n in d.names))

    @property
    def fields(self) -> dict[str, str]:
        """What DuckDB is to call each column: it does not tell large letters from small ones."""
        found: dict[str, str] = {}
        taken: set[str] = set()
        for name in self.names:
            own, k = name, 1
            while own.lower() in taken:
                own, k = f"{name} ({k})", k + 1
            taken.add(own.lower())
            found[name] = own
        return found

    def label(self, path: str) -> str:
        """The file that a path or a copy is of."""
        return self.copies.get(path, path)

    @property
    def lines_before(self) -> int:
        """Before the first row of the first file."""
        dialect = self.parts[0][0]
        return dialect.skip + int(dialect.header)

    @property
    def relation(self) -> str:
        """SQL that reads it."""
        if self.pattern is not None:
            return self._read(self.dialect, quote_text(self.pattern))
        reads = []
        for dialect, paths in self.parts:
            listed = ", ".join(quote_text(escaped(p)) for p in paths)
            reads.append(self._read(dialect, f"[{listed}]" if len(paths) > 1 else listed))
        return reads[0] if len(reads) == 1 else (
            "(" + " UNION ALL BY NAME ".join(f"FROM {r}" for r in reads) + ")"
        )  # fmt: skip

    def _read(self, dialect: Dialect, paths: str) -> str:
        fields = self.fields
        columns = ", ".join(
            f"{quote_text(fields[n])}: {quote_text(self.types.get(n, 'VARCHAR'))}"
            for n in dialect.names
        )
        words = ", ".join(quote_text(w) for w in self.words)
        options = [
            "auto_detect=false",
            f"columns={{{columns}}}",
            f"delim={quote_text(dialect.delimiter)}",
            "quote='\"', escape='\"'",
            f"header={str(dialect.header).lower()}",
            f"skip={dialect.skip}",
            f"nullstr=[{words}]",
            "hive_partitioning=false",
            "dateformat='%Y-%m-%d'",
        ]
        options += ["decimal_separator=','"] if self.comma else []
        options += [f"comment={quote_text(dialect.comment)}"] if dialect.comment else []
        return f"read_csv({paths}, {', '.join(options)})"

    def as_text(self, columns: Iterable[str]) -> TextTable:
        """With these columns read as they stand."""
        return replace(self, types={**self.types, **dict.fromkeys(columns, "VARCHAR")})

    def without_footers(self) -> TextTable | None:
        """With what it reads packed cut before the footers, if it has any; of other files they are
        cut when they are opened.
        """
        held, parts, footers = list(self.held), [], []
        for dialect, paths in self.parts:
            values = holds_values(self.firsts.get(dialect.names[0], ()))
            own = []
            for path in paths:
                cut = None
                if path.lower().endswith(_NATIVE):
                    full = copied(path, path)  # gone when it is no longer named
                    cut = _cut(full.path, path, dialect, values=values)
                if cut is not None:
                    held.append(cut[0])
                    footers.append(cut[1])
                own.append(path if cut is None else cut[0].path)
            parts.append((dialect, tuple(own)))
        if not footers:
            return None
        return replace(
            self, parts=tuple(parts), pattern=None, held=tuple(held), footers=tuple(footers)
        )

    def rewritten(self) -> TextTable:
        """With every line written alike: for mixed line ends and bare quotes.

        Raises
        ------
        DataError
            If a line has another number of fields than the header.
        """
        held, parts = list(self.held), []
        for dialect, paths in self.parts:
            copies = []
            for path in paths:
                name = path if len(self.parts) + len(paths) > 2 else self.name
                held.append(
                    rewritten_copy(path, name, dialect.delimiter, dialect.skip, len(dialect.names))
                )
                copies.append(held[-1].path)
            parts.append((replace(dialect, skip=0), tuple(copies)))
        return replace(self, parts=tuple(parts), pattern=None, held=tuple(held), alike=True)


def escaped(path: str) -> str:
    """A path as a pattern that matches it alone."""
    return "".join(f"[{c}]" if c in "*?[" else c for c in path)


def _cut(path: str, name: str, dialect: Dialect, *, values: bool) -> tuple[Spool, str] | None:
    """A file without its footer, and what is told of it; None where it has none."""
    fields = len(dialect.names)
    footer = footer_of(path, dialect.delimiter, fields, values=values, comment=dialect.comment)
    if footer is None:
        return None
    return without(path, name, footer), f"{name}: {footer.told}"


def text_table(
    paths: Sequence[str],
    pattern: str | None,
    name: str,
    wanted: Wanted,
    words: Sequence[str] = (),
    reading: Reading | None = None,
    text: Sequence[str] = (),
) -> TextTable:
    """The table of some text files.

    Parameters
    ----------
    pattern : str or None
        A glob for all of them.
    words : sequence of str
        For "no value", besides the usual ones.
    reading : Reading or None
        That of a model, whose columns are read as they were; else types are found.
    text : sequence of str
        Columns to read as they stand.

    Raises
    ------
    DataError
        What is wrong with the layout of a file.
    """
    held: list[Spool] = []
    footers: list[str] = []
    copies: dict[str, str] = {}
    found: list[tuple[Dialect, str]] = []
    samples: dict[str, list[str]] = {}
    for path in paths:
        label = name if len(paths) == 1 else path
        suffix = "." + inner_name(path).lower().rpartition(".")[2]
        dialect, rows = examine(path, label, suffix, wanted)
        ready = path
        if dialect.encoding is not None:
            held.append(translated_copy(path, label, dialect.encoding))
            ready = held[-1].path
        elif path.lower().endswith(PACKED) and not path.lower().endswith(_NATIVE):
            held.append(copied(path, label))
            ready = held[-1].path
        if not ready.lower().endswith(_NATIVE):
            values = holds_values([row[0] for row in rows])
            cut = _cut(ready, label, dialect, values=values)
            if cut is not None:
                held.append(cut[0])
                ready = held[-1].path
                footers.append(cut[1])
        copies[ready] = path
        found.append((replace(dialect, encoding=None), ready))
        if len(found) <= 20:
            for j, column in enumerate(dialect.names):
                samples.setdefault(column, []).extend(row[j] for row in rows)
    parts = tuple(
        (next(iter(group))[0], tuple(p for d, p in found if d.layout == layout))
        for layout, group in groupby(found, key=lambda f: f[0].layout)
    )
    if len({p[0].layout for p in parts}) < len(parts):  # layouts take turns: each file by itself
        parts = tuple((d, (p,)) for d, p in found)
    every = tuple(dict.fromkeys((*NO_VALUE, *words)))
    there = set().union(*samples.values())
    shown = tuple(w for w in every if not w or w in words or w in there)
    if reading is None:
        kinds = found_types(samples, every, commas_divide=parts[0][0].delimiter == ",")
    else:
        kinds = known_types(samples, reading)
    types, whole = dict(kinds.types), kinds.whole
    types |= {n: "VARCHAR" for n in text if n in types}
    one = len(parts) == 1 and not held
    whole -= {n for n, kind in types.items() if kind != "DOUBLE"}
    one_pattern = pattern if one else None
    return TextTable(
        name,
        parts,
        one_pattern,
        types,
        kinds.comma,
        every,
        shown,
        tuple(held),
        footers=tuple(footers),
        copies=copies,
        firsts={n: v[:_FIRSTS] for n, v in samples.items()},
        whole=whole,
        mark=kinds.mark,
        bare=kinds.bare,
    )
