"""A fitted model as plain arrays, for a page that predicts without a server.

What ``static/predictor.js`` does with them is what :meth:`FittedModel.predict` and
:meth:`FittedModel.interval` do: the features of a row, the outputs of the members, the variance
noise + J C Jᵀ + spread, what is added where a column has no rows, its calibration, and the way
back to the unit of the target.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from halfsquare.data.encoder import ColumnEncoder
from halfsquare.data.features import Category, Feature, Instant, Number, Plain, Presence
from halfsquare.data.levels import MISSING, UNSEEN
from halfsquare.data.novelty import absent_values
from halfsquare.errors import OptionError
from halfsquare.models.formula.model import Formula
from halfsquare.models.linear import Linear
from halfsquare.models.network import Network
from halfsquare.models.target import TARGET_FUNCTIONS
from halfsquare.models.trees import Trees
from halfsquare.report.packed import lower_triangle, packed, square_root
from halfsquare.results.fitted import FittedModel
from halfsquare.results.intervals import ends_of
from halfsquare.results.smearing import Smearing
from halfsquare.results.trained import Trained

LEVEL = 0.95
_EXACT = 40_000  # numbers of covariances that are written with all their digits
#: The operations of a formula that the page computes.
OPERATIONS = frozenset(
    {"+", "-", "*", "/", "negative", "square", "Power", "PowerLog", "sqrt", "reciprocal"}
    | {"exp", "log", "log1p", "expm1", "sin", "cos", "tan", "sinh", "cosh", "tanh", "atan2"}
    | {"asin", "acos", "atan", "asinh", "acosh", "atanh", "Minimum", "Maximum", "Chosen"}
    | {"Less", "LessEqual", "Greater", "GreaterEqual", "Equal", "Unequal", "Absolute", "Sign"}
)
_WRITTEN = {"Gather": "a[group]"}  # as a formula has what its operation is called
_INSTEAD = "; leave out --interactive for the report without sliders"


def portable(fitted: FittedModel) -> dict[str, Any]:
    """The model as JSON values.

    Raises
    ------
    OptionError
        If it is of a kind that the page cannot compute.
    """
    encoder, record = fitted.encoder, fitted.record
    if len(encoder.targets) > 1:
        raise OptionError(
            f"the model has {len(encoder.targets)} targets, and sliders are for one: fit one of "
            f"them alone{_INSTEAD}"
        )
    if not isinstance(encoder, ColumnEncoder):
        raise OptionError(
            "the model is of terms (--model linear with --formula), which sliders cannot "
            f"compute{_INSTEAD}"
        )
    model = fitted.members[0].model
    smearing, transform = record.training.smearing, encoder.target_transform
    if transform is not None and smearing is None:
        smearing = Smearing.normal()
    calibration = fitted.calibrations[0]
    by = None if calibration is None else calibration.by
    # Of a row whose level is not known, and of one of each level.
    rows = np.zeros((1, len(encoder.names))) if by is None else by.examples(len(encoder.names))
    reaches = [fitted.reaches_of(rows, p)[:, 0] for p in ends_of(LEVEL)]
    directions = getattr(fitted.facts, "undetermined_directions", ())
    numbers = sum(0 if m.told is None else len(m.told) * (len(m.told) + 1) // 2
                  for m in fitted.members)  # fmt: skip
    kind = "f8" if numbers <= _EXACT else "f6"
    return {
        "target": encoder.targets[0],
        "features": [_feature(encoder, j) for j in range(len(encoder.features))],
        "members": [_member(member, kind) for member in fitted.members],
        "noise": _number(fitted.noise[0]),
        "reaches": [_number(whole) for whole, *_ in reaches],
        "calibration": None if calibration is None else {
            "factor": calibration.factor,
            "intercept": calibration.intercept,
            "ramps": [vars(ramp) for ramp in calibration.ramps],
            "by": None if by is None else {
                "start": by.start, "stop": by.stop,
                "factors": [one.factor if one.known else calibration.factor for one in by.levels],
                "reaches": [[_number(end) for end in ends]
                            for ends in zip(*(own for _, *own in reaches), strict=True)],
            },
        },
        "mean": float(encoder.target_means[0] + encoder.target_offsets[0]),
        "scale": float(encoder.target_scales[0]),
        "transform": None if transform is None else vars(transform),
        "restore": None if model.target_function == "identity"
        else TARGET_FUNCTIONS[model.target_function],
        "smearing": None if smearing is None else vars(smearing),
        "stretches": [
            {"column": one.column, "low": one.low, "high": one.high, "starts": list(one.starts),
             "ends": list(one.ends), "rate": one.rates[0]}
            for one in record.training.stretches
        ],
        "directions": [list(one) for one in directions],
    }  # fmt: skip


def _number(value: float) -> float | None:
    """JSON knows no NaN."""
    return float(value) if np.isfinite(value) else None


def _feature(encoder: ColumnEncoder, j: int) -> dict[str, Any]:
    feature = encoder.features[j]
    _, start, stop = encoder.groups[j]
    # Of a column that became two features, the later one's columns are moved.
    moved = {column: [first, last] for column, first, last in encoder.groups}
    found: dict[str, Any] = {
        "kind": type(feature).__name__.lower(),
        "column": feature.column,
        "start": start,
        "stop": stop,
        "moved": moved[feature.column],
        "means": list(feature.means),
        "scales": list(feature.scales),
        "absent": [_absent(feature, value) for value in (np.nan, MISSING, UNSEEN)],
    }
    if isinstance(feature, (Number, Instant)):
        found["indicator"] = feature.indicator
    if isinstance(feature, (Number, Plain)):
        found |= {"low": _number(feature.minimum), "high": _number(feature.maximum)}
    if isinstance(feature, Presence):
        found["text"] = feature.text
    if isinstance(feature, Category):
        kept = {"kept": len(feature.levels), "other": feature.other, "missing": feature.missing}
        found |= kept
    if isinstance(feature, Instant):
        found["parts"] = list(feature.parts)
    return found


def _absent(feature: Feature, value: float) -> bool:
    return absent_values([feature], np.array([[value]])) is not None


def _member(member: Trained[Any], kind: str) -> dict[str, Any]:
    model = member.model
    found: dict[str, Any] = {
        "parameters": packed(member.parameters),
        "noise": _number(member.noise[0]),
        "share": member.share,
        "root": _root(member, kind),
    }
    if isinstance(model, Linear):
        return {**found, "kind": "linear"}
    if isinstance(model, Network):
        sizes = [model.inputs, *model.hidden, model.targets]
        return {**found, "kind": "network", "sizes": sizes, "activation": model.activation}
    if isinstance(model, Formula):
        return {**found, "kind": "formula", **_program(model)}
    assert isinstance(model, Trees)
    return {**found, "kind": "trees", **_trees(model)}


def _root(member: Trained[Any], kind: str) -> dict[str, Any] | None:
    """R with R Rᵀ the covariance of the last parameters; a triangle where there is one."""
    covariance = member.told
    if covariance is None:
        return None
    root = member.root if member.robust is None else None
    if root is None:
        triangle = lower_triangle(covariance)
        if triangle is not None:
            return {"size": len(covariance), "triangle": True, "values": packed(triangle, kind)}
        root = square_root(covariance)
    values = packed(root.reshape(-1), kind)
    return {"size": len(covariance), "triangle": False, "values": values}


def _program(model: Formula) -> dict[str, Any]:
    """The output and its derivatives as calls on a table of values."""
    program = model.program(tuple(range(len(model.names))))
    steps = [*program.scalar_steps, *program.array_steps]
    unknown = sorted({step.operation for step in steps} - OPERATIONS)
    if unknown:
        told = ", ".join(_WRITTEN.get(name, name) for name in unknown)
        raise OptionError(f"the formula uses {told}, which sliders cannot compute{_INSTEAD}")
    return {
        "fixed": [value for _, value in model.fixed],
        "sources": [[kind, value] for kind, value in program.sources],
        "steps": [[step.operation, list(step.operands), step.place] for step in steps],
        "results": list(program.results),
    }


def _trees(model: Trees) -> dict[str, Any]:
    """Nodes and leaves of all trees; of the sets of codes that go left each distinct one once."""
    sets, which = np.unique(model.goes_left, axis=0, return_inverse=True)
    return {
        "inputs": [
            {"kind": each.kind, "first": each.first, "stop": each.stop,
             "indicator": each.indicator, "cuts": model.cuts_of(j).tolist()}
            for j, each in enumerate(model.inputs)
        ],
        "tested": packed(model.tested, "u2"),
        "sets": packed(sets.reshape(-1), "u1"),
        "set": packed(which.reshape(-1), "u2" if len(sets) < 1 << 16 else "u4"),
        "left": packed(model.left, "i1"),
        "right": packed(model.right, "i1"),
        "nodes": packed(np.diff(model.node_stops, prepend=0), "u1"),
    }  # fmt: skip
