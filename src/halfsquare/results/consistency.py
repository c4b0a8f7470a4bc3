"""What the parts of a fitted model say of each other must agree, where a file has been read."""

from __future__ import annotations

from collections.abc import Iterator
from math import inf, isfinite
from typing import Any, Literal, cast

from halfsquare.data.encoder import Encoder
from halfsquare.data.splits import Split
from halfsquare.errors import OptionError
from halfsquare.files.records import from_json
from halfsquare.results.ensemble import Ensemble
from halfsquare.results.record import Training
from halfsquare.results.trained import (
    Facts,
    FormulaFacts,
    LinearFacts,
    NetworkFacts,
    Trained,
    TreesFacts,
)
from halfsquare.sums import ErrorSummary

# Which models a fitted one of that kind is made of, and what is known of each; by the names of
# their classes, so that a line does not import all the others.
_FACTS: dict[str, type] = {
    "Linear": LinearFacts,
    "Network": NetworkFacts,
    "Trees": TreesFacts,
    "Formula": FormulaFacts,
}
_KINDS: dict[str, tuple[str, ...]] = {
    "linear": ("Linear",),
    "network": ("Network",),
    "trees": ("Trees",),
    "formula": ("Formula",),
    "blend": ("Linear", "Network", "Trees"),
}


def require_consistent(fitted: Ensemble) -> None:
    """See that the record of a fitted model is whole, and belongs to its members.

    Raises
    ------
    ValueError
        With what does not belong together.
    """
    told = next(_differences(fitted), None)
    if told is not None:
        raise ValueError(told)


def _differences(fitted: Ensemble) -> Iterator[str]:
    record, training = fitted.record, fitted.record.training
    if record.data is None or record.measured is None or record.version is None:
        yield "it is not said what was fitted to what"
        return
    if record.data.targets != fitted.encoder.targets:
        yield f"a model of {', '.join(fitted.encoder.targets)} that was fitted to others"
    yield from _options(record.options)
    _require_reading(record.data.reading)
    if record.measured.split is not None:
        try:
            Split.read(record.measured.split)
        except OptionError as problem:
            yield str(problem)
    for summary in (record.measured.train, record.measured.test):
        if summary is not None:
            yield from _errors(summary)
    yield from _training(training)
    tried = {c.model for c in training.candidates}
    if tried and not set(str(training.chosen).split(" + ")) <= tried:
        yield "the model that was chosen was not tried"
    if training.kind not in _KINDS:
        yield f"a model of the unknown kind {training.kind!r}"
        return
    for member in fitted.members:
        yield from _member(member, _KINDS[training.kind], fitted.encoder)


def _training(training: Training) -> Iterator[str]:
    """What each kind of model has to tell of itself."""
    if training.kind in ("network", "trees", "blend") and training.relevance is None:
        yield f"{training.kind} without the relevance of the columns"
    if not all(0 <= value < 1e150 for value in (training.relevance or {}).values()):
        yield "a relevance that is none"
    if any(e.weight is None for e in training.ensembles):
        yield "an ensemble of trees without its weight"
    if training.kind == "blend" and None in (training.left_out_mse, training.left_out_mse_se):
        yield "a blend without its error on rows left out"


def _options(options: Any) -> Iterator[str]:
    known = from_json(dict[str, Any], options, "options")
    from_json(int, known.get("seed"), "options.seed")
    from_json(
        Literal["half_sse", "sse", "mse", "half_mse"],  # type: ignore[arg-type]
        known.get("loss"),
        "options.loss",
    )
    yield from ()


def _require_reading(reading: dict[str, Any]) -> None:
    """What is told of how the columns were read."""
    from_json(list[str], reading.get("suspicious", []), "reading.suspicious")
    columns = from_json(list[dict[str, Any]], reading.get("columns", []), "reading.columns")
    for i, column in enumerate(columns):
        at = f"reading.columns[{i}]"
        for key in ("name", "read_as"):
            from_json(str, column.get(key), f"{at}.{key}")
        from_json(float, column.get("missing"), f"{at}.missing")
        if ("from" in column) != ("to" in column):
            raise ValueError(f"{at} has one end of a range")


def _errors(summary: ErrorSummary) -> Iterator[str]:
    if not summary.rows >= 0 or not 0.0 < summary.weight < inf:
        yield f"errors on {summary.rows} rows of weight {summary.weight}"
    if not isfinite(summary.mse):
        yield f"a mean squared error of {summary.mse}"


def _member(member: Trained[Any], models: tuple[str, ...], encoder: Encoder) -> Iterator[str]:
    model, facts = type(member.model).__name__, cast(Facts, member.facts)
    if model not in models or not isinstance(facts, _FACTS[model]):
        yield "a model of one kind with the facts of another"
        return
    from_json(
        dict[str, int],
        (facts.errors_facts or {}).get("clusters", {}),
        "facts.errors_facts.clusters",
    )
    if isinstance(member.facts, LinearFacts):
        yield from _linear(member.facts, cast(Any, member.model), encoder)
    elif isinstance(member.facts, FormulaFacts):
        p = member.model.parameter_count
        if [len(row) for row in member.facts.correlation] != [p] * p:
            yield f"correlations that are not those of {p} parameters"
    elif (
        isinstance(member.facts, NetworkFacts)
        and member.facts.hidden != cast(Any, member.model).hidden
    ):
        yield "a network of other layers than it says"
    elif isinstance(member.facts, TreesFacts) and len(member.facts.trees) != (
        member.model.outputs_count
    ):
        yield "trees of other targets than they say"


def _clusters(facts: LinearFacts, p: int) -> Iterator[str]:
    """What is kept of clusters, against the number of coefficients."""
    sums = facts.cluster_sums
    if sums is None:
        return
    same = len(sums.squares) == len(sums.scores) > 1
    squares, scores = {len(row) for row in sums.squares}, {len(row) for row in sums.scores}
    if not same or squares != {p * (p + 1) // 2} or scores != {p}:
        yield "sums of clusters of other coefficients"
    elif not all(isfinite(v) for rows in (sums.squares, sums.scores) for row in rows for v in row):
        yield "sums of clusters that are not finite"


def _linear(facts: LinearFacts, model: Any, encoder: Encoder) -> Iterator[str]:
    """What is told of a linear model, against the columns of its design."""
    from halfsquare.models.terms.encoder import TermsEncoder

    terms = encoder if isinstance(encoder, TermsEncoder) else None
    if model.held != (1 if terms and terms.absorbed else 0):
        yield f"{model.held} coefficients that are held"
    # Absorbed effects hold the level: such a model has no intercept beside them.
    if model.intercept != (terms.design.has_intercept and not terms.absorbed if terms else True):
        yield "an intercept that the design does not have, or none where it has one"
    if any(len(row) != len(encoder.names) for row in facts.undetermined_directions):
        yield "directions of another number of columns"
    if facts.formula is not None and facts.degrees_of_freedom is None:
        yield "terms whose degrees of freedom are not said"
    yield from _clusters(facts, len(encoder.names) + model.intercept)
    told = facts.inference
    if told is None or told.means is None:
        return
    if terms is None:
        yield "means of the columns of a formula, and there is none"
        return
    design = terms.design
    numbers = {c for c, kind in design.kinds.items() if kind != "text"}  # dates too
    if told.means.keys() != numbers or not all(map(isfinite, told.means.values())):
        yield "means of other columns than those of the formula"
    effects = told.average_effects
    if effects is not None:
        if len(effects.names) != len(effects.rows):
            yield "average effects and their names differ in number"
        if any(len(row) != len(design.names) for row in effects.rows):
            yield "average effects on other columns than those of the design"
