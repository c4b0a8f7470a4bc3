"""What can be said of how rows are read: one table of options, for the command line and the
page.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from halfsquare.errors import OptionError


@dataclass(frozen=True)
class ReadingOption:
    """An option; its name is that of the field of :class:`halfsquare.data.spec.DataSpec`.

    Attributes
    ----------
    name : str
    kind : {"text", "list", "count", "flag", "switch"}
        Of its value: a text, names with commas between them, a whole number, true if it is given,
        or true or false.
    help : str
    metavar : str
        What stands for the value.
    decides : bool
        Whether it says what a column is, which a model keeps: then no other command has it.
    of_one_file : bool
        Whether it can be said of a file that is handed over by itself.
    """

    name: str
    kind: Literal["text", "list", "count", "flag", "switch"]
    help: str
    metavar: str = ""
    decides: bool = False
    of_one_file: bool = True

    def read(self, text: str) -> Any:
        """The value that is written as a text; None for nothing.

        Raises
        ------
        OptionError

        Examples
        --------
        >>> options = {o.name: o for o in OPTIONS}
        >>> options["missing"].read("-999, n.a."), options["skip"].read("2")
        (['-999', 'n.a.'], 2)
        >>> options["thousands"].read(" "), options["dates"].read("")
        (' ', None)
        """
        bare = text.strip()
        if self.kind == "list":
            return listed([text]) or None
        if not bare:
            return text or None  # a space may be a thousands mark
        if self.kind == "text":
            return bare
        if self.kind == "count":
            if not (bare.isascii() and bare.isdigit() and len(bare) < 10):
                raise OptionError(f"{self.name} is {bare[:40]!r}; expected a whole number from 0")
            return int(bare)
        if bare not in ("yes", "no"):
            raise OptionError(f"{self.name} is {bare[:40]!r}; expected yes or no")
        return bare == "yes"


OPTIONS = (
    ReadingOption("number", "list", "Numbers; what is none is missing.", "COLS", decides=True),
    ReadingOption("category", "list", "Levels, even if they are numbers.", "COLS", decides=True),
    ReadingOption("text", "list", "Texts, even if they look like dates.", "COLS", decides=True),
    ReadingOption("table", "text", "Table of a database file.", "NAME", of_one_file=False),
    ReadingOption("sheet", "text", "Sheet of a spreadsheet.", "NAME"),
    ReadingOption(
        "partitions", "flag", "Folder names such as x=5 are values of columns.", of_one_file=False
    ),
    ReadingOption(
        "encoding", "text", "Encoding of a text file that is not UTF-8, such as latin-1.", "NAME"
    ),
    ReadingOption("delimiter", "text", "Between fields; found if left out.", "CHAR"),
    ReadingOption("header", "switch", "Whether the first line names the columns."),
    ReadingOption("skip", "count", "Lines before the header.", "N"),
    ReadingOption("comment", "text", "Lines that begin with it are passed over.", "CHAR"),
    ReadingOption("missing", "list", "More words for no value.", "WORDS"),
    ReadingOption("dates", "text", "How dates are written.", "dmy|mdy|ymd|FORMAT"),
    ReadingOption("decimal", "text", "Decimal mark of numbers that are text.", "CHAR"),
    ReadingOption("thousands", "text", "Their thousands mark.", "CHAR"),
)


def listed(values: Any) -> list[str]:
    """Names given by repeating an option or with commas between them."""
    return [name.strip() for value in values or () for name in value.split(",") if name.strip()]


def options_in(fields: Mapping[str, str]) -> dict[str, Any]:
    """The options of one file that are filled in, of a form's fields.

    Raises
    ------
    OptionError
        If a value cannot be read; the option is named.
    """
    found = {o.name: o.read(fields.get(o.name, "")) for o in OPTIONS if o.of_one_file}
    return {name: value for name, value in found.items() if value is not None}
