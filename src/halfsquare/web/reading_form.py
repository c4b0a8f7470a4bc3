"""The folded part of a form that says how a file is read: the options of the command line, by the
same names.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from halfsquare.data.reading_options import OPTIONS, ReadingOption

_OFFERED = tuple(o for o in OPTIONS if o.of_one_file)
_NAMES = "|".join(o.name for o in _OFFERED)
_FLAG = re.compile(rf"--(no-)?({_NAMES})\b")


@dataclass(frozen=True)
class ReadingField:
    """A field of the form: an option, and what stands in it."""

    option: ReadingOption
    value: str

    @property
    def label(self) -> str:
        """What people call it."""
        return self.option.name.capitalize()


def reading_fields(given: Mapping[str, str]) -> list[ReadingField]:
    """The fields, holding what was given."""
    return [ReadingField(option, given.get(option.name, "")) for option in _OFFERED]


def without_flags(message: str) -> str:
    """What is said to those who have a command line, to those who have a form.

    Examples
    --------
    >>> without_flags("--dates dmy reads it so, or say what it is: --no-header")
    '“Dates” dmy reads it so, or say what it is: “Header” no'
    """

    def label(found: re.Match[str]) -> str:
        name = f"“{found[2].capitalize()}”"
        return f"{name} no" if found[1] else f"{name} yes" if found[2] == "header" else name

    return _FLAG.sub(label, message)


def reading_in(options: Mapping[str, Any]) -> dict[str, Any]:
    """Those of the arguments of ``fit`` that say how a file is read."""
    return {o.name: options[o.name] for o in _OFFERED if o.name in options}
