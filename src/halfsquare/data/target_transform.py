"""A target on another scale while it is fitted, where its noise is nearer to equal and normal.

log          u = log t                                                       t > 0
sqrt         u = √t                                                          t ≥ 0
yeo-johnson  u = ((1 + t/c)^λ - 1)/λ for t ≥ 0, -((1 - t/c)^(2-λ) - 1)/(2-λ) below    any t
(Yeo & Johnson 2000, "A new family of power transformations to improve normality
or symmetry", eq. 1.1); c is a scale of the target, so that its unit does not matter
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from halfsquare.loss import Floats

TransformName = Literal["log", "sqrt", "yeo-johnson"]
TRANSFORMS: tuple[TransformName, ...] = ("log", "sqrt", "yeo-johnson")
_LARGEST = 1e150  # what is larger in size has no square


@dataclass(frozen=True)
class TargetTransform:
    """A rising function of the target and the way back.

    Attributes
    ----------
    name : {"log", "sqrt", "yeo-johnson"}
    power, unit : float
        λ and c of yeo-johnson.

    Examples
    --------
    >>> log = TargetTransform("log")
    >>> log.back(log.forward(np.array([0.5, 20.0]))).round(12).tolist()
    [0.5, 20.0]
    """

    name: TransformName
    power: float = 1.0
    unit: float = 1.0

    def __post_init__(self) -> None:
        if self.name not in TRANSFORMS or not 0.0 < self.unit < np.inf:
            raise ValueError(f"no transform of a target: {self.name!r}, in units of {self.unit!r}")
        if not 0.0 <= self.power <= 2.0:
            raise ValueError(f"a power of {self.power!r}; expected one from 0 to 2")

    def told(self, target: str) -> str:
        """What is fitted, such as ``log(price)``."""
        if self.name == "yeo-johnson":
            return f"yeo-johnson({target}, {self.power:.3g})"
        return f"{self.name}({target})"

    def takes(self, lowest: float) -> bool:
        """Whether it is defined from that value on."""
        return lowest > 0 if self.name == "log" else lowest >= 0 or self.name == "yeo-johnson"

    def forward(self, target: Floats) -> Floats:
        """u; NaN where it is not defined."""
        with np.errstate(all="ignore"):
            if self.name == "log":
                return np.log(target)
            if self.name == "sqrt":
                return np.sqrt(target)
            t, power = target / self.unit, self.power
            up, down = np.log1p(np.maximum(t, 0.0)), np.log1p(np.maximum(-t, 0.0))
            return np.where(t >= 0, _grown(up, power), -_grown(down, 2.0 - power))

    def back(self, u: Floats) -> Floats:
        """t, rising with u; beyond the values that ``forward`` has, its limits."""
        with np.errstate(all="ignore"):
            if self.name == "log":
                found = np.exp(u)
            elif self.name == "sqrt":
                found = np.square(np.maximum(u, 0.0))
            else:
                up, down = np.maximum(u, 0.0), np.maximum(-u, 0.0)
                above, below = _shrunk(up, self.power), _shrunk(down, 2.0 - self.power)
                found = np.where(u >= 0, np.expm1(above), -np.expm1(below)) * self.unit
            return np.clip(found, -_LARGEST, _LARGEST)


def _grown(log_t: Floats, power: float) -> Floats:
    """(t^λ - 1)/λ from log t; its limit log t where λ is 0."""
    return np.asarray(np.expm1(power * log_t) / power if abs(power) > 1e-9 else log_t)


def _shrunk(u: Floats, power: float) -> Floats:
    """log t from (t^λ - 1)/λ."""
    if abs(power) <= 1e-9:
        return u
    return np.asarray(np.log(np.maximum(1.0 + power * u, 1e-300)) / power)


def yeo_johnson(target: Floats, weight: Floats | None = None) -> TargetTransform:
    """That of greatest likelihood of a normal distribution of u (Yeo & Johnson 2000, section 3):
    -½ n log var(u) + (λ - 1) Σ sign(t) log(1 + |t|/c).

    λ from 0 to 2: beyond, u is bounded to one side, and what is carried back has no mean.
    """
    from scipy.optimize import minimize_scalar

    w = np.ones(len(target)) if weight is None else weight
    w = w / w.sum()
    unit = float(np.sqrt(w @ (target - w @ target) ** 2)) or 1.0
    jacobian = float(w @ (np.sign(target) * np.log1p(np.abs(target) / unit)))

    def loss(power: float) -> float:
        u = TargetTransform("yeo-johnson", power, unit).forward(target)
        variance = float(w @ (u - w @ u) ** 2)
        if not 0.0 < variance < np.inf:
            return np.inf
        return 0.5 * float(np.log(variance)) - (power - 1.0) * jacobian

    found = minimize_scalar(loss, bounds=(0.0, 2.0), method="bounded", options={"xatol": 1e-3})
    return TargetTransform("yeo-johnson", round(float(found.x), 3), unit)
