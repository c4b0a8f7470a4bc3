"""Training boosted trees: an ensemble of descents, each stopped by its own part of the rows left
out.

The rows are dealt into folds in two rounds (:mod:`halfsquare.fitting.folds`), and each member
leaves one fold out. Members of the first round grow trees whose every cut is the best one; those of
the second draw their cuts at random, which makes smoother functions. So each row has an error of
either kind, and these say how to weigh the two ensembles (:mod:`halfsquare.fitting.blend`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from threading import Event
from typing import Any

import numpy as np
import numpy.typing as npt

from halfsquare.data.encoded_rows import EncodedRows
from halfsquare.data.rows import Rows
from halfsquare.errors import FitError, OptionError
from halfsquare.fitting.coded import Coded
from halfsquare.fitting.folds import Folds, LeftOut
from halfsquare.fitting.judged import Part
from halfsquare.fitting.side_by_side import of_member, side_by_side
from halfsquare.loss import Floats, error
from halfsquare.models.tree_inputs import Input
from halfsquare.results.trained import Trained, TreesFacts
from halfsquare.solvers.base import Record, State
from halfsquare.solvers.boosting import Boosted, boost
from halfsquare.solvers.grown_trees import grown
from halfsquare.solvers.lightgbm_input import CodedRows, Growth
from halfsquare.solvers.run import Run, Stream

BEST, RANDOM = "trees", "trees of random cuts"

# Whether more members of an ensemble are worth growing: by its name, the rows (m,) that its members
# so far left out, and the errors (m, k) there. So many members are asked one after the other.
_ASKED = 2
Worth = Callable[[str, npt.NDArray[np.intp], Floats], bool]


# From so many rows on fewer members suffice, and fewer still.
_MANY_ROWS, _VERY_MANY_ROWS = 5000, 20_000


# Rows from which trees have more leaves: (rows, leaves of best cuts, leaves of random cuts, rate).
_SIZES = ((0, 8, 16, 0.1), (3000, 16, 31, 0.1), (20_000, 31, 62, 0.1), (100_000, 62, 62, 0.15))


def growths(rows: float) -> dict[str, Growth]:
    """How the trees of the two ensembles are grown from that many rows, or from their weight."""
    _, leaves, leaves_random, rate = next(s for s in reversed(_SIZES) if rows >= s[0])
    # Of few rows a leaf may hold fewer.
    least = min(5.0, max(1.0, rows / 50))
    return {
        BEST: Growth(leaves, rate, least),
        RANDOM: Growth(leaves_random, rate, least, random_cuts=True),
    }


def train_trees(
    rows: Rows,
    inputs: Sequence[Input],
    targets: Sequence[str],
    run: Run | None = None,
    *,
    ensembles: Sequence[str] = (BEST, RANDOM),
    members: int | None = None,
    rounds: int | None = None,
    monotone: Mapping[str, int] | None = None,
    worth: Worth | None = None,
) -> list[Part]:
    """Train both ensembles; their errors on rows left out come with them.

    Parameters
    ----------
    rows : Rows
        Design (n, d) and target (n, k).
    inputs : sequence of Input
        Of the design.
    targets : sequence of str
        Names of the k targets.
    run : Run, optional
        Its seed fixes folds and trees; the result does not depend on the number of threads. No
        round is begun after its deadline; ``notes["member"]`` tells its callback whose state it
        sees, from several threads.
    ensembles : sequence of str
        Which of the two.
    members : int, optional
        Of both ensembles together, half each; by default 10, 6 where rows are many, 4 where
        they are very many.
    rounds : int, optional
        Trees of a member, at most.
    monotone : mapping of input name to 1 or -1, optional
        Inputs with which the output must not fall, or not rise.
    worth : callable, optional
        Asked after each of the first members of an ensemble; where it says no, no other is grown.

    Returns
    -------
    list of Part
        One or two; those alone that ``worth`` said yes to.

    Raises
    ------
    FitError
        If there are fewer than 2 rows.
    OptionError
        If a monotone input is not there, or a category.
    """
    run = run or Run()
    n = rows.row_count
    if n < 2:
        raise FitError(f"trees need at least 2 rows, found {n}")
    signs = _signs(inputs, monotone or {})
    many = n >= _MANY_ROWS
    members = members or (10 if not many else 6 if n < _VERY_MANY_ROWS else 4)
    random, least = run.seed.generator(Stream.FOLDS), 10 if many else 0
    coded = Coded.of(rows, inputs, run.execution, run.seed)
    weight = coded.weight if rows.units is None else None
    folds = Folds.deal(n, members, random, least, rows.units, weight)
    wanted = {name: g for name, g in growths(coded.total).items() if name in ensembles}
    count = 1 if folds is None else folds.count
    tasks = [
        (growth, (count if name == RANDOM else 0) + m)
        for name, growth in wanted.items()
        for m in range(count)
    ]
    again = isinstance(rows, EncodedRows) and rows.part == "all"
    plan = _Plan(coded, tuple(targets), folds, signs, rounds, run, tasks[0][1], again)
    done = {} if worth is None or folds is None else plan.asked(tasks, wanted, worth)
    # Trees of random cuts take longer: they come first, so that no thread is left alone with one.
    kept = list(wanted.values())
    rest = [i for i, task in enumerate(tasks) if task[0] in kept and i not in done]
    done |= plan.grow(tasks, rest[::-1])
    made = {
        name: [d for i, t in enumerate(tasks) if t[0] is growth and (d := done.get(i)) is not None]
        for name, growth in wanted.items()
    }
    return [plan.part(name, trained) for name, trained in made.items() if trained]


def _signs(inputs: Sequence[Input], monotone: Mapping[str, int]) -> tuple[int, ...]:
    numbers = [each.name for each in inputs if each.kind == "number"]
    for name in monotone:
        if name not in numbers:
            raise OptionError(
                f"monotone names {name!r}, which is no number among the inputs; there are "
                f"{', '.join(numbers)}"
            )
    return tuple(monotone.get(each.name, 0) for each in inputs)


@dataclass(frozen=True)
class _Member:
    """A member's descents, one for each target, and its errors (m, k) on the rows it left out."""

    number: int
    boosted: list[Boosted]
    left_out: Any
    errors: Floats


