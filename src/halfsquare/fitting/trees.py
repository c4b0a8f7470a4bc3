"""Training boosted trees: an ensemble of descents, each stopped by its own part of the rows left
out.

The rows are dealt into folds in two rounds (:mod:`halfsquare.fitting.folds`), and each member
leaves one fold out. Members of the first round grow trees whose every cut is the best one; those of
the second draw their cuts at random, which makes smoother functions. So each row has an error of
either kind, and these say how to weigh the two ensembles (:mod:`halfsquare.fitting.blend`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from threading import Event
from typing import Any, final

import numpy as np

from halfsquare.data.encoded_rows import EncodedRows
from halfsquare.data.encoder import Encoder
from halfsquare.data.features import Category, Instant, Number
from halfsquare.data.rows import ArrayRows, Rows
from halfsquare.errors import FitError, OptionError
from halfsquare.fitting.blend import (
    Blend,
    Part,
    Sample,
    blended,
    members_of,
    some_design,
    table,
    weights_of,
)
from halfsquare.fitting.family import Family
from halfsquare.fitting.folds import Folds
from halfsquare.fitting.side_by_side import of_member, side_by_side
from halfsquare.loss import Floats, error
from halfsquare.models.trees import Input, Trees
from halfsquare.parallel.base import Execution
from halfsquare.parallel.threads import Local
from halfsquare.results.fitted import FittedModel
from halfsquare.results.record import Training
from halfsquare.results.stretches import Stretches
from halfsquare.results.trained import Trained, TreesFacts
from halfsquare.solvers.base import State
from halfsquare.solvers.boosting import Boosted, CodedRows, Growth, boost
from halfsquare.solvers.grown_trees import grown
from halfsquare.solvers.loop import Record
from halfsquare.solvers.run import Run, Seed, Stream

BEST, RANDOM = "trees", "trees of random cuts"

_STAND_IN = 60  # rounds of trees that say what all would where no rows are
_MOST_CUTS = 253  # with a code below, one above and one for missing: what a byte can tell
_SAMPLED = 200_000  # rows that cuts are chosen from
# From so many rows on fewer members suffice, and fewer still.
_MANY_ROWS, _VERY_MANY_ROWS = 5000, 20_000
# Rows from which trees have more leaves: (rows, leaves of best cuts, leaves of random cuts, rate).
_SIZES = ((0, 8, 16, 0.1), (3000, 16, 31, 0.1), (20_000, 31, 62, 0.1), (100_000, 62, 62, 0.15))


def inputs_of(encoder: Encoder) -> tuple[Input, ...]:
    """What trees ask of an encoded row: numbers with their missing indicators, categories as a
    whole.
    """
    found: list[Input] = []
    for feature, (_, start, stop) in zip(encoder.features, encoder.groups, strict=True):
        names = feature.names
        if isinstance(feature, Category):
            found.append(Input(feature.column, "category", start, stop))
            continue
        marked = isinstance(feature, Number | Instant) and feature.indicator
        last = stop - 1 if marked else stop
        indicator = last if marked else -1
        found += [
            Input(names[j - start], "number", j, j + 1, indicator) for j in range(start, last)
        ]
    return tuple(found)


def cuts_of(values: Floats, weight: Floats | None, most: int = _MOST_CUTS) -> Floats:
    """Where numbers (n,) may be cut: between all neighbours, or of very many at quantiles of the
    weight; sorted.
    """
    known = ~np.isnan(values)
    w = np.ones(len(values)) if weight is None else weight
    distinct, place = np.unique(values[known], return_inverse=True)
    if len(distinct) < 2:
        return np.empty(0)
    low, high = distinct[:-1], distinct[1:]
    if len(low) > most:
        below = np.cumsum(np.bincount(place, weights=w[known]))
        at = np.unique(np.searchsorted(below, below[-1] * np.arange(1, most + 1) / (most + 1)))
        at = at[at < len(low)]
        low, high = low[at], high[at]
    middle = low + 0.5 * (high - low)
    return np.where(middle < high, middle, low)


@dataclass(frozen=True)
class Coded:
    """A table as trees take it; the target (n, k)."""

    inputs: tuple[Input, ...]
    cuts: tuple[Floats, ...]
    codes: Any
    target: Floats
    weight: Floats | None

    @classmethod
    def of(cls, rows: Rows, inputs: Sequence[Input], execution: Execution, seed: Seed) -> Coded:
        """The cuts from a sample of the rows, then the codes of all: a byte a value."""
        n = rows.row_count
        share = min(1.0, _SAMPLED / max(n, 1))

        def sample(index: int) -> tuple[Floats, Floats]:
            chunk = rows.chunk(index)
            some = np.ones(len(chunk.target), dtype=bool)
            if share < 1.0:
                some = seed.generator(Stream.CUTS, index).random(len(some)) < share
            values = np.array([each.values(chunk.design[some]) for each in inputs])
            w = np.ones(len(chunk.target)) if chunk.weight is None else chunk.weight
            return values.reshape(len(inputs), -1), w[some]

        parts = list(execution.map(sample, rows.chunk_count))
        values = np.concatenate([v for v, _ in parts], axis=1)
        w = np.concatenate([w for _, w in parts])
        cuts = tuple(
            np.empty(0) if each.kind == "category" else cuts_of(own, w)
            for each, own in zip(inputs, values, strict=True)
        )

        def code(index: int) -> tuple[Any, Floats, Floats | None]:
            chunk = rows.chunk(index)
            found = [i.codes(chunk.design, c) for i, c in zip(inputs, cuts, strict=True)]
            return (
                np.array(found, dtype=np.uint8).reshape(len(inputs), -1),
                chunk.target.copy(),
                chunk.weight,
            )

        coded = list(execution.map(code, rows.chunk_count))
        weights = [weight for _, _, weight in coded if weight is not None]
        return cls(
            tuple(inputs),
            cuts,
            np.concatenate([c for c, _, _ in coded], axis=1),
            np.concatenate([t for _, t, _ in coded]),
            np.concatenate(weights) if weights else None,
        )

    def rows(self, target: int) -> CodedRows:
        """The rows with one of the targets."""
        return CodedRows(self.codes, np.ascontiguousarray(self.target[:, target]), self.weight)

    @property
    def total(self) -> float:
        """Σw."""
        return float(len(self.target) if self.weight is None else self.weight.sum())

    @property
    def counts(self) -> list[int]:
        """How many codes each input has."""
        return [each.count(c) for each, c in zip(self.inputs, self.cuts, strict=True)]


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

    Returns
    -------
    list of Part
        One or two.

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
    folds = Folds.deal(n, members, random, least, rows.units)
    coded = Coded.of(rows, inputs, run.execution, run.seed)
    wanted = {name: g for name, g in growths(coded.total).items() if name in ensembles}
    count = 1 if folds is None else folds.count
    tasks = [
        (growth, (count if name == RANDOM else 0) + m)
        for name, growth in wanted.items()
        for m in range(count)
    ]
    again = isinstance(rows, EncodedRows) and rows.part == "all"
    plan = _Plan(coded, tuple(targets), folds, signs, rounds, run, tasks[0][1], again)
    # Trees of random cuts take longer: they come first, so that no thread is left alone with one.
    order = range(len(tasks))[::-1]
    lanes = run.execution.lanes(len(tasks))[0]
    done = side_by_side(lambda i, stop: plan.train(*tasks[i], stop), order, lanes)[::-1]
    made = {
        name: [d for d, t in zip(done, tasks, strict=True) if d is not None and t[0] is growth]
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
        out = np.zeros(n, dtype=bool) if self.folds is None else self.folds.left_out(member)
        random = self.run.seed.child(Stream.MEMBER, member).generator(Stream.TREES)
        boosted = []
        # Nothing left out tells when to stop: a number of rounds that few rows bear.
        rounds = self.rounds or (None if out.any() else 50)
        growth = growth if out.any() else replace(growth, rows=1.0)
        for j in range(len(self.targets)):
            rows = self.coded.rows(j)
            boosted.append(
                boost(
                    rows.where(~out), rows.where(out), self.coded.inputs, self.coded.counts, growth,
                    seed=int(random.integers(1 << 30)), monotone=self.signs, rounds=rounds,
                    deadline=self.run.deadline, tell=tell,
                )
            )  # fmt: skip
        at = np.flatnonzero(out)
        outputs = np.array([b.left_out for b in boosted]).T
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


@final
@dataclass(frozen=True)
class TreesFamily(Family):
    """Boosted trees: numbers by their order, categories and missing values as they are.

    ``members`` and ``rounds`` as of :func:`train_trees`.
    """

    members: int | None = None
    rounds: int | None = None

    @property
    def chooses(self) -> bool:
        return True

    def check(self) -> None:
        if self.options.method is not None:
            raise OptionError(f"the method {self.options.method} is not for trees: leave it out")
        if self.options.l2 != 0:
            raise OptionError("trees are stopped by rows left out; l2 is for the linear model")

    def train(self, rows: EncodedRows, run: Run) -> FittedModel:
        blend = blended(self.parts(rows, run), weights_of(rows, run.execution))
        return self.blended(rows, blend)

    def again(self, fitted: FittedModel, rows: EncodedRows, run: Run) -> FittedModel:
        """The ensembles in use on more rows, with the weights they had."""
        weights = {e.model: e.weight for e in fitted.record.training.ensembles if e.weight}
        parts = self.parts(rows, run, list(weights))
        kept = [float(weights[part.name] or 0.0) for part in parts]
        blend = blended(parts, weights_of(rows, run.execution), weights=kept)
        return self.blended(rows, blend, fitted.record.training.stretches)

    def stand_in(self, fitted: FittedModel, rows: ArrayRows) -> Sequence[Trained[Any]]:
        encoder = fitted.encoder
        parts = train_trees(
            rows,
            inputs_of(encoder),
            encoder.targets,
            Run(Local(1)),
            ensembles=(BEST,),
            members=1,
            rounds=_STAND_IN,
            monotone=self.options.monotone,
        )
        return parts[0].members

    def parts(
        self,
        rows: EncodedRows,
        run: Run,
        names: Sequence[str] = (BEST, RANDOM),
        rounds: int | None = None,
    ) -> list[Part]:
        """The ensembles, with their errors on rows left out; ``rounds`` is a limit.

        Raises
        ------
        OptionError
            On a cluster.
        """
        if not run.execution.serves_batches:
            raise OptionError("trees are not grown on a cluster: fit them on one machine")
        return train_trees(
            rows,
            inputs_of(rows.encoder),
            rows.encoder.targets,
            run,
            ensembles=names,
            members=self.members,
            rounds=rounds or self.rounds,
            monotone=self.options.monotone,
        )

    def blended(
        self, rows: EncodedRows, blend: Blend, stretches: tuple[Stretches, ...] = ()
    ) -> FittedModel:
        """The fitted model of the ensembles in use; ``stretches`` of one like it."""
        members = members_of(blend, some_design(rows))
        training = trees_training(blend, members, rows)
        return self.fitted(rows, members, replace(training, stretches=stretches))


def unit_of(rows: EncodedRows) -> float:
    """From squared standardized errors to the squared unit of the target; 1 for several targets."""
    scales = rows.encoder.target_scales
    return float(scales[0]) ** 2 if len(scales) == 1 else 1.0


def trees_training(blend: Blend, members: Sequence[Trained[Any]], rows: EncodedRows) -> Training:
    """How both ensembles did, and how much each column moves the output."""
    unit, known = unit_of(rows), bool(np.isfinite(blend.mse))
    return Training(
        "trees",
        "boosting",
        relevance=trees_relevance(members, rows.encoder, some_design(rows)),
        ensembles=table(blend, unit),
        left_out_mse=blend.mse * unit if known else None,
        left_out_mse_se=blend.mse_se * unit if known else None,
    )


def column_contributions(
    members: Sequence[Trained[Any]], encoder: Encoder, design: Floats
) -> tuple[Floats, Floats]:
    """What adds up to the outputs of rows of a design (m, d), in the unit of the targets: a
    constant (k,), and of each column of the encoder (m, k, columns).
    """
    constant, added = _contributions(members, encoder, design)
    scales = encoder.target_scales
    return (
        constant * scales + encoder.target_means,
        np.stack([*added], axis=2) * scales[:, None],
    )


def _contributions(
    members: Sequence[Trained[Any]], encoder: Encoder, design: Floats
) -> tuple[Floats, list[Floats]]:
    """The constant (k,), and what each column adds (m, k), standardized."""
    shares = np.array([m.share for m in members])
    constant: Any = 0.0
    total: Any = 0.0
    for member, share in zip(members, shares / shares.sum(), strict=True):
        assert isinstance(member.model, Trees)
        own, parts = member.model.contributions(member.parameters, design)
        constant, total = constant + share * own, total + share * parts
    inputs = inputs_of(encoder)
    return constant, [
        total[:, :, [j for j, i in enumerate(inputs) if start <= i.first < stop]].sum(axis=2)
        for _, start, stop in encoder.groups
    ]


def trees_relevance(
    members: Sequence[Trained[Any]], encoder: Encoder, some: Sample
) -> dict[str, float]:
    """The share of each column in the mean square of all contributions to the outputs."""
    added = _contributions(members, encoder, some.design)[1]
    found = [float(some.share @ np.square(part).mean(axis=1)) for part in added]
    whole = sum(found)
    return {
        column: value / whole if whole > 0 else 0.0
        for (column, _, _), value in zip(encoder.groups, found, strict=True)
    }
