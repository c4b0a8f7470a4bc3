"""What LightGBM is given: rows as codes, which are its bins, and how trees are to grow."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from halfsquare.loss import Floats
from halfsquare.models.tree_inputs import Input


@dataclass(frozen=True)
class Growth:
    """How trees are grown.

    Attributes
    ----------
    leaves : int
        Of each tree, at most.
    rate : float
        The part of each tree that is added.
    least_weight : float
        Row weight in a leaf, at least.
    l2 : float
        λ of the penalty ½ λ v² on each leaf value, in units of row weight.
    columns, rows : float
        The share of inputs, and of rows, that a tree is grown from.
    random_cuts : bool
        Try one cut of each input, drawn at random, instead of the best of all (Geurts, Ernst &
        Wehenkel 2006, "Extremely randomized trees"): smoother functions, less alike.
    rounds : int
        Trees, at most.
    """

    leaves: int = 8
    rate: float = 0.05
    least_weight: float = 5.0
    l2: float = 1.0
    columns: float = 0.7
    rows: float = 0.8
    random_cuts: bool = False
    rounds: int = 1000


@dataclass(frozen=True)
class CodedRows:
    """Rows as trees take them: codes (inputs, n), target (n,), weight (n,) or None."""

    codes: npt.NDArray[np.uint8]
    target: Floats
    weight: Floats | None = None

    def __len__(self) -> int:
        return len(self.target)

    @property
    def weights(self) -> Floats:
        """The weights, 1 where none are given."""
        return np.ones(len(self)) if self.weight is None else self.weight

    def where(self, kept: npt.NDArray[np.bool_]) -> CodedRows:
        """Those of the rows where ``kept`` (n,) is true."""
        weight = None if self.weight is None else self.weight[kept]
        return CodedRows(self.codes[:, kept], self.target[kept], weight)


def library_parameters(growth: Growth, seed: int, monotone: Sequence[int]) -> dict[str, Any]:
    """Under the names of the library; one thread, so that the bits are always the same."""
    found: dict[str, Any] = {
        "objective": "regression",  # ½ w (o - t)²
        "metric": "None",
        "verbosity": -1,
        "num_threads": 1,
        "deterministic": True,
        "force_col_wise": True,
        "seed": seed,
        "num_leaves": growth.leaves,
        "learning_rate": growth.rate,
        # By weight, not by number: a row of weight 2 is two rows.
        "min_data_in_leaf": 0,
        "min_sum_hessian_in_leaf": growth.least_weight,
        "lambda_l2": growth.l2,
        "feature_fraction": growth.columns,
        "bagging_fraction": growth.rows,
        "bagging_freq": 1 if growth.rows < 1 else 0,
        "extra_trees": growth.random_cuts,
        # The codes are the bins.
        "max_bin": 255,
        "min_data_in_bin": 1,
        "feature_pre_filter": False,
        "min_data_per_group": 1,
        "cat_smooth": 5.0,
        "cat_l2": 5.0,
        "boost_from_average": False,
    }
    if any(monotone):
        found |= {
            "monotone_constraints": list(monotone),
            "monotone_constraints_method": "intermediate",
        }
    return found


def typical_codes(
    rows: CodedRows, inputs: Sequence[Input], counts: Sequence[int]
) -> tuple[int, ...]:
    """The weighted median code of each number without a missing value; else its own code for a
    missing one.
    """
    found = []
    for own, each, count in zip(rows.codes, inputs, counts, strict=True):
        weight = np.bincount(own, weights=rows.weights, minlength=count)
        below = np.cumsum(weight)
        whole = each.kind == "number" and not weight[count - 1]
        found.append(int(np.searchsorted(below, 0.5 * below[-1])) if whole else count - 1)
    return tuple(found)


def library_matrix(
    codes: npt.NDArray[np.uint8],
    inputs: Sequence[Input],
    counts: Sequence[int],
    typical: Sequence[int],
) -> Any:
    """Codes (n, inputs) as the library wants them: a missing number is NaN; a missing category is a
    level.
    """
    found = np.ascontiguousarray(codes.T, dtype=np.float32)
    for j, (each, count) in enumerate(zip(inputs, counts, strict=True)):
        if each.kind == "number":
            found[codes[j] == count - 1, j] = np.nan if typical[j] == count - 1 else typical[j]
    return found
