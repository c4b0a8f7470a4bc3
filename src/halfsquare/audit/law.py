"""Which function of the errors a value is, exactly: a known sum, times a factor, over a divisor.

A value V is compared, over samples of several numbers of rows n and outputs k and errors of several
sizes, with c · B / D for every base B below (the squared error first) and every divisor D. A law
holds when c comes out as the same number on every sample, to rounding; then the factor is exact,
not fitted.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import isfinite

import numpy as np

from halfsquare.audit.subject import Sample
from halfsquare.loss import Floats

Base = Callable[[Floats, Floats], float]  # of errors and targets, both (n, k)


def _log(target: Floats, error: Floats, plus: float) -> float:
    with np.errstate(all="ignore"):
        return float(np.sum((np.log(target + error + plus) - np.log(target + plus)) ** 2))


# name: what is summed, as a formula, and the base itself.
BASES: dict[str, tuple[str, Base]] = {
    "squares": ("Σ(o−t)²", lambda e, t: float(np.sum(e * e))),
    "root": ("√Σ(o−t)²", lambda e, t: float(np.sqrt(np.sum(e * e)))),
    "root of each output": (
        "Σ over outputs of √Σ over rows of (o−t)²",
        lambda e, t: float(np.sqrt((e * e).sum(0)).sum()),
    ),
    "root of each row": (
        "Σ over rows of √Σ over outputs of (o−t)²",
        lambda e, t: float(np.sqrt((e * e).sum(1)).sum()),
    ),
    "absolute": ("Σ|o−t|", lambda e, t: float(np.abs(e).sum())),
    "square of the sum": ("(Σ(o−t))²", lambda e, t: float(e.sum() ** 2)),
    "squares of row sums": (
        "Σ over rows of (Σ over outputs of (o−t))²",
        lambda e, t: float((e.sum(1) ** 2).sum()),
    ),
    "squares of output sums": (
        "Σ over outputs of (Σ over rows of (o−t))²",
        lambda e, t: float((e.sum(0) ** 2).sum()),
    ),
    "deviations": ("Σ(o−t − mean of o−t)²", lambda e, t: float(np.sum((e - e.mean(0)) ** 2))),
    "deviations from one mean": (
        "Σ(o−t − mean of o−t)²",
        lambda e, t: float(np.sum((e - e.mean()) ** 2)),
    ),
    "every pair": (
        "Σ over every pair of rows i, j of (oᵢ−tⱼ)²",
        lambda e, t: float((((t + e)[:, None] - t[None]) ** 2).sum()),
    ),
    "fourth powers": ("Σ(o−t)⁴", lambda e, t: float(np.sum(e**4))),
    "first row": ("(o−t)² of the first row", lambda e, t: float(np.sum(e[0] ** 2))),
    "last row": ("(o−t)² of the last row", lambda e, t: float(np.sum(e[-1] ** 2))),
    "first output": ("Σ(o−t)² of the first output", lambda e, t: float(np.sum(e[:, 0] ** 2))),
    "relative squares": ("Σ((o−t)/t)²", lambda e, t: float(np.sum((e / t) ** 2))),
    "over squares of targets": ("Σ(o−t)²/Σt²", lambda e, t: float(np.sum(e * e) / np.sum(t * t))),
    "over spread of targets": (
        "Σ(o−t)²/Σ(t − mean t)²",
        lambda e, t: float(np.sum(e * e) / np.sum((t - t.mean(0)) ** 2)),
    ),
    "logarithms": ("Σ(log o − log t)²", lambda e, t: _log(t, e, 0.0)),
    "logarithms of 1 +": ("Σ(log(1+o) − log(1+t))²", lambda e, t: _log(t, e, 1.0)),
}

# The usual divisors first: with one output, n·k is read before n.
DIVISORS: dict[str, Callable[[int, int], float]] = {
    "": lambda n, k: 1.0,
    "(n·k)": lambda n, k: n * k,
    "n": lambda n, k: n,
    "k": lambda n, k: k,
    "√(n·k)": lambda n, k: (n * k) ** 0.5,
    "√n": lambda n, k: n**0.5,
    "√k": lambda n, k: k**0.5,
    "(√n·k)": lambda n, k: n**0.5 * k,
    "(n·√k)": lambda n, k: n * k**0.5,
    "n²": lambda n, k: n**2,
    "(n²·k)": lambda n, k: n**2 * k,
    "(n·k²)": lambda n, k: n * k**2,
    "(n·k)²": lambda n, k: (n * k) ** 2,
    "k²": lambda n, k: k**2,
    "(n−1)": lambda n, k: n - 1,
    "(n·k−1)": lambda n, k: n * k - 1,
    "((n−1)·k)": lambda n, k: (n - 1) * k,
    "(n−2)": lambda n, k: n - 2,
    "(1/n)": lambda n, k: 1 / n,
    "(1/k)": lambda n, k: 1 / k,
    "(1/(n·k))": lambda n, k: 1 / (n * k),
    "(k/n)": lambda n, k: k / n,
    "(n/k)": lambda n, k: n / k,
}

_ROOT = {"": "", "(n·k)": "√(n·k)", "n": "√n", "k": "√k"}
_NAMES = {
    ("squares", ""): "sse",
    ("squares", "(n·k)"): "mse",
    ("squares", "n"): "mse_over_rows",
    ("squares", "k"): "sse_over_outputs",
    ("root", "√(n·k)"): "rmse",
    ("root", "√n"): "rmse_over_rows",
    ("root", ""): "root_sse",
    ("root of each output", "(√n·k)"): "mean_of_output_rmse",
    ("root of each row", "(n·√k)"): "mean_of_row_rmse",
    ("absolute", "(n·k)"): "mae",
}
EXACT, SINGLE, HALF = 1e-9, 3e-5, 5e-3


@dataclass(frozen=True)
class Law:
    """V = c · B / D. ``deviation`` is the largest relative departure of a sample from it."""

    base: str
    factor: float
    divisor: str
    deviation: float

    @property
    def squared(self) -> bool:
        """Whether it is a multiple of the squared error that depends on n and k alone."""
        return self.base == "squares"

    @property
    def name(self) -> str | None:
        """The convention's name, as in docs/audit.md; None where it has none."""
        name = _NAMES.get((self.base, self.divisor))
        loose = max(2e-5, 4 * self.deviation)
        if name is None or near(self.factor, 1.0, loose):
            return name
        return f"half_{name}" if near(self.factor, 0.5, loose) and self.squared else None

    def formula(self) -> str:
        """The value as a formula: ½ Σ(o−t)² / n."""
        below = f" / {self.divisor}" if self.divisor else ""
        return f"{factor_words(self.factor)}{BASES[self.base][0]}{below}"

    def value(self, sample: Sample) -> float:
        """What the law gives on a sample."""
        return (
            self.factor
            * _base(self.base, sample)
            / DIVISORS[self.divisor](sample.rows, sample.outputs)
        )


