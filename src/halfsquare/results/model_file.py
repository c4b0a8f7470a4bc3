"""The model file: a fitted model in a :class:`~halfsquare.files.container.Container`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from halfsquare.data.encoder import ColumnEncoder, Encoder
from halfsquare.errors import ModelFileError
from halfsquare.files.container import Container
from halfsquare.files.records import from_json, to_json
from halfsquare.loss import Floats
from halfsquare.models.base import Model
from halfsquare.results.consistency import require_consistent
from halfsquare.results.ensemble import Ensemble
from halfsquare.results.intervals import require_calibration
from halfsquare.results.record import FitRecord
from halfsquare.results.stretches import require_stretches
from halfsquare.results.trained import AnyFacts, Trained
from halfsquare.solvers.base import Termination

MODEL_FILE = Container("model", 2, ModelFileError)


def save(fitted: Ensemble, path: str | Path) -> None:
    """Write a model file, whole or not at all.

    Raises
    ------
    OutputError
        If the folder is not there, may not be written to, or the disk is full; an existing file
        stays as it was.
    """
    arrays: dict[str, Any] = {}
    for i, member in enumerate(fitted.members):
        arrays[f"{i}.parameters"] = np.ascontiguousarray(member.parameters)
        arrays[f"{i}.noise"] = np.ascontiguousarray(member.noise)
        if member.covariance is not None:
            arrays[f"{i}.covariance"] = np.ascontiguousarray(member.covariance)
        own = member.model.arrays()
        arrays |= {f"{i}.model.{name}": np.ascontiguousarray(a) for name, a in own.items()}
        for name in ("robust", "triangle", "root"):
            if (more := getattr(member, name)) is not None:
                arrays[f"{i}.{name}"] = np.ascontiguousarray(more)
    header = {
        "encoder": fitted.encoder.as_dict(),
        "members": [_described(member) for member in fitted.members],
        "record": to_json(fitted.record),
    }
    MODEL_FILE.write(path, header, arrays)


def read(path: str | Path) -> Ensemble:
    """What a model file holds.

    Raises
    ------
    ModelFileError
        If there is no such file, it is damaged, is no model of ours, or is of another version.
    """
    header, arrays = MODEL_FILE.read(path)
    with MODEL_FILE.checking(path):
        encoder = _encoder(from_json(dict[str, Any], header["encoder"], "encoder"))
        described = from_json(list[dict[str, Any]], header["members"], "members")
        members = tuple(_member(saved, arrays, i) for i, saved in enumerate(described))
        found = Ensemble(encoder, members, from_json(FitRecord, header["record"], "record"))
        _check(found)
        require_consistent(found)
        return found


def _own(arrays: dict[str, Floats], i: int) -> dict[str, Any]:
    """The arrays of a member's model, by name."""
    start = f"{i}.model."
    return {name[len(start) :]: a for name, a in arrays.items() if name.startswith(start)}


def _encoder(saved: dict[str, Any]) -> Encoder:
    """The encoder that its ``as_dict`` described."""
    if saved.get("kind", "columns") == "terms":
        from halfsquare.models.terms.encoder import TermsEncoder

        return TermsEncoder.from_dict(saved)
    return ColumnEncoder.from_dict(saved)


def _model(saved: dict[str, Any], arrays: dict[str, Any]) -> Model:
    """The model that its ``as_dict`` and ``arrays`` described."""
    kind = saved["kind"]
    if kind == "linear":
        from halfsquare.models.linear import Linear

        return Linear.from_dict(saved)
    if kind == "network":
        from halfsquare.models.network import Network

        return Network.from_dict(saved)
    if kind == "formula":
        from halfsquare.models.formula.model import Formula

        return Formula.from_dict(saved)
    if kind == "trees":
        from halfsquare.models.trees import Trees

        return Trees.from_dict(saved, arrays)
    raise ValueError(f"a model of the unknown kind {kind!r}")


@dataclass(frozen=True)
class _Found:
    """What a member's training found."""

    effective_parameters: float
    termination: Termination
    facts: AnyFacts
    warnings: tuple[str, ...]
    share: float


def _described(member: Trained[Any]) -> dict[str, Any]:
    found = _Found(
        member.effective_parameters, member.termination, member.facts, member.warnings, member.share
    )
    return {"model": member.model.as_dict(), "found": to_json(found)}


def _member(saved: dict[str, Any], arrays: dict[str, Floats], i: int) -> Trained[Any]:
    found = from_json(_Found, saved["found"], f"members[{i}]")
    model = _model(saved["model"], _own(arrays, i))
    parameters, noise = arrays[f"{i}.parameters"], arrays[f"{i}.noise"]
    covariance = arrays.get(f"{i}.covariance")
    robust, triangle, root = (arrays.get(f"{i}.{n}") for n in ("robust", "triangle", "root"))
    p, k = model.parameter_count, model.outputs_count
    q = model.linear_parameters if covariance is not None and len(covariance) != p else p
    for name, array, shape in (
        ("parameters", parameters, (p,)),
        ("noise", noise, (k,)),
        ("covariance", covariance, (q, q)),
        ("robust covariance", robust, (p, p)),
        ("triangle", triangle, (p + 1, p + 1)),
        ("root of the covariance", root, (p, p)),
    ):
        if array is not None and (array.shape != shape or array.dtype != np.float64):
            raise ValueError(
                f"{name} of shape {array.shape} and type {array.dtype}; expected {shape} and "
                "float64"
            )
    if not np.isfinite(parameters).all():
        raise ValueError("parameters that are not finite")
    if not 0.0 < found.share < np.inf:
        raise ValueError(f"a member with the share {found.share}")
    return Trained(
        model,
        parameters,
        covariance,
        noise,
        found.effective_parameters,
        found.termination,
        found.facts,
        found.warnings,
        share=found.share,
        robust=robust,
        triangle=triangle,
        root=root,
    )


def _check(fitted: Ensemble) -> None:
    """What the parts say of each other must agree."""
    encoder = fitted.encoder
    d, k = len(encoder.names), len(encoder.targets)
    if not fitted.members:
        raise ValueError("no model in it")
    require_calibration(fitted.record.training.calibration, d, k)
    require_stretches(fitted.record.training.stretches, d, k)
    if len(encoder.target_means) != k or len(encoder.target_scales) != k:
        raise ValueError("targets and their scales differ in number")
    for feature in encoder.features:
        if not len(feature.names) == len(feature.means) == len(feature.scales):
            raise ValueError("columns and their scales differ in number")
    if not d == len(encoder.means) == len(encoder.scales):
        raise ValueError("columns and their scales differ in number")
    numbers = np.concatenate(
        [encoder.means, encoder.scales, encoder.target_means, encoder.target_scales]
    )
    if not np.isfinite(numbers).all() or not encoder.scales.all():
        raise ValueError("means or scales of columns that are no numbers")
    with np.errstate(all="ignore"):
        encoder.encode(np.full((len(encoder.features), 1), np.nan), np.empty((d, 1)))
    for member in fitted.members:
        if member.model.outputs_count != k:
            raise ValueError(f"a model of {member.model.outputs_count} outputs for {k} targets")
        with np.errstate(all="ignore"):
            member.model.outputs(member.parameters, np.zeros((1, d)))
