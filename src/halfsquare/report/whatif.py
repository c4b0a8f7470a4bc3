"""The part of a report that predicts by itself: the form of a row, a model, what computes it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from halfsquare.errors import OptionError
from halfsquare.report.fields import Field, fields_of
from halfsquare.report.portable import portable
from halfsquare.results.fitted import FittedModel

LIMIT = 1_000_000  # bytes of the whole page
_SCRIPTS = ("predictor.js", "whatif.js")


@dataclass(frozen=True)
class WhatIf:
    """What the page needs to predict.

    Attributes
    ----------
    target : str
    fields : list of Field
        The form of one row, holding a typical one.
    island : str
        The model, as data inside the page.
    scripts : tuple of str
    members : int
        Of the model.
    """

    target: str
    fields: list[Field]
    island: str
    scripts: tuple[str, ...]
    members: int

    @classmethod
    def of(cls, fitted: FittedModel) -> WhatIf:
        """Of a fitted model.

        Raises
        ------
        OptionError
            If it is of a kind that the page cannot compute.
        """
        from halfsquare.figures.save import data_island

        model: dict[str, Any] = portable(fitted)
        fields = fields_of(fitted.encoder, {})
        scripts = tuple(_script(name) for name in _SCRIPTS)
        island = data_island("model", model)
        return cls(fitted.encoder.targets[0], fields, island, scripts, len(fitted.members))

    @property
    def policy(self) -> str:
        """The scripts that the page may run, and no other."""
        from halfsquare.figures.save import digest

        return "; script-src " + " ".join(f"'sha256-{digest(one)}'" for one in self.scripts)

    def require_small(self, page: str) -> None:
        """Refuse a page that is too large to be handed round.

        Raises
        ------
        OptionError
        """
        size, own = len(page.encode()), len(self.island)
        if size > LIMIT:
            raise OptionError(
                f"the page would have {size / 1000:,.0f} kB, {own / 1000:,.0f} kB of them the "
                f"model of {self.members} members with all their covariances; at most "
                f"{LIMIT // 1000:,} kB are allowed. Leave out --interactive, or fit a smaller "
                "model: --model linear or --model trees, or NetworkRegressor(members=4, "
                "hidden=(5,))"
            )


@cache
def _script(name: str) -> str:
    text = files("halfsquare.report").joinpath("static", name).read_text(encoding="utf-8")
    return text.replace("</script", "<\\/script")
