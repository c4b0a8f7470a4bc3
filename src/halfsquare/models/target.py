"""What a left side may apply to the target, as in ``log(y) ~ …``, and the way back from outputs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from halfsquare.loss import Floats

#: What a left side may apply to the target, with the function that undoes it.
TARGET_FUNCTIONS = {
    "log": "exp",
    "ln": "exp",
    "log10": "exp10",
    "log2": "exp2",
    "log1p": "expm1",
    "sqrt": "square",
}
_FORWARD: dict[str, Callable[[Floats], Any]] = {
    "log": np.log,
    "log10": np.log10,
    "log2": np.log2,
    "log1p": np.log1p,
    "sqrt": np.sqrt,
}
_BACK: dict[str, Callable[[Floats], Any]] = {
    "exp": np.exp,
    "exp10": lambda u: 10.0**u,
    "exp2": np.exp2,
    "expm1": np.expm1,
    "square": np.square,
}


def transform(function: str, target: Floats) -> Floats:
    """The left side of a target; of the same shape. ``"identity"`` leaves it as it is."""
    if function == "identity":
        return target
    with np.errstate(all="ignore"):
        return np.asarray(_FORWARD["log" if function == "ln" else function](target))


def restore(function: str, output: Floats) -> Floats:
    """Outputs on the scale of the left side, back in the unit of the target."""
    if function == "identity":
        return output
    with np.errstate(all="ignore"):
        return np.asarray(_BACK[TARGET_FUNCTIONS[function]](output))
