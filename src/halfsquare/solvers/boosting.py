"""Boosting: steepest descent of the squared error in the space of functions.

The gradient of ½ Σ w (o - t)² with respect to the outputs is w (o - t). A step that may move every
output on its own goes against it, by t - o; what can be said of new rows is a function of the
inputs, so each step is the tree that is nearest to t - o, in part (Friedman 2001, "Greedy function
approximation: a gradient boosting machine", algorithm 2).

LightGBM grows the trees; errors, history, and when to stop are ours. The descent is watched on rows
left out: it ends where their MSE has risen by more than the standard error of that rise, both taken
from the same rows, or where it has not fallen for long; the round of least MSE is kept.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from halfsquare.loss import Floats, error
from halfsquare.models.trees import Input
from halfsquare.solvers.base import Reason, Record, Termination
from halfsquare.sums import MeanSums

Told = Callable[[Record], None]

# A rise of the MSE on rows left out by so many of its standard errors is no accident …
_SIGNIFICANT = 2.0
# … and a stretch of rounds without a new least ends the descent whatever the noise: this, or a
# share of the rounds.
_PATIENCE, _PATIENCE_SHARE = 50, 0.1
_FEWEST_AFTER = 10  # rounds after the least before a rise is judged
_EVERY = 5  # rounds from one look at the rows left out to the next


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


@dataclass(frozen=True)
class Boosted:
    """A descent that is over.

    Attributes
    ----------
    base : float
        The weighted mean of the targets, where it began.
    typical : tuple of int
        The code of each input that a missing value stands for where none was missing: the weighted
        median.
    trees : str
        As the library writes them; see :mod:`halfsquare.solvers.grown_trees`.
    count : int
        How many there are.
    left_out : (m,)
        The outputs for the rows left out, at the round that was kept.
    history : list of Record
        By rounds: ½SSE of the training rows, and in its notes the MSE of the training rows
        (``train_mse``) and of the rows left out, with its standard error (``left_out_mse``,
        ``left_out_mse_se``).
    termination : Termination
    """

    base: float
    typical: tuple[int, ...]
    trees: str
    count: int
    left_out: Floats
    history: list[Record]
    termination: Termination


def boost(
    rows: CodedRows,
    left_out: CodedRows,
    inputs: Sequence[Input],
    counts: Sequence[int],
    growth: Growth,
    *,
    seed: int = 0,
    monotone: Sequence[int] = (),
    rounds: int | None = None,
    deadline: float | None = None,
    tell: Told | None = None,
) -> Boosted:
    """Descend on ``rows`` until the rows left out say stop; of none left out, for ``rounds``
    rounds.

    Parameters
    ----------
    rows, left_out : CodedRows
        Left out may be none.
    inputs, counts : sequences
        The inputs, and how many codes each has.
    seed : int
        Fixes which rows and inputs each tree is grown from; one thread grows all trees, so the bits
        are the same whatever is done beside it.
    monotone : sequence of int, optional
        For each input 1 where the output must not fall with it, -1 where it must not rise, else 0.
    rounds : int, optional
        Trees, at most; those of the growth by default.
    deadline : float, optional
        A reading of ``time.monotonic()`` after which no round is begun.
    tell : callable, optional
        Called with the record of round 0, and of each; a KeyboardInterrupt ends the descent with
        the best so far.
    """
    import lightgbm

    total = float(rows.weights.sum())
    base = float(rows.weights @ rows.target) / total
    categories = [j for j, each in enumerate(inputs) if each.kind == "category"]
    parameters = _parameters(growth, seed, monotone)
    parameters["bin_construct_sample_cnt"] = max(len(rows), 1)
    typical = _typical(rows, inputs, counts)
    data = lightgbm.Dataset(
        _matrix(rows.codes, inputs, counts, typical),
        rows.target,
        weight=rows.weight,
        init_score=np.full(len(rows), base),
        categorical_feature=categories,
        params=parameters,
    )
    booster = lightgbm.Booster(parameters, data)
    stop = _Stop(left_out, base)
    if len(left_out):
        matrix = _matrix(left_out.codes, inputs, counts, typical)
        start = np.full(len(left_out), base)
        judged = lightgbm.Dataset(
            matrix, left_out.target, init_score=start, reference=data, params=parameters
        )
        booster.add_valid(judged, "left out")
    history: list[Record] = []
    most = growth.rounds if rounds is None else rounds
    ended = Termination(Reason.ROUND_LIMIT, most)
    if tell is not None:
        try:
            tell(_record(0, rows, np.full(len(rows), base), stop))
        except KeyboardInterrupt:
            ended, most = Termination(Reason.INTERRUPTED), 0
    for number in range(1, most + 1):
        if deadline is not None and time.monotonic() >= deadline and number > 1:
            ended = Termination(Reason.TIME_LIMIT)
            break
        exhausted = booster.update()
        if number % _EVERY and number != most and not exhausted:
            continue
        record, why = _look(number, rows, _outputs(booster.eval_train), left_out, stop, booster)
        history.append(record)
        why = why or (Termination(Reason.NO_TREE) if exhausted else None)
        if tell is not None:
            try:
                tell(record)
            except KeyboardInterrupt:
                why = Termination(Reason.INTERRUPTED)
        if why is not None:
            ended = why
            break
    kept = stop.best if len(left_out) else booster.current_iteration()
    # As text, which takes a tenth of the time of JSON; of 0 rounds all would be written.
    trees = booster.model_to_string(num_iteration=kept) if kept else ""
    return Boosted(base, typical, trees, kept, stop.outputs, history, ended)


def _look(
    number: int, rows: CodedRows, outputs: Floats, left_out: CodedRows, stop: _Stop, booster: Any
) -> tuple[Record, Termination | None]:
    """The errors after a round, and why to stop; None to go on."""
    why = stop.judge(number, _outputs(booster.eval_valid)) if len(left_out) else None
    return _record(number, rows, outputs, stop), why


def _record(number: int, rows: CodedRows, outputs: Floats, stop: _Stop) -> Record:
    """The errors after a round; before the first, every output is the mean."""
    e = error(rows.target, outputs)
    pull = rows.weights * e
    sse = float(pull @ e)
    notes = {"train_mse": sse / float(rows.weights.sum())}
    if len(stop.outputs):
        notes |= {"left_out_mse": stop.mse, "left_out_mse_se": stop.mse_se}
    return Record(number, 0.5 * sse, float(np.linalg.norm(pull)), notes)


def _outputs(evaluate: Callable[[Any], Any]) -> Floats:
    """The outputs of a booster so far, for the rows that it evaluates."""
    found: list[Floats] = []

    def keep(outputs: Floats, _: Any) -> tuple[str, float, bool]:
        found.append(outputs.copy())
        return "none", 0.0, False

    evaluate(keep)
    return found[0]


class _Stop:
    """The rows left out: the round that suits them best, and whether it is behind us."""

    def __init__(self, rows: CodedRows, base: float) -> None:
        self._target, self._weight = rows.target, rows.weights
        self.outputs = np.full(len(rows), base)
        self.best = 0
        self._least = error(self._target, self.outputs) ** 2
        self.mse, self.mse_se = self._mean(self._least) if len(rows) else (np.nan, np.nan)
        self._least_mse = self.mse

    def judge(self, number: int, outputs: Floats) -> Termination | None:
        """Why to stop after round ``number``; None to go on."""
        squares = error(self._target, outputs) ** 2
        self.mse, self.mse_se = self._mean(squares)
        if self.mse < self._least_mse:
            self.best, self.outputs = number, outputs
            self._least, self._least_mse = squares, self.mse
            return None
        since = number - self.best
        if since >= max(_PATIENCE, _PATIENCE_SHARE * self.best):
            return Termination(Reason.LEFT_OUT_CALM, since)
        if since >= _FEWEST_AFTER:
            rise, doubt = self._mean(squares - self._least)
            if rise > _SIGNIFICANT * doubt:
                return Termination(Reason.LEFT_OUT_RISES)
        return None

    def _mean(self, values: Floats) -> tuple[float, float]:
        """Weighted mean and its standard error."""
        sums = MeanSums.of(values, self._weight)
        return sums.mean, sums.standard_error


def _parameters(growth: Growth, seed: int, monotone: Sequence[int]) -> dict[str, Any]:
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


def _typical(rows: CodedRows, inputs: Sequence[Input], counts: Sequence[int]) -> tuple[int, ...]:
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


def _matrix(
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
