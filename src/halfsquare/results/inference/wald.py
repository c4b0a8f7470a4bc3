"""Joint tests of linear hypotheses about coefficients: R b = q."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NoReturn, Protocol

import numpy as np

from halfsquare.errors import OptionError
from halfsquare.loss import Floats
from halfsquare.results.inference.linear import LinearInference

_NUMBER = re.compile(r"(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")


@dataclass(frozen=True)
class Wald:
    """An F test.

    Attributes
    ----------
    statistic : float
        (Rb - q)ᵀ(RVRᵀ)⁻¹(Rb - q) / r.
    numerator, denominator : float
        Its degrees of freedom: r, and those of the covariance V; infinite where σ was measured.
    p : float
    hypothesis : str
    """

    statistic: float
    numerator: int
    denominator: float
    p: float
    hypothesis: str = ""

    def as_dict(self) -> dict[str, Any]:
        """JSON values."""
        return {
            "hypothesis": self.hypothesis,
            "f": self.statistic,
            "degrees_of_freedom": [
                self.numerator,
                self.denominator if np.isfinite(self.denominator) else None,
            ],
            "p": self.p,
        }


class Estimates(Protocol):
    """Coefficients with a covariance."""

    @property
    def values(self) -> Floats:
        """(p,)."""
        ...

    @property
    def covariance(self) -> Floats:
        """(p, p)."""
        ...

    @property
    def freedom(self) -> float:
        """Of the covariance."""
        ...


def wald(fit: Estimates, restrictions: Floats, values: Floats, hypothesis: str = "") -> Wald:
    """Test R b = q with R (r, p) and q (r,); restrictions that say the same twice count once."""
    from scipy.special import chdtrc, fdtrc

    distance = restrictions @ fit.values - values
    spread = restrictions @ fit.covariance @ restrictions.T
    scale = np.sqrt(np.maximum(np.diag(spread), 0.0))
    unit = np.where(scale > 0, scale, 1.0)
    eigenvalues, vectors = np.linalg.eigh(spread / np.outer(unit, unit))
    kept = eigenvalues > 1e-11 * max(float(eigenvalues.max(initial=0.0)), 1e-300)
    rank = int(kept.sum())
    if not rank:
        return Wald(float("nan"), 0, fit.freedom, float("nan"), hypothesis)
    moved = vectors[:, kept].T @ (distance / unit)
    statistic = float(np.sum(moved * moved / eigenvalues[kept])) / rank
    known = np.isinf(fit.freedom)  # then r F is χ² on r degrees of freedom
    p = chdtrc(rank, rank * statistic) if known else fdtrc(rank, fit.freedom, statistic)
    return Wald(statistic, rank, fit.freedom, float(p), hypothesis)


def parse_hypothesis(text: str, fit: LinearInference) -> tuple[Floats, Floats]:
    """R (r, p) and q (r,) of hypotheses such as ``x1 = x2``, ``2*x1 + x3 = 1`` or ``C(year)``.

    Several stand with commas between them and are tested together. A name alone is 0; the name of a
    term stands for all its columns. Sums, differences, products with and quotients by numbers and
    parentheses are read; nothing is evaluated.

    Raises
    ------
    OptionError
        With a caret where the text cannot be read.
    """
    return _Hypotheses(text, fit).read()


@dataclass(frozen=True)
class _Linear:
    """c + rᵀb, or several of them at once: r (q, p), c (q,)."""

    r: Floats
    c: Floats

    @property
    def constant(self) -> bool:
        return not self.r.any()


class _Hypotheses:
    """Reads linear equations from the left; names are those of the coefficients, longest first."""

    def __init__(self, text: str, fit: LinearInference) -> None:
        self.text, self.at, self.p = text, 0, len(fit.names)
        rows = np.eye(self.p)
        known: dict[str, Floats] = {name: rows[[j]] for j, name in enumerate(fit.names)}
        for term, start, stop in fit.spans:
            known.setdefault(term, rows[start:stop])
        self.names = sorted(known, key=len, reverse=True)
        self.patterns = [(re.compile(_spaced(name)), known[name]) for name in self.names]

    def read(self) -> tuple[Floats, Floats]:
        left: list[Floats] = []
        right: list[Floats] = []
        while True:
            one = self._sum()
            other = _Linear(np.zeros((1, self.p)), np.zeros(1))
            if self._take("==") or self._take("="):
                other = self._sum()
            if len(one.r) > 1 and len(other.r) > 1:
                self._refuse("a term of several columns is compared with a number")
            r, c = one.r - other.r, one.c - other.c
            if not np.abs(r).any(axis=1).all():
                self._refuse("no coefficient is left in this hypothesis")
            left.append(r)
            right.append(-c)
            if not (self._take(",") or self._take(";")):
                break
        self._space()
        if self.at < len(self.text):
            self._refuse("expected a coefficient, a number, + - * / or =")
        return np.vstack(left), np.concatenate(right)

    def _sum(self) -> _Linear:
        total = self._product()
        while True:
            if self._take("+"):
                total = self._joined(total, self._product(), 1.0)
            elif self._take("-"):
                total = self._joined(total, self._product(), -1.0)
            else:
                return total

    def _joined(self, a: _Linear, b: _Linear, sign: float) -> _Linear:
        if len(a.r) > 1 or len(b.r) > 1:
            self._refuse("a term of several columns stands alone: name one of its coefficients")
        return _Linear(a.r + sign * b.r, a.c + sign * b.c)

    def _product(self) -> _Linear:
        value = self._atom()
        while True:
            if self._take("*"):
                other = self._atom()
                if not value.constant and not other.constant:
                    self._refuse("a product of two coefficients is not linear")
                scale, scaled = (value, other) if value.constant else (other, value)
                value = _Linear(scaled.r * scale.c[0], scaled.c * scale.c[0])
            elif self._take("/"):
                other = self._atom()
                if not other.constant or other.c[0] == 0:
                    self._refuse("expected a number other than 0 to divide by")
                value = _Linear(value.r / other.c[0], value.c / other.c[0])
            else:
                return value

    def _atom(self) -> _Linear:
        self._space()
        for pattern, rows in self.patterns:
            match = pattern.match(self.text, self.at)
            if match:
                self.at = match.end()
                return _Linear(rows, np.zeros(len(rows)))
        if self._take("-"):
            inner = self._atom()
            return _Linear(-inner.r, -inner.c)
        if self._take("+"):
            return self._atom()
        if self._take("("):
            inner = self._sum()
            if not self._take(")"):
                self._refuse("this '(' is not closed")
            return inner
        match = _NUMBER.match(self.text, self.at)
        if match:
            self.at = match.end()
            return _Linear(np.zeros((1, self.p)), np.array([float(match.group())]))
        known = ", ".join(map(repr, self.names[::-1][:12])) + (
            ", …" if len(self.names) > 12 else ""
        )
        self._refuse(f"expected a coefficient or a number; the coefficients are {known}")

    def _space(self) -> None:
        while self.at < len(self.text) and self.text[self.at].isspace():
            self.at += 1

    def _take(self, operator: str) -> bool:
        self._space()
        found = self.text.startswith(operator, self.at)
        self.at += len(operator) if found else 0
        return found

    def _refuse(self, message: str) -> NoReturn:
        shown = re.sub(r"\s", " ", self.text)
        raise OptionError(
            f"hypothesis, character {self.at + 1}: {message}\n  {shown}\n  {' ' * self.at}^"
        )


def _spaced(name: str) -> str:
    """A pattern for a name, with spaces where they make no difference; backticks may surround
    it.
    """
    letters = [re.escape(c) for c in name if not c.isspace()]
    pattern = r"\s*".join(letters) if re.search(r"\W", name) else re.escape(name)
    ending = r"(?![\w.])" if re.match(r"\w", name[-1]) else ""
    return f"`{re.escape(name)}`|{pattern}{ending}"


def joint_tests(fit: LinearInference, texts: Sequence[str]) -> list[Wald]:
    """Each text of :func:`parse_hypothesis` tested."""
    return [wald(fit, *parse_hypothesis(text, fit), text) for text in texts]