@dataclass(frozen=True)
class _Plan:
    """What every member is trained from; ``first`` is the member that always begins, and ``refit``
    is told to the callback.
    """

    coded: Coded
    targets: tuple[str, ...]
    folds: Folds | None
    signs: tuple[int, ...]
    rounds: int | None
    run: Run
    first: int
    refit: bool = False
    ended: Event = field(default_factory=Event)

    def grow(
        self, tasks: Sequence[tuple[Growth, int]], which: Sequence[int]
    ) -> dict[int, _Member | None]:
        """Those of the tasks that ``which`` names, side by side in that order."""
        at_once = self.run.execution.concurrent(max(len(which), 1))[0]
        found = side_by_side(lambda i, stop: self.train(*tasks[i], stop), which, at_once)
        return dict(zip(which, found, strict=True))

    def asked(
        self, tasks: Sequence[tuple[Growth, int]], wanted: dict[str, Growth], worth: Worth
    ) -> dict[int, _Member | None]:
        """The first members; of ``wanted`` the ensembles go whose members are not worth more."""
        assert self.folds is not None
        done: dict[int, _Member | None] = {}
        for number in range(min(_ASKED, self.folds.count)):
            kept = list(wanted.values())
            now = [
                i for i, t in enumerate(tasks) if t[0] in kept and i % self.folds.count == number
            ]
            done |= self.grow(tasks, now)
            for name, growth in list(wanted.items()):
                seen = [m for i, m in done.items() if m is not None and tasks[i][0] is growth]
                if seen and not worth(
                    name,
                    np.concatenate([m.left_out for m in seen]),
                    np.concatenate([m.errors for m in seen]),
                ):
                    del wanted[name]
        return done

    def train(self, growth: Growth, member: int, stop: Event) -> _Member | None:
        """One member; None if there is no time to begin."""
        if member != self.first and (self.run.late or self.ended.is_set()):
            return None
        callback = of_member(self.run.callback, member, stop, self.ended)
        told = {"refit": 1.0} if self.refit else {}

        def tell(record: Record) -> None:
            callback(
                State(
                    np.empty(0), record.loss, record.gradient_norm, record.iteration,
                    notes={**record.notes, **told}, memory=None,
                )
            )  # fmt: skip

        n = len(self.coded.target)
        left_out = LeftOut.none(n) if self.folds is None else self.folds.left_out(member)
        out, told_of = left_out.mask, left_out.told_of
        random = self.run.seed.child(Stream.MEMBER, member).generator(Stream.TREES)
        boosted = []
        # Nothing left out tells when to stop: a number of rounds that few rows bear.
        rounds = self.rounds or (None if out.any() else 50)
        growth = growth if out.any() else replace(growth, rows=1.0)
        for j in range(len(self.targets)):
            rows = self.coded.rows(j)
            boosted.append(
                boost(
                    *_parted(rows, left_out), self.coded.inputs, self.coded.counts, growth,
                    seed=int(random.integers(1 << 30)), monotone=self.signs, rounds=rounds,
                    deadline=self.run.deadline, tell=tell,
                )
            )  # fmt: skip
        at = np.flatnonzero(told_of)
        outputs = np.array([b.left_out[told_of[out]] for b in boosted]).T
        return _Member(member, boosted, at, error(self.coded.target[at], outputs))

    def part(self, name: str, members: Sequence[_Member]) -> Part:
        """The ensemble, with the error of one member on each row."""
        n, k = self.coded.target.shape
        errors = np.full((2, n, k), np.nan)
        if self.folds is not None:
            for member in members:
                errors[:, member.left_out] = member.errors
        trained = []
        for member in members:
            model, parameters = grown(
                member.boosted, self.coded.inputs, self.coded.cuts, self.targets
            )
            trees = [b.count for b in member.boosted]
            trained.append(
                Trained(
                    model, parameters, None, np.full(k, np.nan), float(len(parameters)),
                    next((b.termination for b in member.boosted if not b.termination.converged),
                         member.boosted[0].termination),
                    TreesFacts(ensemble=name, fold=member.number, trees=tuple(trees)),
                    history=tuple(member.boosted[0].history),
                )
            )  # fmt: skip
        return Part(name, trained, errors)


def _parted(rows: CodedRows, left_out: LeftOut) -> tuple[CodedRows, CodedRows]:
    """Those to learn from, and those left out."""
    rest = left_out.rest
    if rest is None:
        return rows.where(~left_out.mask), rows.where(left_out.mask)
    seen, out = replace(rows, weight=rest), replace(rows, weight=left_out.counts)
    return seen.where(rest > 0), out.where(left_out.mask)
