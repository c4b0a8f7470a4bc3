"""Which standard errors are wanted: ``classical``, ``hc0`` … ``hc3``, ``cluster:COL``,
``newey-west:L``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from halfsquare.errors import OptionError

HC = ("hc0", "hc1", "hc2", "hc3")
_EXPECTED = "expected classical, hc0, hc1, hc2, hc3, cluster:COL[,COL2] or newey-west:LAGS"


@dataclass(frozen=True)
class ErrorsOption:
    """A parsed choice of standard errors.

    Attributes
    ----------
    kind : str
        ``"classical"``, one of ``HC``, ``"cluster"`` or ``"newey-west"``.
    columns : tuple of str
        Of cluster: one or two columns.
    lags : int
        Of newey-west.
    """

    kind: str = "classical"
    columns: tuple[str, ...] = ()
    lags: int = 0

    @classmethod
    def read(cls, text: str | None) -> ErrorsOption:
        """From the text of the option.

        Raises
        ------
        OptionError
            If it is none of those that are known.

        Examples
        --------
        >>> ErrorsOption.read("cluster:firm,year").columns
        ('firm', 'year')
        """
        if text is None:
            return cls()
        if not isinstance(text, str):
            raise OptionError(f"errors is {text!r}; {_EXPECTED}")
        kind, colon, rest = text.strip().partition(":")
        kind = kind.strip().lower()
        if kind in ("classical", *HC) and not colon:
            return cls(kind)
        if kind == "cluster":
            columns = tuple(name.strip() for name in rest.split(",") if name.strip())
            if len(columns) not in (1, 2) or len(set(columns)) < len(columns):
                raise OptionError(
                    f"errors {text!r} names {len(columns)} columns; expected one, or two "
                    f"different ones: "
                    "cluster:firm or cluster:firm,year"
                )
            return cls(kind, columns)
        if kind in ("newey-west", "neweywest"):
            if not rest.strip().isdigit():
                raise OptionError(f"errors {text!r} has no number of lags; write newey-west:4")
            return cls("newey-west", (), int(rest))
        raise OptionError(f"unknown errors {text!r}; {_EXPECTED}")

    def __str__(self) -> str:
        if self.kind == "cluster":
            return f"cluster:{','.join(self.columns)}"
        return f"newey-west:{self.lags}" if self.kind == "newey-west" else self.kind

    def as_dict(self) -> dict[str, Any]:
        """JSON values."""
        return {"kind": self.kind, "columns": list(self.columns), "lags": self.lags}
