"""Train a linear model of terms with absorbed effects; see :mod:`halfsquare.fitting.absorbed`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from halfsquare.data.encoded_rows import EncodedRows
from halfsquare.data.encoder_decision import Recoding
from halfsquare.data.features import Feature, Levels, Plain
from halfsquare.errors import FitError, OptionError
from halfsquare.fitting.absorbed import (
    AbsorbedRows,
    AbsorbedScoring,
    absorbed_rows,
    counted,
    level_effects,
    level_weights_of,
)
from halfsquare.fitting.robust import covariance_warnings, described
from halfsquare.fitting.weighed import log_weight_of
from halfsquare.loss import Floats
from halfsquare.models.linear import Linear
from halfsquare.models.terms.absorbed import Absorbed
from halfsquare.models.terms.encoder import TermsEncoder
from halfsquare.moments import Moments
from halfsquare.parallel.base import Execution
from halfsquare.results.inference.covariance import Bread, covariance
from halfsquare.results.inference.errors import ErrorsOption
from halfsquare.results.trained import LinearFacts, Trained
from halfsquare.solvers.base import Reason, Termination
from halfsquare.solvers.triangular_least_squares import Triangle, triangle_of
from halfsquare.sums import r_squared


def train_absorbed(
    rows: EncodedRows,
    encoder: TermsEncoder,
    model: Linear,
    columns: Sequence[str],
    errors: ErrorsOption,
    seed: int,
    execution: Execution,
) -> tuple[Trained[LinearFacts], TermsEncoder]:
    """The trained model, and the encoder that adds the effects of a row up in a last column.

    Raises
    ------
    OptionError
        If the errors cannot be had where effects are absorbed.
    FitError
        If every row is a singleton, or effects cannot be told apart.
    """
    leverage = errors.kind in ("hc2", "hc3")
    if errors.kind == "newey-west" or (leverage and len(columns) > 1):
        why = (
            "the leverage of two effects needs the inverse of their whole table"
            if leverage
            else "the rows between those of one level are of others"
        )
        raise OptionError(
            f"errors {errors} are not known where {len(columns)} effects are absorbed: {why}. Take "
            "hc1, or cluster:COL"
        )
    plain = replace(model, intercept=False)
    left = absorbed_rows(rows, plain, columns, seed, execution)
    identity = replace(plain, target_function="identity")
    triangle = triangle_of(left, identity, execution, intercept=False)
    n, d = triangle.weight, len(encoder.names)
    if not n > 0:
        raise FitError(
            "every row is alone in a level of an absorbed effect: nothing is left to fit"
        )
    if not np.isfinite(triangle.r).all():
        raise FitError(f"{model.target_function}({model.targets[0]}) is not finite in some rows")
    gone = triangle.dependent(np.full(d, np.sqrt(n)))
    kept = [j for j in range(d) if j not in gone]
    triangle = triangle.of_columns(kept)
    b = triangle.coefficients
    clusters = left.scoring.with_clusters(errors.columns, execution)
    count = counted(left, clusters, execution)
    freedom = n - len(b) - count.freedom
    bread = Bread(
        triangle.inverse,
        n,
        len(b) + count.freedom,
        triangle.sse,
        len(b) + count.freedom_in_clusters,
    )
    known = freedom > 1e-9
    of_levels = level_weights_of(left, execution)[0] if leverage else None
    scoring = AbsorbedScoring(left, tuple(kept), b, clusters, of_levels)
    found = covariance(errors, bread, scoring, left.chunk_count, execution) if known else None
    whole = np.zeros(d)
    whole[kept] = b
    effects = level_effects(left, whole, execution)
    encoder = _with_effects(rows, encoder.without(gone), left, effects, columns)
    total = float(_squares(left, execution).m2[0])
    noise = np.array([triangle.sse / freedom if known else np.nan])
    singletons = rows.row_count - triangle.rows
    facts = LinearFacts(
        l2=0.0,
        rank=len(b) + 1,
        path="qr",
        reciprocal_condition=triangle.reciprocal_condition,
        degrees_of_freedom=freedom,
        absorbed=dict(zip(columns, count.levels, strict=True)),
        absorbed_degrees_of_freedom=count.freedom,
        singletons=singletons,
        overall_r2=r_squared(triangle.sse, total) if total > 0 else None,
        log_weight=log_weight_of(left, rows.weighed),
    )
    if found is not None:
        told = {} if errors.kind == "classical" else described(errors, found)
        facts = replace(facts, test_degrees_of_freedom=found.freedom, **told)
    trained = Trained(
        replace(plain, names=encoder.names, held=1),
        np.concatenate([[0.0], b, [1.0]]),
        _padded(noise[0] * triangle.inverse) if known else None,
        noise,
        float(len(b) + count.freedom),
        Termination(Reason.SOLVED, "qr"),
        facts,
        (*_warnings(encoder, singletons), *covariance_warnings(errors, found)),
        robust=None if found is None or errors.kind == "classical" else _padded(found.matrix),
        triangle=_padded_triangle(triangle),
    )
    return trained, encoder


def _warnings(encoder: TermsEncoder, singletons: int) -> list[str]:
    found = []
    if encoder.aliased:
        verb = "is" if len(encoder.aliased) == 1 else "are"
        shown = ", ".join(map(repr, encoder.aliased[:10]))
        found.append(
            f"{shown} {verb} determined by the absorbed effects and the columns before: no "
            "coefficient is given"
        )
    if singletons:
        rows = "row is" if singletons == 1 else "rows are"
        found.append(
            f"{singletons:,} {rows} alone in a level of an absorbed effect, and left out of the fit"
        )
    return found


def _padded(matrix: Floats) -> Floats:
    """With places for the intercept that there is not, and for the held coefficient."""
    return np.pad(matrix, 1)


def _padded_triangle(triangle: Triangle) -> Floats:
    r = np.pad(triangle.r, ((1, 1), (1, 1)))
    r[:, -1], r[:, -2] = r[:, -2].copy(), 0.0
    r[-1], r[-2] = r[-2].copy(), 0.0
    return r


def _squares(rows: AbsorbedRows, execution: Execution) -> Moments:
    """Of the target over the rows of the fit."""

    def of(index: int) -> Moments:
        part = rows.grouped(index)
        return Moments.of(part.values[:, -1:], part.weight)

    return execution.reduce(of, Moments.merge, rows.chunk_count, Moments.zero(1))


def _with_effects(
    rows: EncodedRows,
    encoder: TermsEncoder,
    left: AbsorbedRows,
    effects: Sequence[Floats],
    columns: Sequence[str],
) -> TermsEncoder:
    scanned, features = rows.scanned, list(encoder.features)
    absorbed = []
    statistics = scanned.train.merge(scanned.test)
    for name, position, values, effect in zip(
        columns, left.scoring.positions, left.scoring.values, effects, strict=True
    ):
        made: Feature
        if values is None:
            levels, weights = scanned.levels[name], statistics.levels[position][2:]
            present = sorted(
                (c for c in range(len(weights)) if weights[c] > 0), key=lambda c: levels[c]
            )
            texts = tuple(levels[c] for c in present)
            absorbed.append(Absorbed(name, True, texts, (), tuple(effect[present].tolist())))
            made = Levels(name, (0.0,), (1.0,), texts)
        else:
            low, high = float(values[0]), float(values[-1])
            absorbed.append(
                Absorbed(name, False, (), tuple(values.tolist()), tuple(effect.tolist()))
            )
            base = scanned.roles.scanned[position].base
            made = Plain(name, (0.0,), (1.0,), low, high, base)
        features.append(made)
    return replace(encoder, features=tuple(features), absorbed=tuple(absorbed))


def rows_with_effects(rows: EncodedRows, encoder: TermsEncoder) -> EncodedRows:
    """The rows of a scan as an encoder with absorbed effects reads them."""
    roles = rows.scanned.roles
    beside = [c.name for c in roles.beside]
    positions, tables = list(rows.kept), dict(rows.recoding.tables)
    for effects in encoder.absorbed:
        if effects.is_text:
            place = {level: float(i) for i, level in enumerate(effects.levels)}
            levels = rows.scanned.levels[effects.column]
            codes = [place.get(level, -2.0) for level in levels]
            tables[len(positions)] = np.array([-2.0, -1.0, *codes])
        positions.append(roles.beside_at.start + beside.index(effects.column))
    return replace(rows, encoder=encoder, recoding=Recoding(tables), kept=tuple(positions))
