"""``fit_sums``: a linear model from exact sums, merged and taken apart, without a row."""

from __future__ import annotations

import glob
from collections.abc import Sequence
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import numpy as np

from halfsquare.data.encoder import Encoder
from halfsquare.errors import DataError, FitError, OptionError
from halfsquare.exact.design import design_sums, encoder_of
from halfsquare.exact.gram import ExactGram
from halfsquare.exact.least_squares import train_exactly
from halfsquare.exact.normal_equations import ExactSystem
from halfsquare.exact.table_sums import TableSums, load_sums
from halfsquare.fitting.options import FitOptions, options_as_json
from halfsquare.loss import Floats
from halfsquare.results.fitted import FittedModel
from halfsquare.results.record import (
    DataSummary,
    FitRecord,
    Measurement,
    SourceSummary,
    Training,
    error_of_sums,
)
from halfsquare.results.trained import LinearFacts, Trained
from halfsquare.sums import ErrorSummary

# Below this reciprocal condition the coefficients hang on the last of the sixteen digits of the
# data.
_FEW_DIGITS = 1e-10


def fit_sums(
    sums: TableSums | str | Path | Sequence[TableSums | str | Path],
    *,
    subtract: TableSums | str | Path | Sequence[TableSums | str | Path] = (),
    l2: float | Literal["auto"] = 0.0,
    features: Sequence[str] | None = None,
    exclude: Sequence[str] = (),
    refit: bool = True,
) -> FittedModel:
    """Fit a linear model to exact sums: merged, other sums taken away, no row read.

    Parameters
    ----------
    sums, subtract : TableSums, paths of files of sums, or patterns such as ``"part*.sums"``; one or
    several l2, features, exclude, refit
        As of :func:`halfsquare.fit`.

    Returns
    -------
    FittedModel
        The same bits in whatever parts and order the sums were computed. The standard error of the
        MSE and the counts of outputs too high and too low are not known from sums: None.

    Raises
    ------
    ModelFileError, DataError
        If a file holds no sums, or sums do not belong together.
    OptionError
        If no file matches, or a named column is not in the sums.
    FitError
        If the rows allow no fit.
    """
    merged = _merged(_gathered(sums))
    taken = _gathered(subtract)
    if taken:
        merged = merged.subtract(_merged(taken))
    merged = _chosen(merged, features, exclude)
    encoder, member = _trained(merged, "train", l2)
    measured = Measurement(_summary(merged, merged.train, encoder, member))
    again = refit and merged.test.rows > 0
    if merged.test.rows:
        test = _summary(merged, merged.test, encoder, member)
        measured = replace(measured, test=test, test_source="rows set apart")
    if again:
        encoder, member = _trained(merged, "all", l2)
    warnings = (*member.warnings, *merged.doubts, *_thin(member.facts, bool(taken)))
    record = FitRecord(
        Training("linear", "exact sums", warnings),
        _data_summary(merged),
        measured,
        options_as_json(_options(merged, l2, refit)),
        version("halfsquare"),
        again,
    )
    return FittedModel(encoder, (member,), record)


def _gathered(given: TableSums | str | Path | Sequence[TableSums | str | Path]) -> list[TableSums]:
    """Sums read from whatever names them; a file stands once, however often it is named."""
    items = [given] if isinstance(given, (TableSums, str, Path)) else list(given)
    found: list[TableSums] = []
    paths: list[str] = []
    for item in items:
        if isinstance(item, TableSums):
            found.append(item)
            continue
        matches = [str(item)]
        if not Path(item).exists():
            matches = sorted(glob.glob(str(item), recursive=True))  # noqa: PTH207 - may be absolute
        if not matches:
            raise DataError(f"no file matches {item}")
        paths += [m for m in matches if m not in paths]
    return found + [load_sums(path) for path in paths]


def _merged(parts: list[TableSums]) -> TableSums:
    if not parts:
        raise OptionError("no sums to fit: name a file of sums")
    total = parts[0]
    for part in parts[1:]:
        total = total.merge(part)
    return total


