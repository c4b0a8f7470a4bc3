"""Symmetric positive definite systems, solved while other threads run.

SciPy's bindings of LAPACK hold the interpreter's lock, so that two threads factor one after the
other. The same routines are published to Cython as C functions (``scipy.linalg.cython_lapack``);
called through ctypes they let go of it.
"""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from scipy.linalg import LinAlgError, cython_lapack

from halfsquare.loss import Floats
from halfsquare.normal_sums import upper_triangle


@dataclass(frozen=True)
class Cholesky:
    """The factor L (p, p) of C = L Lᵀ; in Fortran order, only its lower triangle counts."""

    factor: Floats

    @classmethod
    def of(cls, matrix: Floats, diagonal: Floats | float = 0.0) -> Cholesky:
        """The factor of ``matrix`` (p, p), symmetric, with ``diagonal`` added to its diagonal.

        Raises
        ------
        LinAlgError
            If it is not positive definite in float64.

        Examples
        --------
        >>> root = Cholesky.of(np.array([[4.0, 2.0], [2.0, 5.0]]))
        >>> root.solve(np.array([8.0, 12.0])).tolist(), round(root.log_determinant, 6)
        ([1.0, 2.0], 2.772589)
        """
        factor = np.array(matrix.T, dtype=np.float64, order="F")
        np.einsum("ii->i", factor)[:] += diagonal
        if _call("dpotrf", "L", factor) != 0:
            raise LinAlgError("the matrix is not positive definite")
        return cls(factor)

    @property
    def log_determinant(self) -> float:
        """ln |C|."""
        return 2.0 * float(np.log(np.diag(self.factor)).sum())

    def solve(self, right: Floats) -> Floats:
        """C⁻¹ times ``right`` (p,)."""
        solution = np.array(right, dtype=np.float64)
        _call("dpotrs", "L", self.factor, solution)
        return solution

    def inverse(self) -> Floats:
        """C⁻¹ (p, p)."""
        inverse = self.factor.copy(order="F")
        _call("dpotri", "L", inverse)
        lower = np.tril(inverse)
        return lower + np.tril(lower, -1).T

    def inverse_diagonal(self) -> Floats:
        """The diagonal (p,) of C⁻¹ = L⁻ᵀ L⁻¹: the squared lengths of the columns of L⁻¹, at half
        the work.
        """
        # The upper triangle of the factor is nobody's: as zeros it adds nothing to the squares
        # below.
        root = np.where(upper_triangle(len(self.factor)), self.factor.T, 0.0).T
        _call("dtrtri", "LN", root)
        return np.asarray(np.einsum("ij,ij->j", root, root))


# The arguments of each routine: c character, n order, a matrix, l leading dimension, r right side,
# i info.
_ARGUMENTS = {"dpotrf": "cnali", "dpotri": "cnali", "dtrtri": "ccnali", "dpotrs": "cnoalrli"}


def _call(name: str, characters: str, matrix: Floats, right: Floats | None = None) -> int:
    """Run a LAPACK routine in place and return its info: 0 for success."""
    order, one, info = (ctypes.c_int(v) for v in (max(len(matrix), 1), 1, 0))
    letters = iter(characters)
    size = ctypes.c_int(len(matrix))
    passed: dict[str, Any] = {
        "n": ctypes.byref(size),
        "o": ctypes.byref(one),
        "a": matrix.ctypes.data,
        "l": ctypes.byref(order),
        "r": None if right is None else right.ctypes.data,
        "i": ctypes.byref(info),
    }
    _routine(name)(
        *(next(letters).encode() if kind == "c" else passed[kind] for kind in _ARGUMENTS[name])
    )
    return info.value


@cache
def _routine(name: str) -> Any:
    """The C function behind a name of ``scipy.linalg.cython_lapack``; calling it releases the
    lock.
    """
    capsule = cython_lapack.__pyx_capi__[name]
    name_of = ctypes.pythonapi.PyCapsule_GetName
    name_of.restype, name_of.argtypes = ctypes.c_char_p, [ctypes.py_object]
    address_of = ctypes.pythonapi.PyCapsule_GetPointer
    address_of.restype, address_of.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]
    kinds = [ctypes.c_char_p if kind == "c" else ctypes.c_void_p for kind in _ARGUMENTS[name]]
    return ctypes.CFUNCTYPE(None, *kinds)(address_of(capsule, name_of(capsule)))
