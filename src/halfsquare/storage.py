"""The model file: safetensors for the numbers, JSON in its metadata for everything else.

Nothing in it is code and nothing is unpickled. It is written to a temporary file in the same
folder, flushed to the disk and renamed, so that a model file is whole or not there.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from halfsquare.errors import ModelFileError
from halfsquare.models.base import Model
from halfsquare.writing import atomic_write as atomic_write
from halfsquare.writing import require_writable as require_writable

if TYPE_CHECKING:
    from halfsquare.fitted import FittedModel

FORMAT_VERSION = 1
_KEY = "halfsquare"


def save(fitted: FittedModel, path: str | Path) -> None:
    """Write a model file, whole or not at all.

    Raises
    ------
    OutputError
        If the folder is not there, may not be written to, or the disk is full; an existing file stays as it was.
    """
    from safetensors.numpy import save as to_bytes

    tensors: dict[str, Any] = {}
    members = []
    for i, member in enumerate(fitted.members):
        tensors[f"{i}.parameters"] = np.ascontiguousarray(member.parameters)
        tensors[f"{i}.noise"] = np.ascontiguousarray(member.noise)
        if member.covariance is not None:
            tensors[f"{i}.covariance"] = np.ascontiguousarray(member.covariance)
        members.append({"model": member.model.as_dict()})
    described = {
        "format_version": FORMAT_VERSION,
        "encoder": fitted.encoder.as_dict(),
        "members": members,
        "info": fitted.info,
    }
    with atomic_write(path) as file:
        file.write(to_bytes(tensors, {_KEY: json.dumps(described, allow_nan=True)}))


def load(path: str | Path) -> FittedModel:
    """Read a model file.

    Raises
    ------
    ModelFileError
        If there is no such file, it is damaged, is no model of ours, or comes from a later version.

    Examples
    --------
    >>> load("no-such-file.hsq")
    Traceback (most recent call last):
    ...
    halfsquare.errors.ModelFileError: there is no model file no-such-file.hsq
    """
    from safetensors import SafetensorError, safe_open

    from halfsquare.data.encoder import Encoder
    from halfsquare.fitted import FittedModel, Member

    path = Path(path)
    if not path.is_file():
        raise ModelFileError(f"there is no model file {path}" if not path.exists() else f"{path} is not a file")
    try:
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a mapping
    except (SafetensorError, OSError, ValueError, TypeError, KeyError) as problem:
        raise ModelFileError(f"{path} is no halfsquare model, or it is damaged: {problem}") from None
    if _KEY not in metadata:
        raise ModelFileError(f"{path} is a safetensors file, but not a halfsquare model")
    try:
        described = json.loads(metadata[_KEY])
        version = described["format_version"]
        if not isinstance(version, int) or version > FORMAT_VERSION:
            raise ModelFileError(
                f"{path} has model format {version}; this version reads up to {FORMAT_VERSION}: update halfsquare"
            )
        encoder = Encoder.from_dict(described["encoder"])
        members = tuple(
            _member(Member, model_from_dict(m["model"]), tensors, i) for i, m in enumerate(described["members"])
        )
        fitted = FittedModel(encoder, members, described["info"])
        _check(fitted)
        return fitted
    except (KeyError, TypeError, ValueError, IndexError, AttributeError, RecursionError) as problem:
        raise ModelFileError(f"{path} is damaged: {type(problem).__name__} at {problem}") from None


def model_from_dict(saved: dict[str, Any]) -> Model:
    """The model that its ``as_dict`` described.

    Raises
    ------
    ModelFileError
        If its kind is unknown.
    """
    kind = saved["kind"]
    if kind == "linear":
        from halfsquare.models.linear import Linear

        return Linear.from_dict(saved)
    if kind == "network":
        from halfsquare.models.network import Network

        return Network.from_dict(saved)
    if kind == "formula":
        from halfsquare.models.formula import Formula

        return Formula.from_dict(saved)
    raise ModelFileError(f"the file holds a model of the unknown kind {kind!r}")


def _member(make: Callable[..., Any], model: Model, tensors: dict[str, Any], i: int) -> Any:
    parameters, noise = tensors[f"{i}.parameters"], tensors[f"{i}.noise"]
    covariance = tensors.get(f"{i}.covariance")
    p, k = len(model.parameter_names), model.outputs_count
    q = model.linear_parameters if covariance is not None and len(covariance) != p else p
    for name, array, shape in (
        ("parameters", parameters, (p,)),
        ("noise", noise, (k,)),
        ("covariance", covariance, (q, q)),
    ):
        if array is not None and (array.shape != shape or array.dtype != np.float64):
            raise ValueError(f"{name} of shape {array.shape} and type {array.dtype}; expected {shape} and float64")
    if not np.isfinite(parameters).all():
        raise ValueError("parameters that are not finite")
    return make(model, parameters, covariance, noise)


def _check(fitted: FittedModel) -> None:
    """What the parts say of each other must agree."""
    d, k = len(fitted.encoder.names), len(fitted.encoder.targets)
    if not fitted.members or not isinstance(fitted.info, dict):
        raise ValueError("no model in it")
    if len(fitted.encoder.target_means) != k or len(fitted.encoder.target_scales) != k:
        raise ValueError("targets and their scales differ in number")
    if len(fitted.encoder.means) != d or len(fitted.encoder.scales) != d:
        raise ValueError("columns and their scales differ in number")
    encoder = fitted.encoder
    numbers = np.concatenate([encoder.means, encoder.scales, encoder.target_means, encoder.target_scales])
    if not np.isfinite(numbers).all() or not encoder.scales.all():
        raise ValueError("means or scales of columns that are no numbers")
    with np.errstate(all="ignore"):
        encoder.encode(np.full((len(encoder.features), 1), np.nan), np.empty((d, 1)))
    for member in fitted.members:
        if member.model.outputs_count != k:
            raise ValueError(f"a model of {member.model.outputs_count} outputs for {k} targets")
        member.model.outputs(member.parameters, np.zeros((1, d)))