def _chosen(sums: TableSums, features: Sequence[str] | None, exclude: Sequence[str]) -> TableSums:
    """The sums without columns that are not wanted."""
    names = [c.name for c in sums.columns]
    for name in [*(features or ()), *exclude]:
        if name not in names:
            raise DataError(
                f"the sums have no column {name!r}. Their columns: {', '.join(names[:20])}"
            )
    kept = [
        c
        for c in sums.columns
        if c.name not in exclude and (features is None or c.name in features)
    ]
    if len(kept) == len(names):
        return sums
    excluded = dict.fromkeys((n for n in names if n in exclude), "excluded")
    return replace(sums.placed(kept), left_out={**sums.left_out, **excluded})


def _trained(
    sums: TableSums, part: Literal["train", "all"], l2: Any
) -> tuple[Encoder, Trained[LinearFacts]]:
    """Train on a part of the sums; the model is in the encoder's units."""
    gram = sums.train if part == "train" else sums.all
    if not gram.rows:
        raise FitError(f"{sums.name} leaves no row to train on")
    ranges = [s.train for s in sums.sources] + (
        [s.test for s in sums.sources] if part == "all" else []
    )
    encoder = encoder_of(sums, gram, ranges)
    k = len(encoder.targets)
    system = ExactSystem.of(gram.rows, *design_sums(encoder, sums, gram), k)
    trained = train_exactly(system, encoder.names, encoder.targets, l2=l2)
    units = encoder.target_scales
    every = np.tile(units, len(trained.parameters) // k)
    member = replace(
        trained,
        parameters=trained.parameters / every,
        covariance=None
        if trained.covariance is None
        else trained.covariance / np.outer(every, every),
        noise=trained.noise / units**2,
    )
    return encoder, member


def _summary(
    sums: TableSums, gram: ExactGram, encoder: Encoder, member: Trained[Any]
) -> ErrorSummary:
    """The errors of a model over the rows of a Gram matrix."""
    k = len(encoder.targets)
    system = ExactSystem.of(gram.rows, *design_sums(encoder, sums, gram), k)
    coefficients: Floats = member.parameters.reshape(-1, k) * encoder.target_scales
    return error_of_sums(
        gram.rows,
        system.weight,
        k,
        # Of sums that a database has rounded, what is left of a perfect fit may be less than 0.
        max(float(system.sse(coefficients).sum()), 0.0),
        float(system.target_squares.sum()),
        float(system.error_total(coefficients).sum()) / (k * system.weight),
    )


def _thin(facts: LinearFacts, taken: bool) -> list[str]:
    """A warning where rows were taken away and what is left hardly tells the columns apart."""
    reciprocal = facts.reciprocal_condition
    if not taken or reciprocal >= _FEW_DIGITS:
        return []
    digits = max(0, round(16 + np.log10(max(reciprocal, 1e-300)) / 2))
    return [
        "the rows that are left hardly tell the columns apart (condition number "
        f"{max(reciprocal, 1e-300) ** -0.5:.1g}): "
        "taking rows away lost no digit, but the data's own sixteen determine about "
        f"{digits} of the coefficients'"
    ]


def _options(sums: TableSums, l2: Any, refit: bool) -> FitOptions:
    fractions, seeds = {s.test_fraction for s in sums.sources}, {s.seed for s in sums.sources}
    return FitOptions(
        model="linear",
        l2=l2,
        test_fraction=fractions.pop() if len(fractions) == 1 else 0.0,
        refit=refit,
        seed=seeds.pop() if len(seeds) == 1 else 0,
    )


def _data_summary(sums: TableSums) -> DataSummary:
    return DataSummary(
        f"sums of {sums.name}",
        tuple(sums.targets),
        sums.weight,
        sums.counts.read,
        sums.counts.missing_target,
        0,
        sums.counts.zero_weight,
        tuple(SourceSummary(s.name, s.rows, s.digest) for s in sums.sources),
    )
