"""``fit_sums``: a linear model from exact sums, merged and taken apart, without a row."""

from __future__ import annotations

import glob
from collections.abc import Sequence
from dataclasses import asdict, replace
from math import sqrt
from pathlib import Path
from typing import Any, Literal

import numpy as np

from halfsquare.data.encoder import Encoder
from halfsquare.errors import DataError, FitError, OptionError
from halfsquare.exact.design import design_sums, encoder_of
from halfsquare.exact.gram import ExactGram
from halfsquare.exact.least_squares import train_exactly
from halfsquare.exact.normal_equations import ExactSystem
from halfsquare.exact.sums_file import load_sums
from halfsquare.exact.table_sums import TableSums
from halfsquare.fitting.options import FitOptions
from halfsquare.loss import Floats, sse_factor
from halfsquare.results.fitted import FittedModel, Member

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
    encoder, member, info = _trained(merged, "train", l2)
    measured = {"train": _summary(merged, merged.train, encoder, member), "test": None}
    again = refit and merged.test.rows > 0
    if merged.test.rows:
        test = _summary(merged, merged.test, encoder, member)
        measured = {**measured, "test": test, "test_source": "rows set apart"}  # type: ignore[dict-item]
    if again:
        encoder, member, info = _trained(merged, "all", l2)
    info["warnings"] = [*info["warnings"], *merged.doubts, *_thin(info["facts"], bool(taken))]
    return FittedModel(
        encoder, (member,), {**info, **_described(merged, l2, refit), **measured, "refit": again}
    )


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
) -> tuple[Encoder, Member, dict[str, Any]]:
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
    member = Member(
        trained.model,
        trained.parameters / every,
        None if trained.covariance is None else trained.covariance / np.outer(every, every),
        trained.noise / units**2,
    )
    info = {
        "kind": "linear",
        "method": "exact sums",
        "reason": str(trained.termination),
        "converged": True,
        "effective_parameters": trained.effective_parameters,
        "facts": trained.facts,
        "warnings": trained.warnings,
        "history": [],
    }
    return encoder, member, info


def _summary(sums: TableSums, gram: ExactGram, encoder: Encoder, member: Member) -> dict[str, Any]:
    """The errors of a model over the rows of a Gram matrix, under the names of ErrorSummary."""
    k = len(encoder.targets)
    system = ExactSystem.of(gram.rows, *design_sums(encoder, sums, gram), k)
    coefficients: Floats = member.parameters.reshape(-1, k) * encoder.target_scales
    weight, sse = system.weight, float(system.sse(coefficients).sum())
    sst, mse = float(system.target_squares.sum()), sse_factor("mse", k, weight) * sse
    return {
        "rows": gram.rows,
        "weight": int(weight) if weight.is_integer() else weight,
        "sse": sse,
        "half_sse": sse_factor("half_sse", k, weight) * sse,
        "mse": mse,
        "mse_se": None,  # needs the fourth powers of the errors
        "rmse": sqrt(mse),
        "r2": 1.0 - sse / sst if sst > 0 else None,
        "too_high": None,
        "too_low": None,
        "mean_error": float(system.error_total(coefficients).sum()) / (k * weight),
    }


def _thin(facts: dict[str, Any], taken: bool) -> list[str]:
    """A warning where rows were taken away and what is left hardly tells the columns apart."""
    reciprocal = facts["reciprocal_condition"]
    if not taken or reciprocal >= _FEW_DIGITS:
        return []
    digits = max(0, round(16 + np.log10(max(reciprocal, 1e-300)) / 2))
    return [
        "the rows that are left hardly tell the columns apart (condition number "
        f"{max(reciprocal, 1e-300) ** -0.5:.1g}): "
        "taking rows away lost no digit, but the data's own sixteen determine about "
        f"{digits} of the coefficients'"
    ]


def _described(sums: TableSums, l2: Any, refit: bool) -> dict[str, Any]:
    from importlib.metadata import version

    fractions, seeds = {s.test_fraction for s in sums.sources}, {s.seed for s in sums.sources}
    fraction = fractions.pop() if len(fractions) == 1 else 0.0
    options = FitOptions(
        model="linear",
        l2=l2,
        test_fraction=fraction,
        refit=refit,
        seed=seeds.pop() if len(seeds) == 1 else 0,
    )
    return {
        "data": f"sums of {sums.name}",
        "target": list(sums.targets),
        "weights": sums.weight,
        "rows_read": sums.counts.read,
        "rows_missing_target": sums.counts.missing_target,
        "rows_missing_feature": 0,
        "rows_zero_weight": sums.counts.zero_weight,
        "options": {k: v for k, v in asdict(options).items() if k not in ("threads", "time_limit")},
        "sources": [{"name": s.name, "rows": s.rows, "digest": s.digest} for s in sums.sources],
        "version": version("halfsquare"),
    }
