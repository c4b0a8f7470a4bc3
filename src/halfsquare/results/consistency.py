"""What the parts of a fitted model say of each other must agree, where a file has been read."""

from __future__ import annotations

from collections.abc import Iterator
from math import inf
from typing import Any, Literal, cast

from halfsquare.files.records import from_json
from halfsquare.results.fitted import FittedModel
from halfsquare.results.trained import FormulaFacts, LinearFacts, NetworkFacts, Trained, TreesFacts
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


def require_consistent(fitted: FittedModel) -> None:
    """See that the record of a fitted model is whole, and belongs to its members.

    Raises
    ------
    ValueError
        With what does not belong together.
    """
    told = next(_differences(fitted), None)
    if told is not None:
        raise ValueError(told)


def _differences(fitted: FittedModel) -> Iterator[str]:
    record, training = fitted.record, fitted.record.training
    if record.data is None or record.measured is None or record.version is None:
        yield "it is not said what was fitted to what"
        return
    if record.data.targets != fitted.encoder.targets:
        yield f"a model of {', '.join(fitted.encoder.targets)} that was fitted to others"
    yield from _options(record.options)
    _require_reading(record.data.reading)
    for summary in (record.measured.train, record.measured.test):
        if summary is not None:
            yield from _errors(summary)
    tried = {c.model for c in training.candidates}
    if tried and not set(str(training.chosen).split(" + ")) <= tried:
        yield "the model that was chosen was not tried"
    if training.kind not in _KINDS:
        yield f"a model of the unknown kind {training.kind!r}"
        return
    for member in fitted.members:
        yield from _member(member, _KINDS[training.kind])


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


def _member(member: Trained[Any], models: tuple[str, ...]) -> Iterator[str]:
    model = type(member.model).__name__
    if model not in models or not isinstance(member.facts, _FACTS[model]):
        yield "a model of one kind with the facts of another"
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