def near(a: float, b: float, tolerance: float = 2e-5) -> bool:
    """Equal to what single precision can tell."""
    if not (isfinite(a) and isfinite(b)):
        return False
    return abs(a - b) <= tolerance * max(abs(a), abs(b))


def ratio(a: float, b: float) -> float:
    """a / b; NaN where b is zero."""
    return a / b if b else float("nan")


def factor_words(factor: float) -> str:
    """A factor before a formula: nothing for 1, ½, 2 ·, −; a simple fraction where it is one."""
    sign, size = ("−" if factor < 0 else ""), abs(factor)
    if near(size, 1.0):
        return sign
    if near(size, 0.5):
        return f"{sign}½ "
    simple = Fraction(size).limit_denominator(32)
    known = 0 < simple.numerator < 1000 and near(float(simple), size)
    return f"{sign}{simple if known else f'{size:.6g}'} · "


def find_law(
    samples: Sequence[Sample], values: Sequence[float], worst: float = SINGLE
) -> Law | None:
    """The first law that every sample obeys to double precision, else to ``worst``."""
    rows = np.array([s.rows for s in samples])
    outputs = np.array([s.outputs for s in samples])
    given = np.asarray(values, np.float64)
    if not np.isfinite(given).all() or not given.any():
        return None
    best: Law | None = None
    for base in BASES:
        bases = np.array([_base(base, s) for s in samples])
        if not np.isfinite(bases).all() or (bases == 0).any():
            continue
        for divisor, of in DIVISORS.items():
            factors = (
                given
                * np.array([of(int(n), int(k)) for n, k in zip(rows, outputs, strict=True)])
                / bases
            )
            centre = float(np.median(factors))
            deviation = float(np.abs(factors - centre).max() / abs(centre)) if centre else np.inf
            if deviation < EXACT:
                return Law(base, centre, divisor, deviation)
            if deviation < worst and best is None:
                best = Law(base, centre, divisor, deviation)
    return best


def find_lifted(
    samples: Sequence[Sample], values: Sequence[float]
) -> tuple[Law, int, float] | None:
    """V, or V² (a number under a root), as c · Σ(o−t)²/D + a: law, power of V, and a."""
    given = np.asarray(values, np.float64)
    if not (np.isfinite(given).all() and (given > 0).all() and len(given) >= 3):
        return None
    for power in (1, 2):
        for divisor, of in list(DIVISORS.items())[:4]:
            x = np.array([_base("squares", s) / of(s.rows, s.outputs) for s in samples])
            y = given**power
            # Weighted by 1/y: small values count as much as large ones.
            design = np.column_stack([x, np.ones_like(x)]) / y[:, None]
            (slope, constant), *_ = np.linalg.lstsq(design, np.ones_like(x), rcond=None)
            deviation = float(np.abs(design @ [slope, constant] - 1).max())
            if deviation < 1e-6 and slope * x.max() > 1e-3 * abs(constant):
                base, root = ("squares", divisor) if power == 1 else ("root", _ROOT[divisor])
                return (
                    Law(base, float(slope) ** (1 / power), root, deviation),
                    power,
                    float(constant),
                )
    return None


def _base(base: str, sample: Sample) -> float:
    shape = (sample.rows, sample.outputs)
    target = np.asarray(sample.target, np.float64).reshape(shape)
    return BASES[base][1](sample.error.reshape(shape), target)


def find_factor(
    sizes: Sequence[tuple[int, int]], factors: Sequence[float]
) -> tuple[float, str] | None:
    """A number that depends on n and k alone, as c / D: by what a gradient is off."""
    for tolerance in (EXACT, 1e-4):
        for divisor, of in DIVISORS.items():
            scaled = [f * of(n, k) for f, (n, k) in zip(factors, sizes, strict=True)]
            centre = float(np.median(scaled))
            if centre and max(abs(s - centre) for s in scaled) <= tolerance * abs(centre):
                return centre, divisor
    return None
