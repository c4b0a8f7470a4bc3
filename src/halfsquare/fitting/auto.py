"""The automatic choice: a linear model, trees and networks, blended by their errors on rows left
out.

Every part comes with its errors on rows that it had not seen, and the parts are combined by least
squares (:mod:`halfsquare.fitting.blend`). What is not worth its standard error is left out, and
where nothing is significantly better than the linear model, that is the answer. How much is tried
is limited by the work it would take, not by the clock: the choice does not depend on the machine.

``prefer="simple"`` blends nothing: it takes the simplest single model that is not significantly
worse (:mod:`halfsquare.fitting.simplest`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, final

import numpy as np
import numpy.typing as npt

from halfsquare.data.encoded_rows import EncodedRows
from halfsquare.data.rows import ArrayRows
from halfsquare.errors import FitError, OptionError
from halfsquare.fitting.blend import Blend, blended, members_of, some_design, weights_of
from halfsquare.fitting.blend_facts import blend_training, candidates_of
from halfsquare.fitting.family import Family
from halfsquare.fitting.judged import Part, may_gain
from halfsquare.fitting.left_out_linear import left_out_linear
from halfsquare.fitting.linear import LinearFamily
from halfsquare.fitting.network import NetworkFamily, network_training
from halfsquare.fitting.simplest import simplest, simplest_again
from halfsquare.fitting.train_trees import BEST, RANDOM, Worth
from halfsquare.fitting.trees import TreesFamily, trees_training
from halfsquare.loss import Floats
from halfsquare.models.base import Model
from halfsquare.models.linear import Linear
from halfsquare.models.network import Network
from halfsquare.models.trees import Trees
from halfsquare.results.fitted import FittedModel
from halfsquare.results.record import Candidate, Training
from halfsquare.results.stretches import Stretches
from halfsquare.results.trained import NetworkFacts, Trained
from halfsquare.solvers.run import Run

LINEAR, NETWORK = "linear", "network"
_ORDER = (LINEAR, BEST, RANDOM, NETWORK)  # the simplest first
_FEWEST_ROWS = 50
# Below so many rows networks come before trees, and more trees are grown where the first leave it
# open that they lower the network's MSE by this share.
_FEW_ROWS, _LEAST_GAIN = 5000, 0.1
# An MSE of this share of the targets' variance is rounding.
_EXACT = 1e-12
# Of networks: members, and from how many rows on mini-batches alone, in so many visits to rows that
# the fit takes about a minute on two cores.
_MEMBERS, _MEMBERS_MANY = 6, 4
_MANY_ROWS, _MOST_VISITS = 20_000, 1.5e7
_FEWEST_PASSES = 5
# Of trees: rows times columns times rounds of all members, for about a minute.
_MOST_CELLS, _FEWEST_ROUNDS, _MOST_ROUNDS, _TREE_MEMBERS = 6e9, 50, 1000, 4


@final
class AutoFamily(Family):
    """A linear model, trees and networks, blended."""

    @property
    def chooses(self) -> bool:
        return True

    @property
    def sums_products(self) -> bool:
        return True

    def check(self) -> None:
        if self.options.method is not None:
            raise OptionError(
                f"the method {self.options.method} is for one family: say which, with the "
                "model option"
            )
        LinearFamily(self.options).check()

    def train(self, rows: EncodedRows, run: Run) -> FittedModel:
        if self.options.prefer == "simple":
            return simplest(self, rows, run)
        weight = weights_of(rows, run.execution)
        notes: dict[str, str] = {}
        why = self._why_linear_alone(rows)
        parts = [self._linear_part(rows, run, judged=not why)]
        if not why and _mean_square(parts[0]) < _EXACT:
            why = "the linear model is exact"
        for name, make in self._more(rows, parts, weight, notes).items():
            late = "the time limit has passed" if run.late else ""
            problem = why or late or self._too_much(name, rows, run)
            if problem:
                notes[name] = f"not tried: {problem}"
                continue
            try:
                for part in make(rows, run):
                    if part.judged.any():
                        parts.append(part)
                    else:
                        notes[part.name] = "no rows were left out to judge it by"
            except FitError as failed:
                notes[name] = f"failed: {failed}"
        parts.sort(key=lambda part: _ORDER.index(part.name))
        blend = blended(parts, weight, simplest=True)
        return self._fitted(rows, blend, candidates_of(blend, notes, rows))

    def again(self, fitted: FittedModel, rows: EncodedRows, run: Run) -> FittedModel:
        """The parts in use trained on more rows, with the weights they had."""
        if self.options.prefer == "simple":
            return simplest_again(self, fitted, rows, run)
        before = fitted.record.training
        rows = self.measured(fitted, rows)
        weights = {c.model: c.weight for c in before.candidates if c.weight}
        parts = []
        if LINEAR in weights:
            parts.append(self._linear_part(rows, run, judged=len(weights) > 1))
        ensembles = [name for name in (BEST, RANDOM) if name in weights]
        if ensembles:
            parts += self._tree_parts(rows, run, ensembles)
        if NETWORK in weights:
            networks = [m for m in fitted.members if isinstance(m.model, Network)]
            members = NetworkFamily(self.options).longer(networks, rows, run.at(NETWORK))
            parts += [_of_network(members, rows)] if members else self._network_part(rows, run)
        kept = np.array([weights[part.name] for part in parts])
        weight = weights_of(rows, run.execution)
        blend = blended(parts, weight, weights=kept / kept.sum())
        found = self._fitted(rows, blend, before.candidates, before.stretches)
        # What the choice was made by stays beside the table of what was tried.
        return found.with_training(
            left_out_mse=before.left_out_mse, left_out_mse_se=before.left_out_mse_se
        )

    def _more(
        self, rows: EncodedRows, parts: list[Part], weight: Floats | None, notes: dict[str, str]
    ) -> dict[str, Callable[[EncodedRows, Run], list[Part]]]:
        """What is tried beside the linear model, in turn; trees in vain are noted.

        Of few rows networks come first, since the first trees then tell whether more are worth
        growing; of many, trees are the cheaper.
        """
        if rows.row_count >= _FEW_ROWS or self.options.time_limit is not None:
            return {BEST: self._tree_parts, NETWORK: self._network_part}

        def trees(rows: EncodedRows, run: Run) -> list[Part]:
            network = next((part for part in parts if part.name == NETWORK), None)
            if network is None:
                return self._tree_parts(rows, run)

            def worth(name: str, at: npt.NDArray[np.intp], errors: Floats) -> bool:
                own = None if weight is None else weight[at]
                if may_gain(network.mean_error[at], errors, own) >= _LEAST_GAIN:
                    return True
                notes[name] = (
                    "stopped after the first members: beside the network it would lower "
                    f"the MSE by less than {_LEAST_GAIN:.0%}"
                )
                return False

            return self._tree_parts(rows, run, worth=worth)

        return {NETWORK: self._network_part, BEST: trees}

    def _fitted(
        self,
        rows: EncodedRows,
        blend: Blend,
        candidates: Sequence[Candidate],
        stretches: tuple[Stretches, ...] = (),
    ) -> FittedModel:
        """One part as its own family would return it; several as a blend. ``stretches`` of one
        like it.
        """
        used = blend.used
        names = {part.name for part, _ in used}
        members = members_of(blend, some_design(rows))
        if names == {LINEAR}:
            if rows.units is not None and used[0][0].judged.any():
                # The error without one row would know its neighbours: those of the folds do not.
                members = [replace(m, left_out=used[0][0].errors) for m in members]
            training = Training("linear", "least-squares")
        elif names == {NETWORK}:
            training = network_training(members, rows)
        elif names <= {BEST, RANDOM}:
            training = trees_training(blend, members, rows)
        else:
            training = blend_training(blend, rows)
        chosen = " + ".join(part.name for part, _ in used)
        training = replace(
            training, candidates=tuple(candidates), chosen=chosen, stretches=stretches
        )
        return self.fitted(rows, members, training)

    def stand_in(self, fitted: FittedModel, rows: ArrayRows) -> Sequence[Trained[Any]]:
        """One of each family in use, with the weight that its parts have together."""
        plain = replace(self.options, l2=0)
        families: dict[type[Model], Family] = {
            Linear: LinearFamily(self.options),
            Network: NetworkFamily(plain),
            Trees: TreesFamily(plain),
        }
        found: list[Trained[Any]] = []
        for kind, family in families.items():
            share = sum(m.share for m in fitted.members if isinstance(m.model, kind))
            if share:
                own = family.stand_in(fitted, rows)
                found += [replace(m, share=share / len(own)) for m in own]
        return found

    def _network_part(self, rows: EncodedRows, run: Run) -> list[Part]:
        family, run = NetworkFamily(replace(self.options, l2=0)), run.at(NETWORK)
        if rows.row_count < _MANY_ROWS:
            members = family.trained(rows, run, None, _MEMBERS)
        else:
            passes = int(_MOST_VISITS / (rows.row_count * _MEMBERS_MANY))
            members = family.trained(rows, run, None, _MEMBERS_MANY, "minibatch", passes)
        return [_of_network(members, rows)]

    def _linear_part(self, rows: EncodedRows, run: Run, *, judged: bool) -> Part:
        family = LinearFamily.of_choice(self.options, rows)
        linear = family.trained(rows, run)
        n, k = rows.row_count, len(rows.encoder.targets)
        own: Floats = np.full((n, k), np.nan)
        if judged:
            own = left_out_linear(rows, family.options.l2, run)
        return Part(LINEAR, [linear], np.stack([own, own]))

    def _tree_parts(
        self,
        rows: EncodedRows,
        run: Run,
        names: Sequence[str] = (BEST, RANDOM),
        worth: Worth | None = None,
    ) -> list[Part]:
        rounds = min(int(_MOST_CELLS / _cells(rows)), _MOST_ROUNDS)
        return TreesFamily(self.options).parts(rows, run, names, rounds, worth)

    def _why_linear_alone(self, rows: EncodedRows) -> str:
        if not rows.encoder.names:
            return "there are no columns to learn from"
        if rows.row_count < _FEWEST_ROWS:
            return (
                f"{rows.row_count} rows are too few to judge it by; at least "
                f"{_FEWEST_ROWS} are needed"
            )
        return ""

    def _too_much(self, name: str, rows: EncodedRows, run: Run) -> str:
        """What would take more than the budget; how to go on."""
        n = rows.row_count
        if name == BEST:
            if not run.execution.serves_batches:
                return "trees are not grown on a cluster"
            if _cells(rows) * _FEWEST_ROUNDS > _MOST_CELLS:
                return f"{n:,} rows take minutes or more; --model trees tries it all the same"
            return ""
        if n >= _MANY_ROWS and not run.execution.serves_batches:
            return "mini-batches are not for a cluster; --model network tries it all the same"
        if n * _MEMBERS_MANY * _FEWEST_PASSES > _MOST_VISITS:
            return f"{n:,} rows take minutes or more; --model network tries it all the same"
        return ""


def _of_network(members: list[Trained[NetworkFacts]], rows: EncodedRows) -> Part:
    errors = members[0].left_out
    if errors is None:
        errors = np.full((2, rows.row_count, len(rows.encoder.targets)), np.nan)
    return Part(NETWORK, members, errors)


def _cells(rows: EncodedRows) -> float:
    """What a round of all members of trees goes through."""
    return float(rows.row_count) * max(len(rows.encoder.features), 1) * _TREE_MEMBERS


def _mean_square(part: Part) -> float:
    return float(np.nanmean(np.square(part.errors)))
