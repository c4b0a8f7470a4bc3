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

from halfsquare.loss import Floats, error
from halfsquare.models.tree_inputs import Input
from halfsquare.solvers.base import Reason, Record, Termination
from halfsquare.solvers.lightgbm_input import (
    CodedRows,
    Growth,
    library_matrix,
    library_parameters,
    typical_codes,
)
from halfsquare.sums import MeanSums

Told = Callable[[Record], None]

# A rise of the MSE on rows left out by so many of its standard errors is no accident …
_SIGNIFICANT = 2.0
# … and a stretch of rounds without a new least ends the descent whatever the noise: this, or a
# share of the rounds.
_STALLED, _STALLED_SHARE = 50, 0.1
_FEWEST_AFTER = 10  # rounds after the least before a rise is judged
_EVERY = 5  # rounds from one look at the rows left out to the next


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
    parameters = library_parameters(growth, seed, monotone)
    parameters["bin_construct_sample_cnt"] = max(len(rows), 1)
    typical = typical_codes(rows, inputs, counts)
    data = lightgbm.Dataset(
        library_matrix(rows.codes, inputs, counts, typical),
        rows.target,
        weight=rows.weight,
        init_score=np.full(len(rows), base),
        categorical_feature=categories,
        params=parameters,
    )
    booster = lightgbm.Booster(parameters, data)
    stop = _Stop(left_out, base)
    if len(left_out):
        matrix = library_matrix(left_out.codes, inputs, counts, typical)
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
        if since >= max(_STALLED, _STALLED_SHARE * self.best):
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
