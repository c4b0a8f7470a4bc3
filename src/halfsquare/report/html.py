"""The report: one page that stands alone, without the network, and without a script unless it is
asked to predict by itself.
"""

from __future__ import annotations

import os
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from halfsquare.data.spec import DataSpec
from halfsquare.errors import OptionError
from halfsquare.files.atomic import atomic_write
from halfsquare.report.first_screen import typical_error
from halfsquare.results.fitted import FittedModel
from halfsquare.text import rows_sentence

if TYPE_CHECKING:
    from halfsquare.report.whatif import WhatIf

MISSING = "the report needs the extra 'page': pip install 'halfsquare[page]' ({} is not installed)"
_KINDS = {
    "linear": "Linear model",
    "network": "Network",
    "trees": "Trees",
    "formula": "Formula",
    "blend": "Blend",
}


def write_report(
    fitted: FittedModel, data: Any, path: str | os.PathLike[str], *, interactive: bool = False
) -> Path:
    """Write the report of a fitted model on rows (or a DataSpec of them); one pass over them.

    Parameters
    ----------
    interactive : bool
        Whether the page has sliders that predict without a server; see :mod:`.portable`.

    Raises
    ------
    OptionError
        If the extra ``page`` is not installed, or the page cannot predict as this model does in
        less than 1 MB.
    DataError
        If a column is missing or mistyped, or no row has a target.
    OutputError
        If the file cannot be written; what stood there before is then still there.
    """
    page = report_page(fitted, data, interactive=interactive)
    with atomic_write(Path(path)) as file:
        file.write(page.encode())
    return Path(path)


def report_page(
    fitted: FittedModel, data: Any, *, name: str | None = None, interactive: bool = False
) -> str:
    """The report as HTML; see :func:`write_report`. ``name`` is what people call the rows, where
    that is not their path.
    """
    require_extra()
    from halfsquare.report.whatif import WhatIf

    whatif = WhatIf.of(fitted) if interactive else None
    from halfsquare.report.collect import collect

    spec = DataSpec.of(data)
    collected = collect(fitted, spec)
    if name is not None:
        collected = replace(collected, source=name)
    from halfsquare.report.curve import fit_curve

    # A pipe can be read once, and that has been done.
    curve = None if spec.once else fit_curve(fitted, spec, fitted.encoder.targets[0])
    context = _context(fitted, collected, whatif)
    page: str = _template().render(**context, curve=curve, whatif=whatif)
    if whatif is not None:
        whatif.require_small(page)
    return page


def require_extra() -> None:
    """Refuse, before any work is done, to report without the packages it needs.

    Raises
    ------
    OptionError
    """
    try:
        import altair  # noqa: F401
        import jinja2  # noqa: F401

        from halfsquare.figures.engine import require_engine

        require_engine()
    except ModuleNotFoundError as problem:
        raise OptionError(MISSING.format(problem.name)) from None


@cache
def _template() -> Any:
    import jinja2

    from halfsquare.figures.page_text import environment

    loader = jinja2.PackageLoader("halfsquare.report", "templates")
    return environment(loader).get_template("report.html")


def _context(fitted: FittedModel, c: Any, whatif: WhatIf | None) -> dict[str, Any]:
    from halfsquare.figures.save import css_variables, digest, static_text
    from halfsquare.report import drawn, profiles
    from halfsquare.report.collect import FEATURES
    from halfsquare.report.dependence import dependences
    from halfsquare.report.diagnostics import diagnostics
    from halfsquare.report.learning import reason_against

    info, unit = fitted.info, fitted.encoder.targets[0]
    style = css_variables() + static_text("report.css")
    policy = f"default-src 'none'; style-src 'sha256-{digest(style)}'"
    context = {
        "policy": policy + ("" if whatif is None else whatif.policy),
        "style": style,
        "title": f"{_KINDS.get(fitted.kind, fitted.kind)} of "
        f"{' and '.join(fitted.encoder.targets)}",
        "formula": info.get("facts", {}).get("formula"),
        "lead": " ".join(typical_error(fitted)),
        "read": f"Fitted to {info.get('data', 'data')}: {rows_sentence(info)}.",
        "coverage": drawn.coverage(c, fitted),
        "warnings": [*info.get("reading", {}).get("suspicious", ()), *info.get("warnings", [])],
        "predicted": drawn.predicted(c, fitted, unit),
        "errors": drawn.error_histogram(c, unit),
        "by_output": profiles.by_output(c, unit),
        "by_feature": profiles.by_feature(c, unit),
        "effects": drawn.effects(fitted, unit),
        "learning": drawn.learning(c, unit),
        "no_learning": reason_against(fitted)
        or "Left out: there are too few rows to refit on parts of them.",
        "descent": drawn.descent(fitted),
        "dependence": dependences(fitted, c.sample, unit, FEATURES),
        "diagnostics": diagnostics(fitted, c.sample, unit),
        "drawn_from": _drawn_from(fitted, c, unit),
        "version": info.get("version", ""),
        "conventions": "An error is o − t, output less target: negative where the output is "
        "too low, positive where it is "
        "too high. MSE is the mean of its square, an estimate of the loss of a typical row; "
        "± is its standard error.",
    }
    from halfsquare.report.tables import tables

    context |= tables(fitted, c)
    names = [] if whatif is None else [("whatif", "What if")]
    names += [
        ("columns", "How it was read"),
        ("errors-section", "Errors"),
        ("predictions", "Predictions"),
        ("profile", "Where it errs"),
    ]
    names += [("parameters", "Parameters")] if context["effects"] or context["parameters"] else []
    names += [("dependence", "What columns do")] if context["dependence"] else []
    names += [("diagnostics", "Diagnostics")] if context["diagnostics"] else []
    names += [
        ("learning-section", "More data?"),
        ("descent", "Descent"),
        ("worst", "Worst rows"),
    ]
    return {**context, "sections": names}


def _drawn_from(fitted: FittedModel, c: Any, unit: str) -> str:
    missing = f" ({c.missing:,} that lack a value left out)" if c.missing else ""
    said = f"The figures show this model on the {c.summary.rows:,} rows of {c.source}{missing}."
    if c.source == fitted.info.get("data"):
        told = ": those on test rows, above, tell" if fitted.info.get("test") else ""
        said += (
            f" It was fitted to these rows, so errors on new rows will be a little larger{told}."
        )
    if len(fitted.encoder.targets) > 1:
        said += f" They are about {unit}, the first target."
    return said
