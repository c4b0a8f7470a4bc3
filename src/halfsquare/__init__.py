"""halfsquare: regression by descending the squared error ½ Σ (t − o)².

>>> from halfsquare import SquaredError
>>> SquaredError("half_sse").gradient([3.0], [2.0]).tolist()  # too low: descent raises it
[-1.0]
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from halfsquare.audit.run import assert_loss, audit_loss
    from halfsquare.estimators.auto import AutoRegressor
    from halfsquare.estimators.formula import FormulaRegressor
    from halfsquare.estimators.linear import LinearRegressor
    from halfsquare.estimators.network import NetworkRegressor
    from halfsquare.estimators.trees import TreesRegressor
    from halfsquare.exact.fit_sums import fit_sums
    from halfsquare.exact.sum_rows import sum_rows
    from halfsquare.exact.table_sums import load_sums
    from halfsquare.fitting.fit import fit
    from halfsquare.loss import SquaredError
    from halfsquare.results.fitted import FittedModel, load
    from halfsquare.sums import ErrorSums

# Where each public name lives. Nothing is imported before it is used, so that importing is quick.
_HOMES = {
    "SquaredError": "loss",
    "ErrorSums": "sums",
    "fit": "fitting.fit",
    "load": "results.fitted",
    "sum_rows": "exact.sum_rows",
    "fit_sums": "exact.fit_sums",
    "load_sums": "exact.table_sums",
    "FittedModel": "results.fitted",
    "LinearRegressor": "estimators.linear",
    "NetworkRegressor": "estimators.network",
    "FormulaRegressor": "estimators.formula",
    "TreesRegressor": "estimators.trees",
    "AutoRegressor": "estimators.auto",
    "audit_loss": "audit.run",
    "assert_loss": "audit.run",
}

__all__ = [
    "AutoRegressor",
    "ErrorSums",
    "FittedModel",
    "FormulaRegressor",
    "LinearRegressor",
    "NetworkRegressor",
    "SquaredError",
    "TreesRegressor",
    "assert_loss",
    "audit_loss",
    "fit",
    "fit_sums",
    "load",
    "load_sums",
    "sum_rows",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
